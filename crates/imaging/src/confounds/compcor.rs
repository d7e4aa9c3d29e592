//! Component-based noise correction: the courses that explain most of what voxels without neural signal have in common.
//!
//! Method: Behzadi Y. et al., NeuroImage 37(1), 2007, as nipype's `compute_noise_components` has it: each course less its slow
//! part, divided by its standard deviation, then principal components. The components come from the matrix of volumes by volumes,
//! which is small, and not from that of voxels by volumes.

use ndarray::{Array3, ArrayView3, ArrayView4};

use super::basis::{parabola, subtract_fit, with_constant};
use super::gram::add_products;
use super::spectrum::Tridiagonal;
use super::{block_courses, block_series, mask_index};
use crate::filter::quantiles;
use crate::morphology::dilate;

/// The part of the variance that kept components explain together (fMRIPrep's).
const EXPLAINED: f64 = 0.5;
/// The part of the voxels that is most variable.
const MOST_VARIABLE: f64 = 0.02;
/// Voxels from the brain's edge to the outside of the crown.
const CROWN_VOXELS: f64 = 2.0;
/// Voxels whose courses are in memory beside the series at a time.
const AT_A_TIME: usize = 2048;
/// Less than this of what a volume explains on average is rounding.
const NOTHING: f64 = 1e-9;

/// How many components are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The fewest that explain half of the variance.
    Half,
    /// So many, if there are.
    First(usize),
}

/// A principal component.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// One value per volume; the sum of squares is 1, and the value furthest from zero (the first of equals) is positive.
    pub course: Vec<f64>,
    /// Square root of the sum of squares that it explains, of courses whose standard deviation is 1.
    pub singular_value: f64,
    /// The part of the variance that it explains, 0 to 1.
    pub variance_explained: f64,
    /// The same of it and those before it.
    pub cumulative_variance_explained: f64,
}

/// The components of each mask (nz, ny, nx) in a series (nt, nz, ny, nx), after the mean and the columns of `slow` (nt values
/// each) are taken out. Courses that are not finite, or constant, add nothing; without any other there are no components.
///
/// Beside the series a matrix of nt·nt, half of one more, and the courses of 2048 voxels are in memory.
#[must_use]
pub fn compcor(series: ArrayView4<f32>, slow: &[Vec<f64>], masks: &[(ArrayView3<u8>, Keep)]) -> Vec<Vec<Component>> {
    let nt = series.dim().0;
    let basis = with_constant(slow, nt);
    let products = |mask: ArrayView3<u8>| {
        let mut matrix = vec![0.0; nt * nt];
        for voxels in mask_index(series, mask).chunks(AT_A_TIME) {
            let courses = block_courses(series, voxels, |block| normalised(block, nt, &basis));
            add_products(&mut matrix, &courses, nt);
        }
        matrix
    };
    masks.iter().map(|(mask, keep)| components(products(*mask), nt, *keep)).collect()
}

/// The courses of a block less their slow part, with a standard deviation of 1.
fn normalised(block: &[f32], nt: usize, basis: &[Vec<f64>]) -> Vec<f32> {
    let mut out = vec![0.0; block.len()];
    let mut course = vec![0.0; nt];
    for (from, to) in block.chunks_exact(nt).zip(out.chunks_exact_mut(nt)) {
        let deviation = residual(from, basis, &mut course);
        // Of a constant course rounding is left.
        let size = from.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        if deviation > 1e-7 * f64::from(size) {
            to.iter_mut().zip(&course).for_each(|(to, v)| *to = (v / deviation) as f32);
        }
    }
    out
}

/// Writes what an orthonormal basis with a constant leaves of a course, and returns its standard deviation; 0 if not finite.
fn residual(from: &[f32], basis: &[Vec<f64>], to: &mut [f64]) -> f64 {
    to.iter_mut().zip(from).for_each(|(to, v)| *to = f64::from(*v));
    subtract_fit(to, basis);
    let variance = to.iter().map(|v| v * v).sum::<f64>() / to.len() as f64;
    if variance.is_finite() { variance.sqrt() } else { 0.0 }
}

