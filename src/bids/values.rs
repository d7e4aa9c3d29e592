//! Checks the sidecar values that outputs inherit against what BIDS allows. A value with one possible meaning is corrected, the
//! rest is left out, both with a note.

use crate::printable;
use serde_json::{Map, Number, Value, json};

/// Longest value that is shown.
const SHOWN: usize = 40;

/// What BIDS lets a value be.
#[derive(Clone, Copy)]
enum Kind {
    /// Any number.
    Number,
    /// A number above 0 and up to this, or a list of such.
    Above0(f64),
    /// Text.
    Text,
    /// An axis of the image.
    Axis,
    /// A number, or a list of numbers, that is looked at closely where it is used.
    Time,
}

/// The keys with a value of their own kind, without units: the reader of each knows them.
const KINDS: [(&str, Kind); 13] = [
    ("MagneticFieldStrength", Kind::Number),
    ("Manufacturer", Kind::Text),
    ("ManufacturersModelName", Kind::Text),
    ("TaskName", Kind::Text),
    ("EchoTime", Kind::Above0(f64::INFINITY)),
    ("FlipAngle", Kind::Above0(360.0)),
    ("PhaseEncodingDirection", Kind::Axis),
    ("EffectiveEchoSpacing", Kind::Above0(f64::INFINITY)),
    ("TotalReadoutTime", Kind::Number),
    ("RepetitionTime", Kind::Time),
    ("SliceTiming", Kind::Time),
    ("VolumeTiming", Kind::Time),
    ("FrameAcquisitionDuration", Kind::Above0(f64::INFINITY)),
];

impl Kind {
    /// The value as BIDS wants it; `None` where it can be none.
    fn of(self, value: &Value) -> Option<Value> {
        match self {
            Self::Number => number(value),
            Self::Above0(most) => {
                each(value, &|one| number(one).filter(|n| n.as_f64().is_some_and(|n| n > 0.0 && n <= most)))
            }
            Self::Time => each(value, &number),
            Self::Text => match value {
                Value::String(_) => Some(value.clone()),
                Value::Number(number) => Some(json!(number.to_string())),
                _ => None,
            },
            Self::Axis => axis(value.as_str()?).map(|axis| json!(axis)),
        }
    }

    const fn wanted(self) -> &'static str {
        match self {
            Self::Number | Self::Time => "a number",
            Self::Above0(most) if most.is_finite() => "an angle above 0 and up to 360 degrees",
            Self::Above0(_) => "a number above 0",
            Self::Text => "a text",
            Self::Axis => "i, j, k, i-, j- or k-",
        }
    }
}

/// Puts right what can only mean one thing, and takes out what can be nothing that BIDS lets it be. Says of each what was done.
pub fn tidy(metadata: &mut Map<String, Value>) -> Vec<String> {
    let mut told = Vec::new();
    for (key, kind) in KINDS {
        let Some(value) = metadata.get(key) else { continue };
        let wanted = kind.wanted();
        match kind.of(value) {
            Some(same) if same == *value => {}
            Some(meant) => {
                told.push(format!(
                    "{key} is {} in the sidecar; {meant} was taken, for it must be {wanted}",
                    shown(value)
                ));
                metadata.insert(key.to_owned(), meant);
            }
            // Whoever uses it says what is wrong with it, and no output has it.
            None if matches!(kind, Kind::Time) => {}
            None => {
                told.push(format!("{key} is {} in the sidecar and must be {wanted}; it was left out", shown(value)));
                metadata.shift_remove(key);
            }
        }
    }
    told
}

/// A number, also where it stands in quotes.
fn number(value: &Value) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        // As JSON has numbers: no hexadecimal, no comma, nothing infinite.
        Value::String(text) => text.trim().parse::<Number>().ok().map(Value::Number),
        _ => None,
    }
}

/// One value, or every one of a list.
fn each(value: &Value, one: &dyn Fn(&Value) -> Option<Value>) -> Option<Value> {
    match value {
        Value::Array(list) if !list.is_empty() => list.iter().map(one).collect::<Option<Vec<_>>>().map(Value::Array),
        other => one(other),
    }
}

