//! Sidecars, and what they and the header say about time.

use super::case::Outcome::Refused;
use super::case::{Case, FINE, Spot, bold, noted, t1w};
use crate::common::nifti::File;
use crate::common::pipe;
use neuro_preprocess::error::ErrorCode::{BadSidecar, BadTiming};
use std::fs;
use std::os::unix::fs::symlink;

/// Every case of sidecars and timing.
pub fn cases() -> Vec<Case> {
    let mut all = broken();
    all.extend(levels());
    all.extend(timing());
    all
}

fn broken() -> Vec<Case> {
    let is = |name, content: Vec<u8>, says| {
        bold(name, Refused(BadSidecar, says), move |s: &Spot<'_>| s.with_sidecar(&content))
    };
    vec![
        bold("a good bold run", FINE, |s| s.gz(&s.head().bytes())),
        is("an empty sidecar", vec![], &["it is not JSON", "line 1"]),
        is("a sidecar that is cut off", b"{\"RepetitionTime\": 2.0,".to_vec(), &["it is not JSON"]),
        is("a sidecar with a comma too many", b"{\"RepetitionTime\": 2.0,}".to_vec(), &["it is not JSON", "line 1"]),
        is("a sidecar with NaN", b"{\"RepetitionTime\": NaN}".to_vec(), &["it is not JSON"]),
        is("a sidecar with a comment", b"{ /* TR */ \"RepetitionTime\": 2.0}".to_vec(), &["it is not JSON"]),
        is("a sidecar that is a list", b"[2.0]".to_vec(), &["not an object in braces"]),
        is("a sidecar that is a text", b"\"2.0\"".to_vec(), &["not an object in braces"]),
        is("a sidecar with a byte order mark", b"\xEF\xBB\xBF{}".to_vec(), &["byte order mark", "without BOM"]),
        is("a sidecar in UTF-16", b"\xFF\xFE{\0}\0".to_vec(), &["not UTF-8"]),
        is(
            "a sidecar in latin-1",
            b"{\"Institution\": \"Universit\xE9\"}".to_vec(),
            &["not UTF-8", "save it as UTF-8"],
        ),
        is("a sidecar nested 100,000 deep", b"[".repeat(100_000), &["it is not JSON", "recursion limit"]),
        is(
            "a key twice in a sidecar",
            br#"{"RepetitionTime": 2.0, "RepetitionTime": 3.0}"#.to_vec(),
            &["contradicts itself", "RepetitionTime", "twice"],
        ),
        bold("a sidecar that is a folder", Refused(BadSidecar, &["not a regular file"]), |s| {
            s.gz(&s.head().bytes());
            fs::remove_file(s.scan(".json")).unwrap();
            fs::create_dir(s.scan(".json")).unwrap();
        }),
        bold("a sidecar that is a named pipe", Refused(BadSidecar, &["not a regular file"]), |s| {
            s.gz(&s.head().bytes());
            fs::remove_file(s.scan(".json")).unwrap();
            pipe(&s.scan(".json"));
        }),
        bold("a sidecar whose content is not here", Refused(BadSidecar, &["datalad get"]), |s| {
            s.gz(&s.head().bytes());
            fs::remove_file(s.scan(".json")).unwrap();
            symlink("../../.git/annex/objects/x", s.scan(".json")).unwrap();
        }),
        t1w("a broken sidecar of a T1w image", Refused(BadSidecar, &["it is not JSON"]), |s| s.with_sidecar(b"{")),
    ]
}

fn levels() -> Vec<Case> {
    let two = |s: &Spot<'_>, second: &str| {
        s.copy_to("SUB/func/SUB_task-rest_run-1_bold.nii.gz");
        fs::write(s.at("SUB/func/SUB_task-rest_bold.json"), br#"{"RepetitionTime": 2.0}"#).unwrap();
        fs::write(s.at("SUB/func/SUB_run-1_bold.json"), second).unwrap();
    };
    vec![
        bold(
            "two sidecars of a folder that contradict each other",
            Refused(BadSidecar, &["disagree about RepetitionTime"]),
            move |s| two(s, r#"{"RepetitionTime": 3.0}"#),
        ),
        bold("two sidecars of a folder that agree", FINE, move |s| two(s, r#"{"RepetitionTime": 2.0}"#)),
        bold(
            "a broken sidecar of the participant",
            Refused(BadSidecar, &["SUB_task-rest_bold.json: it is not JSON"]),
            |s| {
                s.gz(&s.head().bytes());
                fs::write(s.at("SUB/SUB_task-rest_bold.json"), "{").unwrap();
            },
        ),
    ]
}

fn timing() -> Vec<Case> {
    /// A bold run with this time in its header, in this unit (8 s, 16 ms, 24 µs), and this sidecar.
    fn tr(pixdim: f64, unit: u8, sidecar: &'static str) -> impl Fn(&Spot<'_>) {
        move |s| {
            let mut file: File = s.head();
            (file.pixdim[4], file.units) = (pixdim, 2 | unit);
            s.gz(&file.bytes());
            s.sidecar(sidecar.as_bytes());
        }
    }
    let two = r#"{"RepetitionTime": 2.0}"#;
    vec![
        bold("header in milliseconds", FINE, tr(2000.0, 16, two)),
        bold("header in microseconds", FINE, tr(2e6, 24, two)),
        bold(
            "header in milliseconds without saying so",
            noted(&["without a time unit; it was taken as milliseconds"]),
            tr(2000.0, 0, two),
        ),
        bold(
            "header in milliseconds that says seconds",
            noted(&["is 2000 s; it was kept", "the sidecar's is used"]),
            tr(2000.0, 8, two),
        ),
        bold(
            "2000 s in the header, no sidecar's",
            Refused(BadTiming, &["2000 s", "milliseconds"]),
            tr(2000.0, 8, "{}"),
        ),
        bold("no time in the header", noted(&["no repetition time; the header's repetition time was left unset"]), {
            tr(0.0, 8, two)
        }),
        bold("a time of NaN in the header", noted(&["pixdim[4] is NaN"]), tr(f64::NAN, 8, two)),
        bold("header in hertz", noted(&["time unit 32"]), tr(0.5, 32, two)),
        bold("no time anywhere", Refused(BadTiming, &["no repetition time"]), tr(0.0, 8, "{}")),
        bold("no time in the sidecar", noted(&["the sidecar has no RepetitionTime; the header's 2 s is used"]), {
            tr(2.0, 8, "{}")
        }),
        bold("sidecar and header differ", noted(&["1.5 s in the sidecar but 2 s in the header"]), {
            tr(2.0, 8, r#"{"RepetitionTime": 1.5}"#)
        }),
        bold("sidecar in milliseconds", noted(&["is taken for milliseconds: 2 s"]), {
            tr(2.0, 8, r#"{"RepetitionTime": 2000}"#)
        }),
        bold(
            "sidecar with a time as text",
            noted(&["RepetitionTime is \"2.0\" in the sidecar; 2.0 was taken, for it must be a number"]),
            tr(2.0, 8, r#"{"RepetitionTime": "2.0"}"#),
        ),
        bold("sidecar with a negative time", noted(&["RepetitionTime is -2.0 in the sidecar"]), {
            tr(2.0, 8, r#"{"RepetitionTime": -2.0}"#)
        }),
        bold("a time that is no number, none in the header", Refused(BadTiming, &["RepetitionTime is \"2 s\""]), {
            tr(0.0, 8, r#"{"RepetitionTime": "2 s"}"#)
        }),
        bold(
            "values of the wrong type that can be read",
            noted(&["EchoTime is \"0.03\"", "\"j-\" was taken"]),
            tr(2.0, 8, r#"{"RepetitionTime": 2.0, "EchoTime": "0.03", "PhaseEncodingDirection": "J-"}"#),
        ),
        bold(
            "values that can be nothing",
            noted(&["FlipAngle is [] in", "\"A>>P\" in the sidecar"]),
            tr(2.0, 8, r#"{"RepetitionTime": 2.0, "PhaseEncodingDirection": "A>>P", "FlipAngle": []}"#),
        ),
        bold("times of volumes at equal steps", FINE, tr(2.0, 8, r#"{"VolumeTiming": [0, 2, 4, 6, 8, 10]}"#)),
        bold("times of volumes at unequal steps", noted(&["unequal steps: there is no repetition time"]), {
            tr(2.0, 8, r#"{"VolumeTiming": [0, 2, 4.5, 6, 8, 10]}"#)
        }),
        bold("times of other volumes", Refused(BadTiming, &["2 times for", "volumes"]), {
            tr(2.0, 8, r#"{"VolumeTiming": [0, 2]}"#)
        }),
        bold("times of volumes beside another repetition time", Refused(BadTiming, &["remove one of them"]), {
            tr(2.0, 8, r#"{"RepetitionTime": 2.0, "VolumeTiming": [0, 2, 4.5, 6, 8, 10]}"#)
        }),
        bold("sidecar with a time no scanner is fast enough for", Refused(BadTiming, &["0.002", "write seconds"]), {
            tr(2.0, 8, r#"{"RepetitionTime": 0.002}"#)
        }),
    ]
}
