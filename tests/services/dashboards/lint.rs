//! Rules for dashboards: what the linter of Grafana's makers asks for, as far as it fits several data sources, and what this
//! project promises besides. They need no server.

use super::files::{Query, dashboards, documented, panels, queries, variables};
use crate::common::install::{or_skip, python, root};
use crate::common::run_command;
use neuro_preprocess::telemetry::names::{LOG_EVENT_FIELDS, LOG_FIELDS, METRICS, RESOURCE, attributes, spans};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

/// The names in a text that begin with `prefix`, with what follows each.
fn names<'t>(text: &'t str, prefix: &str) -> Vec<(&'t str, &'t str)> {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':' || c == '.';
    let starts = text.match_indices(prefix).map(|(at, _)| at);
    let whole = starts.filter(|at| !text[..*at].ends_with(part_of_name));
    whole.map(|at| text[at..].split_at(text[at..].find(|c| !part_of_name(c)).unwrap_or(text.len() - at))).collect()
}

fn all_queries() -> Vec<Query> {
    dashboards().iter().flat_map(|(name, d)| queries(name, d)).chain(documented()).collect()
}

#[test]
fn the_files_are_what_the_generator_writes() {
    let folder = tempfile::tempdir().unwrap();
    let mut generator = Command::new("python3");
    generator.arg(root("configs/grafana/generate.py")).arg(folder.path());
    run_command(&mut generator).exits(0);
    let mut compared = 0;
    for file in fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap()) {
        let committed = fs::read_to_string(root("configs/grafana/dashboards").join(file.file_name())).unwrap();
        let written = fs::read_to_string(file.path()).unwrap();
        assert!(committed == written, "{:?}: run python3 configs/grafana/generate.py", file.file_name());
        compared += 1;
    }
    assert_eq!(compared, 6);
}

#[test]
fn grafana_knows_every_key_and_value() {
    let installed = python("grafana", "tests/peers/requirements-grafana.txt");
    let Some(python) = or_skip("Grafana's types", installed) else { return };
    let check = |folder: &std::path::Path| {
        run_command(Command::new(&python).arg(root("tests/peers/check_dashboards.py")).arg(folder))
    };
    let checked = check(&root("configs/grafana/dashboards")).exits(0);
    assert!(checked.last_line().starts_with(&format!("{} dashboards", dashboards().len())), "{}", checked.stdout);

    // The check finds what is wrong.
    let (_, mut broken) = dashboards().remove(0);
    let panel = broken["panels"].as_array_mut().unwrap().iter_mut().find(|p| p["type"] == "stat").unwrap();
    panel["options"]["colourMode"] = "value".into();
    panel["options"]["graphMode"] = "lines".into();
    panel["fieldConfig"]["defaults"]["unit"] = "furlong".into();
    panel["gridPos"]["w"] = "4".into();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("broken.json"), broken.to_string()).unwrap();
    let checked = check(folder.path()).exits(1);
    assert!(checked.last_line().ends_with("4 problems"), "{}", checked.stdout);
}

#[test]
fn dashboards_are_alike_and_lead_to_each_other() {
    let all = dashboards();
    let uids: BTreeSet<String> = all.iter().map(|(name, _)| format!("neuro-{name}")).collect();
    let titles: BTreeSet<&str> = all.iter().map(|(_, d)| d["title"].as_str().unwrap()).collect();
    assert_eq!(titles.len(), all.len());
    for (name, dashboard) in &all {
        assert_eq!(dashboard["uid"], format!("neuro-{name}"));
        assert_eq!(dashboard["tags"][0], "neuro-preprocess");
        let link = &dashboard["links"][0];
        assert_eq!((&link["tags"][0], &link["includeVars"]), (&"neuro-preprocess".into(), &true.into()), "{name}");
        let text = dashboard.to_string();
        for uid in text.split("\"/d/").skip(1).map(|rest| rest.split('?').next().unwrap()) {
            assert!(uids.contains(uid), "{name} leads to {uid}, which is not there");
        }
    }
}

#[test]
fn data_sources_are_variables_with_those_of_the_stack_as_default() {
    for (name, dashboard) in dashboards() {
        for kind in ["prometheus", "loki", "tempo"] {
            let variable = variables(&dashboard).iter().find(|v| v["name"] == format!("{kind}_datasource")).unwrap();
            assert_eq!((&variable["type"], &variable["query"]), (&"datasource".into(), &kind.into()), "{name}");
            assert_eq!(variable["current"]["value"], format!("neuro-{kind}"), "{name}");
        }
        for panel in panels(&dashboard) {
            for source in panel["targets"].as_array().unwrap().iter().chain([panel]).map(|t| &t["datasource"]) {
                let kind = source["type"].as_str().unwrap();
                assert_eq!(source["uid"], format!("${{{kind}_datasource}}"), "{name}: {}", panel["title"]);
            }
        }
    }
}

