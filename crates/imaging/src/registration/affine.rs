//! Affine registration by Gauss–Newton steps on normalised correlation.
//!
//! The fixed intensities are fitted by the moving ones, a·m + b, and by their change with the transform's parameters; the
//! least-squares solution is one step. Because a and b are free, brightness and contrast do not matter. Steps are damped as
//! Levenberg (1944) and Marquardt (1963) have it and taken only when the cost falls. Two sets of parameters: a similarity
//! (rotation, one scale, shift: 7) and an affine map (12).
//!
//! What lies outside the moving image's field of view is left out, and the correlation counts in proportion to what is
//! seen, so that a brain is not pushed out of view to be compared with little.

use super::affine_sums::{Fixed, Sums, UNIT_MM, sums};
use super::linear::{linear_part, product, rotation, solve};
use super::placed::Placed;
use crate::rigid::{Matrix4, apply};

/// The share of the points seen from which the correlation counts in full.
const SEEN_IN_FULL: f64 = 0.95;
/// With less than this share of the points seen there is nothing to compare.
const SEEN_AT_LEAST: f64 = 0.25;
/// The cost of a transform that shows too little.
const HOPELESS: f64 = 2.0;
/// No element of the matrix changes by more in one step.
const LONGEST_STEP: f64 = 0.15;

/// Which maps are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freedom {
    /// Rotation, one scale for all directions, shift: 7 parameters.
    Similarity,
    /// Any affine map: 12 parameters.
    Affine,
}

/// How long and how freely to search.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// The maps tried.
    pub freedom: Freedom,
    /// Most steps, counted with those not taken.
    pub steps: usize,
    /// A step that lowers the cost by less is the last one.
    pub tolerance: f64,
    /// Added to the cost of an affine map for each unit of |A − A₀|², A₀ being the 3×3 part of the start: keeps a map that
    /// sees little from stretching without reason. 0 for none.
    pub stiffness: f64,
}

/// A transform and how well it fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Maps the fixed image's world to that of the moving one, in mm.
    pub matrix: Matrix4,
    /// 1 − correlation · min(1, seen / 0.95) + stiffness; 2 where too little is seen.
    pub cost: f64,
    /// Normalised correlation over the points seen, −1 to 1.
    pub correlation: f64,
    /// The share of the points that lie in the moving image's field of view.
    pub seen: f64,
}

/// What is kept of the best transform so far for the next step.
struct Best<const N: usize> {
    fit: Fit,
    sums: Sums<N>,
    /// The slope a of the intensities, and the fixed image's sum of squares about its mean.
    slope: f64,
    variation: f64,
}

/// Finds the transform near `start` under which `moving` resembles `fixed` most.
#[must_use]
pub fn fit_affine(fixed: &Fixed, moving: &Placed, start: &Matrix4, search: Search) -> Fit {
    match search.freedom {
        Freedom::Similarity => descend::<9>(fixed, moving, start, search, similarity_columns, similarity_step),
        Freedom::Affine => descend::<14>(fixed, moving, start, search, |_, p| affine_columns(p), affine_step),
    }
}

/// Damped steps from `start`; `columns` and `step` are those of the parameters.
fn descend<const N: usize>(
    fixed: &Fixed,
    moving: &Placed,
    start: &Matrix4,
    search: Search,
    columns: impl Fn(&[[f32; 3]; 3], &super::affine_sums::Point) -> [f32; N] + Sync,
    step: impl Fn(&Best<N>, [f64; 3], Option<Pull>, f64) -> Option<Matrix4>,
) -> Fit {
    let mut best: Option<Best<N>> = None;
    let (mut trial, mut damping) = (*start, 1e-3_f64);
    for turn in 0..search.steps.max(1) {
        let linear = linear_part(&trial).map(|r| r.map(|v| v as f32));
        let Some(sums) = sums(fixed, moving, &trial, |p| columns(&linear, p)) else { break };
        let found = judge(sums, trial, fixed.points(), start, search);
        let gain = best.as_ref().map_or(f64::INFINITY, |b| b.fit.cost - found.fit.cost);
        if gain > 0.0 {
            let hopeless = found.fit.cost >= HOPELESS;
            best = Some(found);
            damping = (0.3 * damping).max(1e-6);
            if hopeless || (turn > 2 && gain < search.tolerance) {
                break;
            }
        } else {
            damping *= 10.0;
            if damping > 1e3 {
                break;
            }
        }
        let Some(from) = &best else { break };
        let pull = (search.stiffness > 0.0).then_some(Pull { stiffness: search.stiffness, towards: *start });
        let Some(next) = step(from, fixed.centre, pull, damping) else { break };
        trial = next;
    }
    let nothing = Fit { matrix: *start, cost: HOPELESS, correlation: 0.0, seen: 0.0 };
    best.map_or(nothing, |b| b.fit)
}

