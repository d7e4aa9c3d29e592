//! What a task asks Slurm for, from what the plan knows of its scans.

use crate::plan::{ScanPlan, SessionPlan};

/// Fraction of the requested memory that is planned with; the rest is a reserve for errors of the estimate.
const PLANNED_SHARE: f64 = 0.8;
/// What any task asks for: page cache counts too where memory is a control group.
const BASE_BYTES: f64 = 256e6;
/// Memory requests are multiples of this.
const STEP_MB: u64 = 128;
/// Seconds of work for each voxel: 1.5 s for a T1w image of 1 mm with 12.6 million voxels, and 1.2 s for 60 volumes of bold
/// with 13.4 million, both measured on two processors. Slower nodes and file systems are in the factor.
const SECONDS_PER_VOXEL: f64 = 1.5 / 12.6e6;
/// Seconds for each scan, however small.
const SECONDS_PER_SCAN: f64 = 0.2;
/// Seconds that a T1w image takes more for each template, whatever its size.
const SECONDS_PER_TEMPLATE: f64 = 9.0;
/// How many times a bold run's own work each space beyond its own is.
const WORK_PER_SPACE: f64 = 3.0;
/// How many times longer a task may take before it is stopped.
const PATIENCE: f64 = 10.0;
/// What a scan takes while the pages of all are made: 11 kB were measured.
const PAGE_BYTES: f64 = 16e3;
/// Minutes every task has on top: reading the dataset's folders on a slow file system.
const BASE_MINUTES: u64 = 10;

/// What each task asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Memory to ask for, MB of 2²⁰ bytes as Slurm counts.
    pub memory_mb: u64,
    /// Memory for the run to plan with, MB of 10⁶ bytes.
    pub planned_mb: u64,
    /// Time limit in minutes.
    pub minutes: u64,
}

/// The needs of the most demanding of `tasks`, each a list of units that run `cpus` at a time. `memory` in bytes is what
/// the user asked for in place of the estimate.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "generous estimates of sizes and times"
)]
pub fn needs(tasks: &[&[&SessionPlan]], cpus: usize, memory: Option<u64>) -> Needs {
    let side_by_side = |units: &[&SessionPlan]| -> u64 {
        let mut each: Vec<u64> = units.iter().map(|u| u.memory()).collect();
        each.sort_unstable_by(|a, b| b.cmp(a));
        let at_hand = units.iter().map(|u| u.at_hand()).max().unwrap_or(0);
        each.iter().take(cpus).sum::<u64>() + at_hand * cpus as u64
    };
    let seconds = |units: &[&SessionPlan]| -> f64 {
        let scans = units.iter().flat_map(|u| &u.scans);
        let alone: f64 = scans.map(scan_seconds).sum();
        alone * PATIENCE * 2.0 / cpus.min(2) as f64
    };
    let largest = tasks.iter().map(|t| side_by_side(t)).max().unwrap_or(0);
    let longest = tasks.iter().map(|t| seconds(t)).fold(0.0, f64::max);
    let bytes = memory.unwrap_or((largest as f64 / PLANNED_SHARE + BASE_BYTES) as u64);
    Needs {
        memory_mb: match memory {
            Some(bytes) => bytes.div_ceil(1 << 20),
            None => in_steps(bytes),
        },
        planned_mb: ((bytes as f64 * PLANNED_SHARE / 1e6) as u64).max(256),
        minutes: BASE_MINUTES + (longest / 60.0).ceil() as u64,
    }
}

/// Seconds of work for a scan.
#[expect(clippy::cast_precision_loss, reason = "a generous estimate of a time")]
fn scan_seconds(scan: &ScanPlan) -> f64 {
    let own = scan.memory.voxels as f64 * SECONDS_PER_VOXEL;
    let spaces = &scan.wanted.spaces;
    let beyond = if scan.is_anatomical() {
        spaces.templates().len() as f64 * SECONDS_PER_TEMPLATE
    } else {
        own * WORK_PER_SPACE * spaces.beyond_own().count() as f64
    };
    own + SECONDS_PER_SCAN + beyond
}

