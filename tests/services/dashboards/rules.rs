//! The alerts and recording rules, with `promtool`.

use crate::common::install::{must, root};
use crate::common::prometheus::programs;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The `.yml` files of a folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(root(folder)).unwrap().map(|f| f.unwrap().path());
    files.filter(|p| p.extension().is_some_and(|e| e == "yml")).collect()
}

/// What stands behind a key in the files of a folder.
fn values(folder: &str, key: &str) -> Vec<String> {
    let text: String = files(folder).iter().map(|f| fs::read_to_string(f).unwrap()).collect();
    let lines = text.lines().map(|l| l.trim().trim_start_matches("- "));
    lines.filter_map(|l| l.strip_prefix(key).map(|v| v.trim().to_owned())).collect()
}

#[test]
fn the_rules_are_valid_and_their_cases_come_out() {
    let Some(programs) = programs() else { return };
    let promtool = |does: &str, folder: &str| {
        must(Command::new(programs.join("promtool")).args([does, "rules"]).args(files(folder))).unwrap();
    };
    promtool("check", "configs/prometheus/rules");
    promtool("test", "configs/prometheus/rules/tests");
}

#[test]
fn every_alert_has_a_case_that_fires_one_that_does_not_and_a_runbook() {
    let alerts: BTreeSet<String> = values("configs/prometheus/rules", "alert:").into_iter().collect();
    assert!(alerts.len() > 10);
    let cases: String =
        files("configs/prometheus/rules/tests").iter().map(|f| fs::read_to_string(f).unwrap()).collect();
    let (mut fires, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for case in cases.split("alertname: ").skip(1) {
        let alert = case.lines().next().unwrap().to_owned();
        if case.lines().nth(1).unwrap().trim() == "exp_alerts: []" { &mut silent } else { &mut fires }.insert(alert);
    }
    assert_eq!(fires, alerts, "left: alerts with a case that fires");
    assert_eq!(silent, alerts, "left: alerts with a case that stays silent");

    let runbooks = fs::read_to_string(root("docs/03-observing.md")).unwrap();
    let headings = runbooks.lines().filter_map(|l| l.strip_prefix("### "));
    let anchors: BTreeSet<String> = headings.clone().map(str::to_lowercase).collect();
    let urls = values("configs/prometheus/rules", "runbook_url:");
    assert_eq!(urls.len(), alerts.len());
    for url in urls {
        assert!(url.strip_prefix("docs/03-observing.md#").is_some_and(|a| anchors.contains(a)), "{url} leads nowhere");
    }
    for alert in &alerts {
        assert!(runbooks.contains(alert.as_str()), "docs/03-observing.md says nothing of {alert}");
    }
    for heading in headings.filter(|h| h.starts_with("Neuro")) {
        assert!(alerts.iter().any(|a| a.starts_with(heading)), "{heading} is no alert any more");
    }
}
