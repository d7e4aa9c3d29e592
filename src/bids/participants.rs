//! Compares `participants.tsv` with the participants' folders. It does not affect processing: differences are warnings.
//!
//! BIDS recommends the file and does not require it, so its absence is no oddity. Windows line ends are none either: nothing
//! has to be guessed to read them.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::Path;

use crate::printable;
use csv::ReaderBuilder;

use crate::files::{self, NotRead};

/// The table's name.
const FILE: &str = "participants.tsv";
/// Its column with the names of the participants' folders.
const COLUMN: &str = "participant_id";
/// More rows than any dataset has participants; what is kept of them is not bounded otherwise.
const MOST_ROWS: usize = 1_000_000;
/// Participants named one by one in a warning.
const NAMED: usize = 5;

/// What is odd about the table of the dataset at `root` beside `folders`, the names of its participants' folders (`sub-01`).
pub(super) fn oddities(root: &Path, folders: &[String]) -> Vec<String> {
    let path = root.join(FILE);
    match files::read(&path, files::TABLE) {
        Ok(bytes) => compare(&bytes, folders),
        Err(NotRead::Io(e)) if e.kind() == ErrorKind::NotFound && !path.is_symlink() => Vec::new(),
        Err(e) => vec![format!("{FILE} {e}")],
    }
}

/// What is odd about the table's bytes.
fn compare(bytes: &[u8], folders: &[String]) -> Vec<String> {
    let mut odd = Vec::new();
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if text.len() < bytes.len() {
        odd.push(format!("{FILE} begins with a byte order mark, which was passed over; save it as UTF-8 without BOM"));
    }
    let (listed, blanks) = match listed(text) {
        Ok(listed) => listed,
        Err(problem) => {
            odd.push(format!("{FILE} {problem}"));
            return odd;
        }
    };
    if let Some(around) = blanks {
        odd.push(format!(
            "{FILE} has blanks around {around}, which were passed over; remove them, for other tools do not"
        ));
    }
    let rows: HashSet<&str> = listed.iter().map(String::as_str).collect();
    let mut seen = HashSet::new();
    let twice = listed.iter().map(String::as_str).filter(|name| !seen.insert(*name)).collect();
    let present: HashSet<&str> = folders.iter().map(String::as_str).collect();
    let unlisted = folders.iter().map(String::as_str).filter(|name| !rows.contains(name)).collect();
    let mut absent: Vec<&str> = rows.difference(&present).copied().collect();
    absent.sort_unstable();
    odd.extend(some(unlisted).map(|names| format!("{FILE} has no row for {names}")));
    odd.extend(some(absent).map(|names| format!("{FILE} lists {names}, of which there is no folder")));
    odd.extend(some(twice).map(|names| format!("{FILE} has more than one row for {names}")));
    odd
}

/// The column of participants and the first text of it that has blanks around it, or what is wrong with the table.
fn listed(text: &[u8]) -> Result<(Vec<String>, Option<String>), String> {
    let mut reader = ReaderBuilder::new().delimiter(b'\t').quoting(false).from_reader(text);
    let header = reader.byte_headers().map_err(|e| format!("is not a table: {e}"))?;
    let column = header.iter().position(|name| name.trim_ascii() == COLUMN.as_bytes());
    let column = column.ok_or_else(|| without_column(header))?;
    let mut blanks = None;
    let mut plain = |cell: &[u8]| {
        let text = std::str::from_utf8(cell).map_err(|_| "is not UTF-8; save it as UTF-8".to_owned())?;
        if text.trim().len() < text.len() {
            blanks.get_or_insert_with(|| printable::line(text.trim()).into_owned());
        }
        Ok::<_, String>(printable::line(text.trim()).into_owned())
    };
    plain(header.get(column).unwrap_or_default())?;
    let mut names = Vec::new();
    for record in reader.byte_records() {
        let record = record.map_err(|e| format!("is not a table: {e}"))?;
        if names.len() == MOST_ROWS {
            return Err(format!("has more than {MOST_ROWS} rows, which is too much for such a file"));
        }
        names.push(plain(record.get(column).unwrap_or_default())?);
    }
    Ok((names, blanks))
}

