//! The text of the scripts. All input is in single quotes, or was checked by the command line.

use super::estimate::group_memory_mb;
use super::{Needs, SUBMIT, SlurmError};
use crate::plan::SessionPlan;
use crate::printable;
use crate::terminal::shell_word;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Name of the list of participant-sessions, and of the scripts.
const LIST: &str = "subcohort.tsv";
const ARRAY: &str = "array.sh";
const GROUP: &str = "group.sh";
/// Variables that a task in a container gets from outside it, besides `OTEL_*` and `NEURO_PREPROCESS_*`.
const CARRIED: &str = "TRACEPARENT TRACESTATE BAGGAGE USER SLURM_JOB_ID SLURM_ARRAY_JOB_ID SLURM_ARRAY_TASK_ID \
                       SLURM_RESTART_COUNT SLURM_CPUS_PER_TASK SLURMD_NODENAME";

/// What the jobs do.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The folder of the scripts, absolute.
    pub folder: &'a Path,
    /// The dataset, absolute.
    pub input: &'a Path,
    /// The folder for the derivatives, absolute.
    pub output: &'a Path,
    /// The program; inside an image it is looked up there.
    pub program: &'a Path,
    /// The image to run in, absolute.
    pub image: Option<&'a Path>,
    /// Files that `arguments` name outside the dataset, absolute.
    pub files: Vec<&'a Path>,
    /// The arguments of the tasks after `BIDS OUT participant`.
    pub arguments: Vec<String>,
    /// Whether pages are made of what the tasks left.
    pub report: bool,
    /// Scans of the whole dataset, of which those pages are.
    pub scans: usize,
    /// Whether what is done is to be done again; a task that is started again goes on instead.
    pub force: bool,
    /// The participant-sessions to do, those together that one task has to do.
    pub groups: Vec<Vec<&'a SessionPlan>>,
    /// How many groups a task does, at least 1.
    pub batch: usize,
    /// Tasks at the same time.
    pub max_concurrent: Option<usize>,
    /// Processors of a task.
    pub cpus: usize,
    /// What else a task asks for.
    pub needs: Needs,
    /// Time limit of a task as the user wrote it.
    pub time: Option<&'a str>,
    /// More options for `sbatch`, of both jobs.
    pub options: &'a [String],
    /// The submission's trace context, as variables.
    pub trace: Vec<(String, String)>,
}

/// The texts of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scripts {
    /// The array job.
    pub array: String,
    group: String,
    submit: String,
    list: String,
}

impl Scripts {
    /// Names and texts.
    pub(super) fn files(&self) -> [(&'static str, &str); 4] {
        [(LIST, &self.list), (ARRAY, &self.array), (GROUP, &self.group), (SUBMIT, &self.submit)]
    }
}

/// The scripts of a job.
///
/// # Errors
/// [`SlurmError::Path`] for a path that cannot be written into a script.
pub fn scripts(job: &Job<'_>) -> Result<Scripts, SlurmError> {
    Ok(Scripts { array: array(job)?, group: group(job)?, submit: submit(job.folder)?, list: list(&job.groups) })
}

impl Job<'_> {
    /// How many tasks the array has.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.groups.len().div_ceil(self.batch.max(1))
    }
}

/// A line for each group; its sessions are parted by what no label has.
fn list(groups: &[Vec<&SessionPlan>]) -> String {
    let one = |unit: &&SessionPlan| {
        let session = unit.marker_session.as_deref().or(unit.id.session.as_deref()).unwrap_or_default();
        format!("{}\t{session}", unit.id.participant)
    };
    groups.iter().fold(String::new(), |mut text, group| {
        let _ = writeln!(text, "{}", group.iter().map(one).collect::<Vec<_>>().join(";"));
        text
    })
}

fn array(job: &Job<'_>) -> Result<String, SlurmError> {
    let (tasks, batch) = (job.tasks(), job.batch);
    let at_once = job.max_concurrent.map_or_else(String::new, |n| format!("%{n}"));
    let minutes = job.needs.minutes.to_string();
    let time = job.time.unwrap_or(&minutes);
    let mut text = format!(
        "#!/bin/bash\n# {} participant-sessions in {tasks} tasks of at most {batch}.\n\
         #SBATCH --job-name=neuro-preprocess\n#SBATCH --array=1-{tasks}{at_once}\n#SBATCH --cpus-per-task={}\n\
         #SBATCH --mem={}M\n#SBATCH --time={time}\n\
         # A minute before the limit, and at preemption, the task drops its scan cleanly and ends with 75.\n\
         #SBATCH --signal=B:TERM@60\n#SBATCH --requeue\n#SBATCH --open-mode=append\n",
        job.groups.iter().map(Vec::len).sum::<usize>(),
        job.cpus,
        job.needs.memory_mb,
    );
    sbatch_lines(&mut text, job.options);
    environment(&mut text, job);
    if job.force {
        text.push_str("# Started again, a task goes on where it stopped.\nforce=--force\n");
        text.push_str("if [[ ${SLURM_RESTART_COUNT:-0} -gt 0 ]]; then force=; fi\n");
    }
    let list = quoted(&job.folder.join(LIST))?;
    let back = batch - 1;
    write_line(&mut text, format_args!("last=$((SLURM_ARRAY_TASK_ID * {batch}))"));
    text.push_str("# No shell stays in between: signals reach the program itself.\n");
    let mut command = command(job)?;
    write_to(&mut command, format_args!(" participant --subcohort /dev/stdin --mem {}MB", job.needs.planned_mb));
    for argument in &job.arguments {
        write_to(&mut command, format_args!(" {}", shell_word(argument)));
    }
    if job.force {
        command.push_str(" $force");
    }
    write_line(
        &mut text,
        format_args!("{command} < <(sed -n \"$((last - {back})),${{last}}p\" {list} | tr ';' '\\n')"),
    );
    Ok(text)
}

