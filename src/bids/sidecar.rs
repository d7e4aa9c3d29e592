//! Metadata of a scan: the JSON sidecars that apply to it, merged by the inheritance principle.
//!
//! From the dataset's root down to the scan's folder, a sidecar applies when it has the scan's suffix and its entities
//! are among the scan's; what lies deeper wins, key by key (BIDS specification, "The inheritance principle"). Paths are
//! only compared as text: a link is where its name is, not where it leads.

use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::entities::{Entities, EntityError};
use super::error::BidsError;
use super::json::read_object;
use super::scan::{ScanFile, Suffix};

/// What a sidecar holds, or what is wrong with it.
type Content = Result<Map<String, Value>, String>;

/// The sidecars of one folder that apply to a scan.
type Level<'a> = Vec<(&'a Sidecar, Map<String, Value>)>;

/// The name of a JSON file that can apply to scans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sidecar {
    entities: Entities,
    suffix: Suffix,
}

impl Sidecar {
    /// The sidecar that a file of this name is: `None` when the name is not one of a kind that is indexed.
    pub(super) fn parse(name: &str) -> Option<Result<Self, EntityError>> {
        let stem = name.strip_suffix(".json")?;
        let (pairs, suffix) = stem.rsplit_once('_').unwrap_or(("", stem));
        let suffix = Suffix::find(suffix).filter(|found| found.as_str() == suffix)?;
        Some(Entities::parse(pairs).map(|entities| Self { entities, suffix }))
    }

    fn name(&self) -> String {
        let gap = if self.entities.is_empty() { "" } else { "_" };
        format!("{}{gap}{}.json", self.entities.as_str(), self.suffix.as_str())
    }

    fn applies_to(&self, scan: &ScanFile) -> bool {
        self.suffix == scan.suffix && self.entities.is_subset_of(&scan.entities)
    }
}

/// The sidecars of a dataset by folder. Those of the root are shared by all participants and therefore parsed once and
/// kept; the others belong to few scans, and keeping them all would need a hundred times the memory of the index.
#[derive(Debug, Default)]
pub(super) struct Sidecars {
    root: Vec<(Sidecar, OnceLock<Content>)>,
    /// By folder; names as they come, because most folders have one.
    below: HashMap<Box<Path>, Vec<Sidecar>>,
}

impl Sidecars {
    pub(super) fn add(&mut self, folder: &Path, sidecar: Sidecar) {
        if folder.as_os_str().is_empty() {
            self.root.push((sidecar, OnceLock::new()));
        } else {
            // Nearly every folder has one or two.
            self.below.entry(folder.into()).or_insert_with(|| Vec::with_capacity(1)).push(sidecar);
        }
    }

    /// What applies to a scan in the root, with its content.
    fn of_root(&self, root: &Path, scan: &ScanFile) -> Result<Level<'_>, BidsError> {
        let applying = self.root.iter().filter(|(sidecar, _)| sidecar.applies_to(scan));
        let read = |(sidecar, parsed): &'_ (Sidecar, OnceLock<Content>)| {
            let path = root.join(sidecar.name());
            let content = parsed.get_or_init(|| read_object(&path)).clone();
            content.map_err(|reason| BidsError::BadSidecar { path, reason })
        };
        applying.map(|known| Ok((&known.0, read(known)?))).collect()
    }

    /// What applies to a scan in a folder below the root, with its content.
    fn of_folder(&self, root: &Path, folder: &Path, scan: &ScanFile) -> Result<Level<'_>, BidsError> {
        let known = self.below.get(folder).map(Vec::as_slice).unwrap_or_default();
        let read = |sidecar: &Sidecar| {
            let path = root.join(folder).join(sidecar.name());
            read_object(&path).map_err(|reason| BidsError::BadSidecar { path, reason })
        };
        known.iter().filter(|s| s.applies_to(scan)).map(|s| Ok((s, read(s)?))).collect()
    }
}

impl Sidecars {
    /// What all sidecars that apply to a scan say together, the deeper one winning key by key; `root` is the dataset's folder.
    pub(super) fn merged(&self, root: &Path, scan: &ScanFile) -> Result<Map<String, Value>, BidsError> {
        let mut merged = merge_level(Path::new(""), self.of_root(root, scan)?)?;
        let mut add = |level: Map<String, Value>| {
            if merged.is_empty() { merged = level } else { merged.extend(level) }
        };
        let folders: Vec<&Path> = scan.path.ancestors().skip(1).filter(|f| !f.as_os_str().is_empty()).collect();
        for folder in folders.into_iter().rev() {
            add(merge_level(folder, self.of_folder(root, folder, scan)?)?);
        }
        Ok(merged)
    }
}

fn merge_level(folder: &Path, mut level: Level<'_>) -> Result<Map<String, Value>, BidsError> {
    if level.len() < 2 {
        return Ok(level.pop().map(|(_, object)| object).unwrap_or_default());
    }
    level.sort_by_cached_key(|(sidecar, _)| (sidecar.entities.len(), sidecar.name()));
    let mut merged = Map::new();
    let mut origins: HashMap<String, &Sidecar> = HashMap::new();
    for (sidecar, object) in level {
        for (key, value) in object {
            let earlier = origins.get(&key).filter(|earlier| !earlier.entities.is_subset_of(&sidecar.entities));
            if let Some(earlier) = earlier.filter(|_| merged.get(&key) != Some(&value)) {
                let (first, second) = (folder.join(earlier.name()), folder.join(sidecar.name()));
                return Err(BidsError::SidecarConflict { first, second, key });
            }
            origins.insert(key.clone(), sidecar);
            merged.insert(key, value);
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn level(parts: &[(&str, Value)]) -> Result<Map<String, Value>, BidsError> {
        let sidecars: Vec<Sidecar> = parts.iter().map(|(name, _)| Sidecar::parse(name).unwrap().unwrap()).collect();
        let objects = parts.iter().map(|(_, v)| v.as_object().unwrap().clone());
        merge_level(Path::new("sub-01"), sidecars.iter().zip(objects).collect())
    }

    #[test]
    fn the_more_specific_of_a_folder_wins() {
        let merged =
            level(&[("task-a_run-1_bold.json", json!({"A": 2})), ("task-a_bold.json", json!({"A": 1, "B": 1}))]);
        assert_eq!(Value::Object(merged.unwrap()), json!({"A": 2, "B": 1}));
    }

    #[test]
    fn two_of_a_folder_must_agree_when_neither_is_more_specific() {
        let both = |a, b| level(&[("task-a_bold.json", json!({"A": a})), ("run-1_bold.json", json!({"A": b}))]);
        assert_eq!(both(1, 1).unwrap()["A"], 1);
        let text = both(1, 2).unwrap_err().to_string();
        assert!(
            text.starts_with("sub-01/run-1_bold.json and sub-01/task-a_bold.json") && text.contains("disagree about A")
        );
    }

    #[test]
    fn names_round_trip() {
        for name in ["T1w.json", "task-rest_bold.json"] {
            assert_eq!(Sidecar::parse(name).unwrap().unwrap().name(), name);
        }
        for name in ["participants.json", "task-rest_events.json", "T1w.jsn", "t1w.json"] {
            assert!(Sidecar::parse(name).is_none(), "{name}");
        }
        assert!(Sidecar::parse("task_bold.json").unwrap().is_err());
    }
}
