//! Draws a head on a voxel grid: labels and brain mask at the voxel centres, brightness averaged over each voxel.

use super::head::Head;
use super::tissue::Tissue;
use imaging::morphology::fill_holes;
use imaging::rigid::{Matrix4, compose};
use ndarray::{Array3, ArrayViewMut2, Axis, Zip};
use rayon::prelude::*;

/// A head on a grid, every array of shape `(nz, ny, nx)`.
pub(super) struct Drawing {
    /// [`Tissue`] numbers at the voxel centres.
    pub labels: Array3<u8>,
    /// The brain at the voxel centres, without holes.
    pub brain: Array3<u8>,
    /// Mean brightness over each voxel.
    pub brightness: Array3<f32>,
}

/// From voxel `(i, j, k)` to the head's millimetres.
struct ToHead([[f32; 4]; 3]);

impl ToHead {
    fn at(&self, i: f32, j: f32, k: f32) -> [f32; 3] {
        self.0.map(|r| r[0] * i + r[1] * j + r[2] * k + r[3])
    }
}

/// Draws `head` on a grid of `shape` `(nz, ny, nx)`. `affine` takes voxels `(i, j, k)` to world mm, `to_head` world to the
/// head's own frame; `brightness` gives each tissue's value.
///
/// A voxel whose six neighbours all hold its own tissue takes that tissue's value; any other is the mean over `parts`
/// positions along each axis, so edges and thin sheets get their partial volume for the price of the surface only.
pub(super) fn draw(
    head: &Head,
    shape: [usize; 3],
    affine: &Matrix4,
    to_head: &Matrix4,
    brightness: fn(Tissue) -> f32,
    parts: usize,
) -> Drawing {
    let map = compose(to_head, affine);
    let map = ToHead(std::array::from_fn(|r| map[r].map(|v| v as f32)));
    let mut labels = Array3::<u8>::zeros(shape);
    let mut brain = Array3::<u8>::zeros(shape);
    let mut values = Array3::<f32>::zeros(shape);
    let outputs = (planes(&mut labels), planes(&mut brain), planes(&mut values));
    outputs.into_par_iter().enumerate().for_each(|(k, (labels, brain, values))| {
        Zip::indexed(labels).and(brain).and(values).for_each(|(j, i), label, brain, value| {
            let sample = head.at(map.at(i as f32, j as f32, k as f32));
            *label = sample.tissue as u8;
            *brain = u8::from(sample.brain);
            *value = brightness(sample.tissue);
        });
    });
    let edges = &labels;
    planes(&mut values).into_par_iter().enumerate().for_each(|(k, plane)| {
        Zip::indexed(plane).for_each(|(j, i), value| {
            if on_edge(edges, [k, j, i]) {
                *value = voxel_mean(head, &map, [k, j, i], parts, brightness);
            }
            if *value > 0.0 {
                let tissue = Tissue::TABLE[usize::from(edges[[k, j, i]])].tissue;
                *value *= 1.0 + head.texture(map.at(i as f32, j as f32, k as f32), tissue);
            }
        });
    });
    // A pocket of fluid that brain encloses counts as brain.
    let brain = fill_holes(brain.view());
    Drawing { labels, brain, brightness: values }
}

/// The slices of a volume, to be changed in parallel.
pub(super) fn planes<T>(volume: &mut Array3<T>) -> Vec<ArrayViewMut2<'_, T>> {
    volume.axis_iter_mut(Axis(0)).collect()
}

/// Whether a face neighbour inside the grid holds another tissue.
fn on_edge(labels: &Array3<u8>, at: [usize; 3]) -> bool {
    let own = labels[at];
    (0..3).any(|axis| {
        let (mut below, mut above) = (at, at);
        below[axis] = at[axis].saturating_sub(1);
        above[axis] = (at[axis] + 1).min(labels.shape()[axis] - 1);
        labels[below] != own || labels[above] != own
    })
}

fn voxel_mean(head: &Head, map: &ToHead, at: [usize; 3], parts: usize, brightness: fn(Tissue) -> f32) -> f32 {
    let offset = |part: usize| (part as f32 + 0.5) / parts as f32 - 0.5;
    let mut sum = 0.0;
    for c in 0..parts {
        for b in 0..parts {
            for a in 0..parts {
                let p = map.at(at[2] as f32 + offset(a), at[1] as f32 + offset(b), at[0] as f32 + offset(c));
                sum += brightness(head.at(p).tissue);
            }
        }
    }
    sum / parts.pow(3) as f32
}
