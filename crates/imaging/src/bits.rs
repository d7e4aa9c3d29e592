//! Masks of one bit per voxel, sixty-four of a row in one word, and how they grow and shrink.
//!
//! A ball is a stack of rows. So growing by a ball is: widen every row step by step, and at each width add the rows to
//! those neighbours, above and beside, at which the ball is just so wide. All of it works on whole words, costs no distance
//! and no floating-point number a voxel, and is exact in millimetres for any voxel size. Shrinking is growing of the rest.

use std::ops::Range;

use ndarray::{Array3, ArrayView3, ArrayViewMut3, Axis};
use rayon::prelude::*;

/// Voxels in a word.
const WORD: usize = u64::BITS as usize;

/// A mask; bits beyond the end of a row are never set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bits {
    shape: [usize; 3],
    /// Words in a row.
    wide: usize,
    words: Vec<u64>,
}

impl Bits {
    /// No voxels of a volume of this shape (nz, ny, nx).
    pub(crate) fn empty(shape: [usize; 3]) -> Self {
        let wide = shape[2].div_ceil(WORD);
        Self { shape, wide, words: vec![0; shape[0] * shape[1] * wide] }
    }

    /// The voxels that are `wanted`.
    pub(crate) fn of<T: Sync>(volume: ArrayView3<T>, wanted: impl Fn(&T) -> bool + Sync) -> Self {
        let (nz, ny, nx) = volume.dim();
        let mut out = Self::empty([nz, ny, nx]);
        let (per_plane, wide) = ((ny * out.wide).max(1), out.wide.max(1));
        let slices: Vec<_> = volume.axis_iter(Axis(0)).collect();
        out.words.par_chunks_mut(per_plane).zip(slices).for_each(|(plane, slice)| {
            for (row, line) in plane.chunks_exact_mut(wide).zip(slice.outer_iter()) {
                for (word, part) in row.iter_mut().zip(line.axis_chunks_iter(Axis(0), WORD)) {
                    let mut set = [0; WORD];
                    match part.to_slice().and_then(|part| part.first_chunk::<WORD>()) {
                        Some(full) => set.iter_mut().zip(full).for_each(|(set, v)| *set = u8::from(wanted(v))),
                        None => set.iter_mut().zip(part).for_each(|(set, v)| *set = u8::from(wanted(v))),
                    }
                    *word = pack(&set);
                }
            }
        });
        out
    }

    /// As an array of 0 and 1.
    pub(crate) fn to_mask(&self) -> Array3<u8> {
        let [nz, ny, nx] = self.shape;
        let mut out = Array3::zeros((nz, ny, nx));
        self.write(out.view_mut());
        out
    }

    /// Writes 0 and 1 into an array of the same shape.
    pub(crate) fn write(&self, mut out: ArrayViewMut3<u8>) {
        let slices: Vec<_> = out.axis_iter_mut(Axis(0)).collect();
        slices.into_par_iter().zip(self.planes()).for_each(|(mut slice, plane)| {
            for (mut line, row) in slice.outer_iter_mut().zip(plane.chunks_exact(self.wide.max(1))) {
                for (mut part, &word) in line.axis_chunks_iter_mut(Axis(0), WORD).zip(row) {
                    part.iter_mut().zip(unpack(word)).for_each(|(v, bit)| *v = bit);
                }
            }
        });
    }

