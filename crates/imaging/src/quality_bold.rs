//! Quality of a bold run: signal over time, ghosts, outliers, and how much the head moved.

use ndarray::{ArrayView3, ArrayView4, Axis, Slice};

use crate::confounds::{Confounds, block_series, finite};
use crate::filter::quantiles;
use crate::motion::mean_volume;
use crate::quality::{Graded, Verdict, mean, score};

/// Displacement (mm) above which MRIQC counts a volume in `fd_perc`.
const FD_HIGH_MM: f64 = 0.2;
/// Probability for AFNI's outlier limit: 0.001 over the number of volumes.
const OUTLIER_P: f64 = 0.001;

/// The measures of a bold run, named as in MRIQC. Volumes before the steady state do not count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoldQuality {
    /// Median over the brain of mean over standard deviation in time; higher is better. Krüger G., Glover G.H., Magn. Reson.
    /// Med. 46(4), 2001.
    pub tsnr: Option<f64>,
    /// Mean of DVARS, see [`Confounds::dvars`].
    pub dvars_nstd: Option<f64>,
    /// Mean of standardised DVARS, see [`Confounds::std_dvars`].
    pub dvars_std: Option<f64>,
    /// Mean and largest framewise displacement (Power 2012), mm.
    pub fd_mean: Option<f64>,
    /// The largest framewise displacement, mm.
    pub fd_max: Option<f64>,
    /// Percentage of volumes with a displacement above 0.2 mm.
    pub fd_perc: Option<f64>,
    /// Mean RMS deviation between volumes (Jenkinson 1999), mm.
    pub rmsd_mean: Option<f64>,
    /// The largest RMS deviation between volumes, mm.
    pub rmsd_max: Option<f64>,
    /// Percentage of volumes with an RMS deviation above 0.2 mm.
    pub rmsd_perc: Option<f64>,
    /// Ghost to signal ratio with the phase encoded along x; near 0 is good. Giannelli M. et al., J. Appl. Clin. Med. Phys.
    /// 11(4), 2010.
    pub gsr_x: Option<f64>,
    /// The same along y.
    pub gsr_y: Option<f64>,
    /// Mean part of the brain's voxels that are outliers in a volume, as AFNI's 3dToutcount has it; lower is better.
    pub aor: Option<f64>,
}

/// Measures a motion-corrected series (nt, nz, ny, nx) with its brain mask (nz, ny, nx), its confounds, and the number of
/// volumes at the start to leave out ([`crate::motion::MotionEstimate::non_steady`]).
///
/// A mask of another shape counts as empty.
#[must_use]
pub fn bold_quality(
    series: ArrayView4<f32>,
    mask: ArrayView3<u8>,
    confounds: &Confounds,
    non_steady: usize,
) -> BoldQuality {
    let skip = non_steady.min(series.dim().0.saturating_sub(1));
    let steady = series.slice_axis(Axis(0), Slice::from(skip..));
    let (tsnr, aor) = in_time(steady, mask);
    let image = mean_volume(steady, &[]);
    let [gsr_y, gsr_x] = [1, 2].map(|axis| ghost_ratio(image.view(), mask, axis));
    // The change into the first steady volume is the settling of the magnetisation, not of interest either.
    let settled = |values: &[Option<f64>]| -> Vec<f64> { values.iter().skip(skip + 1).flatten().copied().collect() };
    let average = |values: &[f64]| mean(values.iter().map(|v| Some(*v)));
    let largest = |values: &[f64]| values.iter().copied().reduce(f64::max);
    let above = |values: &[f64]| {
        finite(100.0 * values.iter().filter(|v| **v > FD_HIGH_MM).count() as f64 / values.len() as f64)
    };
    let (fd, rmsd) = (settled(&confounds.framewise_displacement), settled(&confounds.rmsd));
    BoldQuality {
        tsnr,
        dvars_nstd: average(&settled(&confounds.dvars)),
        dvars_std: average(&settled(&confounds.std_dvars)),
        fd_mean: average(&fd),
        fd_max: largest(&fd),
        fd_perc: above(&fd),
        rmsd_mean: average(&rmsd),
        rmsd_max: largest(&rmsd),
        rmsd_perc: above(&rmsd),
        gsr_x,
        gsr_y,
        aor,
    }
}

impl BoldQuality {
    /// The measures by MRIQC's names; `rmsd_*` has none there.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, Option<f64>)> {
        vec![
            ("tsnr", self.tsnr),
            ("dvars_nstd", self.dvars_nstd),
            ("dvars_std", self.dvars_std),
            ("fd_mean", self.fd_mean),
            ("fd_max", self.fd_max),
            ("fd_perc", self.fd_perc),
            ("rmsd_mean", self.rmsd_mean),
            ("rmsd_max", self.rmsd_max),
            ("rmsd_perc", self.rmsd_perc),
            ("gsr_x", self.gsr_x),
            ("gsr_y", self.gsr_y),
            ("aor", self.aor),
        ]
    }
}

