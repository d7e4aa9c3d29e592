//! Runs the corpus through the binary and holds what came of it against the table.

use super::case::{Case, Head, Heads, Outcome, Peer, Spot};
use super::datasets::{End, Run, good};
use crate::common;
use neuro_preprocess::error::ErrorCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than any run here takes on the slowest machine: only what hangs is ended by it.
const HANGS: Duration = Duration::from_secs(900);

/// What a run said, and how it ended.
pub struct Played {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    output: PathBuf,
}

impl Played {
    /// Faults no run may have, whatever its input: a panic, or something a terminal would take for a command.
    fn faults(&self, name: &str) -> Vec<String> {
        let all = format!("{}{}", self.stdout, self.stderr);
        let told = ["panicked", "NP-INTERNAL", "\x1b"].into_iter().filter(|bad| all.contains(bad));
        told.map(|bad| format!("{name}: {bad:?} in what was said:\n{all}")).collect()
    }
}

/// The binary, where it can also be run by a user whom file permissions bind.
fn binary(as_nobody: bool, dir: &Path) -> Command {
    // Who is not root is bound by permissions already.
    let Some(mut command) = common::as_nobody().ok().filter(|_| as_nobody) else { return common::binary() };
    // The path to the real one may be closed to others.
    let copy = dir.join("neuro-preprocess");
    let real = env!("CARGO_BIN_EXE_neuro-preprocess");
    if !copy.exists() {
        fs::hard_link(real, &copy).or_else(|_| fs::copy(real, &copy).map(|_| ())).unwrap();
    }
    command.arg(copy);
    command
}

/// Runs a command with its time limit; what it says goes to files, which no pipe can block.
fn finish(command: &mut Command, dir: &Path, output: &Path, name: &str) -> Played {
    let [out, err] = ["stdout", "stderr"].map(|n| dir.join(n));
    command.stdin(Stdio::null());
    command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > HANGS {
            child.kill().unwrap();
            panic!("{name}: the run hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    Played { code: status.code().unwrap_or(-1), stdout: read(&out), stderr: read(&err), output: output.to_owned() }
}

/// A folder that every user may look into.
fn open_folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    dir
}

/// Small heads, made once.
fn heads() -> &'static Heads {
    static HEADS: OnceLock<Heads> = OnceLock::new();
    HEADS.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("bids");
        let args = ["--participants", "1", "--voxel-size", "4", "--volumes", "6"];
        common::run(["synth", root.to_str().unwrap()].into_iter().chain(args)).exits(0);
        let find = |suffix: &str| {
            let files = walkdir::WalkDir::new(root.join("sub-01")).into_iter().map(|e| e.unwrap().into_path());
            files.into_iter().find(|p| p.to_string_lossy().ends_with(suffix)).unwrap()
        };
        Heads { t1w: Head::of(&find("_T1w.nii.gz")), bold: Head::of(&find("_bold.nii.gz")) }
    })
}

/// Every entry below a folder with its length and time, as the owner sees them.
fn state(root: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let seen = |e: walkdir::DirEntry| {
        let meta = e.path().symlink_metadata().unwrap();
        (e.into_path(), (meta.len(), meta.mtime(), meta.mtime_nsec()))
    };
    walkdir::WalkDir::new(root).into_iter().filter_map(Result::ok).map(seen).collect()
}

/// A dataset of many cases.
pub struct Corpus {
    dir: TempDir,
    cases: Vec<Case>,
    as_nobody: bool,
    before: BTreeMap<PathBuf, (u64, i64, i64)>,
}

/// The participant of a case.
fn label(at: usize) -> String {
    format!("c{at:03}")
}

impl Corpus {
    /// Makes all cases, each a participant.
    pub fn make(cases: Vec<Case>, as_nobody: bool) -> Self {
        let dir = open_folder();
        let root = dir.path().join("bids");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("dataset_description.json"), r#"{"Name": "corpus", "BIDSVersion": "1.10.0"}"#).unwrap();
        for (at, case) in cases.iter().enumerate() {
            (case.make)(&Spot { root: &root, label: label(at), bold: case.bold, heads: heads() });
        }
        let before = state(&root);
        Self { dir, cases, as_nobody, before }
    }

    /// Processes it all into a new folder.
    pub fn run(&self, more: &[&str]) -> Played {
        let output = self.dir.path().join(format!("out{}", more.len()));
        let mut command = binary(self.as_nobody, self.dir.path());
        command.arg(self.dir.path().join("bids")).arg(&output).arg("participant").args(more);
        finish(&mut command, self.dir.path(), &output, "the corpus")
    }

    /// What is processed once more with `--strict`: what left notes, and one that left none.
    fn is_tried_strictly(&self, at: usize) -> bool {
        at == 0 || matches!(self.cases[at].outcome, Outcome::Accepted([_, ..], _))
    }

