//! Links inside the output folder. A run writes its files beside their place and renames them, which replaces a link of that
//! name and never writes through it; folders are another matter.
//!
//! A folder may be a link, to a larger disk for instance, when the one who made it might as well have made the folder: the
//! rule of Linux' `protected_symlinks`. A link of somebody else could send what is written anywhere; one that leads back
//! into the dataset would change the input. So could a link in a folder of somebody else: in an output folder where anybody may
//! make folders (mode 1777), those that others have made are not entered. Looked at before a run, not guarded during it.

use std::fs::Metadata;
use std::path::{Component, Path, PathBuf};

/// A link that is not followed, or a folder that is not entered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is {what} {why}; remove it, or choose another output folder", place.display())]
pub struct BadLink {
    /// Where it is.
    pub place: PathBuf,
    /// What it is: a link to where, or a folder.
    pub what: String,
    /// What speaks against it.
    pub why: &'static str,
}

/// Looks at what exists of `folders`, which are relative to `output`, and of the folders above each up to `output`. `input` is
/// the dataset. The output folder itself was named by the user and may be a link.
///
/// # Errors
/// The first [`BadLink`].
pub fn check<'a>(output: &Path, input: &Path, folders: impl IntoIterator<Item = &'a Path>) -> Result<(), BadLink> {
    let mut seen = std::collections::BTreeSet::new();
    for folder in folders {
        let above = folder.ancestors().take_while(|part| !part.as_os_str().is_empty());
        for part in above.filter(|part| seen.insert(*part)).collect::<Vec<_>>().into_iter().rev() {
            let path = output.join(part);
            match path.symlink_metadata() {
                Ok(found) if found.is_symlink() => check_link(&path, &found, input)?,
                Ok(found) if found.is_dir() && !may_be_entered(&path, &found) => {
                    let why = "of another user, who may put a link into it, and anybody may make one here";
                    return Err(BadLink { place: path, what: "a folder".to_owned(), why });
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn check_link(link: &Path, found: &Metadata, input: &Path) -> Result<(), BadLink> {
    let target = || std::fs::read_link(link).unwrap_or_default();
    let bad = |why| BadLink { place: link.to_owned(), what: format!("a link to {}", target().display()), why };
    let Ok(target) = link.canonicalize() else { return Err(bad("which is not there")) };
    if !may_be_followed(link, found) {
        return Err(bad("that belongs neither to you nor to the owner of the folder it is in"));
    }
    let input = input.canonicalize().unwrap_or_else(|_| input.to_owned());
    match target.strip_prefix(&input).map(|rest| rest.components().next()) {
        Ok(Some(Component::Normal(first))) if first == "derivatives" => Ok(()),
        Ok(_) => Err(bad("in the dataset, which is never written to")),
        Err(_) => Ok(()),
    }
}

/// Whether the owner of the link is the user, the administrator, or the owner of its folder.
#[cfg(unix)]
fn may_be_followed(link: &Path, found: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let owner_of = |path: &Path| std::fs::metadata(path).ok().map(|m| m.uid());
    // The folder of a process belongs to its user.
    let trusted = [Some(0), owner_of(Path::new("/proc/self")), link.parent().and_then(owner_of)];
    trusted.contains(&Some(found.uid()))
}

#[cfg(not(unix))]
fn may_be_followed(_: &Path, _: &Metadata) -> bool {
    true
}

/// Whether the folder belongs to a trusted user, or only trusted users can create folders beside it.
#[cfg(unix)]
fn may_be_entered(folder: &Path, found: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let anybody_writes = |above: &Path| std::fs::metadata(above).is_ok_and(|above| above.mode() & 0o002 != 0);
    may_be_followed(folder, found) || !folder.parent().is_some_and(anybody_writes)
}

#[cfg(not(unix))]
fn may_be_entered(_: &Path, _: &Metadata) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs::create_dir_all;
    use std::os::unix::fs::{lchown, symlink};

    #[test]
    fn own_links_are_followed_and_foreign_ones_and_those_into_the_dataset_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["bids/sub-01/anat", "bids/derivatives/x", "out/sub-04", "scratch"] {
            create_dir_all(at(folder)).unwrap();
        }
        let look = |folder: &str| check(&at("out"), &at("bids"), [Path::new(folder)]).map_err(|bad| bad.why);
        symlink(at("scratch"), at("out/sub-01")).unwrap();
        symlink(at("bids/sub-01"), at("out/sub-02")).unwrap();
        symlink(at("nowhere"), at("out/sub-03")).unwrap();
        symlink(at("bids/sub-01/anat"), at("out/sub-04/anat")).unwrap();
        symlink(at("bids/derivatives/x"), at("out/sub-05")).unwrap();
        assert_eq!((look("sub-01/anat"), look("sub-05/anat"), look("sub-99/anat")), (Ok(()), Ok(()), Ok(())));
        assert!(look("sub-02/anat").is_err_and(|why| why.contains("never written to")));
        assert!(look("sub-03").is_err_and(|why| why.contains("not there")));
        assert!(look("sub-04/anat").is_err_and(|why| why.contains("never written to")));
        // Only root can give a link away.
        if lchown(at("out/sub-01"), Some(12345), None).is_ok() {
            assert!(look("sub-01/anat").is_err_and(|why| why.contains("belongs neither")));
        }
    }

    #[test]
    fn where_anybody_may_make_folders_those_of_others_are_not_entered() {
        use std::os::unix::fs::{PermissionsExt, chown};
        let dir = tempfile::tempdir().unwrap();
        let (out, theirs) = (dir.path().join("out"), dir.path().join("out/sub-01"));
        create_dir_all(&theirs).unwrap();
        create_dir_all(dir.path().join("target")).unwrap();
        symlink(dir.path().join("target"), theirs.join("anat")).unwrap();
        let look = || check(&out, &dir.path().join("bids"), [Path::new("sub-01/anat")]).map_err(|bad| bad.to_string());
        let mode = |mode| std::fs::set_permissions(&out, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o1777);
        assert_eq!(look(), Ok(()));
        // Only root can give files away. The folder and the link in it have one owner, so the link alone tells nothing.
        if chown(&theirs, Some(12345), None).is_ok() && lchown(theirs.join("anat"), Some(12345), None).is_ok() {
            assert!(look().is_err_and(|said| said.contains("sub-01 is a folder of another user")), "{:?}", look());
            // Of a colleague, in a folder that only some may write to.
            mode(0o2775);
            assert_eq!(look(), Ok(()));
        }
    }
}
