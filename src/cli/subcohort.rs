//! Reads the file of `--subcohort`: one participant and session a line, tab between them, without a header. This is the
//! form that `nipoppy process --write-subcohort` leaves.

use super::error::Refusal;
use crate::bids::Label;
use std::path::Path;

/// The pairs of a file, without `sub-` and `ses-`, in its order. An absent second column means no session.
pub(super) fn read(file: &Path) -> Result<Vec<(String, Option<String>)>, Refusal> {
    let bad = |problem: String| Refusal::BadSubcohort { file: file.to_owned(), problem };
    let text = super::paths::text_of(file).map_err(|e| bad(format!("cannot be read: {e}")))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let pairs: Result<Vec<_>, String> =
        lines.map(|(at, line)| pair(line).map_err(|e| format!("line {}: {e}", at + 1))).collect();
    match pairs.map_err(bad)? {
        none if none.is_empty() => Err(bad("it is empty; leave the option out for all".to_owned())),
        pairs => Ok(pairs),
    }
}

fn pair(line: &str) -> Result<(String, Option<String>), String> {
    let mut cells = line.split('\t').map(str::trim);
    let participant = label(cells.next().unwrap_or_default(), "sub-")?;
    let session = cells.next().filter(|s| !s.is_empty()).map(|s| label(s, "ses-")).transpose()?;
    match cells.next() {
        Some(extra) => Err(format!("{extra:?} is a third column; write a participant, a tab and a session")),
        None => Ok((participant, session)),
    }
}

fn label(text: &str, prefix: &str) -> Result<String, String> {
    let label = text.strip_prefix(prefix).unwrap_or(text);
    Label::new(label).map_err(|_| format!("{text:?} is no label; a label has only letters, digits and +"))?;
    Ok(label.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<(String, Option<String>)>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path()).map_err(|e| e.to_string())
    }

    #[test]
    fn lines_are_pairs() {
        let pairs = read_text("01\tA\r\nsub-02\tses-B\n\n03\n04\t\n").unwrap();
        let pair = |p: &str, s: Option<&str>| (p.to_owned(), s.map(str::to_owned));
        assert_eq!(pairs, [pair("01", Some("A")), pair("02", Some("B")), pair("03", None), pair("04", None)]);
    }

    #[test]
    fn what_is_no_pair_is_named_with_its_line() {
        for (text, said) in [("01\tA\n02\tA\tx\n", "line 2"), ("01 A\n", "line 1"), ("\n", "empty"), ("", "empty")] {
            assert!(read_text(text).unwrap_err().contains(said), "{text:?}");
        }
    }
}
