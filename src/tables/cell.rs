//! Cells of text in the tables: on one line, and text also to a spreadsheet.

use crate::printable;

/// `text` as a cell. What a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV Injection"):
/// labels and codes of BIDS never begin so, names of loose files may.
#[must_use]
pub fn cell(text: &str) -> String {
    let shown = printable::line(text);
    if shown.starts_with(['=', '+', '-', '@']) { format!("'{shown}") } else { shown.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_stay_text_and_lines_stay_one() {
        assert_eq!(cell("=HYPERLINK(\"x\")"), "'=HYPERLINK(\"x\")");
        assert_eq!(["+1", "-1", "@a"].map(cell), ["'+1", "'-1", "'@a"]);
        assert_eq!(cell("sub-01_T1w=\t\nb"), r"sub-01_T1w=\t\nb");
    }
}
