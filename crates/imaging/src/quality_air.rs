//! The air around a head: how loud its noise is, and how much of it an artefact has spoilt.
//!
//! Motion and ghosts throw signal out of the head into the air, which has none of its own. As in Mortamet B. et al., Magn.
//! Reson. Med. 62(2), 2009, only air above the middle of the brain is looked at: below it neck, shoulders and the face's
//! own motion (jaw, eyes) would be mistaken for artefacts. The head is found at about 4 mm, where noise averages out.

use ndarray::{Array3, ArrayView1, ArrayView3, Axis};
use rayon::prelude::*;

use crate::filter::{quantiles, shrink};
use crate::morphology::{dilate, erode, fill_holes, largest_component, squared_distance};
use crate::quality::RegionStats;

/// Voxel size at which the head is found, mm.
const COARSE_MM: f64 = 4.0;
/// Where between air and brain intensity the head begins.
const HEAD_LEVEL: f32 = 0.25;
/// Gaps up to twice this (mm) in the head's outline are closed (nostrils, ears), and this much air next to it is left out.
const CLOSING_MM: f64 = 10.0;
const RIM_MM: f64 = 5.0;
/// Air with a z score above this is artefact, except within this part of the largest distance from the head (Mortamet
/// 2009, as implemented by MRIQC).
const ARTEFACT_SCORE: f64 = 10.0;
const NEAR_HEAD: f32 = 0.1;
/// Air nearer to the head than this (mm) says nothing of ghosts: hair, cushions and what a smooth image smears out lie there.
const HALO_MM: f32 = 12.0;
/// With fewer voxels of air nothing is said, nor where more than half of the air is exactly 0: such noise as is left there
/// is not the scanner's any more.
const LEAST_AIR: usize = 1000;
/// Statistics are taken of about this many voxels of air at most, evenly spread.
const SAMPLE: usize = 500_000;

/// What the air tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Air {
    /// Of the air without artefacts above the middle of the brain; only voxels above 0, since scanners and defacing write
    /// zeros where there is no noise.
    pub noise: Option<RegionStats>,
    /// Part of the air above the middle of the brain that is artefact.
    pub artefact: Option<f64>,
    /// The 99 % percentile of that air over its median, artefacts included: 2.58 for noise alone (Rayleigh distribution; less
    /// for several coils), more with ghosts, however faint and fine.
    pub tail: Option<f64>,
    /// Of the air in line with the head along one axis only: the mean along the loudest axis over that along the other two.
    /// About 1 without ghosts, which lie along phase encoding, whatever the noise, the smoothness and the grey levels.
    pub ghosts: Option<f64>,
    /// Ratio of the median energy (squared intensity) inside the head to that of everything outside.
    pub energy_ratio: Option<f64>,
}

impl Air {
    /// Nothing measured.
    pub const UNKNOWN: Self = Self { noise: None, artefact: None, tail: None, ghosts: None, energy_ratio: None };
}

/// Head, distance and factor of the coarse grid, to be asked voxel by voxel.
struct Coarse {
    factor: [usize; 3],
    head: Array3<u8>,
    /// Squared distance to the head over the largest squared distance in the air that counts.
    far: Array3<f32>,
    /// Air that lies in line with the head along x, y or z only: 1, 2 or 3; else 0.
    line: Array3<u8>,
    first_slice: usize,
}

