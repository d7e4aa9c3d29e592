//! Filter files as PyBIDS-based tools take them: per kind of scan, which labels of which entities are wanted.
//!
//! `{"t1w": {"session": "01", "acquisition": null}, "bold": {"task": ["rest", "nback"], "run": "*"}}`

use std::path::Path;

use serde_json::{Map, Value};

use super::entities::{nearest_key, short_key};
use super::error::BidsError;
use super::json::read_object;
use super::label::is_label;
use super::nearest::nearest;
use super::scan::{ScanFile, Suffix};

/// Sections of other tools' filter files that name nothing this tool processes. A file shared with them is accepted.
const OTHER_SECTIONS: [&str; 9] = ["fmap", "sbref", "t2w", "flair", "roi", "dwi", "asl", "pet", "t2star"];

/// What a filter file asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    sections: Vec<(Suffix, Vec<Condition>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    field: Field,
    wanted: Vec<Wanted>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Entity(&'static str),
    Datatype,
    Suffix,
    Extension,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Absent,
    Any,
    Text(String),
    /// A number of JSON, which says nothing about padding: 1 is `1` and `01`.
    Number(u64),
}

impl Filter {
    /// Reads a filter file.
    ///
    /// # Errors
    /// [`BidsError::BadFilter`] naming the key or value that cannot be used and, for keys, the nearest that can.
    pub fn read(path: &Path) -> Result<Self, BidsError> {
        read_object(path)
            .and_then(|object| Self::understand(&object))
            .map_err(|reason| BidsError::BadFilter { path: path.to_owned(), reason })
    }

    fn understand(object: &Map<String, Value>) -> Result<Self, String> {
        let mut sections: Vec<(Suffix, Vec<Condition>)> = Vec::new();
        for (name, value) in object {
            let lower = name.to_ascii_lowercase();
            let Some(suffix) =
                [Suffix::T1w, Suffix::Bold].into_iter().find(|s| s.as_str().eq_ignore_ascii_case(&lower))
            else {
                if OTHER_SECTIONS.contains(&lower.as_str()) {
                    continue;
                }
                let near = nearest(&lower, ["t1w", "bold"], 1).join("");
                return Err(format!("{name:?} is no kind of scan; use \"t1w\" or \"bold\" (nearest: {near:?})"));
            };
            let Value::Object(conditions) = value else {
                return Err(format!("the value of {name:?} must be an object of entities"));
            };
            let conditions =
                conditions.iter().map(|(key, value)| condition(name, key, value)).collect::<Result<_, _>>()?;
            if sections.iter().any(|(known, _)| *known == suffix) {
                return Err(format!("{name:?} occurs twice in different case"));
            }
            sections.push((suffix, conditions));
        }
        Ok(Self { sections })
    }

    /// The kinds the file says something about.
    pub(super) fn suffixes(&self) -> impl Iterator<Item = Suffix> {
        self.sections.iter().map(|(suffix, _)| *suffix)
    }

    /// Whether the scan satisfies every condition of its section. Kinds without a section are all wanted.
    #[must_use]
    pub fn matches(&self, scan: &ScanFile) -> bool {
        let sections = self.sections.iter().filter(|(suffix, _)| *suffix == scan.suffix);
        sections.flat_map(|(_, conditions)| conditions).all(|condition| condition.holds(scan))
    }
}

impl Condition {
    fn holds(&self, scan: &ScanFile) -> bool {
        let found = match self.field {
            Field::Entity(key) => scan.entities.get(key),
            Field::Datatype => Some(scan.datatype.as_str()),
            Field::Suffix => Some(scan.suffix.as_str()),
            Field::Extension => Some(scan.extension.as_str().trim_start_matches('.')),
        };
        self.wanted.iter().any(|wanted| match wanted {
            Wanted::Absent => found.is_none(),
            Wanted::Any => found.is_some(),
            Wanted::Text(text) => found == Some(text),
            Wanted::Number(number) => found.and_then(|f| f.parse().ok()) == Some(*number),
        })
    }
}

fn condition(section: &str, key: &str, value: &Value) -> Result<Condition, String> {
    let field = match key {
        "datatype" => Field::Datatype,
        "suffix" => Field::Suffix,
        "extension" => Field::Extension,
        _ => Field::Entity(short_key(key).ok_or_else(|| {
            let near = nearest_key(key).and_then(super::entities::long_key).unwrap_or("task");
            format!("{key:?} in {section:?} is no entity (nearest: {near:?})")
        })?),
    };
    let place = format!("{section:?}, {key:?}");
    let wanted = match value {
        Value::Array(values) if values.is_empty() => {
            return Err(format!("the list in {place} is empty; use null for absent"));
        }
        Value::Array(values) => {
            values.iter().map(|value| wanted(field, &place, value)).collect::<Result<Vec<_>, _>>()?
        }
        value => vec![wanted(field, &place, value)?],
    };
    Ok(Condition { field, wanted: wanted.into_iter().flatten().collect() })
}