/// Median temporal signal to noise ratio and mean part of outliers.
fn in_time(series: ArrayView4<f32>, mask: ArrayView3<u8>) -> (Option<f64>, Option<f64>) {
    let nt = series.dim().0;
    if nt < 2 {
        return (None, None);
    }
    let limit = upper_normal_quantile(OUTLIER_P / nt as f64) * std::f64::consts::FRAC_PI_2.sqrt();
    let blocks = block_series(series, mask, |block| {
        block.chunks_exact_mut(nt).map(|course| (tsnr(course), outliers(course, limit))).collect::<Vec<_>>()
    });
    let voxels: Vec<(Option<f32>, usize)> = blocks.into_iter().flatten().collect();
    let mut ratios: Vec<f32> = voxels.iter().filter_map(|v| v.0).collect();
    let found = voxels.iter().map(|v| v.1).sum::<usize>() as f64;
    (quantiles(&mut ratios, [0.5]).map(|[m]| f64::from(m)), finite(found / (voxels.len() * nt) as f64))
}

/// Mean over standard deviation; `None` for a course that never changes.
fn tsnr(course: &[f32]) -> Option<f32> {
    let n = course.len() as f64;
    let mean = course.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let variance = course.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
    finite(mean / variance.sqrt()).filter(|_| course.windows(2).any(|p| p[0] != p[1])).map(|v| v as f32)
}

/// How many values lie further than `limit` median absolute deviations from the median (reorders the course).
fn outliers(course: &mut [f32], limit: f64) -> usize {
    let middle = course.len() / 2;
    let median = *course.select_nth_unstable_by(middle, f32::total_cmp).1;
    course.iter_mut().for_each(|v| *v = (*v - median).abs());
    let mad = *course.select_nth_unstable_by(middle, f32::total_cmp).1;
    if mad > 0.0 { course.iter().filter(|v| f64::from(**v) > limit * f64::from(mad)).count() } else { 0 }
}

