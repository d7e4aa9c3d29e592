//! Five classes: the three tissues, and voxels shared by two of them. They make the shares of tissue in each voxel.
//!
//! A voxel that a surface divides has an intensity between its two tissues; all shares are equally likely, so its
//! intensities are spread evenly between the two means and blurred by the noise (Shattuck et al. 2001,
//! doi:10.1006/nimg.2000.0730; Tohka et al. 2004, doi:10.1016/j.neuroimage.2004.05.007).

use rayon::prelude::*;

use super::WEAKEST_SHARE;
use super::local_means::CellMeans;
use super::pure::{gaussian, gaussian_logs};
use super::sweep::{Classes, Maps, Scene, pack, unpack};
use crate::elementary::{exp, ln};
use crate::mixture::Mixture;

/// Part of the voxels of a tissue that are taken to be shared with the next one.
const SHARED: f64 = 0.4;
/// The logistic function with this slope is the cumulative distribution of a Gaussian, to 0.01.
const LOGISTIC: f64 = 1.702;
/// Beyond this many sd from both means nothing more is told apart.
const FURTHEST: f32 = 30.0;
/// Least likelihood of a mixed class.
const LEAST: f32 = 1e-12;
/// Smallest distance of two means, of the mean of white matter.
const CLOSEST: f64 = 0.03;

/// CSF, CSF with grey matter, grey matter, grey with white matter, white matter.
pub(super) struct SharedClasses {
    pure: [(f32, f32); 3],
    /// Of the mixed classes the inverse sd of the logistic, and the logarithm they start from.
    mixed: [(f32, f32); 2],
    closest: f32,
}

impl SharedClasses {
    pub fn new(mixture: &Mixture) -> Self {
        let classes = &mixture.classes;
        let of_pair = |a: usize| {
            let share = SHARED * 0.5 * (classes[a].share + classes[a + 1].share);
            let sd = 0.5 * (classes[a].sd + classes[a + 1].sd);
            // The Gaussians leave out the factor 1 / sqrt(2 pi), so this density gets its inverse.
            let start = share.max(WEAKEST_SHARE).ln() + 0.5 * std::f64::consts::TAU.ln();
            ((LOGISTIC / sd) as f32, start as f32)
        };
        Self {
            pure: classes.map(|c| gaussian(c.sd, c.share * (1.0 - SHARED))),
            mixed: [of_pair(0), of_pair(1)],
            closest: closest(mixture),
        }
    }
}

/// Means are held this far apart at least.
fn closest(mixture: &Mixture) -> f32 {
    (CLOSEST * mixture.classes[2].mean.abs()) as f32
}

impl Classes<5> for SharedClasses {
    const PURE: [usize; 3] = [0, 2, 4];
    const SIMILARITY: [[f32; 5]; 5] = [
        [1.0, 0.5, 0.0, 0.0, 0.0],
        [0.5, 1.0, 0.5, 0.0, 0.0],
        [0.0, 0.5, 1.0, 0.5, 0.0],
        [0.0, 0.0, 0.5, 1.0, 0.5],
        [0.0, 0.0, 0.0, 0.5, 1.0],
    ];
    const PRIOR: [[f32; 2]; 5] = [[0.0, 0.0], [0.5, 0.0], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0]];

    fn logs(&self, values: &[f32], means: [&[f32]; 3], out: [&mut [f32]; 5]) {
        let [csf, csf_grey, grey, grey_white, white] = out;
        for ((out, means), class) in [csf, grey, white].into_iter().zip(means).zip(self.pure) {
            gaussian_logs(values, means, class, out);
        }
        for (pair, out) in [csf_grey, grey_white].into_iter().enumerate() {
            let (inverse, start) = self.mixed[pair];
            let both = means[pair].iter().zip(means[pair + 1]);
            for (out, (v, (low, high))) in out.iter_mut().zip(values.iter().zip(both)) {
                let odds = |mean: f32| exp(((mean - v) * inverse).clamp(-FURTHEST, FURTHEST));
                let (below, above) = (odds(*low), odds(*high));
                let between = (above - below) / ((1.0 + below) * (1.0 + above));
                let apart = (high - low).max(self.closest);
                *out = start + ln(between.max(LEAST) / apart);
            }
        }
    }
}

/// The share of each tissue in each voxel of the box: of a mixed class as much as its intensity says.
pub(super) fn shares(scene: &Scene, mixture: &Mixture, means: &CellMeans, maps: Maps<5>) -> Maps<3> {
    let [mut csf, csf_grey, mut grey, grey_white, mut white] = maps;
    let mixed = [&csf_grey, &grey_white];
    let (closest, plane, nx) = (closest(mixture), scene.region.plane().max(1), scene.region.shape[2]);
    let planes = csf.par_chunks_mut(plane).zip(grey.par_chunks_mut(plane)).zip(white.par_chunks_mut(plane));
    planes.zip(&scene.region.spans).enumerate().for_each(|(z, (((csf, grey), white), spans))| {
        let tissues = [csf, grey, white];
        let mut rows: [Vec<f32>; 3] = std::array::from_fn(|_| vec![0.0; nx]);
        let mut line = Vec::new();
        for span in spans {
            for (row, cells) in rows.iter_mut().zip(means) {
                scene.cells.along(cells, z, span, &mut line, &mut row[..span.to - span.from]);
            }
            for x in span.from..span.to {
                let (here, at) = (span.y * nx + x, z * plane + span.y * nx + x);
                for (pair, mixed) in mixed.iter().enumerate() {
                    let (low, high) = (rows[pair][x - span.from], rows[pair + 1][x - span.from]);
                    let part = ((scene.image[at] - low) / (high - low).max(closest)).clamp(0.0, 1.0);
                    let brighter = pack(unpack(mixed[at]) * part).min(mixed[at]);
                    for (tissue, steps) in [(pair, mixed[at] - brighter), (pair + 1, brighter)] {
                        tissues[tissue][here] = tissues[tissue][here].saturating_add(steps);
                    }
                }
            }
        }
    });
    [csf, grey, white]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixture::Class;

    #[test]
    fn a_mixed_class_has_the_density_of_its_shares() {
        let class = |share, mean, sd| Class { share, mean, sd };
        let mixture = Mixture { classes: [class(0.2, 200.0, 50.0), class(0.5, 600.0, 50.0), class(0.3, 1000.0, 50.0)] };
        let values: Vec<f32> = (0..25).map(|i| 50.0 * i as f32).collect();
        let means = mixture.classes.map(|c| [c.mean as f32; 25]);
        let mut out = [const { [0.0f32; 25] }; 5];
        let [a, b, c, d, e] = &mut out;
        SharedClasses::new(&mixture).logs(&values, [&means[0], &means[1], &means[2]], [a, b, c, d, e]);
        // Numerically: a Gaussian averaged over all shares.
        for (i, v) in values.iter().enumerate().filter(|(_, v)| (150.0..650.0).contains(*v)) {
            let density = (0..400).map(|s| {
                let z = (f64::from(*v) - 200.0 - f64::from(s)) / 50.0;
                (-0.5 * z * z).exp() / 50.0 / 400.0
            });
            let exact = density.sum::<f64>().ln() + (SHARED * 0.35f64).ln();
            assert!((f64::from(out[1][i]) - exact).abs() < 0.1, "{v}: {} {exact}", out[1][i]);
        }
    }
}
