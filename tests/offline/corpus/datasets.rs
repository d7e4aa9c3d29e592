//! Whole datasets, folders and requests: each a run of its own, most of them a `--dry-run`.

use crate::common::pipe;
use neuro_preprocess::error::ErrorCode::{
    self, BadSidecar, DatasetInvalid, InputMissing, NotBids, NotMaterialised, NotNifti, NothingMatches, OutputUnusable,
    ReadFailed, Usage,
};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// What must come of a run.
pub enum End {
    /// Nothing is odd.
    Fine,
    /// It goes on with a warning that has this part; `--strict` refuses.
    Warns(&'static str),
    /// It ends with this code, exit status and part of the message.
    Refused(ErrorCode, i32, &'static str),
}

/// A dataset or request that is run by itself.
pub struct Run {
    pub name: String,
    /// `IN` and `OUT` stand for the dataset and the output folder.
    pub args: &'static [&'static str],
    pub end: End,
    /// As a user whom file permissions bind.
    pub as_nobody: bool,
    /// Changes a good dataset; is given the folder that holds it (`in`) and the output (`out`).
    pub make: Box<dyn Fn(&Path)>,
}

const DRY: &[&str] = &["IN", "OUT", "participant", "--dry-run"];
const REAL: &[&str] = &["IN", "OUT", "participant"];

fn run(name: impl Into<String>, args: &'static [&'static str], end: End, make: impl Fn(&Path) + 'static) -> Run {
    Run { name: name.into(), args, end, as_nobody: false, make: Box::new(make) }
}