    /// Shape (nz, ny, nx).
    pub(crate) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The words of every slice.
    fn planes(&self) -> rayon::slice::ChunksExact<'_, u64> {
        self.words.par_chunks_exact((self.shape[1] * self.wide).max(1))
    }

    /// The words of every row, in memory order.
    pub(crate) fn rows(&self) -> std::slice::ChunksExact<'_, u64> {
        self.words.chunks_exact(self.wide.max(1))
    }

    /// How many voxels each slice has.
    pub(crate) fn counts(&self) -> Vec<usize> {
        self.planes().map(|plane| plane.iter().map(|word| word.count_ones() as usize).sum()).collect()
    }

    /// Clears what lies outside these ranges of z, y and x.
    pub(crate) fn clear_outside(&mut self, [z, y, x]: [Range<usize>; 3]) {
        let mut keep = Self::empty([1, 1, self.shape[2]]);
        keep.set_run(0, x.start, x.end.max(x.start));
        let ny = self.shape[1].max(1);
        for (n, row) in self.words.chunks_exact_mut(self.wide.max(1)).enumerate() {
            let kept = z.contains(&(n / ny)) && y.contains(&(n % ny));
            row.iter_mut().zip(&keep.words).for_each(|(word, keep)| *word &= if kept { *keep } else { 0 });
        }
    }

    /// The indices `[k, j, i]` of the voxels that are set, in memory order.
    pub(crate) fn each(&self) -> impl Iterator<Item = [usize; 3]> {
        let (ny, wide) = (self.shape[1].max(1), self.wide.max(1));
        self.words.iter().enumerate().filter(|(_, word)| **word != 0).flat_map(move |(n, &word)| {
            let (row, first) = (n / wide, n % wide * WORD);
            (0..WORD).filter(move |i| word >> i & 1 != 0).map(move |i| [row / ny, row % ny, first + i])
        })
    }

    /// Whether the voxel at index `[k, j, i]` is set; it must lie inside.
    pub(crate) fn get(&self, [k, j, i]: [usize; 3]) -> bool {
        self.words[(k * self.shape[1] + j) * self.wide + i / WORD] >> (i % WORD) & 1 != 0
    }

    /// Sets the voxel at index `[k, j, i]`, which must lie inside, and says whether it was set before.
    pub(crate) fn set(&mut self, [k, j, i]: [usize; 3]) -> bool {
        let word = &mut self.words[(k * self.shape[1] + j) * self.wide + i / WORD];
        let before = *word >> (i % WORD) & 1 != 0;
        *word |= 1 << (i % WORD);
        before
    }

    /// Sets the voxels `from..to` of a row, which must lie inside.
    pub(crate) fn set_run(&mut self, row: usize, from: usize, to: usize) {
        let line = &mut self.words[row * self.wide..(row + 1) * self.wide];
        for (w, word) in line.iter_mut().enumerate().take(to.div_ceil(WORD)).skip(from / WORD) {
            let (low, high) = (from.saturating_sub(w * WORD), (to - w * WORD).min(WORD));
            *word |= (u64::MAX << low) & (u64::MAX >> (WORD - high));
        }
    }

    /// Combined word by word with another of the same shape; `f` must leave bits that are set in neither at 0.
    #[must_use]
    pub(crate) fn with(mut self, other: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        self.words.iter_mut().zip(&other.words).for_each(|(a, &b)| *a = f(*a, b));
        self
    }

    /// The voxels that are not set.
    #[must_use]
    pub(crate) fn not(&self) -> Self {
        let mut out = self.clone();
        out.words.iter_mut().for_each(|w| *w = !*w);
        out.trim();
        out
    }

    /// No voxels, of the same shape.
    #[must_use]
    pub(crate) fn none(&self) -> Self {
        Self { words: vec![0; self.words.len()], ..*self }
    }

    /// Clears the bits beyond the end of each row.
    fn trim(&mut self) {
        let used = self.shape[2] % WORD;
        if used > 0 {
            self.words
                .chunks_exact_mut(self.wide.max(1))
                .filter_map(|row| row.last_mut())
                .for_each(|w| *w &= (1 << used) - 1);
        }
    }

    /// Grown by a ball of `mm`; nothing beyond the volume counts.
    #[must_use]
    pub(crate) fn grown(&self, voxel_mm: [f64; 3], mm: f64) -> Self {
        let per_plane = (self.shape[1] * self.wide).max(1);
        let (mut out, mut wider) = (self.none(), self.clone());
        for (width, neighbours) in ball(self.shape, voxel_mm, mm).iter().enumerate() {
            if width > 0 {
                wider.widen();
            }
            let full: Vec<bool> = wider.planes().map(|plane| plane.iter().any(|&w| w != 0)).collect();
            out.words.par_chunks_exact_mut(per_plane).enumerate().for_each(|(k, plane)| {
                for &[dk, dj] in neighbours {
                    let Some(from) = k.checked_add_signed(dk).filter(|&from| full.get(from) == Some(&true)) else {
                        continue;
                    };
                    let source = &wider.words[from * per_plane..(from + 1) * per_plane];
                    let skip = dj.unsigned_abs() * self.wide;
                    let (to, source) =
                        if dj < 0 { (&mut plane[skip..], source) } else { (&mut plane[..], &source[skip..]) };
                    to.iter_mut().zip(source).for_each(|(to, &from)| *to |= from);
                }
            });
        }
        out
    }

    /// Shrunk by a ball of `mm`; the border of the volume does not eat into it.
    #[must_use]
    pub(crate) fn shrunk(&self, voxel_mm: [f64; 3], mm: f64) -> Self {
        self.not().grown(voxel_mm, mm).not()
    }

    /// Grows every row by one voxel at both ends.
    fn widen(&mut self) {
        let wide = self.wide.max(1);
        self.words.par_chunks_mut(wide * 64).for_each(|rows| {
            for row in rows.chunks_exact_mut(wide) {
                let mut before = 0;
                for i in 0..wide {
                    let (word, next) = (row[i], row.get(i + 1).copied().unwrap_or(0));
                    row[i] = word | word << 1 | word >> 1 | before >> (WORD - 1) | next << (WORD - 1);
                    before = word;
                }
            }
        });
        self.trim();
    }
}

