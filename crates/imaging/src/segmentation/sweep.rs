//! One sweep of mean-field expectation maximisation over all voxels, whatever the classes are.
//!
//! Each voxel gets its probabilities from its intensity, the template's prior, and the probabilities that its six
//! neighbours had after the sweep before (Zhang, Brady and Smith 2001, doi:10.1109/42.906424, with the mean field of
//! Zhang 1992, doi:10.1109/78.157297, for their hidden Markov random field). As all voxels look at the sweep before, their
//! order, and with it the number of threads, does not matter.

use rayon::prelude::*;

use super::local_means::{CellMeans, Cells, LayerSums};
use super::prior::PriorLogs;
use super::region::{Region, Span};
use crate::elementary::exp;

/// Numbers that are added up side by side: a row has few enough for single precision.
const LANES: usize = 8;

/// A probability of each of `K` classes for every voxel of the box, in steps that take half the memory of `f32` ([`pack`]).
pub(super) type Maps<const K: usize> = [Vec<u16>; K];

/// Steps of a probability.
const STEPS: f32 = 65535.0;
/// 2^23: a number of this size keeps whole numbers in the last digits of its fraction.
const SHIFT: f32 = 8_388_608.0;

/// A probability, 0 to 1, rounded to the nearest step.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the digits above are those of the shift")]
pub(super) fn pack(probability: f32) -> u16 {
    (probability * STEPS + SHIFT).to_bits() as u16
}

/// The probability of so many steps.
#[inline]
pub(super) fn unpack(steps: u16) -> f32 {
    f32::from(steps) * (1.0 / STEPS)
}

/// What does not change from sweep to sweep.
pub(super) struct Scene {
    pub region: Region,
    /// The image in the box.
    pub image: Vec<f32>,
    pub cells: Cells,
    pub prior: Option<PriorLogs>,
    /// What a neighbour along z, y, x counts: nearer ones more.
    pub neighbours: [f32; 3],
}

/// A set of `K` classes of voxels, three of which are the pure tissues.
pub(super) trait Classes<const K: usize>: Sync {
    /// Which are pure CSF, grey and white matter.
    const PURE: [usize; 3];
    /// How much a neighbour of class `b` speaks for class `a`.
    const SIMILARITY: [[f32; K]; K];
    /// Writes the logarithm of the likelihood of each class for voxels of these intensities, where the tissues have these
    /// means. All slices are equally long.
    fn logs(&self, values: &[f32], means: [&[f32]; 3], out: [&mut [f32]; K]);
    /// The part of the prior's logarithms of grey and white matter (that of CSF is 0) in each class.
    const PRIOR: [[f32; 2]; K];
}

/// What a sweep adds up over the voxels.
pub(super) struct Sums {
    /// For each pure tissue the probabilities, times intensity, times squared distance from the local mean.
    pub moments: [[f64; 3]; 3],
    /// What the cells' means are made of, layer by layer.
    pub layers: Vec<LayerSums>,
}

/// Writes the probabilities to `new`, from those of the sweep `before` (none in the first one), and adds up what the next
/// estimate of the classes needs.
pub(super) fn sweep<const K: usize, C: Classes<K>>(
    scene: &Scene,
    classes: &C,
    means: &CellMeans,
    before: Option<(&Maps<K>, f32)>,
    new: &mut Maps<K>,
) -> Sums {
    let (plane, depth) = (scene.region.plane(), scene.cells.step[0]);
    let mut parts = new.each_mut().map(|map| map.chunks_mut((plane * depth).max(1)));
    let slabs = scene.region.shape[0].div_ceil(depth);
    let slabs: Vec<[&mut [u16]; K]> =
        (0..slabs).map(|_| parts.each_mut().map(|part| part.next().unwrap_or_default())).collect();
    let done: Vec<([[f64; 3]; 3], LayerSums)> = slabs
        .into_par_iter()
        .enumerate()
        .map_init(
            || Rows::new(scene.region.shape[2]),
            |rows, (layer, mut slab)| {
                let (mut moments, mut cells) = ([[0.0; 3]; 3], scene.cells.empty_layer());
                let first = layer * depth;
                for (z, spans) in scene.region.spans.iter().enumerate().skip(first).take(depth) {
                    for span in spans {
                        let offset = (z - first) * plane + span.y * scene.region.shape[2];
                        rows.classify(scene, classes, means, before, (z, span));
                        let n = span.to - span.from;
                        for (map, row) in slab.iter_mut().zip(&rows.probabilities) {
                            let out = &mut map[offset + span.from..offset + span.to];
                            out.iter_mut().zip(&row[..n]).for_each(|(out, p)| *out = pack(*p));
                        }
                        let at = z * plane + span.y * scene.region.shape[2];
                        let values = &scene.image[at + span.from..at + span.to];
                        for (tissue, class) in C::PURE.into_iter().enumerate() {
                            let row = &rows.probabilities[class][..n];
                            add_moments(&mut moments[tissue], values, &rows.means[tissue], row);
                            scene.cells.add(&mut cells[tissue], span, values, row);
                        }
                    }
                }
                (moments, cells)
            },
        )
        .collect();
    let mut moments = [[0.0; 3]; 3];
    for (part, _) in &done {
        moments.iter_mut().flatten().zip(part.iter().flatten()).for_each(|(sum, v)| *sum += v);
    }
    Sums { moments, layers: done.into_iter().map(|(_, layer)| layer).collect() }
}

