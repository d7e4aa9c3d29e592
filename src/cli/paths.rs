//! Checks of the folders and files named on the command line: inputs exist and are of the right kind, outputs can be
//! made and never lie in the input.

use super::error::Refusal;
use crate::bids::{SkipReason, split_extension};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// Refuses a folder that is missing or a file; `advice` says which form takes a file.
pub(super) fn input_folder(path: &Path, advice: &'static str, hint: String) -> Result<(), Refusal> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Refusal::WrongKind { path: path.to_owned(), is: "file", advice }),
        Err(e) => Err(absent("the input folder", path, &e, hint)),
    }
}

/// Refuses a scan that is missing, not fetched, or a folder.
pub(super) fn input_scan(path: &Path) -> Result<(), Refusal> {
    let advice = "use the verb batch (or --input-dir) for a folder of scans";
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(Refusal::WrongKind { path: path.to_owned(), is: "folder", advice }),
        Ok(_) => match split_extension(&path.file_name().unwrap_or_default().to_string_lossy()) {
            // What is named as an image of another kind is one.
            Err(reason @ SkipReason::Extension(_)) => Err(Refusal::NotAScan { path: path.to_owned(), reason }),
            _ => Ok(()),
        },
        Err(e) if e.kind() == ErrorKind::NotFound && path.is_symlink() => {
            Err(Refusal::NotMaterialised { path: path.to_owned() })
        }
        Err(e) => Err(absent("the scan", path, &e, bound_hint(path))),
    }
}

/// Refuses a file beside the scans (a filter file) that is missing or a folder.
pub(super) fn side_file(path: &Path, role: &'static str) -> Result<(), Refusal> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            Err(Refusal::WrongKind { path: path.to_owned(), is: "folder", advice: "name the file itself" })
        }
        Ok(_) => Ok(()),
        Err(e) => Err(absent(role, path, &e, bound_hint(path))),
    }
}

/// Tells a path that is not there from one that may not be looked at.
fn absent(role: &'static str, path: &Path, error: &std::io::Error, hint: String) -> Refusal {
    let path = path.to_owned();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Refusal::InputMissing { role, path, hint },
        _ => Refusal::Unreadable { role, path, problem: error.to_string() },
    }
}

/// The folder that must not be written to when `path` (a scan, or a folder of scans) is the input: the dataset it lies
/// in, where there is one.
pub(super) fn dataset_above(path: &Path) -> Option<PathBuf> {
    let whole = lexical(path);
    whole.ancestors().find(|folder| folder.join("dataset_description.json").exists()).map(Path::to_owned)
}

/// Inside a container the commonest reason for a missing path is that it was not bound.
pub(super) fn bound_hint(path: &Path) -> String {
    let nearest = path.ancestors().skip(1).find(|p| p.is_dir());
    match nearest {
        Some(folder) if folder != Path::new("/") => {
            format!(": {} is the last part that does; check the spelling, or the mount", folder.display())
        }
        _ => ": check the spelling, and inside a container that the folder is bound".to_owned(),
    }
}

/// Refuses a folder to write to (`role` is `output` or `work`) that cannot become one, or that lies in `input`.
///
/// Compared both as written and with every link of the existing part followed, so that neither a link into the input
/// nor `..` gets past. `derivatives/` inside the input is where BIDS wants derivatives, and is allowed.
pub(super) fn output_folder(role: &'static str, folder: &Path, input: Option<&Path>) -> Result<(), Refusal> {
    in_the_way(folder)
        .map_or(Ok(()), |problem| Err(Refusal::OutputUnusable { role, folder: folder.to_owned(), problem }))?;
    let Some(input) = input else { return Ok(()) };
    for view in [lexical, real] {
        let (outer, inner) = (view(input), view(folder));
        let Ok(rest) = inner.strip_prefix(&outer) else { continue };
        let relation = match rest.components().next() {
            None => "the same as",
            Some(Component::Normal(first)) if first == "derivatives" => continue,
            Some(_) => "inside",
        };
        return Err(Refusal::InsideInput { role, folder: folder.to_owned(), input: input.to_owned(), relation });
    }
    Ok(())
}

/// Refuses `folder` where it is the input itself, as a study's root is when its dataset lies below.
pub(super) fn not_the_same(role: &'static str, folder: &Path, input: &Path) -> Result<(), Refusal> {
    if lexical(folder) != lexical(input) && real(folder) != real(input) {
        return Ok(());
    }
    let (folder, input) = (folder.to_owned(), input.to_owned());
    Err(Refusal::InsideInput { role, folder, input, relation: "the same as" })
}

/// What keeps `folder` from being created: a file, or a link to nowhere, on the way to it.
fn in_the_way(folder: &Path) -> Option<String> {
    let first = folder.ancestors().find(|p| !p.as_os_str().is_empty() && p.symlink_metadata().is_ok())?;
    if first.is_dir() {
        return None;
    }
    let kind = if first.exists() { "a file" } else { "a link to nowhere" };
    Some(format!("{} is {kind}; remove it or choose another folder", first.display()))
}