/// Everything that is run by itself.
pub fn runs() -> Vec<Run> {
    let mut all = descriptions();
    all.extend(participants());
    all.extend(folders());
    all.extend(outputs());
    all.extend(loose());
    all
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A dataset of one participant, whose scan is not looked at.
pub fn good(dir: &Path) {
    write(&dir.join("in/dataset_description.json"), r#"{"Name": "small", "BIDSVersion": "1.10.0"}"#);
    write(&dir.join("in/sub-01/anat/sub-01_T1w.nii.gz"), "");
}

fn descriptions() -> Vec<Run> {
    let described: [(&'static str, &'static [u8], &'static str); 8] = [
        ("empty", b"", "it is not JSON"),
        ("cut off", b"{\"Name\": \"x\",", "it is not JSON"),
        ("a list", b"[]", "not an object in braces"),
        ("byte order mark", b"\xEF\xBB\xBF{}", "byte order mark"),
        ("latin-1", b"{\"Name\": \"\xE9\"}", "not UTF-8"),
        ("no Name", b"{\"BIDSVersion\": \"1.10.0\"}", "Name is missing"),
        ("a number for a text", b"{\"Name\": \"x\", \"BIDSVersion\": 1.8}", "must be a text"),
        ("Name twice", b"{\"Name\": \"x\", \"Name\": \"y\"}", "occurs twice"),
    ];
    let without = |d: &Path| fs::remove_file(d.join("in/dataset_description.json")).unwrap();
    let mut all = vec![
        run("a good dataset; there is no HOME", DRY, End::Fine, |_| {}),
        run("no dataset_description.json", DRY, End::Refused(NotBids, 16, "has no dataset_description.json"), without),
        run(
            "no dataset_description.json, with --skip-bids-validation",
            &["IN", "OUT", "participant", "--dry-run", "--skip-bids-validation"],
            End::Warns("has no dataset_description.json"),
            without,
        ),
    ];
    all.extend(described.map(|(what, text, says)| {
        run(format!("dataset_description.json: {what}"), DRY, End::Refused(DatasetInvalid, 16, says), move |d| {
            write(&d.join("in/dataset_description.json"), text);
        })
    }));
    all.extend([
        run(
            "dataset_description.json: a named pipe",
            DRY,
            End::Refused(DatasetInvalid, 16, "not a regular file"),
            move |d| {
                without(d);
                pipe(&d.join("in/dataset_description.json"));
            },
        ),
        run(
            "dataset_description.json: content not here",
            DRY,
            End::Refused(DatasetInvalid, 16, "datalad get"),
            move |d| {
                without(d);
                symlink(".git/annex/objects/x", d.join("in/dataset_description.json")).unwrap();
            },
        ),
        run("a dataset of derivatives", DRY, End::Refused(NothingMatches, 18, "DatasetType is derivative"), |d| {
            let text = r#"{"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}"#;
            write(&d.join("in/dataset_description.json"), text);
        }),
    ]);
    all
}

fn participants() -> Vec<Run> {
    let table = |name, text: &'static [u8], end| {
        run(name, DRY, end, move |d: &Path| write(&d.join("in/participants.tsv"), text))
    };
    let warned: [(&'static str, &'static [u8], &'static str); 10] = [
        ("with a byte order mark", b"\xEF\xBB\xBFparticipant_id\nsub-01\n", "byte order mark"),
        ("without a participant", b"participant_id\n", "has no row for sub-01"),
        (
            "with a participant who is not there",
            b"participant_id\nsub-01\nsub-02\n",
            "lists sub-02, of which there is no folder",
        ),
        ("with a participant twice", b"participant_id\nsub-01\nsub-01\n", "more than one row for sub-01"),
        ("with labels without sub-", b"participant_id\n01\n", "has no row for sub-01"),
        ("with commas", b"participant_id,age\nsub-01,9\n", "has no column participant_id"),
        ("with rows of other lengths", b"participant_id\tage\nsub-01\n", "is not a table"),
        ("that is empty", b"", "has no column participant_id"),
        ("in latin-1", b"participant_id\nsub-01\nsub-\xE9\n", "is not UTF-8"),
        ("with a terminal's commands", b"participant_id\nsub-01\nsub-\x1b[2J\n", "lists sub-\\u001b[2J"),
    ];
    let mut all = vec![table(
        "participants.tsv with Windows line ends".to_owned(),
        b"participant_id\tage\r\nsub-01\t9\r\n",
        End::Fine,
    )];
    all.extend(warned.map(|(what, text, says)| table(format!("participants.tsv {what}"), text, End::Warns(says))));
    all.extend([
        run("participants.tsv that is a named pipe", DRY, End::Warns("is not a regular file"), |d| {
            pipe(&d.join("in/participants.tsv"));
        }),
        run("participants.tsv that is a link to nowhere", DRY, End::Warns("participants.tsv cannot be read"), |d| {
            symlink("gone", d.join("in/participants.tsv")).unwrap();
        }),
        run(
            "participants.tsv without permission",
            DRY,
            End::Warns("participants.tsv cannot be read: Permission denied"),
            |d| {
                write(&d.join("in/participants.tsv"), "");
                fs::set_permissions(d.join("in/participants.tsv"), fs::Permissions::from_mode(0o0)).unwrap();
            },
        ),
    ]);
    all.last_mut().unwrap().as_nobody = true;
    all
}

fn folders() -> Vec<Run> {
    let emptied = |d: &Path| fs::remove_dir_all(d.join("in/sub-01")).unwrap();
    let mut all = vec![
        run("an empty dataset", DRY, End::Refused(NothingMatches, 18, "has no folder sub-LABEL"), emptied),
        run("a participant without scans", DRY, End::Refused(NothingMatches, 18, "0 in the dataset"), move |d| {
            emptied(d);
            fs::create_dir_all(d.join("in/sub-01/anat")).unwrap();
        }),
        run("an empty folder", DRY, End::Refused(NotBids, 16, "has no dataset_description.json"), move |d| {
            emptied(d);
            fs::remove_file(d.join("in/dataset_description.json")).unwrap();
        }),
        run("a folder that does not exist", DRY, End::Refused(InputMissing, 66, "does not exist"), |d| {
            fs::remove_dir_all(d.join("in")).unwrap();
        }),
        run("a file in place of the dataset", DRY, End::Refused(Usage, 64, "is a file"), |d| {
            fs::remove_dir_all(d.join("in")).unwrap();
            write(&d.join("in"), "");
        }),
        run("a dataset that is a link to itself", DRY, End::Refused(ReadFailed, 74, "Too many levels"), |d| {
            fs::remove_dir_all(d.join("in")).unwrap();
            symlink("in", d.join("in")).unwrap();
        }),
        run(
            "participants that differ only in case",
            DRY,
            End::Refused(DatasetInvalid, 16, "differ only in upper and lower"),
            |d| {
                for label in ["a1", "A1"] {
                    write(&d.join(format!("in/sub-{label}/anat/sub-{label}_T1w.nii.gz")), "");
                }
            },
        ),
        run("files that were left out", DRY, End::Warns("an AppleDouble file of macOS"), |d| {
            write(&d.join("in/sub-01/anat/._sub-01_T1w.nii.gz"), "");
        }),
        run(
            "a label that leads out of the dataset",
            &["IN", "OUT", "participant", "--participant-label", "../../01"],
            End::Refused(Usage, 64, "a label has only letters"),
            |_| {},
        ),
        run("a dataset without permission", DRY, End::Refused(ReadFailed, 74, "Permission denied"), |d| {
            fs::set_permissions(d.join("in"), fs::Permissions::from_mode(0o111)).unwrap();
        }),
    ];
    all.last_mut().unwrap().as_nobody = true;
    all
}

fn outputs() -> Vec<Run> {
    let into = |name, args, says| run(name, args, End::Refused(OutputUnusable, 73, says), |_| {});
    let mut all = vec![
        into("the output is the input", &["IN", "IN", "participant"], "is the same as"),
        into("the output is in the input", &["IN", "IN/out", "participant"], "is inside"),
        into("the output is a participant of the input", &["IN", "IN/sub-01", "participant"], "is inside"),
        run("the output is in the input by a link", REAL, End::Refused(OutputUnusable, 73, "is inside"), |d| {
            symlink("in/sub-01", d.join("out")).unwrap();
        }),
        run("the output is a file", REAL, End::Refused(OutputUnusable, 73, "is a file"), |d| write(&d.join("out"), "")),
        run(
            "the output is below a file",
            &["IN", "OUT/a/b", "participant"],
            End::Refused(OutputUnusable, 73, "is a file"),
            |d| {
                write(&d.join("out"), "");
            },
        ),
        run("the output is a link to nowhere", REAL, End::Refused(OutputUnusable, 73, "a link to nowhere"), |d| {
            symlink("gone", d.join("out")).unwrap();
        }),
    ];
    let mut read_only = |name, args| {
        let end = End::Refused(OutputUnusable, 73, "Permission denied");
        all.push(Run {
            as_nobody: true,
            ..run(name, args, end, |d| {
                fs::create_dir(d.join("out")).unwrap();
                fs::set_permissions(d.join("out"), fs::Permissions::from_mode(0o555)).unwrap();
            })
        });
    };
    read_only("the output may not be written to", REAL);
    read_only("the output may not be created", &["IN", "OUT/new", "participant"]);
    all
}

fn loose() -> Vec<Run> {
    const ONE: &[&str] = &["process", "IN/scan_bold.nii.gz", "-o", "OUT"];
    const MANY: &[&str] = &["batch", "IN", "-o", "OUT", "--dry-run"];
    let beside = |name, says, sidecar: fn(&Path)| {
        run(name, ONE, End::Refused(BadSidecar, 1, says), move |d| {
            write(&d.join("in/scan_bold.nii.gz"), "");
            sidecar(&d.join("in/scan_bold.json"));
        })
    };
    vec![
        run("one scan that is a named pipe", ONE, End::Refused(NotNifti, 1, "named pipe"), |d| {
            pipe(&d.join("in/scan_bold.nii.gz"));
        }),
        run(
            "one scan that was not fetched",
            ONE,
            End::Refused(NotMaterialised, 65, "a link to content that is not here"),
            |d| {
                symlink(".git/annex/objects/x", d.join("in/scan_bold.nii.gz")).unwrap();
            },
        ),
        run("one scan that is a folder", ONE, End::Refused(Usage, 64, "is a folder"), |d| {
            fs::create_dir(d.join("in/scan_bold.nii.gz")).unwrap();
        }),
        beside("one scan with a sidecar that is no JSON", "it is not JSON", |p| write(p, "{")),
        beside("one scan with a sidecar that is a named pipe", "not a regular file", pipe),
        run(
            "a folder of scans with an extension in other case",
            MANY,
            End::Warns("upper and lower case matter"),
            |d| {
                write(&d.join("in/other_T1w.NII.GZ"), "");
            },
        ),
        run("a folder of scans with a .hdr/.img pair", MANY, End::Warns("the extension .hdr is not read"), |d| {
            write(&d.join("in/other.hdr"), "");
        }),
        run(
            "a folder of scans with one in a format that is not read",
            MANY,
            End::Warns("the extension .nii.zst is not read"),
            |d| {
                write(&d.join("in/other.nii.zst"), "");
            },
        ),
        run("a folder of scans with a name that is not UTF-8", MANY, End::Warns("not valid UTF-8"), |d| {
            fs::write(d.join("in").join(OsStr::from_bytes(b"\xe9_T1w.nii.gz")), "").unwrap();
        }),
        run("a folder of scans that leads back to itself", MANY, End::Fine, |d| {
            symlink(".", d.join("in/again")).unwrap()
        }),
        run(
            "two scans with the same outputs",
            MANY,
            End::Refused(DatasetInvalid, 16, "would have the same outputs"),
            |d| {
                write(&d.join("in/a b_T1w.nii"), "");
                write(&d.join("in/ab_T1w.nii"), "");
            },
        ),
    ]
}