fn group(job: &Job<'_>) -> Result<String, SlurmError> {
    let mut text = format!(
        "#!/bin/bash\n# Gathers what the tasks left into tables and reports.\n#SBATCH --job-name=neuro-preprocess-group\n\
         #SBATCH --mem={}M\n#SBATCH --time=30\n",
        group_memory_mb(job.scans)
    );
    sbatch_lines(&mut text, job.options);
    environment(&mut text, job);
    let report = if job.report { "" } else { " --no-report" };
    write_line(&mut text, format_args!("{} group{report}", command(job)?));
    Ok(text)
}

fn submit(folder: &Path) -> Result<String, SlurmError> {
    // A percent sign begins a pattern of sbatch's own.
    let logs = PathBuf::from(text_of(folder)?.replace('%', "%%"));
    Ok(format!(
        "#!/bin/sh\n# Sends the array job, and the job that gathers its results.\nset -eu\ncd {}\n\
         array=$(sbatch --parsable --output={} {ARRAY})\n\
         group=$(sbatch --parsable --output={} --dependency=\"afterany:${{array%%;*}}\" {GROUP})\n\
         echo \"array job ${{array%%;*}}, then group job ${{group%%;*}}\"\n",
        quoted(folder)?,
        quoted(&logs.join("%A_%a.log"))?,
        quoted(&logs.join("group-%j.log"))?,
    ))
}

fn sbatch_lines(text: &mut String, options: &[String]) {
    for option in options {
        write_line(text, format_args!("#SBATCH {option}"));
    }
}

fn environment(text: &mut String, job: &Job<'_>) {
    for (name, value) in &job.trace {
        write_line(text, format_args!("export {name}={}", shell_word(value)));
    }
    if job.image.is_some() {
        write_line(text, format_args!("for name in {CARRIED} ${{!OTEL_@}} ${{!NEURO_PREPROCESS_@}}; do"));
        text.push_str("    if [[ -v $name ]]; then export \"APPTAINERENV_$name=${!name}\"; fi\ndone\n");
    }
}

/// `exec`, the program, bare or in its image, and the two folders.
fn command(job: &Job<'_>) -> Result<String, SlurmError> {
    let folders = format!("{} {}", quoted(job.input)?, quoted(job.output)?);
    let Some(image) = job.image else {
        return Ok(format!("exec {} {folders}", quoted(job.program)?));
    };
    let mut text = "exec apptainer exec --cleanenv".to_owned();
    // The last one wins where one lies in the other: the output stays writable.
    let read_only = std::iter::once(job.input).chain(job.files.iter().copied());
    for (path, mode) in read_only.map(|p| (p, "ro")).chain([(job.output, "rw")]) {
        let plain = text_of(path)?;
        if plain.contains([':', ',']) {
            return Err(SlurmError::Path { path: path.to_owned(), problem: "Apptainer binds no path with : or ," });
        }
        write_to(&mut text, format_args!(" --bind {}", shell_word(&format!("{plain}:{plain}:{mode}"))));
    }
    write_to(&mut text, format_args!(" {} neuro-preprocess {folders}", quoted(image)?));
    Ok(text)
}

fn write_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    write_to(text, line);
    text.push('\n');
}

/// Writing to a string cannot fail.
fn write_to(text: &mut String, part: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(part);
}

fn quoted(path: &Path) -> Result<String, SlurmError> {
    text_of(path).map(shell_word)
}

