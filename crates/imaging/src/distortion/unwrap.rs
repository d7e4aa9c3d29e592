//! Phase unwrapping by growing a region along the surest edges between voxels.
//!
//! Method: Dymerska B. et al., "Phase unwrapping with a rapid opensource minimum spanning tree algorithm (ROMEO)", Magn.
//! Reson. Med. 85(4), 2021, doi:10.1002/mrm.28563: edges have weights in 256 steps and are taken from as many buckets, so
//! that growing takes time in proportion to the voxels. The weight is the coherence of phase and of magnitude, and how
//! evenly the phase goes on at both ends of the edge, which is what keeps to the truth where a field is steep.

use std::f32::consts::{PI, TAU};

use ndarray::{Array3, ArrayView3};

use super::DistortionError;
use super::error::same_shape;

/// Steps of an edge's weight.
const BUCKETS: usize = 256;
/// Of an edge, the number of directions: both ways along three axes.
const WAYS: usize = 6;

/// An unwrapped phase.
#[derive(Clone, Debug)]
pub struct Unwrapped {
    /// The phase in radians, `(nz, ny, nx)`; outside the mask as it came (0 where not finite).
    pub phase: Array3<f32>,
    /// Whole cycles that were taken off everywhere, so that the median in the mask is within half a cycle of 0.
    pub cycles_removed: i32,
    /// The share of the mask, 0 to 1, whose phase is not what it came with.
    pub wrapped_share: f64,
    /// The median in the mask in radians before whole cycles were taken off.
    pub median: f64,
}

/// The angle, less whole turns: −π to π.
#[must_use]
#[inline]
pub fn wrap(angle: f32) -> f32 {
    angle - TAU * (angle / TAU).round()
}

/// Unwraps `phase` (radians, any range) inside `mask`; all three arrays are `(nz, ny, nx)`.
///
/// Every component of the mask grows from its surest voxel on its own. Whole cycles that all voxels may have in common are
/// taken off by the median: right as long as the field of half the head is within half a cycle of 0, which for echoes
/// 2.46 ms apart is 203 Hz. Voxels whose phase or magnitude is not finite count as outside the mask.
///
/// # Errors
/// [`DistortionError::Shape`] where shapes differ, [`DistortionError::NoField`] where the mask has no usable voxel.
pub fn unwrap(
    phase: ArrayView3<f32>,
    magnitude: ArrayView3<f32>,
    mask: ArrayView3<u8>,
) -> Result<Unwrapped, DistortionError> {
    same_shape("magnitude image", phase.dim(), &magnitude)?;
    same_shape("mask", phase.dim(), &mask)?;
    let usable = |((p, m), inside): ((&f32, &f32), &u8)| *inside != 0 && p.is_finite() && m.is_finite();
    let inside: Vec<bool> = phase.iter().zip(&magnitude).zip(&mask).map(usable).collect();
    let phases: Vec<f32> = phase.iter().map(|p| if p.is_finite() { *p } else { 0.0 }).collect();
    let half = median(magnitude.iter().zip(&inside).filter(|(_, inside)| **inside).map(|(m, _)| *m));
    let half = 0.5 * half.ok_or(DistortionError::NoField)?;
    let (nz, ny, nx) = phase.dim();
    let image = Image {
        sizes: [nx, ny, nz],
        steps: [1, nx, nx * ny],
        phase: &phases,
        magnitude: magnitude.iter().copied().collect(),
        inside: &inside,
        half,
    };
    let grown = image.grow();
    let shape = (nz, ny, nx);
    Ok(finish(Array3::from_shape_vec(shape, grown).unwrap_or_default(), &phases, &inside))
}

