//! How well one mask agrees with another: overlap, surface distance, and what is too much or missing.

use ndarray::{Array3, ArrayView3, Zip};

use crate::filter::quantiles;
use crate::morphology::squared_distance;

/// The overlap 2|A∩B| / (|A|+|B|) of two masks (Dice 1945); 1 when both are empty, `None` when the shapes differ.
#[must_use]
pub fn dice(a: ArrayView3<u8>, b: ArrayView3<u8>) -> Option<f64> {
    if a.dim() != b.dim() {
        return None;
    }
    let (mut both, mut sum) = (0u64, 0u64);
    Zip::from(a).and(b).for_each(|&a, &b| {
        both += u64::from(a != 0 && b != 0);
        sum += u64::from(a != 0) + u64::from(b != 0);
    });
    Some(if sum == 0 { 1.0 } else { 2.0 * both as f64 / sum as f64 })
}

/// The volumes in ml of (voxels only in `mask`, voxels only in `truth`): what is too much, and what is missing;
/// `None` when the shapes differ.
#[must_use]
pub fn false_volumes_ml(mask: ArrayView3<u8>, truth: ArrayView3<u8>, voxel_mm: [f64; 3]) -> Option<(f64, f64)> {
    if mask.dim() != truth.dim() {
        return None;
    }
    let (mut extra, mut missing) = (0u64, 0u64);
    Zip::from(mask).and(truth).for_each(|&m, &t| {
        extra += u64::from(m != 0 && t == 0);
        missing += u64::from(m == 0 && t != 0);
    });
    let ml = voxel_mm.iter().product::<f64>() / 1000.0;
    Some((extra as f64 * ml, missing as f64 * ml))
}

/// The 95 % quantile in mm of the distances of each mask's surface voxels to the other's, both ways pooled
/// (Huttenlocher et al. 1993, made robust); `None` when a mask is empty or the shapes differ.
#[must_use]
pub fn hd95_mm(a: ArrayView3<u8>, b: ArrayView3<u8>, voxel_mm: [f64; 3]) -> Option<f64> {
    if a.dim() != b.dim() {
        return None;
    }
    let (edge_a, edge_b) = (surface(a), surface(b));
    let (far_a, far_b) = (squared_distance(edge_a.view(), voxel_mm), squared_distance(edge_b.view(), voxel_mm));
    let mut distances = Vec::new();
    Zip::from(&edge_a).and(&far_b).for_each(|&e, &d| distances.extend((e != 0).then(|| d.sqrt())));
    let of_a = distances.len();
    Zip::from(&edge_b).and(&far_a).for_each(|&e, &d| distances.extend((e != 0).then(|| d.sqrt())));
    if of_a == 0 || of_a == distances.len() {
        return None;
    }
    quantiles(&mut distances, [0.95]).map(|[d]| f64::from(d))
}

/// The voxels of a mask with a face neighbour outside it; the border of the volume counts as outside.
fn surface(mask: ArrayView3<u8>) -> Array3<u8> {
    let at = |k: Option<usize>, j: Option<usize>, i: Option<usize>| match (k, j, i) {
        (Some(k), Some(j), Some(i)) => mask.get([k, j, i]).is_some_and(|&v| v != 0),
        _ => false,
    };
    Array3::from_shape_fn(mask.dim(), |(k, j, i)| {
        let (k, j, i) = (Some(k), Some(j), Some(i));
        let up = |v: Option<usize>| v.map(|v| v + 1);
        let down = |v: Option<usize>| v.and_then(|v| v.checked_sub(1));
        let inner = || {
            at(up(k), j, i)
                && at(down(k), j, i)
                && at(k, up(j), i)
                && at(k, down(j), i)
                && at(k, j, up(i))
                && at(k, j, down(i))
        };
        u8::from(at(k, j, i) && !inner())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slab(from: usize, to: usize) -> Array3<u8> {
        Array3::from_shape_fn((20, 6, 6), |(k, ..)| u8::from((from..to).contains(&k)))
    }

    #[test]
    fn overlap_and_differences_of_shifted_slabs() {
        let (a, b) = (slab(4, 14), slab(6, 16));
        assert!((dice(a.view(), b.view()).unwrap() - 0.8).abs() < 1e-12);
        assert_eq!(dice(a.view(), Array3::zeros((1, 2, 3)).view()), None);
        let (extra, missing) = false_volumes_ml(a.view(), b.view(), [2.0, 1.0, 1.0]).unwrap();
        assert!((extra - 0.144).abs() < 1e-9 && (missing - 0.144).abs() < 1e-9);
    }

    #[test]
    fn surface_distance_is_zero_for_equal_masks_and_the_shift_for_shifted_ones() {
        let (a, b) = (slab(4, 14), slab(6, 16));
        assert_eq!(hd95_mm(a.view(), a.view(), [1.0; 3]), Some(0.0));
        let d = hd95_mm(a.view(), b.view(), [1.5, 1.0, 1.0]);
        assert!(d.is_some_and(|d| (d - 3.0).abs() < 1e-6), "{d:?}");
        assert_eq!(hd95_mm(a.view(), Array3::zeros((20, 6, 6)).view(), [1.0; 3]), None);
    }
}
