//! The demo: a synthetic dataset, preprocessed, and where to look.

use super::{preprocess, say, synth};
use crate::bids::{Modality, Selection};
use crate::cli::exit::ExitStatus;
use crate::cli::options::Options;
use crate::cli::{DemoConfig, Input, Level, RunConfig, Scenario};
use crate::terminal::shell_word;
use crate::vocabulary::Stage;
use phantom::{Kind, SynthConfig};
use std::path::{Path, PathBuf};

/// Voxel size of the demo's T1w images: coarse enough for a laptop, fine enough for every method.
const VOXEL_MM: f64 = 2.0;
/// Volumes of its bold series.
const VOLUMES: usize = 24;
/// Seed of the demo's failures and anatomy.
const SEED: u64 = 1;
/// Seconds the slow scenario adds to every scan's processing.
const SLOW_SECONDS: f64 = 2.0;
/// Rate of the failing scenario.
const FAIL_RATE: f64 = 0.5;

/// What opens a page.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Makes the dataset where it is not there yet, processes it, and says where to look. The run's status counts.
pub fn run(config: &DemoConfig) -> ExitStatus {
    let bids = config.dir.join("bids");
    let output = config.dir.join("derivatives");
    if !bids.join("dataset_description.json").exists() {
        let dataset = dataset(config, bids.clone());
        let (participants, folder) = (dataset.participants, bids.display());
        say(&format!(
            "making a synthetic dataset in {folder}: {participants} participants with a T1w image and a short bold run each\n"
        ));
        let made = synth(&dataset);
        if made != ExitStatus::Success {
            return made;
        }
    }
    say(&format!("preprocessing it into {}\n", output.display()));
    let status = preprocess(&run_config(config, bids, output.clone()));
    if status == ExitStatus::Success || status == ExitStatus::ScanFailed {
        say(&where_to_look(&output));
    }
    status
}

/// The last lines: the command that opens the report comes last.
fn where_to_look(output: &Path) -> String {
    let (out, report) = (output.display(), output.join("index.html"));
    let report = std::path::absolute(&report).unwrap_or(report);
    format!(
        "\nResults:\n\
         \x20 images     {out}/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz and its brain mask, in any NIfTI viewer\n\
         \x20 summaries  {out}/sub-01/sub-01_summary.json: status, durations, quality, trace id\n\
         \x20 telemetry  {out}/logs: traces, metrics and logs as OTLP JSON lines, and a log of each participant\n\
         Open the report in a browser:\n\
         \x20 {OPENER} {}\n",
        shell_word(&report.to_string_lossy())
    )
}

fn run_config(config: &DemoConfig, bids: PathBuf, output: PathBuf) -> RunConfig {
    RunConfig {
        input: Input::Bids { dir: bids },
        output: Some(output),
        level: Level::Participant,
        selection: Selection { modalities: Modality::ALL.to_vec(), ..Selection::default() },
        threads: config.threads,
        memory_bytes: config.memory_bytes,
        // A demo shows the work, also when it was done before.
        options: Options { force: true, ..faults(config.scenario) },
        telemetry: config.telemetry.clone(),
        notes: config.notes.clone(),
    }
}

/// Ten scans, or forty for the concurrent scenario.
fn dataset(config: &DemoConfig, dir: PathBuf) -> SynthConfig {
    let participants = if config.scenario == Scenario::Concurrent { 20 } else { 5 };
    SynthConfig {
        dir,
        participants,
        sessions: 1,
        modalities: Kind::ALL.to_vec(),
        voxel_mm: VOXEL_MM,
        volumes: VOLUMES,
        seed: SEED,
    }
}

fn faults(scenario: Scenario) -> Options {
    let none = Options { seed: Some(SEED), ..Options::default() };
    match scenario {
        Scenario::Failures => Options { fail_rate: FAIL_RATE, ..none },
        Scenario::Slow => Options { slow_stage: Some((Stage::Process, SLOW_SECONDS)), ..none },
        Scenario::Normal | Scenario::Concurrent => none,
    }
}