/// What the job that makes the tables and pages of so many scans asks for, in MB of 2²⁰ bytes.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a generous estimate of a size"
)]
pub(super) fn group_memory_mb(scans: usize) -> u64 {
    in_steps((BASE_BYTES + scans as f64 * PAGE_BYTES) as u64)
}

const fn in_steps(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20).next_multiple_of(STEP_MB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bids::{Entities, Modality};
    use crate::error::ErrorCode;
    use crate::plan::{Need, Problem};
    use crate::vocabulary::{Reason, SessionId, Spaces, State, Wanted};
    use std::sync::Arc;

    /// Scans of so many MB, each of a T1w image's voxels.
    fn unit(megabytes: &[u64]) -> SessionPlan {
        let scan = |mb: &u64| ScanPlan {
            id: "x".into(),
            modality: Modality::T1w,
            file: "x.nii".into(),
            echoes: Vec::new(),
            fieldmap: crate::plan::FieldmapPlan::default(),
            lesions: Vec::new(),
            relative: "x.nii".into(),
            entities: Entities::default(),
            metadata: Arc::default(),
            oddities: Vec::new(),
            problem: None,
            bytes: 0,
            memory: Need { bytes: mb * 1_000_000, per_thread: 0, voxels: 12_600_000 },
            wanted: Wanted { spaces: Arc::new(Spaces::own()), ..Wanted::default() },
            state: State::ToDo(Reason::NeverDone),
        };
        let id = SessionId { participant: "01".into(), session: None };
        SessionPlan::new(None, id, megabytes.iter().map(scan).collect())
    }

    #[test]
    fn units_side_by_side_add_up_and_scans_of_a_unit_do_not() {
        let (one, large) = (unit(&[200, 100]), unit(&[400]));
        let alone = needs(&[&[&one]], 2, None);
        assert_eq!(alone, needs(&[&[&one, &one]], 1, None).with_minutes(alone.minutes));
        assert_eq!(alone.memory_mb, 512); // 200 / 0.8 + 256 MB, in MiB, to the next step
        let both = needs(&[&[&one, &large], &[&one]], 2, None);
        assert_eq!(both.memory_mb, 1024); // 600 / 0.8 + 256 MB
        assert!(both.planned_mb >= 600, "what was estimated is admitted: {}", both.planned_mb);
    }

    #[test]
    fn time_grows_with_the_work_of_a_task() {
        let one = unit(&[200]);
        let batch = vec![&one; 100];
        // 100 images of 1.5 s and 0.2 s, ten times over, and the base.
        assert_eq!(needs(&[&batch], 2, None).minutes, 10 + 29);
        assert_eq!(needs(&[&batch], 1, None).minutes, 10 + 57);
        assert_eq!(needs(&[&[&one]], 8, None).minutes, 10 + 1);
        // To a template besides: 9 s more for each.
        let mut beyond = one.clone();
        beyond.scans.iter_mut().for_each(|scan| scan.wanted = Wanted::default());
        assert_eq!(needs(&[&vec![&beyond; 100]], 2, None).minutes, 10 + 179);
    }

    #[test]
    fn scans_that_fail_before_they_are_read_ask_for_no_memory() {
        let (good, mut bad) = (unit(&[200]), unit(&[200, 4000]));
        let alone = needs(&[&[&good]], 2, None).memory_mb;
        for scan in bad.scans.iter_mut().skip(1) {
            scan.memory.per_thread = 1_000_000_000;
            scan.problem = Some(Problem { code: ErrorCode::BadSidecar, message: String::new() });
        }
        assert_eq!(needs(&[&[&bad]], 2, None).memory_mb, alone);
    }

    #[test]
    fn the_pages_of_many_scans_ask_for_more() {
        assert_eq!(group_memory_mb(1), 256);
        assert_eq!(group_memory_mb(50_000), 1024); // 256 MB + 800 MB, in MiB, to the next step
    }

    #[test]
    fn what_the_user_asks_for_is_asked_for() {
        let one = unit(&[200]);
        assert_eq!(needs(&[&[&one]], 2, Some(8 << 30)).memory_mb, 8192);
    }

    impl Needs {
        fn with_minutes(self, minutes: u64) -> Self {
            Self { minutes, ..self }
        }
    }
}