/// Why the column is not there, as far as the other columns tell.
fn without_column(header: &csv::ByteRecord) -> String {
    let names: Vec<String> =
        header.iter().map(|name| printable::line(&String::from_utf8_lossy(name)).into_owned()).collect();
    let bare = |name: &str| name.trim_matches(|c: char| c == '"' || c == '\'' || c.is_whitespace()).to_lowercase();
    let like = |name: &&String| strsim::osa_distance(&bare(name).replace(['-', ' '], "_"), COLUMN) <= 2;
    let advice = match (names.iter().find(like), names.as_slice()) {
        (Some(meant), _) => format!("did you mean {meant}? write {COLUMN}"),
        (None, [_]) => "the columns must be separated by tabs".to_owned(),
        (None, _) => "it must name the participants' folders".to_owned(),
    };
    format!("has no column {COLUMN}; {advice}")
}

/// The first few names and how many more there are; `None` of none.
fn some(names: Vec<&str>) -> Option<String> {
    let more = names.len().saturating_sub(NAMED);
    let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match (names.is_empty(), more) {
        (true, _) => None,
        (_, 0) => Some(shown),
        _ => Some(format!("{shown} and {more} more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd(table: &[u8]) -> String {
        compare(table, &["sub-01".to_owned(), "sub-02".to_owned()]).join("; ")
    }

    #[test]
    fn a_table_that_agrees_is_not_odd_whatever_its_line_ends() {
        for table in
            ["participant_id\tage\nsub-02\t9\nsub-01\tn/a\n", "age\tparticipant_id\r\n1\tsub-01\r\n2\tsub-02\r\n"]
        {
            assert_eq!(odd(table.as_bytes()), "");
        }
    }

    #[test]
    fn each_disagreement_is_named() {
        let cases: [(&[u8], &str); 12] = [
            (
                b"participant_id  \tage \nsub-01\t3\nsub-02 \t4\n",
                "participants.tsv has blanks around participant_id, which were passed over; remove them, for other tools do not",
            ),
            (
                b"participants_id\tage\nsub-01\t3\n",
                "participants.tsv has no column participant_id; did you mean participants_id? write participant_id",
            ),
            (
                b"Participant-ID\nsub-01\n",
                "participants.tsv has no column participant_id; did you mean Participant-ID? write participant_id",
            ),
            (
                b"\"participant_id\"\tage\nsub-01\t3\n",
                "participants.tsv has no column participant_id; did you mean \"participant_id\"? write participant_id",
            ),
            (
                b"age\tsex\n3\tF\n",
                "participants.tsv has no column participant_id; it must name the participants' folders",
            ),
            (b"participant_id\nsub-01\n", "participants.tsv has no row for sub-02"),
            (b"participant_id\nsub-01\nsub-02\nsub-03\n", "participants.tsv lists sub-03, of which there is no folder"),
            (b"participant_id\nsub-01\nsub-02\nsub-01\n", "participants.tsv has more than one row for sub-01"),
            (
                b"participant_id,age\nsub-01,4\n",
                "participants.tsv has no column participant_id; the columns must be \
                separated by tabs",
            ),
            (b"participant_id\nsub-01\n\xff\n", "participants.tsv is not UTF-8; save it as UTF-8"),
            (
                b"participant_id\tage\nsub-01\n",
                "participants.tsv is not a table: CSV error: record 1 (line: 2, byte: 19): \
                found record with 1 fields, but the previous record has 2 fields",
            ),
            (
                b"\xEF\xBB\xBFparticipant_id\nsub-01\nsub-02\n",
                "participants.tsv begins with a byte order mark, which was \
                passed over; save it as UTF-8 without BOM",
            ),
        ];
        for (table, says) in cases {
            assert_eq!(odd(table), says);
        }
        let long = format!("participant_id\n{}", "s\n".repeat(MOST_ROWS + 1));
        assert!(odd(long.as_bytes()).ends_with("has more than 1000000 rows, which is too much for such a file"));
        let many: String = (3..10).map(|n| format!("sub-{n:02}\n")).collect();
        assert!(odd(format!("participant_id\nsub-01\nsub-02\n{many}").as_bytes()).contains("sub-07 and 2 more"));
    }
}
