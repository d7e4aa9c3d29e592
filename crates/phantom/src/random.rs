//! Seeded randomness: independent streams, and smooth random fields with a chosen wavelength.

use super::shapes::Point;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// What a stream of random numbers is for. Each use of a seed has its own stream, so that one can change alone.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    Anatomy,
    Folding,
    Layers,
    Tissue,
    Texture,
    Pose,
    Coil,
    Noise,
    Motion,
    Networks,
    OffResonance,
    Fieldmap,
    FieldmapNoise,
}

/// A generator for one use of a seed; `part` tells apart the pieces (slabs, volumes) that are drawn in parallel.
pub(super) fn stream(seed: u64, stream: Stream, part: u32) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((stream as u64) << 32) | u64::from(part));
    rng
}

/// A seed made from labels (FNV-1a), so that a participant's head does not depend on how many others there are.
pub(super) fn seed_of(base: u64, labels: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ base.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for label in labels {
        for byte in label.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// How a [`Field`] varies in space.
pub(super) struct Waves {
    /// Centre wavelength, mm.
    pub wavelength: f32,
    /// Standard deviation of the wavenumber relative to its mean.
    pub bandwidth: f32,
    /// Number of plane waves summed.
    pub count: usize,
    /// Distance of lattice points, mm.
    pub spacing: f32,
    /// The field covers the box from minus to plus this, mm.
    pub extent: Point,
}

/// Waves are summed in groups that fit vector registers.
const LANES: usize = 8;

/// One plane wave.
struct Wave {
    k: Point,
    phase: f32,
}

/// The phasors of a group of waves at one lattice point, and their turn from one point to the next along x.
#[derive(Clone, Copy, Default)]
struct Phasors {
    re: [f32; LANES],
    im: [f32; LANES],
    turn_re: [f32; LANES],
    turn_im: [f32; LANES],
}

/// A zero-mean, unit-variance random field kept on a lattice and interpolated linearly.
///
/// It is a sum of plane waves of random direction and phase, which tends to a Gaussian field of the given spectrum as
/// the number of waves grows (Shinozuka & Jan 1972, J Sound Vib 25:111); one multiplication per wave and lattice point
/// makes it cheaper than a Fourier transform.
pub(super) struct Field {
    size: [usize; 3],
    origin: Point,
    spacing: f32,
    data: Vec<f32>,
}

impl Field {
    /// Draws a field.
    pub(super) fn new(rng: &mut ChaCha8Rng, shape: &Waves) -> Self {
        let waves: Vec<Wave> = (0..shape.count).map(|_| Wave::draw(rng, shape)).collect();
        let size = shape.extent.map(|e| (2.0 * e / shape.spacing).ceil() as usize + 1);
        let origin = shape.extent.map(|e| -e);
        let mut data = vec![0.0_f32; size[0] * size[1] * size[2]];
        let gain = (2.0 / shape.count as f32).sqrt();
        data.par_chunks_mut(size[0]).enumerate().for_each(|(row, line)| {
            let y = origin[1] + (row % size[1]) as f32 * shape.spacing;
            let z = origin[2] + (row / size[1]) as f32 * shape.spacing;
            let mut groups: Vec<Phasors> =
                waves.chunks(LANES).map(|g| Phasors::at(g, [origin[0], y, z], shape.spacing)).collect();
            for value in line {
                let mut sum = [0.0_f32; LANES];
                for group in &mut groups {
                    group.add_and_turn(&mut sum);
                }
                *value = gain * sum.iter().sum::<f32>();
            }
        });
        Self { size, origin, spacing: shape.spacing, data }
    }

    /// The field's value at a point; constant beyond the box.
    #[inline]
    pub(super) fn at(&self, p: Point) -> f32 {
        let mut base = [0_usize; 3];
        let mut t = [0.0_f32; 3];
        for a in 0..3 {
            let top = (self.size[a] - 1) as f32 - 1e-3;
            let x = ((p[a] - self.origin[a]) / self.spacing).clamp(0.0, top);
            base[a] = x as usize;
            t[a] = x - base[a] as f32;
        }
        let (dy, dz) = (self.size[0], self.size[0] * self.size[1]);
        let first = base[0] + base[1] * dy + base[2] * dz;
        let line = |at: usize| self.data[at] + (self.data[at + 1] - self.data[at]) * t[0];
        let plane = |at: usize| {
            let low = line(at);
            low + (line(at + dy) - low) * t[1]
        };
        let low = plane(first);
        low + (plane(first + dz) - low) * t[2]
    }
}

impl Wave {
    fn draw(rng: &mut ChaCha8Rng, shape: &Waves) -> Self {
        let (u, azimuth) = (rng.random_range(-1.0_f32..1.0), rng.random_range(0.0..std::f32::consts::TAU));
        // A triangular distribution around the mean keeps the wavenumber bounded away from zero.
        let spread = shape.bandwidth * 6.0_f32.sqrt() * (rng.random::<f32>() + rng.random::<f32>() - 1.0);
        let k = std::f32::consts::TAU / shape.wavelength * (1.0 + spread).max(0.1);
        let flat = (1.0 - u * u).sqrt();
        Self {
            k: [k * flat * azimuth.cos(), k * flat * azimuth.sin(), k * u],
            phase: rng.random_range(0.0..std::f32::consts::TAU),
        }
    }
}

impl Phasors {
    fn at(waves: &[Wave], p: Point, step: f32) -> Self {
        let mut out = Self::default();
        for (lane, wave) in waves.iter().enumerate() {
            let angle = wave.phase + wave.k[0] * p[0] + wave.k[1] * p[1] + wave.k[2] * p[2];
            (out.im[lane], out.re[lane]) = angle.sin_cos();
            (out.turn_im[lane], out.turn_re[lane]) = (wave.k[0] * step).sin_cos();
        }
        out
    }

    #[inline]
    fn add_and_turn(&mut self, sum: &mut [f32; LANES]) {
        let turns = self.turn_re.iter().zip(&self.turn_im);
        for (((re, im), (turn_re, turn_im)), sum) in self.re.iter_mut().zip(&mut self.im).zip(turns).zip(sum) {
            *sum += *re;
            (*re, *im) = (*re * turn_re - *im * turn_im, *re * turn_im + *im * turn_re);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_unit_variance_and_its_wavelength() {
        let shape = Waves { wavelength: 20.0, bandwidth: 0.2, count: 64, spacing: 2.0, extent: [80.0; 3] };
        let field = Field::new(&mut stream(3, Stream::Folding, 0), &shape);
        let n = field.data.len() as f32;
        let mean = field.data.iter().sum::<f32>() / n;
        let var = field.data.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n;
        assert!(mean.abs() < 0.1 && (var - 1.0).abs() < 0.15, "mean {mean}, variance {var}");
        // Half a wavelength away along a line the field is anti-correlated (sinc of k d).
        let (mut far, mut near) = (0.0, 0.0);
        for i in 0..4000 {
            let p = [(i % 60) as f32 - 30.0, ((i / 60) % 60) as f32 - 30.0, (i % 37) as f32 - 18.0];
            far += field.at(p) * field.at([p[0] + 13.0, p[1], p[2]]) / 4000.0;
            near += field.at(p) * field.at([p[0] + 2.0, p[1], p[2]]) / 4000.0;
        }
        assert!(near > 0.7 && far < 0.1, "near {near}, far {far}");
    }

    #[test]
    fn streams_and_labels_give_different_seeds() {
        assert_ne!(seed_of(1, &["01"]), seed_of(1, &["02"]));
        assert_ne!(seed_of(1, &["01", "2"]), seed_of(1, &["012"]));
        assert_ne!(seed_of(1, &["01"]), seed_of(2, &["01"]));
        let draw = |s| stream(5, s, 0).random::<u64>();
        assert_ne!(draw(Stream::Noise), draw(Stream::Coil));
    }
}
