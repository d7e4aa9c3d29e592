//! What can be said of a mask without a truth: an image stripped before, and a mask that is no brain.

use ndarray::{Array3, ArrayView3, Zip};

use crate::brain_types::{Brain, BrainError};
use crate::filter::{par_count, quantiles, values_in};
use crate::morphology::{dilate, erode, fill_holes, largest_component};

/// Smallest and largest brain in ml.
const VOLUME_ML: [f64; 2] = [300.0, 2500.0];
/// Largest extent in mm `[z, y, x]` and largest volume in ml of an image taken for a stripped brain; heads are larger.
const STRIPPED_MM: [f64; 3] = [175.0, 210.0, 175.0];
const STRIPPED_ML: f64 = 2100.0;

/// A brain's relative spread between its 10 % and 90 % quantiles is above this, and its surroundings' level below that.
const LEAST_SPREAD: f64 = 0.1;
const BRIGHTEST_RING: f64 = 0.85;

/// The filled non-zero voxels, when the background is exactly zero and the rest is one body of a brain's size.
pub(crate) fn already_stripped(image: ArrayView3<f32>, voxel_mm: [f64; 3]) -> Option<Array3<u8>> {
    let ml = voxel_mm.iter().product::<f64>() / 1000.0;
    let set = par_count(image, |&v| v != 0.0);
    let volume = set as f64 * ml;
    if !(0.8 * VOLUME_ML[0]..=STRIPPED_ML).contains(&volume) || set as f64 > 0.8 * image.len() as f64 {
        return None;
    }
    let body = largest_component(image.mapv(|v| u8::from(v != 0.0)).view());
    if (body.iter().filter(|&&v| v != 0).count() as f64) < 0.95 * set as f64 {
        return None;
    }
    let mut values: Vec<f32> = image.iter().copied().filter(|&v| v != 0.0).collect();
    if quantiles(&mut values, [0.1, 0.5, 0.9])
        .is_none_or(|[low, median, high]| spread(low, median, high) < LEAST_SPREAD)
    {
        return None;
    }
    let mask = fill_holes(body.view());
    let filled = mask.iter().filter(|&&v| v != 0).count() as f64 * ml;
    let fits = extent_mm(&mask, voxel_mm).iter().zip(STRIPPED_MM).all(|(e, limit)| *e <= limit);
    (fits && (VOLUME_ML[0]..=STRIPPED_ML).contains(&filled)).then_some(mask)
}

/// Relative spread of intensities from their 10, 50 and 90 % quantiles.
fn spread(low: f32, median: f32, high: f32) -> f64 {
    f64::from(high - low) / f64::from(median.abs().max(f32::MIN_POSITIVE))
}

/// Extent of a mask in mm along `[z, y, x]`.
fn extent_mm(mask: &Array3<u8>, voxel_mm: [f64; 3]) -> [f64; 3] {
    let (mut low, mut high) = ([usize::MAX; 3], [0; 3]);
    for ((k, j, i), _) in mask.indexed_iter().filter(|(_, v)| **v != 0) {
        for (a, v) in [k, j, i].into_iter().enumerate() {
            low[a] = low[a].min(v);
            high[a] = high[a].max(v + 1);
        }
    }
    [0, 1, 2].map(|a| high[a].saturating_sub(low[a]) as f64 * voxel_mm[a])
}

/// Refuses a mask that is not of a brain's volume, not uneven inside as a brain is, or without an edge. `even` is the
/// working copy (voxels of `size` mm) divided by its field, `mask` the full mask, `factor` the shrinking between the two.
pub(crate) fn check_brain(
    even: ArrayView3<f32>,
    size: [f64; 3],
    factor: [usize; 3],
    found: &Brain,
) -> Result<(), BrainError> {
    let volume_ml = found.volume_ml;
    if !(VOLUME_ML[0]..=VOLUME_ML[1]).contains(&volume_ml) {
        return Err(BrainError::Volume { volume_ml });
    }
    let inside = thin(&found.mask, factor, even.dim());
    let mut core = values_in(even, erode(inside.view(), size, 4.0).view(), |_| true);
    let no_edge = BrainError::NoEdge { percent: 100.0 };
    let [low, median, high] = quantiles(&mut core, [0.1, 0.5, 0.9]).ok_or(no_edge.clone())?;
    let spread = spread(low, median, high);
    if spread < LEAST_SPREAD {
        return Err(BrainError::Uniform { percent: 100.0 * spread });
    }
    let near = dilate(inside.view(), size, 2.0);
    let mut ring = dilate(inside.view(), size, 8.0);
    Zip::from(&mut ring).and(&near).for_each(|r, &n| *r &= 1 - n);
    let [outside] = quantiles(&mut values_in(even, ring.view(), |_| true), [0.5]).ok_or(no_edge)?;
    let level = f64::from(outside / median.max(f32::MIN_POSITIVE));
    if level > BRIGHTEST_RING { Err(BrainError::NoEdge { percent: 100.0 * level }) } else { Ok(()) }
}

/// The mask on the working grid: the middle voxel of each block.
fn thin(mask: &Array3<u8>, factor: [usize; 3], shape: (usize, usize, usize)) -> Array3<u8> {
    let last = [mask.dim().0 - 1, mask.dim().1 - 1, mask.dim().2 - 1];
    Array3::from_shape_fn(shape, |(k, j, i)| {
        let at: [usize; 3] = std::array::from_fn(|a| ([k, j, i][a] * factor[a] + factor[a] / 2).min(last[a]));
        mask[at]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ball of `radius` mm in 4 mm voxels, uneven inside.
    fn ball(radius: f64) -> Array3<f32> {
        Array3::from_shape_fn((60, 60, 60), |(k, j, i)| {
            let r = [k, j, i].map(|v| (v as f64 - 29.5) * 4.0).iter().map(|v| v * v).sum::<f64>().sqrt();
            if r < radius { 60.0 + (i % 5) as f32 * 10.0 } else { 0.0 }
        })
    }

    #[test]
    fn only_one_uneven_body_of_a_brains_size_counts_as_stripped() {
        let mut image = ball(70.0);
        image[[30, 30, 30]] = 0.0;
        let mask = already_stripped(image.view(), [4.0; 3]).unwrap();
        assert_eq!(
            mask,
            image.mapv(|v| u8::from(v > 0.0)) | &Array3::from_shape_fn(mask.dim(), |at| u8::from(at == (30, 30, 30)))
        );
        assert!(already_stripped(ball(90.0).view(), [4.0; 3]).is_none(), "a head");
        assert!(already_stripped(ball(30.0).view(), [4.0; 3]).is_none(), "a fruit");
        assert!(already_stripped(ball(70.0).mapv(|v| v.min(60.0)).view(), [4.0; 3]).is_none(), "a test object");
        assert!(already_stripped(ball(70.0).mapv(|v| v + 1.0).view(), [4.0; 3]).is_none(), "no zero background");
    }
}