    /// Processes those again.
    pub fn run_again_strictly(&self) -> Played {
        let labels = (0..self.cases.len()).filter(|&at| self.is_tried_strictly(at)).map(label);
        let labels = labels.collect::<Vec<_>>().join(",");
        self.run(&["--strict", "--participant-label", &labels])
    }

    /// How many cases are left out.
    pub fn left_out(&self) -> usize {
        self.cases.iter().filter(|c| matches!(c.outcome, Outcome::LeftOut(_))).count()
    }

    /// What is not as the table has it. With `strict`, notes are refusals, and only what is tried strictly is looked at.
    pub fn check(&self, played: &Played, strict: bool) -> Vec<String> {
        let mut problems = played.faults("the corpus");
        let fails = |case: &Case| match case.outcome {
            Outcome::Refused(..) => !strict,
            Outcome::Accepted(notes, _) => strict && !notes.is_empty(),
            Outcome::LeftOut(_) => false,
        };
        if played.code != i32::from(self.cases.iter().any(fails)) {
            problems.push(format!("the run ended with {}:\n{}", played.code, played.stderr));
        }
        if state(&self.dir.path().join("bids")) != self.before {
            problems.push("the input was changed".to_owned());
        }
        let left_out = if strict { Vec::new() } else { self.plan_leaves_out() };
        for (at, case) in self.cases.iter().enumerate() {
            if strict && !self.is_tried_strictly(at) {
                continue;
            }
            let label = label(at);
            let scans = scans(&played.output, &label);
            let found = match &case.outcome {
                Outcome::LeftOut(says) => {
                    let listed = left_out.iter().find(|(path, why)| path.contains(&label) && why.contains(says));
                    let why: Vec<_> = left_out.iter().filter(|(path, _)| path.contains(&label)).collect();
                    if listed.is_some() && scans.is_empty() {
                        Ok(())
                    } else {
                        Err(format!("left out: {why:?}, processed: {scans:?}"))
                    }
                }
                _ if scans.is_empty() => Err("there is no summary".to_owned()),
                Outcome::Refused(code, says) => scans.iter().try_for_each(|s| refused(s, *code, says, &label)),
                Outcome::Accepted(notes @ [_, ..], _) if strict => {
                    scans.iter().try_for_each(|s| refused(s, ErrorCode::Strict, notes, &label))
                }
                Outcome::Accepted(notes, _) => scans.iter().try_for_each(|s| accepted(s, notes)),
            };
            problems.extend(found.err().map(|why| format!("{} ({label}): {why}", case.name)));
        }
        problems
    }

    /// Path and reason of what the plan leaves out.
    fn plan_leaves_out(&self) -> Vec<(String, String)> {
        let mut command = binary(self.as_nobody, self.dir.path());
        let [root, out] = ["bids", "unused"].map(|n| self.dir.path().join(n));
        command.arg(root).arg(&out).args(["participant", "--dry-run", "--format", "json"]);
        let plan = finish(&mut command, self.dir.path(), &out, "the plan");
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap_or_else(|e| panic!("{e}: {}", plan.stderr));
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        plan["skipped"].as_array().unwrap().iter().map(|s| (text(&s["path"]), text(&s["reason"]))).collect()
    }

    /// Where what was read is not what nibabel reads, and the table does not say so.
    pub fn compare_with_nibabel(&self, played: &Played) -> Vec<String> {
        let mut asked = Vec::new();
        let mut expected = BTreeMap::new();
        for (at, case) in self.cases.iter().enumerate() {
            let Outcome::Accepted(notes, peer) = &case.outcome else { continue };
            assert!(!(notes.is_empty() && matches!(peer, Peer::Differs(..))), "{}: accepted silently", case.name);
            asked.extend(self.read(&label(at), played));
            expected.insert(label(at), (case.name, peer));
        }
        let list = self.dir.path().join("numbers.json");
        fs::write(&list, Value::from(asked).to_string()).unwrap();
        let Some(ran) = common::peer("check_numbers.py", &[&list]) else { return Vec::new() };
        let found: BTreeMap<String, String> = serde_json::from_str(&ran.exits(0).stdout).unwrap();
        let differs = |(label, (name, peer)): (&String, &(&str, &Peer))| {
            let found = found.get(label).map_or("nothing was compared", String::as_str);
            let expected = if let Peer::Differs(what, _) = peer { *what } else { "" };
            let as_said = found == expected || expected == "refused" && found.starts_with("refused");
            (!as_said).then(|| format!("{name} ({label}): beside nibabel {found:?}, not {expected:?}"))
        };
        expected.iter().filter_map(differs).collect()
    }

