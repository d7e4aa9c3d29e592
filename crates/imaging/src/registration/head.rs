//! Finds a head in a scan, whatever its header, its neck and its field of view: an affine map from the template.
//!
//! A descent finds the nearest optimum only, so there are many starts: three guesses of where the brain's centre is, three
//! tilts of the head, and, when nothing fits well, the 23 other ways it could lie along the axes. All run on cubes of 8 mm
//! as similarities; the best go on as affine maps and are finished at 4 mm.

use rayon::prelude::*;

use super::affine::{Fit, Freedom, Search, fit_affine};
use super::linear::{determinant, ln, product, rotation, squared_stretches};
use super::orientation::Orientation;
use super::placed::{Placed, voxel_size};
use crate::filter::quantiles;
use crate::head_template::{HeadTemplate, LEVELS_MM};
use crate::rigid::{Matrix4, apply};

/// A fit whose score is lower is not believed before the other orientations have been tried.
const GOOD: f64 = 0.65;
/// How many starts of the labelled orientation are followed, and how many other orientations.
const FOLLOWED: usize = 3;
const ORIENTATIONS_FOLLOWED: usize = 5;
/// The orientation of the header is believed unless another has a score higher by this. Real heads that were turned gained .15
/// and more.
const CLEARLY: f64 = 0.05;
/// A head that reaches this near to the upper border of the field of view may be cut there: its centre may lie higher.
const AT_BORDER_MM: f64 = 12.0;
/// Tangent of half the tilts tried (±0.3 rad), front up and front down.
const TILTS: [f64; 3] = [-0.3, 0.0, 0.3];
/// Heads are smaller than the template by this on average (its space is that of MNI), and may vary freely by so much.
const USUAL_SIZE: f64 = 0.89;
const FREE_LOG_SIZE: f64 = 0.10;
/// A field of view longer than this shows no head: whole bodies and headers in other units are.
const LONGEST_MM: f64 = 1200.0;
/// Directions may be stretched differently by this (a logarithm) before it costs.
const FREE_LOG_SHAPE: f64 = 0.3;
/// Holds an affine map near the similarity it came from.
const STIFFNESS: f64 = 3.0;

/// Where the head is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadFit {
    /// Maps the template's world to the scan's, in mm.
    pub matrix: Matrix4,
    /// 1 less the cost of the fit and of its size: at most 1, real heads .6 to .9. Says little of whether it is a head.
    pub score: f64,
    /// Correlation with the template in the brain and 20 mm around it.
    pub correlation: f64,
    /// The share of that which lies in the field of view.
    pub seen: f64,
    /// How the head lies along the axes of the scan's world.
    pub orientation: Orientation,
    /// How many orientations were tried: 1, or 24.
    pub tried: usize,
    /// The score of the orientation that the header states.
    pub score_as_labelled: f64,
}

/// One fit and its cost including that of its size.
#[derive(Clone, Copy)]
struct Candidate {
    fit: Fit,
    cost: f64,
    orientation: Orientation,
}

/// Finds the head in `scan`, a copy with voxels of about 2 mm; `None` where the image is constant, its matrix
/// singular, or its field of view longer than 1.2 m.
#[must_use]
pub fn find_head(template: &HeadTemplate, scan: &Placed) -> Option<HeadFit> {
    let (voxels, mm) = (scan.size(), voxel_size(&scan.to_world));
    if (0..3).any(|a| voxels[a] as f64 * mm[a] > LONGEST_MM) {
        return None;
    }
    let fine = scan.coarser(LEVELS_MM[1]);
    let coarse = normalised(fine.coarser(LEVELS_MM[0]))?;
    let levels = [coarse, normalised(fine)?];
    let labelled = Orientation::AS_LABELLED;
    let mut starts = follow(template, &levels[0], starts(template, &levels[0], labelled, &TILTS), 15);
    starts.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    starts.truncate(FOLLOWED);
    let first = finish(template, &levels, &starts)?;
    let (mut best, mut tried) = (first, 1);
    if 1.0 - first.cost < GOOD {
        let others: Vec<_> = Orientation::all().into_iter().skip(1).collect();
        tried += others.len();
        let all = others.iter().flat_map(|&o| self::starts(template, &levels[0], o, &[0.0])).collect();
        let all = follow(template, &levels[0], all, 12);
        let mut each: Vec<Candidate> = others
            .iter()
            .filter_map(|o| all.iter().filter(|c| c.orientation == *o).min_by(|a, b| a.cost.total_cmp(&b.cost)))
            .copied()
            .collect();
        each.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        for candidate in each.iter().take(ORIENTATIONS_FOLLOWED) {
            let found = finish(template, &levels, std::slice::from_ref(candidate));
            best = found.filter(|f| f.cost < best.cost.min(first.cost - CLEARLY)).unwrap_or(best);
        }
    }
    Some(HeadFit {
        matrix: best.fit.matrix,
        score: 1.0 - best.cost,
        correlation: best.fit.correlation,
        seen: best.fit.seen,
        orientation: best.orientation,
        tried,
        score_as_labelled: 1.0 - first.cost,
    })
}

