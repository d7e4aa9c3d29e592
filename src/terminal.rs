//! Standard error and standard output, the one way there. On standard error a block of lines at the bottom changes all the
//! time, everything else is above it.
//!
//! Everything on standard error goes through [`print`](fn@print), so that a warning never lands in the
//! middle of the block. Without a block it is a plain write. Whatever is written is made [`printable`](crate::printable)
//! here: commands to the terminal are made in this file and nowhere else, so that none comes from a file's name.

use crate::printable;
use console::{Term, measure_text_width, truncate_str};
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The lines of the block as they stand on the screen. A process has one standard error, hence one of these.
static BLOCK: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Why standard output did not take what was said, if it did not.
static UNSAID: OnceLock<String> = OnceLock::new();

/// What makes a line of a text that is not one, where standard error is to have lines of one form only.
static AS_LINE: OnceLock<fn(&str) -> String> = OnceLock::new();

/// The colour of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// What is wrong.
    Red,
    /// What is odd.
    Yellow,
    /// What goes as it should.
    Green,
    /// What few want to know.
    Dim,
}

impl Color {
    /// Switches it on (SGR, ECMA-48).
    const fn command(self) -> &'static str {
        match self {
            Self::Red => "\x1b[1;31m",
            Self::Yellow => "\x1b[33m",
            Self::Green => "\x1b[32m",
            Self::Dim => "\x1b[2m",
        }
    }
}

/// Rows and columns of the terminal that standard error is; `None` when it is none, or one that cannot move its cursor
/// (`TERM=dumb`).
#[must_use]
pub fn size() -> Option<(usize, usize)> {
    let capable = std::env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb");
    let (rows, columns) = Term::stderr().size_checked().filter(|_| capable && std::io::stderr().is_terminal())?;
    Some((usize::from(rows).max(1), usize::from(columns).max(1)))
}

/// Columns of the terminal that shows the results; `None` without one.
#[must_use]
pub fn columns() -> Option<usize> {
    let size = Term::stdout().size_checked().or_else(|| Term::stderr().size_checked())?;
    Some(usize::from(size.1))
}

/// Whether lines on standard error may be coloured: it is a terminal, and neither `NO_COLOR`, `CLICOLOR=0` nor
/// `TERM=dumb` speaks against it; or `CLICOLOR_FORCE` asks for it.
#[must_use]
pub fn colored() -> bool {
    console::colors_enabled_stderr()
}

/// Writes `text` (whole lines) to standard error, above the block. A closed pipe is no reason to
/// fail.
pub fn print(text: &str) {
    match AS_LINE.get() {
        Some(as_line) => print_line(&as_line(text)),
        None => paint(&printable::text(text), None),
    }
}

/// As [`print`](fn@print), for a line that is of the form already that [`print_as`] asks for.
pub fn print_line(line: &str) {
    paint(&printable::text(line), None);
}

/// From now on every text that is printed becomes what `as_line` makes of it: whoever reads standard error by program finds no
/// other lines. The first call counts.
pub fn print_as(as_line: fn(&str) -> String) {
    let _ = AS_LINE.set(as_line); // set already: it stays so
}

/// As [`print`](fn@print), with the first `word` of `text` in `color` where colours are wanted.
pub fn print_marked(text: &str, word: &str, color: Color) {
    if AS_LINE.get().is_some() {
        return print(text);
    }
    let text = printable::text(text);
    paint(&if colored() { marked(&text, word, color) } else { text.into_owned() }, None);
}

/// Writes `text` to standard output. A closed pipe is not an error; any other error is kept for
/// [`unsaid`].
pub fn say(text: &str) {
    let mut out = std::io::stdout();
    said(out.write_all(printable::text(text).as_bytes()).and_then(|()| out.flush()));
}

/// Takes note of how writing to standard output went.
pub fn said(outcome: std::io::Result<()>) {
    if let Err(e) = outcome
        && e.kind() != std::io::ErrorKind::BrokenPipe
    {
        let _ = UNSAID.set(e.to_string()); // the first reason stays
    }
}

/// Why something that was to be said on standard output was not: a full disk behind it, say.
#[must_use]
pub fn unsaid() -> Option<&'static str> {
    UNSAID.get().map(String::as_str)
}

/// Redraws the live block with `lines`. Each must fit into the columns that [`size`] returned.
pub fn show(lines: Vec<String>) {
    paint("", Some(lines));
}

/// `text` as one word of a POSIX shell, whatever is in it.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// `line`, made printable and cut with an ellipsis so that it takes `columns` at most.
#[must_use]
pub fn fit(line: &str, columns: usize) -> String {
    truncate_str(&printable::line(line), columns, "…").into_owned()
}

/// `text` with each line broken at blanks so that it fits the terminal that standard error is; as it is where that is none.
#[must_use]
pub fn wrapped(text: &str) -> String {
    size().map_or_else(|| text.to_owned(), |(_, columns)| wrap(text, columns))
}