/// The absolute path with `.` and `..` taken out as written.
fn lexical(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// The absolute path with links followed as far as it exists; what does not exist yet cannot hold links.
fn real(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for part in whole.ancestors() {
        if let (Ok(found), Ok(rest)) = (part.canonicalize(), whole.strip_prefix(part)) {
            return lexical(&found.join(rest));
        }
    }
    lexical(&whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn relation(result: Result<(), Refusal>) -> &'static str {
        match result {
            Ok(()) => "fine",
            Err(Refusal::InsideInput { relation, .. }) => relation,
            Err(Refusal::OutputUnusable { .. }) => "unusable",
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn nothing_is_written_into_the_input() {
        let tmp = tempfile::tempdir().unwrap();
        let bids = tmp.path().join("bids");
        fs::create_dir_all(bids.join("sub-01")).unwrap();
        let check = |out: &Path| relation(output_folder("output", out, Some(&bids)));
        assert_eq!(check(&bids), "the same as");
        assert_eq!(check(&bids.join(".")), "the same as");
        assert_eq!(check(&bids.join("sub-01/..")), "the same as");
        assert_eq!(check(&bids.join("out/deep")), "inside");
        assert_eq!(check(&tmp.path().join("new/../bids/out")), "inside");
        assert_eq!(check(&bids.join("derivatives")), "fine");
        assert_eq!(check(&bids.join("derivatives/np")), "fine");
        assert_eq!(check(&bids.join("derivatives/../out")), "inside");
        assert_eq!(check(&tmp.path().join("bids-out")), "fine");
        assert_eq!(check(tmp.path()), "fine");
    }

    #[cfg(unix)]
    #[test]
    fn links_do_not_get_past() {
        use std::os::unix::fs::symlink;
        let tmp = tempfile::tempdir().unwrap();
        let (bids, other) = (tmp.path().join("bids"), tmp.path().join("other"));
        fs::create_dir_all(bids.join("sub-01")).unwrap();
        fs::create_dir(&other).unwrap();
        symlink(&bids, tmp.path().join("alias")).unwrap();
        symlink(bids.join("sub-01"), other.join("into")).unwrap();
        symlink(tmp.path().join("gone"), other.join("nowhere")).unwrap();
        symlink(bids.join("sub-01"), bids.join("derivatives")).unwrap();
        let check = |out: PathBuf| relation(output_folder("output", &out, Some(&bids)));
        assert_eq!(check(tmp.path().join("alias")), "the same as");
        assert_eq!(check(tmp.path().join("alias/out")), "inside");
        assert_eq!(check(other.join("into/new")), "inside");
        assert_eq!(check(other.join("nowhere/new")), "unusable");
        assert_eq!(check(bids.join("derivatives/np")), "inside", "derivatives is a link to raw data");
        let through = output_folder("output", &bids.join("out"), Some(&tmp.path().join("alias")));
        assert_eq!(relation(through), "inside");
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("notes.txt");
        fs::write(&file, "x").unwrap();
        for out in [file.clone(), file.join("out")] {
            let text = output_folder("output", &out, None).unwrap_err().to_string();
            assert!(text.contains("notes.txt is a file"), "{text}");
        }
    }

    #[test]
    fn the_dataset_around_a_scan_is_found() {
        let tmp = tempfile::tempdir().unwrap();
        let anat = tmp.path().join("bids/sub-01/anat");
        fs::create_dir_all(&anat).unwrap();
        assert_eq!(dataset_above(&anat.join("x.nii")), None);
        fs::write(tmp.path().join("bids/dataset_description.json"), "{}").unwrap();
        assert_eq!(dataset_above(&anat.join("x.nii")), Some(tmp.path().join("bids")));
        assert_eq!(dataset_above(&anat.join("../../")), Some(tmp.path().join("bids")));
    }

    #[test]
    fn inputs_are_of_the_right_kind() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("scan.nii");
        fs::write(&file, "x").unwrap();
        assert_eq!(input_scan(&file), Ok(()));
        assert!(matches!(input_scan(tmp.path()), Err(Refusal::WrongKind { is: "folder", .. })));
        assert!(matches!(input_folder(&file, "", String::new()), Err(Refusal::WrongKind { is: "file", .. })));
        let text = input_scan(&tmp.path().join("no/such.nii")).unwrap_err().to_string();
        assert!(text.contains(&format!("{} is the last part that does", tmp.path().display())), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn a_scan_that_was_not_fetched_is_told_from_a_missing_one() {
        let tmp = tempfile::tempdir().unwrap();
        let link = tmp.path().join("sub-01_T1w.nii.gz");
        std::os::unix::fs::symlink("../.git/annex/objects/x", &link).unwrap();
        assert!(matches!(input_scan(&link), Err(Refusal::NotMaterialised { .. })));
        let round = tmp.path().join("loop.nii");
        std::os::unix::fs::symlink("loop.nii", &round).unwrap();
        assert!(matches!(input_scan(&round), Err(Refusal::Unreadable { .. })));
    }
}
