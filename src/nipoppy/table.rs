//! A manifest or curation status: tab-separated, one row per participant and visit.

use std::collections::HashSet;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::error::NipoppyError;
use crate::bids::Label;
use crate::files;

/// The texts that pandas, with which Nipoppy reads these tables, takes for a missing value; `None` is treated apart.
const MISSING: [&str; 16] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "n/a",
];

/// The session of participants whose scans have none.
const UNNAMED: &str = "unnamed";

/// Which rows of a table count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// Those with a session.
    WithSession,
    /// Of these, those whose data are in the BIDS dataset (column `in_bids`).
    InBids,
}

/// The participants and sessions (`None`: without session) of the rows that count, each once, in the table's order.
///
/// # Errors
/// [`NipoppyError`] naming the table, and the column or the line that cannot be used.
pub(super) fn participant_sessions(path: &Path, rows: Rows) -> Result<Vec<(String, Option<String>)>, NipoppyError> {
    let bad = |reason: String| NipoppyError::BadTable { path: path.to_owned(), reason };
    let bytes = files::read(path, files::TABLE).map_err(|e| bad(format!("it {e}")))?;
    let mut reader = ReaderBuilder::new().delimiter(b'\t').trim(Trim::All).from_reader(bytes.as_slice());
    let header = reader.headers().map_err(|e| bad(e.to_string()))?.clone();
    if header.len() == 1 && header.iter().any(|only| only.contains(',')) {
        return Err(bad("the columns are separated by commas; they must be separated by tabs".to_owned()));
    }
    let columns = Columns::find(path, &header, rows)?;
    let (mut pairs, mut seen) = (Vec::new(), HashSet::new());
    for record in reader.records() {
        let record = record.map_err(|e| bad(e.to_string()))?;
        if let Some(pair) = columns.pair(&record)?
            && seen.insert(pair.clone())
        {
            pairs.push(pair);
        }
    }
    Ok(pairs)
}

/// Where the columns that are read stand in a table.
struct Columns<'a> {
    path: &'a Path,
    participant: usize,
    session: usize,
    in_bids: Option<usize>,
}

impl<'a> Columns<'a> {
    fn find(path: &'a Path, header: &StringRecord, rows: Rows) -> Result<Self, NipoppyError> {
        let at = |column: &'static str| {
            header.iter().position(|name| name == column).ok_or_else(|| NipoppyError::NoColumn {
                path: path.to_owned(),
                column,
                present: header.iter().map(str::to_owned).collect(),
            })
        };
        let in_bids = if rows == Rows::InBids { Some(at("in_bids")?) } else { None };
        Ok(Self { path, participant: at("participant_id")?, session: at("session_id")?, in_bids })
    }

    /// The participant and session of a row, if it counts.
    fn pair(&self, record: &StringRecord) -> Result<Option<(String, Option<String>)>, NipoppyError> {
        let value = |at: usize| record.get(at).unwrap_or_default();
        let bad = |column: &'static str, value: &str, rule: String| NipoppyError::BadValue {
            path: self.path.to_owned(),
            line: record.position().map_or(0, csv::Position::line),
            column,
            value: value.to_owned(),
            rule,
        };
        // Python writes `None` where an id is missing; it would pass as a label.
        let none = |column, value: &str| match value {
            "None" => Err(bad(column, value, "the id is missing; fill it in or leave the cell empty".to_owned())),
            _ => Ok(()),
        };
        let (participant, session) = (value(self.participant), value(self.session));
        none("participant_id", participant)?;
        none("session_id", session)?;
        if MISSING.contains(&participant) {
            return Err(bad("participant_id", participant, "every row needs a participant".to_owned()));
        }
        let participant =
            Label::participant(participant).map_err(|e| bad("participant_id", participant, e.to_string()))?;
        if let Some(at) = self.in_bids {
            match value(at).to_ascii_lowercase().as_str() {
                "true" | "1" => {}
                "false" | "0" => return Ok(None),
                _ => return Err(bad("in_bids", value(at), "it must be True or False".to_owned())),
            }
        }
        if MISSING.contains(&session) {
            // A visit without imaging.
            return Ok(None);
        }
        let session = Label::session(session).map_err(|e| bad("session_id", session, e.to_string()))?;
        Ok(Some((participant.into(), Some(String::from(session)).filter(|label| label != UNNAMED))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(content: &[u8], rows: Rows) -> Result<Vec<(String, Option<String>)>, NipoppyError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table.tsv");
        std::fs::write(&path, content).unwrap();
        participant_sessions(&path, rows)
    }

    fn shown(content: &str, rows: Rows) -> String {
        let pairs = table(content.as_bytes(), rows).unwrap();
        pairs.iter().map(|(p, s)| format!("{p}/{}", s.as_deref().unwrap_or("-"))).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rows_with_a_session_count_once_in_their_order() {
        let manifest = "participant_id\tvisit_id\tsession_id\tdatatype\n02\tV1\tBL\t['anat']\n02\tV2\tBL\t['anat']\n\
                        01\tV1\tunnamed\t['anat', 'func']\n03\tV1\t\t\n04\tV1\tn/a\t\n\n001\tV1\tses-M12\t['anat']\n";
        assert_eq!(shown(manifest, Rows::WithSession), "02/BL 01/- 001/M12");
    }

    #[test]
    fn only_rows_in_bids_count_where_that_is_known() {
        let status = "participant_id\tsession_id\tin_bids\n01\tBL\tTrue\n01\tM12\tFalse\n02\tBL\ttrue\n";
        assert_eq!(shown(status, Rows::InBids), "01/BL 02/BL");
    }

    #[test]
    fn byte_order_mark_carriage_returns_quotes_and_column_order_do_no_harm() {
        let text = "\u{feff}session_id\t\"participant_id\"\textra\r\n\"BL\"\t\"sub-01\"\t\"a\tb\"\r\n M12 \t02\t\r\n";
        assert_eq!(shown(text, Rows::WithSession), "01/BL 02/M12");
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_line() {
        for (text, rows, says) in [
            ("participant_id\tsession_id\n01\tBL\nNone\tBL\n", Rows::WithSession, "line 3: participant_id is \"None\""),
            ("participant_id\tsession_id\n01\tNone\n", Rows::WithSession, "line 2: session_id is \"None\""),
            ("participant_id\tsession_id\n\tBL\n", Rows::WithSession, "every row needs a participant"),
            ("participant_id\tsession_id\na_b\tBL\n", Rows::WithSession, "\"a_b\" is not a BIDS label"),
            ("participant_id\tsession_id\n01\t../x\n", Rows::WithSession, "line 2: session_id"),
            (
                "participant_id\tvisit_id\n01\tBL\n",
                Rows::WithSession,
                "column session_id is missing; there are: participant_id",
            ),
            ("participant_id\tsession_id\n01\tBL\n", Rows::InBids, "column in_bids is missing"),
            ("participant_id\tsession_id\tin_bids\n01\tBL\tyes\n", Rows::InBids, "must be True or False"),
            ("participant_id,session_id\n01,BL\n", Rows::WithSession, "separated by commas"),
            ("participant_id\tsession_id\n01\n", Rows::WithSession, "line: 2"),
            ("", Rows::WithSession, "column participant_id is missing"),
        ] {
            let error = table(text.as_bytes(), rows).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("table.tsv"), "{text:?}: {error}");
        }
        assert!(table(b"participant_id\tsession_id\n\xE9\tBL\n", Rows::WithSession).is_err());
    }
}