/// `text` with each line broken at blanks so that none takes more than `columns`; what continues a line is indented by two
/// more. Words that are longer than a line are left whole, so that a path can be copied.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches(' ').len() + 2;
        let (mut used, mut fresh) = (0, true);
        for word in line.split_inclusive(' ') {
            let width = measure_text_width(word.trim_end());
            if !fresh && width > 0 && used + width > columns {
                out.truncate(out.trim_end_matches(' ').len());
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                used = indent;
            }
            out.push_str(word);
            used += measure_text_width(word.trim_end_matches('\n'));
            fresh = fresh && word.trim().is_empty();
        }
    }
    out
}

/// `line` with blanks up to `columns`, or cut to them.
#[must_use]
pub fn pad(line: &str, columns: usize) -> String {
    let cut = fit(line, columns);
    let missing = columns.saturating_sub(measure_text_width(&cut));
    cut + &" ".repeat(missing)
}

fn marked(text: &str, word: &str, color: Color) -> String {
    text.replacen(word, &format!("{}{word}\x1b[0m", color.command()), 1)
}

fn paint(above: &str, new: Option<Vec<String>>) {
    let mut block = BLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = new.unwrap_or_else(|| block.clone());
    if above.is_empty() && lines == *block {
        return;
    }
    let columns = if block.is_empty() { 1 } else { size().map_or(1, |(_, columns)| columns) };
    // One write: what another process says in between cannot tear it.
    let _ = std::io::stderr().write_all(&repainted(&block, columns, above, &lines));
    *block = lines;
}

/// The bytes that take `old` off a screen of `columns`, write `above` there, and `new` below it.
fn repainted(old: &[String], columns: usize, above: &str, new: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A terminal that became narrower has wrapped the old lines.
    let rows: usize = old.iter().map(|line| measure_text_width(line).div_ceil(columns).max(1)).sum();
    if rows > 0 {
        bytes.extend(format!("\x1b[{rows}A\r\x1b[J").bytes());
    }
    bytes.extend(above.bytes());
    for line in new {
        bytes.extend(printable::line(line).bytes());
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_taken_off_by_its_rows_and_put_below_what_is_said() {
        let (old, new) = (["a".repeat(50), "b".into()], ["c".to_owned()]);
        let text = String::from_utf8(repainted(&old, 80, "warning\n", &new)).unwrap();
        assert_eq!(text, "\x1b[2A\r\x1b[Jwarning\nc\n");
        let narrower = String::from_utf8(repainted(&old, 40, "", &[])).unwrap();
        assert_eq!(narrower, "\x1b[3A\r\x1b[J");
        assert_eq!(repainted(&[], 80, "warning\n", &[]), b"warning\n");
    }

    #[test]
    fn lines_are_broken_at_blanks() {
        let text = "WARN  sub-01 process: slowed down\n  next one of a list\n";
        assert_eq!(wrap(text, 20), "WARN  sub-01\n  process: slowed\n  down\n  next one of a list\n");
        assert_eq!(wrap("/a/path/without/a/blank\n", 10), "/a/path/without/a/blank\n");
        assert_eq!(wrap("  table   cell and more", 16), "  table   cell\n    and more");
        assert_eq!(wrap(text, 80), text);
    }

    #[test]
    fn only_the_word_that_was_meant_is_coloured() {
        let text = marked("12:34:56 ERROR ERROR\n", "ERROR", Color::Red);
        assert_eq!(text, "12:34:56 \x1b[1;31mERROR\x1b[0m ERROR\n");
    }

    proptest::proptest! {
        #[test]
        fn wrapping_loses_no_word_and_no_line_is_too_long(text in "( {0,3}[a-zé0-9/.:]{0,12}){0,12}\n?", columns in 8_usize..60) {
            let broken = wrap(&text, columns);
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            proptest::prop_assert_eq!(words(&broken), words(&text));
            for line in broken.lines().filter(|line| words(line).len() > 1) {
                proptest::prop_assert!(measure_text_width(line.trim_end()) <= columns, "{:?}", line);
            }
        }

        #[test]
        fn cut_and_filled_lines_are_as_wide_as_asked(line in "\\PC{0,40}", columns in 1_usize..50) {
            proptest::prop_assert!(measure_text_width(&fit(&line, columns)) <= columns);
            proptest::prop_assert_eq!(measure_text_width(&pad(&line, columns)), columns);
        }
    }

    #[test]
    fn lines_are_cut_by_what_is_seen() {
        assert_eq!(fit("sub-01_T1w bias", 10), "sub-01_T1…");
        assert_eq!(fit("a\x1b[1mb\n", 99), r"a\u001b[1mb\n");
        assert_eq!(pad("é", 3), "é  ");
    }
}
