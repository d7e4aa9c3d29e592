//! Amounts of memory as people write them: `8G`, `8GB`, `8GiB`, `8000MB`, or a bare number.
//!
//! Other BIDS apps disagree about a bare number (fMRIPrep reads MB, MRIQC GB), so both readings are accepted where they
//! are plausible, and the result is printed at the start of the run.

use std::str::FromStr;

/// The largest bare number that is read as GB: nobody runs this with less than 512 MB, few have more than 512 GB.
const LARGEST_BARE_GB: f64 = 512.0;
/// Below this not even one small scan can be processed.
const SMALLEST_BYTES: f64 = 256e6;
/// Upper limit; larger values are typing errors. Also keeps the conversion to whole bytes exact enough.
const LARGEST_BYTES: f64 = 1e15;

/// Factors of the units, in bytes. A single letter is decimal, the careful reading for a limit.
const UNITS: [(&str, f64); 10] = [
    ("b", 1.0),
    ("m", 1e6),
    ("mb", 1e6),
    ("mib", 1_048_576.0),
    ("g", 1e9),
    ("gb", 1e9),
    ("gib", 1_073_741_824.0),
    ("t", 1e12),
    ("tb", 1e12),
    ("tib", 1_099_511_627_776.0),
];

/// A memory limit and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The limit in bytes.
    pub bytes: u64,
    written: String,
    bare: bool,
}

impl Memory {
    /// As it was written.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// One line for the start of the run: what was understood, and why where the unit was guessed.
    #[must_use]
    pub fn understood(&self) -> String {
        let (bytes, written) = (self.bytes, &self.written);
        let amount = format!("memory limit: {:.2} GB ({bytes} bytes), from \"{written}\"", bytes as f64 / 1e9);
        if self.bare {
            format!("{amount}; a number without a unit is GB up to {LARGEST_BARE_GB:.0} and MB above")
        } else {
            amount
        }
    }
}

impl FromStr for Memory {
    type Err = String;

    /// Reads an amount of memory; the error says what to write instead.
    fn from_str(text: &str) -> Result<Self, String> {
        let written = text.trim();
        let split = written.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(written.len());
        let (number, unit) = written.split_at(split);
        let number: f64 =
            number.parse().map_err(|_| "write a number and a unit, such as 8GB, 8GiB or 8000MB".to_owned())?;
        let unit = unit.trim().to_ascii_lowercase();
        let bare = unit.is_empty();
        let factor = if bare {
            if number <= LARGEST_BARE_GB { 1e9 } else { 1e6 }
        } else {
            let known = UNITS.iter().find(|(name, _)| *name == unit);
            known
                .map(|(_, factor)| *factor)
                .ok_or_else(|| format!("unknown unit \"{unit}\"; use MB, MiB, GB, GiB, TB"))?
        };
        let bytes = number * factor;
        if bytes < SMALLEST_BYTES {
            return Err("less than 256 MB, too little for any scan".to_owned());
        }
        if bytes > LARGEST_BYTES {
            return Err("more than 1000 TB".to_owned());
        }
        Ok(Self { bytes: bytes as u64, written: written.to_owned(), bare })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_as_written() {
        let cases = [
            ("8G", 8_000_000_000),
            ("8GB", 8_000_000_000),
            ("8 gb", 8_000_000_000),
            ("8GiB", 8_589_934_592),
            ("8000MB", 8_000_000_000),
            ("8000M", 8_000_000_000),
            ("1.5g", 1_500_000_000),
            ("1024MiB", 1_073_741_824),
            ("0.5T", 500_000_000_000),
            ("300000000B", 300_000_000),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse::<Memory>().unwrap().bytes, bytes, "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_gb_up_to_512_and_mb_above_and_says_so() {
        assert_eq!("8".parse::<Memory>().unwrap().bytes, 8_000_000_000);
        assert_eq!("512".parse::<Memory>().unwrap().bytes, 512_000_000_000);
        assert_eq!("513".parse::<Memory>().unwrap().bytes, 513_000_000);
        assert_eq!("16000".parse::<Memory>().unwrap().bytes, 16_000_000_000);
        let note = "16000".parse::<Memory>().unwrap().understood();
        assert!(note.contains("16.00 GB") && note.contains("without a unit"), "{note}");
        assert!(!"16GB".parse::<Memory>().unwrap().understood().contains("without a unit"));
    }

    proptest::proptest! {
        #[test]
        fn any_amount_is_read_as_written(number in 1_u64..2_000_000_000, unit in 0..UNITS.len(), gap in " {0,2}") {
            let (name, factor) = UNITS[unit];
            let bytes = number as f64 * factor;
            let read = format!("{number}{gap}{}", name.to_uppercase()).parse::<Memory>();
            match read {
                Ok(memory) => {
                    proptest::prop_assert_eq!(memory.bytes as f64, bytes);
                    // What is said at the start, in bytes, means the same when it is written.
                    let said = format!("{}B", memory.bytes).parse::<Memory>();
                    proptest::prop_assert_eq!(said.map(|m| m.bytes), Ok(memory.bytes));
                }
                Err(_) => proptest::prop_assert!(!(SMALLEST_BYTES..=LARGEST_BYTES).contains(&bytes)),
            }
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in ["", "GB", "8X", "-8G", "8,5G", "1e3", "0", "100MB", "nan", "inf", "9999999999T", "1.2.3G"] {
            assert!(text.parse::<Memory>().is_err(), "{text}");
        }
    }
}
