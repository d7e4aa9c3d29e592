//! What a series is aligned with: which volumes can be used, which one is the reference, and the mean of the steadiest.

use rayon::prelude::*;

use crate::interpolate::SplineVolume;
use crate::motion_pyramid::Grid;
use crate::rigid::{Matrix4, compose};

/// Voxels looked at when volumes are compared with their median; a few thousand tell steady from moved.
const SAMPLED_VOXELS: usize = 4096;
/// Volumes in the template.
const TEMPLATE_VOLUMES: usize = 16;
/// Volumes resampled at a time for the template; fixed, so that the sum does not depend on the number of threads.
const BATCH: usize = 8;
/// Volumes in which non-steady ones are looked for, and the modified z score that marks one (Iglewicz & Hoaglin 1993), as
/// in MRIQC and fMRIPrep.
const NON_STEADY_WINDOW: usize = 50;
const NON_STEADY_SCORE: f64 = 3.5;
/// A rise of the mean below this part is never taken for unsettled magnetisation.
const NON_STEADY_RISE: f64 = 0.01;
/// Below this many volumes there is no telling what is steady.
const NON_STEADY_LEAST: usize = 6;

/// A first look at all volumes.
pub(super) struct Survey {
    /// Whether the volume is finite and not constant.
    pub usable: Vec<bool>,
    pub non_steady: usize,
    /// The steady volume nearest to the median of all steady ones.
    pub reference: usize,
    /// The volumes for the template, nearest to the median first.
    pub steadiest: Vec<usize>,
}

impl Survey {
    /// Looks at every volume; `None` where none is usable.
    pub fn new(volumes: &[&[f32]]) -> Option<Self> {
        let means: Vec<Option<f64>> = volumes.par_iter().map(|v| mean_of_usable(v)).collect();
        let non_steady = non_steady(&means);
        let usable: Vec<bool> = means.iter().map(Option::is_some).collect();
        let mut steady: Vec<usize> = (non_steady..volumes.len()).filter(|&t| usable[t]).collect();
        if steady.is_empty() {
            steady = (0..volumes.len()).filter(|&t| usable[t]).collect();
        }
        let distance = distances_from_median(volumes, &steady);
        let mut order: Vec<usize> = (0..steady.len()).collect();
        order.sort_by(|&a, &b| distance[a].total_cmp(&distance[b]));
        let steadiest: Vec<usize> = order.iter().take(TEMPLATE_VOLUMES).map(|&n| steady[n]).collect();
        Some(Self { usable, non_steady, reference: *steadiest.first()?, steadiest })
    }
}

/// The mean of a volume, or `None` where it is constant or not finite.
fn mean_of_usable(volume: &[f32]) -> Option<f64> {
    let (mut sum, mut low, mut high) = (0.0, f32::INFINITY, f32::NEG_INFINITY);
    for &v in volume {
        sum += f64::from(v);
        low = low.min(v);
        high = high.max(v);
    }
    (sum.is_finite() && high > low).then(|| sum / volume.len() as f64)
}

/// How many volumes at the start are brighter than the rest by more than the rest varies.
fn non_steady(means: &[Option<f64>]) -> usize {
    let window: Vec<f64> = means.iter().take(NON_STEADY_WINDOW).map(|m| m.unwrap_or(f64::NAN)).collect();
    let mut known: Vec<f64> = window.iter().copied().filter(|m| m.is_finite()).collect();
    if known.len() < NON_STEADY_LEAST {
        return 0;
    }
    let centre = median(&mut known);
    let mut away: Vec<f64> = known.iter().map(|m| (m - centre).abs()).collect();
    let limit = centre + (median(&mut away) * NON_STEADY_SCORE / 0.6745).max(NON_STEADY_RISE * centre.abs());
    let count = window.iter().take_while(|&&m| m > limit).count();
    // The median would have to be unsteady itself.
    if 2 * count > known.len() { 0 } else { count }
}

/// The upper median of some numbers (reordered); NaN without any.
pub(super) fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// The mean absolute difference of each of the `steady` volumes from their median, over a regular sample of voxels.
fn distances_from_median(volumes: &[&[f32]], steady: &[usize]) -> Vec<f64> {
    let Some(&first) = steady.first() else { return Vec::new() };
    // An odd step, so that the sample does not fall into columns of a grid with even sides.
    let step = (volumes[first].len() / SAMPLED_VOXELS) | 1;
    let medians: Vec<f32> = (0..volumes[first].len())
        .into_par_iter()
        .step_by(step)
        .map(|v| {
            let mut values: Vec<f32> = steady.iter().map(|&t| volumes[t][v]).collect();
            *values.select_nth_unstable_by(steady.len() / 2, f32::total_cmp).1
        })
        .collect();
    let difference = |&t: &usize| {
        let sampled = volumes[t].iter().step_by(step).zip(&medians);
        sampled.map(|(v, m)| f64::from((v - m).abs())).sum::<f64>() / medians.len() as f64
    };
    steady.par_iter().map(difference).collect()
}

/// The mean of the `chosen` volumes, each sampled where `matrices` puts it.
pub(super) fn template(volumes: &[&[f32]], grid: &Grid, matrices: &[Matrix4], chosen: &[usize]) -> Vec<f32> {
    let mut mean = vec![0.0_f32; grid.len()];
    let share = 1.0 / chosen.len().max(1) as f32;
    for batch in chosen.chunks(BATCH) {
        let moved: Vec<Vec<f32>> = batch
            .par_iter()
            .map_init(
                || SplineVolume::new(grid.shape),
                |spline, &t| {
                    let mut out = vec![0.0; grid.len()];
                    spline.interpolate(volumes[t]);
                    spline.resample_into(&compose(&grid.to_voxel, &compose(&matrices[t], &grid.to_world)), &mut out);
                    out
                },
            )
            .collect();
        for volume in &moved {
            mean.iter_mut().zip(volume).for_each(|(m, v)| *m += share * v);
        }
    }
    mean
}
