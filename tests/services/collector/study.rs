//! Studies that are quick to process, runs over them, and what the program says about their telemetry.

use crate::common::quick::make_quick;
pub use crate::common::text;
use crate::common::{Ran, binary, run, run_command};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// For a run after which everything must have been delivered, however busy the machine is.
pub const WAITS: [&str; 2] = ["--flush-timeout", "600"];

/// A folder of a test with a BIDS dataset of small T1w images, some of them cut short.
pub struct Study {
    folder: TempDir,
    pub participants: Vec<String>,
}

impl Study {
    /// So many participants with one scan each; the scans of the last ones cannot be read.
    pub fn new(whole: usize, broken: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let one = folder.path().join("one");
        run(["synth", text(&one), "--participants", "1", "--modalities", "T1w", "--voxel-size", "6"]).exits(0);
        make_quick(&one);
        let image = fs::read(one.join("sub-01/anat/sub-01_T1w.nii.gz")).unwrap();
        let participants: Vec<String> = (1..=whole + broken).map(|n| format!("{n:03}")).collect();
        let bids = folder.path().join("bids");
        for (n, label) in participants.iter().enumerate() {
            let anat = bids.join(format!("sub-{label}/anat"));
            fs::create_dir_all(&anat).unwrap();
            let bytes = if n < whole { &image[..] } else { &image[..image.len() / 2] };
            fs::write(anat.join(format!("sub-{label}_T1w.nii.gz")), bytes).unwrap();
        }
        fs::copy(one.join("dataset_description.json"), bids.join("dataset_description.json")).unwrap();
        Self { folder, participants }
    }

    /// A path in the folder of the test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A run over all participants into an output folder; `--otel-endpoint` and the like are for the caller.
    pub fn run(&self, output: &str) -> Command {
        let mut command = binary();
        command.args([text(&self.path("bids")), text(&self.path(output)), "participant", "--nprocs", "2"]);
        command
    }
}

/// The URL of a port on this machine.
pub fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// `telemetry replay`, to a port that speaks gRPC.
pub fn replay(output: &Path, port: u16) -> Ran {
    run_command(binary().args(["telemetry", "replay", text(output), "--endpoint", &url(port)]))
}

/// What `telemetry status` counts for a signal: `written`, `delivered`, `waiting` or `rejected`.
pub fn status(output: &Path, signal: &str, count: &str) -> u64 {
    let status = run(["telemetry", "status", text(output), "--format", "json"]).exits(0);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    status["signals"][signal][count].as_u64().unwrap_or_else(|| panic!("no {count} of {signal} in {status}"))
}
