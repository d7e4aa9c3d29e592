//! The command line as a whole: every form, every conflict, the precedence of sources, the exit statuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // The lints' exemption does not reach helpers of tests.

use neuro_preprocess::bids::Modality;
use neuro_preprocess::cli::exit::ExitStatus;
use neuro_preprocess::cli::options::Options;
use neuro_preprocess::cli::{
    CliError, DemoConfig, Format, Input, Level, ReportConfig, Request, RunConfig, Scenario, parse,
};
use neuro_preprocess::telemetry::config::{LogFormat, Verbosity};
use neuro_preprocess::vocabulary::{Faults, Fieldmaps, SliceTiming, Stage};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder with a dataset `bids`, a Nipoppy study `study` and a scan `head.nii.gz`; `@` in arguments stands for it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("bids/sub-01")).unwrap();
        fs::create_dir_all(dir.path().join("study/.nipoppy")).unwrap();
        fs::create_dir_all(dir.path().join("study/bids")).unwrap();
        fs::write(dir.path().join("head.nii.gz"), "").unwrap();
        Self { dir }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    fn write(&self, relative: &str, text: &str) {
        fs::create_dir_all(self.path(relative).parent().unwrap()).unwrap();
        fs::write(self.path(relative), text).unwrap();
    }

    /// Parses `line`, split at spaces, with the environment `env`.
    fn parse(&self, line: &str, env: &[(&str, &str)]) -> Result<Request, CliError> {
        let here = self.dir.path().to_str().unwrap();
        let words = line.split_whitespace().map(|word| OsString::from(word.replace('@', here)));
        let args = std::iter::once(OsString::from("neuro-preprocess")).chain(words);
        parse(args, &|name| env.iter().find(|(n, _)| *n == name).map(|(_, v)| v.replace('@', here)))
    }

    fn run_with(&self, line: &str, env: &[(&str, &str)]) -> RunConfig {
        match self.parse(line, env) {
            Ok(Request::Run(config)) => config,
            Ok(other) => panic!("{line}: {other:?}"),
            Err(e) => panic!("{line}: {}", e.text()),
        }
    }

    fn run(&self, line: &str) -> RunConfig {
        self.run_with(line, &[])
    }

    /// The exit number and text of a refusal.
    fn refused_with(&self, line: &str, env: &[(&str, &str)]) -> (u8, String) {
        let error = self.parse(line, env).expect_err(line);
        assert!(!error.to_stdout(), "{line}: {}", error.text());
        (error.status().number(), error.text())
    }

    fn refuses(&self, line: &str, status: u8, word: &str) {
        let (number, text) = self.refused_with(line, &[]);
        assert_eq!(number, status, "{line}: {text}");
        assert!(text.contains(word), "{line}: {text:?} does not say {word:?}");
    }
}

#[test]
fn a_bids_app_call() {
    let place = Place::new();
    let config = place.run("@/bids @/out participant");
    assert_eq!(config.input, Input::Bids { dir: place.path("bids") });
    assert_eq!((config.output.as_deref(), config.level), (Some(place.path("out").as_path()), Level::Participant));
    assert_eq!(config.selection.modalities, Modality::ALL);
    assert!(config.selection.participants.is_empty() && config.selection.sessions.is_empty());
    assert!(config.threads >= 1 && config.memory_bytes.is_none());
    assert!(
        config.options.slice_timing() == SliceTiming::default() && config.options.fieldmaps() == Fieldmaps::Checked
    );
    assert!(config.telemetry.enabled && config.telemetry.endpoint.is_none() && config.notes.is_empty());
    assert_eq!(config.options, Options { modalities: Modality::ALL.to_vec(), ..Options::default() });
    assert_eq!(config.options.faults(), Faults { seed: 1, ..Faults::default() });
    assert_eq!(place.run("@/bids @/out group").level, Level::Group);
    assert!(!place.path("out").exists(), "parsing writes nothing");
}