/// Where the head is in a scan whose contrast was straightened, from where it was found before; `None` where nothing is left to
/// compare. The scores stay those of the scan as it was.
pub(crate) fn refine_head(template: &HeadTemplate, scan: &Placed, head: &HeadFit) -> Option<HeadFit> {
    let fine = scan.coarser(LEVELS_MM[1]);
    let coarse = normalised(fine.coarser(LEVELS_MM[0]))?;
    let levels = [coarse, normalised(fine)?];
    let fit = Fit { matrix: head.matrix, cost: f64::INFINITY, correlation: 0.0, seen: 0.0 };
    let start = Candidate { fit, cost: f64::INFINITY, orientation: head.orientation };
    let best = finish(template, &levels, &[start])?;
    Some(HeadFit { matrix: best.fit.matrix, seen: best.fit.seen, ..*head })
}

/// Intensities from 0 (the lowest hundredth) to 1 (a high level of what is brighter than the mean), at most 1.15; `None` for
/// a constant image.
fn normalised(mut image: Placed) -> Option<Placed> {
    let mean = image.voxels.iter().map(|v| f64::from(*v)).sum::<f64>() / image.voxels.len().max(1) as f64;
    let mut all: Vec<f32> = image.voxels.iter().copied().collect();
    let [low] = quantiles(&mut all, [0.01])?;
    let mut bright: Vec<f32> = all.into_iter().filter(|v| f64::from(*v) > mean).collect();
    let [high] = quantiles(&mut bright, [0.98])?;
    let range = high - low;
    if !(range > 0.0 && range.is_finite()) {
        return None;
    }
    image.voxels.mapv_inplace(|v| ((v - low) / range).clamp(0.0, 1.15));
    Some(image)
}

/// Guesses of the map for a head that lies as `orientation` says: three centres, each tilted.
fn starts(template: &HeadTemplate, scan: &Placed, orientation: Orientation, tilts: &[f64]) -> Vec<Candidate> {
    let axes = orientation.rotation();
    let own = |p: [f64; 3]| -> [f64; 3] { std::array::from_fn(|c| (0..3).map(|r| axes[r][c] * p[r]).sum()) };
    let centres = centres(template, scan, own);
    let mut out = Vec::with_capacity(centres.len() * tilts.len());
    for centre in centres {
        for &tilt in tilts {
            let turned = product(&axes, &rotation([tilt, 0.0, 0.0]));
            let mut matrix = crate::rigid::IDENTITY;
            for r in 0..3 {
                let goal: f64 = (0..3).map(|c| axes[r][c] * centre[c]).sum();
                (0..3).for_each(|c| matrix[r][c] = 0.9 * turned[r][c]);
                matrix[r][3] = goal - (0..3).map(|c| matrix[r][c] * template.centre[c]).sum::<f64>();
            }
            let fit = Fit { matrix, cost: f64::INFINITY, correlation: 0.0, seen: 0.0 };
            out.push(Candidate { fit, cost: f64::INFINITY, orientation });
        }
    }
    out
}