fn components(matrix: Vec<f64>, nt: usize, keep: Keep) -> Vec<Component> {
    let total: f64 = matrix.iter().step_by(nt + 1).sum();
    let made = Tridiagonal::of(matrix, nt);
    let (mut explained, mut count) = (0.0, 0);
    let values = made.largest(|value| {
        let more = match keep {
            Keep::Half => explained < EXPLAINED,
            Keep::First(most) => count < most,
        };
        explained += value / total;
        count += 1;
        more && value > NOTHING * total / nt as f64
    });
    let mut cumulative = 0.0;
    let vectors = made.vectors(&values);
    let component = |(course, value): (Vec<f64>, f64)| {
        // Rounding may put the last one a little above the whole.
        cumulative = (cumulative + value / total).min(1.0);
        Component {
            course: with_sign(course),
            singular_value: value.sqrt(),
            variance_explained: (value / total).min(1.0),
            cumulative_variance_explained: cumulative,
        }
    };
    vectors.into_iter().zip(values).map(component).collect()
}

/// The course or its negative: the one whose value furthest from zero is positive.
fn with_sign(mut course: Vec<f64>) -> Vec<f64> {
    let furthest = course.iter().fold(0.0_f64, |most, v| if v.abs() > most.abs() { *v } else { most });
    if furthest < 0.0 {
        course.iter_mut().for_each(|v| *v = -*v);
    }
    course
}

/// The 2 % of the voxels of `mask` (nz, ny, nx) whose standard deviation over the series (nt, nz, ny, nx) is largest, after a
/// parabola is taken out of each course (nipype's `TCompCor`).
#[must_use]
pub fn most_variable(series: ArrayView4<f32>, mask: ArrayView3<u8>) -> Array3<u8> {
    let nt = series.dim().0;
    let basis = parabola(nt);
    let blocks = block_series(series, mask, |block| {
        let mut course = vec![0.0; nt];
        block.chunks_exact(nt).map(|from| residual(from, &basis, &mut course) as f32).collect::<Vec<_>>()
    });
    let deviations: Vec<f32> = blocks.into_iter().flatten().collect();
    let limit = quantiles(&mut deviations.clone(), [1.0 - MOST_VARIABLE]).map_or(f32::INFINITY, |[limit]| limit);
    let mut of_voxel = deviations.into_iter();
    // Without a course for each voxel, as where the shapes differ, none is variable.
    mask.mapv(|m| u8::from(m != 0 && of_voxel.next().is_some_and(|deviation| deviation >= limit && deviation > 0.0)))
}