/// Takes off the whole cycles that all voxels have in common, and counts.
fn finish(mut grown: Array3<f32>, phase: &[f32], inside: &[bool]) -> Unwrapped {
    let of_mask = |(v, inside): (&f32, &bool)| inside.then_some(*v);
    let median = median(grown.iter().zip(inside).filter_map(of_mask)).unwrap_or(0.0);
    let cycles = (median / TAU).round();
    let (mut voxels, mut changed) = (0_usize, 0_usize);
    for ((v, p), _) in grown.iter_mut().zip(phase).zip(inside).filter(|(_, inside)| **inside) {
        *v -= cycles * TAU;
        voxels += 1;
        changed += usize::from((*v - p).abs() > PI);
    }
    Unwrapped {
        phase: grown,
        cycles_removed: cycles as i32,
        wrapped_share: changed as f64 / voxels.max(1) as f64,
        median: f64::from(median),
    }
}

/// The upper median; `None` of nothing.
pub(super) fn median(values: impl Iterator<Item = f32>) -> Option<f32> {
    let mut values: Vec<f32> = values.collect();
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

/// What the weights of edges are made of; axes and steps are x, y, z.
struct Image<'a> {
    sizes: [usize; 3],
    steps: [usize; 3],
    phase: &'a [f32],
    magnitude: Vec<f32>,
    inside: &'a [bool],
    /// Half of the usual magnitude: below it an edge counts less.
    half: f32,
}

impl Image<'_> {
    /// The neighbour of a voxel in one of six ways, if there is one in the mask.
    #[inline]
    fn neighbour(&self, at: usize, way: usize) -> Option<usize> {
        let axis = way / 2;
        let place = at / self.steps[axis] % self.sizes[axis];
        let to = if way.is_multiple_of(2) {
            at.checked_sub(self.steps[axis]).filter(|_| place > 0)?
        } else {
            Some(at + self.steps[axis]).filter(|_| place + 1 < self.sizes[axis])?
        };
        self.inside[to].then_some(to)
    }

    /// How little sure the edge from one voxel to another, one `way` from it, is: the number of its bucket, 0 the surest.
    fn doubt(&self, from: usize, to: usize, way: usize) -> usize {
        let phase = |at: usize| self.phase[at];
        let difference = wrap(phase(to) - phase(from));
        let (less, more) = {
            let (a, b) = (self.magnitude[from], self.magnitude[to]);
            (a.min(b).max(0.0), a.max(b).max(1e-9))
        };
        let alike = (less / more) * (less / more);
        let bright = (0.5 + 0.5 * less / self.half.max(1e-9)).min(1.0);
        let mut sure = (1.0 - difference.abs() / PI) * alike * bright;
        let before = self.neighbour(from, way ^ 1).map(|at| wrap(difference - wrap(phase(from) - phase(at))));
        let behind = self.neighbour(to, way).map(|at| wrap(wrap(phase(at) - phase(to)) - difference));
        let ends = [before, behind].into_iter().flatten();
        let (bend, count) = ends.fold((0.0, 0.0), |(sum, n), bend| (sum + bend.abs(), n + 1.0));
        if count > 0.0 {
            sure *= (1.0 - bend / count / PI).max(0.0);
        }
        (((BUCKETS - 1) as f32 * (1.0 - sure)) as usize).min(BUCKETS - 1)
    }

    /// The voxels of the mask, the one with the surest edges first; equal ones in the order of memory.
    fn starts(&self) -> Vec<usize> {
        let sureness = |at: usize| -> usize {
            let edges = (0..WAYS).filter_map(|way| Some(BUCKETS - self.doubt(at, self.neighbour(at, way)?, way)));
            edges.sum()
        };
        let inside = self.inside.iter().enumerate().filter(|(_, inside)| **inside);
        let mut starts: Vec<_> = inside.map(|(at, _)| (usize::MAX - sureness(at), at)).collect();
        starts.sort_unstable();
        starts.into_iter().map(|(_, at)| at).collect()
    }

    /// Unwraps every component from its start.
    fn grow(&self) -> Vec<f32> {
        let mut out = self.phase.to_vec();
        let mut front = Front { done: vec![false; out.len()], buckets: vec![Vec::new(); BUCKETS], lowest: BUCKETS };
        for start in self.starts() {
            if front.done[start] {
                continue;
            }
            front.reach(self, start);
            while let Some((from, to)) = front.next() {
                if front.done[to] {
                    continue;
                }
                out[to] = self.phase[to] + TAU * ((out[from] - self.phase[to]) / TAU).round();
                front.reach(self, to);
            }
        }
        out
    }
}