#[test]
fn labels_come_in_every_spelling() {
    let place = Place::new();
    for option in ["--participant-label", "--participant_label"] {
        let config = place.run(&format!("@/bids @/out participant {option} 01 sub-02,03 01 -v"));
        assert_eq!(config.selection.participants, ["01", "02", "03"]);
    }
    for option in ["--session-label", "--session_label", "--session-id", "--session_id"] {
        let config = place.run(&format!("@/bids @/out participant {option} ses-unnamed"));
        assert_eq!(config.selection.sessions, ["unnamed"]);
    }
    let repeated = place.run("@/bids @/out participant --participant-label 01 --participant-label 02");
    assert_eq!(repeated.selection.participants, ["01", "02"]);
    let modalities = |text| place.run(&format!("@/bids @/out participant --modalities {text}")).selection.modalities;
    assert_eq!(modalities("BOLD"), [Modality::Bold]);
    assert_eq!(modalities("bold,t1w bold"), Modality::ALL);
}

#[test]
fn options_with_several_values_and_the_folders() {
    let place = Place::new();
    let first = |line: &str| place.run(line).selection.participants;
    assert_eq!(first("--participant-label 01 -w @/work @/bids @/out participant"), ["01"]);
    assert_eq!(first("--participant-label=01 @/bids @/out participant"), ["01"]);
    assert_eq!(first("--participant-label 01 02 -- @/bids @/out participant"), ["01", "02"]);
    assert_eq!(first("@/bids @/out --participant-label 01 --dry-run participant"), ["01"]);
    place.refuses("--participant-label 01 02 @/bids @/out participant", 64, "put the folders first");
    place.refuses("--session-label 01 @/bids @/out -v participant", 64, "put the folders first");
    place.refuses("@/bids @/out participant --participant-label=01 02", 64, "--option=A,B");
    place.refuses("--modalities T1w @/bids @/out participant", 64, "--modalities");
}

#[test]
fn an_unknown_option_is_named_in_one_line() {
    let place = Place::new();
    let line = |typed: &str| {
        let (status, text) = place.refused_with(typed, &[]);
        assert!(status == 64 && text.lines().count() == 1, "{typed}: {text}");
        text
    };
    assert!(line("@/bids @/out participant --nporcs 4").contains("--nporcs; did you mean --nprocs?"));
    assert!(!line("@/bids @/out participant --frobnicate").contains("did you mean"));
    let error = place.refused_with("@/bids @/out participants", &[]).1;
    assert!(!error.contains("Usage:") && error.contains("participant, group"), "{error}");
    assert!(place.refused_with("process", &[]).1.contains("Usage: neuro-preprocess process"), "a short usage is shown");
}

#[test]
fn options_of_other_programs_are_taken_or_refused_with_the_reason() {
    let place = Place::new();
    let config = place.run("@/bids @/out participant --mem_mb 8000 --task_id task-rest --fs-license-file lic.txt -vv");
    assert_eq!((config.memory_bytes, config.telemetry.verbosity), (Some(8_000_000_000), Verbosity::Debug));
    assert_eq!(config.selection.tasks, ["rest"]);
    assert!(config.notes.iter().any(|note| note.starts_with("--fs-license-file is accepted and not used")));
    place.refuses("@/bids @/out participant --cifti-output 91k", 64, "--cifti-output cannot be used: no surfaces");
    place.refuses("slurm @/bids @/out --use-aroma", 64, "--use-aroma cannot be used");
    let (_, both) = place.refused_with("@/bids @/out participant --longitudinal --dwi-only", &[]);
    assert_eq!(both.lines().count(), 2, "{both}");
}

#[test]
fn labels_that_cannot_be_one_are_refused() {
    let place = Place::new();
    place.refuses("@/bids @/out participant --participant-label None", 64, "had no label to give");
    place.refuses("@/bids @/out participant --participant-label sub-None", 64, "had no label to give");
    place.refuses("@/bids @/out participant --session-label ses-None", 64, "had no label to give");
    place.refuses("@/bids @/out participant --participant-label ../x", 64, "only letters, digits");
    place.refuses("@/bids @/out participant --participant-label sub-", 64, "only letters, digits");
    place.refuses("@/bids @/out participant --participant-label=,", 64, "is empty");
}

