//! Reading a JSON file that must be one object.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::files::{self, NotRead};

/// The object in a file.
///
/// # Errors
/// What is wrong with the file, in words for a person; it never blocks on a pipe.
pub(crate) fn read_object(path: &Path) -> Result<Map<String, Value>, String> {
    let bytes = files::read(path, files::SMALL).map_err(|e| unreadable(path, &e))?;
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err("it starts with a byte order mark; save it as UTF-8 without BOM".to_owned());
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|e| format!("it is not UTF-8 (byte {}); save it as UTF-8", e.valid_up_to() + 1))?;
    serde_json::from_str(text).map(|Unambiguous(object)| object).map_err(|e| match serde_json::from_str(text) {
        Ok(Value::Object(_)) => format!("it contradicts itself: {e}"),
        Ok(_) => "it is JSON, but not an object in braces".to_owned(),
        Err(e) => format!("it is not JSON: {e}"),
    })
}

/// An object none of whose keys occurs twice with different values. Of such a pair, other readers take either.
struct Unambiguous(Map<String, Value>);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Pairs)
    }
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Unambiguous;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Unambiguous, A::Error> {
        let mut object = Map::new();
        while let Some((key, value)) = pairs.next_entry::<String, Value>()? {
            if object.get(&key).is_some_and(|earlier| *earlier != value) {
                return Err(A::Error::custom(format_args!("{key:?} occurs twice, with different values")));
            }
            object.insert(key, value);
        }
        Ok(Unambiguous(object))
    }
}

/// A link that leads nowhere is what git-annex leaves for content that was not fetched.
fn unreadable(path: &Path, error: &NotRead) -> String {
    if matches!(error, NotRead::Io(e) if e.kind() == ErrorKind::NotFound) && path.is_symlink() {
        return format!("its content is not here; fetch it with: datalad get {}", path.display());
    }
    format!("it {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn each_kind_of_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        let cases: [(&[u8], &str); 8] = [
            (b"{\"a\": NaN}", "not JSON"),
            (b"", "not JSON"),
            (b"{\"a\": 1,}", "line 1"),
            (b"[1]", "not an object"),
            (b"\xEF\xBB\xBF{}", "byte order mark"),
            (b"{\"a\": \"caf\xE9\"}", "not UTF-8"),
            (b"{\"a\": 1} x", "not JSON"),
            (b"{\"a\": 1, \"a\": 2}", "\"a\" occurs twice"),
        ];
        for (bytes, says) in cases {
            fs::write(&path, bytes).unwrap();
            let error = read_object(&path).unwrap_err();
            assert!(error.contains(says), "{error} should say {says}");
        }
        assert!(read_object(dir.path()).unwrap_err().contains("regular file"));
        assert!(read_object(&dir.path().join("none.json")).unwrap_err().contains("cannot be read"));
        fs::write(&path, b"{\"b\": 1, \"a\": 2, \"b\": 1}").unwrap();
        assert_eq!(read_object(&path).unwrap().keys().collect::<Vec<_>>(), ["b", "a"]);
    }
}