fn text_of(path: &Path) -> Result<&str, SlurmError> {
    let bad = |problem| SlurmError::Path { path: path.to_owned(), problem };
    let text = path.to_str().ok_or_else(|| bad("its name is not UTF-8"))?;
    if printable::line(text) == text {
        Ok(text)
    } else {
        Err(bad("its name has a line break or an invisible character"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::SessionId;

    fn unit(participant: &str, session: Option<&str>) -> SessionPlan {
        let id = SessionId { participant: participant.into(), session: session.map(str::to_owned) };
        SessionPlan::new(id.session.clone(), id, Vec::new())
    }

    fn job<'a>(units: Vec<&'a SessionPlan>, batch: usize) -> Job<'a> {
        Job {
            folder: Path::new("/out/100% o'k"),
            input: Path::new("/b ids"),
            output: Path::new("/out"),
            program: Path::new("/bin/echo"),
            image: None,
            files: Vec::new(),
            arguments: vec!["--modalities".into(), "T1w".into()],
            report: true,
            scans: 5,
            force: false,
            groups: units.into_iter().map(|unit| vec![unit]).collect(),
            batch,
            max_concurrent: Some(3),
            cpus: 2,
            needs: Needs { memory_mb: 512, planned_mb: 400, minutes: 11 },
            time: None,
            options: &[],
            trace: vec![("TRACEPARENT".into(), "00-a-b-01".into())],
        }
    }

    #[test]
    fn tasks_have_their_own_lines_and_all_lines_have_a_task() {
        let folder = tempfile::tempdir().unwrap();
        let units: Vec<SessionPlan> = (1..=5).map(|n| unit(&format!("0{n}"), (n % 2 == 1).then_some("A"))).collect();
        // In place of the program, a shell that reads the list it is given.
        let read = folder.path().join("read.sh");
        std::fs::write(&read, "cat; echo \"$2 $3 $4\"").unwrap();
        let (program, input) = (Path::new("/bin/sh"), read.as_path());
        let job = Job { folder: folder.path(), program, input, ..job(units.iter().collect(), 2) };
        super::super::write(folder.path(), &scripts(&job).unwrap()).unwrap();
        let task = |id: &str| {
            let mut bash = std::process::Command::new("bash");
            let ran = bash.arg(folder.path().join(ARRAY)).env("SLURM_ARRAY_TASK_ID", id).output().unwrap();
            String::from_utf8(ran.stdout).unwrap()
        };
        let told = "participant --subcohort /dev/stdin\n";
        assert_eq!(task("1"), format!("01\tA\n02\t\n{told}"));
        assert_eq!(task("2"), format!("03\tA\n04\t\n{told}"));
        assert_eq!(task("3"), format!("05\tA\n{told}"));
        assert_eq!(job.tasks(), 3);
        assert!(scripts(&job).unwrap().array.contains("--array=1-3%3\n"));
        // What has to be together is, whatever a task's number of groups.
        let groups = vec![vec![&units[0], &units[1], &units[2]], vec![&units[3]]];
        let job = Job { groups, batch: 1, ..job };
        super::super::write(folder.path(), &scripts(&job).unwrap()).unwrap();
        assert_eq!(task("1"), format!("01\tA\n02\t\n03\tA\n{told}"));
        assert_eq!((task("2"), job.tasks()), (format!("04\t\n{told}"), 2));
    }

    #[test]
    fn words_reach_the_program_as_they_are() {
        for text in ["plain", "", "two words", "it's", "$HOME `x` \"y\"", "a;b", "*", "~"] {
            let script = format!("printf %s {}", shell_word(text));
            let ran = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(ran.stdout).unwrap(), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_words_reach_the_program_as_they_are(words in proptest::collection::vec("[^\0]{0,12}", 1..40)) {
            let quoted: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
            let script = format!("printf '%s\\0' {}", quoted.join(" "));
            let ran = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            let printed = String::from_utf8(ran.stdout).unwrap();
            let reached: Vec<&str> = printed.split_terminator('\0').collect();
            proptest::prop_assert_eq!(reached, words);
        }
    }

    #[test]
    fn in_an_image_the_folders_are_bound_and_the_variables_carried() {
        let units = [unit("01", None)];
        let job = Job { image: Some(Path::new("/i.sif")), ..job(units.iter().collect(), 1) };
        let array = scripts(&job).unwrap().array;
        let exec = array.lines().find(|l| l.starts_with("exec")).unwrap();
        let start =
            "exec apptainer exec --cleanenv --bind '/b ids:/b ids:ro' --bind /out:/out:rw /i.sif neuro-preprocess";
        assert!(exec.starts_with(start), "{exec}");
        assert!(array.contains("APPTAINERENV_$name"));
        let colon = Job { input: Path::new("/a:b"), ..job };
        assert!(matches!(scripts(&colon), Err(SlurmError::Path { .. })));
    }

    #[test]
    fn force_is_for_the_first_attempt_only() {
        let units = [unit("01", None)];
        let job = Job { force: true, ..job(units.iter().collect(), 1) };
        let array = scripts(&job).unwrap().array;
        assert!(array.contains("SLURM_RESTART_COUNT") && array.contains(" $force <"), "{array}");
    }
}