/// Measures the air of `image` around the `brain` (same shape); `brain_median` is the brain's median intensity.
pub(super) fn air(image: ArrayView3<f32>, brain: ArrayView3<u8>, voxel_mm: [f64; 3], brain_median: f64) -> Air {
    let coarse = Coarse::new(image, brain, voxel_mm, brain_median as f32);
    let (nz, ny, nx) = image.dim();
    let step = (image.len() / SAMPLE) | 1;
    let sampled: Vec<Sampled> = (0..nz).into_par_iter().map(|k| coarse.sample(image, k, step)).collect();
    let every = |part: fn(&Sampled) -> &Vec<f32>| -> Vec<f32> { sampled.iter().flat_map(part).copied().collect() };
    let energy = |mut values: Vec<f32>| quantiles(&mut values, [0.5]).map(|[m]| f64::from(m).powi(2));
    let (inside, outside) = rayon::join(|| energy(every(|s| &s.inside)), || energy(every(|s| &s.outside)));
    let energy_ratio = inside.zip(outside.filter(|e| *e > 1e-3)).map(|(a, b)| a / b);
    let mut values = every(|s| &s.air);
    let voxels = values.len();
    values.retain(|v| *v > 0.0);
    let enough = values.len() * step >= LEAST_AIR && 2 * values.len() >= voxels;
    let high = quantiles(&mut values, [0.99]).map(|[v]| f64::from(v));
    let Some(all) = RegionStats::of(&mut values).filter(|s| enough && s.mad > 0.0) else {
        return Air { energy_ratio, ..Air::UNKNOWN };
    };
    let limit = (all.median + ARTEFACT_SCORE * all.mad) as f32;
    let spoilt = |k: usize, j: usize, i: usize| image[[k, j, i]] > limit && coarse.is_far_air(k, j, i);
    let counts: Vec<(usize, usize, Lines)> = (coarse.first_slice..nz)
        .into_par_iter()
        .map(|k| {
            let (mut air, mut artefact, mut lines) = (0, 0, Lines::default());
            for (j, row) in image.index_axis(Axis(0), k).outer_iter().enumerate() {
                for (c, part) in row.axis_chunks_iter(Axis(0), coarse.factor[2]).enumerate() {
                    let first = c * coarse.factor[2];
                    if coarse.is_air(k, j, first) {
                        air += part.len();
                        coarse.add_line([k, j, first], part, &mut lines);
                        let loud = part.iter().enumerate().filter(|(_, v)| **v > limit).map(|(i, _)| first + i);
                        artefact +=
                            loud.filter(|&i| spoilt(k, j, i) && opened(&spoilt, [nz, ny, nx], [k, j, i])).count();
                    }
                }
            }
            (air, artefact, lines)
        })
        .collect();
    let (voxels, artefacts) = counts.iter().fold((0, 0), |sum, c| (sum.0 + c.0, sum.1 + c.1));
    let mut quiet = every(|s| &s.air);
    quiet.retain(|v| *v > 0.0 && *v <= limit);
    let noise = RegionStats::of(&mut quiet);
    let artefact = Some(artefacts as f64 / voxels.max(1) as f64);
    Air { noise, artefact, tail: high.map(|h| h / all.median), ghosts: ghosts(&counts), energy_ratio }
}

/// How much louder the air is in line with the head along one axis than along the others; `None` where it cannot be seen
/// along all.
fn ghosts(slices: &[(usize, usize, Lines)]) -> Option<f64> {
    let line = |axis: usize| {
        let (n, sum) =
            slices.iter().map(|(.., lines)| lines[axis]).fold((0, 0.0), |all, (n, sum)| (all.0 + n, all.1 + sum));
        (n >= LEAST_AIR).then(|| sum / n as f64)
    };
    let mut means = [line(0)?, line(1)?, line(2)?];
    means.sort_by(f64::total_cmp);
    let [low, middle, high] = means;
    Some(2.0 * high / (low + middle)).filter(|ratio| ratio.is_finite())
}

/// Number and sum of what is above 0 in the air that lies in line with the head along x, y, z only.
type Lines = [(usize, f64); 3];

/// Whether a set voxel stays when the set is opened by the cross of seven voxels: it, or a neighbour of it, has all its
/// neighbours in the set.
fn opened(set: &impl Fn(usize, usize, usize) -> bool, shape: [usize; 3], at: [usize; 3]) -> bool {
    const CROSS: [[isize; 3]; 7] = [[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]];
    let moved = |p: [usize; 3], d: [isize; 3]| -> Option<[usize; 3]> {
        let mut to = p;
        for a in 0..3 {
            to[a] = p[a].checked_add_signed(d[a]).filter(|v| *v < shape[a])?;
        }
        Some(to)
    };
    let whole = |c: [usize; 3]| CROSS.iter().all(|&d| moved(c, d).is_some_and(|p| set(p[0], p[1], p[2])));
    CROSS.iter().filter_map(|&d| moved(at, d)).any(whole)
}

/// Some voxels of a slice: those of the head, the others, and those of the others that are air above the brain's middle.
#[derive(Default)]
struct Sampled {
    inside: Vec<f32>,
    outside: Vec<f32>,
    air: Vec<f32>,
}

