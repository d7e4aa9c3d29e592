//! The request to process something: what was named, what is wanted of it, and how the run is to go.

use super::args::{DatasetArgs, RunArgs, SelectArgs};
use super::command::command;
use super::error::Refusal;
use super::layers::Layers;
use super::memory::Memory;
use super::request::{Input, Level, RunConfig};
use super::resolve_telemetry::telemetry;
use super::typed::Texts;
use super::values::{self, Env};
use super::{paths, subcohort};
use crate::bids::{Label, Modality, Selection};
use crate::vocabulary::Fieldmaps;
use std::path::{Path, PathBuf};

/// Hint when OUTPUT_DIR is missing.
const STUDY: &str = " (only a Nipoppy study, a folder with .nipoppy inside, needs none)";

pub(super) fn without_verb(mut args: DatasetArgs, run: RunArgs, env: Env) -> Result<RunConfig, Refusal> {
    if let Some(extra) = args.extra.first() {
        return Err(Refusal::TooMany { extra: extra.to_string_lossy().into_owned() });
    }
    let output = args.output.take();
    let missing = || Refusal::OutputMissing { how: "--output DIR", study: "" };
    match (args.bids_dir.take(), args.input.take(), args.input_dir.take()) {
        (None, Some(scan), None) => {
            not_for_loose_scans(&args)?;
            run_file(scan, output.ok_or_else(missing)?, run, env)
        }
        (None, None, Some(folder)) => {
            not_for_loose_scans(&args)?;
            run_folder(folder, output.ok_or_else(missing)?, run, env)
        }
        (_, Some(_), Some(_)) => {
            Err(conflict("--input", "--input-dir", "--input is for one file, --input-dir for a folder"))
        }
        (Some(_), Some(_), None) => Err(conflict("BIDS_DIR", "--input", "name the scans once")),
        (Some(_), None, Some(_)) => Err(conflict("BIDS_DIR", "--input-dir", "name the scans once")),
        (None, None, None) => Err(swallowed(&args).unwrap_or(Refusal::NoInputGiven)),
        (Some(dir), None, None) => {
            if output.is_some() {
                let meant = verb_meant(&dir).unwrap_or_default();
                let advice = format!("with a dataset the output is the second folder{meant}");
                return Err(conflict("BIDS_DIR", "--output", &advice));
            }
            // A level in the place of the dataset: an option before it has taken the folders.
            let taken = swallowed(&args).filter(|_| level_word(&dir).is_some() && !dir.exists());
            taken.map_or_else(|| run_dataset(dir, args, run, env), Err)
        }
    }
}

fn conflict(first: &'static str, second: &'static str, advice: &str) -> Refusal {
    Refusal::Conflict { first, second, advice: advice.to_owned() }
}

/// An option with several values that stands before the folders takes them, too; clap cannot know where its values end.
fn swallowed(args: &DatasetArgs) -> Option<Refusal> {
    let lists = [
        ("--participant-label", &args.select.participant_label),
        ("--session-label", &args.select.session_label),
        ("--task-id", &args.select.task_id),
    ];
    let (option, values) = lists.into_iter().find(|(_, values)| values.len() > 1)?;
    Some(Refusal::Swallowed { option, values: values.join(" ") })
}

/// Labels and filters are about BIDS names; without a dataset they would be dropped in silence.
fn not_for_loose_scans(args: &DatasetArgs) -> Result<(), Refusal> {
    let used = [
        ("--participant-label", !args.select.participant_label.is_empty()),
        ("--session-label", !args.select.session_label.is_empty()),
        ("--task-id", !args.select.task_id.is_empty()),
        ("--subcohort", args.select.subcohort.is_some()),
        ("--bids-filter-file", args.select.bids_filter_file.is_some()),
        ("--skip-bids-validation", args.select.settings.0.get("skip-bids-validation").is_some()),
    ];
    let found = used.into_iter().find(|(_, is_used)| *is_used);
    found.map_or(Ok(()), |(option, _)| {
        Err(conflict(option, "--input or --input-dir", "it is about a dataset; name the dataset as BIDS_DIR"))
    })
}

pub(super) fn run_file(scan: PathBuf, output: PathBuf, run: RunArgs, env: Env) -> Result<RunConfig, Refusal> {
    paths::input_scan(&scan)?;
    let root = paths::dataset_above(&scan);
    paths::output_folder("output", &output, root.as_deref())?;
    let layers = Layers::gather(&run.0, env)?;
    let input = Input::File { path: scan };
    finish(input, Some(output), Level::Participant, Selection::default(), &run.0, layers, (root.as_deref(), env))
}

pub(super) fn run_folder(folder: PathBuf, output: PathBuf, run: RunArgs, env: Env) -> Result<RunConfig, Refusal> {
    let hint = paths::bound_hint(&folder);
    paths::input_folder(&folder, "use the verb process (or --input) for one scan", hint)?;
    let root = paths::dataset_above(&folder).unwrap_or_else(|| folder.clone());
    paths::output_folder("output", &output, Some(&root))?;
    let layers = Layers::gather(&run.0, env)?;
    let input = Input::Folder { dir: folder };
    finish(input, Some(output), Level::Participant, Selection::default(), &run.0, layers, (Some(&root), env))
}

