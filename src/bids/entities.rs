//! The `key-label` pairs of a BIDS file name, in their order and with their zero padding; and the table of keys the
//! specification knows.

use super::label::is_label;
use super::nearest::nearest;

/// A key of the specification.
#[derive(Debug)]
pub(super) struct Key {
    /// As in file names: `acq`.
    pub short: &'static str,
    /// As in PyBIDS and filter files: `acquisition`. Where PyBIDS and the specification's schema differ, both.
    pub long: &'static [&'static str],
    /// Whether the label is a number.
    pub index: bool,
}

const fn key(short: &'static str, long: &'static [&'static str]) -> Key {
    Key { short, long, index: false }
}

const fn index(short: &'static str, long: &'static [&'static str]) -> Key {
    Key { short, long, index: true }
}

/// The entities of BIDS 1.11 in the order they take in a file name (specification appendix "Entity table").
pub(super) static KEYS: [Key; 35] = [
    key("sub", &["subject"]),
    key("tpl", &["template"]),
    key("ses", &["session"]),
    key("cohort", &["cohort"]),
    key("sample", &["sample"]),
    key("task", &["task"]),
    key("tracksys", &["tracksys"]),
    key("acq", &["acquisition"]),
    key("nuc", &["nucleus"]),
    key("voi", &["volume"]),
    key("ce", &["ceagent"]),
    key("trc", &["tracer"]),
    key("stain", &["staining", "stain"]),
    key("rec", &["reconstruction"]),
    key("dir", &["direction"]),
    index("run", &["run"]),
    key("mod", &["modality"]),
    index("echo", &["echo"]),
    index("flip", &["flip"]),
    index("inv", &["inv", "inversion"]),
    key("mt", &["mt", "mtransfer"]),
    key("part", &["part"]),
    key("proc", &["proc", "processing"]),
    key("hemi", &["hemi", "hemisphere"]),
    key("space", &["space"]),
    index("split", &["split"]),
    key("recording", &["recording"]),
    index("chunk", &["chunk"]),
    key("atlas", &["atlas"]),
    key("seg", &["seg", "segmentation"]),
    key("scale", &["scale"]),
    key("res", &["res", "resolution"]),
    key("den", &["den", "density"]),
    key("label", &["label"]),
    key("desc", &["desc", "description"]),
];

/// The place of a key in a file name; keys the specification does not know stand before `hemi`, where the entities of
/// derivatives begin, in the order they came.
pub(super) fn rank(short: &str) -> usize {
    let place = |wanted: &str| KEYS.iter().position(|k| k.short == wanted);
    place(short).map_or_else(|| place("hemi").unwrap_or_default() * 2 - 1, |p| p * 2)
}

/// The short key for a PyBIDS long name (`acquisition` → `acq`); short keys are themselves.
#[must_use]
pub fn short_key(name: &str) -> Option<&'static str> {
    KEYS.iter().find(|k| k.short == name || k.long.contains(&name)).map(|k| k.short)
}

/// The PyBIDS long name for a short key (`acq` → `acquisition`).
#[must_use]
pub fn long_key(short: &str) -> Option<&'static str> {
    KEYS.iter().find(|k| k.short == short).and_then(|k| k.long.first().copied())
}

/// The short key whose short or long name comes nearest to `name`.
pub(super) fn nearest_key(name: &str) -> Option<&'static str> {
    let names = KEYS.iter().flat_map(|k| std::iter::once(k.short).chain(k.long.iter().copied()));
    nearest(name, names, 1).first().and_then(|n| short_key(n))
}

/// The `key-label` pairs of a name, e.g. `sub-01_task-rest_run-01`: each key once, each label valid, order and zero
/// padding as written. Kept as one text, because a dataset has many of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entities(Box<str>);

/// Why a text is not a row of entities.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntityError {
    /// A part between underscores is not `key-label`.
    #[error("{0:?} is not key-label (letters, digits and '+' after one dash)")]
    NotAPair(String),
    /// A key occurs twice.
    #[error("the entity {0}- occurs twice")]
    Repeated(String),
}

