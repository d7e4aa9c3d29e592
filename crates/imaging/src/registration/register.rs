//! Registration of a brain to a template, from images and an affine to a [`Warp`].

use ndarray::ArrayView3;
use rayon::prelude::*;

use super::WarpError;
use super::field::Field;
use super::grid::Grid;
use super::inverse::{correct, invert};
use super::recipe::Recipe;
use super::repair::jacobian_range;
use super::sample::{SampledImage, nodes_to_voxels};
use super::spans::Spans;
use super::symmetric::{Images, LevelReport, Scales, run_levels};
use super::warp::{DisplacementField, Warp, WarpReport};
use crate::rigid::{IDENTITY, Matrix4, compose, invert_affine};

/// The template.
#[derive(Clone, Copy, Debug)]
pub struct Fixed<'a> {
    /// Intensities as [`super::intensity::standard_intensities`] makes them, 0 outside the brain, shape `(nz, ny, nx)`.
    pub image: ArrayView3<'a, f32>,
    /// Its brain, same shape.
    pub brain: ArrayView3<'a, u8>,
    /// Voxels (i, j, k) to RAS+ mm; the voxels must be cubes along the axes.
    pub affine: &'a Matrix4,
}

/// The image that is registered to it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Intensities as of the template, 0 outside the brain, shape `(nz, ny, nx)`.
    pub image: ArrayView3<'a, f32>,
    /// How much each voxel counts, 0 to 1, same shape: 0 in a lesion, so that it makes no force. Everything counts without.
    pub weight: Option<ArrayView3<'a, f32>>,
    /// Voxels (i, j, k) to RAS+ mm.
    pub affine: &'a Matrix4,
}

/// Registers `subject` to `template`, starting from `affine`, which takes points of the template to the subject, both in
/// RAS+ mm. The same bytes at any number of threads.
///
/// Symmetric diffeomorphic registration by local correlation (Avants et al. 2008, doi:10.1016/j.media.2007.06.004) with
/// the exact gradient over all windows, and the difference of standardised intensities at the finest level.
///
/// # Errors
/// [`WarpError`]: shapes differ, images are too small or hold values that are not finite, affines cannot be inverted, the
/// template's voxels are no cubes, masks are empty, nothing overlaps, or the recipe is wrong.
pub fn register(template: &Fixed, subject: &Subject, affine: &Matrix4, recipe: &Recipe) -> Result<Warp, WarpError> {
    recipe.check()?;
    let voxel = check(template, subject)?;
    let to_subject_voxel = invert_affine(subject.affine).ok_or(WarpError::Singular { what: "the subject" })?;
    let inverse_affine = invert_affine(affine).ok_or(WarpError::Singular { what: "the transform to the subject" })?;
    // From template mm, counted from its first voxel, to RAS+ and on.
    let first_voxel = [0, 1, 2].map(|a| template.affine[a][3]);
    let mut to_ras = IDENTITY;
    (0..3).for_each(|a| to_ras[a][3] = first_voxel[a]);
    let to_subject = compose(&to_subject_voxel, &compose(affine, &to_ras));

    let scales = Scales::new(template.brain, "the template's brain", voxel, recipe)?;
    let (finest, _) = scales.finest();
    let fixed_image = template.image.as_standard_layout();
    let subject_image = subject.image.as_standard_layout();
    let weight = subject.weight.as_ref().map(|weight| weight.as_standard_layout());
    let (fixed_view, subject_view) = (fixed_image.view(), subject_image.view());
    let weight_view = weight.as_ref().map(|weight| weight.view());
    let shift = finest.origin.map(|o| o / voxel);
    let own = [[1.0, 0.0, 0.0, shift[0]], [0.0, 1.0, 0.0, shift[1]], [0.0, 0.0, 1.0, shift[2]]];
    let through = nodes_to_voxels(finest.origin, finest.spacing, &to_subject);
    let unreadable = |what| WarpError::TooSmall { what, found: (0, 0, 0), least: 2 };
    let fixed = SampledImage::of_volume(&fixed_view, &own).ok_or(unreadable("the template"))?;
    let moving = SampledImage::of_volume(&subject_view, &through).ok_or(unreadable("the subject"))?;
    let weight = weight_view.as_ref().and_then(|view| SampledImage::of_volume(view, &through));

    let images = Images { fixed, moving, weight };
    let (sides, mut levels) = run_levels(&images, &scales, recipe)?;
    let least = recipe.levels.last().map_or(0.0, |level| level.least_jacobian);
    let (forward, not_joined, unmended) = sides.joined(least);
    if let Some(last) = levels.last_mut() {
        last.unmended += unmended;
    }
    Ok(finish(forward, &scales, recipe, levels, not_joined, (*affine, inverse_affine, first_voxel)))
}