#[test]
fn a_nipoppy_study_needs_no_output() {
    let place = Place::new();
    for line in ["@/study", "@/study participant", "@/study --dry-run"] {
        let config = place.run(line);
        assert_eq!((config.output, config.level), (None, Level::Participant), "{line}");
    }
    assert_eq!(place.run("@/study group").level, Level::Group);
    let placed = place.run("@/study @/study/derivatives/np participant");
    assert_eq!(placed.output, Some(place.path("study/derivatives/np")));
    place.refuses("@/study @/study/bids/out participant", 73, "inside the input");
    place.refuses("@/study @/study participant", 73, "the same as the input");
    place.refuses("@/study particpant", 17, "did you mean participant?");
    place.refuses("@/bids", 64, "OUTPUT_DIR");
    place.refuses("@/bids participant", 64, "OUTPUT_DIR between");
}

#[test]
fn the_level_has_its_own_exit_status() {
    let place = Place::new();
    place.refuses("@/bids @/out", 17, "participant");
    place.refuses("@/bids @/out particpant", 17, "similar value exists: 'participant'");
    place.refuses("@/bids @/out session", 17, "possible values: participant, group");
    place.refuses("@/bids @/out participant --log-format LEVEL", 64, "--log-format");
}

#[test]
fn loose_scans_with_and_without_verb() {
    let place = Place::new();
    let file = Input::File { path: place.path("head.nii.gz") };
    let folder = Input::Folder { dir: place.path("bids") };
    for line in ["process @/head.nii.gz -o @/out", "--input @/head.nii.gz --output @/out"] {
        assert_eq!(place.run(line).input, file);
    }
    for line in ["batch @/bids -o @/out --parallel 3", "--input-dir @/bids --output-dir @/out --parallel 3"] {
        let config = place.run(line);
        assert_eq!((config.input, config.output, config.threads), (folder.clone(), Some(place.path("out")), 3));
    }
    place.refuses("process @/head.nii.gz", 64, "--output");
    place.refuses("--input @/head.nii.gz", 64, "--output");
    place.refuses("--input @/head.nii.gz --input-dir @/bids -o @/out", 64, "one file");
    place.refuses("@/bids --input @/head.nii.gz -o @/out", 64, "name the scans once");
    place.refuses("@/bids --input-dir @/bids -o @/out", 64, "name the scans once");
    place.refuses("@/bids participant -o @/out", 64, "second folder");
    place.refuses("--input @/head.nii.gz -o @/out --participant-label 01", 64, "name the dataset as BIDS_DIR");
    place.refuses("process @/bids -o @/out", 64, "verb batch");
    place.refuses("batch @/head.nii.gz -o @/out", 64, "verb process");
    place.refuses("@/head.nii.gz @/out participant", 64, "verb process");
    place.refuses("batch @/bids -o @/bids/out", 73, "inside the input");
}

#[test]
fn missing_inputs_are_66_and_misspelt_verbs_are_recognised() {
    let place = Place::new();
    place.refuses("@/nope @/out participant", 66, "does not exist");
    place.refuses("process @/nope.nii.gz -o @/out", 66, "does not exist");
    place.refuses("batch @/nope -o @/out", 66, "does not exist");
    place.refuses("@/bids @/out participant --bids-filter-file @/nope.json", 66, "the filter file");
    place.refuses("@/bids @/out participant --config @/nope.toml", 66, "configuration file");
    place.refuses("batsh @/bids -o @/out", 64, "did you mean the verb batch?");
    place.refuses("-v process @/head.nii.gz -o @/out", 64, "the verb process comes before all options");
}

#[test]
fn outputs_never_lie_in_the_input() {
    let place = Place::new();
    place.refuses("@/bids @/bids participant", 73, "the same as the input");
    place.refuses("@/bids @/bids/out participant", 73, "inside the input");
    place.refuses("@/bids @/out participant -w @/bids/work", 73, "the work folder");
    place.refuses("@/bids @/head.nii.gz participant", 73, "is a file");
    place.write("bids/dataset_description.json", "{}");
    place.write("bids/sub-01/anat/sub-01_T1w.nii.gz", "");
    place.refuses("process @/bids/sub-01/anat/sub-01_T1w.nii.gz -o @/bids/sub-01/anat", 73, "inside the input");
    place.refuses("process @/bids/sub-01/anat/sub-01_T1w.nii.gz -o @/out -w @/bids/work", 73, "the work folder");
    place.refuses("batch @/bids/sub-01 -o @/bids/out", 73, "inside the input");
    place.run("process @/bids/sub-01/anat/sub-01_T1w.nii.gz -o @/bids/derivatives/np");
    place.run("process @/head.nii.gz -o @/");
    place.run("@/bids @/bids/derivatives/np participant -w @/bids/derivatives/work");
}

