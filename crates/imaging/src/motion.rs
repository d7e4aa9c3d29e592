//! Head motion of a series of volumes: estimated, undone, and averaged away.
//!
//! Every volume is aligned with one template by Gauss–Newton at several resolutions, each from its own coarse start, so
//! that no volume inherits the mistakes of its neighbour and the result does not depend on the number of threads. The
//! template is the mean of the steadiest volumes after a first alignment: it has less noise and, since the head never
//! sits twice at the same place within a voxel, less aliasing than any single volume (as in 3dvolreg and MCFLIRT:
//! Cox R.W., Jesmanowicz A., Magn. Reson. Med. 42(6), 1999; Jenkinson M. et al., NeuroImage 17(2), 2002).

use ndarray::{Array2, Array3, Array4, ArrayView4, Axis};
use rayon::prelude::*;

use crate::interpolate::SplineVolume;
use crate::motion_align::{Alignment, Reference};
use crate::motion_pyramid::{Grid, Pyramid, grids};
use crate::motion_reference::{self, Survey};
use crate::rigid::{HEAD_RADIUS_MM, IDENTITY, Matrix4, apply, compose, invert_affine, rms_deviation, to_parameters};

/// The motion of a series, volume by volume.
#[derive(Clone, Debug, PartialEq)]
pub struct MotionEstimate {
    /// `[tx, ty, tz, rx, ry, rz]` of each volume (mm, radians) about [`MotionEstimate::centre`], the head's own motion:
    /// tx > 0 says that the head has moved to the right since the reference.
    pub parameters: Vec<[f64; 6]>,
    /// The same as matrices of world space (RAS mm): a point of the head at `x` in the reference lies at `M·x` in the
    /// volume. Undoing the motion samples the volume at `M·x`.
    pub matrices: Vec<Matrix4>,
    /// The centre of the grid in RAS mm, about which the parameters turn.
    pub centre: [f64; 3],
    /// The volume whose position the template has.
    pub reference: usize,
    /// Volumes at the start whose magnetisation had not settled.
    pub non_steady: usize,
    /// Volumes that could not be aligned (empty, not finite, unlike the head); they have the motion of the nearest
    /// aligned volume before them, or after them at the start.
    pub unaligned: Vec<usize>,
    /// Gauss–Newton iterations of each volume, all resolutions together.
    pub iterations: Vec<usize>,
}

/// Why no motion could be estimated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MotionError {
    /// The series has no volumes or no voxels.
    #[error("the series has no voxels (shape {shape:?}); check the dimensions of the run")]
    Empty {
        /// (nt, nz, ny, nx)
        shape: [usize; 4],
    },
    /// The voxel-to-world matrix cannot be inverted.
    #[error("the voxel-to-world matrix of the run cannot be inverted; set a valid sform or qform")]
    SingularGrid,
    /// No volume shows anything that could be aligned.
    #[error("none of the {volumes} volumes has the contrast that alignment needs; look at the run")]
    NoContrast {
        /// Volumes in the series.
        volumes: usize,
    },
    /// Most volumes are unlike the template.
    #[error("{failed} of {volumes} volumes could not be aligned with volume {reference}; look at the run")]
    MostlyUnaligned {
        /// Volumes that failed.
        failed: usize,
        /// Volumes in the series.
        volumes: usize,
        /// The reference volume.
        reference: usize,
    },
}