/// Zeros and ones as bits, the first the lowest: the factor brings the lowest bits of eight bytes together in the highest
/// byte.
fn pack(set: &[u8; WORD]) -> u64 {
    let eight = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    set.as_chunks().0.iter().rev().fold(0, |word, bytes| word << 8 | eight(bytes))
}

/// The bits of a word as zeros and ones, the lowest first: eight copies of a byte, one bit left of each.
fn unpack(word: u64) -> [u8; WORD] {
    let mut out = [0; WORD];
    for (bytes, byte) in out.as_chunks_mut::<8>().0.iter_mut().zip(word.to_le_bytes()) {
        let one_each = (u64::from(byte) * 0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
        *bytes = (((one_each + 0x7f7f_7f7f_7f7f_7f7f) >> 7) & 0x0101_0101_0101_0101).to_le_bytes();
    }
    out
}

/// The neighbouring rows `[dk, dj]` of a ball by the number of voxels it reaches along x to each side of their middle.
fn ball(shape: [usize; 3], [dz, dy, dx]: [f64; 3], mm: f64) -> Vec<Vec<[isize; 2]>> {
    let reach = mm * mm + 1e-4;
    let span = |n: usize, step: f64| {
        let most = ((reach.sqrt() / step) as usize).min(n.saturating_sub(1)) as isize;
        -most..=most
    };
    let mut by_width = Vec::new();
    for dk in span(shape[0], dz) {
        for dj in span(shape[1], dy) {
            let left = reach - (dk as f64 * dz).powi(2) - (dj as f64 * dy).powi(2);
            if left >= 0.0 {
                let width = ((left.sqrt() / dx) as usize).min(shape[2]);
                by_width.resize(by_width.len().max(width + 1), Vec::new());
                by_width[width].push([dk, dj]);
            }
        }
    }
    by_width
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speckle(shape: (usize, usize, usize)) -> Array3<u8> {
        Array3::from_shape_fn(shape, |(k, j, i)| u8::from((k * 31 + j * 17 + i * 7 + i * i) % 97 < 3))
    }

    #[test]
    fn a_mask_survives_the_way_there_and_back_and_so_does_its_rest() {
        for nx in [1, 63, 64, 65, 130] {
            let mask = speckle((3, 5, nx));
            let bits = Bits::of(mask.view(), |&m| m != 0);
            assert_eq!(bits.to_mask(), mask);
            assert_eq!(bits.not().to_mask(), mask.mapv(|m| 1 - m));
            let set: Vec<[usize; 3]> =
                mask.indexed_iter().filter(|(_, m)| **m != 0).map(|((k, j, i), _)| [k, j, i]).collect();
            assert_eq!((set.len() + bits.not().each().count(), bits.not().not()), (15 * nx, bits.clone()));
            assert_eq!(bits.each().collect::<Vec<_>>(), set);
            assert!(set.iter().all(|&at| bits.get(at)) && !set.iter().any(|&at| bits.not().get(at)));
        }
    }

    #[test]
    fn runs_and_single_voxels_are_set_across_words() {
        let mut bits = Bits::of(Array3::<u8>::zeros((1, 2, 200)).view(), |&m| m != 0);
        bits.set_run(1, 60, 130);
        bits.set_run(1, 3, 3);
        assert!(!bits.set([0, 0, 199]) && bits.set([0, 0, 199]));
        let expected = Array3::from_shape_fn((1, 2, 200), |(_, j, i)| {
            u8::from(if j == 1 { (60..130).contains(&i) } else { i == 199 })
        });
        assert_eq!(bits.to_mask(), expected);
    }

    #[test]
    fn a_ball_wider_than_the_volume_fills_it() {
        let mut bits = Bits::of(Array3::<u8>::zeros((3, 4, 70)).view(), |&m| m != 0);
        assert_eq!(bits.grown([1.0; 3], 500.0).each().count(), 0);
        bits.set([1, 3, 69]);
        assert_eq!(bits.grown([1.0; 3], 500.0).each().count(), 3 * 4 * 70);
        assert_eq!(bits.shrunk([1.0; 3], 1.0).each().count(), 0);
    }
}
