//! Charts as the numbers of an SVG of 1000 units across: paths, ticks and marks; the template draws them.

use figures::Histogram;
use serde::Serialize;

/// The plot's left and right end, and the space above and below it.
const LEFT: f64 = 50.0;
const RIGHT: f64 = 990.0;
const TOP: f64 = 8.0;
const FOOT: f64 = 20.0;

/// A chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Chart {
    pub title: String,
    pub height: f64,
    /// Where the plot ends at the bottom.
    pub foot: f64,
    pub lines: Vec<Line>,
    pub x_ticks: Vec<Tick>,
    pub y_ticks: Vec<Tick>,
    /// The height of a limit.
    pub limit: Option<f64>,
    /// Places along x that stand out.
    pub marks: Vec<f64>,
    /// Labelled places along x with what they span.
    pub peaks: Vec<Peak>,
    /// What the chart says, for those who do not see it.
    pub alt: String,
}

/// A line of a chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Line {
    pub name: String,
    pub path: String,
}

/// A number on an axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Tick {
    pub at: f64,
    pub text: String,
}

/// A tissue in a histogram.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Peak {
    pub at: f64,
    pub from: f64,
    pub to: f64,
    pub text: String,
}

/// Courses over the volumes of a run. `limit` and `outliers` (volumes) are drawn where they are given.
pub(super) fn over_time(
    title: &str,
    height: f64,
    courses: &[(&str, &[Option<f64>])],
    limit: Option<f64>,
    outliers: &[usize],
) -> Option<Chart> {
    let volumes = courses.iter().map(|(_, values)| values.len()).max()?;
    let known = || courses.iter().flat_map(|(_, values)| values.iter().flatten().copied());
    let (low, high) = (known().fold(0.0, f64::min), known().fold(limit.unwrap_or(0.0), f64::max));
    if volumes < 2 || low >= high {
        return None;
    }
    // The middle of a volume's column in the carpet above.
    let x = |volume: f64| LEFT + (RIGHT - LEFT) * (volume + 0.5) / volumes as f64;
    let y = scale([low, high], [height - FOOT, TOP]);
    let line = |(name, values): &(&str, &[Option<f64>])| {
        let points = values.iter().enumerate().map(|(t, v)| v.map(|v| (x(t as f64), y(v))));
        Line { name: (*name).to_owned(), path: path(points) }
    };
    let names: Vec<&str> = courses.iter().map(|(name, _)| *name).collect();
    let largest = known().map(f64::abs).fold(0.0, f64::max);
    let alt = format!("{title}: {} over {volumes} volumes, at most {largest:.2}.", names.join(", "));
    Some(Chart {
        title: title.to_owned(),
        height,
        foot: height - FOOT,
        lines: courses.iter().map(line).collect(),
        x_ticks: ticks(0.0, volumes as f64 - 1.0, 8, x),
        y_ticks: ticks(low, high, 4, &y),
        limit: limit.map(&y),
        marks: outliers.iter().map(|&t| x(t as f64)).collect(),
        peaks: Vec::new(),
        alt,
    })
}