/// The crown: what a ball of 2 voxels adds to the brain (nz, ny, nx).
///
/// Method: Patriat R. et al., NeuroImage 144, 2017.
#[must_use]
pub fn crown(brain: ArrayView3<u8>) -> Array3<u8> {
    let mut grown = dilate(brain, [1.0; 3], CROWN_VOXELS);
    grown.zip_mut_with(&brain, |grown, brain| *grown &= u8::from(*brain == 0));
    grown
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;

    /// Voxels that are mixtures of two courses of unlike strength: those are the components.
    #[test]
    fn mixtures_come_apart() {
        let wave = |t: usize, periods: f64| (std::f64::consts::TAU * periods * t as f64 / 40.0).sin();
        let course = |v: usize, t: usize| {
            let amplitude = 2.0 + v as f64;
            let shape = if v.is_multiple_of(4) { wave(t, 9.0) } else { wave(t, 5.0) };
            (500.0 + amplitude * shape + 3.0 * t as f64) as f32
        };
        let series = Array4::from_shape_fn((40, 1, 2, 8), |(t, _, j, i)| course(j * 8 + i, t));
        let mut mask = Array3::ones((1, 2, 8));
        mask[[0, 1, 7]] = 0;
        let slow = with_constant(&parabola(40), 40);
        let found = compcor(series.view(), &slow, &[(mask.view(), Keep::Half), (mask.view(), Keep::First(2))]);
        assert_eq!((found[0].len(), found[1].len()), (1, 2), "{found:?}");
        // Eleven voxels of one kind, four of the other; each has a sum of squares of 40.
        for (component, (periods, voxels)) in found[1].iter().zip([(5.0, 11.0), (9.0, 4.0_f64)]) {
            let likeness: f64 = component.course.iter().enumerate().map(|(t, v)| v * wave(t, periods)).sum();
            assert!(likeness.abs() / 20.0_f64.sqrt() > 0.98, "{periods}: {likeness}");
            assert!((component.singular_value / (40.0 * voxels).sqrt() - 1.0).abs() < 0.02, "{component:?}");
            assert!((component.variance_explained - voxels / 15.0).abs() < 0.02);
            let furthest = component.course.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()));
            assert!(furthest.is_some_and(|v| v > 0.0));
        }
        assert!((found[1][1].cumulative_variance_explained - 1.0).abs() < 1e-6);
        assert_eq!(found[0][0].course, found[1][0].course);
    }

    #[test]
    fn constant_and_broken_courses_add_nothing() {
        let course = |v: usize, t: usize| match v {
            0 => 7.3,
            1 if t == 3 => f32::NAN,
            2 if t == 5 => f32::INFINITY,
            3 => {
                if t.is_multiple_of(2) {
                    1.0
                } else {
                    -1.0
                }
            }
            _ => t as f32,
        };
        let series = Array4::from_shape_fn((8, 1, 1, 4), |(t, _, _, i)| course(i, t));
        let all = |mask: Array3<u8>| compcor(series.view(), &[], &[(mask.view(), Keep::First(5))]).remove(0);
        let found = all(Array3::ones((1, 1, 4)));
        assert_eq!(found.len(), 1);
        let alternates =
            |pair: &[f64]| (pair[0] + pair[1]).abs() < 1e-6 && (pair[0].abs() - 0.125_f64.sqrt()).abs() < 1e-6;
        assert!(found[0].course.windows(2).all(alternates), "{found:?}");
        assert!(all(Array3::zeros((1, 1, 4))).is_empty() && all(Array3::ones((1, 2, 2))).is_empty());
        let mut constant = Array3::zeros((1, 1, 4));
        constant[[0, 0, 0]] = 1;
        assert!(all(constant).is_empty());
    }

    #[test]
    fn the_most_variable_voxels_are_found_whatever_their_trend() {
        // A hundred voxels that alternate by their number; one with a strong trend and no other change.
        let value = |v: usize, t: usize| if v == 50 { (t * t * 10) as f32 } else { 100.0 + (t % 2 * v) as f32 };
        let series = Array4::from_shape_fn((12, 1, 10, 10), |(t, _, j, i)| value(j * 10 + i, t));
        let found = most_variable(series.view(), Array3::ones((1, 10, 10)).view());
        let chosen: Vec<usize> = found.iter().enumerate().filter(|(_, m)| **m != 0).map(|(v, _)| v).collect();
        assert_eq!(chosen, [98, 99]);
        assert_eq!(most_variable(series.view(), Array3::ones((1, 4, 4)).view()).sum(), 0);
        assert_eq!(most_variable(Array4::ones((5, 1, 2, 2)).view(), Array3::ones((1, 2, 2)).view()).sum(), 0);
    }

    #[test]
    fn the_crown_is_two_voxels_thick_and_not_brain() {
        let mut brain = Array3::zeros((7, 7, 7));
        brain[[3, 3, 3]] = 1;
        let found = crown(brain.view());
        assert_eq!((found[[3, 3, 3]], found[[3, 3, 5]], found[[3, 3, 6]], found[[4, 4, 4]]), (0, 1, 0, 1));
        // The ball of scikit-image: 33 voxels.
        assert_eq!(found.iter().map(|&m| u32::from(m)).sum::<u32>(), 32);
    }
}