/// An axis of the image and the way along it. Patient directions such as `AP` depend on how the voxels lie, and some converters have
/// them the other way round; `x` is the scanner's in some and the image's in others.
fn axis(text: &str) -> Option<&'static str> {
    let plain = text.trim().to_ascii_lowercase();
    let plain = plain.strip_suffix('+').unwrap_or(&plain);
    ["i", "j", "k", "i-", "j-", "k-"].into_iter().find(|axis| *axis == plain)
}

fn shown(value: &Value) -> String {
    let whole = value.to_string();
    let whole = printable::line(&whole);
    match whole.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", whole.get(..end).unwrap_or_default()),
        None => whole.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tidied(key: &str, value: Value) -> (Option<Value>, Vec<String>) {
        let mut metadata = Map::from_iter([(key.to_owned(), value)]);
        let told = tidy(&mut metadata);
        (metadata.remove(key), told)
    }

    #[test]
    fn what_is_right_stays_as_it_is() {
        let right = [
            ("EchoTime", json!(0.03)),
            ("EchoTime", json!([0.01, 0.02])),
            ("FlipAngle", json!(360)),
            ("MagneticFieldStrength", json!(3)),
            ("Manufacturer", json!("")),
            ("PhaseEncodingDirection", json!("k-")),
            ("SliceTiming", json!([0, 0.5])),
            ("SliceTiming", json!("none")),
            ("RepetitionTime", json!({})),
            ("SomethingElse", json!({"a": "b"})),
        ];
        for (key, value) in right {
            assert_eq!(tidied(key, value.clone()), (Some(value), Vec::new()), "{key}");
        }
    }

    #[test]
    fn what_can_only_mean_one_thing_is_put_right_and_told() {
        let meant = [
            ("EchoTime", json!("0.03"), json!(0.03)),
            ("EchoTime", json!([" 1e-2 ", 0.02]), json!([0.01, 0.02])),
            ("FlipAngle", json!("80"), json!(80)),
            ("RepetitionTime", json!("2.0"), json!(2.0)),
            ("SliceTiming", json!(["0", 1.5]), json!([0, 1.5])),
            ("Manufacturer", json!(3), json!("3")),
            ("PhaseEncodingDirection", json!("J-"), json!("j-")),
            ("PhaseEncodingDirection", json!(" i+"), json!("i")),
        ];
        for (key, value, right) in meant {
            let (now, told) = tidied(key, value);
            assert_eq!(now, Some(right));
            assert!(told.len() == 1 && told[0].starts_with(key) && told[0].contains(" was taken"), "{told:?}");
        }
    }

    #[test]
    fn what_can_be_nothing_is_left_out_and_told() {
        let wrong = [
            ("EchoTime", json!("0,03")),
            ("EchoTime", json!(0)),
            ("EchoTime", json!(-0.03)),
            ("EchoTime", json!(null)),
            ("EchoTime", json!([])),
            ("EchoTime", json!([0.01, "x"])),
            ("FlipAngle", json!(361)),
            ("FlipAngle", json!("NaN")),
            ("MagneticFieldStrength", json!("3T")),
            ("MagneticFieldStrength", json!("inf")),
            ("Manufacturer", json!(["a"])),
            ("TaskName", json!(true)),
            ("PhaseEncodingDirection", json!("A>>P")),
            ("PhaseEncodingDirection", json!("y")),
            ("PhaseEncodingDirection", json!(1)),
        ];
        for (key, value) in wrong {
            let (now, told) = tidied(key, value);
            assert_eq!(now, None, "{key}");
            assert!(told.len() == 1 && told[0].ends_with("it was left out"), "{told:?}");
        }
        let long = tidied("FlipAngle", json!("\u{1b}[2J".repeat(90))).1;
        assert!(long[0].len() < 160 && !long[0].contains('\u{1b}'), "{long:?}");
    }
}