/// The edges that lead out of what is grown, by doubt.
struct Front {
    done: Vec<bool>,
    buckets: Vec<Vec<(usize, usize)>>,
    /// No bucket before this one has an edge.
    lowest: usize,
}

impl Front {
    /// Takes a voxel in, with its edges.
    fn reach(&mut self, image: &Image, at: usize) {
        self.done[at] = true;
        for way in 0..WAYS {
            let Some(to) = image.neighbour(at, way).filter(|to| !self.done[*to]) else { continue };
            let doubt = image.doubt(at, to, way);
            self.buckets[doubt].push((at, to));
            self.lowest = self.lowest.min(doubt);
        }
    }

    /// The surest edge.
    fn next(&mut self) -> Option<(usize, usize)> {
        while let Some(bucket) = self.buckets.get_mut(self.lowest) {
            if let Some(edge) = bucket.pop() {
                return Some(edge);
            }
            self.lowest += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hill(shape: (usize, usize, usize), height: f32) -> Array3<f32> {
        let (nz, ny, nx) = shape;
        Array3::from_shape_fn(shape, |(k, j, i)| {
            let d = [(k, nz), (j, ny), (i, nx)].map(|(v, n)| (v as f32 - n as f32 / 2.0) / n as f32 * 3.0);
            height * (-d.iter().map(|v| v * v).sum::<f32>()).exp()
        })
    }

    fn unwrapped(truth: &Array3<f32>) -> Unwrapped {
        let ones = Array3::from_elem(truth.dim(), 1.0_f32);
        unwrap(truth.mapv(wrap).view(), ones.view(), ones.mapv(|_| 1_u8).view()).unwrap()
    }

    #[test]
    fn many_wraps_are_undone() {
        let truth = hill((16, 24, 20), 25.0);
        let found = unwrapped(&truth);
        let worst = found.phase.iter().zip(&truth).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4 && found.wrapped_share > 0.1, "{worst} {}", found.wrapped_share);
    }

    #[test]
    fn cycles_in_common_are_taken_off() {
        let truth = hill((8, 9, 10), 1.0);
        let found = unwrapped(&truth.mapv(|v| v + 1.5));
        assert_eq!(found.wrapped_share, 0.0);
        assert!(found.phase.iter().zip(&truth).all(|(a, b)| (a - b - 1.5).abs() < 1e-4));
        // The surest voxel lies near 7 rad, three quarters of a radian past a turn.
        let turned = unwrapped(&truth.mapv(|v| v + 7.0));
        assert!(turned.phase.iter().zip(&truth).all(|(a, b)| (a - b - 7.0 + TAU).abs() < 1e-4));
    }

    #[test]
    fn what_is_not_finite_is_left_out_and_parts_grow_alone() {
        let mut phase = hill((6, 7, 12), 9.0).mapv(wrap);
        phase[[3, 3, 3]] = f32::NAN;
        let ones = Array3::from_elem(phase.dim(), 1.0_f32);
        let mut mask = ones.mapv(|_| 1_u8);
        mask.slice_mut(ndarray::s![.., .., 6]).fill(0);
        let found = unwrap(phase.view(), ones.view(), mask.view()).unwrap();
        assert!(found.phase.iter().all(|v| v.is_finite()));
        let none = Array3::zeros(phase.dim());
        assert_eq!(unwrap(phase.view(), ones.view(), none.view()).unwrap_err(), DistortionError::NoField);
        let other = Array3::zeros((1, 2, 3));
        assert!(matches!(unwrap(phase.view(), ones.view(), other.view()), Err(DistortionError::Shape { .. })));
    }
}
