//! Options that people bring from fMRIPrep, MRIQC and QSIPrep: what each means here, in one table.
//!
//! An option that has an equal here is translated. One that changes nothing of the results here is accepted, with a note
//! at the start of the run. Any other is refused with the reason, because the results would not be the requested ones.

use super::error::Refusal;
use std::ffi::OsString;

const NO_SURFACES: &str = "no surfaces are reconstructed and FreeSurfer is not run";
const NO_CIFTI: &str =
    "no surfaces are reconstructed, so there are no CIFTI outputs; use the volumes in a template space";
const NO_AROMA: &str = "ICA-AROMA is not run; fMRIPost-AROMA can run on outputs in MNI152NLin6Asym:res-2";
const NO_DIFFUSION: &str = "diffusion images are not processed; use QSIPrep for them";
const NO_SYN: &str = "distortion is corrected with fieldmaps only; a run without a fieldmap is not corrected";
const NO_WORK: &str = "there are no work files";
const NO_NETWORK: &str = "nothing is sent or fetched, except telemetry to the collector that you name";
const NO_NIPYPE: &str = "there is no Nipype workflow; --nprocs and --mem limit the run, the verb slurm uses a cluster";
const NO_DERIVATIVES: &str = "derivatives of other tools are not read";
const FILTER: &str = "write it into a filter file, such as {\"bold\": {\"run\": 1}}, and use --bids-filter-file";
const ONE_METHOD: &str = "the method is fixed; docs/methods.md describes it";
const REPEATABLE: &str = "results are always the same for the same input";

/// How many values an accepted option takes.
#[derive(Clone, Copy)]
enum Takes {
    Nothing,
    One,
}

