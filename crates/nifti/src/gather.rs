//! Reorders the axes of a volume while converting its voxels, in tiles that stay in the cache whatever the order.

use rayon::prelude::*;

/// Voxels along each side of a tile: 16 lines of 16 voxels of either side fit the first-level cache.
const TILE: usize = 16;

/// A way through a volume: the destination `(slowest, …, fastest)` has extents `dims` in standard layout, and its voxel
/// `(a, b, c)` comes from the source's voxel `offset + a·strides[0] + b·strides[1] + c·strides[2]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    pub dims: [usize; 3],
    pub strides: [isize; 3],
    pub offset: isize,
}

impl Walk {
    /// The same way, for `count` slabs of the slowest destination axis from `first` on.
    pub(crate) fn slabs(self, first: usize, count: usize) -> Self {
        let offset = self.offset + first as isize * self.strides[0];
        Self { dims: [count, self.dims[1], self.dims[2]], offset, ..self }
    }
}

/// Fills `dst` with `f` of the source's voxels along `walk`, slabs in parallel. `dst` holds exactly the walk's voxels.
pub(crate) fn gather<S, D>(src: &[S], dst: &mut [D], walk: Walk, f: impl Fn(S) -> D + Sync)
where
    S: Copy + Sync,
    D: Send,
{
    let slab = walk.dims[1] * walk.dims[2];
    dst.par_chunks_mut(TILE * slab).enumerate().for_each(|(n, out)| {
        gather_serial(src, out, walk.slabs(n * TILE, out.len() / slab), &f);
    });
}

/// [`gather`] on the calling thread.
pub(crate) fn gather_serial<S: Copy, D>(src: &[S], dst: &mut [D], walk: Walk, f: impl Fn(S) -> D) {
    let [na, nb, nc] = walk.dims;
    let [sa, sb, sc] = walk.strides;
    let at =
        |a: usize, b: usize, c: usize| (walk.offset + a as isize * sa + b as isize * sb + c as isize * sc) as usize;
    if sc.abs() == 1 {
        for (line, out) in dst.chunks_exact_mut(nc).enumerate() {
            let (a, b) = (line / nb, line % nb);
            let first = at(a, b, if sc > 0 { 0 } else { nc - 1 });
            let line = &src[first..first + nc];
            if sc > 0 {
                out.iter_mut().zip(line).for_each(|(o, &s)| *o = f(s));
            } else {
                out.iter_mut().zip(line.iter().rev()).for_each(|(o, &s)| *o = f(s));
            }
        }
        return;
    }
    let tiles = |n: usize| (0..n).step_by(TILE).map(move |first| (first, (first + TILE).min(n)));
    for (a0, a1) in tiles(na) {
        for (b0, b1) in tiles(nb) {
            for (c0, c1) in tiles(nc) {
                for a in a0..a1 {
                    for b in b0..b1 {
                        let line = (a * nb + b) * nc;
                        for (c, out) in (c0..c1).zip(&mut dst[line + c0..line + c1]) {
                            *out = f(src[at(a, b, c)]);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_axis_order_and_flip_matches_the_definition() {
        let disk = [19_usize, 5, 34];
        let src: Vec<u32> = (0..disk.iter().product::<usize>() as u32).collect();
        let step = [1_isize, disk[0] as isize, (disk[0] * disk[1]) as isize];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            for flips in 0..8 {
                let (mut walk, mut want) = (Walk { dims: [0; 3], strides: [0; 3], offset: 0 }, Vec::new());
                for d in 0..3 {
                    let (n, s) = (disk[order[d]], step[order[d]]);
                    let flip = flips >> d & 1 == 1;
                    walk.dims[d] = n;
                    walk.strides[d] = if flip { -s } else { s };
                    walk.offset += if flip { (n as isize - 1) * s } else { 0 };
                }
                for a in 0..walk.dims[0] as isize {
                    for b in 0..walk.dims[1] as isize {
                        for c in 0..walk.dims[2] as isize {
                            let [sa, sb, sc] = walk.strides;
                            want.push(2 * src[(walk.offset + a * sa + b * sb + c * sc) as usize]);
                        }
                    }
                }
                let mut got = vec![0; src.len()];
                gather(&src, &mut got, walk, |v| 2 * v);
                assert_eq!(got, want, "{order:?} {flips:03b}");
            }
        }
    }
}
