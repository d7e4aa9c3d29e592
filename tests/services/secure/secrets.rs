//! Headers, passwords, keys and the rest of the environment are in no file and on no screen, also not after a failure.

use crate::common::{binary, run, run_command};
use std::fs;
use std::path::Path;

/// What must be found nowhere.
const SECRETS: [&str; 4] = ["tok3n-of-headers", "pa55word-of-url", "va1ue-of-environment", "k3y-of-pseudonyms!!"];

fn secretive(args: &[&str]) -> std::process::Command {
    let mut command = binary();
    command.args(args).env("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20tok3n-of-headers");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:pa55word-of-url@127.0.0.1:9");
    command.env("AWS_SECRET_ACCESS_KEY", "va1ue-of-environment").env("MY_TOKEN", "va1ue-of-environment");
    command.env("NEURO_PREPROCESS_PSEUDONYM_KEY", "k3y-of-pseudonyms!!");
    command
}

#[track_caller]
fn holds_none(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} is in {what}");
    }
}

#[track_caller]
fn no_file_holds_any(out: &Path) {
    for entry in walkdir::WalkDir::new(out).into_iter().map(|e| e.unwrap()).filter(|e| e.file_type().is_file()) {
        holds_none(&entry.path().display().to_string(), &fs::read(entry.path()).unwrap());
    }
}

#[test]
fn secrets_are_left_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dir.path().join("bids"), dir.path().join("out"));
    let (bids, out) = (bids.to_str().unwrap(), out.to_str().unwrap());
    run(["synth", bids, "--participants", "2", "--modalities", "T1w", "--voxel-size", "6"]).exits(0);
    let broken = Path::new(bids).join("sub-02/anat/sub-02_T1w.nii.gz");
    fs::write(&broken, "no image").unwrap();
    let image = dir.path().join("image.sif");
    fs::write(&image, "").unwrap();
    for (args, code) in [
        (vec![bids, out, "participant", "--debug", "--trace"], 1),
        (vec![bids, out, "participant", "--pseudonymize", "-v", "--log-format", "json"], 1),
        (vec![bids, out, "participant", "--fail-rate", "1", "--force"], 1),
        (vec![bids, out, "group"], 0),
        (vec!["slurm", bids, out], 0),
        (vec!["slurm", bids, out, "--image", image.to_str().unwrap()], 0),
        (vec!["telemetry", "config"], 0),
        (vec!["telemetry", "config", "--format", "json"], 0),
        (vec!["telemetry", "show", out], 0),
        (vec!["telemetry", "status", out], 0),
        (vec!["telemetry", "replay", out], 75),
    ] {
        let ran = run_command(&mut secretive(&args));
        holds_none(&format!("what {args:?} says"), (ran.stdout.clone() + &ran.stderr).as_bytes());
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
    }
    let mut wrong = secretive(&[bids, out, "participant", "-v"]);
    wrong.env("OTEL_EXPORTER_OTLP_HEADERS", "a=1,bad name=tok3n-of-headers");
    let ran = run_command(&mut wrong).exits(1);
    assert!(ran.stderr.contains("entry 2 cannot be a header"), "{}", ran.stderr);
    holds_none("the refusal of a header", (ran.stdout + &ran.stderr).as_bytes());
    for made in ["index.html", "sub-01.html", "logs/status.json"] {
        assert!(Path::new(out).join(made).is_file(), "{made}");
    }
    no_file_holds_any(Path::new(out));
}

/// Job scripts are read by others: a password in the endpoint is not written into them.
#[test]
fn a_password_does_not_get_into_a_job_script() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dir.path().join("bids"), dir.path().join("out"));
    run(["synth", bids.to_str().unwrap(), "--participants", "1", "--modalities", "T1w", "--voxel-size", "6"]).exits(0);
    let endpoint = "http://me:pa55word-of-url@collector:4317";
    for option in ["--dry-run", "--batch=1"] {
        let mut command = binary();
        command.arg("slurm").args([&bids, &out]).args([option, "--otel-endpoint", endpoint]);
        let refused = run_command(&mut command).exits(64);
        holds_none("the refusal", (refused.stdout + &refused.stderr).as_bytes());
        assert!(refused.stderr.contains("…@collector:4317") && refused.stderr.contains("OTEL_EXPORTER_OTLP_HEADERS"));
    }
    no_file_holds_any(dir.path());
}
