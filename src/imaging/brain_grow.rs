//! Growth from what the surface holds to what it missed, by the shortest way.
//!
//! Brain outside a smooth surface is thick where it touches the brain inside and ends a few millimetres further out.
//! Marrow, dura and muscle that touch the brain at one spot run along its surface instead. So the length of the way
//! within tissue, not the distance to the surface, decides what belongs to the brain.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ndarray::Array3;

/// Adds to `seed` the voxels of `field` within a way of `reach_mm` through `field`, from voxel face to voxel face.
pub(crate) fn grow(seed: &mut Array3<u8>, field: &Array3<u8>, voxel_mm: [f64; 3], reach_mm: f64) {
    let (nz, ny, nx) = field.dim();
    let (strides, shape) = ([ny * nx, nx, 1], [nz, ny, nx]);
    // Micrometres: whole numbers order the queue the same on every machine.
    let (step, reach) = (voxel_mm.map(|d| (1000.0 * d).round() as u32), (1000.0 * reach_mm).round() as u32);
    let (Some(seed), Some(field)) = (seed.as_slice_mut(), field.as_slice()) else { return };
    let each_side = |at: usize, each: &mut dyn FnMut(usize, u32)| {
        for axis in 0..3 {
            let index = at / strides[axis] % shape[axis];
            if index > 0 {
                each(at - strides[axis], step[axis]);
            }
            if index + 1 < shape[axis] {
                each(at + strides[axis], step[axis]);
            }
        }
    };
    let mut queue = BinaryHeap::new();
    for at in (0..field.len()).filter(|&at| field[at] != 0 && seed[at] == 0) {
        each_side(at, &mut |from, way| {
            if seed[from] != 0 && way <= reach {
                queue.push(Reverse((way, at)));
            }
        });
    }
    while let Some(Reverse((way, at))) = queue.pop() {
        if std::mem::replace(&mut seed[at], 1) != 0 {
            continue;
        }
        each_side(at, &mut |to, more| {
            if field[to] != 0 && seed[to] == 0 && way + more <= reach {
                queue.push(Reverse((way + more, to)));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lump_is_taken_whole_and_a_layer_only_near_its_bridge() {
        // Seed below k = 10; a lump 4 thick above it, and a layer at k = 13 that touches the lump at its side.
        let field = Array3::from_shape_fn((20, 30, 30), |(k, j, i)| {
            let lump = k < 14 && (10..20).contains(&j) && (3..10).contains(&i);
            u8::from(k < 10 || lump || (k == 13 && (10..20).contains(&j)))
        });
        let mut seed = Array3::from_shape_fn(field.dim(), |(k, ..)| u8::from(k < 10));
        grow(&mut seed, &field, [1.0, 1.0, 2.0], 5.0);
        assert_eq!((seed[[13, 15, 3]], seed[[13, 15, 9]]), (1, 1), "the lump");
        assert_eq!((seed[[13, 15, 10]], seed[[13, 15, 29]]), (0, 0), "the layer");
        assert_eq!(seed[[14, 15, 5]], 0, "no tissue");
    }
}
