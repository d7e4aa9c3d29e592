//! Images as other scanners store them: axes swapped and turned round, the head where it was.

use super::nifti::{File, gzip};
use std::path::Path;

/// Which way an axis of the file goes: the axis of the head (0 to the right, 1 to the front, 2 to the top), and whether it goes
/// to the other side.
pub type Axis = (usize, bool);

/// The axes of a file by the letters of its directions, such as `LAS`.
pub fn axes(letters: &str) -> [Axis; 3] {
    let axis = |letter: char| ["RL", "AP", "SI"].iter().position(|both| both.contains(letter)).unwrap();
    let mut all = letters.chars().map(|letter| (axis(letter), "LPI".contains(letter)));
    std::array::from_fn(|_| all.next().unwrap())
}

/// Stores an image with other axes.
pub fn store(path: &Path, axes: [Axis; 3]) {
    let image = nifti::read(path).unwrap();
    let (nt, nz, ny, nx) = image.data.dim();
    let (shape, affine) = ([nx, ny, nz], image.header.grid().affine);
    let stored = axes.map(|(axis, _)| shape[axis]);
    let mut data = Vec::new();
    for n in 0..nt * nx * ny * nz {
        let at = [n % stored[0], n / stored[0] % stored[1], n / (stored[0] * stored[1]) % stored[2]];
        let mut from = [0; 3];
        axes.iter().zip(at).for_each(|((axis, turned), at)| {
            from[*axis] = if *turned { shape[*axis] - 1 - at } else { at };
        });
        data.extend(image.data[[n / (nx * ny * nz), from[2], from[1], from[0]]].to_le_bytes());
    }
    let dim: Vec<i64> = stored.into_iter().chain((nt > 1).then_some(nt)).map(|n| n as i64).collect();
    let mut file = File::new(&dim).voxels(16, 32, data);
    for (row, from) in file.srow.iter_mut().zip(&affine) {
        row[3] = from[3];
        for (n, (axis, turned)) in axes.into_iter().enumerate() {
            row[n] = if turned { -from[axis] } else { from[axis] };
            row[3] += if turned { from[axis] * (shape[axis] - 1) as f64 } else { 0.0 };
        }
    }
    let [dz, dy, dx] = image.header.grid().voxel_mm;
    file.pixdim[1..4].copy_from_slice(&axes.map(|(axis, _)| [dx, dy, dz][axis]));
    file.pixdim[4] = image.header.tr_seconds().unwrap_or(0.0);
    std::fs::write(path, gzip(&file.bytes())).unwrap();
}

/// A direction of phase encoding in the axes of such a file.
pub fn direction(axis: usize, negative: bool, axes: [Axis; 3]) -> String {
    let n = axes.iter().position(|(of, _)| *of == axis).unwrap();
    format!("{}{}", ["i", "j", "k"][n], if negative != axes[n].1 { "-" } else { "" })
}
