//! What a template knows of the tissues, carried to the image: which tissue to expect where, and how bright it is there.
//!
//! Deep grey matter is nearly as bright as white matter, and the brainstem darker than it. Intensity alone takes most of
//! the thalamus for white matter; a prior that expects grey matter there and knows that it is brighter does not.

use ndarray::{Array3, ArrayView3};
use rayon::prelude::*;

use super::local_means::{CellMeans, Cells};
use super::region::Region;
use crate::elementary::ln;
use crate::rigid::Matrix4;

/// What each of the three tissues gets in addition, so that none is ever excluded.
const FLOOR: f32 = 0.05;
/// Weight of the prior's logarithm.
const WEIGHT: f32 = 0.6;
/// How much larger than in the template, which is a mean of many heads, the differences of brightness are.
const OFFSET_GAIN: f32 = 1.5;

/// The stored value for a level of 0, and how many more there are to a level of 1.
const LEVEL_ZERO: f32 = 64.0;
const LEVEL_STEP: f32 = 128.0;

/// What to expect at each voxel of an image (or of a template). All arrays have its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct TissuePrior {
    /// Probability of grey matter, in 255ths.
    pub grey: Array3<u8>,
    /// Probability of white matter, in 255ths. The rest is CSF.
    pub white: Array3<u8>,
    /// How bright grey and white matter are there, on the scale from cortex (0) to white matter (1): the stored number is
    /// 64 + 128 level. Where nothing is known, 64 for grey and 192 for white matter.
    pub levels: [Array3<u8>; 2],
}

/// Weighted logarithms of the prior, in the box of a region.
pub(super) struct PriorLogs {
    /// Of grey and white matter, relative to that of CSF.
    pub logs: [Vec<f32>; 2],
    /// Levels of grey and white matter in each cell.
    levels: [Vec<f32>; 2],
}

impl TissuePrior {
    /// The shape of the arrays (z, y, x); `None` when they differ.
    #[must_use]
    pub fn shape(&self) -> Option<(usize, usize, usize)> {
        let all = [&self.grey, &self.white, &self.levels[0], &self.levels[1]];
        all.iter().all(|a| a.dim() == self.grey.dim()).then_some(self.grey.dim())
    }

    /// Carries the prior of a template to the grid of an image. `to_voxel` maps template millimetres to template voxels;
    /// `to_template` takes a voxel `[i, j, k]` of the image to template millimetres, and is asked for the voxels of `mask`
    /// (shape of the image) only. By trilinear interpolation; outside the mask and the template there is CSF.
    #[must_use]
    pub fn carried(
        &self,
        to_voxel: &Matrix4,
        mask: ArrayView3<u8>,
        to_template: impl Fn([usize; 3]) -> [f64; 3] + Sync,
    ) -> Self {
        const NOTHING: [u8; 4] = [0, 0, LEVEL_ZERO as u8, (LEVEL_ZERO + LEVEL_STEP) as u8];
        let mut maps = NOTHING.map(|v| Array3::from_elem(mask.dim(), v));
        let (_, ny, nx) = mask.dim();
        let Some(nodes) = self.nodes() else {
            let [grey, white, first, second] = maps;
            return Self { grey, white, levels: [first, second] };
        };
        let shape = self.grey.dim();
        let values: Vec<Vec<[u8; 4]>> = mask
            .outer_iter()
            .into_par_iter()
            .enumerate()
            .map(|(k, plane)| {
                let voxels = plane.into_iter().enumerate();
                let read = |at: usize| {
                    let p = crate::rigid::apply(to_voxel, to_template([at % nx, at / nx, k]));
                    interpolate(&nodes, shape, p).unwrap_or(NOTHING)
                };
                voxels.map(|(at, m)| if *m > 0 { read(at) } else { NOTHING }).collect()
            })
            .collect();
        for (what, map) in maps.iter_mut().enumerate() {
            for (mut plane, values) in map.outer_iter_mut().zip(&values) {
                debug_assert_eq!(values.len(), ny * nx);
                plane.iter_mut().zip(values).for_each(|(to, v)| *to = v[what]);
            }
        }
        let [grey, white, first, second] = maps;
        Self { grey, white, levels: [first, second] }
    }

    /// The four numbers of each voxel together.
    fn nodes(&self) -> Option<Vec<[u8; 4]>> {
        self.shape()?;
        let pairs = self.grey.iter().zip(&self.white).zip(self.levels[0].iter().zip(&self.levels[1]));
        Some(pairs.map(|((grey, white), (first, second))| [*grey, *white, *first, *second]).collect())
    }
}

/// Trilinear interpolation at voxel coordinates `[x, y, z]`, rounded; `None` outside.
fn interpolate(nodes: &[[u8; 4]], (nz, ny, nx): (usize, usize, usize), p: [f64; 3]) -> Option<[u8; 4]> {
    let inside = p.iter().zip([nx, ny, nz]).all(|(p, n)| *p >= 0.0 && *p <= n as f64 - 1.0);
    if !inside {
        return None;
    }
    let low = [(p[0], nx), (p[1], ny), (p[2], nz)].map(|(p, n)| (p as usize).min(n.saturating_sub(2)));
    let [fx, fy, fz]: [f32; 3] = std::array::from_fn(|a| (p[a] - low[a] as f64) as f32);
    let mut sums = [0.5f32; 4];
    for (dz, wz) in [(0, 1.0 - fz), (1, fz)] {
        for (dy, wy) in [(0, 1.0 - fy), (1, fy)] {
            let row = (low[2] + dz) * ny + low[1] + dy;
            for (dx, wx) in [(0, 1.0 - fx), (1, fx)] {
                let weight = wz * wy * wx;
                let node = nodes.get(row * nx + low[0] + dx).copied().unwrap_or_default();
                sums.iter_mut().zip(node).for_each(|(sum, v)| *sum += weight * f32::from(v));
            }
        }
    }
    Some(sums.map(|sum| sum as u8))
}