#[test]
fn what_contradicts_itself_or_is_out_of_range_is_usage() {
    let place = Place::new();
    for (options, word) in [
        ("-q -v", "--verbose"),
        ("-q --debug", "--debug"),
        ("--format json", "--dry-run"),
        ("--dry-run --format xml", "text, json"),
        ("--no-telemetry --trace", "--trace"),
        ("--no-telemetry --otel-endpoint http://c:4317", "--otel-endpoint"),
        ("--no-telemetry --traceparent x", "--traceparent"),
        ("--otel-endpoint c:4317", "http://c:4317"),
        ("--fail-rate 1.5", "from 0 to 1"),
        ("--slow-stage quality", "load, process or save"),
        ("--slow-stage load:-2", "from 0 to 3600"),
        ("--nprocs 0", "--nprocs"),
        ("--nprcs 2", "did you mean --nprocs?"),
        ("--mem 8X", "unknown unit"),
        ("--mem 100MB", "less than 256 MB"),
        ("--modalities T2w", "similar value exists: 'T1w'"),
        ("--seed x", "--seed"),
    ] {
        place.refuses(&format!("@/bids @/out participant {options}"), 64, word);
    }
    place.refuses("", 64, "Usage");
    place.refuses("--dry-run", 64, "BIDS_DIR OUTPUT_DIR participant");
}

#[test]
fn every_option_of_a_run_arrives() {
    let place = Place::new();
    place.write("filter.json", "{}");
    let config = place.run(
        "@/bids @/out participant --bids-filter-file @/filter.json -w @/work --n_cpus 3 --mem 2GiB \
         --skip-bids-validation --strict --dry-run --format json --force --fail-rate 0.2 --slow-stage process:1.5 --seed 7 \
         --otel-endpoint http://c:4317 --traceparent 00-a-b-01 --trace --log-format json --debug",
    );
    assert_eq!(config.selection.filter_file, Some(place.path("filter.json")));
    assert_eq!(config.threads, 3);
    assert_eq!(config.memory_bytes, Some(2 << 30));
    assert!(config.options.skip_bids_validation && config.options.dry_run && config.options.force);
    assert!(config.options.strict);
    assert_eq!(config.options.format, Format::Json);
    assert_eq!((config.options.fail_rate, config.options.seed), (0.2, Some(7)));
    assert_eq!(config.options.slow_stage, Some((Stage::Process, 1.5)));
    let telemetry = config.telemetry;
    assert_eq!(
        (telemetry.endpoint.as_deref(), telemetry.traceparent.as_deref()),
        (Some("http://c:4317"), Some("00-a-b-01"))
    );
    assert!(telemetry.enabled && telemetry.print_tree);
    assert_eq!((telemetry.log_format, telemetry.verbosity), (LogFormat::Json, Verbosity::Debug));
}

const FILE: &str = "[run]\nnprocs = 5\nmem = \"5GB\"\nmodalities = [\"bold\"]\nskip-bids-validation = true\n\
                    strict = true\n[observability]\notel-endpoint = \"http://file:4317\"\n\
                    log-format = \"json\"\nverbosity = \"quiet\"\ntrace = true\n";

