//! Names and folders: what is left out and why, and two files for one scan.

use super::case::Outcome::{LeftOut, Refused};
use super::case::{Case, FINE, Spot, t1w};
use neuro_preprocess::error::ErrorCode::DuplicateScan;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

/// Scans whose names are theirs twice; refused, so they stand beside all others.
pub fn twins() -> Vec<Case> {
    let two = |name, says, a: &'static str, b: &'static str| {
        t1w(name, Refused(DuplicateScan, says), move |s: &Spot<'_>| {
            s.copy_to(a);
            s.copy_to(b);
        })
    };
    vec![
        two(
            ".nii and .nii.gz of one scan",
            &["claim to be the same scan"],
            "SUB/anat/SUB_T1w.nii",
            "SUB/anat/SUB_T1w.nii.gz",
        ),
        two(
            "run-1 and run-01",
            &["run-01_T1w", "run-1_T1w"],
            "SUB/anat/SUB_run-1_T1w.nii.gz",
            "SUB/anat/SUB_run-01_T1w.nii.gz",
        ),
        two(
            "acq-A and acq-a",
            &["acq-A_T1w", "acq-a_T1w"],
            "SUB/anat/SUB_acq-A_T1w.nii.gz",
            "SUB/anat/SUB_acq-a_T1w.nii.gz",
        ),
    ]
}

/// What is listed as left out, with the reason.
pub fn left_out() -> Vec<Case> {
    let named = |name, says, path: &'static str| t1w(name, LeftOut(says), move |s: &Spot<'_>| s.copy_to(path));
    let mut all = vec![
        t1w("a good scan beside what is left out", FINE, |s| s.copy_to("SUB/anat/SUB_T1w.nii.gz")),
        named("a name of another participant", "which say sub-", "SUB/anat/sub-other_T1w.nii.gz"),
        named("a session in the name only", "which say sub-", "SUB/anat/SUB_ses-1_T1w.nii.gz"),
        named("a session in the folders only", "_ses-1", "SUB/ses-1/anat/SUB_T1w.nii.gz"),
        named("another session than the folder's", "_ses-1", "SUB/ses-1/anat/SUB_ses-2_T1w.nii.gz"),
        named("an unknown entity", "no entity foo-", "SUB/anat/SUB_foo-1_T1w.nii.gz"),
        named("a misspelt entity", "did you mean acq?", "SUB/anat/SUB_aqc-x_T1w.nii.gz"),
        named("the long name of an entity", "did you mean acq?", "SUB/anat/SUB_acquisition-x_T1w.nii.gz"),
        named("an entity of derivatives", "no entity desc-", "SUB/anat/SUB_desc-preproc_T1w.nii.gz"),
        named("entities out of order", "acq- belongs before run-", "SUB/anat/SUB_run-1_acq-x_T1w.nii.gz"),
        named("an entity twice", "occurs twice", "SUB/anat/SUB_acq-a_acq-b_T1w.nii.gz"),
        named("a run that is no number", "must be a number", "SUB/anat/SUB_run-one_T1w.nii.gz"),
        named("an unknown part", "mag, phase, real or imag", "SUB/anat/SUB_part-abs_T1w.nii.gz"),
        named("a label with a dot", "is not key-label", "SUB/anat/SUB_acq-1.5mm_T1w.nii.gz"),
        named("a bold run without task", "needs task-LABEL", "SUB/func/SUB_bold.nii.gz"),
        named("bold in anat", "belongs into func/", "SUB/anat/SUB_task-rest_bold.nii.gz"),
        named("T1w in func", "belongs into anat/", "SUB/func/SUB_T1w.nii.gz"),
        named("suffix in other case", "expected _T1w", "SUB/anat/SUB_T1W.nii.gz"),
        named("extension in other case", "expected .nii.gz", "SUB/anat/SUB_T1w.NII.GZ"),
        named(".img", "convert to .nii.gz", "SUB/anat/SUB_T1w.img"),
        named(".mgz", "convert to .nii.gz", "SUB/anat/SUB_T1w.mgz"),
        named(".nii.xz", "convert to .nii.gz", "SUB/anat/SUB_T1w.nii.xz"),
        named("a copy named by a file manager", "is not key-label", "SUB/anat/SUB copy_T1w.nii.gz"),
        named("a space in the name", "is not key-label", "SUB/anat/SUB_acq-a b_T1w.nii.gz"),
        named("a newline in the name", "is not key-label", "SUB/anat/SUB_acq-a\nb_T1w.nii.gz"),
        named("a terminal's commands in the name", "is not key-label", "SUB/anat/SUB_acq-\x1b[2J_T1w.nii.gz"),
        named("AppleDouble", "an AppleDouble file of macOS", "SUB/anat/._SUB_T1w.nii.gz"),
        named("a scan beside the datatype folders", "only found in", "SUB/SUB_T1w.nii.gz"),
        named("a scan beside the participants", "only found in", "SUB_T1w.nii.gz"),
        named("a folder misspelt", "did you mean anat?", "SUB/anta/SUB_T1w.nii.gz"),
        named("a folder in other case", "expected anat", "SUB/Anat/SUB_T1w.nii.gz"),
        named("a folder BIDS does not know", "not a folder of BIDS", "SUB/converted/SUB_T1w.nii.gz"),
        t1w("a participant's folder in other case", LeftOut("expected sub-"), |s| {
            s.copy_to(&format!("Sub-{}/anat/SUB_T1w.nii.gz", s.label));
        }),
        named("a session without its dash", "expected ses-LABEL", "SUB/ses_1/anat/SUB_ses-1_T1w.nii.gz"),
        named("a participant's label with a space", "is not a label", "SUB x/anat/SUB_T1w.nii.gz"),
        t1w("a name that is not UTF-8", LeftOut("not valid UTF-8"), |s| {
            let name = [b"sub-", s.label.as_bytes(), b"_acq-\xe9_T1w.nii.gz"].concat();
            fs::write(s.at("SUB/anat/x").with_file_name(OsStr::from_bytes(&name)), "").unwrap();
        }),
        t1w("a participant's folder that is a file", LeftOut("not a folder, as its name says"), |s| {
            fs::write(s.at("SUB"), "").unwrap();
        }),
        t1w("a participant's folder that is a link to nowhere", LeftOut("not a folder, as its name says"), |s| {
            symlink("gone", s.at("SUB")).unwrap();
        }),
        t1w("a participant's folder that is a link to itself", LeftOut("Too many levels"), |s| {
            symlink(format!("sub-{}", s.label), s.at("SUB")).unwrap();
        }),
        t1w("an anat folder that is a file", LeftOut("not a folder, as its name says"), |s| {
            fs::write(s.at("SUB/anat"), "").unwrap();
        }),
        t1w(
            "a session's folder that leads back to the participant",
            LeftOut("not a folder of BIDS at this place"),
            |s| {
                symlink(".", s.at("SUB/ses-1")).unwrap();
            },
        ),
    ];
    all.extend(super::files::left_out());
    all
}
