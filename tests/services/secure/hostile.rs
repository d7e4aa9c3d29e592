//! A dataset and loose files in which everything that is read as text tries to be something else.

use crate::common::run;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Sets the title, clears the screen, rings, starts a sequence in one character (C1), turns the direction of writing, hides.
pub const SEQUENCES: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\r\u{7f}\u{202e}\u{2066}\u{200b}\u{feff}\u{8}";
/// Leaves an attribute, an element, a script, a comment, a CDATA section, and a template.
pub const MARKUP: &str = "\"'><np-injected onclick=np()></script><script>np()</script>]]>--><!--{{7*7}}{%raw%}&lt;";
/// What a scheme would run.
pub const LINK: &str = "javascript:np()";

/// A dataset of two participants below `folder`, whose own name is hostile too. One scan cannot be read.
pub fn dataset(folder: &Path) -> PathBuf {
    let bids = folder.join("st\u{1b}[31mudy\u{202e} <np-injected>");
    let args = ["--participants", "2", "--voxel-size", "6", "--volumes", "8"];
    run([&["synth", bids.to_str().unwrap()], &args[..]].concat()).exits(0);
    let text = |words: &str| serde_json::Value::from(format!("{words}{SEQUENCES}{MARKUP}{LINK}\n2nd line\tcell"));
    write_json(&bids.join("dataset_description.json"), &[("Name", text("Heads")), ("BIDSVersion", "1.10.0".into())]);
    write_json(
        &bids.join("T1w.json"),
        &[("Manufacturer", text("M")), ("SeriesDescription", text("S")), ("IntendedFor", "../../../outside/x".into())],
    );
    write_json(
        &bids.join("bold.json"),
        &[
            ("TaskName", text("T")),
            ("B0FieldSource", text("B")),
            ("Sources", "/etc/passwd".into()),
            ("RepetitionTime", 2.0.into()),
        ],
    );
    let _ = fs::remove_file(bids.join("task-rest_bold.json")); // contradicts the one above
    let anat = bids.join("sub-01/anat");
    rewrite(&anat.join("sub-01_T1w.nii.gz"), |image| {
        // descrip (80 bytes), aux_file (24) and intent_name (16) of NIfTI-1.
        for (at, length) in [(148, 80), (228, 24), (328, 16)] {
            let words = ["\u{1b}]0;x\u{7}\u{1b}[2J\r", MARKUP].concat();
            image[at..at + length].copy_from_slice(&words.as_bytes()[..length]);
        }
    });
    let whole = fs::read(bids.join("sub-02/anat/sub-02_T1w.nii.gz")).unwrap();
    fs::write(bids.join("sub-02/anat/sub-02_T1w.nii.gz"), &whole[..whole.len() / 2]).unwrap();
    for name in [
        format!("sub-01_acq-{SEQUENCES}_T1w.nii.gz"),
        "sub-01_<img src=x onerror=np()>_T1w.nii".to_owned(),
        "sub-01_acq-a\nFORGED  line_T1w.nii".to_owned(),
        "sub-01_acq-..\\..\\x_T1w.nii".to_owned(),
        "sub-01_acq-$(touch PWNED)`touch PWNED`_T1w.nii".to_owned(),
        format!("sub-01_acq-{}_T1w.nii.gz", "x".repeat(220)),
        "sub-01_task-<np-injected>\u{1b}c_bold.json".to_owned(),
    ] {
        fs::write(anat.join(&name), &whole).unwrap_or_else(|e| panic!("{name:?}: {e}"));
    }
    for name in ["sub-..", "sub-$(touch PWNED)", "sub-\u{1b}[2J", "sub-<script>np()<script>", "SUB-01\u{202e}"] {
        fs::create_dir_all(bids.join(name).join("anat")).unwrap();
        fs::write(bids.join(name).join("anat").join(format!("{name}_T1w.nii.gz")), &whole).unwrap();
    }
    let table = format!("participant_id\tsex\nsub-01\t=cmd|' /C calc'!A0{SEQUENCES}\nsub-../../outside\t{MARKUP}\n");
    fs::write(bids.join("participants.tsv"), table).unwrap();
    bids
}

/// A folder of two loose scans: one of a hostile name, one that begins like a formula and is cut short.
pub fn loose(folder: &Path, bids: &Path) -> PathBuf {
    let loose = folder.join("loose");
    fs::create_dir(&loose).unwrap();
    let scan = fs::read(bids.join("sub-01/anat/sub-01_T1w.nii.gz")).unwrap();
    // All that a name may have: everything but a slash.
    let name = format!("x{SEQUENCES}<np-injected onclick=np()><script>np()T1w.nii.gz");
    fs::write(loose.join(name), &scan).unwrap();
    fs::write(loose.join("=cmd|' C calc'!A0\t\n\"T1w.nii.gz"), &scan[..scan.len() / 2]).unwrap();
    loose
}

fn write_json(path: &Path, fields: &[(&str, serde_json::Value)]) {
    let object: serde_json::Map<_, _> = fields.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    fs::write(path, serde_json::to_string(&object).unwrap()).unwrap();
}

fn rewrite(path: &Path, change: impl FnOnce(&mut [u8])) {
    let mut image = Vec::new();
    GzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut image).unwrap();
    change(&mut image);
    let mut zipped = GzEncoder::new(fs::File::create(path).unwrap(), Compression::fast());
    zipped.write_all(&image).unwrap();
    zipped.finish().unwrap();
}

/// Every file and link below `folder` with its content or target.
pub fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(|e| e.unwrap().into_path());
    let content = |path: &Path| match fs::read_link(path) {
        Ok(target) => target.into_os_string().into_encoded_bytes(),
        Err(_) if path.is_dir() => Vec::new(),
        Err(_) => fs::read(path).unwrap(),
    };
    entries.map(|path| (path.clone(), content(&path))).collect()
}

/// Fails when `bytes` hold anything that acts on whoever looks at them: what is no UTF-8, control characters but line ends
/// and tabs, and characters without width or that turn the direction of writing.
#[track_caller]
pub fn is_harmless(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|e| panic!("{what}: {e}"));
    let hidden = |c: char| matches!(u32::from(c), 0xad | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0xe0000..=0xe007f);
    let bad = |c: char| c.is_control() && !"\n\t".contains(c) || hidden(c);
    if let Some(at) = text.find(bad) {
        let start = text[..at].char_indices().rev().nth(60).map_or(0, |(i, _)| i);
        panic!("{what} has {:?} after {:?}", text[at..].chars().next(), &text[start..at]);
    }
}