/// Room for one row.
struct Rows<const K: usize> {
    means: [Vec<f32>; 3],
    logs: [Vec<f32>; K],
    around: [Vec<f32>; K],
    probabilities: [Vec<f32>; K],
    line: Vec<f32>,
}

impl<const K: usize> Rows<K> {
    fn new(longest: usize) -> Self {
        let row = || vec![0.0; longest];
        Self {
            means: std::array::from_fn(|_| row()),
            logs: std::array::from_fn(|_| row()),
            around: std::array::from_fn(|_| row()),
            probabilities: std::array::from_fn(|_| row()),
            line: Vec::new(),
        }
    }

    /// Finds the probabilities of the voxels of `span` in plane `z`.
    fn classify<C: Classes<K>>(
        &mut self,
        scene: &Scene,
        classes: &C,
        means: &CellMeans,
        before: Option<(&Maps<K>, f32)>,
        (z, span): (usize, &Span),
    ) {
        let n = span.to - span.from;
        let at = z * scene.region.plane() + span.y * scene.region.shape[2] + span.from;
        for (row, cells) in self.means.iter_mut().zip(means) {
            scene.cells.along(cells, z, span, &mut self.line, &mut row[..n]);
        }
        let values = &scene.image[at..at + n];
        let tissue_means = self.means.each_ref().map(|row| &row[..n]);
        classes.logs(values, tissue_means, self.logs.each_mut().map(|row| &mut row[..n]));
        if let Some(prior) = &scene.prior {
            for (row, parts) in self.logs.iter_mut().zip(C::PRIOR) {
                for (part, logs) in parts.into_iter().zip(&prior.logs).filter(|(part, _)| *part > 0.0) {
                    row.iter_mut().zip(&logs[at..at + n]).for_each(|(row, log)| *row += part * log);
                }
            }
        }
        if let Some((maps, coupling)) = before {
            for (row, map) in self.around.iter_mut().zip(maps) {
                add_up_neighbours(&mut row[..n], map, at, scene, coupling);
            }
            for (row, similarity) in self.logs.iter_mut().zip(C::SIMILARITY) {
                for (like, around) in similarity.into_iter().zip(&self.around).filter(|(like, _)| *like > 0.0) {
                    row[..n].iter_mut().zip(around).for_each(|(row, around)| *row += like * around);
                }
            }
        }
        let mut out = self.probabilities.each_mut().map(|row| &mut row[..n]);
        normalise(self.logs.each_ref().map(|row| &row[..n]), &mut out);
    }
}

/// The sum of `map` over the six neighbours of each voxel from `at` on, times `weight` and what each neighbour counts.
fn add_up_neighbours(out: &mut [f32], map: &[u16], at: usize, scene: &Scene, weight: f32) {
    let n = out.len();
    let row = |from: usize| &map[from..from + n];
    let [wz, wy, wx] = scene.neighbours.map(|w| w * weight / STEPS);
    let (up, along) = (scene.region.plane(), scene.region.shape[2]);
    let (left, right, front, back) = (row(at - 1), row(at + 1), row(at + along), row(at - along));
    let (above, below) = (row(at + up), row(at - up));
    for i in 0..n {
        let pair = |a: &[u16], b: &[u16]| f32::from(a[i]) + f32::from(b[i]);
        out[i] = wx * pair(left, right) + wy * pair(front, back) + wz * pair(above, below);
    }
}

