//! Cubic B-splines on a regular grid: the interpolation behind motion estimation and resampling.
//!
//! The coefficients sit in a buffer with a mirrored border, so that the 4×4×4 neighbourhood of any point of the grid is
//! read without a test per axis. Source: Unser M., Aldroubi A., Eden M., "B-spline signal processing", IEEE Trans. Signal
//! Process. 41(2), 1993.

use crate::rigid::Matrix4;

/// Voxels of border on each side: a point up to half a voxel outside the grid reaches two voxels out.
pub(super) const PAD: usize = 2;
/// Points of a line that are computed together; the buffer has as many values behind its end, so that none is read past it.
pub(super) const LANES: usize = 8;
/// The pole of the cubic B-spline prefilter, √3 − 2.
const POLE: f32 = -0.267_949_2;
/// Samples after which the pole's power is below single precision.
const HORIZON: usize = 16;

/// The B-spline coefficients of one volume.
pub struct SplineVolume {
    pub(super) shape: [usize; 3],
    pub(super) padded: [usize; 3],
    /// With room at the end for what lanes beyond the last voxel read.
    pub(super) data: Vec<f32>,
}

impl SplineVolume {
    /// Room for a volume of shape `(nz, ny, nx)`; every coefficient is 0.
    #[must_use]
    pub fn new(shape: [usize; 3]) -> Self {
        let padded = shape.map(|n| n + 2 * PAD);
        Self { shape, padded, data: vec![0.0; padded.iter().product::<usize>() + LANES] }
    }

    /// Shape `(nz, ny, nx)` of the volume.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Takes `volume` (x contiguous, `nz·ny·nx` values) so that the spline passes through every voxel.
    pub fn interpolate(&mut self, volume: &[f32]) {
        let [nz, ny, nx] = self.shape;
        // The gain of the prefilter, 6 for each axis that has more than one sample.
        let gain: f32 = self.shape.iter().map(|&n| if n > 1 { 6.0 } else { 1.0 }).product();
        self.copy_in(volume, gain);
        let [_, py, px] = self.padded;
        for k in 0..nz {
            let plane = &mut self.data[(k + PAD) * py * px..(k + PAD + 1) * py * px];
            prefilter_rows(&mut plane[PAD * px..(PAD + ny) * px], px, nx);
            prefilter_strided(&mut plane[PAD * px..(PAD + ny) * px], px, ny);
        }
        prefilter_strided(&mut self.data[PAD * py * px..(PAD + nz) * py * px], py * px, nz);
        self.mirror_border();
    }

    /// Takes the voxels of `volume` as they are for coefficients: the spline is then the volume smoothed by the cubic
    /// B-spline itself (σ = 0.58 voxel), which holds back the frequencies that aliasing folds.
    pub fn approximate(&mut self, volume: &[f32]) {
        self.copy_in(volume, 1.0);
        self.mirror_border();
    }

    /// The value at voxel coordinates `[x, y, z]`, or `None` more than half a voxel outside the grid.
    #[must_use]
    #[inline]
    pub fn sample(&self, p: [f32; 3]) -> Option<f32> {
        let [nz, ny, nx] = self.shape;
        let inside = |v: f32, n: usize| v >= -0.5 && v <= n as f32 - 0.5;
        if !(inside(p[0], nx) && inside(p[1], ny) && inside(p[2], nz)) {
            return None;
        }
        let ((ix, wx), (iy, wy), (iz, wz)) = (place(p[0]), place(p[1]), place(p[2]));
        let [_, py, px] = self.padded;
        let mut lanes = [0.0_f32; 4];
        for (dz, wz) in wz.iter().enumerate() {
            let start = ((iz + dz) * py + iy) * px + ix;
            let rows = self.data.get(start..start + 3 * px + 4)?;
            for (dy, wy) in wy.iter().enumerate() {
                let w = wz * wy;
                let row = rows.get(dy * px..dy * px + 4)?;
                for (lane, c) in lanes.iter_mut().zip(row) {
                    *lane += w * c;
                }
            }
        }
        Some((lanes[0] * wx[0] + lanes[1] * wx[1]) + (lanes[2] * wx[2] + lanes[3] * wx[3]))
    }

    /// The value and its derivative along `[x, y, z]` (per voxel) at the voxel `(k, j, i)`.
    #[must_use]
    pub fn node(&self, k: usize, j: usize, i: usize) -> (f32, [f32; 3]) {
        const VALUE: [f32; 3] = [1.0 / 6.0, 4.0 / 6.0, 1.0 / 6.0];
        const SLOPE: [f32; 3] = [-0.5, 0.0, 0.5];
        let [_, py, px] = self.padded;
        let (mut value, mut slope) = (0.0, [0.0; 3]);
        for dz in 0..3 {
            for dy in 0..3 {
                let start = ((k + PAD + dz - 1) * py + j + PAD + dy - 1) * px + i + PAD - 1;
                for (dx, c) in self.data[start..start + 3].iter().enumerate() {
                    value += c * VALUE[dz] * VALUE[dy] * VALUE[dx];
                    slope[0] += c * VALUE[dz] * VALUE[dy] * SLOPE[dx];
                    slope[1] += c * VALUE[dz] * SLOPE[dy] * VALUE[dx];
                    slope[2] += c * SLOPE[dz] * VALUE[dy] * VALUE[dx];
                }
            }
        }
        (value, slope)
    }

