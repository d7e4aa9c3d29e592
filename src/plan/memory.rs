//! How much memory a scan will need, from its header alone, and which scans a run has no room for.
//!
//! What is estimated is an upper bound: a run must stay within what it was given, so a scan that would not is refused
//! before it is read. Measured by `benches/memory.py` over real and large scans (benches/README.md).

use super::units::{Need, Plan, Problem, SessionPlan};
use crate::bids::Modality;
use crate::error::ErrorCode;
use crate::vocabulary::{Resolution, Space, Wanted};
use nifti::Header;

/// Volumes of f32 that a T1w image takes: itself, two copies of the brain's neighbourhood while its edge is looked for,
/// which at most are the whole volume, and bits. Later, instead: the bias field, the mask and the values in it.
const T1W_VOLUMES: f64 = 3.15;
/// Volumes it takes while the tissues are told apart: itself, the field, mask and labels.
const TISSUE_VOLUMES: f64 = 2.5;
/// And for each voxel of the box around the brain: five classes before and after a sweep, two bytes each, and the image.
const BOX_BYTES: f64 = 24.0;
/// The largest box around a brain, mm³: of 20 heads it was 2.9e6 to 4.4e6.
const BOX_MM3: f64 = 5e6;
/// What does not grow with the image by then.
const TISSUE_BYTES: f64 = 20e6;
/// Volumes it takes while it is brought to a template: itself, the field, the mask, both scaled for the comparison.
const REGISTRATION_VOLUMES: f64 = 4.3;
/// And what does not grow with it: both brains and their fields at 1 and 2 mm.
const REGISTRATION_BYTES: f64 = 200e6;
/// A template that is kept, and the map to it there and back.
const TEMPLATE_BYTES: f64 = 60e6;
/// Images in the space of a template on its grid of 1 mm: one of f32, two of labels, probabilities while they are written.
const GRID_BYTES: f64 = GRID_VOXELS * 14.0;
/// Voxels of a template's grid of 1 mm.
const GRID_VOXELS: f64 = 9.7e6;
/// The field of view of a T1w image at most, mm³.
const HEAD_MM3: f64 = 256.0 * 256.0 * 256.0;
/// What a run takes for each voxel of a grid it is brought to: its place, gain, sums of the mean, mean and mask.
const PLACE_BYTES: f64 = 33.0;
/// Volumes besides the series of a bold run, which is resampled in place: the mean, the field, and what a T1w image takes.
const BOLD_VOLUMES: f64 = 5.0;
/// And while components of noise are made, for each pair of volumes: a matrix of f64, and half of one.
const PAIR_BYTES: f64 = 12.0;
/// And for each volume: the courses of 2048 voxels.
const COURSE_BYTES: f64 = 8192.0;
/// What does not grow with the image: the template and what is brought to its grid, histograms, the figures.
const SCAN_BYTES: f64 = 60e6;
/// Volumes that each thread has at hand while a run is aligned.
const ALIGNING_VOLUMES: f64 = 3.5;
/// Pieces of the output that each thread has at hand, not yet compressed and compressed.
const WRITING_BYTES: f64 = 7e6;
/// Bytes of one voxel in memory.
const VOXEL_BYTES: f64 = 4.0;
/// What the program takes in the course of a run besides its scans and what it had before the first: code that is only
/// now used, stacks, telemetry that waits to be sent, small blocks that the allocator keeps for the next scan.
/// 20 MB would do but for kernels that give everybody huge pages (`transparent_hugepage=always`), which round up each of those.
const GROWTH_BYTES: u64 = 64_000_000;
/// By how much what the program has before its first scan differs from run to run, most of it by huge pages: advice must hold
/// for the next one.
const ADVICE_BYTES: u64 = 24_000_000;

/// What a scan needs. A scan whose header cannot be read is refused before anything is allocated for it.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate of a size"
)]
pub(super) fn estimate(modality: Modality, header: Option<&Header>, wanted: &Wanted) -> Need {
    let volume = header.map_or(0.0, |h| h.grid().shape.iter().map(|&n| n as f64).product::<f64>() * VOXEL_BYTES);
    let series = volume * header.map_or(0.0, |h| h.volumes() as f64);
    let (image, per_thread) = match modality {
        Modality::T1w => {
            let boxed = header.map_or(0.0, |h| BOX_MM3 / h.grid().voxel_mm.iter().product::<f64>());
            let tissues = series * TISSUE_VOLUMES + BOX_BYTES * boxed.min(series / VOXEL_BYTES) + TISSUE_BYTES;
            let (templates, grids) = in_templates(wanted);
            let registration = if templates > 0.0 { series * REGISTRATION_VOLUMES + REGISTRATION_BYTES } else { 0.0 };
            let at_work = tissues.max(series * T1W_VOLUMES + SCAN_BYTES).max(registration);
            (at_work + templates * TEMPLATE_BYTES + grids, WRITING_BYTES)
        }
        Modality::Bold => {
            let volumes = header.map_or(0.0, |h| h.volumes() as f64);
            let components = volumes * (volumes * PAIR_BYTES + COURSE_BYTES);
            let grid = largest_grid(header, wanted);
            let at_work = series + volume * BOLD_VOLUMES + components + SCAN_BYTES + grid * PLACE_BYTES;
            (at_work, WRITING_BYTES.max(volume * ALIGNING_VOLUMES) + grid * VOXEL_BYTES)
        }
    };
    let voxels = (series / VOXEL_BYTES) as u64;
    Need { bytes: image as u64, per_thread: per_thread as u64, voxels }
}