/// Estimates the motion of each volume of a series of shape (nt, nz, ny, nx) against a template of its steadiest volumes.
///
/// `grid_affine` takes voxel `(i, j, k)` to RAS mm. A series of one volume has no motion. Directions that the data say
/// nothing about (through-plane motion of a single slice) are left at 0.
///
/// # Errors
/// [`MotionError`] where the series is empty, the matrix singular, nothing can be aligned or most volumes are lost.
pub fn estimate_motion(series: ArrayView4<f32>, grid_affine: Matrix4) -> Result<MotionEstimate, MotionError> {
    let (nt, nz, ny, nx) = series.dim();
    if series.is_empty() {
        return Err(MotionError::Empty { shape: [nt, nz, ny, nx] });
    }
    let series = series.as_standard_layout();
    let volumes: Vec<&[f32]> = series.as_slice().unwrap_or_default().chunks_exact(nz * ny * nx).collect();
    let levels = grids([nz, ny, nx], &grid_affine).ok_or(MotionError::SingularGrid)?;
    let no_contrast = MotionError::NoContrast { volumes: nt };
    let survey = Survey::new(&volumes).ok_or(no_contrast)?;
    let centre = apply(&grid_affine, [nx, ny, nz].map(|n| (n as f64 - 1.0) / 2.0));
    let run = Run { volumes: &volumes, levels: &levels, usable: &survey.usable, centre };

    let coarse = run.align_coarse(survey.reference).ok_or(MotionError::NoContrast { volumes: nt })?;
    let matrices: Vec<Matrix4> = coarse.iter().map(|a| a.matrix).collect();
    // Volumes that moved by a voxel or more would bring the edge of the field of view into the template.
    let near = |t: &usize| rms_deviation(&matrices[*t], &IDENTITY, centre, HEAD_RADIUS_MM) < levels[0].voxel_mm;
    let chosen: Vec<usize> = survey.steadiest.iter().copied().filter(near).collect();
    let template = motion_reference::template(&volumes, &levels[0], &matrices, &chosen);
    let fine = run.align_fine(&template, &coarse).ok_or(MotionError::NoContrast { volumes: nt })?;
    finish(fine, &survey, centre)
}

/// What every pass over the volumes needs.
struct Run<'a> {
    volumes: &'a [&'a [f32]],
    levels: &'a [Grid],
    usable: &'a [bool],
    centre: [f64; 3],
}

/// Nothing found: what a volume without content gets.
const LOST: Alignment = Alignment { matrix: IDENTITY, overlap: 0.0, similarity: 0.0, iterations: 0 };

impl Run<'_> {
    /// Aligns with one volume at all resolutions but the finest, each volume from no motion.
    fn align_coarse(&self, reference: usize) -> Option<Vec<Alignment>> {
        let mut pyramid = Pyramid::new(self.levels);
        pyramid.fill(self.volumes[reference], false);
        let references: Option<Vec<Reference>> = (1..self.levels.len())
            .rev()
            .map(|level| Reference::new(&self.levels[level], pyramid.level(level), self.centre))
            .collect();
        let references = references?;
        let start = Alignment { overlap: 1.0, similarity: 1.0, ..LOST };
        Some(self.each(|pyramid, t| {
            pyramid.fill(self.volumes[t], false);
            references.iter().zip((1..self.levels.len()).rev()).fold(start, |from, (reference, level)| {
                let found = reference.align(pyramid.level(level), &from.matrix, 0.01 * self.levels[level].voxel_mm);
                Alignment { iterations: from.iterations + found.iterations, ..found }
            })
        }))
    }

    /// Aligns with the template at full resolution, each volume from its coarse result.
    fn align_fine(&self, template: &[f32], coarse: &[Alignment]) -> Option<Vec<Alignment>> {
        let mut pyramid = Pyramid::new(self.levels);
        pyramid.fill(template, true);
        let reference = Reference::new(&self.levels[0], pyramid.level(0), self.centre)?;
        Some(self.each(|pyramid, t| {
            pyramid.fill(self.volumes[t], true);
            let found = reference.align(pyramid.level(0), &coarse[t].matrix, FINE_TOLERANCE_MM);
            Alignment { iterations: coarse[t].iterations + found.iterations, ..found }
        }))
    }

    /// Runs `work` on every usable volume, in parallel; each volume depends on nothing but itself.
    fn each(&self, work: impl Fn(&mut Pyramid, usize) -> Alignment + Sync) -> Vec<Alignment> {
        (0..self.volumes.len())
            .into_par_iter()
            .map_init(|| Pyramid::new(self.levels), |pyramid, t| if self.usable[t] { work(pyramid, t) } else { LOST })
            .collect()
    }
}

/// Steps at full resolution end below this movement of the edge of the head.
const FINE_TOLERANCE_MM: f64 = 0.002;
/// A volume with less overlap with the template than this has not been aligned,
const LEAST_OVERLAP: f64 = 0.5;
/// nor one that disagrees with it (1 − similarity) more than this many times as much as the median volume. Even a volume of
/// constant intensity disagrees by no more than 0.05 within a head, hence the floor; the ceiling is for very noisy runs.
const DISAGREEMENT_FACTOR: f64 = 10.0;
const DISAGREEMENT_FLOOR: f64 = 0.02;
const DISAGREEMENT_CEILING: f64 = 0.2;