/// The histogram of the brain before and after correction.
pub(super) fn histogram(found: &Histogram, height: f64) -> Option<Chart> {
    let most = *found.before.iter().chain(&found.after).max()?;
    if most == 0 || found.high <= 0.0 {
        return None;
    }
    let x = scale([0.0, found.high], [LEFT, RIGHT]);
    let y = scale([0.0, f64::from(most) * 1.12], [height - FOOT, TOP]);
    let width = found.high / found.after.len().max(1) as f64;
    let line = |name: &str, bins: &[u32]| {
        // Means of neighbours: bins take in one whole number of the scanner's more or less than the next.
        let at = |b: usize| f64::from(bins.get(b).copied().unwrap_or(0));
        let smooth = |b: usize| 0.25 * (at(b.wrapping_sub(1)) + 2.0 * at(b) + at(b + 1));
        let points = (0..bins.len()).map(|b| Some((x((b as f64 + 0.5) * width), y(smooth(b)))));
        Line { name: name.to_owned(), path: path(points) }
    };
    let peaks: Vec<Peak> = found
        .tissues
        .iter()
        .map(|t| {
            let clamped = |v: f64| x(v.clamp(0.0, found.high));
            let text = format!("{} {:.0}", t.name, t.mean);
            Peak { at: clamped(t.mean), from: clamped(t.mean - t.sd), to: clamped(t.mean + t.sd), text }
        })
        .collect();
    let told: Vec<&str> = peaks.iter().map(|p| p.text.as_str()).collect();
    Some(Chart {
        title: "Intensity in the brain".into(),
        height,
        foot: height - FOOT,
        lines: vec![line("before", &found.before), line("corrected", &found.after)],
        x_ticks: ticks(0.0, found.high, 8, &x),
        y_ticks: Vec::new(),
        limit: None,
        marks: Vec::new(),
        alt: format!("Histogram of the intensities in the brain before and after correction. {}", told.join(", ")),
        peaks,
    })
}

fn scale(from: [f64; 2], to: [f64; 2]) -> impl Fn(f64) -> f64 {
    move |v| to[0] + (to[1] - to[0]) * (v - from[0]) / (from[1] - from[0])
}

/// A path through the points, broken where one is missing.
fn path(points: impl Iterator<Item = Option<(f64, f64)>>) -> String {
    let mut text = String::new();
    let mut broken = true;
    for point in points {
        if let Some((x, y)) = point {
            text.push_str(&format!("{}{x:.1} {y:.1}", if broken { 'M' } else { 'L' }));
        }
        broken = point.is_none();
    }
    text
}

/// About `count` round numbers from `low` to `high`.
fn ticks(low: f64, high: f64, count: usize, place: impl Fn(f64) -> f64) -> Vec<Tick> {
    let rough = (high - low) / count.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|s| s * power).find(|s| *s >= rough * 0.999).unwrap_or(power);
    let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    let tick = |n: i64| Tick {
        at: (10.0 * place(n as f64 * step)).round() / 10.0,
        text: format!("{:.decimals$}", n as f64 * step),
    };
    (first..=last).map(tick).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use figures::TissuePeak;

    #[test]
    fn ticks_are_round() {
        let of = |low, high, n| ticks(low, high, n, |v| v).into_iter().map(|t| t.text).collect::<Vec<_>>();
        assert_eq!(of(0.0, 99.0, 4), ["0", "50"]);
        assert_eq!(of(-0.3, 0.3, 3), ["-0.2", "0.0", "0.2"]);
        assert_eq!(of(0.0, 0.02, 2), ["0.00", "0.01", "0.02"]);
    }

    #[test]
    fn a_missing_value_breaks_the_line() {
        let course = [None, Some(1.0), Some(0.5), None, Some(0.0)];
        let chart = over_time("FD", 100.0, &[("FD", &course)], Some(0.5), &[1]).unwrap();
        assert_eq!(chart.lines[0].path, "M332.0 8.0L520.0 44.0M896.0 80.0");
        assert_eq!((chart.limit, chart.marks), (Some(44.0), vec![332.0]));
        assert_eq!(over_time("x", 100.0, &[("x", &[None, None])], None, &[]), None, "nothing to draw");
        assert_eq!(over_time("x", 100.0, &[], None, &[]), None);
    }

    #[test]
    fn tissues_stand_in_the_histogram() {
        let tissues = vec![TissuePeak { name: "GM".into(), mean: 50.0, sd: 10.0, voxels: 9 }];
        let found = Histogram { high: 100.0, before: vec![1, 2], after: vec![4, 0], tissues };
        let chart = histogram(&found, 100.0).unwrap();
        assert_eq!((chart.peaks[0].at, chart.peaks[0].from, chart.peaks[0].to), (520.0, 426.0, 614.0));
        assert_eq!(chart.peaks[0].text, "GM 50");
        assert_eq!(histogram(&Histogram::default(), 100.0), None);
    }
}
