//! Six parameters by Gauss-Newton steps, shortened after Levenberg and Marquardt until the cost falls.
//!
//! A step is a shift and a turn of bold space about the head's centre, applied after the transform so far, so its six
//! numbers are always near 0 and their order does not matter.

use crate::linear::{cholesky, solve};
use crate::rigid::{HEAD_RADIUS_MM, Matrix4, apply, compose, from_parameters};

/// Damping at the start, and its bounds; how it changes after a step that helped and one that did not.
const DAMPING: f64 = 1e-3;
const LEAST_DAMPING: f64 = 1e-6;
const HELPED: f64 = 0.2;
const FAILED: f64 = 8.0;
/// Shorter steps that are tried in place of one that did not help.
const TRIALS: usize = 8;
/// The longest step, mm: further away the slopes say nothing.
const LONGEST_MM: f64 = 6.0;

/// When a descent ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// After so many steps,
    pub steps: usize,
    /// or one that is shorter than this, mm.
    pub tolerance_mm: f64,
}

/// The cost at one transform.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evaluation {
    /// Infinite where too little is in view.
    pub cost: f64,
    /// The part of the points in view, 0 to 1.
    pub share: f64,
    /// Derivatives of the residuals by shift along and turn about x, y, z: the sum of their products with each other,
    pub normal: [[f64; 6]; 6],
    /// and the sum of their products with the residuals.
    pub slope: [f64; 6],
}

impl Evaluation {
    /// Of a transform that brings too little into view.
    pub fn nothing(share: f64) -> Self {
        Self { cost: f64::INFINITY, share, normal: [[0.0; 6]; 6], slope: [0.0; 6] }
    }

    /// Adds `weight` times the products of a residual's derivatives.
    #[inline]
    pub fn add(&mut self, derivatives: &[f64; 6], residual: f64, weight: f64) {
        // Whole rows, though half of them would do: two numbers at a time cost no more than one.
        let weighted = derivatives.map(|d| d * weight);
        for (row, w) in self.normal.iter_mut().zip(&weighted) {
            row.iter_mut().zip(derivatives).for_each(|(cell, d)| *cell += w * d);
        }
        self.slope.iter_mut().zip(weighted).for_each(|(slope, w)| *slope += w * residual);
    }

    /// Adds the sums of other points.
    pub fn join(&mut self, other: &Self) {
        self.cost += other.cost;
        self.share += other.share;
        self.normal.iter_mut().flatten().zip(other.normal.iter().flatten()).for_each(|(a, b)| *a += b);
        self.slope.iter_mut().zip(other.slope).for_each(|(a, b)| *a += b);
    }
}

/// The derivatives of a value by shift and turn about `centre`, at a point where the image has this gradient.
#[inline]
pub(super) fn moved(gradient: [f64; 3], at: [f64; 3], centre: [f64; 3]) -> [f64; 6] {
    let [gx, gy, gz] = gradient;
    let [x, y, z] = [at[0] - centre[0], at[1] - centre[1], at[2] - centre[2]];
    [gx, gy, gz, y * gz - z * gy, z * gx - x * gz, x * gy - y * gx]
}

/// Where a descent ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descent {
    pub transform: Matrix4,
    pub last: Evaluation,
}

/// Descends from `start`. `centre` is that of the head (mm) before the
/// transform; `evaluate` gets a transform, and where that takes the centre.
pub(super) fn descend(
    start: &Matrix4,
    centre: [f64; 3],
    limits: Limits,
    evaluate: impl Fn(&Matrix4, [f64; 3]) -> Evaluation,
) -> Descent {
    let at = |transform: &Matrix4| evaluate(transform, apply(transform, centre));
    let mut here = Descent { transform: *start, last: at(start) };
    let mut damping = DAMPING;
    for _ in 0..limits.steps {
        let mut better = None;
        for _ in 0..TRIALS {
            let Some(step) = step(&here.last, damping) else {
                damping *= FAILED;
                continue;
            };
            let length = length_mm(&step);
            let scale = (LONGEST_MM / length).min(1.0);
            let moved = from_parameters(&step.map(|v| v * scale), apply(&here.transform, centre));
            let transform = compose(&moved, &here.transform);
            let last = at(&transform);
            if last.cost < here.last.cost {
                better = Some((Descent { transform, last }, length * scale));
                damping = (damping * HELPED).max(LEAST_DAMPING);
                break;
            }
            damping *= FAILED;
            if length * scale < limits.tolerance_mm {
                break;
            }
        }
        let Some((next, length)) = better else { break };
        here = next;
        if length < limits.tolerance_mm {
            break;
        }
    }
    here
}

/// The damped Gauss-Newton step.
fn step(at: &Evaluation, damping: f64) -> Option<[f64; 6]> {
    let mut normal = at.normal;
    (0..6).for_each(|a| normal[a][a] = normal[a][a] * (1.0 + damping) + 1e-12);
    Some(solve(&cholesky(&normal)?, at.slope.map(|v| -v)))
}

/// The largest movement of a head-sized sphere under a step, mm.
fn length_mm(step: &[f64; 6]) -> f64 {
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    norm(&step[..3]) + HEAD_RADIUS_MM * norm(&step[3..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rigid::{IDENTITY, rms_deviation};

    #[test]
    fn points_find_back_to_where_they_were() {
        let points: Vec<[f64; 3]> = (0..60)
            .map(f64::from)
            .map(|i| [60.0 * (i * 0.7).sin(), 70.0 * (i * 1.3).cos(), 50.0 * (i * 2.1).sin()])
            .collect();
        let truth = from_parameters(&[4.0, -3.0, 2.0, 0.2, -0.1, 0.15], [1.0, 2.0, 3.0]);
        let evaluate = |t: &Matrix4, centre: [f64; 3]| {
            let mut all = Evaluation { cost: 0.0, ..Evaluation::nothing(1.0) };
            for p in &points {
                let (there, wanted) = (apply(t, *p), apply(&truth, *p));
                for axis in 0..3 {
                    let mut gradient = [0.0; 3];
                    gradient[axis] = 1.0;
                    let residual = there[axis] - wanted[axis];
                    all.add(&moved(gradient, there, centre), residual, 1.0);
                    all.cost += residual * residual;
                }
            }
            all
        };
        let found = descend(&IDENTITY, [0.0; 3], Limits { steps: 60, tolerance_mm: 1e-6 }, evaluate);
        assert!(rms_deviation(&found.transform, &truth, [0.0; 3], 80.0) < 1e-5, "{found:?}");
    }

    #[test]
    fn with_nothing_in_view_it_stays() {
        let found =
            descend(&IDENTITY, [0.0; 3], Limits { steps: 60, tolerance_mm: 0.01 }, |_, _| Evaluation::nothing(0.0));
        assert_eq!(found.transform, IDENTITY);
        assert!(found.last.cost.is_infinite());
    }
}