#[test]
fn option_beats_environment_beats_file_beats_default() {
    let place = Place::new();
    place.write("xdg/neuro-preprocess/config.toml", FILE);
    let xdg = ("XDG_CONFIG_HOME", "@/xdg");
    let env = [
        xdg,
        ("NEURO_PREPROCESS_NPROCS", "4"),
        ("NEURO_PREPROCESS_MEM", "4GB"),
        ("NEURO_PREPROCESS_MODALITIES", "T1w"),
        ("NEURO_PREPROCESS_OTEL_ENDPOINT", "http://env:4317"),
        ("NEURO_PREPROCESS_LOG_FORMAT", "text"),
        ("NEURO_PREPROCESS_VERBOSITY", "debug"),
        ("NEURO_PREPROCESS_TRACE", "0"),
        ("NEURO_PREPROCESS_STRICT", "off"),
        ("NEURO_PREPROCESS_SKIP_BIDS_VALIDATION", ""),
    ];
    let base = "@/bids @/out participant";
    let file = place.run_with(base, &[xdg]);
    assert_eq!((file.threads, file.memory_bytes), (5, Some(5_000_000_000)));
    assert_eq!((file.selection.modalities, file.options.skip_bids_validation), (vec![Modality::Bold], true));
    assert!(file.options.strict);
    assert_eq!((file.telemetry.log_format, file.telemetry.verbosity), (LogFormat::Json, Verbosity::Quiet));
    assert_eq!((file.telemetry.endpoint.as_deref(), file.telemetry.print_tree), (Some("http://file:4317"), true));

    let environment = place.run_with(base, &env);
    assert_eq!((environment.threads, environment.memory_bytes), (4, Some(4_000_000_000)));
    assert_eq!(environment.selection.modalities, [Modality::T1w]);
    assert!(!environment.options.strict);
    assert!(environment.options.skip_bids_validation, "an empty variable counts as unset");
    assert_eq!(environment.telemetry.endpoint.as_deref(), Some("http://env:4317"));
    assert_eq!(environment.telemetry.log_format, LogFormat::Text);
    assert_eq!((environment.telemetry.verbosity, environment.telemetry.print_tree), (Verbosity::Debug, false));

    let options = "--nprocs 3 --mem 3GB --modalities T1w bold --otel-endpoint http://flag:4317 --log-format json -q";
    let flags = place.run_with(&format!("{base} {options}"), &env);
    assert_eq!((flags.threads, flags.memory_bytes), (3, Some(3_000_000_000)));
    assert_eq!(flags.selection.modalities, Modality::ALL);
    assert_eq!(flags.telemetry.endpoint.as_deref(), Some("http://flag:4317"));
    assert_eq!((flags.telemetry.log_format, flags.telemetry.verbosity), (LogFormat::Json, Verbosity::Quiet));
}

#[test]
fn threads_come_from_slurm_before_the_file() {
    let place = Place::new();
    place.write("c.toml", "[run]\nnprocs = 5\n");
    let threads =
        |line: &str, env: &[(&str, &str)]| place.run_with(&format!("@/bids @/out participant {line}"), env).threads;
    let slurm = ("SLURM_CPUS_PER_TASK", "6");
    assert_eq!(threads("--config @/c.toml", &[slurm]), 6);
    assert_eq!(threads("--config @/c.toml", &[]), 5);
    assert_eq!(threads("", &[slurm, ("NEURO_PREPROCESS_NPROCS", "7")]), 7);
    assert_eq!(threads("--nprocs 8", &[slurm, ("NEURO_PREPROCESS_NPROCS", "7")]), 8);
    let odd = place.run_with("@/bids @/out participant --config @/c.toml", &[("SLURM_CPUS_PER_TASK", "many")]);
    assert_eq!(odd.threads, 5);
    assert!(odd.notes.iter().any(|n| n.contains("SLURM_CPUS_PER_TASK")), "{:?}", odd.notes);
}

#[test]
fn what_was_understood_is_noted() {
    let place = Place::new();
    let notes =
        |line: &str, env: &[(&str, &str)]| place.run_with(&format!("@/bids @/out participant {line}"), env).notes;
    assert!(notes("--mem 8", &[]).iter().any(|n| n.contains("8.00 GB") && n.contains("without a unit")));
    let off = notes("--trace", &[("NEURO_PREPROCESS_NO_TELEMETRY", "1")]);
    assert!(off.iter().any(|n| n.contains("telemetry is off")), "{off:?}");
    assert!(notes("--skip-bids-validation", &[]).iter().any(|n| n.contains("not validated")));
    assert!(notes("--no-telemetry", &[]).is_empty());
}

#[test]
fn bad_variables_and_files_are_named() {
    let place = Place::new();
    let (status, text) = place.refused_with("@/bids @/out participant", &[("NEURO_PREPROCESS_NPROCS", "lots")]);
    assert_eq!(status, 64);
    assert!(text.contains("NEURO_PREPROCESS_NPROCS=\"lots\"") && text.contains("whole number"), "{text}");
    place.write("c.toml", "[run]\nnproc = 3\n");
    place.refuses("@/bids @/out participant --config @/c.toml", 64, "did you mean nprocs?");
    // The option would win, but a broken source is worth knowing about now.
    place.refuses("@/bids @/out participant --config @/c.toml --nprocs 2", 64, "c.toml");
}

