//! The dashboards and documents as files: their panels and queries.

use crate::common::install::root;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// What Grafana puts in place of its variables, here for a range of half an hour and with "All" chosen. The longest first.
const VARIABLES: [(&str, &str); 9] = [
    ("$__rate_interval", "1m"),
    ("$__range", "30m"),
    ("$__auto", "10m"),
    ("$participant", "PARTICIPANT"),
    ("$modality", ".+"),
    ("$service", ".+"),
    ("$stage", ".+"),
    ("$run", ".+"),
    ("$trace", "0af7651916cd43dd8448eb211c80319c"),
];

/// A query of one of the three languages.
#[derive(Clone, Debug)]
pub struct Query {
    /// Where it stands.
    pub place: String,
    /// `prometheus`, `loki` or `tempo`.
    pub language: String,
    /// As it is written.
    pub text: String,
    /// One value at the end of the range, or values over it.
    pub instant: bool,
}

impl Query {
    /// With the variables replaced as Grafana does it.
    pub fn filled(&self, participant: &str) -> String {
        let text = VARIABLES.iter().fold(self.text.clone(), |text, (name, value)| text.replace(name, value));
        assert!(!text.contains('$'), "{}: a variable is left in {text}", self.place);
        text.replace("PARTICIPANT", participant)
    }
}

/// Each dashboard with the name of its file.
pub fn dashboards() -> Vec<(String, Value)> {
    let files = fs::read_dir(root("configs/grafana/dashboards")).unwrap().map(|f| f.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|p| p.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    let read = |p: &PathBuf| {
        let name = p.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, serde_json::from_slice(&fs::read(p).unwrap()).unwrap())
    };
    files.iter().map(read).collect()
}

/// The panels that show something.
pub fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|p| p["type"] != "row")
}

/// The variables of a dashboard.
pub fn variables(dashboard: &Value) -> &[Value] {
    dashboard["templating"]["list"].as_array().unwrap()
}

/// The queries of all panels of a dashboard.
pub fn queries(name: &str, dashboard: &Value) -> Vec<Query> {
    let targets = panels(dashboard).flat_map(|p| p["targets"].as_array().unwrap().iter().map(move |t| (p, t)));
    targets
        .map(|(panel, target)| Query {
            place: format!("{name}: {}", panel["title"].as_str().unwrap()),
            language: target["datasource"]["type"].as_str().unwrap().to_owned(),
            text: target["expr"].as_str().or(target["query"].as_str()).unwrap().to_owned(),
            instant: target["instant"] == true || target["queryType"] == "instant",
        })
        .collect()
}

/// The queries in the documents: blocks of `promql`, `logql` and `traceql`, divided by empty lines.
pub fn documented() -> Vec<Query> {
    let mut found = Vec::new();
    for name in ["03-observing.md", "05-creating-dashboards.md"] {
        let text = fs::read_to_string(root("docs").join(name)).unwrap();
        for (block, language) in blocks(&text) {
            for query in block.split("\n\n").filter(|q| !q.trim().is_empty()) {
                found.push(Query {
                    place: format!("docs/{name}"),
                    language: language.to_owned(),
                    text: query.trim().to_owned(),
                    instant: true,
                });
            }
        }
    }
    found
}

/// The fenced blocks of a document in one of the query languages, with the kind of their data source.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let languages = [("promql\n", "prometheus"), ("logql\n", "loki"), ("traceql\n", "tempo")];
    let fenced = text.split("```").skip(1).step_by(2);
    fenced.filter_map(|b| languages.iter().find_map(|(fence, l)| b.strip_prefix(fence).map(|b| (b, *l)))).collect()
}

#[test]
fn queries_are_found_in_blocks_of_their_language() {
    let text = "a\n```promql\nup\n\nsum(up)\n```\nb ```text```\n```logql\n{a=\"b\"}\n```\n";
    assert_eq!(blocks(text), [("up\n\nsum(up)\n", "prometheus"), ("{a=\"b\"}\n", "loki")]);
}
