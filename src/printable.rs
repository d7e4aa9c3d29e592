//! Text that is only looked at: what would steer a terminal or hide from the eye becomes visible.
//!
//! Names, sidecars and telemetry are written by others. A control character in them (Unicode's category Cc: escape sequences
//! begin with one, and C1 has them in a single character) commands the terminal it is printed on; a character that turns the
//! direction of writing or has no width makes one text look like another (Unicode Technical Report 36, "Trojan Source").
//! Each is written as `\uXXXX`, in JSON's way, so that a JSON text that is passed through here still means the same.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

/// `text` on as many lines as it has: line breaks and tabs stay.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    replaced(text, |c| !matches!(c, '\n' | '\t') && acts(c))
}

/// As [`text`], without a copy of what has nothing to replace.
#[must_use]
pub fn owned(whole: String) -> String {
    let shown = if let Cow::Owned(shown) = text(&whole) { Some(shown) } else { None };
    shown.unwrap_or(whole)
}

/// `text` on one line: line breaks and tabs are made visible too.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, acts)
}

/// A path on one line.
#[must_use]
pub fn path(path: &Path) -> String {
    line(&path.to_string_lossy()).into_owned()
}

/// Whether `c` is a control or invisible character.
fn acts(c: char) -> bool {
    let of_width = matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let of_direction = matches!(c, '\u{61c}' | '\u{2028}'..='\u{202e}');
    let of_annotation = matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || of_width || of_direction || of_annotation
}

fn replaced(text: &str, acts: impl Fn(char) -> bool) -> Cow<'_, str> {
    let Some(first) = text.find(&acts) else { return Cow::Borrowed(text) };
    let (harmless, rest) = text.split_at(first);
    let mut out = harmless.to_owned();
    for c in rest.chars() {
        match c {
            '\n' if acts(c) => out.push_str("\\n"),
            '\t' if acts(c) => out.push_str("\\t"),
            c if acts(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}"); // a String takes everything
                }
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_becomes_visible_and_all_else_stays() {
        let hostile = "a\u{1b}]0;x\u{7}\r\u{9b}2J\u{7f}\0\u{202e}b\u{200b}\u{e0041}";
        assert_eq!(text(hostile), r"a\u001b]0;x\u0007\u000d\u009b2J\u007f\u0000\u202eb\u200b\udb40\udc41");
        assert_eq!((text("a\n\tb"), line("a\n\tb")), ("a\n\tb".into(), r"a\n\tb".into()));
        assert_eq!((owned(hostile.into()), owned("é\n".into())), (text(hostile).into_owned(), "é\n".into()));
        for plain in ["", "sub-01_T1w", "Größe 5 µm · 名前 ✗ █ …", "שלום"] {
            assert!(matches!(line(plain), Cow::Borrowed(same) if same == plain), "{plain}");
        }
    }

    #[test]
    fn json_means_the_same_afterwards() {
        let value = serde_json::json!({ "\u{9b}": ["\u{1b}[2J\u{202e}\n\t\u{7f}\u{e0041}", "\\u202e"] });
        for written in [value.to_string(), format!("{value:#}")] {
            let passed = text(&written);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&passed).unwrap(), value);
            assert!(passed.chars().all(|c| c == '\n' || !acts(c)), "{passed}");
        }
    }
}
