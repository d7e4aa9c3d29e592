//! The scores as a table for people and as JSON for programs, each with mean and worst per modality.

use super::{Measure, ScanScore, Scores};
use crate::bids::Modality;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// A measure over the scans of one modality.
struct Spread<'a> {
    mean: f64,
    worst: f64,
    /// The scan that has the worst value.
    scan: &'a str,
}

impl Spread<'_> {
    fn of<'a>(scans: &[&'a ScanScore], measure: Measure) -> Option<Spread<'a>> {
        let known: Vec<(f64, &str)> =
            scans.iter().filter_map(|s| Some((*s.measures.get(&measure)?, s.scan.as_str()))).collect();
        let &(worst, scan) = known.iter().max_by(|a, b| measure.badness(a.0).total_cmp(&measure.badness(b.0)))?;
        Some(Spread { mean: known.iter().map(|(v, _)| v).sum::<f64>() / known.len() as f64, worst, scan })
    }
}

impl Scores {
    fn of(&self, modality: Modality) -> Vec<&ScanScore> {
        self.scans.iter().filter(|s| s.modality == modality).collect()
    }

    /// Tables, one per modality: a row per scan, then mean and worst; below them what is missing.
    #[must_use]
    pub fn text(&self) -> String {
        // Writing to a String cannot fail.
        let mut out = format!("{} against {}\n", self.derivatives.display(), self.truth.display());
        for modality in Modality::ALL {
            let scans = self.of(modality);
            if !scans.is_empty() {
                let _ = write!(out, "\n{}", table(modality, &scans));
            }
        }
        let short: Vec<_> = self.scans.iter().filter(|s| !s.problems.is_empty()).collect();
        if !short.is_empty() {
            let _ = write!(out, "\nnot measured:\n");
            for (scan, problem) in short.iter().flat_map(|s| s.problems.iter().map(|p| (&s.scan, p))) {
                let _ = writeln!(out, "  {scan}: {problem}");
            }
        }
        out
    }

    /// Every scan with its measures and problems, and per modality mean, worst value and worst scan of each measure.
    #[must_use]
    pub fn json(&self) -> Value {
        let scan = |s: &ScanScore| {
            let measures: Map<_, _> = s.measures.iter().map(|(m, v)| (m.name().to_owned(), json!(v))).collect();
            let problems: Vec<_> = s.problems.iter().map(ToString::to_string).collect();
            json!({ "scan": s.scan, "modality": s.modality.as_str(), "measures": measures, "problems": problems })
        };
        let summary = |modality| {
            let scans = self.of(modality);
            let spread = |m: &Measure| {
                let s = Spread::of(&scans, *m)?;
                Some((m.name().to_owned(), json!({ "mean": s.mean, "worst": s.worst, "worst_scan": s.scan })))
            };
            let measures: Map<_, _> = Measure::ALL.iter().filter_map(spread).collect();
            let complete = scans.iter().filter(|s| s.problems.is_empty()).count();
            json!({ "scans": scans.len(), "complete": complete, "measures": measures })
        };
        let present = Modality::ALL.into_iter().filter(|m| !self.of(*m).is_empty());
        json!({
            "derivatives": self.derivatives,
            "truth": self.truth,
            "scans": self.scans.iter().map(scan).collect::<Vec<_>>(),
            "summary": present.map(|m| (m.as_str().to_owned(), summary(m))).collect::<Map<_, _>>(),
        })
    }
}

/// Right-aligned columns of what any of the scans has.
fn table(modality: Modality, scans: &[&ScanScore]) -> String {
    let columns: Vec<Measure> =
        Measure::ALL.iter().copied().filter(|m| scans.iter().any(|s| s.measures.contains_key(m))).collect();
    let cell = |m: Measure, value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.*}", m.decimals()));
    let row = |name: &str, value: &dyn Fn(Measure) -> Option<f64>| -> Vec<String> {
        std::iter::once(name.to_owned()).chain(columns.iter().map(|&m| cell(m, value(m)))).collect()
    };
    let head = std::iter::once(modality.as_str()).chain(columns.iter().map(|m| m.title()));
    let mut rows = vec![head.map(str::to_owned).collect::<Vec<_>>()];
    rows.extend(scans.iter().map(|s| row(&s.scan, &|m| s.measures.get(&m).copied())));
    rows.push(row("mean", &|m| Spread::of(scans, m).map(|s| s.mean)));
    rows.push(row("worst", &|m| Spread::of(scans, m).map(|s| s.worst)));
    let width = |c: usize| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..=columns.len()).map(width).collect();
    let line = |r: &Vec<String>| {
        let name = format!("{:<1$}", r[0], widths[0]);
        r.iter().zip(&widths).skip(1).fold(name, |line, (text, w)| format!("{line}  {text:>w$}")).trim_end().to_owned()
    };
    rows.iter().map(|r| line(r) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::super::Problem;
    use super::*;

    fn scores() -> Scores {
        let scan = |name: &str, dice: Option<f64>, problems| ScanScore {
            scan: name.into(),
            modality: Modality::T1w,
            measures: dice.into_iter().map(|d| (Measure::Dice, d)).collect(),
            problems,
        };
        let scans = vec![
            scan("sub-01_T1w", Some(0.9), vec![]),
            scan("sub-02_T1w", Some(0.8), vec![]),
            scan("sub-03_T1w", None, vec![Problem::NoDerivative("sub-03.nii.gz".into())]),
        ];
        Scores { derivatives: "d".into(), truth: "t".into(), scans }
    }

    #[test]
    fn the_table_has_every_scan_mean_and_worst_and_names_what_is_missing() {
        let text = scores().text();
        let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
        for row in
            [["T1w", "Dice"], ["sub-01_T1w", "0.9000"], ["sub-03_T1w", "-"], ["mean", "0.8500"], ["worst", "0.8000"]]
        {
            assert!(rows.iter().any(|r| r == &row), "{row:?} is not in\n{text}");
        }
        assert!(text.contains("sub-03_T1w: derivative missing: sub-03.nii.gz"), "{text}");
        assert!(!scores().complete());
    }

    #[test]
    fn json_has_the_same() {
        let json = scores().json();
        assert_eq!(json["scans"][1]["measures"]["dice"], 0.8);
        assert_eq!(json["summary"]["T1w"]["measures"]["dice"]["worst_scan"], "sub-02_T1w");
        assert_eq!((&json["summary"]["T1w"]["scans"], &json["summary"]["T1w"]["complete"]), (&json!(3), &json!(2)));
        assert!(json["summary"].get("bold").is_none());
        assert_eq!(json["scans"][2]["problems"].as_array().map(Vec::len), Some(1));
    }
}
