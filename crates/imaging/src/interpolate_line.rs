//! Values of a cubic B-spline along a straight line of points, several at a time: the inner loop of motion correction.
//!
//! Under an affine map the voxels of a row lie on a straight line of the sampled volume with equal steps. Where the map
//! is nearly a shift, as for head motion, neighbours of the row have neighbouring 4×4×4 neighbourhoods, so that one pass
//! over 64 contiguous runs of coefficients gives [`LANES`] values; a run ends where a coordinate passes a voxel.

use crate::interpolate::{LANES, PAD, SplineVolume, weights};

/// First and last coordinate along `[x, y, z]` that counts as inside.
pub(super) type Bounds = [(f64, f64); 3];

/// One number for each of the points that are computed together.
pub(super) type Lanes = [f32; LANES];

impl SplineVolume {
    /// Where the spline is known: up to half a voxel outside the outermost voxels.
    pub(super) fn known(&self) -> Bounds {
        [2, 1, 0].map(|a| (-0.5, self.shape[a] as f64 - 0.5))
    }

    /// Writes the values at the voxel coordinates `start + n·step`, both `[x, y, z]`, for each place `n` of `out`, and
    /// `elsewhere` to those outside `bounds`, which must lie within [`SplineVolume::known`].
    pub(super) fn sample_line(
        &self,
        start: [f64; 3],
        step: [f64; 3],
        bounds: &Bounds,
        elsewhere: f32,
        out: &mut [f32],
    ) {
        let (first, end) = inside(start, step, bounds, out.len());
        out[..first].fill(elsewhere);
        out[end..].fill(elsewhere);
        let mut n = first;
        while n < end {
            let at: [f64; 3] = std::array::from_fn(|a| start[a] + step[a] * n as f64);
            // In the padded buffer, where no coordinate is negative.
            let base = at.map(|v| (v + PAD as f64) as usize);
            let part: [f32; 3] = std::array::from_fn(|a| (at[a] + PAD as f64 - base[a] as f64) as f32);
            // Coordinates within the neighbourhood, which itself moves on by one voxel of x from lane to lane.
            let drift = [step[0] - 1.0, step[1], step[2]].map(|s| s as f32);
            let along: [Lanes; 3] = std::array::from_fn(|a| std::array::from_fn(|l| part[a] + l as f32 * drift[a]));
            let shared = along.iter().map(shared_lanes).fold(LANES, usize::min).clamp(1, end - n);
            let values = self.lanes(base.map(|b| b - 1), &along);
            out[n..n + shared].copy_from_slice(&values[..shared]);
            n += shared;
        }
    }

    /// The values at the coordinates `along` within the neighbourhoods whose first coefficients are `first + (lane, 0, 0)`
    /// of the padded buffer.
    #[inline]
    fn lanes(&self, first: [usize; 3], along: &[Lanes; 3]) -> Lanes {
        let [_, py, px] = self.padded;
        let [wx, wy, wz] = along.each_ref().map(lane_weights);
        let mut sum = [0.0; LANES];
        for (dz, wz) in wz.iter().enumerate() {
            let mut plane = [0.0; LANES];
            for (dy, wy) in wy.iter().enumerate() {
                let from = ((first[2] + dz) * py + first[1] + dy) * px + first[0];
                let Some(row) = self.data.get(from..).and_then(<[f32]>::first_chunk::<{ LANES + 3 }>) else { continue };
                for l in 0..LANES {
                    let line =
                        (wx[0][l] * row[l] + wx[1][l] * row[l + 1]) + (wx[2][l] * row[l + 2] + wx[3][l] * row[l + 3]);
                    plane[l] += wy[l] * line;
                }
            }
            for l in 0..LANES {
                sum[l] += wz[l] * plane[l];
            }
        }
        sum
    }
}

/// The four weights of each lane, weight by weight.
#[inline]
fn lane_weights(t: &Lanes) -> [Lanes; 4] {
    let mut w = [[0.0; LANES]; 4];
    for l in 0..LANES {
        [w[0][l], w[1][l], w[2][l], w[3][l]] = weights(t[l]);
    }
    w
}

/// How many lanes from the first on lie in its voxel.
#[inline]
fn shared_lanes(t: &Lanes) -> usize {
    t.iter().take_while(|t| (0.0..=1.0).contains(*t)).count()
}

/// The places `first..end` of `0..len` on the line that lie within the bounds.
fn inside(start: [f64; 3], step: [f64; 3], bounds: &Bounds, len: usize) -> (usize, usize) {
    let (mut first, mut last) = (0.0_f64, len as f64 - 1.0);
    let within = |n: f64| (0..3).all(|a| (bounds[a].0..=bounds[a].1).contains(&(start[a] + n * step[a])));
    if within(first) && within(last) {
        return (0, len);
    }
    if start.iter().chain(&step).any(|v| v.is_nan()) {
        return (0, 0);
    }
    for a in 0..3 {
        let (low, high) = (bounds[a].0 - start[a], bounds[a].1 - start[a]);
        if step[a] == 0.0 {
            if low > 0.0 || high < 0.0 {
                return (0, 0);
            }
            continue;
        }
        let (enter, leave) = if step[a] > 0.0 { (low, high) } else { (high, low) };
        first = first.max((enter / step[a]).ceil());
        last = last.min((leave / step[a]).floor());
    }
    if first <= last { (first as usize, last as usize + 1) } else { (0, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rough(shape: [usize; 3]) -> SplineVolume {
        let mut state = 5_u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 24) as f32
        });
        let mut spline = SplineVolume::new(shape);
        spline.interpolate(&noise.take(shape.iter().product()).collect::<Vec<_>>());
        spline
    }

    #[test]
    fn a_line_has_the_values_of_its_points_whatever_its_direction() {
        let spline = rough([9, 11, 23]);
        let steps = [[1.0, 0.0, 0.0], [0.99, 0.12, -0.08], [-1.0, 0.0, 0.01], [0.4, -0.3, 0.2], [1.7, 0.0, 0.0]];
        let starts = [[0.0, 0.0, 0.0], [-3.3, 4.2, 5.83], [22.5, 10.5, 8.5], [7.25, 9.5, 1.125]];
        let mut inside = 0;
        for (start, step) in starts.into_iter().flat_map(|start| steps.map(|step| (start, step))) {
            let mut line = [0.0; 29];
            spline.sample_line(start, step, &spline.known(), -9.0, &mut line);
            for (n, &value) in line.iter().enumerate() {
                let at: [f64; 3] = std::array::from_fn(|a| start[a] + step[a] * n as f64);
                let expected = spline.sample(at.map(|v| v as f32)).unwrap_or(-9.0);
                assert!((value - expected).abs() < 1e-4, "{start:?} {step:?} {n}: {value}, not {expected}");
                inside += usize::from(expected > -9.0);
            }
        }
        assert!(inside > 150, "{inside}");
    }

    #[test]
    fn narrower_bounds_and_numbers_that_are_none_are_outside() {
        let spline = rough([4, 4, 12]);
        let mut line = [0.0; 12];
        spline.sample_line(
            [0.0, 1.0, 1.0],
            [1.0, 0.0, 0.0],
            &[(2.0, 9.0), (0.0, 3.0), (1.0, 3.0)],
            f32::NAN,
            &mut line,
        );
        assert!((0..12).all(|n| line[n].is_nan() != (2..=9).contains(&n)), "{line:?}");
        spline.sample_line([f64::NAN, 1.0, 1.0], [1.0, 0.0, 0.0], &spline.known(), 7.0, &mut line);
        assert_eq!(line, [7.0; 12]);
    }
}
