//! Disks without room, without inodes, that can only be read, and folders of others. They are made with `mount`, as root.

use super::calls::assert_given_up;
use super::study::{SCANS, Study};
use crate::common::install::{must, or_skip};
use crate::common::{as_nobody, run_command};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory, unmounted when dropped.
struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    /// With the size and the number of files that `options` allow; `None` where nothing may be mounted.
    fn mount(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path());
        let disk = must(&mut mount).map(|()| Self { dir });
        or_skip("a disk of a given size (mount -t tmpfs, as root)", disk)
    }

    fn remount(&self, options: &str) {
        let mut mount = Command::new("mount");
        run_command(mount.args(["-o", &format!("remount,{options}")]).arg(self.dir.path())).exits(0);
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.dir.path()).status();
    }
}

/// Runs into the limit, then with more room: everything is there in the end, and what was done is not done again.
fn fills(study: &Study, disk: &Disk, room: &str) {
    let out = disk.out();
    let full = run_command(&mut study.command(&out));
    assert_given_up(&full, "is full");
    assert!(full.stderr.contains(&format!("mounted at {}", disk.dir.path().display())), "{}", full.stderr);
    study.assert_whole(&out, "full");
    let markers = |sub: &&str| out.join(format!("{sub}/{sub}_success.json")).exists();
    let done = ["sub-01", "sub-02", "sub-03"].iter().filter(|sub| markers(sub)).count();
    assert_eq!(done, 1, "the first participant fits, and the bold run of the second does not: {}", full.stdout);
    disk.remount(room);
    let rest = study.run(&out).exits(0);
    // The second keeps its T1w image.
    let last = format!("{SCANS} scans: {} ok, 0 failed, 2 already done", SCANS - 2);
    assert!(rest.last_line().starts_with(&last), "{}", rest.stdout);
    study.assert_complete(&out, "with room");
}

#[test]
fn a_full_disk_ends_the_run_and_room_lets_it_be_finished() {
    let study = Study::get();
    let Some(disk) = Disk::mount("size=1400k") else { return };
    fills(study, &disk, "size=64m");
}

#[test]
fn a_disk_without_inodes_is_a_full_disk() {
    let study = Study::get();
    let Some(disk) = Disk::mount("size=64m,nr_inodes=75") else { return };
    fills(study, &disk, "nr_inodes=10000");
}

#[test]
fn a_disk_that_can_only_be_read_is_refused_at_once_and_left_as_it_is() {
    let study = Study::get();
    let Some(disk) = Disk::mount("size=64m") else { return };
    let out = disk.out();
    let mut one = study.command(&out);
    run_command(one.args(["--participant-label", "01"])).exits(0);
    disk.remount("ro");
    let refused = study.run(&out).exits(73);
    assert!(refused.stderr.contains("is read-only") && refused.stderr.contains("NP-OUTPUT-UNUSABLE"));
    disk.remount("rw");
    study.run(&out).exits(0);
    study.assert_complete(&out, "writable again");
}

#[test]
fn a_folder_of_somebody_else_is_refused_at_once() {
    let study = Study::get();
    let dir = tempfile::tempdir().unwrap();
    let Some(mut theirs) = or_skip("another user", as_nobody()) else { return };
    // The program and the dataset where anybody can read them.
    let open = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    open(dir.path());
    let program = dir.path().join("neuro-preprocess");
    std::fs::copy(env!("CARGO_BIN_EXE_neuro-preprocess"), &program).unwrap();
    let bids = dir.path().join("bids");
    run_command(Command::new("cp").arg("-r").arg(&study.bids).arg(&bids)).exits(0);
    let out = dir.path().join("out");
    run_command(study.command(&out).args(["--participant-label", "01"])).exits(0);
    theirs.arg(&program).arg(&bids).arg(&out).args(["participant", "--nprocs", "1"]);
    let refused = run_command(&mut theirs).exits(73);
    assert!(refused.stderr.contains("you have no write permission there"), "{}", refused.stderr);
    study.run(&out).exits(0);
    study.assert_complete(&out, "by its owner");
}