/// Voxels of the largest grid beyond its own that a run is brought to.
fn largest_grid(header: Option<&Header>, wanted: &Wanted) -> f64 {
    let voxel = header.map_or(1.0, |h| h.grid().voxel_mm.iter().product::<f64>().max(1e-3));
    let grid = |space: &Space| match space {
        Space::Template(_, Resolution::Numbered(number)) if *number > 1 => GRID_VOXELS / 8.0,
        Space::Template(_, Resolution::Numbered(_)) => GRID_VOXELS,
        Space::Template(..) => GRID_VOXELS / voxel,
        Space::T1w => HEAD_MM3 / voxel,
        Space::Func => 0.0,
    };
    wanted.spaces.iter().map(grid).fold(0.0, f64::max)
}

/// How many templates a T1w image is brought to, and bytes of the images in their spaces.
fn in_templates(wanted: &Wanted) -> (f64, f64) {
    let grid = |space: &Space| match space {
        Space::Template(_, Resolution::Numbered(number)) if *number > 1 => GRID_BYTES / 8.0,
        Space::Template(..) => GRID_BYTES,
        _ => 0.0,
    };
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let templates = wanted.spaces.templates().len() as f64;
    (templates, wanted.spaces.iter().map(grid).sum())
}

/// The memory of a run.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    /// Bytes the process may have resident.
    pub limit: u64,
    /// Who says so, for people.
    pub by: String,
    /// Bytes it has before the first scan.
    pub taken: u64,
    /// Threads that work on scans.
    pub threads: usize,
}

impl MemoryBudget {
    /// What is left for scans.
    const fn left(&self) -> u64 {
        self.limit.saturating_sub(self.taken + GROWTH_BYTES)
    }

    /// What a scan that runs alone needs on so many threads.
    const fn alone(&self, need: Need) -> u64 {
        need.bytes.saturating_add(need.per_thread.saturating_mul(self.threads as u64))
    }

    /// Why a scan does not fit; `None` if it does.
    fn refusal(&self, id: &str, need: Need) -> Option<Problem> {
        let mb = |bytes: u64| bytes.div_ceil(1_000_000);
        if self.alone(need) <= self.left() {
            return None;
        }
        let total = self.alone(need).saturating_add(self.taken + GROWTH_BYTES);
        let fewer = self.left().saturating_sub(need.bytes).checked_div(need.per_thread).filter(|&n| n > 0);
        let or = fewer.map_or_else(String::new, |n| format!(", or --nprocs {n}"));
        let message = format!(
            "{id} needs {} MB of memory on {} threads, but the run may use {} MB ({}); give it {} MB{or}",
            mb(total),
            self.threads,
            self.limit / 1_000_000,
            self.by,
            mb(total + ADVICE_BYTES)
        );
        Some(Problem { code: ErrorCode::OutOfMemory, message })
    }
}

impl Plan {
    /// Refuses the scans still to be done that do not fit into `room` even alone: each will fail before it is read.
    pub fn refuse_too_large(&mut self, room: &MemoryBudget) {
        for scan in self.units.iter_mut().filter(|u| !u.done()).flat_map(|u| &mut u.scans) {
            if scan.problem.is_none() && !scan.state.is_kept() {
                scan.problem = room.refusal(&scan.id, scan.memory);
            }
        }
    }

    /// Bytes that the units at work together may need, besides what all threads have at hand.
    #[must_use]
    pub fn memory_for_units(&self, room: &MemoryBudget) -> u64 {
        let at_hand = self.units.iter().filter(|u| !u.done()).map(SessionPlan::at_hand).max().unwrap_or(0);
        room.left().saturating_sub(at_hand.saturating_mul(room.threads as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nifti::Grid;

    fn header(shape: [usize; 3], volumes: usize) -> Header {
        let affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        Header::new(Grid { shape, voxel_mm: [1.0; 3], affine }, volumes, Some(2.0))
    }

    fn room(limit: u64, threads: usize) -> MemoryBudget {
        MemoryBudget { limit: limit * 1_000_000, by: "--mem".into(), taken: 15_000_000, threads }
    }

    #[test]
    fn what_does_not_fit_alone_is_refused_with_what_would_do() {
        let need = estimate(Modality::Bold, Some(&header([72, 104, 104], 900)), &Wanted::default());
        let refusal = room(2000, 4).refusal("sub-01_bold", need).unwrap();
        assert_eq!(refusal.code, ErrorCode::OutOfMemory);
        let asked: u64 = refusal.message.split("give it ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(refusal.message.contains("may use 2000 MB (--mem)") && asked > 2800, "{}", refusal.message);
        assert_eq!(room(asked, 4).refusal("sub-01_bold", need), None, "what was advised is enough");
        assert!(room(asked - 25, 4).refusal("sub-01_bold", need).is_some());
    }

    #[test]
    fn fewer_threads_are_advised_where_they_help() {
        let need = Need { bytes: 100_000_000, per_thread: 10_000_000, voxels: 0 };
        let refusal = room(214, 8).refusal("x", need).unwrap();
        assert!(refusal.message.ends_with("give it 283 MB, or --nprocs 3"), "{}", refusal.message);
        assert_eq!(room(214, 3).refusal("x", need), None);
        assert!(room(60, 8).refusal("x", need).unwrap().message.ends_with("give it 283 MB"));
    }
}
