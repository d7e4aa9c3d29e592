//! When the volumes of a run were taken: every so many seconds, or as a list says.

use crate::error::ErrorCode;
use crate::step::StageError;
use serde_json::{Map, Value};

/// Header and sidecar may differ by what a 32-bit header cannot hold; times of a list by what a scanner rounds.
const TOLERANCE_S: f64 = 0.001;
/// No MRI sequence repeats slower than this; larger values are milliseconds.
const MAX_TR_S: f64 = 100.0;
/// Nor faster than this.
const MIN_TR_S: f64 = 0.01;

/// What is known of the time of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// Seconds from volume to volume; `None` where they do not come at equal times.
    pub repetition: Option<f64>,
    /// What was odd.
    pub note: Option<String>,
}

/// The time of a run of so many volumes, of which the header says `header`. `VolumeTiming` is in place of a repetition time (BIDS
/// forbids both); nothing is put in the place of what it says.
pub fn timing(
    header: Option<f64>,
    metadata: &Map<String, Value>,
    volumes: usize,
    id: &str,
) -> Result<Timing, StageError> {
    let Some(listed) = metadata.get("VolumeTiming") else {
        return repetition_time(header, metadata, id).map(|(tr, note)| Timing { repetition: Some(tr), note });
    };
    let step = volume_times(listed, volumes).map_err(|why| invalid(format!("VolumeTiming of {id} {why}")))?;
    let Some(written) = metadata.get("RepetitionTime") else {
        let note = step.is_none().then(|| {
            "VolumeTiming in the sidecar has unequal steps: there is no repetition time, and confounds have no cosines".to_owned()
        });
        return Ok(Timing { repetition: step, note });
    };
    match (step, written.as_f64()) {
        (Some(step), Some(tr)) if (step - tr).abs() <= TOLERANCE_S => Ok(Timing {
            repetition: Some(tr),
            note: Some(
                "the sidecar has RepetitionTime and VolumeTiming, which BIDS forbids; they say the same".to_owned(),
            ),
        }),
        _ => Err(invalid(format!(
            "RepetitionTime of {id} is {written} in the sidecar, and VolumeTiming says something else; remove one of them"
        ))),
    }
}

/// The step of a list of times, where all steps are equal; or what is wrong with the list.
fn volume_times(listed: &Value, volumes: usize) -> Result<Option<f64>, String> {
    let times: Option<Vec<f64>> = listed.as_array().and_then(|times| times.iter().map(Value::as_f64).collect());
    let times = times.ok_or("must be a list of numbers (seconds)")?;
    if times.len() != volumes {
        return Err(format!("has {} times for {volumes} volumes", times.len()));
    }
    let steps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    if let Some(at) = steps.iter().position(|step| *step <= 0.0) {
        return Err(format!("does not rise from volume {} to {}", at + 1, at + 2));
    }
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return Ok(None) };
    #[expect(clippy::cast_precision_loss, reason = "volumes are far below 2^52")]
    let mean = (last - first) / steps.len().max(1) as f64;
    if !(MIN_TR_S..=MAX_TR_S).contains(&mean) {
        return Err(format!("has steps of {mean} on average, which no sequence has; write seconds"));
    }
    // To the microsecond: a mean of rounded times has digits of its own.
    let equal = steps.iter().all(|step| (step - mean).abs() <= TOLERANCE_S);
    Ok(equal.then_some((mean * 1e6).round() / 1e6))
}

fn invalid(message: String) -> StageError {
    StageError::Invalid { code: ErrorCode::BadTiming, message }
}

