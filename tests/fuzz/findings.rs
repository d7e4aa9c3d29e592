//! Inputs that broke a promise once, by fuzzing or by thinking of them while the checks were written; kept so that they never
//! do again.

use super::seeds;
use crate::common::nifti::File;

/// Each with its target.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("nifti", beyond_nifti_1(|file| file.srow[0][3] = 1e300)),
        ("nifti", beyond_nifti_1(|file| file.pixdim[4] = 1e300)),
        ("nifti", beyond_nifti_1(|file| file.pixdim[4] = 1e-300)),
        ("nifti", beyond_nifti_1(|file| file.pixdim[4] = 1e-42)),
        ("nifti", File::new(&[2, 1, 1]).voxels(16, 32, [f32::MAX, 1.0].map(f32::to_le_bytes).concat()).bytes()),
        ("sidecar", b"\0{\"RepetitionTime\": 1e300}\0\0\0".to_vec()),
        ("sidecar", b"\0{\"RepetitionTime\": 1e-300}\0\0\0".to_vec()),
        ("spool", seeds::spool_of_host("\\u001b]0;title\\u0007")),
        ("spool", b"{}\n\0\0\x0018446744073709551615 0 0 0".to_vec()),
        ("spool", b"{}\n\0\0\x000 18446744073709551615 18446744073709551615 1".to_vec()),
        ("spool", spans_within_spans(20_000)),
        // Voxels of a kilometre, with a copy of cubes of 4 mm made of them.
        ("stages", [[0, 4, 4, 4, 0, 5, 255, 255, 255, 0, 3, 4, 1].as_slice(), &[0; 10], &[200; 9]].concat()),
    ]
}

/// Values that NIfTI-2 can hold and the outputs cannot.
fn beyond_nifti_1(change: impl FnOnce(&mut File)) -> Vec<u8> {
    let mut file = File::new(&[3, 2, 2, 2]).version_2();
    change(&mut file);
    file.bytes()
}

/// Each within the one before: shown one within the other they need more stack than there is.
fn spans_within_spans(count: u64) -> Vec<u8> {
    let span = |n: u64| {
        format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"1","spanId":"{:x}","parentSpanId":"{n:x}","name":"x","startTimeUnixNano":"{n}","endTimeUnixNano":"9"}}]}}]}}]}}"#,
            n + 1
        )
    };
    (1..count).map(|n| span(n) + "\n").collect::<String>().into_bytes()
}