impl Entities {
    /// Parses `key-label` pairs joined by underscores. The empty text is the empty row.
    ///
    /// # Errors
    /// [`EntityError`] naming the part that is not a pair, or the key that comes twice.
    pub fn parse(text: &str) -> Result<Self, EntityError> {
        let entities = Self(text.into());
        if text.is_empty() {
            return Ok(entities);
        }
        for (at, piece) in text.split('_').enumerate() {
            let (key, label) = piece.split_once('-').ok_or_else(|| EntityError::NotAPair(piece.to_owned()))?;
            if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric()) || !is_label(label) {
                return Err(EntityError::NotAPair(piece.to_owned()));
            }
            if entities.iter().take(at).any(|(earlier, _)| earlier == key) {
                return Err(EntityError::Repeated(key.to_owned()));
            }
        }
        Ok(entities)
    }

    /// The row made of these pairs, in this order.
    ///
    /// # Errors
    /// As [`Entities::parse`].
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, EntityError> {
        let pieces: Vec<String> = pairs.into_iter().map(|(key, label)| format!("{key}-{label}")).collect();
        // An underscore inside a label would otherwise pass as the beginning of another pair.
        match pieces.iter().find(|piece| piece.contains('_')) {
            Some(piece) => Err(EntityError::NotAPair(piece.clone())),
            None => Self::parse(&pieces.join("_")),
        }
    }

    /// The pairs in their order, as short key and label.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.split('_').filter_map(|piece| piece.split_once('-'))
    }

    /// The label of a short key, with its zero padding.
    #[must_use]
    pub fn get(&self, short: &str) -> Option<&str> {
        self.iter().find(|(key, _)| *key == short).map(|(_, label)| label)
    }

    /// How many pairs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every pair is also in `other`, labels compared as text.
    #[must_use]
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.iter().all(|(key, label)| other.get(key) == Some(label))
    }

    /// The row as in a file name, without suffix: `sub-01_task-rest`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The row with the padding of numbers removed and the keys sorted: equal for two names of one scan.
    pub(super) fn identity(&self) -> String {
        let mut pairs: Vec<(usize, String)> = self
            .iter()
            .map(|(key, label)| {
                let number = KEYS.iter().any(|k| k.short == key && k.index);
                let label = if number { label.trim_start_matches('0') } else { label };
                (rank(key), format!("{key}-{label}"))
            })
            .collect();
        pairs.sort();
        pairs.into_iter().map(|(_, pair)| pair).collect::<Vec<_>>().join("_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_padding_are_kept() {
        let e = Entities::parse("sub-01_task-rest_run-01").unwrap();
        assert_eq!(e.iter().collect::<Vec<_>>(), [("sub", "01"), ("task", "rest"), ("run", "01")]);
        assert_eq!(e.get("run"), Some("01"));
        assert_eq!((e.get("ses"), e.len(), e.as_str()), (None, 3, "sub-01_task-rest_run-01"));
        assert!(Entities::parse("").unwrap().is_empty());
    }

    #[test]
    fn what_is_not_a_pair_is_refused_by_name() {
        for bad in ["sub", "sub-", "-01", "sub-01_", "_sub-01", "sub-01__run-1", "sub-0 1", "acq-1.5mm", "su b-01"] {
            assert!(matches!(Entities::parse(bad), Err(EntityError::NotAPair(_))), "{bad}");
        }
        assert_eq!(Entities::parse("sub-01_run-1_run-2"), Err(EntityError::Repeated("run".into())));
        assert!(Entities::from_pairs([("sub", "01_run-2")]).is_err());
    }

    #[test]
    fn one_scan_has_one_identity() {
        let of = |text| Entities::parse(text).unwrap().identity();
        assert_eq!(of("sub-01_run-01_task-a"), of("sub-01_task-a_run-1"));
        assert_ne!(of("sub-01_run-10"), of("sub-01_run-1"));
        assert_ne!(of("sub-01"), of("sub-1"), "participants are text, not numbers");
    }

    #[test]
    fn long_and_short_names_meet() {
        for key in &KEYS {
            assert_eq!(long_key(key.short).and_then(short_key), Some(key.short));
        }
        assert_eq!(short_key("acquisition"), Some("acq"));
        assert_eq!(short_key("acquisitions"), None);
        assert_eq!(nearest_key("acquisitions"), Some("acq"));
    }

    #[test]
    fn subsets_compare_text() {
        let scan = Entities::parse("sub-01_task-rest_run-01").unwrap();
        let applies = |text| Entities::parse(text).unwrap().is_subset_of(&scan);
        assert!(applies("") && applies("task-rest") && applies("run-01_task-rest"));
        assert!(!applies("run-1") && !applies("task-rest_acq-x"));
    }
}
