//! What a task asks Slurm for, from what the plan knows of its scans.

use crate::plan::Unit;

/// Part of the memory asked for that is planned with; the rest is for what estimates do not see.
const PLANNED_SHARE: f64 = 0.8;
/// What any task asks for: page cache counts too where memory is a control group.
const BASE_BYTES: f64 = 256e6;
/// Memory is asked for in steps of this.
const STEP_MB: u64 = 128;
/// Seconds of work for each byte of estimated memory: 1.5 s for a T1w image of 1 mm, estimated at 200 MB, and 1.2 s for
/// 60 volumes of bold, at 160 MB, both measured on two processors. Slower nodes and file systems are in the factor.
const SECONDS_PER_BYTE: f64 = 1.5 / 200e6;
/// How many times longer a task may take before it is stopped.
const PATIENCE: f64 = 10.0;
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
pub fn needs(tasks: &[&[&Unit]], cpus: usize, memory: Option<u64>) -> Needs {
    let side_by_side = |units: &[&Unit]| -> u64 {
        let mut each: Vec<u64> = units.iter().map(|u| u.memory()).collect();
        each.sort_unstable_by(|a, b| b.cmp(a));
        let at_hand = units.iter().flat_map(|u| &u.scans).map(|s| s.memory.per_thread).max().unwrap_or(0);
        each.iter().take(cpus).sum::<u64>() + at_hand * cpus as u64
    };
    let seconds = |units: &[&Unit]| -> f64 {
        let bytes: u64 = units.iter().flat_map(|u| &u.scans).map(|s| s.memory.bytes).sum();
        bytes as f64 * SECONDS_PER_BYTE * PATIENCE * 2.0 / cpus.min(2) as f64
    };
    let largest = tasks.iter().map(|t| side_by_side(t)).max().unwrap_or(0);
    let longest = tasks.iter().map(|t| seconds(t)).fold(0.0, f64::max);
    let bytes = memory.unwrap_or((largest as f64 / PLANNED_SHARE + BASE_BYTES) as u64);
    Needs {
        memory_mb: match memory {
            Some(bytes) => bytes.div_ceil(1 << 20),
            None => bytes.div_ceil(1 << 20).next_multiple_of(STEP_MB),
        },
        planned_mb: ((bytes as f64 * PLANNED_SHARE / 1e6) as u64).max(256),
        minutes: BASE_MINUTES + (longest / 60.0).ceil() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bids::{Entities, Modality};
    use crate::plan::{Need, ScanPlan, Source};
    use crate::run::event::UnitId;
    use std::sync::Arc;

    fn unit(megabytes: &[u64]) -> Unit {
        let scan = |mb: &u64| ScanPlan {
            id: "x".into(),
            modality: Modality::T1w,
            source: Source::File("x.nii".into()),
            relative: "x.nii".into(),
            entities: Entities::default(),
            metadata: Arc::default(),
            problem: None,
            bytes: 0,
            memory: Need { bytes: mb * 1_000_000, per_thread: 0 },
            tissues: false,
        };
        let id = UnitId { participant: "01".into(), session: None };
        Unit::new(None, id, megabytes.iter().map(scan).collect())
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
        // 100 images of 1.5 s, ten times over, and the base.
        assert_eq!(needs(&[&batch], 2, None).minutes, 10 + 25);
        assert_eq!(needs(&[&batch], 1, None).minutes, 10 + 50);
        assert_eq!(needs(&[&[&one]], 8, None).minutes, 10 + 1);
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
