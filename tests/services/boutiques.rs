//! The Boutiques files: made from the code, valid by the Boutiques schema, and run by the real `bosh`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common;
use crate::common::{Ran, binary, run, run_command};
use neuro_preprocess::cli::descriptor;
use neuro_preprocess::cli::exit::ExitStatus;
use serde_json::{Value, json};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))).unwrap()
}

/// A descriptor and where its copies stand: one for Boutiques, one in each Nipoppy bundle, which must be whole by itself.
fn descriptors() -> [(Value, &'static str); 3] {
    [
        (descriptor::dataset(), "boutiques/neuro-preprocess.json"),
        (descriptor::dataset(), "nipoppy/neuro-preprocess/descriptor.json"),
        (descriptor::extraction(), "nipoppy/neuro-preprocess-idps/descriptor.json"),
    ]
}

#[test]
fn the_files_are_what_the_code_says() {
    for (made, path) in descriptors() {
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(root().join(path), format!("{made:#}\n")).unwrap();
        }
        let advice = "run UPDATE_DOCS=1 cargo test --release --test services boutiques::, and read the change";
        assert!(read(path) == made, "{path} is not what the code says; {advice}");
    }
}

/// The schema of Boutiques 0.5.33, as it is in that package (`boutiques-0.5.schema.LICENSE`).
#[test]
fn descriptors_are_valid_by_the_schema_of_boutiques() {
    let schema = read("tests/peers/boutiques-0.5.schema.json");
    let validator = jsonschema::draft4::new(&schema).unwrap();
    for (made, path) in descriptors() {
        let errors: Vec<String> = validator.iter_errors(&made).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{path}: {errors:#?}");
    }
    let mut wrong = descriptor::dataset();
    wrong["inputs"][0]["type"] = "Folder".into();
    assert!(!validator.is_valid(&wrong), "the check can fail");
}

#[test]
fn every_exit_status_is_told() {
    let descriptor = descriptor::dataset();
    let told = descriptor["error-codes"].as_array().unwrap();
    assert_eq!(told.len(), ExitStatus::ALL.len() - 1, "success is not an error");
    for status in ExitStatus::ALL.iter().filter(|s| **s != ExitStatus::Success) {
        let code = told.iter().find(|c| c["code"] == status.number()).unwrap_or_else(|| panic!("{status:?}"));
        assert_eq!(code["description"], status.meaning());
    }
}

#[test]
fn the_descriptor_is_printed_on_request() {
    let file = std::fs::read_to_string(root().join("boutiques/neuro-preprocess.json")).unwrap();
    assert_eq!(run(["descriptor"]).exits(0).stdout, file);
    assert_eq!(run(["--bids-exec-spec"]).exits(0).stdout, file);
    run(["--bids-exec-spec", "--force"]).exits(64);
}

/// The bundles carry the version of the package, and the two pipelines agree about it.
#[test]
fn bundles_have_the_version_of_the_package() {
    let version = env!("CARGO_PKG_VERSION");
    for bundle in ["nipoppy/neuro-preprocess", "nipoppy/neuro-preprocess-idps"] {
        assert_eq!(read(&format!("{bundle}/config.json"))["VERSION"], version);
        let title = read(&format!("{bundle}/zenodo.json"))["title"].as_str().unwrap().to_owned();
        assert_eq!(title, format!("{}-{version}", bundle.trim_start_matches("nipoppy/")));
    }
    let quality = std::fs::read_to_string(root().join("nipoppy/neuro-preprocess/qc.json")).unwrap();
    let outputs = quality.matches("derivatives/neuro-preprocess/").count();
    assert_eq!(quality.matches(&format!("derivatives/neuro-preprocess/{version}/output/")).count(), outputs);
    let needs = &read("nipoppy/neuro-preprocess-idps/config.json")["PROC_DEPENDENCIES"][0];
    assert_eq!([&needs["NAME"], &needs["VERSION"]], ["neuro-preprocess", version]);
}

fn synth(dir: &Path, participants: &str) {
    let bids = dir.join("bids");
    let args = ["--participants", participants, "--modalities", "T1w", "--voxel-size", "4"];
    run(["synth", bids.to_str().unwrap()].into_iter().chain(args)).exits(0);
}

#[test]
fn an_invocation_is_a_run() {
    let dir = tempfile::tempdir().unwrap();
    synth(dir.path(), "1");
    let example = root().join("boutiques/participant.json");
    let with =
        |args: &[&str]| run_command(binary().current_dir(dir.path()).arg("--invocation").arg(&example).args(args));
    let ran = with(&[]).exits(0);
    assert!(ran.last_line().starts_with("1 scans: 1 ok"), "{}", ran.stdout);
    let mixed = with(&["--force"]).exits(19);
    assert!(mixed.stderr.contains("NP-INVOCATION-MIXED"), "{}", mixed.stderr);
    let wrong = dir.path().join("wrong.json");
    std::fs::write(&wrong, r#"{"bids_dir": "bids", "output_dir": "out", "analysis_level": "session"}"#).unwrap();
    let refused = run(["--invocation", wrong.to_str().unwrap()]).exits(64);
    assert!(refused.stderr.contains("analysis_level") && refused.stderr.contains("participant"), "{}", refused.stderr);
    run(["--invocation", "/no/such/file.json"]).exits(66);
}

/// `bosh` in a folder of its own, with our program on the path.
struct Bosh {
    programs: &'static Path,
    dir: tempfile::TempDir,
    descriptor: PathBuf,
}

impl Bosh {
    fn new(participants: &str) -> Option<Self> {
        let programs = common::nipoppy()?;
        let dir = tempfile::tempdir().unwrap();
        synth(dir.path(), participants);
        Some(Self { programs, dir, descriptor: root().join("boutiques/neuro-preprocess.json") })
    }

    /// One of Boutiques' programs.
    fn run_program(&self, name: &str, args: &[&str]) -> Ran {
        let bin = Path::new(env!("CARGO_BIN_EXE_neuro-preprocess")).parent().unwrap();
        let path = format!("{}:{}:/usr/bin:/bin", bin.display(), self.programs.display());
        let mut program = Command::new(self.programs.join(name));
        program.args(args).current_dir(self.dir.path()).env_clear().env("PATH", path).env("HOME", self.dir.path());
        run_command(program.env("LC_ALL", "C.UTF-8").env(common::NO_TEMPLATE.0, common::NO_TEMPLATE.1))
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.run_program("bosh", args)
    }

    fn launch_words(&self, invocation: &Value) -> Vec<String> {
        let options = ["exec", "launch", "--stream", "--no-container", "--skip-data-collection"];
        let words = options.map(str::to_owned).into_iter();
        words.chain([self.descriptor.to_str().unwrap().to_owned(), invocation.to_string()]).collect()
    }

    fn launch(&self, invocation: &Value) -> Ran {
        self.run(&self.launch_words(invocation).iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Launches one after the other in one process of `bosh`, which takes longer to start than to launch. The code and
    /// the words of each.
    fn launch_all(&self, invocations: &[&Value]) -> Vec<(i32, String)> {
        let calls: Vec<_> = invocations.iter().map(|invocation| self.launch_words(invocation)).collect();
        let ran = self.run_program("python", &["-c", BOSH_OFTEN, &json!(calls).to_string()]).exits(0);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.stdout))
    }
}

/// `bosh` as it is started by its script, as often as there are lists of words in the argument.
const BOSH_OFTEN: &str = "
import contextlib, io, json, sys
from boutiques.bosh import bosh
ran = []
for words in json.loads(sys.argv[1]):
    sys.argv = ['bosh', *words]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = bosh()
    ran.append([code, said.getvalue()])
print(json.dumps(ran))
";

#[test]
fn bosh_launches_it_and_passes_its_code_and_words_on() {
    let Some(bosh) = Bosh::new("1") else { return };
    for bundle in ["boutiques/neuro-preprocess.json", "nipoppy/neuro-preprocess-idps/descriptor.json"] {
        bosh.run(&["validate", root().join(bundle).to_str().unwrap()]).exits(0);
    }
    let invocation = read("boutiques/participant.json");
    let done = bosh.launch(&invocation).exits(0);
    assert!(done.stdout.contains("1 scans: 1 ok, 0 failed"), "{}", done.stdout);
    let files = done.stdout.split("Output files").nth(1).unwrap();
    for promised in ["dataset_description.json", "sub-01_summary.json", "sub-01_desc-preproc_T1w.nii.gz"] {
        assert!(files.contains(promised), "{promised} is not among {files}");
    }
    let with = |changes: &[(&str, Value)]| {
        let mut invocation = invocation.clone();
        changes.iter().for_each(|(key, value)| invocation[*key] = value.clone());
        bosh.launch(&invocation)
    };
    let unknown = with(&[("participant_label", json!(["nobody"]))]).exits(18);
    assert!(unknown.stdout.contains("NP-UNKNOWN-LABEL"), "{}", unknown.stdout);
    assert!(unknown.stdout.contains(ExitStatus::NothingMatches.meaning()), "{}", unknown.stdout);
    let failed = with(&[("output_dir", json!("failed")), ("fail_rate", json!(1))]).exits(1);
    assert!(failed.stdout.contains("[NP-INJECTED]"), "{}", failed.stdout);
    assert!(failed.stdout.contains(ExitStatus::ScanFailed.meaning()), "{}", failed.stdout);
    with(&[("analysis_level", json!("session"))]).exits(99);
}

/// `bosh test` ends with 0 even when tests fail, so its words count. It takes no `--no-container`.
#[test]
fn bosh_test_passes() {
    let Some(bosh) = Bosh::new("1") else { return };
    let mut bare = descriptor::dataset();
    bare.as_object_mut().unwrap().remove("container-image");
    let file = bosh.dir.path().join("bare.json");
    std::fs::write(&file, bare.to_string()).unwrap();
    let tested = bosh.run(&["test", file.to_str().unwrap()]);
    let cases = bare["tests"].as_array().unwrap().len();
    let said = format!("{}{}", tested.stdout, tested.stderr);
    assert!(said.contains(&format!("{cases} passed")) && !said.contains("failed in"), "{said}");
}

/// Boutiques loses what it has not read when the program ends: the last lines must arrive every time.
#[test]
fn last_lines_arrive_through_bosh() {
    let Some(bosh) = Bosh::new("1") else { return };
    let invocation = read("boutiques/participant.json");
    let mut refused = invocation.clone();
    refused["participant_label"] = json!(["nobody"]);
    bosh.launch(&invocation).exits(0);
    let invocations = [[&invocation; 20].as_slice(), &[&refused; 5]].concat();
    let launched = bosh.launch_all(&invocations);
    assert_eq!(launched.len(), 25);
    for (time, (code, said)) in launched.iter().enumerate() {
        let (expected, last_words) = if time < 20 { (0, "1 already done in") } else { (18, "what to do:") };
        assert!(*code == expected && said.contains(last_words), "time {time}: {code}, {said}");
    }
}

/// Whoever started the program may be gone: its output goes nowhere, its work goes on.
#[test]
fn a_reader_that_is_gone_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    synth(dir.path(), "1");
    let mut command = binary();
    command.current_dir(dir.path()).args(["bids", "out", "participant", "--trace", "--debug"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(dir.path().join("out/sub-01/sub-01_success.json").exists());
}

/// As when a scheduler ends a job: every process of the group is told, nobody reads any more.
#[test]
fn a_group_told_to_stop_leaves_a_run_to_be_resumed() {
    let dir = tempfile::tempdir().unwrap();
    synth(dir.path(), "2");
    let mut command = Command::new("sh");
    let call = format!("{} bids out participant --nprocs 1", env!("CARGO_BIN_EXE_neuro-preprocess"));
    // The shell stays between, as Boutiques' does, and passes the code on.
    command.args(["-c", &format!("trap '' TERM; {call} --slow-stage save:3600; exit $?")]).current_dir(dir.path());
    command.env_clear().env("PATH", "/usr/bin:/bin").env(common::NO_TEMPLATE.0, common::NO_TEMPLATE.1).process_group(0);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = dir.path().join("out/logs/sub-01.jsonl");
    while !started.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was told to");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    drop((child.stdout.take(), child.stderr.take()));
    run_command(Command::new("kill").args(["-TERM", "--", &format!("-{}", child.id())])).exits(0);
    assert_eq!(child.wait().unwrap().code(), Some(75));
    assert!(!dir.path().join("out/sub-01/sub-01_success.json").exists());
    let resumed = run_command(binary().current_dir(dir.path()).args(["bids", "out", "participant"])).exits(0);
    assert!(resumed.last_line().starts_with("2 scans: 2 ok"), "{}", resumed.stdout);
}