/// Inverts the joined field and measures it.
fn finish(
    forward: Field,
    scales: &Scales,
    recipe: &Recipe,
    levels: Vec<LevelReport>,
    not_joined: usize,
    (affine, inverse_affine, first_voxel): (Matrix4, Matrix4, [f64; 3]),
) -> Warp {
    let (finest, brain) = scales.finest();
    let inverted = invert(&forward, *finest);
    let mut inverse = inverted.field;
    correct(&forward, &mut inverse, finest, brain, recipe.inverse_rounds);
    let of_field = scales.grids.iter().position(|grid| *grid == forward.grid).unwrap_or(0);
    let (jacobian, folds) = jacobian_range(&forward, &scales.brains[of_field]);
    let round_trip_mm = round_trip(&forward, &inverse, finest, brain);
    let report = WarpReport { levels, jacobian, folds, not_inverted: not_joined + inverted.failed, round_trip_mm };
    Warp {
        forward: DisplacementField::new(forward, first_voxel),
        inverse: DisplacementField::new(inverse, first_voxel),
        affine,
        inverse_affine,
        report,
    }
}

/// The edge of the template's voxels.
fn check(template: &Fixed, subject: &Subject) -> Result<f64, WarpError> {
    let masks = [("the template's brain", template.brain.dim(), template.image.dim())];
    let weight = subject.weight.map(|weight| ("the subject's weight", weight.dim(), subject.image.dim()));
    for (what, found, expected) in masks.into_iter().chain(weight) {
        if found != expected {
            return Err(WarpError::Shape { what, found, expected });
        }
    }
    for (what, image) in [("the template", template.image), ("the subject", subject.image)] {
        let (nz, ny, nx) = image.dim();
        if nz.min(ny).min(nx) < 2 {
            return Err(WarpError::TooSmall { what, found: image.dim(), least: 2 });
        }
        if !image.iter().all(|v| v.is_finite()) {
            return Err(WarpError::NotFinite { what });
        }
    }
    if subject.weight.is_some_and(|weight| !weight.iter().all(|w| (0.0..=1.0).contains(w))) {
        return Err(WarpError::NotFinite { what: "the subject's weight (0 to 1)" });
    }
    let a = template.affine;
    let voxel_mm = [0, 1, 2].map(|c| (0..3).map(|r| a[r][c] * a[r][c]).sum::<f64>().sqrt());
    let straight = (0..3).all(|c| (a[c][c] - voxel_mm[0]).abs() < 1e-3 * voxel_mm[0]);
    if !straight || !voxel_mm[0].is_normal() {
        return Err(WarpError::NotCubic { voxel_mm });
    }
    Ok(voxel_mm[0])
}