    /// What this program reads of a case's scan, for the comparison; the values go to a file.
    fn read(&self, label: &str, played: &Played) -> Option<Value> {
        let is_scan = |p: &PathBuf| {
            let name = p.to_string_lossy();
            name.ends_with(".nii") || name.ends_with(".nii.gz")
        };
        let below = |root: PathBuf| walkdir::WalkDir::new(root).follow_links(true).into_iter().filter_map(Result::ok);
        let folder = format!("sub-{label}");
        let input = below(self.dir.path().join("bids").join(&folder)).map(|e| e.into_path()).find(is_scan)?;
        let made = below(played.output.join(&folder)).map(|e| e.into_path());
        let output = made.into_iter().find(|p| is_scan(p) && p.to_string_lossy().contains("_desc-preproc_"))?;
        let image = nifti::read(&input).ok()?;
        let (nt, nz, ny, nx) = image.data.dim();
        let values = self.dir.path().join(format!("{label}.f32"));
        fs::write(&values, image.data.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
        let [dz, dy, dx] = image.header.grid().voxel_mm;
        Some(json!({
            "name": label, "input": input, "output": output, "values": values,
            "shape": [nt, nz, ny, nx], "affine": image.header.grid().affine, "zooms": [dx, dy, dz],
            "tr": image.header.tr_seconds(),
        }))
    }
}

/// The scans of a participant's summaries.
fn scans(output: &Path, label: &str) -> Vec<Value> {
    let files = walkdir::WalkDir::new(output.join(format!("sub-{label}"))).into_iter().filter_map(Result::ok);
    let summaries = files.filter(|e| e.file_name().to_string_lossy().ends_with("_summary.json"));
    let read = |e: walkdir::DirEntry| serde_json::from_slice::<Value>(&fs::read(e.path()).unwrap()).unwrap();
    summaries.map(read).flat_map(|s| s["scans"].as_array().unwrap().clone()).collect()
}

fn refused(scan: &Value, code: ErrorCode, says: &[&str], label: &str) -> Result<(), String> {
    let error = &scan["error"];
    let message = error["message"].as_str().unwrap_or_default();
    let says_all = says.iter().all(|part| message.contains(&part.replace("SUB", &format!("sub-{label}"))));
    // Which scan it is, what to do next, and nothing left under its name.
    let whole = message.contains(label) && error["advice"] == code.advice() && scan["outputs"] == json!([]);
    if error["code"] == code.as_str() && says_all && whole {
        Ok(())
    } else {
        Err(format!("{code} {says:?} expected: {scan}"))
    }
}

fn accepted(scan: &Value, notes: &[&str]) -> Result<(), String> {
    let found: Vec<&str> = scan["notes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    // What a method says about its work is no note about the input; those come first.
    let told = found.len() >= notes.len() && notes.iter().zip(&found).all(|(part, note)| note.contains(part));
    let more = found.iter().skip(notes.len()).find(|note| !OF_METHODS.iter().any(|known| note.contains(known)));
    if scan["status"] == "success" && told && more.is_none() {
        Ok(())
    } else {
        Err(format!("{notes:?} expected: {scan}"))
    }
}

/// Notes of the stages that work on a scan, which are about the work and not about the file.
const OF_METHODS: [&str; 5] = [
    "the bias field did not converge",
    "already skull-stripped",
    "could not be aligned",
    "moved more than most analyses",
    "tissue",
];

/// Does one run by itself: what is not as the table has it.
pub fn alone(run: &Run) -> Vec<String> {
    let mut problems = once(run, &[]);
    if let End::Warns(_) = run.end {
        problems.extend(once(run, &["--strict"]));
    }
    problems
}

fn once(run: &Run, more: &[&str]) -> Vec<String> {
    let dir = open_folder();
    let [input, output] = ["in", "out"].map(|n| dir.path().join(n));
    good(dir.path());
    (run.make)(dir.path());
    let before = state(&input);
    let place = |arg: &&str| match arg.split_at_checked(2) {
        Some(("IN", rest)) => format!("{}{rest}", input.display()),
        _ if arg.starts_with("OUT") => arg.replacen("OUT", &output.display().to_string(), 1),
        _ => (*arg).to_owned(),
    };
    let mut command = binary(run.as_nobody, dir.path());
    command.args(run.args.iter().map(place)).args(more);
    let played = finish(&mut command, dir.path(), &output, &run.name);
    let mut problems = played.faults(&run.name);
    let all = format!("{}{}", played.stdout, played.stderr);
    let (code, exit, says) = match run.end {
        End::Fine => (None, 0, ""),
        End::Warns(says) if more.is_empty() => (None, 0, says),
        End::Warns(says) => (Some(ErrorCode::Strict), 16, says),
        End::Refused(code, exit, says) => (Some(code), exit, says),
    };
    let coded = code.is_none_or(|code| all.contains(&format!("[{code}]")));
    let silent = !matches!(run.end, End::Fine) || !all.contains("Warning") && !all.contains("Left out");
    if played.code != exit || !coded || !silent || !all.contains(says) {
        problems.push(format!("{} {more:?}: {exit} {code:?} {says:?} expected: {} {all}", run.name, played.code));
    }
    if state(&input) != before {
        problems.push(format!("{}: the input was changed", run.name));
    }
    problems
}