impl Coarse {
    /// Every voxel of slice `k` whose number in memory is a multiple of `step`.
    fn sample(&self, image: ArrayView3<f32>, k: usize, step: usize) -> Sampled {
        let (_, ny, nx) = image.dim();
        let (mut found, mut i) = (Sampled::default(), (k * ny * nx).next_multiple_of(step) - k * ny * nx);
        let (head, slice) = (self.head.index_axis(Axis(0), k / self.factor[0]), image.index_axis(Axis(0), k));
        for (j, row) in slice.outer_iter().enumerate() {
            let head = head.index_axis(Axis(0), j / self.factor[1]);
            while i < nx {
                if head[i / self.factor[2]] != 0 {
                    found.inside.push(row[i]);
                } else {
                    found.outside.push(row[i]);
                    found.air.extend((k >= self.first_slice).then_some(row[i]));
                }
                i += step;
            }
            i -= nx;
        }
        found
    }

    fn new(image: ArrayView3<f32>, brain: ArrayView3<u8>, voxel_mm: [f64; 3], brain_median: f32) -> Self {
        let factor = voxel_mm.map(|mm| ((COARSE_MM / mm).round() as usize).max(1));
        let mm = std::array::from_fn(|a| voxel_mm[a] * factor[a] as f64);
        let small = shrink(image, factor);
        let mut values: Vec<f32> = small.iter().copied().filter(|&v| v > 0.0).collect();
        let floor = quantiles(&mut values, [0.1]).map_or(0.0, |[v]| v);
        let level = floor + HEAD_LEVEL * (brain_median - floor);
        let bright = largest_component(small.mapv(|v| u8::from(v > level)).view());
        let closed = erode(dilate(bright.view(), mm, CLOSING_MM).view(), mm, CLOSING_MM);
        let head = dilate(fill_holes(closed.view()).view(), mm, RIM_MM);
        let slices: Vec<usize> = brain.outer_iter().map(|s| s.iter().filter(|m| **m != 0).count()).collect();
        let weighted: usize = slices.iter().enumerate().map(|(k, n)| k * n).sum();
        let first_slice = weighted.checked_div(slices.iter().sum()).unwrap_or(0);
        let mut far = squared_distance(head.view(), mm);
        let line = in_line(head.view(), far.view(), first_slice.div_ceil(factor[0]));
        let within = |k: usize| k >= first_slice / factor[0];
        let largest = far.indexed_iter().filter(|((k, ..), _)| within(*k)).fold(0.0_f32, |m, (_, d)| m.max(*d));
        far.mapv_inplace(|d| d / largest);
        Self { factor, head, far, line, first_slice }
    }

    /// Adds voxels of a row, all of one coarse voxel whose first is given, to the line that they lie in.
    fn add_line(&self, [k, j, first]: [usize; 3], part: ArrayView1<f32>, lines: &mut Lines) {
        let axis = usize::from(self.line[self.at(k, j, first)]).checked_sub(1);
        if let Some((n, sum)) = axis.and_then(|axis| lines.get_mut(axis)) {
            for v in part.iter().filter(|v| **v > 0.0) {
                (*n, *sum) = (*n + 1, *sum + f64::from(*v));
            }
        }
    }

    fn at(&self, k: usize, j: usize, i: usize) -> [usize; 3] {
        [k / self.factor[0], j / self.factor[1], i / self.factor[2]]
    }

    fn is_head(&self, k: usize, j: usize, i: usize) -> bool {
        self.head[self.at(k, j, i)] != 0
    }

    fn is_air(&self, k: usize, j: usize, i: usize) -> bool {
        k >= self.first_slice && !self.is_head(k, j, i)
    }

    fn is_far_air(&self, k: usize, j: usize, i: usize) -> bool {
        self.is_air(k, j, i) && self.far[self.at(k, j, i)] >= NEAR_HEAD * NEAR_HEAD
    }
}