/// The cost of a transform from its sums.
fn judge<const N: usize>(sums: Sums<N>, matrix: Matrix4, points: usize, start: &Matrix4, search: Search) -> Best<N> {
    let n = sums.count();
    let seen = n / (points as f64).max(1.0);
    let nothing = Fit { matrix, cost: HOPELESS, correlation: 0.0, seen };
    if seen < SEEN_AT_LEAST {
        return Best { fit: nothing, sums, slope: 1.0, variation: 0.0 };
    }
    let (fixed, moving) = (sums.with_fixed[N - 1] / n, sums.products[N - 1][N - 2] / n);
    let of_fixed = sums.fixed_squared / n - fixed * fixed;
    let of_moving = sums.products[N - 2][N - 2] / n - moving * moving;
    let of_both = sums.with_fixed[N - 2] / n - fixed * moving;
    let correlation = of_both / (of_fixed * of_moving + 1e-20).max(1e-20).sqrt();
    let pulled = match search.freedom {
        Freedom::Similarity => 0.0,
        Freedom::Affine => {
            let change = |r: usize, c: usize| (matrix[r][c] - start[r][c]).powi(2);
            search.stiffness * (0..9).map(|at| change(at / 3, at % 3)).sum::<f64>()
        }
    };
    let cost = 1.0 - correlation * (seen / SEEN_IN_FULL).min(1.0) + pulled;
    let fit = Fit { matrix, cost, correlation, seen };
    Best { fit, sums, slope: of_both / of_moving.max(1e-20), variation: n * of_fixed }
}

/// Holds the matrix near the start.
struct Pull {
    stiffness: f64,
    towards: Matrix4,
}

/// The change with rotation about the fixed world's axes, with scale, and with shift; then the intensity and 1.
fn similarity_columns(linear: &[[f32; 3]; 3], p: &super::affine_sums::Point) -> [f32; 9] {
    let g = p.gradient;
    let turned: [f32; 3] = std::array::from_fn(|c| linear[0][c] * g[0] + linear[1][c] * g[1] + linear[2][c] * g[2]);
    let ([x, y, z], [a, b, c]) = (p.place, turned);
    [y * c - z * b, z * a - x * c, x * b - y * a, a * x + b * y + c * z, g[0], g[1], g[2], p.moving, 1.0]
}

/// The change with each element of the 3×4 matrix, row by row; then the intensity and 1.
fn affine_columns(p: &super::affine_sums::Point) -> [f32; 14] {
    let ([x, y, z], [a, b, c]) = (p.place, p.gradient);
    [a * x, a * y, a * z, a, b * x, b * y, b * z, b, c * x, c * y, c * z, c, p.moving, 1.0]
}

/// The solution of the normal equations with the first `free` diagonal elements damped, divided by the slope found with it.
fn solution<const N: usize>(
    mut products: [[f64; N]; N],
    right: [f64; N],
    free: usize,
    damping: f64,
) -> Option<[f64; N]> {
    (0..free).for_each(|a| products[a][a] *= 1.0 + damping);
    let x = solve(&products, right)?;
    let slope = x[N - 2];
    (slope.abs() > 1e-9).then(|| x.map(|v| v / slope))
}