/// A run on a dataset or a study.
pub(super) fn run_dataset(
    dir: PathBuf,
    mut args: DatasetArgs,
    mut run: RunArgs,
    env: Env,
) -> Result<RunConfig, Refusal> {
    let hint = verb_meant(&dir).unwrap_or_else(|| paths::bound_hint(&dir));
    paths::input_folder(&dir, "use the verb process for one scan", hint)?;
    // The study itself is read later; here it only matters that such a folder knows its own output.
    let study = dir.join(".nipoppy").is_dir();
    let (output, level) = output_and_level(&args, study)?;
    let root = if study { dir.join("bids") } else { dir.clone() };
    if let Some(output) = &output {
        paths::output_folder("output", output, Some(&root))?;
        paths::not_the_same("output", output, &dir)?;
    }
    run.0.0.append(&mut args.select.settings.0.0);
    let selection = selection(args.select)?;
    let mut layers = Layers::gather(&run.0, env)?;
    if layers.options.skip_bids_validation {
        layers.notes.push("--skip-bids-validation: the dataset's description is not validated".to_owned());
    }
    finish(Input::Bids { dir }, output, level, selection, &run.0, layers, (Some(&root), env))
}

/// The selection of a dataset; modalities are added later.
pub(super) fn selection(select: SelectArgs) -> Result<Selection, Refusal> {
    for (file, role) in [(&select.bids_filter_file, "the filter file"), (&select.subcohort, "the subcohort file")] {
        file.as_deref().map_or(Ok(()), |file| paths::side_file(file, role))?;
    }
    Ok(Selection {
        participants: labels("--participant-label", "sub-", &select.participant_label)?,
        sessions: labels("--session-label", "ses-", &select.session_label)?,
        tasks: labels("--task-id", "task-", &select.task_id)?,
        subcohort: select.subcohort.as_deref().map(subcohort::read).transpose()?.unwrap_or_default(),
        modalities: Vec::new(),
        filter_file: select.bids_filter_file,
    })
}

/// The second and third argument. A study may leave out the output, so there a level may come second.
fn output_and_level(args: &DatasetArgs, study: bool) -> Result<(Option<PathBuf>, Level), Refusal> {
    match (&args.output_dir, args.level) {
        (Some(output), Some(level)) => Ok((Some(output.clone()), level)),
        (None, _) if study => Ok((None, Level::Participant)),
        (None, _) => Err(Refusal::OutputMissing { how: "OUTPUT_DIR and participant after BIDS_DIR", study: STUDY }),
        (Some(second), None) => match level_word(second) {
            Some(level) if study => Ok((None, level)),
            Some(_) => Err(Refusal::OutputMissing { how: "OUTPUT_DIR between BIDS_DIR and the level", study: STUDY }),
            None => {
                let meant = second.to_str().and_then(|text| values::nearest(text, ["participant", "group"]));
                let hint = meant.map(|level| format!("; did you mean {level}?")).unwrap_or_default();
                Err(Refusal::LevelMissing { hint })
            }
        },
    }
}

/// The level, where the word in the place of a folder is one.
fn level_word(word: &Path) -> Option<Level> {
    <Level as clap::ValueEnum>::from_str(word.to_str()?, false).ok()
}

/// A hint when the first argument was meant as a verb: misspelt, or with options before it.
fn verb_meant(first: &Path) -> Option<String> {
    let command = command();
    let verb = values::nearest(first.to_str()?, command.get_subcommands().map(clap::Command::get_name))?;
    Some(if first == Path::new(verb) {
        format!(": the verb {verb} comes before all options")
    } else {
        format!(": did you mean the verb {verb}?")
    })
}

/// Labels without prefix, in the order typed, each once.
fn labels(option: &'static str, prefix: &str, typed: &[String]) -> Result<Vec<String>, Refusal> {
    let mut found: Vec<String> = Vec::new();
    for word in typed.iter().flat_map(|text| text.split([',', ' '])).filter(|word| !word.is_empty()) {
        let label = word.strip_prefix(prefix).unwrap_or(word);
        let problem = if label == "None" {
            Some("the caller (Nipoppy, for one) had no label to give and wrote None; check its call")
        } else if Label::new(label).is_err() {
            Some("a label has only letters, digits and +")
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(Refusal::BadLabel { option, value: word.to_owned(), problem });
        }
        if !found.iter().any(|known| known == label) {
            found.push(label.to_owned());
        }
    }
    match typed.first() {
        Some(first) if found.is_empty() => {
            Err(Refusal::BadLabel { option, value: first.clone(), problem: "is empty; leave the option out for all" })
        }
        _ => Ok(found),
    }
}

fn finish(
    input: Input,
    output: Option<PathBuf>,
    level: Level,
    mut selection: Selection,
    typed: &Texts,
    layers: Layers,
    (root, env): (Option<&Path>, Env),
) -> Result<RunConfig, Refusal> {
    let Layers { mut options, threads, mut notes, .. } = layers;
    if let Some(work) = &options.work_dir {
        paths::output_folder("work", work, root)?;
    }
    options.modalities = each_once(options.modalities);
    selection.modalities.clone_from(&options.modalities);
    notes.extend(options.mem.as_ref().map(Memory::understood));
    if options.ignore.fieldmaps && options.use_fieldmap == Fieldmaps::Always {
        let advice = "leave out the one that is not meant: either no fieldmap is used or each that is there";
        return Err(conflict("--ignore fieldmaps", "--use-fieldmap always", advice));
    }
    Ok(RunConfig {
        input,
        output,
        level,
        selection,
        threads,
        memory_bytes: options.mem.as_ref().map(|m| m.bytes),
        telemetry: telemetry(&options, typed, env, &mut notes)?,
        options,
        notes,
    })
}

/// All modalities when none is named.
pub(super) fn each_once(named: Vec<Modality>) -> Vec<Modality> {
    Modality::ALL.into_iter().filter(|m| named.is_empty() || named.contains(m)).collect()
}