/// What one value asks for. `Query.OPTIONAL` asks for two things, so the answer is a list.
fn wanted(field: Field, place: &str, value: &Value) -> Result<Vec<Wanted>, String> {
    let text = match value {
        Value::Null => return Ok(vec![Wanted::Absent]),
        Value::Number(number) => {
            let number = number.as_u64().ok_or_else(|| format!("{number} in {place} must be a whole number"))?;
            return Ok(vec![Wanted::Number(number)]);
        }
        Value::String(text) => text.as_str(),
        other => return Err(format!("{other} in {place} must be a text, a whole number, null or a list of these")),
    };
    // fMRIPrep writes PyBIDS queries in both ways that Python prints an enum.
    match text.trim_start_matches('<').split([':', '>']).next().unwrap_or(text) {
        "*" | "Query.ANY" | "Query.REQUIRED" => return Ok(vec![Wanted::Any]),
        "Query.NONE" => return Ok(vec![Wanted::Absent]),
        "Query.OPTIONAL" => return Ok(vec![Wanted::Any, Wanted::Absent]),
        _ => {}
    }
    match field {
        Field::Entity(key) => {
            let label = text.strip_prefix(key).and_then(|rest| rest.strip_prefix('-')).unwrap_or(text);
            if !is_label(label) {
                return Err(format!("{text:?} in {place} is no label: use letters, digits and '+', \"*\" for any"));
            }
            Ok(vec![Wanted::Text(label.to_owned())])
        }
        Field::Extension => Ok(vec![Wanted::Text(text.trim_start_matches('.').to_owned())]),
        Field::Datatype | Field::Suffix => Ok(vec![Wanted::Text(text.to_owned())]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filter(value: &Value) -> Result<Filter, String> {
        Filter::understand(value.as_object().unwrap())
    }

    fn scan(id: &str) -> ScanFile {
        let folder = if id.ends_with("bold") { "func" } else { "anat" };
        ScanFile::parse(Path::new(&format!("sub-01/{folder}/sub-01_{id}.nii.gz"))).unwrap()
    }

    /// Whether bold runs without run, with `run-1`, `run-01` and `run-2` match.
    fn runs(wanted: &Value) -> [bool; 4] {
        let filter = filter(&json!({"bold": {"run": wanted}})).unwrap();
        ["task-a_bold", "task-a_run-1_bold", "task-a_run-01_bold", "task-a_run-2_bold"]
            .map(|id| filter.matches(&scan(id)))
    }

    #[test]
    fn every_kind_of_value_means_what_pybids_means() {
        assert_eq!(runs(&json!(null)), [true, false, false, false]);
        assert_eq!(runs(&json!("Query.NONE")), [true, false, false, false]);
        assert_eq!(runs(&json!("<Query.NONE: 1>")), [true, false, false, false]);
        assert_eq!(runs(&json!("*")), [false, true, true, true]);
        assert_eq!(runs(&json!("Query.ANY")), [false, true, true, true]);
        assert_eq!(runs(&json!("Query.OPTIONAL")), [true; 4]);
        assert_eq!(runs(&json!(1)), [false, true, true, false]);
        assert_eq!(runs(&json!("01")), [false, false, true, false]);
        assert_eq!(runs(&json!("run-01")), [false, false, true, false]);
        assert_eq!(runs(&json!([2, "01"])), [false, false, true, true]);
        assert_eq!(runs(&json!([null, 2])), [true, false, false, true]);
    }

    #[test]
    fn each_section_concerns_its_kind_only_and_all_its_conditions_hold() {
        let value = json!({
            "T1w": {"acquisition": null, "suffix": "T1w", "datatype": "anat", "extension": [".nii", ".nii.gz"]},
            "bold": {"task": ["rest", "nback"], "acq": "x"}, "fmap": {"fmapid": "x"}
        });
        let filter = filter(&value).unwrap();
        assert!(filter.matches(&scan("T1w")) && filter.matches(&scan("acq-x_T2w")));
        assert!(!filter.matches(&scan("acq-x_T1w")));
        assert!(filter.matches(&scan("task-rest_acq-x_bold")));
        assert!(!filter.matches(&scan("task-rest_bold")) && !filter.matches(&scan("task-y_acq-x_bold")));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (value, says) in [
            (json!({"t1": {}}), "nearest: \"t1w\""),
            (json!({"bold": {"acquisitions": "x"}}), "nearest: \"acquisition\""),
            (json!({"bold": []}), "must be an object"),
            (json!({"bold": {"run": []}}), "is empty"),
            (json!({"bold": {"run": 1.5}}), "whole number"),
            (json!({"bold": {"run": true}}), "true in \"bold\", \"run\""),
            (json!({"bold": {"task": "re.*"}}), "no label"),
            (json!({"bold": {}, "BOLD": {}}), "twice"),
        ] {
            let error = filter(&value).unwrap_err();
            assert!(error.contains(says), "{value}: {error}");
        }
    }
}
