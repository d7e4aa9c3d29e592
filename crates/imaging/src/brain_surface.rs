//! A closed triangle mesh around the brain: a subdivided icosahedron, and the mask of the voxels inside it.
//!
//! Points are `[x, y, z]` in mm from the outer corner of the first voxel: voxel `i` of an axis has its centre at
//! `(i + 0.5) · size`. A volume and its shrunk copy so share one frame.

use std::collections::HashMap;
use std::ops::Range;

use rayon::prelude::*;

use crate::bits::Bits;

/// A point or direction in mm.
pub(crate) type Point = [f32; 3];

pub(crate) fn sub(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// `a + s·b`.
pub(crate) fn add_scaled(a: Point, b: Point, s: f32) -> Point {
    [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]]
}

pub(crate) fn dot(a: Point, b: Point) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Point, b: Point) -> Point {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn unit(a: Point) -> Point {
    let n = dot(a, a).sqrt().max(1e-12);
    [a[0] / n, a[1] / n, a[2] / n]
}

/// The neighbours of a vertex, counter-clockwise seen from outside; the first is repeated to fill a ring of five.
#[derive(Clone, Copy)]
pub(crate) struct Ring {
    pub around: [usize; 6],
    pub count: usize,
}

/// A closed mesh of genus 0 whose faces turn counter-clockwise seen from outside.
pub(crate) struct Mesh {
    pub vertices: Vec<Point>,
    pub faces: Vec<[usize; 3]>,
    pub rings: Vec<Ring>,
}

impl Mesh {
    /// An icosahedron of `radius` about `centre`, each face split in four `levels` times (10·4^levels + 2 vertices).
    pub(crate) fn sphere(centre: Point, radius: f32, levels: usize) -> Self {
        let g = (1.0 + 5f32.sqrt()) / 2.0;
        let corners = [
            [-1.0, g, 0.0],
            [1.0, g, 0.0],
            [-1.0, -g, 0.0],
            [1.0, -g, 0.0],
            [0.0, -1.0, g],
            [0.0, 1.0, g],
            [0.0, -1.0, -g],
            [0.0, 1.0, -g],
            [g, 0.0, -1.0],
            [g, 0.0, 1.0],
            [-g, 0.0, -1.0],
            [-g, 0.0, 1.0],
        ];
        let faces = vec![
            [0, 11, 5],
            [0, 5, 1],
            [0, 1, 7],
            [0, 7, 10],
            [0, 10, 11],
            [1, 5, 9],
            [5, 11, 4],
            [11, 10, 2],
            [10, 7, 6],
            [7, 1, 8],
            [3, 9, 4],
            [3, 4, 2],
            [3, 2, 6],
            [3, 6, 8],
            [3, 8, 9],
            [4, 9, 5],
            [2, 4, 11],
            [6, 2, 10],
            [8, 6, 7],
            [9, 8, 1],
        ];
        let mut mesh = Self { vertices: corners.to_vec(), faces, rings: Vec::new() };
        for _ in 0..levels {
            mesh.split();
            mesh.vertices.iter_mut().for_each(|v| *v = unit(*v));
        }
        mesh.vertices.iter_mut().for_each(|v| *v = add_scaled(centre, unit(*v), radius));
        mesh.rings = rings(mesh.vertices.len(), &mesh.faces);
        mesh
    }

    /// The mesh with each face split in four at the middles of its edges.
    pub(crate) fn refined(mut self) -> Self {
        self.split();
        self.rings = rings(self.vertices.len(), &self.faces);
        self
    }

    /// Splits each face in four.
    fn split(&mut self) {
        let mut middles: HashMap<(usize, usize), usize> = HashMap::new();
        let mut faces = Vec::with_capacity(self.faces.len() * 4);
        for &[a, b, c] in &self.faces {
            let mut middle = |p: usize, q: usize| {
                *middles.entry((p.min(q), p.max(q))).or_insert_with(|| {
                    let half = add_scaled(self.vertices[p], sub(self.vertices[q], self.vertices[p]), 0.5);
                    self.vertices.push(half);
                    self.vertices.len() - 1
                })
            };
            let (ab, bc, ca) = (middle(a, b), middle(b, c), middle(c, a));
            faces.extend([[a, ab, ca], [b, bc, ab], [c, ca, bc], [ab, bc, ca]]);
        }
        self.faces = faces;
    }

    /// The index ranges `[z, y, x]` of the voxels within `margin` mm of the mesh's box, inside `shape`.
    pub(crate) fn bounds(&self, shape: [usize; 3], voxel_mm: [f64; 3], margin: f64) -> [Range<usize>; 3] {
        [0, 1, 2].map(|axis| {
            let along = self.vertices.iter().map(|v| f64::from(v[2 - axis]));
            let (low, high) = along.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            let end = ((high + margin) / voxel_mm[axis]).ceil().clamp(0.0, shape[axis] as f64) as usize;
            let start = ((low - margin) / voxel_mm[axis]).floor().clamp(0.0, end as f64) as usize;
            start..end
        })
    }

    /// The voxels whose centre has a positive winding number, so a fold of the surface opens no hole: of the part of the
    /// volume with this `shape` that begins at index `origin`.
    pub(crate) fn inside(&self, origin: [usize; 3], shape: [usize; 3], voxel_mm: [f64; 3]) -> Bits {
        let [nz, ny, nx] = shape;
        let [dz, dy, dx] = voxel_mm.map(|d| d as f32);
        let [z0, y0, x0] = origin.map(|o| o as f32 + 0.5);
        let mut crossings: Vec<Vec<(f32, i32)>> = vec![Vec::new(); nz * ny];
        for &[a, b, c] in &self.faces {
            let corners = [a, b, c].map(|v| {
                let p = self.vertices[v];
                // A hair off the centres: no ray meets an edge or a vertex exactly.
                [p[0] / dx - x0, p[1] / dy - y0 + 1.37e-4, p[2] / dz - z0 + 2.11e-4]
            });
            cross_rows(corners, &mut crossings, [nz, ny]);
        }
        let mut out = Bits::empty(shape);
        for (row, hits) in crossings.iter_mut().enumerate().filter(|(_, hits)| !hits.is_empty()) {
            hits.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let mut winding = 0;
            for pair in hits.windows(2) {
                winding += pair[0].1;
                let from = pair[0].0.ceil().max(0.0) as usize;
                let to = ((pair[1].0.floor() + 1.0).max(0.0) as usize).min(nx);
                if winding > 0 && from < to {
                    out.set_run(row, from, to);
                }
            }
        }
        out
    }
}

/// Where the rays along x through the voxel centres meet one triangle (index units): x, and +1 entering, −1 leaving.
fn cross_rows([a, b, c]: [Point; 3], crossings: &mut [Vec<(f32, i32)>], [nz, ny]: [usize; 2]) {
    let (u, v) = (sub(b, a), sub(c, a));
    let area = u[1] * v[2] - u[2] * v[1];
    if area == 0.0 {
        return;
    }
    let span = |axis: usize, n: usize| {
        let (low, high) = (a[axis].min(b[axis]).min(c[axis]), a[axis].max(b[axis]).max(c[axis]));
        (low.ceil().max(0.0) as usize)..((high.floor() + 1.0).clamp(0.0, n as f32) as usize)
    };
    for k in span(2, nz) {
        for j in span(1, ny) {
            let (y, z) = (j as f32 - a[1], k as f32 - a[2]);
            let s = (y * v[2] - z * v[1]) / area;
            let t = (u[1] * z - u[2] * y) / area;
            if s >= 0.0 && t >= 0.0 && s + t <= 1.0 {
                crossings[k * ny + j].push((a[0] + s * u[0] + t * v[0], if area > 0.0 { -1 } else { 1 }));
            }
        }
    }
}

/// The ordered ring of each vertex, from the faces around it.
fn rings(n: usize, faces: &[[usize; 3]]) -> Vec<Ring> {
    let mut next: Vec<Vec<(usize, usize)>> = vec![Vec::with_capacity(6); n];
    for &[a, b, c] in faces {
        next[a].push((b, c));
        next[b].push((c, a));
        next[c].push((a, b));
    }
    next.par_iter()
        .map(|pairs| {
            let mut around = [pairs[0].0; 6];
            for i in 1..pairs.len().min(6) {
                around[i] = pairs.iter().find(|p| p.0 == around[i - 1]).map_or(around[0], |p| p.1);
            }
            Ring { around, count: pairs.len().min(6) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sphere_has_its_vertices_outward_normals_and_volume() {
        let mesh = Mesh::sphere([30.2, 31.1, 29.7], 20.0, 3);
        assert_eq!((mesh.vertices.len(), mesh.faces.len()), (642, 1280));
        let outward = mesh.faces.iter().all(|f| {
            let [a, b, c] = f.map(|v| mesh.vertices[v]);
            dot(cross(sub(b, a), sub(c, a)), sub(a, [30.2, 31.1, 29.7])) > 0.0
        });
        assert!(outward);
        let fine = mesh.refined();
        assert_eq!(fine.vertices.len(), 2562);
        assert!(fine.rings.iter().all(|r| r.count >= 5));
        let inside = fine.inside([0; 3], [60, 30, 60], [1.0, 2.0, 1.0]);
        let ml = inside.counts().iter().sum::<usize>() as f64 * 2.0;
        let truth = 4.0 / 3.0 * std::f64::consts::PI * 20f64.powi(3);
        assert!((ml / truth - 1.0).abs() < 0.02, "{ml} {truth}");
    }

    #[test]
    fn a_mesh_partly_outside_fills_what_is_inside() {
        let mask = Mesh::sphere([0.0, 10.0, 10.0], 5.0, 2).inside([0; 3], [20, 20, 20], [1.0; 3]).to_mask();
        assert_eq!(mask[[10, 10, 0]], 1);
        assert_eq!(mask[[10, 10, 6]], 0);
        let far = Mesh::sphere([-50.0, 10.0, 10.0], 5.0, 2).inside([0; 3], [20, 20, 20], [1.0; 3]).to_mask();
        assert!(far.iter().all(|&v| v == 0));
    }
}
