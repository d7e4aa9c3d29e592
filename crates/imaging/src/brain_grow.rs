//! Growth from what the surface holds to what it missed, by the shortest way.
//!
//! Brain outside a smooth surface is thick where it touches the brain inside and ends a few millimetres further out.
//! Marrow, dura and muscle that touch the brain at one spot run along its surface instead. So the length of the way
//! within tissue, not the distance to the surface, decides what belongs to the brain.

use std::collections::BTreeMap;

use crate::bits::Bits;

/// Adds to `seed` the voxels of `field` within a way of `reach_mm` through `field`, from voxel face to voxel face.
pub(crate) fn grow(seed: &mut Bits, field: &Bits, voxel_mm: [f64; 3], reach_mm: f64) {
    // Micrometres: whole numbers, of which there are few, so that the voxels to go on from are kept by their way.
    let (step, reach) = (voxel_mm.map(|d| (1000.0 * d).round() as u32), (1000.0 * reach_mm).round() as u32);
    let shape = field.shape();
    let mut by_way: BTreeMap<u32, Vec<[usize; 3]>> = BTreeMap::new();
    let ring = seed.grown(voxel_mm, voxel_mm.iter().copied().fold(0.0, f64::max)).with(seed, |near, seed| near & !seed);
    for at in ring.with(field, |ring, field| ring & field).each() {
        let ways = beside(at, shape).filter(|&(_, from)| seed.get(from)).map(|(axis, _)| step[axis]);
        ways.filter(|&way| way <= reach).for_each(|way| by_way.entry(way).or_default().push(at));
    }
    while let Some((way, reached)) = by_way.pop_first() {
        for at in reached {
            if seed.set(at) {
                continue;
            }
            let next = beside(at, shape).map(|(axis, to)| (way + step[axis], to));
            let next = next.filter(|&(way, to)| way <= reach && field.get(to) && !seed.get(to));
            next.for_each(|(way, to)| by_way.entry(way).or_default().push(to));
        }
    }
}

/// The neighbours of a voxel across its faces, each with its axis.
fn beside(at: [usize; 3], shape: [usize; 3]) -> impl Iterator<Item = (usize, [usize; 3])> {
    (0..6).filter_map(move |side| {
        let (axis, mut to) = (side / 2, at);
        to[axis] = if side % 2 == 0 { at[axis].checked_sub(1)? } else { at[axis] + 1 };
        (to[axis] < shape[axis]).then_some((axis, to))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn a_lump_is_taken_whole_and_a_layer_only_near_its_bridge() {
        // Seed below k = 10; a lump 4 thick above it, and a layer at k = 13 that touches the lump at its side.
        let lump = |[k, j, i]: [usize; 3]| k < 14 && (10..20).contains(&j) && (3..10).contains(&i);
        let layer = |[k, j, _]: [usize; 3]| k == 13 && (10..20).contains(&j);
        let voxels = Array3::from_shape_fn((20, 30, 30), |(k, j, i)| [k, j, i]);
        let field = Bits::of(voxels.view(), |&at| at[0] < 10 || lump(at) || layer(at));
        let mut seed = Bits::of(voxels.view(), |at| at[0] < 10);
        grow(&mut seed, &field, [1.0, 1.0, 2.0], 5.0);
        let seed = seed.to_mask();
        assert_eq!((seed[[13, 15, 3]], seed[[13, 15, 9]]), (1, 1), "the lump");
        assert_eq!((seed[[13, 15, 10]], seed[[13, 15, 29]]), (0, 0), "the layer");
        assert_eq!(seed[[14, 15, 5]], 0, "no tissue");
    }
}