/// The air from slice `first` on, farther than the halo from the head, that lies in line with the head along one axis only: 1
/// for x, 2 for y, 3 for z. `squared` is the squared distance to the head, mm².
fn in_line(head: ArrayView3<u8>, squared: ArrayView3<f32>, first: usize) -> Array3<u8> {
    let shadow = |axis: usize| head.map_axis(Axis(axis), |lane| lane.iter().any(|v| *v != 0));
    let [along_z, along_y, along_x] = [shadow(0), shadow(1), shadow(2)];
    Array3::from_shape_fn(head.dim(), |(k, j, i)| {
        if k < first || squared[[k, j, i]] < HALO_MM * HALO_MM {
            return 0;
        }
        match [along_x[[k, j]], along_y[[k, i]], along_z[[j, i]]] {
            [true, false, false] => 1,
            [false, true, false] => 2,
            [false, false, true] => 3,
            _ => 0,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ghosts_are_seen_along_their_axis_and_a_halo_is_none() {
        let (clean, brain) = ball(0);
        let of = |image: &Array3<f32>| air(image.view(), brain.view(), [4.0; 3], 500.0).ghosts;
        let found = of(&clean).unwrap();
        assert!((0.95..1.05).contains(&found), "{found}");
        let d = |k: usize, j: usize, i: usize| [k, j, i].map(|v| (v as f64 - 20.0).powi(2));
        // Twice as loud before and behind the head, along y.
        let mut ghosted = clean.clone();
        ghosted.indexed_iter_mut().for_each(|((k, j, i), v)| {
            let [dk, dj, di] = d(k, j, i);
            if dk + di < 144.0 && dj > 200.0 {
                *v *= 2.0
            }
        });
        assert!((1.5..2.1).contains(&of(&ghosted).unwrap()), "{:?}", of(&ghosted));
        // Loud next to the head, all around.
        let mut halo = clean;
        halo.indexed_iter_mut().for_each(|((k, j, i), v)| {
            let r = d(k, j, i).iter().sum::<f64>();
            if (144.0..210.0).contains(&r) {
                *v = 60.0
            }
        });
        assert!((0.9..1.1).contains(&of(&halo).unwrap()), "{:?}", of(&halo));
    }

    /// A bright ball in air of two alternating intensities, with a block of artefact of the given side.
    fn ball(artefact: usize) -> (Array3<f32>, Array3<u8>) {
        let n = 48;
        let inside = |k: usize, j: usize, i: usize, r: f64| {
            let d = |v: usize| (v as f64 - 20.0).powi(2);
            d(k) + d(j) + d(i) < r * r
        };
        let image = Array3::from_shape_fn((n, n, n), |(k, j, i)| {
            if inside(k, j, i, 12.0) {
                500.0
            } else if k >= 36 && j < artefact && i < artefact && k < 36 + artefact {
                200.0
            } else {
                8.0 + 2.0 * ((i + j + k) % 3) as f32
            }
        });
        (image, Array3::from_shape_fn((n, n, n), |(k, j, i)| u8::from(inside(k, j, i, 9.0))))
    }

    #[test]
    fn artefacts_are_counted_and_left_out_of_the_noise() {
        let (image, brain) = ball(6);
        let found = air(image.view(), brain.view(), [2.0; 3], 500.0);
        let clean = air(ball(0).0.view(), brain.view(), [2.0; 3], 500.0);
        assert_eq!(clean.artefact, Some(0.0));
        // Opening a block of 6×6×6 by the cross takes its edges off: 216 − (12 · 4 + 8) = 160.
        let voxels = 160.0 / found.artefact.unwrap();
        assert!((40_000.0..64_000.0).contains(&voxels) && (voxels - voxels.round()).abs() < 1e-6, "{voxels}");
        let (noise, quiet) = (found.noise.unwrap(), clean.noise.unwrap());
        assert_eq!(noise.median, 10.0);
        assert!((noise.stdv - quiet.stdv).abs() < 0.01 && (quiet.stdv - (8.0_f64 / 3.0).sqrt()).abs() < 0.01);
        assert_eq!(clean.energy_ratio.map(|r| r > 100.0 && r <= 2500.0), Some(true));
    }

    #[test]
    fn single_spikes_are_not_artefacts() {
        let (mut image, brain) = ball(0);
        for n in 0..6 {
            image[[40, 2 + 3 * n, 2]] = 300.0;
        }
        assert_eq!(air(image.view(), brain.view(), [2.0; 3], 500.0).artefact, Some(0.0));
    }

    #[test]
    fn an_image_without_noise_in_the_air_says_nothing() {
        let (image, brain) = ball(0);
        let stripped = image.mapv(|v| if v > 100.0 { v } else { 0.0 });
        let found = air(stripped.view(), brain.view(), [2.0; 3], 500.0);
        assert_eq!(found, Air::UNKNOWN);
    }
}
