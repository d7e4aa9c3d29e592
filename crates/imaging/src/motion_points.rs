//! The voxels of a reference that take part in an alignment, with what each of them says about motion.
//!
//! A moving head changes brightness as well as place: it moves through the coil's field, spins that come from the
//! neighbour slice have had another time to recover (Friston K.J. et al., Magn. Reson. Med. 35(3), 1996), scanners drift.
//! All of that is smooth over the head, so what the brightness may do, a cubic polynomial of place, is taken out of the
//! derivatives before any volume is seen (the project-out form: Baker S., Matthews I., Int. J. Comput. Vis. 56(3), 2004).
//! What is left of a derivative cannot be confused with such a change, at no cost per volume.

use crate::interpolate::{LANES, SplineVolume};
use crate::interpolate_line::{Bounds, Lanes};
use crate::linear::{cholesky, solve};
use crate::motion_pyramid::Grid;
use crate::rigid::{HEAD_RADIUS_MM, apply};

/// Intensity below which a point has no weight and above which it has full weight, as parts of the bright intensity.
const WEIGHT_RAMP: (f32, f32) = (0.1, 0.4);
/// Voxels at each end of an axis that take no part in the reference: what is smoothed there is half mirror image.
const MARGIN: usize = 2;
/// Where a volume is trusted along an axis, in voxels from its ends; less than the margin, so that small motion takes no
/// point out.
const TRUSTED_FROM: f64 = 1.0;
/// Axes with fewer voxels than this are used whole.
const MARGIN_NEEDS: usize = 8;
/// Terms of a cubic polynomial of three coordinates.
const TERMS: usize = 20;
/// Relative damping of the fit of brightness, for terms that a reference cannot tell apart.
const TERM_DAMPING: f64 = 1e-9;

/// A voxel of the reference that takes part.
struct Point {
    /// Voxel indices `[i, j, k]`.
    at: [usize; 3],
    value: f32,
    weight: f32,
    /// Weight times the derivative of the value with respect to the six parameters.
    slope: [f32; 6],
}

/// Neighbours along x; lanes that are no points have weight and slopes 0.
pub(super) struct Block {
    /// Voxel indices `[i, j, k]` of the first lane.
    pub at: [usize; 3],
    pub value: Lanes,
    pub weight: Lanes,
    /// Weight times what a derivative has of its own, see [`project_out`].
    pub slope: [Lanes; 6],
}

/// The points of a reference on `grid` in blocks, row by row; turns are about `centre` (mm). `None` without points.
pub(super) fn blocks(grid: &Grid, spline: &SplineVolume, centre: [f64; 3]) -> Option<Vec<Block>> {
    let mut points = points(grid, spline, centre);
    project_out(&mut points, grid, centre)?;
    let mut blocks: Vec<Block> = Vec::with_capacity(points.len() / LANES * 2);
    for p in &points {
        let lane = blocks.last().filter(|b| b.at[1..] == p.at[1..]).map(|b| p.at[0] - b.at[0]);
        if lane.is_none_or(|lane| lane >= LANES) {
            let none = [0.0; LANES];
            blocks.push(Block { at: p.at, value: none, weight: none, slope: [none; 6] });
        }
        let (lane, Some(block)) = (lane.filter(|&lane| lane < LANES).unwrap_or(0), blocks.last_mut()) else { continue };
        (block.value[lane], block.weight[lane]) = (p.value, p.weight);
        block.slope.iter_mut().zip(p.slope).for_each(|(lanes, slope)| lanes[lane] = slope);
    }
    Some(blocks)
}

/// The coordinates at which a volume of this shape is trusted.
pub(super) fn trusted(shape: [usize; 3]) -> Bounds {
    [2, 1, 0].map(|a| {
        let from = if shape[a] < MARGIN_NEEDS { -0.5 } else { TRUSTED_FROM };
        (from, shape[a] as f64 - 1.0 - from)
    })
}

/// The voxels with weight, without those near the ends of an axis.
fn points(grid: &Grid, spline: &SplineVolume, centre: [f64; 3]) -> Vec<Point> {
    let inner = grid.shape.map(|n| if n < MARGIN_NEEDS { 0..n } else { MARGIN..n - MARGIN });
    let mut nodes = Vec::new();
    for k in inner[0].clone() {
        for j in inner[1].clone() {
            nodes.extend(inner[2].clone().map(|i| ([i, j, k], spline.node(k, j, i))));
        }
    }
    let mut values: Vec<f32> = nodes.iter().map(|(_, (v, _))| *v).filter(|v| v.is_finite()).collect();
    let Some(rank) = (values.len() * 98).checked_div(100).filter(|_| !values.is_empty()) else {
        return Vec::new();
    };
    let bright = *values.select_nth_unstable_by(rank, f32::total_cmp).1;
    let (low, high) = (bright * WEIGHT_RAMP.0, bright * WEIGHT_RAMP.1);
    nodes
        .into_iter()
        .filter(|(_, (value, _))| *value > low)
        .map(|(at, (value, slope))| {
            let weight = ((value - low) / (high - low)).clamp(1e-3, 1.0);
            // The derivative along world axes: voxel derivatives times the inverse of the voxel-to-world matrix.
            // An axis with a single voxel has none, not even a rounding error.
            let axes = (0..3).filter(|a| grid.shape[2 - a] > 1);
            let g: [f64; 3] =
                std::array::from_fn(|r| axes.clone().map(|a| f64::from(slope[a]) * grid.to_voxel[a][r]).sum::<f64>());
            let d = from_centre(grid, centre, at);
            let turn = [d[1] * g[2] - d[2] * g[1], d[2] * g[0] - d[0] * g[2], d[0] * g[1] - d[1] * g[0]];
            let all = [g[0], g[1], g[2], turn[0], turn[1], turn[2]];
            Point { at, value, weight, slope: all.map(|v| v as f32 * weight) }
        })
        .collect()
}