fn similarity_step(best: &Best<9>, centre: [f64; 3], _: Option<Pull>, damping: f64) -> Option<Matrix4> {
    let x = solution(best.sums.products, best.sums.with_fixed, 7, damping)?;
    let largest = x[..4].iter().fold(0.0f64, |l, v| l.max(v.abs())) / UNIT_MM;
    let short = (LONGEST_STEP / largest.max(1e-30)).min(1.0);
    let turn = rotation([0, 1, 2].map(|a| short * x[a] / UNIT_MM));
    let scale = 1.0 + short * x[3] / UNIT_MM;
    let linear = product(&linear_part(&best.fit.matrix), &turn).map(|r| r.map(|v| v * scale));
    Some(about(&best.fit.matrix, linear, centre, [0, 1, 2].map(|a| short * x[4 + a])))
}

fn affine_step(best: &Best<14>, centre: [f64; 3], pull: Option<Pull>, damping: f64) -> Option<Matrix4> {
    let (mut products, mut right) = (best.sums.products, best.sums.with_fixed);
    // The data is damped, the pull is not: it is known exactly.
    (0..12).for_each(|a| products[a][a] *= 1.0 + damping);
    if let Some(pull) = pull {
        let weight = pull.stiffness * best.variation / UNIT_MM / best.slope;
        for at in 0..9 {
            let (r, c) = (at / 3, at % 3);
            products[4 * r + c][4 * r + c] += weight / UNIT_MM / best.slope;
            right[4 * r + c] -= weight * (best.fit.matrix[r][c] - pull.towards[r][c]);
        }
    }
    let x = solution(products, right, 0, 0.0)?;
    let linear_steps = (0..12).filter(|a| a % 4 < 3);
    let largest = linear_steps.fold(0.0f64, |l, a| l.max(x[a].abs())) / UNIT_MM;
    let short = (LONGEST_STEP / largest.max(1e-30)).min(1.0);
    let mut linear = linear_part(&best.fit.matrix);
    for (r, row) in linear.iter_mut().enumerate() {
        row.iter_mut().enumerate().for_each(|(c, v)| *v += short * x[4 * r + c] / UNIT_MM);
    }
    Some(about(&best.fit.matrix, linear, centre, [0, 1, 2].map(|r| short * x[4 * r + 3])))
}