    /// Writes to `out` (same shape) the value at `map · (i, j, k)` for every voxel, where `map` takes voxel coordinates
    /// to voxel coordinates; 0 more than half a voxel outside the grid.
    pub fn resample_into(&self, map: &Matrix4, out: &mut [f32]) {
        let [_, ny, nx] = self.shape;
        for (row, line) in out.chunks_exact_mut(nx).enumerate() {
            let (k, j) = ((row / ny) as f64, (row % ny) as f64);
            let start: [f64; 3] = std::array::from_fn(|a| map[a][1] * j + map[a][2] * k + map[a][3]);
            self.sample_line(start, std::array::from_fn(|a| map[a][0]), &self.known(), 0.0, line);
        }
    }

    fn copy_in(&mut self, volume: &[f32], gain: f32) {
        let ([_, ny, nx], [_, py, px]) = (self.shape, self.padded);
        for (row, line) in volume.chunks_exact(nx).enumerate() {
            let start = ((row / ny + PAD) * py + row % ny + PAD) * px + PAD;
            for (to, from) in self.data[start..start + nx].iter_mut().zip(line) {
                *to = from * gain;
            }
        }
    }

    /// Fills the border by mirroring about the outermost voxels, the boundary the prefilter assumes.
    fn mirror_border(&mut self) {
        let ([nz, ny, nx], [_, py, px]) = (self.shape, self.padded);
        for row in 0..nz * ny {
            let start = ((row / ny + PAD) * py + row % ny + PAD) * px;
            for b in 0..PAD {
                self.data[start + b] = self.data[start + PAD + mirror(b as isize - PAD as isize, nx)];
                self.data[start + PAD + nx + b] = self.data[start + PAD + mirror((nx + b) as isize, nx)];
            }
        }
        for k in PAD..PAD + nz {
            for b in (0..PAD).chain(PAD + ny..py) {
                let from = k * py + PAD + mirror(b as isize - PAD as isize, ny);
                self.data.copy_within(from * px..(from + 1) * px, (k * py + b) * px);
            }
        }
        for b in (0..PAD).chain(PAD + nz..PAD + nz + PAD) {
            let from = PAD + mirror(b as isize - PAD as isize, nz);
            self.data.copy_within(from * py * px..(from + 1) * py * px, b * py * px);
        }
    }
}

/// The index inside `0..n` that mirrors `i` about the first and last sample.
pub(super) fn mirror(i: isize, n: usize) -> usize {
    if n == 1 {
        return 0;
    }
    let period = 2 * (n as isize - 1);
    let m = i.rem_euclid(period);
    m.min(period - m) as usize
}

/// The first of the four coefficients that reach the coordinate `v ≥ −0.5`, in the padded buffer, and their weights.
#[inline]
fn place(v: f32) -> (usize, [f32; 4]) {
    let shifted = v + PAD as f32;
    let base = shifted as usize;
    (base - 1, weights(shifted - base as f32))
}

/// The weights of the four coefficients around a point that lies the part `t` of a voxel behind the second.
#[inline]
pub(super) fn weights(t: f32) -> [f32; 4] {
    let s = 1.0 - t;
    [
        s * s * s * (1.0 / 6.0),
        2.0 / 3.0 - 0.5 * t * t * (2.0 - t),
        2.0 / 3.0 - 0.5 * s * s * (2.0 - s),
        t * t * t * (1.0 / 6.0),
    ]
}

/// Filters the first `n` samples after the border of each row of `width` values (gain left out).
fn prefilter_rows(rows: &mut [f32], width: usize, n: usize) {
    if n == 1 {
        return;
    }
    let start = CausalStart::new(n);
    for row in rows.chunks_exact_mut(width) {
        let line = &mut row[PAD..PAD + n];
        line[0] = start.samples().fold(0.0, |sum, i| line[i] + POLE * sum) * start.scale;
        for i in 1..n {
            line[i] += POLE * line[i - 1];
        }
        line[n - 1] = POLE / (POLE * POLE - 1.0) * (line[n - 1] + POLE * line[n - 2]);
        for i in (0..n - 1).rev() {
            line[i] = POLE * (line[i + 1] - line[i]);
        }
    }
}