/// Mean and largest distance of points of the brain from where they were, after going forward and back, mm; of every
/// third node along each axis.
fn round_trip(forward: &Field, inverse: &Field, nodes: &Grid, brain: &Spans) -> [f64; 2] {
    const EVERY: usize = 3;
    let place_in = |grid: &Grid, mm: [f32; 3]| -> [f32; 3] {
        std::array::from_fn(|a| (mm[a] - grid.origin[a] as f32) / grid.spacing as f32)
    };
    let of_slice = |z: usize| {
        let (mut sum, mut count, mut worst) = (0f64, 0usize, 0f64);
        for (y, span) in brain.rows_of(z).step_by(EVERY) {
            for x in (span.start..span.end).step_by(EVERY) {
                let node = [x, y, z];
                let p: [f32; 3] = std::array::from_fn(|a| (nodes.origin[a] + nodes.spacing * node[a] as f64) as f32);
                let v = forward.at(place_in(&forward.grid, p));
                let q: [f32; 3] = std::array::from_fn(|a| p[a] + v[a] * forward.grid.spacing as f32);
                let back = inverse.at(place_in(&inverse.grid, q));
                let off = (0..3).map(|a| f64::from(q[a] + back[a] * inverse.grid.spacing as f32 - p[a]).powi(2));
                let off = off.sum::<f64>().sqrt();
                (sum, count, worst) = (sum + off, count + 1, worst.max(off));
            }
        }
        (sum, count, worst)
    };
    let slices: Vec<usize> = (brain.slices.start..brain.slices.end).step_by(EVERY).collect();
    let found: Vec<_> = slices.into_par_iter().map(of_slice).collect();
    let (sum, count, worst) =
        found.into_iter().fold((0.0, 0, 0f64), |(s, c, w), (sum, count, worst)| (s + sum, c + count, w.max(worst)));
    [sum / count.max(1) as f64, worst]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registration::recipe::Level;
    use ndarray::Array3;

    const SHAPE: (usize, usize, usize) = (44, 46, 42);
    const AFFINE: Matrix4 =
        [[1.0, 0.0, 0.0, -20.0], [0.0, 1.0, 0.0, -25.0], [0.0, 0.0, 1.0, -18.0], [0.0, 0.0, 0.0, 1.0]];

    /// A ball of folded tissue, moved by a smooth known map (voxels): what lies at `p` is that of `p - shift(p)`.
    fn brain(size: f64) -> Array3<f32> {
        Array3::from_shape_fn(SHAPE, |(k, j, i)| {
            let p = [i as f64, j as f64, k as f64];
            let s = shift(p, size);
            let [x, y, z] = [p[0] - s[0] - 20.5, p[1] - s[1] - 22.5, p[2] - s[2] - 21.5];
            let r = (x * x + y * y + z * z).sqrt();
            let folds = (x * 0.55).sin() + (y * 0.5 + 0.3 * x).cos() + (z * 0.6).sin();
            if r < 15.0 { (50.0 + 14.0 * folds * (1.0 - (r / 15.0).powi(6))) as f32 } else { 0.0 }
        })
    }

    fn shift([x, y, z]: [f64; 3], size: f64) -> [f64; 3] {
        [size * (y / 9.0).sin(), size * (z / 8.0).cos(), size * (x / 10.0).sin()]
    }

    fn recipe() -> Recipe {
        let recipe = Recipe::default_quality();
        let mut levels = recipe.levels[2..].to_vec();
        levels[0] = Level { iterations: 20, block: 1, window: 5, ..levels[0] };
        Recipe { levels, ..recipe }
    }

    fn run(template: &Array3<f32>, subject: &Array3<f32>, weight: Option<&Array3<f32>>) -> Warp {
        let mask = template.mapv(|v| u8::from(v > 0.0));
        let fixed = Fixed { image: template.view(), brain: mask.view(), affine: &AFFINE };
        let weight = weight.map(|weight| weight.view());
        let subject = Subject { image: subject.view(), weight, affine: &AFFINE };
        register(&fixed, &subject, &IDENTITY, &recipe()).unwrap()
    }

    /// Mean distance of where the template's points should go from where they go, mm.
    fn mean_error(warp: &Warp, template: &Array3<f32>, size: f64) -> f64 {
        let points = template.indexed_iter().filter(|(_, v)| **v > 0.0).step_by(7);
        let of = points.map(|((k, j, i), _)| {
            let p = [i as f64 - 20.0, j as f64 - 25.0, k as f64 - 18.0];
            let q = warp.to_moving(p);
            let s = shift([q[0] + 20.0, q[1] + 25.0, q[2] + 18.0], size);
            (0..3).map(|a| (q[a] - s[a] - p[a]).powi(2)).sum::<f64>().sqrt()
        });
        let of: Vec<f64> = of.collect();
        of.iter().sum::<f64>() / of.len() as f64
    }

    #[test]
    fn a_known_warp_is_found_and_undone() {
        let (template, subject) = (brain(0.0), brain(1.6));
        let warp = run(&template, &subject, None);
        let still = template.indexed_iter().filter(|(_, v)| **v > 0.0).map(|((k, j, i), _)| {
            let s = shift([i as f64, j as f64, k as f64], 1.6);
            s.iter().map(|v| v * v).sum::<f64>().sqrt()
        });
        let still: Vec<f64> = still.collect();
        let before = still.iter().sum::<f64>() / still.len() as f64;
        let after = mean_error(&warp, &template, 1.6);
        assert!(before > 1.5 && after < 0.45, "{before} {after}");
        assert_eq!((warp.report.folds, warp.report.not_inverted), (0, 0));
        assert!(warp.report.jacobian[0] >= 0.29 && warp.report.round_trip_mm[0] < 0.05, "{:?}", warp.report);
        for p in [[0.0, 0.0, 0.0], [5.0, -4.0, 6.0]] {
            let q = warp.to_template(warp.to_moving(p));
            assert!((0..3).all(|a| (q[a] - p[a]).abs() < 0.1), "{p:?} {q:?}");
        }
        let levels = &warp.report.levels;
        assert!(levels.iter().all(|level| level.after > level.before), "{levels:?}");
    }

    #[test]
    fn threads_change_nothing() {
        let (template, subject) = (brain(0.0), brain(1.2));
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let warp = pool.install(|| run(&template, &subject, None));
            let fields =
                [&warp.forward, &warp.inverse].map(|field| field.vectors.iter().map(|v| v.to_bits()).collect());
            let [forward, inverse]: [Vec<u32>; 2] = fields;
            (forward, inverse, format!("{:?}", warp.report))
        };
        let one = bits(1);
        assert!(bits(2) == one && bits(4) == one);
    }

    #[test]
    fn exchanging_the_images_gives_nearly_the_inverse() {
        let (a, b) = (brain(0.0), brain(1.2));
        let (there, back) = (run(&a, &b, None), run(&b, &a, None));
        let mut off = Vec::new();
        for (k, j, i) in (14..30).flat_map(|k| (14..30).flat_map(move |j| (12..28).map(move |i| (k, j, i)))).step_by(5)
        {
            let p = [i as f64 - 20.0, j as f64 - 25.0, k as f64 - 18.0];
            let q = back.to_moving(there.to_moving(p));
            off.push((0..3).map(|a| (q[a] - p[a]).powi(2)).sum::<f64>().sqrt());
        }
        let mean = off.iter().sum::<f64>() / off.len() as f64;
        assert!(mean < 0.12, "{mean}");
    }

    #[test]
    fn a_lesion_without_weight_pulls_less() {
        let template = brain(0.0);
        let mut subject = brain(1.0);
        let lesion = |p: [usize; 3]| {
            let d = [26.0, 22.0, 21.0].iter().zip(p).map(|(c, v): (&f64, usize)| (c - v as f64).powi(2)).sum::<f64>();
            d < 25.0
        };
        subject.indexed_iter_mut().filter(|((k, j, i), _)| lesion([*i, *j, *k])).for_each(|(_, v)| *v = 4.0);
        let weight = Array3::from_shape_fn(SHAPE, |(k, j, i)| if lesion([i, j, k]) { 0.0 } else { 1.0 });
        let error = |weight| mean_error(&run(&template, &subject, weight), &template, 1.0);
        let (seen, masked) = (error(None), error(Some(&weight)));
        assert!(masked < 0.9 * seen, "{seen} {masked}");
    }

    #[test]
    fn inputs_that_make_no_sense_are_refused() {
        let image = brain(0.0);
        let mask = image.mapv(|v| u8::from(v > 0.0));
        let fixed = |affine| Fixed { image: image.view(), brain: mask.view(), affine };
        let subject = Subject { image: image.view(), weight: None, affine: &AFFINE };
        let with = |fixed: &Fixed, subject: &Subject, affine: &Matrix4| {
            register(fixed, subject, affine, &Recipe::fast()).unwrap_err()
        };
        let mut flat = IDENTITY;
        flat[1][1] = 0.0;
        assert!(matches!(with(&fixed(&AFFINE), &subject, &flat), WarpError::Singular { .. }));
        assert!(matches!(with(&fixed(&flat), &subject, &IDENTITY), WarpError::NotCubic { .. }));
        let empty = Array3::zeros(SHAPE);
        let nothing = Fixed { brain: empty.view(), ..fixed(&AFFINE) };
        assert!(matches!(with(&nothing, &subject, &IDENTITY), WarpError::Empty { .. }));
        let mut away = IDENTITY;
        away[0][3] = 500.0;
        assert!(matches!(with(&fixed(&AFFINE), &subject, &away), WarpError::NoContrast { .. }));
        let broken = image.mapv(|v| if v > 60.0 { f32::NAN } else { v });
        let broken = Subject { image: broken.view(), ..subject };
        assert!(matches!(with(&fixed(&AFFINE), &broken, &IDENTITY), WarpError::NotFinite { .. }));
    }
}
