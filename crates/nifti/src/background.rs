//! Voxels that are no numbers: the few of a scan, and the background of tools that write NaN outside of the head.

use super::Note;
use ndarray::{ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;

/// Faces of the box, of six, that must mostly be NaN for the NaN voxels to be a background: all but the one a neck goes through.
const FACES: usize = 5;
/// One voxel in so many at least has to have a value.
const LEAST: usize = 100;

/// Sets voxels that are not finite to 0, of an image of `shape` (nz, ny, nx) and any number of volumes, `broken` of which are not.
/// What was done, or `None` where they are too many to be passed over.
pub(super) fn settle(values: &mut [f32], shape: [usize; 3], broken: usize) -> Option<Note> {
    let total = values.len();
    let few = broken <= total / 100;
    let volume = shape.iter().product::<usize>().max(1);
    let around = || values.par_chunks(volume).map(|volume| outside(volume, shape)).sum::<Option<usize>>();
    let outside = if few { None } else { around() };
    // NaN within the head and infinities stay what they are: faults.
    if !few && outside.is_none_or(|nan| broken - nan > total / 100 || total - broken < total / LEAST) {
        return None;
    }
    values.par_iter_mut().filter(|v| !v.is_finite()).for_each(|v| *v = 0.0);
    Some(match outside {
        None => Note::new("non_finite", format!("{broken} voxels are NaN or infinite"), "they were set to 0"),
        Some(nan) => {
            let problem =
                format!("{nan} of {total} voxels, all around the head, are NaN, as SPM and CAT mark a background");
            Note::new("nan_background", problem, "they were set to 0")
        }
    })
}

/// How many NaN voxels of a volume hang together with its faces; `None` where too few of the faces are NaN for a background.
fn outside(volume: &[f32], shape: [usize; 3]) -> Option<usize> {
    let volume = ArrayView3::from_shape(shape, volume).ok()?;
    let ends = |axis: usize| [0, shape[axis].saturating_sub(1)].map(|end| volume.index_axis(Axis(axis), end));
    let mostly = |face: &ArrayView2<f32>| face.iter().filter(|v| v.is_nan()).count() * 2 > face.len();
    if [0, 1, 2].into_iter().flat_map(ends).filter(mostly).count() < FACES {
        return None;
    }
    let at_end = |place: [usize; 3]| (0..3).any(|axis| place[axis] == 0 || place[axis] + 1 == shape[axis]);
    let mut unseen = volume.mapv(f32::is_nan);
    let seeds = volume.indexed_iter().map(|((z, y, x), _)| [z, y, x]).filter(|place| at_end(*place));
    let mut waiting: Vec<[usize; 3]> = seeds.collect();
    let mut count = 0;
    while let Some(place) = waiting.pop() {
        // Beyond the faces there is nothing to get.
        let Some(unseen) = unseen.get_mut(place).filter(|unseen| **unseen) else { continue };
        *unseen = false;
        count += 1;
        for axis in 0..3 {
            for next in [place[axis].wrapping_sub(1), place[axis] + 1] {
                let mut beside = place;
                beside[axis] = next;
                waiting.push(beside);
            }
        }
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [10, 11, 12];

    /// A box of ones, from `low` to one short of the far faces, within NaN.
    fn head(low: [usize; 3]) -> Vec<f32> {
        let [nz, ny, nx] = SHAPE;
        let inside = |z, y, x| z >= low[0] && z < nz - 2 && y >= low[1] && y < ny - 2 && x >= low[2] && x < nx - 2;
        let voxel = |i: usize| if inside(i / (ny * nx), i / nx % ny, i % nx) { 1.0 } else { f32::NAN };
        (0..nz * ny * nx).map(voxel).collect()
    }

    fn settled(mut values: Vec<f32>) -> Option<(&'static str, Vec<f32>)> {
        let broken = values.iter().filter(|v| !v.is_finite()).count();
        settle(&mut values, SHAPE, broken).map(|note| (note.kind, values))
    }

    #[test]
    fn a_background_of_nan_is_none_of_the_head() {
        let (kind, values) = settled(head([2, 2, 2])).unwrap();
        assert_eq!((kind, values.iter().sum::<f32>()), ("nan_background", (6 * 7 * 8) as f32));
        // Through one of the faces goes the neck, through two no neck does.
        for low in [[0, 2, 2], [2, 0, 2], [2, 2, 0]] {
            assert_eq!(settled(head(low)).unwrap().0, "nan_background");
        }
        for low in [[0, 0, 2], [1, 0, 0], [0, 1, 0]] {
            assert!(settled(head(low)).is_none());
        }
        // Of every volume.
        let series = [head([2, 2, 2]), head([2, 2, 2])].concat();
        assert_eq!(settled(series).unwrap().0, "nan_background");
    }

    #[test]
    fn other_nan_is_a_fault_unless_it_is_little() {
        let few = |n: usize| {
            let mut values = vec![1.0; 1320];
            values[500..500 + n].fill(f32::INFINITY);
            values
        };
        assert_eq!(settled(few(13)).unwrap().0, "non_finite");
        assert!(settled(few(14)).is_none());
        // A hole in the head, half an image, every other voxel, nothing at all, a volume that has none.
        let mut hole = head([2, 2, 2]);
        (0..15).for_each(|i| hole[(4 + i / 5) * 132 + 5 * 12 + 3 + i % 5] = f32::NAN);
        assert!(settled(hole).is_none());
        let half = (0..1320).map(|i| if i < 660 { f32::NAN } else { 1.0 }).collect();
        assert!(settled(half).is_none());
        assert!(settled((0..1320).map(|i| if i % 2 == 0 { f32::NAN } else { 1.0 }).collect()).is_none());
        assert!(settled(vec![f32::NAN; 1320]).is_none());
        assert!(settled([head([2, 2, 2]), few(14)].concat()).is_none());
        // Of what is left, one voxel in a hundred has a value at least; of what is in the head, one may have none.
        let dot = |n: usize| {
            let mut values = vec![f32::NAN; 1320];
            (0..n).for_each(|i| values[(4 + i / 4) * 132 + 5 * 12 + 3 + i % 4] = 1.0);
            settled(values).is_some()
        };
        assert!(dot(13) && !dot(12));
        let mut specks = head([2, 2, 2]);
        let mut speck = |i: usize| specks[(3 + i / 6) * 132 + 5 * 12 + 3 + i % 6] = f32::INFINITY;
        (0..13).for_each(&mut speck);
        assert_eq!(settled(specks.clone()).unwrap().0, "nan_background");
        specks[6 * 132 + 5 * 12 + 5] = f32::INFINITY;
        assert!(settled(specks).is_none());
        let infinite = head([2, 2, 2]).into_iter().map(|v| if v.is_nan() { f32::INFINITY } else { v }).collect();
        assert!(settled(infinite).is_none());
    }
}
