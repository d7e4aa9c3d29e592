//! The iterations of one resolution of the coarse warp: the force of the local correlation and the step along it.

use ndarray::{Array3, Zip};
use rayon::prelude::*;

use super::WarpError;
use super::box_mean::box_mean_in_place;
use super::coarse_field::{Field, Sampled, for_each_row};
use super::coarse_recipe::{CoarseLevel, CoarseRecipe};

/// Variances below this share of the mean variance of the scan make no force.
const VARIANCE_FLOOR: f32 = 3e-3;
/// The images of one level and what their windows hold.
struct Level<'a> {
    fixed: Array3<f32>,
    fixed_mean: Array3<f32>,
    fixed_variance: Array3<f32>,
    moving: &'a Array3<f32>,
    /// Smallest variance of a window that makes a force.
    floor: f32,
    radius: usize,
}

/// Runs the iterations of one level; also the mean squared correlation that the last one started from.
pub(super) fn run_level(
    fixed: Array3<f32>,
    moving: &Array3<f32>,
    mut field: Field,
    plan: &CoarseLevel,
    recipe: &CoarseRecipe,
) -> Result<(Field, f64), WarpError> {
    let level = Level::new(fixed, moving, plan.radius)?;
    let mut reached = 0.0;
    for _ in 0..plan.iterations {
        let (mut update, similarity) = level.force(&field);
        reached = similarity;
        let (sum, count, _) = update.lengths();
        update.cap(recipe.force_cap * (sum / (count + 1) as f64).sqrt() as f32);
        update.smooth(recipe.update_sigma);
        let (_, _, top) = update.lengths();
        field = field.composed(&update, recipe.step / (top.sqrt() + 1e-12));
        field.smooth(recipe.field_sigma);
    }
    Ok((field, reached))
}

impl<'a> Level<'a> {
    fn new(fixed: Array3<f32>, moving: &'a Array3<f32>, radius: usize) -> Result<Self, WarpError> {
        let mut fixed_mean = fixed.clone();
        box_mean_in_place(&mut fixed_mean, radius);
        let mut fixed_variance = fixed.mapv(|v| v * v);
        box_mean_in_place(&mut fixed_variance, radius);
        Zip::from(&mut fixed_variance).and(&fixed_mean).par_for_each(|v, m| *v = (*v - m * m).max(0.0));
        let mean = fixed_variance.iter().map(|v| f64::from(*v)).sum::<f64>() / fixed_variance.len() as f64;
        if !mean.is_normal() {
            return Err(WarpError::NoContrast { what: "the scan" });
        }
        Ok(Self { fixed, fixed_mean, fixed_variance, moving, floor: VARIANCE_FLOOR * mean as f32, radius })
    }

    /// The force that raises the squared local correlation, and its mean where windows have enough contrast.
    fn force(&self, field: &Field) -> (Field, f64) {
        let warped = self.warped(field);
        let mean = |value: &(dyn Fn(f32, f32) -> f32 + Sync)| {
            let mut out = warped.clone();
            Zip::from(&mut out).and(&self.fixed).par_for_each(|w, f| *w = value(*w, *f));
            box_mean_in_place(&mut out, self.radius);
            out
        };
        let (mean_warped, square, mut strength) = (mean(&|w, _| w), mean(&|w, _| w * w), mean(&|w, f| w * f));
        let similarity = self.strength(&warped, &mean_warped, &square, &mut strength);
        (along_gradient(&warped, &strength, field.spacing_mm), similarity)
    }

    /// Turns the mean of the product in a window (`product`) into the force per gradient of the warped image, from the
    /// window centred at each voxel; the mean squared correlation of the windows that have enough contrast.
    fn strength(
        &self,
        warped: &Array3<f32>,
        mean_warped: &Array3<f32>,
        square: &Array3<f32>,
        product: &mut Array3<f32>,
    ) -> f64 {
        let floor = self.floor;
        let plane = product.len() / product.dim().0.max(1);
        let volumes = [&self.fixed, &self.fixed_mean, &self.fixed_variance, warped, mean_warped, square];
        let volumes = volumes.map(|volume| volume.as_slice().unwrap_or_default());
        let of_slice = |(k, product): (usize, &mut [f32])| {
            let (mut sum, mut count) = (0f64, 0usize);
            let [fixed, mean_f, variance_f, warped, mean_w, square] = volumes.map(|v| &v[k * plane..(k + 1) * plane]);
            for (i, product) in product.iter_mut().enumerate() {
                let variance_w = (square[i] - mean_w[i] * mean_w[i]).max(0.0);
                let covariance = *product - mean_w[i] * mean_f[i];
                *product = 0.0;
                if variance_f[i] > floor && variance_w > floor {
                    let (inverse_w, inverse_f) = (1.0 / (variance_w + floor), 1.0 / (variance_f[i] + floor));
                    let residual = (fixed[i] - mean_f[i]) - covariance * inverse_w * (warped[i] - mean_w[i]);
                    *product = covariance * inverse_f * inverse_w * residual;
                    sum += f64::from(covariance * covariance * inverse_w * inverse_f);
                    count += 1;
                }
            }
            (sum, count)
        };
        let Some(product) = product.as_slice_mut() else { return 0.0 };
        let slices: Vec<_> = product.par_chunks_mut(plane).enumerate().map(of_slice).collect();
        let (sum, count) = slices.into_iter().fold((0.0, 0), |(a, b), (c, d)| (a + c, b + d));
        sum / (count.max(1)) as f64
    }

    /// The template where the field puts it.
    fn warped(&self, field: &Field) -> Array3<f32> {
        let mut out = Array3::zeros(self.fixed.dim());
        let steps = field.along.each_ref().map(|a| a.as_slice().unwrap_or_default());
        if let Some(source) = Sampled::new(self.moving.view()) {
            for_each_row(&mut out, |[k, j], from, row| {
                for (i, v) in row.iter_mut().enumerate() {
                    let [x, y, z] = steps.map(|s| s[from + i]);
                    *v = source.at([i as f32 + x, j as f32 + y, k as f32 + z]);
                }
            });
        }
        out
    }
}

/// The gradient of `image` (central differences, one-sided at the edges counted half) times `strength`.
fn along_gradient(image: &Array3<f32>, strength: &Array3<f32>, spacing_mm: f64) -> Field {
    let mut out = Field::zeros(image.dim(), spacing_mm);
    let (nz, ny, nx) = image.dim();
    let (values, strength) = (image.as_slice().unwrap_or_default(), strength.as_slice().unwrap_or_default());
    let row_of = |k: usize, j: usize| values.get((k * ny + j) * nx..).unwrap_or_default();
    let [x, y, z] = &mut out.along;
    for_each_row(x, |[k, j], from, row| {
        let line = row_of(k, j);
        for (i, v) in row.iter_mut().enumerate() {
            *v = 0.5 * strength[from + i] * (line[(i + 1).min(nx - 1)] - line[i.saturating_sub(1)]);
        }
    });
    let between = |row: &mut [f32], from: usize, before: &[f32], after: &[f32]| {
        for (((v, s), before), after) in row.iter_mut().zip(&strength[from..]).zip(before).zip(after) {
            *v = 0.5 * s * (after - before);
        }
    };
    for_each_row(y, |[k, j], from, row| {
        between(row, from, row_of(k, j.saturating_sub(1)), row_of(k, (j + 1).min(ny - 1)));
    });
    for_each_row(z, |[k, j], from, row| {
        between(row, from, row_of(k.saturating_sub(1), j), row_of((k + 1).min(nz - 1), j));
    });
    out
}
