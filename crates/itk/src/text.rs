//! Affine transforms as ITK's text: one for a coregistration, or one per volume of a series in one file, as fMRIPrep keeps
//! head motion (`from-orig_to-boldref_mode-image_desc-hmc_xfm.txt`).
//!
//! ```text
//! #Insight Transform File V1.0
//! #Transform 0
//! Transform: AffineTransform_double_3_3
//! Parameters: 1 0 0 0 1 0 0 0 1 0 0 0
//! FixedParameters: 0 0 0
//! ```

use crate::ItkError;
use crate::lps::{affine_of, affine_parameters};
use std::io::{BufRead, BufReader, Read, Write};

const FIRST_LINE: &str = "#Insight Transform File V1.0";

/// Bytes of the longest file that is read: a hundred thousand volumes.
const MAX_BYTES: u64 = 1 << 26;

/// Writes affines, RAS+ millimetres to RAS+ millimetres, one after the other. Numbers have as many digits as it takes to
/// read the same ones back.
///
/// # Errors
/// [`ItkError::Empty`], [`ItkError::NotFinite`], [`ItkError::Singular`] for what cannot be written; [`ItkError::Io`] when
/// the disk refuses.
pub fn write_text(to: &mut (impl Write + ?Sized), affines: &[[[f64; 4]; 4]]) -> Result<(), ItkError> {
    if affines.is_empty() {
        return Err(ItkError::Empty);
    }
    writeln!(to, "{FIRST_LINE}")?;
    for (n, affine) in affines.iter().enumerate() {
        writeln!(to, "#Transform {n}\nTransform: AffineTransform_double_3_3")?;
        write!(to, "Parameters:")?;
        for value in affine_parameters(affine)? {
            write!(to, " {value}")?;
        }
        writeln!(to, "\nFixedParameters: 0 0 0")?;
    }
    Ok(())
}

/// Reads affines, RAS+ millimetres to RAS+ millimetres, in the order of the file: at least one.
///
/// # Errors
/// [`ItkError::Text`] naming the line, [`ItkError::Kind`], [`ItkError::Layout`], [`ItkError::NotFinite`],
/// [`ItkError::Singular`] for a file that holds something else; [`ItkError::Io`] when it cannot be read.
pub fn read_text(from: impl Read) -> Result<Vec<[[f64; 4]; 4]>, ItkError> {
    let mut reader = BufReader::new(from.take(MAX_BYTES + 1));
    let (mut line, mut number, mut bytes) = (String::new(), 0, 0);
    let (mut affines, mut open) = (Vec::new(), None);
    loop {
        line.clear();
        let got = reader.read_line(&mut line)?;
        (number, bytes) = (number + 1, bytes + got as u64);
        if bytes > MAX_BYTES {
            return Err(ItkError::TooLarge { what: format!("more than {MAX_BYTES} bytes of text") });
        }
        if got == 0 {
            break;
        }
        let content = line.trim();
        if number == 1 {
            if content != FIRST_LINE {
                return Err(wrong(1, format!("this is not {FIRST_LINE:?}")));
            }
        } else if !content.is_empty() && !content.starts_with('#') {
            take(content, number, &mut open, &mut affines)?;
        }
    }
    match open {
        Some(_) => Err(wrong(number, "the file ends within a transform".to_owned())),
        None if affines.is_empty() => Err(ItkError::Layout("it has no transform".to_owned())),
        None => Ok(affines),
    }
}

/// A transform whose lines have begun: its parameters, once they came.
type Open = Option<Option<[f64; 12]>>;

/// Takes in one line: the kind of a transform, its parameters or its centre, in this order.
fn take(content: &str, line: usize, open: &mut Open, affines: &mut Vec<[[f64; 4]; 4]>) -> Result<(), ItkError> {
    let (key, value) = content.split_once(':').ok_or_else(|| wrong(line, "this is no key: value".to_owned()))?;
    match (key, *open) {
        ("Transform", None) => {
            let kind = value.trim();
            let class = kind.strip_suffix("_double_3_3").or_else(|| kind.strip_suffix("_float_3_3"));
            if !matches!(class, Some("AffineTransform" | "MatrixOffsetTransformBase")) {
                let kind = kind.chars().filter(|c| c.is_ascii_graphic()).take(80).collect();
                return Err(ItkError::Kind { kind });
            }
            *open = Some(None);
        }
        ("Parameters", Some(None)) => *open = Some(Some(numbers(value, line)?)),
        ("FixedParameters", Some(Some(parameters))) => {
            affines.push(affine_of(&parameters, &numbers(value, line)?)?);
            *open = None;
        }
        _ => return Err(wrong(line, "this line does not follow from the one before".to_owned())),
    }
    Ok(())
}

fn wrong(line: usize, problem: String) -> ItkError {
    ItkError::Text { line, problem }
}

/// Exactly `N` numbers between blanks.
fn numbers<const N: usize>(text: &str, line: usize) -> Result<[f64; N], ItkError> {
    let mut out = [0.0; N];
    let mut words = text.split_ascii_whitespace();
    for value in &mut out {
        let word = words.next().and_then(|word| word.parse().ok());
        *value = word.ok_or_else(|| wrong(line, format!("here should be {N} numbers")))?;
    }
    if words.next().is_some() { Err(wrong(line, format!("here are more than {N} numbers"))) } else { Ok(out) }
}