/// Where the voxel `[i, j, k]` lies, mm from the centre.
fn from_centre(grid: &Grid, centre: [f64; 3], at: [usize; 3]) -> [f64; 3] {
    let x = apply(&grid.to_world, at.map(|v| v as f64));
    std::array::from_fn(|r| x[r] - centre[r])
}

/// Takes from every slope what the value of the points times a cubic polynomial of place can explain of it, by weighted
/// least squares. `None` where the values say nothing.
fn project_out(points: &mut [Point], grid: &Grid, centre: [f64; 3]) -> Option<()> {
    let terms = |p: &Point| {
        let [x, y, z] = from_centre(grid, centre, p.at).map(|d| d / HEAD_RADIUS_MM);
        let (one, two) = ([1.0, x, y, z], [x * x, y * y, z * z, x * y, x * z, y * z]);
        let three = [x * x * x, y * y * y, z * z * z, x * x * y, x * x * z, y * y * x, y * y * z, z * z * x, z * z * y];
        let mut all = [f64::from(p.value); TERMS];
        let product = one.into_iter().chain(two).chain(three).chain([x * y * z]);
        all.iter_mut().zip(product).for_each(|(term, v)| *term *= v);
        all
    };
    let mut normal = [[0.0; TERMS]; TERMS];
    let mut right = [[0.0; TERMS]; 6];
    for p in points.iter() {
        let terms = terms(p);
        for r in 0..TERMS {
            for c in 0..=r {
                normal[r][c] += f64::from(p.weight) * terms[r] * terms[c];
            }
            right.iter_mut().zip(p.slope).for_each(|(right, slope)| right[r] += terms[r] * f64::from(slope));
        }
    }
    let damping = TERM_DAMPING * normal[0][0];
    (0..TERMS).for_each(|a| normal[a][a] += damping);
    let factor = cholesky(&normal)?;
    let fits = right.map(|right| solve(&factor, right));
    for p in points {
        let terms = terms(p);
        for (slope, fit) in p.slope.iter_mut().zip(&fits) {
            *slope -= p.weight * terms.iter().zip(fit).map(|(t, f)| t * f).sum::<f64>() as f32;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion_pyramid::grids;
    use crate::rigid::IDENTITY;

    #[test]
    fn smooth_changes_of_brightness_say_nothing_about_motion() {
        let shape = [20, 24, 28];
        let mut affine = IDENTITY;
        (0..3).for_each(|a| affine[a][a] = 4.0);
        let levels = grids(shape, &affine).unwrap();
        let at = |v: usize| [v % 28, v / 28 % 24, v / 672].map(|v| v as f32);
        let volume: Vec<f32> = (0..shape.iter().product())
            .map(at)
            .map(|[i, j, k]| 500.0 + 200.0 * (0.8 * i).sin() * (0.5 * j + 0.3 * k).cos() + 60.0 * (0.7 * k).sin())
            .collect();
        let mut spline = SplineVolume::new(shape);
        spline.approximate(&volume);
        let blocks = blocks(&levels[0], &spline, [54.0, 46.0, 38.0]).unwrap();
        let lanes = blocks.iter().flat_map(|b| (0..LANES).map(move |l| (b, l)));
        // What a volume that differs from the reference by this factor adds to the first and the last parameter.
        let pull = |factor: &dyn Fn([f32; 3]) -> f32| -> [f64; 2] {
            lanes.clone().fold([0.0; 2], |sum, (b, l)| {
                let change = factor([b.at[0] + l, b.at[1], b.at[2]].map(|v| v as f32)) * b.value[l];
                [sum[0] + f64::from(b.slope[0][l] * change), sum[1] + f64::from(b.slope[5][l] * change)]
            })
        };
        let cubic = pull(&|[i, j, k]| 0.02 * (i - 9.0) * (j - 12.0) * 0.02 * (k - 3.0) + 0.01 * i);
        let ripple = pull(&|[i, j, k]| 0.2 * (0.8 * i).cos() * (0.5 * j + 0.3 * k).cos());
        assert!(cubic.iter().zip(ripple).all(|(c, r)| c.abs() < 1e-3 * r.abs()), "{cubic:?} {ripple:?}");
    }

    #[test]
    fn every_point_is_in_one_lane() {
        let shape = [3, 4, 21];
        let volume: Vec<f32> = (0..252).map(|v| if v % 21 == 6 { 0.0 } else { 100.0 }).collect();
        let mut spline = SplineVolume::new(shape);
        spline.interpolate(&volume);
        let blocks = blocks(&grids(shape, &IDENTITY).unwrap()[0], &spline, [10.0, 1.5, 1.0]).unwrap();
        let used: usize = blocks.iter().map(|b| b.weight.iter().filter(|w| **w > 0.0).count()).sum();
        assert_eq!(used, 12 * (21 - 2 * MARGIN - 1));
    }
}