fn finish(found: Vec<Alignment>, survey: &Survey, centre: [f64; 3]) -> Result<MotionEstimate, MotionError> {
    let mut disagreement: Vec<f64> =
        found.iter().zip(&survey.usable).filter(|(_, usable)| **usable).map(|(a, _)| 1.0 - a.similarity).collect();
    let typical = motion_reference::median(&mut disagreement);
    let limit = (DISAGREEMENT_FACTOR * typical).clamp(DISAGREEMENT_FLOOR, DISAGREEMENT_CEILING);
    let good: Vec<bool> = found.iter().map(|a| a.overlap >= LEAST_OVERLAP && 1.0 - a.similarity <= limit).collect();
    let unaligned: Vec<usize> = (0..found.len()).filter(|&t| !good[t]).collect();
    if 2 * unaligned.len() > found.len() {
        let (failed, volumes, reference) = (unaligned.len(), found.len(), survey.reference);
        return Err(MotionError::MostlyUnaligned { failed, volumes, reference });
    }
    let mut last = good.iter().position(|&g| g).map_or(IDENTITY, |t| found[t].matrix);
    let matrices: Vec<Matrix4> = found
        .iter()
        .zip(&good)
        .map(|(a, &good)| {
            if good {
                last = a.matrix;
            }
            last
        })
        .collect();
    Ok(MotionEstimate {
        parameters: matrices.iter().map(|m| to_parameters(m, centre)).collect(),
        matrices,
        centre,
        reference: survey.reference,
        non_steady: survey.non_steady,
        unaligned,
        iterations: found.iter().map(|a| a.iterations).collect(),
    })
}

/// Undoes the motion in place: every volume of `series` (nt, nz, ny, nx) is sampled at `M·x` by cubic B-splines, with
/// room for one volume per thread. Voxels whose place lay more than half a voxel outside the volume become 0.
///
/// A series in another than standard layout, or with another number of volumes than the estimate, keeps the volumes that
/// have no counterpart as they are.
///
/// # Errors
/// [`MotionError::SingularGrid`] where the voxel-to-world matrix cannot be inverted.
pub fn resample_in_place(
    series: &mut Array4<f32>,
    grid_affine: Matrix4,
    motion: &MotionEstimate,
) -> Result<(), MotionError> {
    let (_, nz, ny, nx) = series.dim();
    let to_voxel = invert_affine(&grid_affine).ok_or(MotionError::SingularGrid)?;
    if !series.is_standard_layout() {
        *series = series.as_standard_layout().into_owned();
    }
    let Some(voxels) = series.as_slice_mut().filter(|v| !v.is_empty()) else { return Ok(()) };
    voxels.par_chunks_exact_mut(nz * ny * nx).zip(&motion.matrices).for_each_init(
        || SplineVolume::new([nz, ny, nx]),
        |spline, (volume, matrix)| {
            spline.interpolate(volume);
            spline.resample_into(&compose(&to_voxel, &compose(matrix, &grid_affine)), volume);
        },
    );
    Ok(())
}

/// The mean over time of the volumes with their motion undone, without those in `skip`, shape (nz, ny, nx): the reference
/// image of a run whose series itself stays as it was scanned. The same bytes as [`resample_in_place`] and then
/// [`mean_volume`]; all volumes count where `skip` would leave none.
///
/// # Errors
/// [`MotionError::SingularGrid`] where the voxel-to-world matrix cannot be inverted.
pub fn aligned_mean(
    series: ArrayView4<f32>,
    grid_affine: Matrix4,
    motion: &MotionEstimate,
    skip: &[usize],
) -> Result<Array3<f32>, MotionError> {
    let (nt, nz, ny, nx) = series.dim();
    let to_voxel = invert_affine(&grid_affine).ok_or(MotionError::SingularGrid)?;
    let series = series.as_standard_layout();
    let mut mean = Array3::zeros((nz, ny, nx));
    let (Some(voxels), false) = (series.as_slice(), series.is_empty()) else { return Ok(mean) };
    let mut kept: Vec<usize> = (0..nt).filter(|t| !skip.contains(t)).collect();
    if kept.is_empty() {
        kept = (0..nt).collect();
    }
    let mut sum = vec![0f64; nz * ny * nx];
    let mut aligned: Vec<(SplineVolume, Vec<f32>)> = (0..rayon::current_num_threads())
        .map(|_| (SplineVolume::new([nz, ny, nx]), vec![0f32; nz * ny * nx]))
        .collect();
    for batch in kept.chunks(aligned.len()) {
        aligned.par_iter_mut().zip(batch).for_each(|((spline, out), &t)| {
            spline.interpolate(&voxels[t * nz * ny * nx..(t + 1) * nz * ny * nx]);
            spline.resample_into(&compose(&to_voxel, &compose(&motion.matrices[t], &grid_affine)), out);
        });
        // In the order of the volumes, whatever the number of threads.
        for (_, volume) in aligned.iter().take(batch.len()) {
            sum.par_iter_mut().with_min_len(4096).zip(volume).for_each(|(s, v)| *s += f64::from(*v));
        }
    }
    mean.iter_mut().zip(&sum).for_each(|(m, s)| *m = (s / kept.len() as f64) as f32);
    Ok(mean)
}