impl PriorLogs {
    pub fn new(prior: &TissuePrior, region: &Region, cells: &Cells) -> Self {
        let shares = [&prior.grey, &prior.white].map(|map| region.gather(map.view(), |v| f32::from(*v) / 255.0));
        let voxels = region.voxels as f64;
        let mean = |map: &Vec<f32>| {
            let planes = map.par_chunks(region.plane().max(1)).map(|plane| plane.iter().map(|v| f64::from(*v)).sum());
            planes.collect::<Vec<f64>>().iter().sum::<f64>() / voxels
        };
        let [grey, white] = shares.each_ref().map(mean);
        let csf_mean = (1.0 - grey - white).max(0.0) as f32 + FLOOR;
        let gains = [grey, white].map(|mean| csf_mean / (mean as f32 + FLOOR));
        let [mut grey, mut white] = shares;
        let (plane, nx) = (region.plane().max(1), region.shape[2]);
        let planes = grey.par_chunks_mut(plane).zip(white.par_chunks_mut(plane)).zip(&region.spans);
        planes.for_each(|((grey, white), spans)| {
            for span in spans {
                let row = span.y * nx + span.from..span.y * nx + span.to;
                for (grey, white) in grey[row.clone()].iter_mut().zip(&mut white[row]) {
                    let csf = 1.0 / ((1.0 - *grey - *white).max(0.0) + FLOOR);
                    *grey = WEIGHT * ln((*grey + FLOOR) * csf * gains[0]);
                    *white = WEIGHT * ln((*white + FLOOR) * csf * gains[1]);
                }
            }
        });
        let level = |map: &Array3<u8>, usual: f32| {
            let inside = region.gather(map.view(), |v| (f32::from(*v) - LEVEL_ZERO) / LEVEL_STEP);
            let away = |level: f32| usual + OFFSET_GAIN * (level - usual);
            cells.averages(region, &inside, usual).into_iter().map(away).collect()
        };
        let levels = [level(&prior.levels[0], 0.0), level(&prior.levels[1], 1.0)];
        Self { logs: [grey, white], levels }
    }

    /// The mean of each tissue to expect in each cell, where the whole tissues have these means.
    pub fn expected(&self, [csf, grey, white]: [f32; 3]) -> CellMeans {
        let of = |levels: &Vec<f32>| levels.iter().map(|level| grey + level * (white - grey)).collect();
        [vec![csf; self.levels[0].len()], of(&self.levels[0]), of(&self.levels[1])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rigid::IDENTITY;

    fn ramp() -> TissuePrior {
        let map = |f: fn(usize, usize, usize) -> usize| Array3::from_shape_fn((4, 5, 6), |(z, y, x)| f(z, y, x) as u8);
        TissuePrior {
            grey: map(|z, y, x| 40 * z + 8 * y + 2 * x),
            white: map(|_, _, x| 20 * x),
            levels: [map(|_, y, _| 64 + 10 * y), map(|z, _, _| 192 - 20 * z)],
        }
    }

    #[test]
    fn a_ramp_is_carried_exactly_and_nothing_beyond_the_template() {
        let mask = Array3::from_shape_fn((4, 5, 6), |(z, _, _)| u8::from(z < 3));
        let back = ramp().carried(&IDENTITY, mask.view(), |[i, j, k]| [i as f64, j as f64, k as f64 + 0.5]);
        assert_eq!(back.shape(), Some((4, 5, 6)));
        assert_eq!(back.grey[[2, 3, 4]], 100 + 24 + 8);
        assert_eq!((back.levels[0][[1, 2, 0]], back.levels[1][[1, 2, 0]]), (84, 162));
        assert_eq!((back.grey[[3, 3, 4]], back.levels[1][[3, 0, 0]]), (0, 192));
        let far = ramp().carried(&IDENTITY, mask.view(), |_| [0.0, 0.0, 99.0]);
        assert_eq!(far.white.sum(), 0);
    }

    #[test]
    fn arrays_of_different_shape_have_none() {
        let mut prior = ramp();
        prior.white = Array3::zeros((1, 1, 1));
        assert_eq!(prior.shape(), None);
        assert_eq!(prior.carried(&IDENTITY, Array3::ones((2, 2, 2)).view(), |_| [0.0; 3]).grey.sum(), 0);
    }

    #[test]
    fn an_even_prior_says_nothing_and_a_level_moves_the_mean() {
        let shape = (8, 8, 8);
        let region = Region::new(Array3::zeros(shape).view(), Array3::ones(shape).view());
        let cells = Cells::new(&region, [2.0; 3]);
        let even = |v: u8| Array3::from_elem(shape, v);
        let prior = TissuePrior { grey: even(85), white: even(85), levels: [even(128), even(192)] };
        let logs = PriorLogs::new(&prior, &region, &cells);
        assert!(logs.logs.iter().flatten().all(|v| v.abs() < 1e-4));
        let [csf, grey, white] = logs.expected([200.0, 600.0, 1000.0]);
        let middle = cells.layer() + cells.shape[2] + 1;
        assert_eq!((csf[middle], grey[middle], white[middle]), (200.0, 600.0 + 1.5 * 0.5 * 400.0, 1000.0));
    }
}
