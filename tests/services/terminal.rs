//! What a person sees: a run in a real terminal of 80 and 40 columns, without colours, piped, made narrower, and stopped.
//! The screens stay in `target/tmp/terminal-*`, with and without colours.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common;
use crate::common::tmux::Terminal;
use crate::common::{binary, run, run_command};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A folder with a dataset `bids` of four participants; the image of the third is cut short.
fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let bids = dir.path().join("bids");
    let text = bids.to_str().unwrap();
    run(["synth", text, "--participants", "4", "--modalities", "T1w", "--voxel-size", "5"]).exits(0);
    let broken = bids.join("sub-03/anat/sub-03_T1w.nii.gz");
    let whole = fs::read(&broken).unwrap();
    fs::write(&broken, &whole[..whole.len() / 2]).unwrap();
    dir
}

fn keep(name: &str, terminal: &Terminal) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::write(folder.join(format!("terminal-{name}.txt")), terminal.screen()).unwrap();
    fs::write(folder.join(format!("terminal-{name}.ansi")), terminal.coloured()).unwrap();
}

fn is_bar(line: &str) -> bool {
    line.starts_with('[') && line.contains(['█', '░'])
}

/// A run that takes its time: the first bar, what is above and below it, then the end.
fn run_in(name: &str, columns: u16) {
    let dir = place();
    let Some(terminal) = Terminal::open(name, dir.path(), (columns, 30), &[]) else { return };
    terminal.enter("neuro-preprocess bids out participant --nprocs 2 --slow-stage process:2; echo \"exit $?\"");
    let screen = terminal.wait("a failure above the bar and work below it", |screen| {
        screen.contains("sub-03_T1w failed after")
            && screen.contains("] 3/4  1 failed")
            && screen.contains("  sub-04_T1w")
    });
    keep(&format!("{name}-running"), &terminal);
    let lines: Vec<&str> = screen.trim_end().lines().collect();
    let at = lines.iter().position(|line| is_bar(line)).unwrap();
    assert_eq!(lines.iter().filter(|line| is_bar(line)).count(), 1, "{screen}");
    assert!(lines[at].contains("] 3/4") && lines[at].contains(" left") && lines[at].contains("1 failed"), "{screen}");
    let work = lines[at + 1];
    assert!(work.starts_with("  sub-04_T1w ") && work.ends_with(" s"), "{screen}");
    // The third scan may end after the pause of the fourth.
    assert!([" process ", " skull_strip "].iter().any(|step| work.contains(step)), "{screen}");
    let above = lines[..at].join("\n");
    for part in [
        "  dataset    Synthetic heads",
        "  resources  2 threads",
        "  telemetry  files in out/logs",
        "WARN",
        "failed after",
    ] {
        assert!(above.contains(part), "{part} is not above the bar:\n{screen}");
    }

    let screen = terminal.ended();
    keep(name, &terminal);
    assert!(!screen.lines().any(is_bar), "the bar is left:\n{screen}");
    let end = screen.trim_end();
    for part in ["  ok           3\n", "  failed       1\n", "  slowest      sub-0", "\nexit 1"] {
        assert!(end.contains(part), "{part:?}:\n{screen}");
    }
    let flat = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("reasons neuro-preprocess explain NP-TRUNCATED"), "{screen}");
    assert!(flat.contains("4 scans: 3 ok, 1 failed in ") && flat.contains("outputs in out exit 1"), "{screen}");
    // The command that was typed is the shell's; nothing else may be too long.
    let typed = "% neuro-preprocess bids out participant --nprocs 2 --slow-stage process:2; echo \"exit $?\"".len();
    assert_eq!(
        terminal.broken_lines(),
        (typed - 1) / usize::from(columns),
        "a line is wider than the terminal:\n{screen}"
    );
}

#[test]
fn a_run_at_80_columns() {
    run_in("80", 80);
}

#[test]
fn a_run_at_40_columns() {
    run_in("40", 40);
}