/// Probabilities from the logarithms of their odds.
fn normalise<const K: usize>(logs: [&[f32]; K], out: &mut [&mut [f32]; K]) {
    let n = logs.iter().map(|row| row.len()).min().unwrap_or(0);
    let mut at = 0;
    while at < n {
        let wide = LANES.min(n - at);
        let mut odds = [[0.0f32; LANES]; K];
        for (odds, row) in odds.iter_mut().zip(logs) {
            odds[..wide].copy_from_slice(&row[at..at + wide]);
        }
        let mut largest = odds[0];
        for row in &odds[1..] {
            largest.iter_mut().zip(row).for_each(|(most, v)| *most = if *v > *most { *v } else { *most });
        }
        let mut total = [0.0f32; LANES];
        for row in &mut odds {
            for lane in 0..LANES {
                row[lane] = exp(row[lane] - largest[lane]);
                total[lane] += row[lane];
            }
        }
        let scale = total.map(|total| 1.0 / total);
        for (row, out) in odds.iter().zip(out.iter_mut()) {
            let scaled: [f32; LANES] = std::array::from_fn(|lane| row[lane] * scale[lane]);
            out[at..at + wide].copy_from_slice(&scaled[..wide]);
        }
        at += wide;
    }
}

/// Adds the moments of the voxels of a row.
fn add_moments(sums: &mut [f64; 3], values: &[f32], means: &[f32], probabilities: &[f32]) {
    let mut lanes = [[0.0f32; LANES]; 3];
    let mut add = |lane: usize, v: f32, mean: f32, p: f32| {
        let away = v - mean;
        lanes[0][lane] += p;
        lanes[1][lane] += p * v;
        lanes[2][lane] += p * away * away;
    };
    let n = values.len();
    let whole = n / LANES * LANES;
    let blocks = values.as_chunks::<LANES>().0.iter().zip(means.as_chunks::<LANES>().0);
    for ((v, mean), p) in blocks.zip(probabilities.as_chunks::<LANES>().0) {
        (0..LANES).for_each(|lane| add(lane, v[lane], mean[lane], p[lane]));
    }
    (whole..n).for_each(|i| add(i - whole, values[i], means[i], probabilities[i]));
    for (sum, lanes) in sums.iter_mut().zip(lanes) {
        *sum += lanes.iter().map(|v| f64::from(*v)).sum::<f64>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_follow_the_odds_and_sum_to_one() {
        let logs: [Vec<f32>; 3] = [vec![0.0; 11], vec![1.0; 11], (0..11).map(|i| i as f32 * 40.0 - 200.0).collect()];
        let mut maps = [const { [0.0f32; 11] }; 3];
        normalise(logs.each_ref().map(|row| &row[..]), &mut maps.each_mut().map(|row| &mut row[..]));
        for i in 0..11 {
            let exact: Vec<f64> = logs.iter().map(|row| f64::from(row[i] - logs[2][i].max(1.0)).exp()).collect();
            let total: f64 = exact.iter().sum();
            for (map, exact) in maps.iter().zip(&exact) {
                assert!((f64::from(map[i]) - exact / total).abs() < 1e-6, "{i}");
            }
        }
    }

    #[test]
    fn probabilities_are_kept_to_a_step() {
        assert_eq!([0.0, 1.0, 0.5, 1e-6].map(pack), [0, u16::MAX, 32768, 0]);
        assert!((0..=1000).map(|i| i as f32 / 1000.0).all(|p| (unpack(pack(p)) - p).abs() < 0.6 / STEPS));
        assert_eq!((unpack(0), unpack(u16::MAX)), (0.0, 1.0));
    }

    #[test]
    fn moments_of_a_row_with_a_rest_are_exact() {
        let values: Vec<f32> = (0..19).map(|i| i as f32).collect();
        let (means, p) = (vec![9.0; 19], vec![0.5; 19]);
        let mut sums = [0.0; 3];
        add_moments(&mut sums, &values, &means, &p);
        assert_eq!(sums, [9.5, 85.5, 285.0]);
    }
}
