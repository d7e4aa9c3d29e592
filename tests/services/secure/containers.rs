//! Containers work without root: what the definitions say, and the program as a user who owns nothing but its output.

use crate::common::{as_nobody, install, run, run_command};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

fn text_of(path: &str) -> String {
    fs::read_to_string(install::root(path)).unwrap()
}

/// Docker starts as root unless told otherwise.
#[test]
fn the_docker_image_starts_as_a_user_by_number() {
    let file = text_of("containers/Dockerfile");
    let last = file.rsplit("\nFROM ").next().unwrap();
    let users: Vec<&str> = last.lines().filter_map(|line| line.strip_prefix("USER ")).collect();
    // By number, because Kubernetes' runAsNonRoot looks up no names.
    let ids: Vec<u32> = users[0].split(':').map(|id| id.parse().unwrap()).collect();
    assert!(users.len() == 1 && ids.len() == 2 && ids.iter().all(|id| *id > 0), "{users:?}");
}

/// Apptainer runs as its caller. What would need more, or change the host, is in no definition and no script.
#[test]
fn nothing_in_a_definition_asks_for_root() {
    let files: Vec<_> = fs::read_dir(install::root("containers")).unwrap().map(|e| e.unwrap().path()).collect();
    let definitions = files.iter().filter(|p| p.extension().is_some_and(|e| e == "def")).count();
    assert!(definitions >= 7, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code: Vec<&str> = text
            .lines()
            .map(|line| line.split(" #").next().unwrap())
            .filter(|l| !l.trim_start().starts_with('#'))
            .collect();
        for bad in [
            "%setup",
            "sudo",
            "setuid",
            "u+s",
            "--privileged",
            "--add-caps",
            "--allow-setuid",
            "--security-opt seccomp=unconfined",
            "docker.sock",
        ] {
            let found = code.iter().find(|line| line.contains(bad));
            assert!(found.is_none(), "{}: {found:?}", file.display());
        }
    }
    let launch = text_of("containers/stack_launch.sh");
    assert!(launch.contains("instance start --cleanenv --no-home") && launch.contains(":/configs:ro"), "{launch}");
}

/// As `nobody`, without capabilities and without a way to get any, in a folder that cannot be written to.
#[test]
fn the_program_needs_no_rights_but_to_its_output() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let [bids, out, program] = ["bids", "out", "neuro-preprocess"].map(|name| dir.path().join(name));
    let args = ["--participants", "1", "--voxel-size", "6", "--volumes", "8"];
    run([&["synth", bids.to_str().unwrap()], &args[..]].concat()).exits(0);
    fs::copy(env!("CARGO_BIN_EXE_neuro-preprocess"), &program).unwrap();
    fs::create_dir(&out).unwrap();
    let Some(mut nobody) = install::or_skip("another user", as_nobody()) else { return };
    chown(&out, Some(65534), Some(65534)).unwrap();
    nobody.args(["--no-new-privs", "--bounding-set=-all"]).arg(&program).args([&bids, &out]).arg("participant");
    let ran = run_command(nobody.current_dir("/")).exits(0);
    assert!(ran.last_line().starts_with("2 scans: 2 ok"), "{}", ran.stdout);
    assert!(out.join("sub-01/sub-01_success.json").is_file());
}
