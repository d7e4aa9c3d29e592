//! The parts of the help that no option carries: the forms, examples, exit statuses.

use super::typed::settings;

/// The forms of the command.
pub(super) const USAGE: &str = "\
neuro-preprocess BIDS_DIR OUTPUT_DIR participant|group [OPTIONS]
       neuro-preprocess NIPOPPY_STUDY [participant] [OPTIONS]
       neuro-preprocess process SCAN -o DIR [OPTIONS]
       neuro-preprocess batch DIR -o DIR [OPTIONS]
       neuro-preprocess slurm BIDS_DIR OUTPUT_DIR [OPTIONS]
       neuro-preprocess synth DIR [OPTIONS]
       neuro-preprocess demo [normal|failures|slow|concurrent] [OPTIONS]
       neuro-preprocess score DERIVATIVES [OPTIONS]
       neuro-preprocess extract DERIVATIVES TABLE
       neuro-preprocess report OUTPUT_DIR [OPTIONS]
       neuro-preprocess verify OUTPUT_DIR [OPTIONS]
       neuro-preprocess descriptor
       neuro-preprocess bundle DIR
       neuro-preprocess --invocation FILE
       neuro-preprocess telemetry replay|status|show DIR [OPTIONS]
       neuro-preprocess telemetry config [OPTIONS]
       neuro-preprocess list BIDS_DIR [OPTIONS]
       neuro-preprocess explain [CODE]
       neuro-preprocess completions SHELL
       neuro-preprocess man DIR";

/// Ends `-h`.
pub(super) const SHORT: &str = "\
Start with: neuro-preprocess demo
Examples, the configuration file and exit statuses: neuro-preprocess --help";

/// Ends `--help`.
pub(super) fn examples() -> String {
    let variables: Vec<String> =
        settings().map(|row| row.variable().trim_start_matches("NEURO_PREPROCESS").to_owned()).collect();
    format!("{EXAMPLES}{}{FILE_AND_STATUS}", variables.join(", "))
}

const EXAMPLES: &str = "\
Examples:
  See it work, without any data of your own:
    neuro-preprocess demo
  List a dataset with what is left out, and show what would be done:
    neuro-preprocess list /data/bids
    neuro-preprocess /data/bids /data/out participant --dry-run
  All of it, with eight threads, within 16 GB:
    neuro-preprocess /data/bids /data/out participant --nprocs 8 --mem 16GB
  Two participants, T1w only; options with several values come after the folders:
    neuro-preprocess /data/bids /data/out participant --participant-label 01 02 --modalities T1w
  Every participant and session a Nipoppy study has in BIDS:
    neuro-preprocess /data/study
  One file, and a folder of files, without BIDS:
    neuro-preprocess process head.nii.gz -o out
    neuro-preprocess batch /data/scans -o out
  What an error code means:
    neuro-preprocess explain NP-TRUNCATED
  Send traces, metrics and logs to a collector:
    neuro-preprocess /data/bids /data/out participant --otel-endpoint http://localhost:4317

Write a folder that has the name of a verb with its path: ./demo.
Options may be written with _ for -. Options of fMRIPrep, MRIQC and QSIPrep are accepted where they
mean something here; for any other, a line says why not.

Limits: for research, not for clinical use. Tried on heads of adults and one child, not of infants.
T1w and bold only: no surfaces, no CIFTI, no diffusion.

Settings are taken from the option, else the environment, else the configuration file.
The variables begin with NEURO_PREPROCESS: ";

const FILE_AND_STATUS: &str = ".
The standard OTEL_* variables are honoured too. A configuration file looks like this:
    [run]
    nprocs = 4
    mem = \"8GB\"
    [observability]
    otel-endpoint = \"http://collector:4317\"

Exit status: 0 all done, 1 a scan failed, 16 invalid dataset, 17 unknown level,
18 nothing matches, 19 invocation and arguments mixed, 64 usage, 65 bad data, 66 no input,
70 internal, 73 cannot create output, 74 input or output, 75 interrupted (run again).";