/// The repetition time in seconds: the sidecar's, as BIDS has it, else the header's. The note says what was odd.
fn repetition_time(
    header: Option<f64>,
    metadata: &Map<String, Value>,
    id: &str,
) -> Result<(f64, Option<String>), StageError> {
    let usable = |tr: f64| tr.is_finite() && tr > 0.0;
    let written = metadata.get("RepetitionTime");
    let sidecar = written.and_then(Value::as_f64).filter(|&t| usable(t));
    let header = header.filter(|&t| usable(t));
    let refuse = |message| Err(invalid(message));
    let no_sidecar = || match written {
        Some(value) => format!("RepetitionTime is {value} in the sidecar, which is not a number of seconds"),
        None => "the sidecar has no RepetitionTime".to_owned(),
    };
    match (sidecar, header) {
        (Some(s), _) if s < MIN_TR_S => {
            refuse(format!("RepetitionTime of {id} is {s} in the sidecar, too fast for any sequence; write seconds"))
        }
        (Some(s), _) if s / 1000.0 > MAX_TR_S => {
            refuse(format!("RepetitionTime of {id} is {s} in the sidecar, too slow for any sequence; write seconds"))
        }
        (Some(s), _) if s > MAX_TR_S => {
            let tr = s / 1000.0;
            Ok((tr, Some(format!("RepetitionTime {s} of the sidecar is taken for milliseconds: {tr} s"))))
        }
        (Some(s), Some(h)) if (s - h).abs() > TOLERANCE_S => {
            let note = format!("RepetitionTime is {s} s in the sidecar but {h} s in the header; the sidecar's is used");
            Ok((s, Some(note)))
        }
        (Some(s), _) => Ok((s, None)),
        (None, Some(h)) if (MIN_TR_S..=MAX_TR_S).contains(&h) => {
            Ok((h, Some(format!("{}; the header's {h} s is used", no_sidecar()))))
        }
        (None, Some(h)) => refuse(format!(
            "{id} has a repetition time of {h} s in its header, which may be meant as milliseconds, and {}",
            no_sidecar()
        )),
        (None, None) => refuse(format!("{id} has no repetition time in its header, and {}", no_sidecar())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Coded;
    use serde_json::json;

    fn tr(header: Option<f64>, sidecar: Value) -> Result<(f64, Option<String>), StageError> {
        repetition_time(header, sidecar.as_object().unwrap(), "x")
    }

    #[test]
    fn the_sidecar_has_the_repetition_time() {
        assert_eq!(tr(Some(2.0), json!({"RepetitionTime": 2.0})).unwrap(), (2.0, None));
        assert_eq!(tr(Some(2.000_05), json!({"RepetitionTime": 2.0})).unwrap(), (2.0, None));
        let (value, note) = tr(Some(2.0), json!({"RepetitionTime": 1.8})).unwrap();
        assert!((value - 1.8).abs() < 1e-12 && note.unwrap().contains("sidecar's is used"));
        assert!((tr(None, json!({"RepetitionTime": 2000})).unwrap().0 - 2.0).abs() < 1e-12);
        assert!((tr(Some(1.5), json!({"RepetitionTime": 0})).unwrap().0 - 1.5).abs() < 1e-12);
        assert_eq!(tr(Some(f64::NAN), json!({})).unwrap_err().code(), ErrorCode::BadTiming);
        assert!(tr(None, json!({"RepetitionTime": 100_000})).is_ok());
        assert!(tr(Some(2.0), json!({"RepetitionTime": 100_001})).unwrap_err().to_string().contains("too slow"));
    }

    #[test]
    fn the_bounds_of_a_repetition_time_are_within() {
        for (seconds, good) in [(0.01, true), (0.0099, false), (100.0, true)] {
            assert_eq!(tr(None, json!({ "RepetitionTime": seconds })).is_ok(), good, "{seconds} in the sidecar");
            assert_eq!(tr(Some(seconds), json!({})).is_ok(), good, "{seconds} in the header");
        }
        // Beyond them the one may be milliseconds, and says so; the other has a unit of its own.
        assert!((tr(None, json!({"RepetitionTime": 101})).unwrap().0 - 0.101).abs() < 1e-12);
        assert!(tr(Some(100.1), json!({})).is_err());
        // What a header cannot hold is no difference.
        assert_eq!(tr(Some(2.001), json!({"RepetitionTime": 2.0})).unwrap().1, None);
        assert!(tr(Some(2.0011), json!({"RepetitionTime": 2.0})).unwrap().1.is_some());
    }

    fn listed(sidecar: Value) -> Result<Timing, StageError> {
        timing(Some(2.0), sidecar.as_object().unwrap(), 4, "x")
    }

    #[test]
    fn a_list_of_times_is_in_place_of_a_repetition_time() {
        let equal = listed(json!({"VolumeTiming": [0.5, 2.0, 3.5, 5.0004]})).unwrap();
        assert_eq!(equal, Timing { repetition: Some(1.500_133), note: None });
        let unequal = listed(json!({"VolumeTiming": [0, 2, 4.5, 6]})).unwrap();
        assert!(unequal.repetition.is_none() && unequal.note.unwrap().contains("unequal steps"));
        let both = listed(json!({"VolumeTiming": [0, 2, 4, 6], "RepetitionTime": 2})).unwrap();
        assert!(both.repetition == Some(2.0) && both.note.unwrap().contains("BIDS forbids"));
    }

    #[test]
    fn a_list_that_cannot_be_right_is_refused() {
        let cases = [
            (json!({"VolumeTiming": [0, 2, 4]}), "has 3 times for 4 volumes"),
            (json!({"VolumeTiming": [0, 2, 2, 4]}), "does not rise from volume 2 to 3"),
            (json!({"VolumeTiming": [0, 2000, 4000, 6000]}), "write seconds"),
            (json!({"VolumeTiming": "0 2 4 6"}), "a list of numbers"),
            (json!({"VolumeTiming": [0, 2, null, 6]}), "a list of numbers"),
            (json!({"VolumeTiming": [0, 2, 4, 6], "RepetitionTime": 3}), "remove one of them"),
            (json!({"VolumeTiming": [0, 2, 4.5, 6], "RepetitionTime": 2}), "remove one of them"),
        ];
        for (sidecar, says) in cases {
            let refused = listed(sidecar).unwrap_err();
            assert!(refused.code() == ErrorCode::BadTiming && refused.to_string().contains(says), "{refused}");
        }
    }
}