/// `old` with another 3×3 part, taking `centre` where it did before and `shift` farther.
fn about(old: &Matrix4, linear: [[f64; 3]; 3], centre: [f64; 3], shift: [f64; 3]) -> Matrix4 {
    let goal = apply(old, centre);
    let mut new = *old;
    for r in 0..3 {
        new[r][..3].copy_from_slice(&linear[r]);
        new[r][3] = goal[r] + shift[r] - (0..3).map(|c| linear[r][c] * centre[c]).sum::<f64>();
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rigid::{IDENTITY, compose, from_parameters};
    use ndarray::Array3;

    /// Waves in an ellipsoid on cubes of `mm`, seen through `map` (fixed world to moving world).
    fn blob(map: &Matrix4, mm: f64) -> Placed {
        let back = crate::rigid::invert_affine(map).unwrap();
        let n = (160.0 / mm) as usize;
        let start = -0.5 * mm * (n as f64 - 1.0);
        let to_world = [[mm, 0.0, 0.0, start], [0.0, mm, 0.0, start], [0.0, 0.0, mm, start], [0.0, 0.0, 0.0, 1.0]];
        let voxels = Array3::from_shape_fn((n, n, n), |(k, j, i)| {
            let p = apply(&back, apply(&to_world, [i as f64, j as f64, k as f64]));
            let r = ((p[0] / 45.0).powi(2) + (p[1] / 60.0).powi(2) + (p[2] / 50.0).powi(2)).sqrt();
            let inside = (1.0 - r).clamp(-0.1, 0.1) * 5.0 + 0.5;
            (inside * (1.0 + 0.4 * (p[0] / 11.0).sin() * (p[1] / 14.0 + 1.0).sin() + 0.01 * p[2])) as f32
        });
        Placed { voxels, to_world }
    }

    fn farthest(a: &Matrix4, b: &Matrix4) -> f64 {
        let corners = (0..8).map(|c| [0, 1, 2].map(|bit| if c >> bit & 1 == 0 { -50.0 } else { 50.0 }));
        let apart = |p| apply(a, p).iter().zip(apply(b, p)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        corners.map(apart).fold(0.0, f64::max)
    }

    fn truth() -> Matrix4 {
        let mut stretch = IDENTITY;
        (stretch[0][0], stretch[1][1], stretch[2][2], stretch[0][1]) = (0.95, 1.06, 0.9, 0.04);
        compose(&from_parameters(&[5.0, -7.0, 4.0, 0.15, -0.1, 0.2], [0.0; 3]), &stretch)
    }

    #[test]
    fn an_affine_map_is_found_again_whatever_the_contrasts_scale_and_the_threads() {
        let (image, mut moving) = (blob(&IDENTITY, 4.0), blob(&truth(), 4.0));
        moving.voxels.mapv_inplace(|v| 300.0 * v - 50.0);
        // Of the blob alone: a map that takes air out of view is held back.
        let fixed = Fixed::new(&image, image.voxels.mapv(|v| u8::from(v > 0.0)).view());
        let search = |freedom, tolerance| Search { freedom, steps: 60, tolerance, stiffness: 0.0 };
        let rough = fit_affine(&fixed, &moving, &IDENTITY, search(Freedom::Similarity, 1e-6));
        let fit = fit_affine(&fixed, &moving, &rough.matrix, search(Freedom::Affine, 1e-10));
        // At the corners of a box of 100 mm, from voxels of 4 mm.
        assert!(farthest(&fit.matrix, &truth()) < 0.6, "{} {fit:?}", farthest(&fit.matrix, &truth()));
        assert!(fit.correlation > 0.995 && fit.cost < rough.cost);
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let again = pool.install(|| fit_affine(&fixed, &moving, &rough.matrix, search(Freedom::Affine, 1e-10)));
            assert_eq!(again, fit, "{threads}");
        }
    }

    #[test]
    fn a_similarity_stays_one_and_stiffness_holds_an_affine_near_its_start() {
        let (image, moving) = (blob(&IDENTITY, 5.0), blob(&truth(), 5.0));
        let fixed = Fixed::new(&image, image.voxels.mapv(|_| 1).view());
        let search = Search { freedom: Freedom::Similarity, steps: 40, tolerance: 1e-7, stiffness: 0.0 };
        let fit = fit_affine(&fixed, &moving, &IDENTITY, search);
        let [large, small] = super::super::linear::squared_stretches(&fit.matrix);
        assert!((large / small - 1.0).abs() < 1e-9, "{large} {small}");
        let change = |stiffness| {
            let search = Search { freedom: Freedom::Affine, stiffness, ..search };
            farthest(&fit_affine(&fixed, &moving, &fit.matrix, search).matrix, &fit.matrix)
        };
        assert!(change(100.0) < 0.3 * change(0.0), "{} {}", change(100.0), change(0.0));
    }

    #[test]
    fn too_little_in_view_costs_and_nothing_at_all_ends_at_the_start() {
        let (image, moving) = (blob(&IDENTITY, 5.0), blob(&IDENTITY, 5.0));
        let fixed = Fixed::new(&image, image.voxels.mapv(|_| 1).view());
        let search = Search { freedom: Freedom::Affine, steps: 5, tolerance: 1e-6, stiffness: 0.0 };
        let mut far = IDENTITY;
        far[0][3] = 500.0;
        let fit = fit_affine(&fixed, &moving, &far, search);
        assert_eq!((fit.matrix, fit.cost), (far, HOPELESS));
        let here = fit_affine(&fixed, &moving, &IDENTITY, search);
        assert!(here.cost.abs() < 1e-3 && (here.seen - 1.0).abs() < 1e-9, "{here:?}");
    }
}