/// The value that a normal variable exceeds with the (small) probability `p`; error below 0.00045. Abramowitz M., Stegun
/// I.A., Handbook of Mathematical Functions, 26.2.23.
fn upper_normal_quantile(p: f64) -> f64 {
    let t = (-2.0 * p.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

/// Intensity where the brain's ghost would lie, shifted by half the field of view along `axis`, over that of the brain;
/// both against the rest of the background.
fn ghost_ratio(image: ArrayView3<f32>, mask: ArrayView3<u8>, axis: usize) -> Option<f64> {
    if image.dim() != mask.dim() {
        return None;
    }
    let n = image.shape()[axis];
    // Sums and counts of ghost, background and brain.
    let mut sums = [(0.0, 0.0); 3];
    for ((k, j, i), v) in image.indexed_iter() {
        let mut from = [k, j, i];
        from[axis] = (from[axis] + n / 2) % n;
        let region = match (mask[[k, j, i]] != 0, mask[from] != 0) {
            (true, _) => 2,
            (false, true) => 0,
            (false, false) => 1,
        };
        sums[region].0 += f64::from(*v);
        sums[region].1 += 1.0;
    }
    let [ghost, background, signal] = sums.map(|(sum, count)| sum / count);
    finite((ghost - background) / signal)
}

/// The verdict on a bold run.
///
/// The score follows the rule of [`crate::quality`] on mean RMS deviation (good below 0.1 mm; poor at 0.55 mm, the
/// lenient limit of Parkes 2018), tSNR (poor at 20, where effects of 1 % need runs of impractical length by Murphy 2007;
/// good from 60), outliers (poor at 5 %, the limit at which afni_proc.py's examples drop a volume) and ghosts (good below
/// 5 % of the signal, since face and neck count as ghost in a clean run, poor at 20 %). Motion is detected by the stringent
/// rule of Parkes 2018: mean deviation above 0.25 mm, more than 20 % of the volumes above 0.2 mm, or any above 5 mm.
///
/// Sources: Parkes L. et al., NeuroImage 171, 2018; Murphy K. et al., NeuroImage 34(2), 2007.
#[must_use]
pub fn bold_verdict(q: &BoldQuality) -> Verdict {
    // The phase runs along one of the axes; a ghost shows on that one.
    let ghost = [q.gsr_x, q.gsr_y].into_iter().flatten().reduce(f64::max);
    let quality_score = score(&[
        Graded { value: q.rmsd_mean, poor: 0.55, good: 0.1 },
        Graded { value: q.tsnr, poor: 20.0, good: 60.0 },
        Graded { value: q.aor, poor: 0.05, good: 0.005 },
        Graded { value: ghost, poor: 0.2, good: 0.05 },
    ]);
    let above = |value: Option<f64>, limit: f64| value.is_some_and(|v| v > limit);
    let motion_detected = above(q.rmsd_mean, 0.25) || above(q.rmsd_perc, 20.0) || above(q.rmsd_max, 5.0);
    Verdict { quality_score, motion_detected }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, Array4};

    fn quiet(nt: usize) -> Confounds {
        let values = vec![Some(0.05); nt];
        Confounds {
            framewise_displacement: values.clone(),
            rmsd: values.clone(),
            dvars: values.clone(),
            std_dvars: values.clone(),
            global_signal: values,
        }
    }

    #[test]
    fn quantiles_of_the_normal_match_the_tables() {
        for (p, z) in [(0.025, 1.959_964), (0.001, 3.090_232), (0.000_01, 4.264_891)] {
            assert!((upper_normal_quantile(p) - z).abs() < 5e-4, "{p}");
        }
    }

    #[test]
    fn signal_to_noise_and_outliers_match_hand_computed_values() {
        // 100 ± 2 in every voxel but one constant one: 100 / 2; one volume of 60 in one of the 8 voxels.
        let mut series = Array4::from_shape_fn((40, 2, 2, 2), |(t, ..)| if t % 2 == 0 { 102.0 } else { 98.0 });
        series.indexed_iter_mut().filter(|((_, k, j, i), _)| k + j + i == 3).for_each(|(_, v)| *v = 7.0);
        let mask = Array3::ones((2, 2, 2));
        let found = bold_quality(series.view(), mask.view(), &quiet(40), 0);
        assert_eq!((found.tsnr, found.aor), (Some(50.0), Some(0.0)));
        series[[5, 0, 0, 0]] = 160.0;
        let found = bold_quality(series.view(), mask.view(), &quiet(40), 0);
        assert_eq!(found.aor, Some(1.0 / 320.0));
        // Left out with the volumes before the steady state.
        assert_eq!(bold_quality(series.view(), mask.view(), &quiet(40), 6).aor, Some(0.0));
    }

    #[test]
    fn a_ghost_at_half_the_field_of_view_is_seen_on_its_axis() {
        let mask = Array3::from_shape_fn((1, 8, 8), |(_, j, i)| u8::from(j < 3 && (2..5).contains(&i)));
        let image = Array3::from_shape_fn((1, 8, 8), |(_, j, i)| match (j, i) {
            (0..=2, 2..=4) => 100.0,
            (4..=6, 2..=4) => 25.0,
            _ => 5.0,
        });
        assert!((ghost_ratio(image.view(), mask.view(), 1).unwrap() - 0.2).abs() < 1e-6);
        // Along x the ghost of a mask at 2..5 falls on 6, 7 and 0: no signal, less than the background with its ghost.
        assert!(ghost_ratio(image.view(), mask.view(), 2).unwrap() < 0.0);
        assert_eq!(ghost_ratio(image.view(), Array3::zeros((1, 8, 8)).view(), 1), None);
    }

    #[test]
    fn displacement_is_summed_up_and_judged() {
        let mut confounds = quiet(12);
        confounds.rmsd = (0..12).map(|t| (t > 0).then_some(if t == 1 { 9.0 } else { 0.1 })).collect();
        let series = Array4::from_shape_fn((12, 2, 2, 2), |(t, k, j, i)| 50.0 + ((t * 7 + k + j + i) % 3) as f32);
        let of = |skip| bold_quality(series.view(), Array3::ones((2, 2, 2)).view(), &confounds, skip);
        assert_eq!((of(0).rmsd_max, of(1).rmsd_max, of(1).rmsd_perc), (Some(9.0), Some(0.1), Some(0.0)));
        assert!(bold_verdict(&of(0)).motion_detected && !bold_verdict(&of(1)).motion_detected);
        let better = BoldQuality { rmsd_mean: Some(0.3), ..of(1) };
        let worse = BoldQuality { rmsd_mean: Some(0.4), ..of(1) };
        assert!(bold_verdict(&better).quality_score > bold_verdict(&worse).quality_score);
    }

    #[test]
    fn what_cannot_be_measured_is_none() {
        let series = Array4::<f32>::zeros((1, 2, 2, 2));
        let q = bold_quality(series.view(), Array3::zeros((2, 2, 2)).view(), &quiet(1), 3);
        assert!(q.named().iter().all(|(_, v)| v.is_none()), "{q:?}");
        assert_eq!(bold_verdict(&q), Verdict { quality_score: None, motion_detected: false });
    }
}