/// Guesses of the brain's centre in the head's own axes: below the top of the head, the middle of the field of view, the
/// centre of what is bright, and where the top may be cut off, not so far below it. `own` turns a point of the world into the head's axes.
fn centres(template: &HeadTemplate, scan: &Placed, own: impl Fn([f64; 3]) -> [f64; 3]) -> Vec<[f64; 3]> {
    let mut all: Vec<f32> = scan.voxels.iter().copied().collect();
    let bright = quantiles(&mut all, [0.95]).map_or(0.0, |[v]| 0.35 * v);
    let place = |(k, j, i): (usize, usize, usize)| own(apply(&scan.to_world, [i as f64, j as f64, k as f64]));
    let points: Vec<[f64; 3]> =
        scan.voxels.indexed_iter().filter(|(_, v)| **v > bright).map(|(at, _)| place(at)).collect();
    let middle = own(apply(&scan.to_world, scan.size().map(|n| 0.5 * n as f64)));
    let mean: [f64; 3] = std::array::from_fn(|a| points.iter().map(|p| p[a]).sum::<f64>() / points.len().max(1) as f64);
    let mut heights: Vec<f32> = points.iter().map(|p| p[2] as f32).collect();
    let Some([top]) = quantiles(&mut heights, [0.995]) else { return vec![middle] };
    let upper = |a: usize| -> f64 {
        let mut along: Vec<f32> =
            points.iter().filter(|p| p[2] > f64::from(top) - 150.0).map(|p| p[a] as f32).collect();
        quantiles(&mut along, [0.5]).map_or(mean[a], |[v]| f64::from(v))
    };
    let (top, depth) = (f64::from(top), 0.9 * (template.top - template.centre[2]));
    let below = |depth: f64| [upper(0), upper(1), top - depth];
    let mut all = vec![below(depth), middle, mean];
    let corners = (0..8).map(|c: usize| {
        let at = std::array::from_fn(|a| if c >> a & 1 == 0 { 0.0 } else { scan.size()[a] as f64 - 1.0 });
        own(apply(&scan.to_world, at))[2]
    });
    if top > corners.fold(f64::NEG_INFINITY, f64::max) - AT_BORDER_MM {
        all.push(below(0.5 * depth));
    }
    all
}

/// The similarity each start leads to, at the coarse level.
fn follow(template: &HeadTemplate, scan: &Placed, starts: Vec<Candidate>, steps: usize) -> Vec<Candidate> {
    let search = Search { freedom: Freedom::Similarity, steps, tolerance: 1e-6, stiffness: 0.0 };
    starts
        .into_par_iter()
        .map(|start| {
            let fit = fit_affine(&template.levels[0], scan, &start.fit.matrix, search);
            Candidate { fit, cost: fit.cost + size_cost(&fit.matrix), ..start }
        })
        .collect()
}

/// Follows the candidates as affine maps at the coarse level, and the best of them at the fine one.
fn finish(template: &HeadTemplate, levels: &[Placed; 2], candidates: &[Candidate]) -> Option<Candidate> {
    let search = Search { freedom: Freedom::Affine, steps: 25, tolerance: 1e-6, stiffness: STIFFNESS };
    let affine = |level: usize, from: &Candidate, search: Search| {
        let fit = fit_affine(&template.levels[level], &levels[level], &from.fit.matrix, search);
        Candidate { fit, cost: fit.cost + size_cost(&fit.matrix), ..*from }
    };
    let tried: Vec<Candidate> = candidates.par_iter().map(|c| affine(0, c, search)).collect();
    let best = tried.iter().min_by(|a, b| a.cost.total_cmp(&b.cost))?;
    Some(affine(1, best, Search { steps: 30, ..search }))
}

/// What an unusual size or shape costs; heads of adults and of children are free.
fn size_cost(m: &Matrix4) -> f64 {
    let log_size = ln(determinant(m).abs()) / 3.0 - ln(USUAL_SIZE);
    let beyond = (log_size.abs() - FREE_LOG_SIZE).max(0.0);
    let [large, small] = squared_stretches(m);
    let shape = 0.5 * (ln(large) - ln(small)) - FREE_LOG_SHAPE;
    15.0 * beyond * beyond + shape.max(0.0)
}
