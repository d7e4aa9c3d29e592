//! A BOLD run of a synthetic head that moves by known amounts, as EPI shows it.
//!
//! What stays with the tissue (drop-out, field) comes before the motion, what stays with the scanner (coil, grid, ghost)
//! after it.

use super::epi::{BoldSpec, Epi, EpiTruth};
use super::head::Head;
use super::motion::{between, parameters};
use super::random::Stream;
use super::run::{Run, Setup};
use super::source::{Source, SourceSpec, grid_of};
use super::t1w::pose;
use super::tissue::Tissue;
use imaging::rigid::{Matrix4, from_parameters, invert_rigid};
use ndarray::{Array3, Array4};
use nifti::Grid;

/// A BOLD run and its truth, RAS+.
pub struct SynthBold {
    /// What the scanner stored, `(nt, nz, ny, nx)`: whole numbers, 0 to 4095, grey matter about 1000.
    pub series: Array4<f32>,
    /// The brain in volume 0, `(nz, ny, nx)`, where it is and not where a field shows it.
    pub brain: Array3<u8>,
    /// Where the voxels are.
    pub grid: Grid,
    /// `[tx, ty, tz, rx, ry, rz]` at the start of each volume, mm and radians, about [`Self::centre`]. With slice times the
    /// head goes straight from one to the next, see [`Self::motion_at`].
    pub motion: Vec<[f64; 6]>,
    /// The same as matrices in RAS mm: where each point of the head in volume 0 is in this volume.
    pub matrices: Vec<Matrix4>,
    /// The centre of the rotations, RAS mm: that of the grid.
    pub centre: [f64; 3],
    /// Standard deviation of the noise in each channel.
    pub sigma: f32,
    /// What is true about the distortion; `None` without a field.
    pub epi: Option<EpiTruth>,
}

impl SynthBold {
    /// `[tx, ty, tz, rx, ry, rz]` so many volumes (repetition times, parts of them too) after the start of the run.
    #[must_use]
    pub fn motion_at(&self, volumes: f64) -> [f64; 6] {
        between(&self.motion, volumes)
    }
}

/// Makes a BOLD run without distortion, all slices of a volume at once. Equal specs give equal bytes at any number of
/// threads.
#[must_use]
pub fn bold(spec: &BoldSpec) -> SynthBold {
    bold_epi(spec, &Epi::default())
}

/// Makes a BOLD run as EPI takes it: slices at their times, signal displaced by a field. With [`Epi::default`] it is
/// [`bold`].
#[must_use]
pub fn bold_epi(spec: &BoldSpec, epi: &Epi) -> SynthBold {
    let motion = parameters(spec.scan, spec.volumes, spec.tr_seconds, spec.motion);
    make(&Setup { spec, epi, lies: [0.0; 6], noise: (spec.scan, Stream::Noise), loss: true, gain: 1.0 }, motion)
}

/// The grid of runs with voxels of `[dz, dy, dx]` mm: `shape[0]` slices.
#[must_use]
pub fn bold_grid(voxel_mm: [f64; 3]) -> Grid {
    grid_of(voxel_mm).0
}

/// Makes the run of a setup whose head moves along `motion`.
pub(super) fn make(setup: &Setup, motion: Vec<[f64; 6]>) -> SynthBold {
    let (spec, epi) = (setup.spec, setup.epi);
    let (grid, centre) = grid_of(spec.voxel_mm);
    let matrices: Vec<Matrix4> = motion.iter().map(|p| from_parameters(p, centre)).collect();
    let sharp = epi.field.as_ref().map(|_| epi.direction.array_axis());
    let drawn =
        SourceSpec { head: spec.head, voxel_mm: spec.voxel_mm, brightness: Tissue::epi, loss: setup.loss, sharp };
    let source = Source::new(&drawn, &Head::new(spec.head));
    let to_head = to_head(spec.scan, &setup.lies, centre);
    let brain = source.brain_on(&grid, &to_head);
    let run = Run::new(setup, source, to_head, (&grid, &brain), (&motion, centre));
    let (series, epi, sigma) = (run.series(), run.truth(), run.sigma);
    SynthBold { series, brain, grid, motion, matrices, centre, sigma, epi }
}

