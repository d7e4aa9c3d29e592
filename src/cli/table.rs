//! The options of runs, one row each. From the table come the command line, its help and completions, the variables, the keys
//! of the configuration file, the Boutiques descriptor, the options of Slurm tasks, and their documents.

use super::row::{Group, Row, flag, form, list, means, setting, value};
use super::values::{self, Format, MOST_THREADS};

/// The heading of all that says which scans.
pub(super) const WHAT: &str = "What to process";
const HOW: &str = "How to run";

const SELECT: Group = Group { heading: WHAT, forms: form::SELECT };
const SCANS: Group = Group { heading: WHAT, forms: form::RUN };
const RUN: Group = Group { heading: HOW, forms: form::RUN };
const LIMITS: Group = Group { heading: HOW, forms: form::RUN | form::DEMO };
const TRIAL: Group = Group { heading: "Trying things out", forms: form::RUN };
const OBSERVE: Group = Group { heading: "Telemetry and messages", forms: form::RUN | form::DEMO | form::OBSERVE };

/// The sections of the configuration file.
const R: &str = "run";
const O: &str = "observability";

/// Every option of a run, in the order of the help.
pub const OPTIONS: &[Row] = &[
    flag(
        "skip-bids-validation",
        SELECT,
        "Go on although dataset_description.json is missing or invalid",
        |o| &mut o.skip_bids_validation,
    )
    .section(R, ""),
    list("modalities", "KIND", SCANS, "Kinds of scan to process [default: T1w bold]", |o| &mut o.modalities)
        .section(R, "T1w, bold or both"),
    // A task that is started again goes on where it stopped.
    flag("force", SCANS, "Process again what is already done", |o| &mut o.force).not_for_tasks(),
    value(
        "resume",
        "HOW",
        SCANS,
        "How the outputs of finished scans are checked: size compares their size, verify also reads and compares their \
         content [default: size]",
        |o| &mut o.resume,
    )
    .section(R, ""),
    flag(
        "strict",
        SCANS,
        "Treat anything odd about the input as an error: a scan with a repaired or guessed header or sidecar fails, and a \
         dataset with warnings or left-out files is not processed. Finished scans are kept",
        |o| &mut o.strict,
    )
    .section(R, ""),
    list(
        "output-spaces",
        "SPACE",
        SCANS,
        "Output spaces, as fMRIPrep names them: templates such as MNI152NLin2009cAsym:res-2 and MNI152NLin6Asym; T1w, the \
         participant's T1w image (bold runs); func, the scan's own space (always written). MNI152NLin2009cAsym is built in, \
         others are read from TEMPLATEFLOW_HOME [default: MNI152NLin2009cAsym:res-2 func]",
        |o| &mut o.output_spaces,
    )
    .section(R, "spaces such as MNI152NLin2009cAsym:res-2"),
    value(
        "level",
        "LEVEL",
        SCANS,
        "How much is written, as in fMRIPrep: minimal, without preprocessed series, images in output spaces and confounds, but \
         with all that they can be made from; resampling, without confounds; full [default: full]",
        |o| &mut o.level,
    )
    .section(R, ""),
    flag("fast", SCANS, "Register to templates by a faster recipe, which fits less closely", |o| &mut o.fast)
        .section(R, ""),
    value(
        "bold2anat-init",
        "START",
        SCANS,
        "Start of the coregistration of bold runs: auto tries the headers and the centres of mass, header uses the headers \
         only [default: auto]",
        |o| &mut o.bold2anat_init,
    )
    .section(R, ""),
    list(
        "ignore",
        "WHAT",
        SCANS,
        "Do not use these inputs: fieldmaps; slicetiming, the times of the slices",
        |o| &mut o.ignore,
    )
    .section(R, "fieldmaps, slicetiming or both"),
    value(
        "use-fieldmap",
        "WHEN",
        SCANS,
        "Use of a fieldmap that makes a bold run match the T1w image less well: auto leaves it out with a note, always uses \
         it [default: auto]",
        |o| &mut o.use_fieldmap,
    )
    .section(R, ""),
    value(
        "slice-time-ref",
        "SHARE",
        SCANS,
        "Reference time of slice timing correction, as a fraction of the time from the first slice to the last: 0 to 1, or \
         start, middle, end [default: 0.5]",
        |o| &mut o.slice_time_ref,
    )
    .section(R, "0 to 1, start, middle or end"),
    flag(
        "me-output-echos",
        SCANS,
        "Also write each echo of multi-echo runs, without motion, for tools such as tedana",
        |o| &mut o.me_output_echos,
    )
    .section(R, ""),
    flag(
        "no-report",
        RUN,
        "Write no report pages (index.html, sub-XX.html); the verb report makes them later",
        |o| &mut o.no_report,
    )
    .section(R, ""),
    flag("dry-run", RUN, "Show what would be done, and write nothing", |o| &mut o.dry_run).not_for_tasks(),
    value("format", "FORMAT", RUN, "Format of the plan that --dry-run prints [default: text]", |o| &mut o.format)
        .needs("dry-run")
        .not_for_tasks()
        .clap(|arg| arg.value_parser(clap::value_parser!(Format))),
    value("work-dir", "DIR", RUN, "Accepted for compatibility; not used, because there are no work files", |o| {
        &mut o.work_dir
    })
    .not_for_tasks()
    .clap(|arg| arg.short('w').hide(true)),
    // Of these a task has its own.
    value(
        "nprocs",
        "N",
        LIMITS,
        "Threads to use [default: SLURM_CPUS_PER_TASK, else all this process may use]",
        |o| &mut o.nprocs,
    )
    .section(R, "a whole number")
    .limits(1.0, Some(MOST_THREADS as f64))
    .not_for_tasks()
    .clap(|arg| {
        let arg = arg.visible_aliases(["n-cpus", "nthreads", "parallel"]);
        arg.value_parser(clap::value_parser!(u16).range(1..=MOST_THREADS))
    }),
    value(
        "mem",
        "SIZE",
        LIMITS,
        "Memory limit: 8GB, 8GiB, 8000MB; a bare number is GB up to 512, MB above [default: most of what is available]",
        |o| &mut o.mem,
    )
    .section(R, "a size such as 8GB")
    .not_for_tasks(),
    value(
        "fail-rate",
        "P",
        TRIAL,
        "Make scans fail with this probability, 0 to 1, to try dashboards and alerts",
        |o| &mut o.fail_rate,
    )
    .limits(0.0, Some(1.0))
    .clap(|arg| arg.value_parser(values::share)),
    value(
        "slow-stage",
        "STAGE[:SECONDS]",
        TRIAL,
        "Make a stage take longer: load, process or save, with :SECONDS [default: 5 seconds]",
        |o| &mut o.slow_stage,
    ),
    value(
        "seed",
        "N",
        TRIAL,
        "Seed of the failures: the same seed gives the same run",
        |o| &mut o.seed,
    )
    .limits(0.0, None)
    .clap(|arg| arg.default_value("1").value_parser(clap::value_parser!(u64))),
    value(
        "otel-endpoint",
        "URL",
        OBSERVE,
        "Send traces, metrics and logs to this collector, such as http://localhost:4317",
        |o| &mut o.otel_endpoint,
    )
    .section(O, "a URL")
    .online(),
    // A task finds it in its environment.
    value("traceparent", "CONTEXT", OBSERVE, "W3C trace context to continue; wins over the TRACEPARENT variable", |o| {
        &mut o.traceparent
    })
    .online()
    .not_for_tasks(),
    flag("trace", OBSERVE, "Print finished traces as a tree", |o| &mut o.trace).section(O, "").online(),
    flag("no-telemetry", OBSERVE, "No traces, no metrics; only messages", |o| &mut o.no_telemetry).section(O, ""),
    value(
        "flush-timeout",
        "SECONDS",
        OBSERVE,
        "Longest wait for the collector at the end of the run; 0 to 3600 [default: 5]",
        |o| &mut o.flush_timeout,
    )
    .section(O, "seconds, 0 to 3600")
    .online(),
    flag("no-subject-metrics", OBSERVE, "No metrics of single participants", |o| &mut o.no_subject_metrics)
        .section(O, ""),
    flag(
        "pseudonymize",
        OBSERVE,
        "Replace labels, scan names and paths by keyed hashes in all telemetry that can be sent",
        |o| &mut o.pseudonymize,
    )
    .section(O, ""),
    // Files are told to a task by their absolute paths.
    value(
        "pseudonymize-key",
        "FILE",
        OBSERVE,
        "File with the key of the hashes, at least 16 bytes [default: the variable NEURO_PREPROCESS_PSEUDONYM_KEY holds \
         the key itself]",
        |o| &mut o.pseudonymize_key,
    )
    .section(O, "a file")
    .not_for_tasks(),
    value("log-format", "FORMAT", OBSERVE, "Format of the messages on standard error [default: text]", |o| {
        &mut o.log_format
    })
    .section(O, ""),
    setting("verbosity", |o| &mut o.verbosity).section(O, ""),
    means("verbose", ("verbosity", "verbose"), OBSERVE, "Also log the start and end of each stage", |o| {
        &mut o.verbosity
    })
    .clap(|arg| arg.short('v')),
    means("debug", ("verbosity", "debug"), OBSERVE, "Also log stage parameters", |o| &mut o.verbosity),
    means("quiet", ("verbosity", "quiet"), OBSERVE, "Log errors only", |o| &mut o.verbosity)
        .clap(|arg| arg.short('q').conflicts_with_all(["verbose", "debug"])),
    value(
        "config",
        "FILE",
        OBSERVE,
        "Configuration file [default: neuro-preprocess/config.toml in XDG_CONFIG_HOME or ~/.config]",
        |o| &mut o.config,
    )
    .not_for_tasks(),
];