#[test]
fn synth_and_demo() {
    let place = Place::new();
    let Ok(Request::Synth(synth)) =
        place.parse("synth @/new --participants 3 --sessions 2 --modalities T1w --seed 9", &[])
    else {
        panic!("no synth request");
    };
    assert_eq!((synth.participants, synth.sessions, synth.seed, synth.voxel_mm), (3, 2, 9, 2.0));
    assert_eq!((synth.modalities, synth.dir), (vec![phantom::Kind::T1w], place.path("new")));
    place.refuses("synth @/bids", 73, "not empty");
    place.refuses("synth @/new --participants 0", 64, "--participants");
    place.refuses("synth @/new --voxel-size 0.1", 64, "from 0.7 to 6");

    let demo = |line: &str| match place.parse(line, &[]) {
        Ok(Request::Demo(config)) => config,
        other => panic!("{line}: {other:?}"),
    };
    let DemoConfig { scenario, dir, telemetry, .. } = demo("demo");
    assert_eq!(
        (scenario, dir.as_path(), telemetry.enabled),
        (Scenario::Normal, Path::new("neuro-preprocess-demo"), true)
    );
    let slow = demo("demo slow -o @/d --nprocs 2 --no-telemetry");
    assert_eq!(
        (slow.scenario, slow.dir, slow.threads, slow.telemetry.enabled),
        (Scenario::Slow, place.path("d"), 2, false)
    );
    place.refuses("demo failurs", 64, "similar value exists: 'failures'");
}

#[test]
fn help_and_version_go_to_stdout_with_status_0() {
    let place = Place::new();
    for line in
        ["--help", "-h", "process --help", "batch -h", "synth --help", "demo --help", "help", "help batch", "--version"]
    {
        let error = place.parse(line, &[]).expect_err(line);
        assert!(error.to_stdout() && error.status() == ExitStatus::Success, "{line}");
        assert!(error.text().lines().all(|l| l.chars().count() <= 100), "{line} is too wide");
    }
    let version = place.parse("--version", &[]).expect_err("version").text();
    assert!(version.starts_with(&format!("neuro-preprocess {} (commit ", env!("CARGO_PKG_VERSION"))), "{version}");
    let (long, short) =
        (place.parse("--help", &[]).expect_err("help").text(), place.parse("-h", &[]).expect_err("h").text());
    assert!(long.contains("Examples:") && !short.contains("Examples:"));
}

#[cfg(unix)]
#[test]
fn a_path_need_not_be_text() {
    use std::os::unix::ffi::OsStringExt as _;
    let place = Place::new();
    let name = OsString::from_vec(b"head-\xff.nii".to_vec());
    let scan = place.dir.path().join(&name);
    fs::write(&scan, "").unwrap();
    let output = place.path("out").into_os_string();
    let args = ["neuro-preprocess".into(), "process".into(), scan.clone().into_os_string(), "-o".into(), output];
    let Ok(Request::Run(config)) = parse(args, &|_| None) else { panic!("refused") };
    assert_eq!(config.input, Input::File { path: scan });
}

#[test]
fn reports_are_made_unless_somebody_says_no_and_again_of_a_folder() {
    let place = Place::new();
    assert!(!place.run("@/bids @/out participant").options.no_report);
    assert!(place.run("@/bids @/out participant --no-report").options.no_report);
    let env = [("NEURO_PREPROCESS_NO_REPORT", "true"), ("NEURO_PREPROCESS_NPROCS", "3")];
    assert!(place.run_with("@/bids @/out participant", &env).options.no_report);
    let derivatives = place.path("bids");
    let report = |threads| Request::Report(ReportConfig { derivatives: derivatives.clone(), threads });
    assert_eq!(place.parse("report @/bids --nprocs 2", &env).unwrap(), report(2));
    assert_eq!(place.parse("report @/bids", &env).unwrap(), report(3));
    place.refuses("report @/none", 66, "none");
    place.refuses("report", 64, "OUTPUT_DIR");
}