/// What becomes of an option.
#[derive(Clone, Copy)]
enum Answer {
    /// Another name for an option of this program; the values follow as they are.
    Same(&'static str),
    /// The same, for a number without a unit.
    InUnit(&'static str, &'static str),
    /// Stands for these arguments.
    Means(&'static str),
    /// Accepted without effect, and why that is right.
    Ignored(Takes, &'static str),
    /// Accepted where the value is one of these, which is what is done anyway.
    Only(&'static [&'static str], &'static str),
    /// Cannot be used, and why.
    Refused(&'static str),
}

use Answer::{Ignored, InUnit, Means, Only, Refused, Same};
use Takes::{Nothing, One};

/// The table: names with dashes, the answer to all of them.
const TABLE: &[(&[&str], Answer)] = &[
    (&["--mem-mb"], InUnit("--mem", "MB")),
    (&["--mem-gb"], InUnit("--mem", "GB")),
    (&["--n-procs"], Same("--nprocs")),
    (&["-m"], Same("--modalities")),
    (&["-t", "--task"], Same("--task-id")),
    (&["--bold2t1w-init"], Only(&["register"], "use --bold2anat-init auto or header")),
    (&["--anat-only"], Means("--modalities=T1w")),
    (&["-vv", "-vvv", "-vvvv"], Means("--debug")),
    // Limits of other workflows.
    (&["--omp-nthreads", "--ants-nthreads"], Ignored(One, "--nprocs limits all threads together")),
    (&["--low-mem"], Ignored(Nothing, "--mem limits the memory")),
    (&["--resource-monitor"], Ignored(Nothing, "time, processor and memory of every stage are always recorded")),
    (&["--write-graph"], Ignored(Nothing, "the traces show every step; see neuro-preprocess telemetry show")),
    (&["--verbose-reports"], Ignored(Nothing, "reports are always complete")),
    (&["--clean-workdir"], Ignored(Nothing, NO_WORK)),
    (&["--bids-database-dir"], Ignored(One, "no PyBIDS database is used")),
    (&["--md-only-boilerplate"], Ignored(Nothing, "the methods text is on each participant's page")),
    (&["--float32", "-f", "--ants-float"], Ignored(Nothing, "images are always processed as 32-bit numbers")),
    (&["--random-seed"], Ignored(One, REPEATABLE)),
    (&["--skull-strip-fixed-seed"], Ignored(Nothing, REPEATABLE)),
    (&["--stop-on-first-crash"], Ignored(Nothing, "a failed scan never stops the others")),
    (&["--use-plugin", "--nipype-plugin-file", "--crashfile-format"], Refused(NO_NIPYPE)),
    (&["--config-file"], Refused("--config takes this program's own configuration file; see --help")),
    (&["--sloppy", "--testing"], Means("--fast")),
    (&["--reports-only"], Refused("use neuro-preprocess report OUTPUT_DIR")),
    (&["--boilerplate-only"], Refused("the methods text is on each participant's page of the report")),
    // The network.
    (&["--notrack", "--no-sub", "--no-datalad-get"], Ignored(Nothing, NO_NETWORK)),
    (&["--datalad-get"], Refused("fetch the files first: datalad get PATH")),
    (&["--email", "--webapi-url", "--webapi-port"], Ignored(One, NO_NETWORK)),
    (&["--upload-strict", "--track-carbon"], Refused(NO_NETWORK)),
    // Surfaces.
    (&["--fs-license-file"], Ignored(One, NO_SURFACES)),
    (&["--fs-no-reconall", "--fs-no-resume", "--no-submm-recon", "--no-msm"], Ignored(Nothing, NO_SURFACES)),
    (&["--fs-subjects-dir", "--medial-surface-nan", "--project-goodvoxels"], Refused(NO_SURFACES)),
    (&["--cifti-output"], Refused(NO_CIFTI)),
    // Which scans.
    (&["--run-id", "--echo-idx"], Refused(FILTER)),
    (&["--longitudinal"], Refused("every session is processed on its own")),
    (&["--subject-anatomical-reference"], Only(&["sessionwise", "first-lex"], "every session is processed on its own")),
    (&["--derivatives", "-d"], Refused(NO_DERIVATIVES)),
    (&["--species"], Only(&["human"], "only human heads are processed")),
    (&["--infant"], Refused("heads of infants were not tried")),
    // How.
    (&["--output-layout"], Only(&["bids"], "outputs are always a BIDS derivative dataset")),
    (&["--bold2t1w-dof", "--bold2anat-dof"], Only(&["6"], "coregistration is rigid")),
    (&["--skull-strip-t1w"], Only(&["auto", "force"], "every T1w image is skull-stripped")),
    (&["--skull-strip-template"], Refused(ONE_METHOD)),
    (&["--dummy-scans"], Refused("volumes before the steady state are detected; the confounds table lists them")),
    (
        &["--force-bbr", "--force-no-bbr"],
        Refused("boundary-based coregistration is used where it fits, else the best start"),
    ),
    (&["--use-syn-sdc", "--force-syn"], Refused(NO_SYN)),
    (&["--fmap-bspline", "--fmap-no-demean", "--topup-max-vols", "--me-t2s-fit-method"], Refused(ONE_METHOD)),
    (&["--fd-spike-threshold"], Only(&["0.5"], "the limit is 0.5 mm; use the confounds table for another")),
    (&["--dvars-spike-threshold"], Only(&["1.5"], "the limit is 1.5; use the confounds table for another")),
    (&["--return-all-components"], Refused("the confounds table has the components that explain half of the variance")),
    (&["--use-aroma", "--aroma-melodic-dimensionality", "--error-on-aroma-warnings"], Refused(NO_AROMA)),
    (&["--deoblique", "--despike", "--hmc-fsl", "--hmc-afni", "--ants-settings"], Refused(ONE_METHOD)),
    (&["--fft-spikes-detector", "--ica", "--fd-thres", "--start-idx", "--stop-idx"], Refused(ONE_METHOD)),
    // Diffusion.
    (
        &[
            "--dwi-only",
            "--hmc-model",
            "--hmc-transform",
            "--eddy-config",
            "--denoise-method",
            "--dwi-denoise-window",
            "--denoise-after-combining",
            "--unringing-method",
            "--b0-threshold",
            "--b0-motion-corr-to",
            "--b0-to-t1w-transform",
            "--b0-to-anat-transform",
            "--separate-all-dwis",
            "--distortion-group-merge",
            "--pepolar-method",
            "--output-resolution",
            "--recon-spec",
            "--shoreline-iters",
            "--anat-modality",
        ],
        Refused(NO_DIFFUSION),
    ),
];

/// Arguments with every option of the table translated or taken out, and what to note about it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Translated {
    pub args: Vec<OsString>,
    pub notes: Vec<String>,
}

/// Translates the arguments of a run (the program's name first).
///
/// # Errors
/// [`Refusal::Foreign`] with every option that cannot be used.
pub(super) fn translate(args: Vec<OsString>) -> Result<Translated, Refusal> {
    let mut out = Translated::default();
    if !is_run(&args) {
        return Ok(Translated { args, ..out });
    }
    let mut refused: Vec<(String, &'static str)> = Vec::new();
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy().into_owned();
        if text == "--" {
            out.args.push(arg);
            out.args.extend(args);
            break;
        }
        // Its value is an option of another program.
        if text == "--sbatch-option" {
            out.args.extend([Some(arg), args.next()].into_iter().flatten());
            continue;
        }
        let (name, inline) = text.split_once('=').map_or((text.as_str(), None), |(name, value)| (name, Some(value)));
        let Some(answer) = answer(name) else {
            out.args.push(arg);
            continue;
        };
        let next = args.peek().map(|next| next.to_string_lossy().into_owned()).filter(|next| !next.starts_with('-'));
        let value = inline.map(str::to_owned).or_else(|| next.clone());
        let mut take = |taken: bool| {
            if taken && inline.is_none() && next.is_some() {
                args.next();
            }
        };
        match answer {
            Same(own) => out.args.push(inline.map_or_else(|| own.into(), |value| format!("{own}={value}").into())),
            InUnit(own, unit) => {
                take(true);
                let bare = |value: &String| !value.is_empty() && value.chars().all(|c| c.is_ascii_digit() || c == '.');
                let unit = if value.as_ref().is_some_and(bare) { unit } else { "" };
                out.args.push(format!("{own}={}{unit}", value.unwrap_or_default()).into());
            }
            Means(own) => out.args.push(own.into()),
            Ignored(takes, why) => {
                take(matches!(takes, One));
                out.notes.push(format!("{name} is accepted and not used: {why}"));
            }
            Only(values, why) => {
                take(true);
                match value {
                    Some(value) if values.contains(&value.as_str()) => {}
                    value => refused.push((format!("{name} {}", value.unwrap_or_default()).trim().to_owned(), why)),
                }
            }
            Refused(why) => refused.push((name.to_owned(), why)),
        }
    }
    if refused.is_empty() { Ok(out) } else { Err(Refusal::Foreign { refused }) }
}

fn answer(name: &str) -> Option<Answer> {
    TABLE.iter().find(|(names, _)| names.contains(&name)).map(|(_, answer)| *answer)
}

/// Whether scans would be processed: other verbs have options of their own.
fn is_run(args: &[OsString]) -> bool {
    let first = args.get(1).map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default();
    let command = super::command();
    let is_verb = command.get_subcommands().any(|verb| verb.get_name() == first);
    !is_verb || ["process", "batch", "slurm"].contains(&first.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> Result<(String, Vec<String>), Refusal> {
        let args = std::iter::once("np").chain(line.split(' ')).map(OsString::from).collect();
        let found = translate(args)?;
        let words: Vec<String> = found.args.iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
        Ok((words.join(" "), found.notes))
    }

    #[test]
    fn no_row_hides_an_option_of_this_program_and_no_name_comes_twice() {
        let names: Vec<&str> = TABLE.iter().flat_map(|(names, _)| names.iter().copied()).collect();
        let command = super::super::command();
        let options: Vec<String> = command
            .get_arguments()
            .flat_map(|arg| {
                let long = arg.get_long_and_visible_aliases().unwrap_or_default();
                let short = arg.get_short().map(|short| format!("-{short}"));
                long.into_iter().map(|long| format!("--{long}")).chain(short).collect::<Vec<_>>()
            })
            .collect();
        for (at, name) in names.iter().enumerate() {
            assert!(!options.iter().any(|own| own == name), "{name} is an option of this program");
            assert!(!names[..at].contains(name), "{name} comes twice");
        }
        for (names, answer) in TABLE {
            if let Same(own) | InUnit(own, _) = answer {
                assert!(options.iter().any(|option| option == own), "{names:?}: there is no {own}");
            }
        }
    }

    #[test]
    fn what_has_an_equal_is_translated() {
        for (typed, becomes) in [
            ("bids out participant --mem-mb 16000", "bids out participant --mem=16000MB"),
            ("bids out participant --mem-gb=8", "bids out participant --mem=8GB"),
            ("bids out participant --mem-mb 8GB", "bids out participant --mem=8GB"),
            ("bids out participant -t rest -m bold", "bids out participant --task-id rest --modalities bold"),
            ("bids out participant --anat-only -vv", "bids out participant --modalities=T1w --debug"),
            ("--n-procs=4 bids out participant", "--nprocs=4 bids out participant"),
            ("slurm bids out --sbatch-option --mem-mb=3", "slurm bids out --sbatch-option --mem-mb=3"),
            ("bids out participant -- --mem-mb", "bids out participant -- --mem-mb"),
            ("synth heads --cifti-output", "synth heads --cifti-output"),
            ("bids out participant --sloppy --level minimal", "bids out participant --fast --level minimal"),
        ] {
            assert_eq!(translated(typed), Ok((becomes.to_owned(), vec![])), "{typed}");
        }
    }

    #[test]
    fn what_changes_nothing_is_accepted_with_a_note() {
        let line = "--fs-license-file lic.txt bids out participant --notrack --omp-nthreads 4";
        let (left, notes) = translated(line).unwrap();
        assert_eq!((left.as_str(), notes.len()), ("bids out participant", 3));
        assert!(notes[0].starts_with("--fs-license-file is accepted and not used: no surfaces"), "{notes:?}");
    }

    #[test]
    fn what_would_change_results_is_refused_with_the_reason_all_at_once() {
        let line = "bids out participant --cifti-output 91k --use-aroma --output-layout legacy --output-layout bids";
        let Err(Refusal::Foreign { refused }) = translated(line) else { panic!("{line} is refused") };
        let names: Vec<&str> = refused.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["--cifti-output", "--use-aroma", "--output-layout legacy"]);
    }
}