/// From the world of a scan to the millimetres of a head that lies so much aside.
pub(super) fn to_head(scan: u64, lies: &[f64; 6], centre: [f64; 3]) -> Matrix4 {
    let straight = invert_rigid(&pose(scan));
    if *lies == [0.0; 6] {
        return straight;
    }
    imaging::rigid::compose(&straight, &invert_rigid(&from_parameters(lies, centre)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HzField, MotionLevel};
    use imaging::interpolate::SplineVolume;
    use imaging::rigid::{compose, invert_affine, rms_deviation};
    use ndarray::{ArrayView3, Axis};

    fn spec(volumes: usize) -> BoldSpec {
        let motion = MotionLevel::High;
        BoldSpec { head: 8, scan: 9, voxel_mm: [5.0; 3], volumes, non_steady: 0, tr_seconds: 2.0, motion }
    }

    fn correlation(a: ArrayView3<f32>, b: ArrayView3<f32>, mask: &Array3<u8>) -> f64 {
        let pick = |v: ArrayView3<f32>| -> Vec<f64> {
            v.iter().zip(mask).filter(|(_, m)| **m > 0).map(|(x, _)| f64::from(*x)).collect()
        };
        let centred = |v: Vec<f64>| {
            let mean = v.iter().sum::<f64>() / v.len() as f64;
            v.into_iter().map(|x| x - mean).collect::<Vec<_>>()
        };
        let (a, b) = (centred(pick(a)), centred(pick(b)));
        let dot = |p: &[f64], q: &[f64]| p.iter().zip(q).map(|(x, y)| x * y).sum::<f64>();
        dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
    }

    #[test]
    fn undoing_the_motion_by_its_matrix_gives_back_the_first_volume() {
        let made = bold(&spec(40));
        let still = &made.matrices[0];
        let far = |m: &Matrix4| rms_deviation(m, still, made.centre, 80.0);
        let (t, worst) = made.matrices.iter().enumerate().max_by(|a, b| far(a.1).total_cmp(&far(b.1))).unwrap();
        assert!(far(worst) > 1.0, "moves {} mm", far(worst));
        let moved = made.series.index_axis(Axis(0), t);
        let mut spline = SplineVolume::new(made.grid.shape);
        spline.interpolate(moved.as_slice().unwrap());
        let map = compose(&invert_affine(&made.grid.affine).unwrap(), &compose(worst, &made.grid.affine));
        let mut back = Array3::<f32>::zeros(made.grid.shape);
        spline.resample_into(&map, back.as_slice_mut().unwrap());
        let first = made.series.index_axis(Axis(0), 0);
        let (before, after) = (correlation(moved, first, &made.brain), correlation(back.view(), first, &made.brain));
        assert!(after > 0.98 && 1.0 - after < 0.5 * (1.0 - before), "{before} before, {after} after");
    }

    #[test]
    fn a_run_is_the_same_at_any_thread_count() {
        let on = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(|| bold(&spec(3)));
        let (one, four) = (on(1), on(4));
        assert_eq!(one.series, four.series);
        assert_eq!(one.brain, four.brain);
    }

    #[test]
    fn volumes_before_the_steady_state_are_brighter() {
        let made = bold(&BoldSpec { non_steady: 2, ..spec(5) });
        let mean = |t: usize| made.series.index_axis(Axis(0), t).mean().unwrap();
        assert!(mean(0) > 1.2 * mean(4) && mean(1) > 1.04 * mean(4) && (mean(2) / mean(4) - 1.0).abs() < 0.02);
    }

    #[test]
    fn a_field_of_no_hz_changes_little_and_conserves_what_it_moves() {
        let spec = BoldSpec { motion: MotionLevel::Still, ..spec(2) };
        let epi = |direction: &str| Epi {
            field: Some(HzField::of_head(spec.head)),
            direction: direction.parse().unwrap(),
            noise: 0.0,
            ..Epi::default()
        };
        let plain = bold_epi(&spec, &Epi { noise: 0.0, ..Epi::default() });
        for direction in ["i-", "j", "j-", "k"] {
            let made = bold_epi(&spec, &epi(direction));
            let truth = made.epi.as_ref().unwrap();
            // Pushed by nothing: the usual image but for the ghost, within what a blur in two steps does.
            let alike = correlation(truth.undistorted.view(), plain.series.index_axis(Axis(0), 0), &made.brain);
            assert!(alike > 0.995, "{direction}: {alike}");
            let seen = correlation(truth.distorted.view(), made.series.index_axis(Axis(0), 1), &made.brain);
            assert!(seen > 0.995, "{direction}: {seen}");
            let along = Axis(epi(direction).direction.array_axis());
            if direction != "k" {
                let (a, b) = (truth.undistorted.sum_axis(along), truth.distorted.sum_axis(along));
                assert!((a.sum() / b.sum() - 1.0).abs() < 0.01);
            }
        }
    }

    #[test]
    fn slices_show_a_wave_at_their_own_time() {
        let wave = crate::Wave { hertz: 0.05, amplitude: 0.2 };
        let spec = BoldSpec { motion: MotionLevel::Still, ..spec(12) };
        let times = crate::interleaved(bold_grid(spec.voxel_mm).shape[0], spec.tr_seconds);
        for field in [None, Some(HzField::of_head(spec.head))] {
            let taken = |wave, times| {
                let epi = Epi { slice_times: times, wave, noise: 0.0, field: field.clone(), ..Epi::default() };
                bold_epi(&spec, &epi)
            };
            let (with, without) = (taken(Some(wave), Some(times.clone())), taken(None, Some(times.clone())));
            for (k, time) in times.iter().enumerate().skip(8).take(12) {
                for t in 0..12 {
                    let sum = |made: &SynthBold| made.series.index_axis(Axis(0), t).index_axis(Axis(0), k).sum();
                    let expected = wave.at(t as f64 * 2.0 + time) as f32;
                    let seen = sum(&with) / sum(&without);
                    assert!((seen - expected).abs() < 2e-3, "slice {k}, volume {t}: {seen} for {expected}");
                }
            }
        }
    }

    #[test]
    fn slices_show_the_head_where_it_is_at_their_time() {
        let spec = spec(10);
        let slices = bold_grid(spec.voxel_mm).shape[0];
        let at =
            |time: f64| bold_epi(&spec, &Epi { slice_times: Some(vec![time; slices]), noise: 0.0, ..Epi::default() });
        let (early, late) = (at(0.0), at(2.0));
        // A repetition time later: the head of the volume after.
        for t in 3..9 {
            let (a, b) = (early.series.index_axis(Axis(0), t + 1), late.series.index_axis(Axis(0), t));
            assert!(correlation(a, b, &early.brain) > 0.9999, "volume {t}");
        }
        assert_eq!(early.motion_at(3.0), early.motion[3]);
    }
}
