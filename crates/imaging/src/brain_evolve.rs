//! Moves the mesh to the edge of the brain: the deformable model of BET.
//!
//! S. M. Smith, Fast robust automated brain extraction, Human Brain Mapping 17 (2002) 143–155. Each vertex is drawn to
//! the middle of its neighbours along the surface, smoothed across it by as much as the local curvature exceeds that of a
//! brain, and pushed out or in by comparing the darkest and brightest voxels beneath it with a local threshold.

use ndarray::ArrayView3;
use rayon::prelude::*;

use crate::brain_surface::{Mesh, Point, add_scaled, cross, dot, sub};
use crate::elementary::tanh;

/// Radii of curvature in mm between which smoothing fades out (Smith 2002, eq. 4).
const SHARPEST_MM: f32 = 3.33;
const FLATTEST_MM: f32 = 10.0;
/// Vertices per parallel task.
const CHUNK: usize = 64;

/// The intensities the surface is moved by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Levels {
    /// Background (2 % quantile).
    pub low: f32,
    /// Head threshold, between background and tissue.
    pub threshold: f32,
    /// Typical brain intensity.
    pub median: f32,
    /// Where between background and the local bright level the edge lies, 0 to 1 (BET's "fractional intensity").
    pub fraction: f32,
    /// How deep in mm below the surface the darkest and the brightest voxel are looked for.
    pub dark_mm: f32,
    pub bright_mm: f32,
}

/// A volume sampled at its nearest voxel by position in mm; what lies outside reads as the given level.
struct Sampler<'a> {
    data: &'a [f32],
    shape: [usize; 3],
    per_mm: Point,
    outside: f32,
}

impl Sampler<'_> {
    fn at(&self, p: Point) -> f32 {
        let [nz, ny, nx] = self.shape;
        let q = [p[0] * self.per_mm[0], p[1] * self.per_mm[1], p[2] * self.per_mm[2]];
        // Negative numbers saturate to 0 when cast, hence the explicit test.
        if q.iter().any(|&v| v < 0.0) {
            return self.outside;
        }
        let (i, j, k) = (q[0] as usize, q[1] as usize, q[2] as usize);
        if i >= nx || j >= ny || k >= nz {
            return self.outside;
        }
        self.data.get((k * ny + j) * nx + i).copied().unwrap_or(self.outside)
    }
}

/// Moves `mesh` for `steps` steps over `image` (standard layout; anything else is copied first).
pub(crate) fn evolve(mesh: &mut Mesh, image: ArrayView3<f32>, voxel_mm: [f64; 3], levels: Levels, steps: usize) {
    let image = image.as_standard_layout();
    let (nz, ny, nx) = image.dim();
    let per_mm = [1.0 / voxel_mm[2] as f32, 1.0 / voxel_mm[1] as f32, 1.0 / voxel_mm[0] as f32];
    let Some(data) = image.as_slice() else { return };
    let sampler = Sampler { data, shape: [nz, ny, nx], per_mm, outside: levels.low };
    let probe = voxel_mm.iter().copied().fold(2.0, f64::min).max(1.0) as f32;
    let mut moved = mesh.vertices.clone();
    let mut edge = mean_edge(mesh);
    for step in 0..steps {
        moved.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, part)| {
            for (v, to) in part.iter_mut().enumerate() {
                *to = step_vertex(mesh, chunk * CHUNK + v, edge, &sampler, levels, probe);
            }
        });
        std::mem::swap(&mut mesh.vertices, &mut moved);
        if step % 10 == 9 {
            edge = mean_edge(mesh);
        }
    }
}

/// Mean length in mm of the mesh's edges.
fn mean_edge(mesh: &Mesh) -> f32 {
    let sum: f64 = mesh
        .faces
        .iter()
        .map(|f| sub(mesh.vertices[f[0]], mesh.vertices[f[1]]))
        .map(|e| f64::from(dot(e, e).sqrt()))
        .sum();
    (sum / mesh.faces.len().max(1) as f64) as f32
}

/// Where vertex `v` goes next.
fn step_vertex(mesh: &Mesh, v: usize, edge: f32, sampler: &Sampler, levels: Levels, probe: f32) -> Point {
    let here = mesh.vertices[v];
    let ring = mesh.rings[v];
    let (mut middle, mut normal) = ([0.0; 3], [0.0; 3]);
    for (n, &at) in ring.around.iter().enumerate() {
        let side = sub(mesh.vertices[at], here);
        let next = sub(mesh.vertices[ring.around[(n + 1) % 6]], here);
        normal = add_scaled(normal, cross(side, next), 1.0);
        if n < ring.count {
            middle = add_scaled(middle, side, 1.0 / ring.count as f32);
        }
    }
    let size = dot(normal, normal).sqrt().max(1e-12);
    let normal = normal.map(|c| c / size);
    let along = dot(middle, normal);
    let tangent = add_scaled(middle, normal, -along);
    // Radius of curvature from the sagitta of the ring.
    let curvature = 2.0 * along.abs() / (edge * edge).max(1e-6);
    let (sharp, flat) = (1.0 / SHARPEST_MM, 1.0 / FLATTEST_MM);
    let smooth = 0.5 * (1.0 + tanh(6.0 / (sharp - flat) * (curvature - 0.5 * (sharp + flat))));
    let push = 0.05 * edge * force(here, normal, sampler, levels, probe);
    add_scaled(add_scaled(here, tangent, 0.5), normal, smooth * along + push)
}

/// The intensity force at a point, about −2 (in) to 2 (out): Smith 2002, eq. 6 to 9.
fn force(here: Point, normal: Point, sampler: &Sampler, levels: Levels, probe: f32) -> f32 {
    let first = sampler.at(add_scaled(here, normal, -probe));
    let (mut dark, mut bright) = (levels.median.min(first), levels.threshold.max(first));
    let mut depth = 2.0 * probe;
    while depth <= levels.dark_mm {
        let value = sampler.at(add_scaled(here, normal, -depth));
        dark = dark.min(value);
        if depth <= levels.bright_mm {
            bright = bright.max(value);
        }
        depth += probe;
    }
    let (dark, bright) = (dark.max(levels.low), bright.min(levels.median));
    let edge = levels.low + levels.fraction * (bright - levels.low);
    2.0 * (dark - edge) / (bright - levels.low).max(1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn the_surface_finds_a_bright_ball_within_a_bright_shell() {
        let image = Array3::from_shape_fn((40, 40, 40), |(k, j, i)| {
            let p = [k, j, i].map(|v| (v as f32 + 0.5) * 4.0 - 80.0);
            let r = dot(p, p).sqrt();
            if r < 60.0 || (66.0..74.0).contains(&r) { 100.0 } else { 10.0 }
        });
        let levels = Levels { low: 5.0, threshold: 15.0, median: 100.0, fraction: 0.5, dark_mm: 20.0, bright_mm: 10.0 };
        let mut mesh = Mesh::sphere([85.0, 78.0, 80.0], 25.0, 3);
        evolve(&mut mesh, image.view(), [4.0; 3], levels, 300);
        let radii: Vec<f32> = mesh.vertices.iter().map(|&v| sub(v, [80.0; 3])).map(|v| dot(v, v).sqrt()).collect();
        let mean = radii.iter().sum::<f32>() / radii.len() as f32;
        assert!((mean - 60.0).abs() < 3.0, "{mean}");
        assert!(radii.iter().all(|r| (52.0..66.0).contains(r)));
    }
}