/// Ends `process --help`.
pub(super) const PROCESS: &str = "\
Examples:
  neuro-preprocess process sub-01_T1w.nii.gz -o out
  neuro-preprocess process rest.nii.gz -o out --modalities bold --trace";

/// Ends `batch --help`.
pub(super) const BATCH: &str = "\
Examples:
  neuro-preprocess batch /data/scans -o out --nprocs 4
  neuro-preprocess batch /data/scans -o out --fail-rate 0.2 --seed 7";

/// Ends `slurm --help`.
pub(super) const SLURM: &str = "\
--nprocs and --mem are per task (default: 2, and the estimated memory of its scans).
Only unfinished sessions are submitted: after a failure, run the same command again.

Examples:
  Look at the script, then submit it:
    neuro-preprocess slurm /data/bids /data/out --dry-run
    neuro-preprocess slurm /data/bids /data/out --submit
  Twenty participant-sessions a task, at most fifty tasks at a time, in a container:
    neuro-preprocess slurm /data/bids /data/out --submit --batch 20 --max-concurrent 50 \\
      --partition short --image neuro-preprocess.sif";

/// Ends `synth --help`.
pub(super) const SYNTH: &str = "\
Examples:
  neuro-preprocess synth /tmp/heads --participants 5
  neuro-preprocess synth /tmp/heads --participants 3 --sessions 2 --modalities T1w --voxel-size 1";

/// Ends `demo --help`.
pub(super) const DEMO: &str = "\
Examples:
  neuro-preprocess demo
  neuro-preprocess demo failures -o /tmp/demo --otel-endpoint http://localhost:4317";

/// Ends `score --help`.
pub(super) const SCORE: &str = "\
Examples:
  neuro-preprocess synth heads --participants 3
  neuro-preprocess heads out participant
  neuro-preprocess score out
  neuro-preprocess score /data/other-tool --truth heads/derivatives/ground-truth --format json

Exit status: 0 when every scan was compared, 1 when one lacks its derivatives or its truth.";

/// Ends `extract --help`.
pub(super) const EXTRACT: &str = "\
Examples:
  neuro-preprocess extract out idps.tsv
  neuro-preprocess extract study/derivatives/neuro-preprocess/VERSION/output idps.tsv

Values of several scans of one kind are averaged. Times are summed.";

/// Ends `report --help`.
pub(super) const REPORT: &str = "\
Examples:
  neuro-preprocess report out
  neuro-preprocess report study/derivatives/neuro-preprocess/VERSION/output --nprocs 4

Writes index.html, a page for each participant, group_T1w.tsv and group_bold.tsv. Only
outputs are read; the raw data are not needed.";

/// Ends `verify --help`.
pub(super) const VERIFY: &str = "\
Examples:
  neuro-preprocess verify out
  neuro-preprocess verify out --json

Reads every output and compares it with the size and the XXH3 checksum in the ledger of its session.
Writes nothing. Pages and tables of the whole dataset have no entry and are not checked.

Exit status: 0 all unchanged, 1 an output is missing, changed or extra, 66 no ledger.";

/// Ends `bundle --help`.
pub(super) const BUNDLE: &str = "\
Examples:
  neuro-preprocess bundle bundles
  nipoppy pipeline install --study STUDY bundles/neuro-preprocess
  nipoppy pipeline install --study STUDY bundles/neuro-preprocess-idps

The first processes (steps default and group), the second makes one table of all runs. Bundles of
an earlier version in DIR are replaced.";

/// Ends `telemetry --help`.
pub(super) const TELEMETRY: &str = "\
Examples:
  neuro-preprocess telemetry status out
  neuro-preprocess telemetry replay out --endpoint http://localhost:4317
  neuro-preprocess telemetry show out
  neuro-preprocess telemetry compare out-before out-after
  neuro-preprocess telemetry config";