/// The mean over time of a series, without the volumes in `skip`, shape (nz, ny, nx): after [`resample_in_place`] the
/// reference image of the run. All volumes count where `skip` would leave none.
#[must_use]
pub fn mean_volume(series: ArrayView4<f32>, skip: &[usize]) -> Array3<f32> {
    let (nt, nz, ny, nx) = series.dim();
    let mut kept: Vec<usize> = (0..nt).filter(|t| !skip.contains(t)).collect();
    if kept.is_empty() {
        kept = (0..nt).collect();
    }
    let mut mean = Array3::zeros((nz, ny, nx));
    let planes: Vec<_> = mean.axis_iter_mut(Axis(0)).collect();
    planes.into_par_iter().enumerate().for_each(|(k, mut plane)| {
        let mut sum = Array2::<f64>::zeros((ny, nx));
        for &t in &kept {
            let volume = series.index_axis(Axis(0), t);
            sum.zip_mut_with(&volume.index_axis(Axis(0), k), |s, v| *s += f64::from(*v));
        }
        plane.zip_mut_with(&sum, |m, s| *m = (s / kept.len().max(1) as f64) as f32);
    });
    mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rigid::{from_parameters, invert_rigid};

    /// Blobs (centre and width in mm, height) that no rigid motion maps onto themselves.
    const BLOBS: [([f64; 3], f64, f64); 6] = [
        ([0.0, 0.0, 0.0], 30.0, 800.0),
        ([35.0, 10.0, 5.0], 14.0, 500.0),
        ([-30.0, 25.0, -12.0], 12.0, -400.0),
        ([5.0, -40.0, 20.0], 13.0, 600.0),
        ([-20.0, -15.0, 30.0], 11.0, 450.0),
        ([15.0, 35.0, -25.0], 12.0, 380.0),
    ];

    fn affine(shape: [usize; 3], voxel: [f64; 3]) -> Matrix4 {
        let mut m = IDENTITY;
        for a in 0..3 {
            m[a][a] = voxel[2 - a];
            m[a][3] = -voxel[2 - a] * (shape[2 - a] as f64 - 1.0) / 2.0;
        }
        m
    }

    /// The blobs as a head that has been moved by each of `motion`.
    fn moved(shape: [usize; 3], voxel: [f64; 3], motion: &[[f64; 6]]) -> Array4<f32> {
        let to_world = affine(shape, voxel);
        Array4::from_shape_fn((motion.len(), shape[0], shape[1], shape[2]), |(t, k, j, i)| {
            let back = invert_rigid(&from_parameters(&motion[t], [0.0; 3]));
            let x = apply(&back, apply(&to_world, [i as f64, j as f64, k as f64]));
            let blob = |(c, width, height): ([f64; 3], f64, f64)| {
                let d2: f64 = (0..3).map(|a| (x[a] - c[a]).powi(2)).sum();
                height * (-0.5 * d2 / (width * width)).exp()
            };
            BLOBS.into_iter().map(blob).sum::<f64>() as f32
        })
    }

    /// The largest error (mm) of the motion between each volume and the first.
    fn worst_error(estimate: &MotionEstimate, truth: &[[f64; 6]]) -> f64 {
        let relative = |m: &Matrix4, first: &Matrix4| compose(m, &invert_rigid(first));
        let truth: Vec<Matrix4> = truth.iter().map(|p| from_parameters(p, [0.0; 3])).collect();
        let errors = estimate.matrices.iter().zip(&truth).map(|(m, t)| {
            let (m, t) = (relative(m, &estimate.matrices[0]), relative(t, &truth[0]));
            rms_deviation(&m, &t, [0.0; 3], HEAD_RADIUS_MM)
        });
        errors.fold(0.0, f64::max)
    }

    const SHAPE: [usize; 3] = [26, 32, 30];
    const VOXEL: [f64; 3] = [5.0, 4.5, 4.5];
    const SMALL: [[f64; 6]; 5] = [
        [0.0; 6],
        [0.4, -0.3, 0.7, 0.01, -0.004, 0.006],
        [1.1, 0.2, -0.9, -0.008, 0.012, 0.0],
        [-0.6, 1.5, 0.3, 0.0, 0.003, -0.015],
        [0.1, 0.1, 2.2, 0.02, 0.0, 0.0],
    ];

    #[test]
    fn known_motion_is_recovered_and_undone() {
        let series = moved(SHAPE, VOXEL, &SMALL);
        let grid = affine(SHAPE, VOXEL);
        let estimate = estimate_motion(series.view(), grid).unwrap();
        assert!(worst_error(&estimate, &SMALL) < 0.02, "{}", worst_error(&estimate, &SMALL));
        assert!(estimate.unaligned.is_empty() && estimate.non_steady == 0);
        let mut fixed = series.clone();
        resample_in_place(&mut fixed, grid, &estimate).unwrap();
        let spread = |s: &Array4<f32>| {
            let inner =
                |(k, j, i): (usize, usize, usize)| [k, j, i].iter().zip(SHAPE).all(|(&v, n)| v > 2 && v + 3 < n);
            let std = s.std_axis(Axis(0), 0.0);
            std.indexed_iter().filter(|(at, _)| inner(*at)).map(|(_, s)| *s).sum::<f32>()
        };
        assert!(spread(&fixed) < 0.03 * spread(&series), "{} of {}", spread(&fixed), spread(&series));
    }

    #[test]
    fn the_mean_is_the_same_whether_the_series_is_aligned_first_or_not() {
        let series = moved(SHAPE, VOXEL, &SMALL);
        let grid = affine(SHAPE, VOXEL);
        let estimate = estimate_motion(series.view(), grid).unwrap();
        let mut fixed = series.clone();
        resample_in_place(&mut fixed, grid, &estimate).unwrap();
        for skip in [&[][..], &[1, 3]] {
            let mean = aligned_mean(series.view(), grid, &estimate, skip).unwrap();
            assert_eq!(mean, mean_volume(fixed.view(), skip));
        }
    }

    #[test]
    fn ten_millimetres_and_ten_degrees_are_followed() {
        let turn = 10.0_f64.to_radians();
        let motion = [[0.0; 6], [0.0; 6], [10.0, -8.0, 6.0, turn, 0.0, -turn], [-5.0, 10.0, -10.0, 0.0, turn, turn]];
        let estimate = estimate_motion(moved(SHAPE, VOXEL, &motion).view(), affine(SHAPE, VOXEL)).unwrap();
        assert!(worst_error(&estimate, &motion) < 0.2, "{}", worst_error(&estimate, &motion));
    }

    #[test]
    fn anisotropic_voxels_and_few_volumes_work() {
        let (shape, voxel) = ([14, 48, 44], [9.0, 3.0, 3.0]);
        for volumes in [1, 2] {
            let motion = &SMALL[..volumes];
            let estimate = estimate_motion(moved(shape, voxel, motion).view(), affine(shape, voxel)).unwrap();
            assert_eq!(estimate.matrices.len(), volumes);
            assert!(worst_error(&estimate, motion) < 0.05, "{}", worst_error(&estimate, motion));
        }
    }

    #[test]
    fn a_single_slice_moves_in_its_plane_only() {
        let motion = [[0.0; 6], [0.8, -0.5, 0.0, 0.0, 0.0, 0.01], [-0.3, 0.9, 0.0, 0.0, 0.0, 0.0]];
        let shape = [1, 40, 36];
        let estimate = estimate_motion(moved(shape, VOXEL, &motion).view(), affine(shape, VOXEL)).unwrap();
        assert!(worst_error(&estimate, &motion) < 0.02, "{}", worst_error(&estimate, &motion));
        let still = estimate.parameters.iter().flat_map(|p| &p[2..5]).fold(0.0, |w: f64, v| w.max(v.abs()));
        assert!(still < 1e-9, "{still}");
    }

    #[test]
    fn tiny_volumes_give_an_answer_or_a_reason() {
        for shape in [[1, 1, 1], [2, 2, 2], [3, 1, 4], [5, 5, 5]] {
            let series = moved(shape, [20.0; 3], &SMALL);
            match estimate_motion(series.view(), affine(shape, [20.0; 3])) {
                Ok(e) => assert!(e.parameters.iter().flatten().all(|p| p.is_finite()), "{shape:?}"),
                Err(e) => assert!(!e.to_string().is_empty(), "{shape:?}"),
            }
        }
    }

    #[test]
    fn empty_volumes_are_flagged_and_keep_the_motion_before_them() {
        let mut series = moved(SHAPE, VOXEL, &SMALL);
        series.index_axis_mut(Axis(0), 2).fill(0.0);
        series.index_axis_mut(Axis(0), 3).fill(f32::NAN);
        let estimate = estimate_motion(series.view(), affine(SHAPE, VOXEL)).unwrap();
        assert_eq!(estimate.unaligned, [2, 3]);
        assert_eq!(estimate.matrices[2], estimate.matrices[1]);
        assert_eq!(estimate.matrices[3], estimate.matrices[1]);
        assert!(estimate.matrices[4] != estimate.matrices[1]);
    }

    #[test]
    fn a_volume_that_is_not_the_head_is_flagged() {
        let mut series = moved(SHAPE, VOXEL, &SMALL);
        let mut state = 3_u64;
        series.index_axis_mut(Axis(0), 1).mapv_inplace(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            400.0 + (state >> 56) as f32
        });
        let estimate = estimate_motion(series.view(), affine(SHAPE, VOXEL)).unwrap();
        assert_eq!(estimate.unaligned, [1]);
    }

    #[test]
    fn series_without_content_are_refused() {
        let grid = affine(SHAPE, VOXEL);
        let zeros = Array4::<f32>::zeros((3, 8, 8, 8));
        assert!(matches!(estimate_motion(zeros.view(), grid), Err(MotionError::NoContrast { volumes: 3 })));
        let none = Array4::<f32>::zeros((0, 8, 8, 8));
        assert!(matches!(estimate_motion(none.view(), grid), Err(MotionError::Empty { .. })));
        let series = moved([4, 4, 4], VOXEL, &SMALL);
        assert!(matches!(estimate_motion(series.view(), [[0.0; 4]; 4]), Err(MotionError::SingularGrid)));
    }

    #[test]
    fn bright_volumes_at_the_start_are_non_steady_and_do_not_bend_the_estimate() {
        let motion: Vec<[f64; 6]> = SMALL.iter().cycle().take(12).copied().collect();
        let mut series = moved(SHAPE, VOXEL, &motion);
        for (t, gain) in [(0, 1.6), (1, 1.15)] {
            series.index_axis_mut(Axis(0), t).mapv_inplace(|v| v * gain);
        }
        let estimate = estimate_motion(series.view(), affine(SHAPE, VOXEL)).unwrap();
        assert_eq!(estimate.non_steady, 2);
        assert!(worst_error(&estimate, &motion) < 0.02, "{}", worst_error(&estimate, &motion));
    }

    #[test]
    fn the_result_does_not_depend_on_the_number_of_threads() {
        let series = moved(SHAPE, VOXEL, &SMALL);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let estimate = estimate_motion(series.view(), affine(SHAPE, VOXEL)).unwrap();
                let mut fixed = series.clone();
                resample_in_place(&mut fixed, affine(SHAPE, VOXEL), &estimate).unwrap();
                (mean_volume(fixed.view(), &[0]), estimate, fixed)
            })
        };
        assert!(run(1) == run(4));
    }

    #[test]
    fn the_mean_leaves_out_what_is_skipped() {
        let series = Array4::from_shape_fn((3, 1, 1, 2), |(t, _, _, i)| (t * 10 + i) as f32);
        assert_eq!(mean_volume(series.view(), &[0]).as_slice().unwrap(), [15.0, 16.0]);
        assert_eq!(mean_volume(series.view(), &[0, 1, 2]).as_slice().unwrap(), [10.0, 11.0]);
    }
}
