//! Where the head is and how big: thresholds, the top of the head, and a point deep in the brain.
//!
//! The centre of gravity that BET starts from is drawn down by a long neck and sideways by shoulders. The top of the head
//! is a safer landmark: the brain's centre lies below it by a fixed share of the head's own width.

use ndarray::{Array3, ArrayView1, ArrayView3, Axis, Slice};

use crate::filter::{quantiles, robust_range};
use crate::morphology::largest_component;

/// The centre lies this many head radii below the top (77 mm under a vertex of an adult head of radius 90 mm).
const DEPTH_IN_RADII: f64 = 0.85;

/// What is known of the head before any surface is fitted. Points are `[x, y, z]` mm from the volume's corner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub centre: [f64; 3],
    /// Radius in mm of the circle with the area of the widest slice.
    pub radius: f64,
    /// Background level (2 %), head threshold (10 % of the robust range), and median near the centre.
    pub low: f32,
    pub threshold: f32,
    pub median: f32,
}

/// Finds the head in a smooth volume; `None` when there is no range of intensity or no body of a head's size.
pub(crate) fn locate(image: ArrayView3<f32>, voxel_mm: [f64; 3]) -> Option<Head> {
    let (low, high) = robust_range(image).filter(|(low, high)| high > low)?;
    let threshold = low + 0.1 * (high - low);
    let body = largest_component(image.mapv(|v| u8::from(v > threshold)).view());
    let slice_area = voxel_mm[1] * voxel_mm[2];
    let areas: Vec<f64> =
        body.axis_iter(Axis(0)).map(|s| s.iter().filter(|&&v| v != 0).count() as f64 * slice_area).collect();
    // The top is where the section first reaches 20 cm²; the head is what lies up to 130 mm below it.
    let top = areas.iter().rposition(|&a| a > 2000.0)?;
    let reach = (130.0 / voxel_mm[0]).round() as usize;
    let bottom = top.saturating_sub(reach);
    let widest = areas.get(bottom..=top)?.iter().copied().fold(0.0, f64::max);
    let radius = (widest / std::f64::consts::PI).sqrt();
    let top_radius = (areas.get(top).copied().unwrap_or(0.0) / std::f64::consts::PI).sqrt();
    // Below a cut top the centre is nearer: the cap above the cut is that of a sphere.
    let depth = DEPTH_IN_RADII * (radius * radius - top_radius * top_radius).max(0.0).sqrt();
    let z = ((top as f64 + 0.5) * voxel_mm[0] - depth).max(0.5 * voxel_mm[0]);
    let (y, x) = middle(&body, bottom.max(((z - 40.0) / voxel_mm[0]).max(0.0) as usize), top, voxel_mm)?;
    let centre = [x, y, z];
    let median = median_near(image, voxel_mm, centre, 0.45 * radius, threshold)?;
    Some(Head { centre, radius, low, threshold, median })
}

/// Centroid (y, x) in mm of the mask's slices `from..=to`.
fn middle(body: &Array3<u8>, from: usize, to: usize, voxel_mm: [f64; 3]) -> Option<(f64, f64)> {
    let (mut n, mut y, mut x) = (0.0, 0.0, 0.0);
    for slice in body.axis_iter(Axis(0)).take(to + 1).skip(from) {
        for ((j, i), _) in slice.indexed_iter().filter(|(_, v)| **v != 0) {
            n += 1.0;
            y += j as f64 + 0.5;
            x += i as f64 + 0.5;
        }
    }
    (n > 0.0).then(|| (y / n * voxel_mm[1], x / n * voxel_mm[2]))
}

/// Median of the voxels above `threshold` within `radius` mm of a point.
fn median_near(
    image: ArrayView3<f32>,
    voxel_mm: [f64; 3],
    centre: [f64; 3],
    radius: f64,
    threshold: f32,
) -> Option<f32> {
    let mut inside = Vec::new();
    rows_near(image, voxel_mm, centre, radius, |row| inside.extend(row.iter().copied().filter(|&v| v > threshold)));
    quantiles(&mut inside, [0.5]).map(|[m]| m)
}

/// The noise around the head's centre, σ as a share of the median there: from the lower quartile of second differences
/// along x, which tissue borders hardly move.
pub(crate) fn relative_noise(image: ArrayView3<f32>, voxel_mm: [f64; 3], head: &Head) -> f64 {
    let mut steps = Vec::new();
    rows_near(image, voxel_mm, head.centre, 0.3 * head.radius, |row| {
        steps.extend(row.windows(3).into_iter().map(|w| (w[0] - 2.0 * w[1] + w[2]).abs()));
    });
    // |a − 2b + c| of Gaussian noise has its lower quartile at 0.3186·√6 σ.
    quantiles(&mut steps, [0.25]).map_or(0.0, |[q]| f64::from(q / head.median) / (0.3186 * 6f64.sqrt()))
}

/// Calls `each` with the part of every row that lies within `radius` mm of a point.
fn rows_near(
    image: ArrayView3<f32>,
    voxel_mm: [f64; 3],
    centre: [f64; 3],
    radius: f64,
    mut each: impl FnMut(ArrayView1<f32>),
) {
    let [dz, dy, dx] = voxel_mm;
    let square = |n: usize, d: f64, c: f64| ((n as f64 + 0.5) * d - c).powi(2);
    for (k, slice) in image.outer_iter().enumerate() {
        for (j, row) in slice.outer_iter().enumerate() {
            let left = radius * radius - square(k, dz, centre[2]) - square(j, dy, centre[1]);
            if left > 0.0 {
                let index = |mm: f64| (mm / dx).round().clamp(0.0, row.len() as f64) as usize;
                let (from, to) = (index(centre[0] - left.sqrt()), index(centre[0] + left.sqrt()));
                each(row.slice_axis(Axis(0), Slice::from(from..to)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head-like ball of radius 80 mm on a long neck of radius 50 mm, 4 mm voxels, top of the ball 20 mm below the edge.
    fn ball_on_neck(nz: usize) -> Array3<f32> {
        Array3::from_shape_fn((nz, 50, 50), |(k, j, i)| {
            let p = [k as f64 - nz as f64 + 25.0, j as f64 - 25.0, i as f64 - 25.0].map(|v| (v + 0.5) * 4.0);
            let axis = (p[1] * p[1] + p[2] * p[2]).sqrt();
            let ball = (p[0] * p[0] + axis * axis).sqrt() < 80.0;
            if ball || (axis < 50.0 && p[0] < 0.0) { 100.0 + (k % 3) as f32 } else { (i % 3) as f32 }
        })
    }

    #[test]
    fn a_long_neck_does_not_move_the_centre() {
        for nz in [45, 80] {
            let head = locate(ball_on_neck(nz).view(), [4.0; 3]).unwrap();
            let z = (nz as f64 - 25.0) * 4.0;
            assert!((head.centre[2] - z).abs() < 20.0, "{nz}: {head:?}");
            assert!((head.centre[0] - 100.0).abs() < 2.0 && (head.radius - 80.0).abs() < 4.0, "{head:?}");
        }
    }

    #[test]
    fn nothing_is_no_head() {
        assert!(locate(Array3::zeros((10, 10, 10)).view(), [4.0; 3]).is_none());
        assert!(locate(Array3::from_shape_fn((9, 9, 9), |(k, ..)| (k % 2) as f32 + 1.0).view(), [1.0; 3]).is_none());
    }
}