/// Ends `telemetry replay --help`.
pub(super) const REPLAY: &str = "\
Examples:
  neuro-preprocess telemetry replay out --endpoint http://localhost:4317
  neuro-preprocess telemetry replay /data/study/derivatives

Without --endpoint the collector is found as for a run: NEURO_PREPROCESS_OTEL_ENDPOINT, the OTEL_*
variables, the configuration file, the stack that you started on this machine. If interrupted, run
the same command again. Files of a process that is still running are left to it.

Exit status: 0 all is delivered, 66 no telemetry is there, 75 some remains.";

/// Ends `telemetry status --help`.
pub(super) const STATUS: &str = "\
Examples:
  neuro-preprocess telemetry status out
  neuro-preprocess telemetry status /data/study/derivatives --format json
  neuro-preprocess telemetry status out --check http://127.0.0.1:3200

With --check every trace is looked up by its id; what tail sampling left out is named, too.

Exit status: 0, 66 when no telemetry is there, 75 when the store lacks something.";

/// Ends `telemetry show --help`.
pub(super) const TELEMETRY_SHOW: &str = "\
Examples:
  The slowest participants of a run and everything that failed:
    neuro-preprocess telemetry show out
  All failures, as JSON:
    neuro-preprocess telemetry show out --status failed --limit 100000 --format json
  Where the time of one participant went:
    neuro-preprocess telemetry show out --participant 01";

/// Ends `telemetry compare --help`.
pub(super) const COMPARE: &str = "\
Examples:
  neuro-preprocess telemetry compare out-before out-after
  One folder holds several runs; the beginning of an id, as telemetry show prints it, is enough:
    neuro-preprocess telemetry compare out@01a22a69 out@01a22b70 --threshold 5

Only scans that succeeded are compared, and those that both runs did one by one.";

/// Ends `telemetry config --help`.
pub(super) const TELEMETRY_CONFIG: &str = "\
Examples:
  neuro-preprocess telemetry config
  neuro-preprocess telemetry config --otel-endpoint http://localhost:4317 --format json";

/// Ends `descriptor --help`.
pub(super) const DESCRIPTOR: &str = "\
Examples:
  neuro-preprocess descriptor > neuro-preprocess.json
  bosh validate neuro-preprocess.json";

/// Ends `list --help`.
pub(super) const LIST: &str = "\
Examples:
  neuro-preprocess list /data/bids
  neuro-preprocess list /data/bids --participant-label 01 02 --modalities T1w
  neuro-preprocess list /data/bids --format json

Nothing is written, and no output folder is needed. Settings are taken as for a run.";

/// Ends `explain --help`.
pub(super) const EXPLAIN: &str = "\
Examples:
  neuro-preprocess explain NP-TRUNCATED
  neuro-preprocess explain truncated
  neuro-preprocess explain 65
  neuro-preprocess explain";

/// Ends `completions --help`.
pub(super) const COMPLETIONS: &str = "\
Examples:
  Bash, for your account:
    neuro-preprocess completions bash > ~/.local/share/bash-completion/completions/neuro-preprocess
  Zsh, in a folder of $fpath:
    neuro-preprocess completions zsh > ~/.zfunc/_neuro-preprocess
  Fish:
    neuro-preprocess completions fish > ~/.config/fish/completions/neuro-preprocess.fish";

/// Ends `man --help`.
pub(super) const MAN: &str = "\
Examples:
  neuro-preprocess man ~/.local/share/man/man1
  man neuro-preprocess";

#[cfg(test)]
mod tests {
    use super::super::exit::ExitStatus;
    use super::*;

    #[test]
    fn every_command_has_examples() {
        fn check(command: &mut clap::Command) {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Examples:"), "{}", command.get_name());
            command.get_subcommands_mut().filter(|verb| verb.get_name() != "help").for_each(check);
        }
        check(&mut super::super::command());
    }

    #[test]
    fn every_exit_status_is_mentioned() {
        for status in ExitStatus::ALL {
            assert!(FILE_AND_STATUS.contains(&format!("{} ", status.number())), "{}", status.number());
        }
    }
}
