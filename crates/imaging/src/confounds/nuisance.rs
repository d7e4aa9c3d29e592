//! The courses of a bold run that are made to be regressed out: means of tissues, slow cosines and components of noise.
//!
//! As fMRIPrep 25 has them (Esteban O. et al., Nature Methods 16, 2019; `fmriprep/workflows/bold/confounds.py`).

use ndarray::{Array3, ArrayView3, ArrayView4, Axis, Slice};

use super::compcor::{Component, Keep, compcor, crown, most_variable};
use super::tissue_masks::TissueMasks;
use super::{cosines, mean_signal};

/// Components of the crown that are kept, however little they explain (Patriat 2017).
const CROWN_COMPONENTS: usize = 24;

/// A part of the head and what its voxels have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// How many voxels it has.
    pub voxels: usize,
    /// Their mean in each volume, in the units of the series; none without a voxel.
    pub mean: Vec<Option<f64>>,
    /// Their components. Volumes before the steady state are 0.
    pub components: Vec<Component>,
}

/// The courses of one run, each with one value per volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Nuisance {
    /// See [`cosines`](super::cosines), over the steady state; 0 before it.
    pub cosines: Vec<Vec<f64>>,
    /// The 2 % most variable voxels of the brain (tCompCor).
    pub most_variable: Part,
    /// The crown around the brain.
    pub crown: Part,
    /// Fluid, white matter, and both (aCompCor); none without their masks.
    pub tissues: Option<[Part; 3]>,
}

/// The courses of a motion-corrected series (nt, nz, ny, nx) whose volumes come every `tr_seconds`, if that is known (without it
/// nothing slow is taken out), with its brain mask (nz, ny, nx). The first `non_steady` volumes have no part in cosines and
/// components. The crown begins where both `brain` and that of the tissues end.
#[must_use]
pub fn nuisance(
    series: ArrayView4<f32>,
    brain: ArrayView3<u8>,
    non_steady: usize,
    tr_seconds: Option<f64>,
    tissues: Option<&TissueMasks>,
) -> Nuisance {
    let mut steady = series;
    let skip = non_steady.min(series.dim().0);
    steady.slice_axis_inplace(Axis(0), Slice::from(skip..));
    let slow = tr_seconds.map_or_else(Vec::new, |tr| cosines(steady.dim().0, tr));

    let variable = most_variable(steady, brain);
    let edge = crown(tissues.map_or_else(|| brain.to_owned(), |tissues| either(brain, &tissues.brain)).view());
    let mut masks = vec![(variable.view(), Keep::Half), (edge.view(), Keep::First(CROWN_COMPONENTS))];
    let of_tissues = tissues.map(|t| [&t.csf, &t.white_matter, &t.csf_wm].map(|mask| mask.view()));
    masks.extend(of_tissues.into_iter().flatten().map(|mask| (mask, Keep::Half)));

    let mut components = compcor(steady, &slow, &masks).into_iter().map(|mut found| {
        found.iter_mut().for_each(|component| pad(&mut component.course, skip));
        found
    });
    let mut part = |mask: ArrayView3<u8>| Part {
        voxels: mask.iter().filter(|m| **m != 0).count(),
        mean: mean_signal(series, mask),
        components: components.next().unwrap_or_default(),
    };
    // In the order of the masks.
    let (most_variable, crown) = (part(variable.view()), part(edge.view()));
    let tissues = of_tissues.map(|masks| masks.map(&mut part));
    let mut cosines = slow;
    cosines.iter_mut().for_each(|course| pad(course, skip));
    Nuisance { cosines, most_variable, crown, tissues }
}

/// What is in either mask; the first where the shapes differ.
fn either(one: ArrayView3<u8>, other: &Array3<u8>) -> Array3<u8> {
    let mut both = one.to_owned();
    if one.dim() == other.dim() {
        both.zip_mut_with(other, |m, other| *m |= other);
    }
    both
}

/// Puts zeros before a course.
fn pad(course: &mut Vec<f64>, zeros: usize) {
    course.splice(..0, std::iter::repeat_n(0.0, zeros));
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;

    /// A brain of 5³ in a grid of 11³ whose voxels jump about, reproducibly; two volumes before the steady state.
    fn run() -> (Array4<f32>, Array3<u8>) {
        let mut state = 1_u32;
        let series = Array4::from_shape_simple_fn((80, 11, 11, 11), || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            100.0 + (state >> 20) as f32 / 4096.0
        });
        let brain =
            Array3::from_shape_fn((11, 11, 11), |(k, j, i)| u8::from([k, j, i].iter().all(|n| (3..8).contains(n))));
        (series, brain)
    }

    #[test]
    fn every_course_has_a_value_for_each_volume_and_zeros_before_the_steady_state() {
        let (series, brain) = run();
        let thirds = |n| Array3::from_shape_fn(brain.dim(), |at| u8::from(brain[at] != 0 && at.0 % 3 == n));
        let wide = Array3::from_shape_fn(brain.dim(), |(k, ..)| u8::from((2..9).contains(&k)));
        let masks = TissueMasks {
            csf: thirds(0),
            white_matter: thirds(1),
            csf_wm: Array3::zeros(brain.dim()),
            brain: wide,
            relaxed: false,
        };
        let found = nuisance(series.view(), brain.view(), 2, Some(2.5), Some(&masks));
        // 2 · 78 · 2.5 / 128 = 3.05.
        assert_eq!((found.cosines.len(), found.crown.components.len()), (2, 24));
        let [csf, white, both] = found.tissues.as_ref().unwrap();
        assert_eq!((csf.voxels, white.voxels, both.voxels, found.most_variable.voxels), (50, 50, 0, 3));
        assert!(both.components.is_empty() && both.mean == vec![None; 80]);
        let components = [&found.most_variable, &found.crown, csf, white].map(|part| &part.components);
        let courses = components.into_iter().flatten().map(|c| &c.course).chain(&found.cosines);
        for course in courses {
            assert!(course.len() == 80 && course[..2] == [0.0; 2] && course[2] != 0.0);
            let both: f64 = course.iter().sum();
            assert!(both.abs() < 1e-5, "not without the mean: {both}");
        }
        let of = |mask: &Array3<u8>| {
            series
                .index_axis(Axis(0), 7)
                .iter()
                .zip(mask)
                .filter(|(_, m)| **m != 0)
                .map(|(v, _)| f64::from(*v))
                .sum::<f64>()
                / 50.0
        };
        assert!((white.mean[7].unwrap() - of(&masks.white_matter)).abs() < 1e-6);
        // The crown begins beyond the wider brain.
        let without = nuisance(series.view(), brain.view(), 2, None, None);
        assert!(without.cosines.is_empty() && without.tissues.is_none());
        assert!(without.crown.voxels != found.crown.voxels);
    }

    #[test]
    fn a_run_without_a_steady_volume_has_no_courses() {
        let (series, brain) = run();
        let found = nuisance(series.view(), brain.view(), 99, Some(2.0), None);
        assert!(
            found.cosines.is_empty() && found.crown.components.is_empty() && found.most_variable.components.is_empty()
        );
        assert_eq!(found.crown.mean.len(), 80);
    }
}