#[test]
fn a_window_made_narrower_and_wider_is_left_with_one_bar() {
    let dir = place();
    let Some(terminal) = Terminal::open("resized", dir.path(), (100, 30), &[]) else { return };
    terminal.enter("neuro-preprocess bids out participant --nprocs 2 --slow-stage process:3; echo \"exit $?\"");
    terminal.wait("work", |screen| screen.contains("  sub-02_T1w "));
    for columns in [40, 90] {
        terminal.resize(columns);
        let fits = |line: &str| is_bar(line) && line.chars().count() <= usize::from(columns);
        terminal
            .wait("one bar", |screen| screen.lines().filter(|l| is_bar(l)).count() == 1 && screen.lines().any(fits));
    }
    let screen = terminal.ended();
    assert!(!screen.contains(['█', '░']) && !screen.contains("\n  sub-0"), "{screen}");
}

#[test]
fn ctrl_c_says_what_it_finishes_and_leaves_a_clean_screen() {
    let dir = tempfile::tempdir().unwrap();
    // Stages of this size take long enough to press a key in.
    let bids = dir.path().join("bids");
    run(["synth", bids.to_str().unwrap(), "--participants", "1", "--modalities", "T1w", "--voxel-size", "1"]).exits(0);
    let pressed = |name: &str, presses: usize| {
        let terminal = Terminal::open(name, dir.path(), (80, 40), &[])?;
        terminal.enter("neuro-preprocess bids out participant --nprocs 1; echo \"exit $?\"");
        terminal.wait("work", |screen| screen.contains("  sub-01_T1w ") && screen.contains(" skull_strip "));
        for n in 0..presses {
            terminal.key("C-c");
            terminal.wait("what it finishes", |screen| n > 0 || screen.contains("finishing sub-01_T1w skull_strip, "));
        }
        let screen = terminal.ended();
        keep(name, &terminal);
        assert!(!screen.lines().any(is_bar), "{screen}");
        let part = "(Ctrl-C again stops at once)\n  finishing sub-01_T1w skull_strip, ";
        assert!(screen.contains(part) && screen.contains("exit 75\n"), "{screen}");
        assert!(screen.contains("\n  1 of 1 scans remain; run the same command again to process them\n"), "{screen}");
        let status = fs::read(dir.path().join("out/logs/status.json")).unwrap();
        Some((screen, serde_json::from_slice::<Value>(&status).unwrap()))
    };
    let Some((once, status)) = pressed("stopped", 1) else { return };
    assert!(once.contains("1 scans: 0 ok, 0 failed, 1 stopped in "), "{once}");
    assert!(once.contains("  stopped      1\n") && once.contains("run the same command again"), "{once}");
    assert_eq!((&status["state"], &status["active"]), (&"interrupted".into(), &Value::Array(vec![])));
    let Some((twice, status)) = pressed("stopped-twice", 2) else { return };
    assert!(!twice.contains("  stopped "), "{twice}");
    assert_eq!((&status["state"], &status["active"][0]["stage"]), (&"interrupted".into(), &"skull_strip".into()));
}