#[test]
fn every_variable_is_used_and_every_use_has_its_variable() {
    for (name, dashboard) in dashboards() {
        let panels = serde_json::to_string(&dashboard["panels"]).unwrap();
        let defined: Vec<&str> = variables(&dashboard).iter().map(|v| v["name"].as_str().unwrap()).collect();
        for variable in defined.iter().filter(|v| !v.ends_with("_datasource")) {
            assert!(panels.contains(&format!("${variable}")), "{name}: ${variable} changes nothing");
        }
        for query in queries(&name, &dashboard) {
            for used in query.text.split('$').skip(1) {
                let used = &used[..used.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(used.len())];
                assert!(used.starts_with("__") || defined.contains(&used), "{}: no variable {used}", query.place);
            }
        }
    }
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    for (name, dashboard) in dashboards() {
        let mut titles = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap();
            assert!(titles.insert(title), "{name}: two panels are called {title}");
            assert!(panel["description"].as_str().is_some_and(|d| d.len() > 20), "{name}: {title} has no description");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{name}: {title} has no unit");
            let single = ["stat", "bargauge", "table"].contains(&panel["type"].as_str().unwrap());
            let said = panel["fieldConfig"]["defaults"]["noValue"].is_string();
            assert!(!single || said, "{name}: {title} does not say what no data means");
        }
    }
}

#[test]
fn no_panel_lies_on_another() {
    for (name, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|k| panel["gridPos"][k].as_u64().unwrap());
            assert!(w > 0 && h > 0 && x + w <= 24, "{name}: {}", panel["title"]);
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{name}: {} lies on another panel at {cell:?}", panel["title"]);
            }
        }
    }
}

#[test]
fn graphs_take_rates_over_what_grafana_chooses_and_of_the_chosen_service() {
    const ALIVE: &str = "{signal=\"metrics\"}";
    for query in dashboards().iter().flat_map(|(name, d)| queries(name, d)).filter(|q| q.language == "prometheus") {
        for function in ["rate(", "increase("] {
            for (at, _) in query.text.match_indices(function) {
                let window = query.text[at..].split('[').nth(1).unwrap_or_default();
                assert!(window.starts_with("$__rate_interval]"), "{}: {}", query.place, query.text);
            }
        }
        for (metric, rest) in names(&query.text, "neuro_") {
            let chosen = rest.starts_with("{job=~\"$service\"") || rest.starts_with(ALIVE);
            assert!(chosen, "{}: {metric} of every service", query.place);
        }
    }
}

#[test]
fn queries_name_only_what_the_program_says() {
    let mut found = 0;
    for query in all_queries() {
        let text = &query.text;
        for (name, _) in names(text, "neuro_").into_iter().filter(|_| query.language == "prometheus") {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            let known = |n: &str| METRICS.iter().any(|m| m.exported == n);
            assert!(known(name) || base.is_some_and(known), "{}: no metric {name}", query.place);
            found += 1;
        }
        for (name, _) in names(text, "span.") {
            assert!(attributes().contains(&&name["span.".len()..]), "{}: no attribute {name}", query.place);
            found += 1;
        }
        if query.language == "tempo" {
            for name in text.split("name=\"").skip(1).filter_map(|n| n.split('"').next()) {
                assert!(spans().contains(&name), "{}: no span {name}", query.place);
            }
        }
        if query.language == "loki" {
            for name in text.split(" | ").skip(1).filter_map(|f| f.trim().split(['=', '!', '>', '<', ' ']).next()) {
                let of_resource = RESOURCE.iter().any(|r| r.replace('.', "_") == name);
                let ours = LOG_FIELDS.contains(&name) || LOG_EVENT_FIELDS.contains(&name) || of_resource;
                let loki = ["severity_text", "unwrap", "label_format", "line_format"].contains(&name);
                assert!(ours || loki || name.starts_with('"'), "{}: no field {name} in {text}", query.place);
                found += usize::from(ours);
            }
        }
    }
    assert!(found > 100, "{found} names");
}

#[test]
fn names_are_found_whole() {
    assert_eq!(
        names("neuro_a{x} + my_neuro_b - neuro_c", "neuro_"),
        [("neuro_a", "{x} + my_neuro_b - neuro_c"), ("neuro_c", "")]
    );
}
