//! Boundary-based registration: grey matter is to be brighter than white matter beside it, all along the border.
//!
//! Greve and Fischl 2009, doi:10.1016/j.neuroimage.2009.06.060. On both sides of each point of the border the bold volume
//! is read; with the outer value g and the inner value w, q = 200 (g − w) / (g + w) is their contrast in percent, and the
//! cost the mean of 1 + tanh(−slope q). It is local, so neither the coil nor signal lost near air mislead it. As
//! 1 + tanh is the square of a residual, Gauss-Newton applies, with the derivatives written out.

use rayon::prelude::*;

use super::boundary::BorderPoint;
use super::descent::{Descent, Evaluation, Limits, descend, moved};
use super::epi::Epi;
use super::{FEWEST_POINTS, LEAST_SHARE};
use crate::elementary::exp;
use crate::rigid::{Matrix4, apply};

/// What a percent of contrast counts.
const SLOPE: f64 = 0.1;
/// Points whose sums are added up together, at any number of threads.
const CHUNK: usize = 1024;

/// A bold volume and a border.
#[derive(Clone, Copy)]
pub(super) struct Border<'a> {
    pub epi: &'a Epi,
    pub points: &'a [BorderPoint],
    /// How far from the border the volume is read, mm.
    pub distance_mm: f64,
    /// The centre of the head in the T1w image, mm.
    pub centre: [f64; 3],
}

impl Border<'_> {
    /// The best transform near `start`.
    pub fn align(&self, start: &Matrix4, limits: Limits) -> Descent {
        descend(start, self.centre, limits, |transform, centre| self.evaluate(transform, centre))
    }

    /// The cost at a transform.
    pub fn at(&self, transform: &Matrix4) -> Evaluation {
        self.evaluate(transform, apply(transform, self.centre))
    }

    fn evaluate(&self, transform: &Matrix4, centre: [f64; 3]) -> Evaluation {
        let parts: Vec<Evaluation> = self
            .points
            .par_chunks(CHUNK)
            .map(|points| {
                let mut part = Evaluation { cost: 0.0, ..Evaluation::nothing(0.0) };
                points.iter().for_each(|point| self.add(&mut part, point, transform, centre));
                part
            })
            .collect();
        let mut all = Evaluation { cost: 0.0, ..Evaluation::nothing(0.0) };
        parts.iter().for_each(|part| all.join(part));
        // So far the share is a number of points.
        let used = all.share;
        all.share = used / self.points.len().max(1) as f64;
        if all.share < LEAST_SHARE || used < FEWEST_POINTS as f64 {
            return Evaluation::nothing(all.share);
        }
        all.cost /= used;
        all.normal.iter_mut().flatten().chain(&mut all.slope).for_each(|v| *v /= used);
        all
    }

    #[inline]
    fn add(&self, sums: &mut Evaluation, point: &BorderPoint, transform: &Matrix4, centre: [f64; 3]) {
        let at = apply(transform, point.at);
        let out: [f64; 3] =
            std::array::from_fn(|r| self.distance_mm * (0..3).map(|c| transform[r][c] * point.normal[c]).sum::<f64>());
        let inner = std::array::from_fn(|a| at[a] - out[a]);
        let outer = std::array::from_fn(|a| at[a] + out[a]);
        let (Some((w, w_slope)), Some((g, g_slope))) = (self.epi.sample(inner), self.epi.sample(outer)) else { return };
        if w <= 0.0 || g <= 0.0 {
            return;
        }
        let sum = g + w;
        let q = 200.0 * (g - w) / sum;
        // 1 + tanh u = 2 / (1 + exp(−2 u)), u = −slope q.
        let half = 1.0 / (1.0 + f64::from(exp((2.0 * SLOPE * q) as f32)));
        let residual = (2.0 * half).sqrt();
        let by_q = -SLOPE * residual * (1.0 - half) * 400.0 / (sum * sum);
        let (by_g, by_w) = (by_q * w, -by_q * g);
        let (g_moved, w_moved) = (moved(g_slope, outer, centre), moved(w_slope, inner, centre));
        sums.add(&std::array::from_fn(|a| by_g * g_moved[a] + by_w * w_moved[a]), residual, 1.0);
        sums.cost += 2.0 * half;
        sums.share += 1.0;
    }
}