#[test]
fn colours_only_where_they_are_wanted() {
    let dir = place();
    let command = "neuro-preprocess bids out participant --force --participant-label 03; echo \"exit $?\"";
    let escape = |environment: &[(&str, &str)]| {
        let name = format!("colour{}", environment.first().map_or("", |(name, _)| name));
        let terminal = Terminal::open(&name, dir.path(), (80, 30), environment)?;
        terminal.enter(command);
        let screen = terminal.ended();
        assert!(screen.contains("sub-03_T1w failed after"), "{screen}");
        keep(&name, &terminal);
        Some(terminal.coloured().lines().find(|line| line.contains(" after ")).unwrap().contains("\x1b["))
    };
    let Some(coloured) = escape(&[]) else { return };
    assert!(coloured, "an error is coloured on a terminal");
    assert_eq!(escape(&[("NO_COLOR", "1")]), Some(false));
    assert_eq!(escape(&[("CLICOLOR", "0")]), Some(false));
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_lines() {
    let dir = place();
    let Some(terminal) = Terminal::open("dumb", dir.path(), (80, 30), &[]) else { return };
    terminal.enter("TERM=dumb neuro-preprocess bids out participant; echo \"exit $?\"");
    let screen = terminal.ended();
    assert!(screen.contains("\n[4/4] sub-0") && !screen.contains('█'), "{screen}");
}

#[test]
fn piped_runs_write_lines_a_sign_of_life_and_a_status() {
    let dir = place();
    let (bids, out) = (dir.path().join("bids"), dir.path().join("out"));
    let args = [bids.to_str().unwrap(), out.to_str().unwrap(), "participant", "--participant-label", "01", "03"];
    let mut command = binary();
    command.args(args).args(["--nprocs", "1", "--slow-stage", "process:6"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let file = out.join("logs/status.json");
    let status = || serde_json::from_slice::<Value>(&fs::read(&file).ok()?).ok();
    let (begun, mut seen) = (Instant::now(), Value::Null);
    while seen["active"][0]["stage"] != "process" {
        assert!(begun.elapsed() < Duration::from_secs(120), "{seen:#}");
        std::thread::sleep(Duration::from_millis(50));
        seen = status().unwrap_or_default();
    }
    let schema: Value = serde_json::from_str(include_str!("../../docs/status.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert_eq!(validator.validate(&seen).map_err(|e| e.to_string()), Ok(()), "{seen:#}");
    assert_eq!((&seen["state"], &seen["pid"]), (&"running".into(), &child.id().into()));
    assert_eq!((&seen["active"][0]["participant"], &seen["scans"]["waiting"]), (&"01".into(), &1.into()));

    let output = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let last = status().unwrap();
    assert_eq!(validator.validate(&last).map_err(|e| e.to_string()), Ok(()), "{last:#}");
    assert_eq!((&last["state"], &last["run_id"]), (&"finished".into(), &seen["run_id"]));
    assert_eq!((&last["scans"]["succeeded"], &last["failures"][0]["code"]), (&1.into(), &"NP-TRUNCATED".into()));
    assert!(!stdout.contains('\x1b') && !stderr.contains('\x1b'), "{stdout}\n{stderr}");
    for line in [
        "  to do      2 scans of 2",
        "\n[0/2] 1 at work (sub-01_T1w process 5 s)\n",
        "\n[1/2] sub-01_T1w ok in ",
        "\n[2/2] sub-03_T1w failed",
    ] {
        assert!(stderr.contains(line), "{line:?}:\n{stderr}");
    }
    assert!(stdout.lines().last().unwrap().starts_with("2 scans: 1 ok, 1 failed in "), "{stdout}");
}

#[test]
fn quiet_runs_say_errors_only() {
    let dir = place();
    let (bids, out) = (dir.path().join("bids"), dir.path().join("out"));
    let quiet = |label: &str| {
        let args = [bids.to_str().unwrap(), out.to_str().unwrap(), "participant", "-q", "--participant-label", label];
        run_command(binary().args(args).envs([("SLURM_ARRAY_JOB_ID", "77"), ("SLURM_ARRAY_TASK_ID", "3")]))
    };
    let good = quiet("01").exits(0);
    assert_eq!((good.stdout.as_str(), good.stderr.as_str()), ("", ""));
    let bad = quiet("03").exits(1);
    assert!(bad.stderr.lines().all(|line| line.contains("ERROR")) && bad.stderr.contains("sub-03"), "{}", bad.stderr);
    assert_eq!(bad.stdout, "");
    // Tasks of an array do not share one file.
    assert!(out.join("logs/status-77_3.json").exists() && !out.join("logs/status.json").exists());
}

#[test]
fn bash_completes_what_is_typed() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("completions.bash");
    fs::write(&script, run(["completions", "bash"]).exits(0).stdout).unwrap();
    let complete = |words: &[&str]| {
        let line = words.join("' '");
        let try_it = format!(
            "source {}; complete -p neuro-preprocess >/dev/null || exit 9; COMP_WORDS=('{line}'); COMP_CWORD={}; \
             _neuro__preprocess neuro-preprocess '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display(),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2]
        );
        let ran = run_command(Command::new("bash").args(["--norc", "--noprofile", "-c", &try_it])).exits(0);
        ran.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["neuro-preprocess", "compl"]), ["completions"]);
    assert_eq!(complete(&["neuro-preprocess", "telemetry", "rep"]), ["replay"]);
    assert_eq!(complete(&["neuro-preprocess", "list", "bids", "--part"]), ["--participant-label"]);
    assert_eq!(complete(&["neuro-preprocess", "list", "bids", "--modalities", "bo"]), ["bold"]);
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(run(["completions", shell]).exits(0).stdout.contains("explain"), "{shell}");
    }
}

#[test]
fn the_manual_is_read_by_man() {
    let dir = tempfile::tempdir().unwrap();
    run(["man", dir.path().to_str().unwrap()]).exits(0);
    let installed = common::install::script("install_tmux.sh", &[]);
    if common::install::or_skip("man", installed).is_none() {
        return;
    }
    let page = |name: &str| {
        let mut man = Command::new("man");
        man.args(["--warnings", "-l"]).arg(dir.path().join(name)).env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8");
        let ran = run_command(&mut man).exits(0);
        assert_eq!(ran.stderr, "", "{name}");
        ran.stdout
    };
    let main = page("neuro-preprocess.1");
    for part in ["NAME", "SYNOPSIS", "OPTIONS", "neuro-preprocess explain [CODE]", "--participant-label"] {
        assert!(main.contains(part), "{part}:\n{main}");
    }
    assert!(page("neuro-preprocess-telemetry-replay.1").contains("--endpoint"));
    assert!(page("neuro-preprocess-list.1").contains("BIDS_DIR"));
}

#[test]
fn a_list_says_what_is_there_and_what_is_left_out() {
    let dir = place();
    let bids = dir.path().join("bids");
    fs::create_dir_all(bids.join("sub-07/dwi")).unwrap();
    fs::copy(bids.join("sub-01/anat/sub-01_T1w.nii.gz"), bids.join("sub-01/anat/sub-01_T1.nii.gz")).unwrap();
    fs::write(bids.join("sub-02/anat/sub-02_T1w.json"), "{ not JSON").unwrap();
    let text = bids.to_str().unwrap();
    let said = run(["list", text]).exits(0).stdout;
    for part in [
        "4 scans in 4 participant-sessions\n",
        "  sub-01  1 T1w ",
        "sub-02/anat/sub-02_T1w.nii.gz will fail: ",
        "[NP-BAD-SIDECAR]",
        "left out\n",
        "  sub-07: no T1w or bold scan",
        "  dwi/: 1, of a kind that is not processed (sub-07/dwi)\n",
    ] {
        assert!(said.contains(part), "{part:?}:\n{said}");
    }
    let json: Value =
        serde_json::from_str(&run(["list", text, "--participant-label", "02", "--format", "json"]).stdout).unwrap();
    assert_eq!((&json["units"][0]["participant"], &json["not_selected"]), (&"02".into(), &3.into()));
    assert_eq!(json["units"][0]["scans"][0]["problem"]["code"], "NP-BAD-SIDECAR");
    assert_eq!(json["without_scans"], serde_json::json!(["07"]));
    run(["list", text, "--modalities", "bold"]).exits(18);
    let meant = run(["list", text, "--participant-label", "1"]).exits(18);
    assert!(meant.stderr.contains("participant 1 is not in the dataset, but 01 is"), "{}", meant.stderr);
    assert!(!dir.path().join("out").exists());
}

#[test]
fn codes_are_explained_and_slips_recognised() {
    let said = run(["explain", "truncated"]).exits(0).stdout;
    assert!(
        said.starts_with("NP-TRUNCATED: ") && said.contains("usual causes") && said.contains("exit status   65"),
        "{said}"
    );
    assert!(run(["explain", "75"]).exits(0).stdout.contains("NP-INTERRUPTED"));
    assert!(run(["explain"]).exits(0).stdout.lines().count() > 50);
    let slip = run(["explain", "trunkated"]).exits(64);
    assert!(slip.stderr.contains("did you mean NP-TRUNCATED?"), "{}", slip.stderr);
    for (typed, meant) in [
        (&["list", ".", "--participant-lable", "1"][..], "--participant-label"),
        (&[".", "out", "participant", "--modalities", "T1"][..], "T1w"),
        (&["completion", "bash"][..], "completions"),
    ] {
        let said = run(typed).stderr;
        assert!(said.contains(meant), "{typed:?}: {said}");
    }
}
