//! Cubic B-splines along y alone, the axis of phase encoding: an image at places that are shifted along it.
//!
//! A shift along one axis needs 4 coefficients where a spline in space needs 64, and leaves the other axes as they are.

use rayon::prelude::*;

use super::parallel::slabs;
use crate::interpolate::{PAD, mirror, prefilter_strided, weights};

/// The coefficients of a volume, x contiguous, with a mirrored border along y.
pub(super) struct Columns {
    /// `(nz, ny, nx)` of the volume.
    shape: [usize; 3],
    coefficients: Vec<f32>,
}

impl Columns {
    /// So that the spline passes through every voxel of `volume` of `shape` `(nz, ny, nx)`.
    pub(super) fn new(volume: &[f32], shape: [usize; 3]) -> Self {
        let [nz, ny, nx] = shape;
        let padded = (ny + 2 * PAD) * nx;
        let mut coefficients = vec![0.0; nz * padded];
        // The gain of the prefilter, which leaves a single sample as it is.
        let gain = if ny > 1 { 6.0 } else { 1.0 };
        let from = volume.par_chunks((ny * nx).max(1));
        slabs(&mut coefficients, padded).zip(from).for_each(|((_, slab), from)| {
            let inner = &mut slab[PAD * nx..(PAD + ny) * nx];
            inner.iter_mut().zip(from).for_each(|(c, v)| *c = gain * v);
            prefilter_strided(inner, nx, ny);
            for border in (0..PAD).chain(PAD + ny..ny + 2 * PAD) {
                let source = PAD + mirror(border as isize - PAD as isize, ny);
                slab.copy_within(source * nx..(source + 1) * nx, border * nx);
            }
        });
        Self { shape, coefficients }
    }

    fn slab(&self, z: usize) -> &[f32] {
        let padded = (self.shape[1] + 2 * PAD) * self.shape[2];
        &self.coefficients[z * padded..(z + 1) * padded]
    }

    /// The first of four coefficients of the column `x` and how far behind the second the place `y` lies; `None` more than
    /// a voxel outside. In between the outermost value holds: a head that reaches the edge of the image must not end at
    /// half a voxel, or its edge pulls at the shift.
    #[inline]
    fn place(&self, x: usize, y: f32) -> Option<(usize, f32)> {
        // Not a number compares false.
        if !(y >= -1.0 && y <= self.shape[1] as f32) {
            return None;
        }
        let shifted = y.clamp(0.0, self.shape[1] as f32 - 1.0) + PAD as f32;
        let base = shifted as usize;
        Some(((base - 1) * self.shape[2] + x, shifted - base as f32))
    }

    #[inline]
    fn taps<'a>(&self, slab: &'a [f32], at: usize) -> Option<[&'a f32; 4]> {
        let nx = self.shape[2];
        let taps = slab.get(at..at + 3 * nx + 1)?;
        Some([taps.first()?, taps.get(nx)?, taps.get(2 * nx)?, taps.get(3 * nx)?])
    }

    /// Slab `z` at `y + scale · shift`, where `shift` has a value for each of its voxels; 0 outside.
    pub(super) fn shifted(&self, z: usize, shift: &[f32], scale: f32, out: &mut [f32]) {
        let (slab, nx) = (self.slab(z), self.shape[2]);
        for (j, (shift, out)) in shift.chunks_exact(nx).zip(out.chunks_exact_mut(nx)).enumerate() {
            for (x, (u, v)) in shift.iter().zip(out).enumerate() {
                let found = self.place(x, j as f32 + scale * u).and_then(|(at, t)| Some((self.taps(slab, at)?, t)));
                *v = found.map_or(0.0, |(c, t)| blend(c, weights(t)));
            }
        }
    }

    /// The same with the derivative along y.
    pub(super) fn shifted_with_slope(&self, z: usize, shift: &[f32], scale: f32, out: &mut [f32], slope: &mut [f32]) {
        let (slab, nx) = (self.slab(z), self.shape[2]);
        let rows = shift.chunks_exact(nx).zip(out.chunks_exact_mut(nx)).zip(slope.chunks_exact_mut(nx));
        for (j, ((shift, out), slope)) in rows.enumerate() {
            for (x, ((u, v), d)) in shift.iter().zip(out).zip(slope).enumerate() {
                let found = self.place(x, j as f32 + scale * u).and_then(|(at, t)| Some((self.taps(slab, at)?, t)));
                (*v, *d) = found.map_or((0.0, 0.0), |(c, t)| (blend(c, weights(t)), blend(c, slopes(t))));
            }
        }
    }
}

#[inline]
fn blend(c: [&f32; 4], w: [f32; 4]) -> f32 {
    (w[0] * c[0] + w[1] * c[1]) + (w[2] * c[2] + w[3] * c[3])
}

/// The derivatives of [`weights`].
#[inline]
fn slopes(t: f32) -> [f32; 4] {
    let s = 1.0 - t;
    [-0.5 * s * s, (1.5 * t - 2.0) * t, (2.0 - 1.5 * s) * s, 0.5 * t * t]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_along_y_is_met_between_voxels_with_its_slope() {
        let (ny, nx) = (40, 3);
        let wave = |y: f32, x: usize| (y * 0.4 + x as f32).sin();
        let volume: Vec<f32> = (0..2 * ny * nx).map(|n| wave((n / nx % ny) as f32, n % nx)).collect();
        let columns = Columns::new(&volume, [2, ny, nx]);
        let shift: Vec<f32> = (0..ny * nx).map(|n| (n % 7) as f32 * 0.3 - 1.0).collect();
        let (mut value, mut slope, mut alone) = (vec![0.0; ny * nx], vec![0.0; ny * nx], vec![0.0; ny * nx]);
        columns.shifted_with_slope(1, &shift, -1.0, &mut value, &mut slope);
        columns.shifted(1, &shift, -1.0, &mut alone);
        assert_eq!(alone, value);
        for n in 10 * nx..30 * nx {
            let y = (n / nx) as f32 - shift[n];
            assert!((value[n] - wave(y, n % nx)).abs() < 1e-3, "{n}");
            assert!((slope[n] - 0.4 * (y * 0.4 + (n % nx) as f32).cos()).abs() < 3e-3, "{n}");
        }
    }

    #[test]
    fn nothing_is_seen_outside_and_nothing_breaks_on_any_number() {
        for ny in [1, 2, 5] {
            let columns = Columns::new(&vec![2.0; ny], [1, ny, 1]);
            let mut out = vec![1.0; ny];
            columns.shifted(0, &vec![0.0; ny], 1.0, &mut out);
            assert!(out.iter().all(|v| (v - 2.0).abs() < 1e-5), "{out:?}");
            for wrong in [f32::NAN, f32::INFINITY, -1e30, ny as f32 + 0.1] {
                columns.shifted(0, &vec![wrong; ny], 1.0, &mut out);
                assert!(out.iter().all(|v| *v == 0.0), "{wrong}: {out:?}");
            }
        }
    }
}