/// Filters along the outer axis of `n` layers of `stride` values each, all columns of a layer at once (gain left out).
pub(super) fn prefilter_strided(layers: &mut [f32], stride: usize, n: usize) {
    if n == 1 {
        return;
    }
    let start = CausalStart::new(n);
    let mut first = vec![0.0_f32; stride];
    for i in start.samples() {
        for (sum, value) in first.iter_mut().zip(&layers[i * stride..]) {
            *sum = value + POLE * *sum;
        }
    }
    for (value, sum) in layers.iter_mut().zip(&first) {
        *value = sum * start.scale;
    }
    for i in 1..n {
        let (before, after) = layers.split_at_mut(i * stride);
        for (value, previous) in after[..stride].iter_mut().zip(&before[(i - 1) * stride..]) {
            *value += POLE * previous;
        }
    }
    let (before, last) = layers.split_at_mut((n - 1) * stride);
    for (value, previous) in last.iter_mut().zip(&before[(n - 2) * stride..]) {
        *value = POLE / (POLE * POLE - 1.0) * (*value + POLE * previous);
    }
    for i in (0..n - 1).rev() {
        let (before, after) = layers.split_at_mut((i + 1) * stride);
        for (value, next) in before[i * stride..].iter_mut().zip(after.iter()) {
            *value = POLE * (next - *value);
        }
    }
}

/// How the first output of the causal filter follows from the samples under mirror boundaries: the sum over one period
/// for short lines, cut at the pole's reach for long ones (Unser 1993, eq. 2.5).
struct CausalStart {
    n: usize,
    scale: f32,
}

impl CausalStart {
    fn new(n: usize) -> Self {
        let scale = if n > HORIZON { 1.0 } else { 1.0 / (1.0 - POLE.powi(2 * (n as i32 - 1))) };
        Self { n, scale }
    }

    /// The samples to sum, the one with the highest power of the pole first (Horner's order).
    fn samples(&self) -> impl Iterator<Item = usize> {
        let period = 2 * (self.n - 1);
        let terms = if self.n > HORIZON { HORIZON } else { period };
        (0..terms).rev().map(move |i| i.min(period - i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rigid::IDENTITY;

    fn wave(shape: [usize; 3]) -> Vec<f32> {
        let [nz, ny, nx] = shape;
        let value = |v: usize| {
            let (i, j, k) = (v % nx, v / nx % ny, v / nx / ny);
            (i as f32 * 0.7).sin() * 3.0 + (j as f32 * 0.5).cos() + (k as f32 * 0.9 + i as f32 * 0.2).sin()
        };
        (0..nz * ny * nx).map(value).collect()
    }

    #[test]
    fn the_spline_passes_through_every_voxel_of_any_shape() {
        for shape in [[1, 1, 1], [1, 2, 3], [2, 5, 1], [9, 20, 31]] {
            let volume = wave(shape);
            let mut spline = SplineVolume::new(shape);
            spline.interpolate(&volume);
            let mut out = vec![0.0; volume.len()];
            spline.resample_into(&IDENTITY, &mut out);
            let worst = out.iter().zip(&volume).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-5, "{shape:?}: {worst}");
        }
    }

    #[test]
    fn a_smooth_wave_is_met_between_the_voxels() {
        let volume: Vec<f32> = (0..64).map(|i| (i as f32 * 0.4).sin()).collect();
        let mut spline = SplineVolume::new([1, 1, 64]);
        spline.interpolate(&volume);
        for step in 0..200 {
            let x = 16.0 + step as f32 * 0.16;
            let error = spline.sample([x, 0.0, 0.0]).unwrap() - (x * 0.4).sin();
            assert!(error.abs() < 2e-4, "{x}: {error}");
        }
    }

    #[test]
    fn approximation_keeps_a_ramp_and_its_slope() {
        let shape = [6, 7, 8];
        let volume: Vec<f32> =
            (0..336).map(|v| (v % 8) as f32 + 10.0 * (v / 8 % 7) as f32 - 3.0 * (v / 56) as f32).collect();
        let mut spline = SplineVolume::new(shape);
        spline.approximate(&volume);
        let (value, slope) = spline.node(3, 3, 4);
        assert!((value - 25.0).abs() < 1e-4, "{value}");
        assert!(slope.iter().zip([1.0, 10.0, -3.0]).all(|(a, b)| (a - b).abs() < 1e-4), "{slope:?}");
        assert!((spline.sample([3.25, 2.5, 2.75]).unwrap() - 20.0).abs() < 1e-4);
    }

    #[test]
    fn nothing_is_known_outside_the_grid() {
        let mut spline = SplineVolume::new([3, 3, 3]);
        spline.interpolate(&[1.0; 27]);
        assert!(spline.sample([2.6, 1.0, 1.0]).is_none());
        assert!(spline.sample([1.0, -0.6, 1.0]).is_none());
        assert!(spline.sample([1.0, 1.0, f32::NAN]).is_none());
        assert!((spline.sample([-0.5, 2.5, 1.0]).unwrap() - 1.0).abs() < 1e-5);
    }
}
