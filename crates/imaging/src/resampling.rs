//! A series brought to another grid in one interpolation: from each voxel of the grid straight to its place in the volume as
//! it was scanned, through whatever lies between (a warp, a coregistration, the head's motion).
//!
//! One volume at a time: what is in memory does not depend on how many there are. One interpolation, because each costs
//! sharpness (Esteban O. et al., Nat. Methods 16, 2019, has the same rule).

use ndarray::{Array3, Array4, ArrayView3, ArrayView4};
use rayon::prelude::*;

use crate::distortion::shift::Shift;
use crate::interpolate::SplineVolume;
use crate::registration::placed::Sampler;
use crate::rigid::{Matrix4, apply};

/// Where the voxels of a grid lie in a reference volume.
#[derive(Clone, Debug)]
pub struct Places {
    /// `(nz, ny, nx)` of the grid.
    shape: [usize; 3],
    /// Voxel coordinates (x, y, z) in the reference volume, in the order of the grid.
    at: Vec<[f32; 3]>,
}

impl Places {
    /// For a grid of `shape` `(nz, ny, nx)`: `place` takes its voxel (i, j, k) to voxel coordinates (x, y, z) of the reference
    /// volume, inside it or not.
    #[must_use]
    pub fn new(shape: [usize; 3], place: impl Fn([f64; 3]) -> [f64; 3] + Sync) -> Self {
        let [nz, ny, nx] = shape;
        let mut at = vec![[0.0; 3]; nz * ny * nx];
        at.par_chunks_mut(nx.max(1)).enumerate().for_each(|(row, line)| {
            let (k, j) = ((row / ny) as f64, (row % ny) as f64);
            line.iter_mut().enumerate().for_each(|(i, p)| *p = place([i as f64, j, k]).map(|v| v as f32));
        });
        Self { shape, at }
    }

    /// The same where `map` takes voxels of the grid to those of the reference.
    #[must_use]
    pub fn of(shape: [usize; 3], map: &Matrix4) -> Self {
        Self::new(shape, |voxel| apply(map, voxel))
    }

    /// `(nz, ny, nx)` of the grid.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The same places in another volume, whose voxels `map` takes those of the reference to.
    #[must_use]
    pub fn through(&self, map: &Matrix4) -> Self {
        let place = |p: &[f32; 3]| apply(map, p.map(f64::from)).map(|v| v as f32);
        Self { shape: self.shape, at: self.at.par_iter().with_min_len(4096).map(place).collect() }
    }

    /// A volume of the reference's grid at these places, trilinear; the nearest edge's value outside it where that is wanted
    /// (for what is smooth), else 0.
    #[must_use]
    pub fn linear(&self, volume: ArrayView3<f32>, beyond: bool) -> Array3<f32> {
        let volume = volume.as_standard_layout();
        let sampler = Sampler::new(volume.view());
        let value = |p: &[f32; 3]| if beyond || sampler.holds(*p, 0.5) { sampler.clamped(*p) } else { 0.0 };
        self.made(self.at.par_iter().with_min_len(4096).map(value).collect())
    }

    /// A smooth volume of the reference's grid at these places by cubic B-splines; the nearest edge's value outside it.
    #[must_use]
    pub fn smooth(&self, volume: ArrayView3<f32>) -> Array3<f32> {
        let (nz, ny, nx) = volume.dim();
        let mut spline = SplineVolume::new([nz, ny, nx]);
        spline.interpolate(volume.as_standard_layout().as_slice().unwrap_or_default());
        let last = [nx, ny, nz].map(|n| n.saturating_sub(1) as f32);
        let value = |p: &[f32; 3]| spline.sample(std::array::from_fn(|a| p[a].clamp(0.0, last[a]))).unwrap_or(0.0);
        self.made(self.at.par_iter().with_min_len(4096).map(value).collect())
    }

    /// How far from these places, in an undistorted reference, their signal is seen.
    #[must_use]
    pub fn displaced(&self, shift: &Shift) -> Displaced {
        let voxels = self.linear(shift.voxels.view(), true).into_raw_vec_and_offset().0;
        Displaced { axis: 2 - shift.axis(), voxels }
    }

    /// The same by cubic B-splines; 0 more than half a voxel outside.
    #[must_use]
    pub fn cubic(&self, volume: ArrayView3<f32>) -> Array3<f32> {
        let (nz, ny, nx) = volume.dim();
        let mut spline = SplineVolume::new([nz, ny, nx]);
        spline.interpolate(volume.as_standard_layout().as_slice().unwrap_or_default());
        self.made(self.at.par_iter().with_min_len(4096).map(|p| spline.sample(*p).unwrap_or(0.0)).collect())
    }

    fn made(&self, values: Vec<f32>) -> Array3<f32> {
        // As long as the grid by construction.
        Array3::from_shape_vec(self.shape, values).unwrap_or_default()
    }
}

/// How far along an axis the signal of each place is seen from where it belongs: what distortion has done.
#[derive(Clone, Debug)]
pub struct Displaced {
    /// 0 for x, 1 for y, 2 for z.
    axis: usize,
    /// Voxels, in the order of the places.
    voxels: Vec<f32>,
}

/// Samples every volume of `raw` (nt, nz, ny, nx) at `places` by one cubic B-spline, and multiplies it by `gain`, which has a
/// value for each place. `maps` has for each volume the map from voxels of the reference to its own, after which the signal is `displaced`: the field is taken
/// to move with the head, as fMRIPrep has it. The gain has the Jacobian of that. Hands the volumes to
/// `each` in order, a few at a time (as many as there are threads). Places more than half a voxel outside a volume are 0.
///
/// # Errors
/// What `each` returns.
pub fn resample_series<E>(
    raw: ArrayView4<f32>,
    maps: &[Matrix4],
    (places, displaced): (&Places, Option<&Displaced>),
    gain: ArrayView3<f32>,
    mut each: impl FnMut(&[&[f32]]) -> Result<(), E>,
) -> Result<(), E> {
    let (_, nz, ny, nx) = raw.dim();
    let raw = raw.as_standard_layout();
    let gain = gain.as_standard_layout();
    let gain = gain.as_slice().unwrap_or_default();
    let volumes: Vec<(&[f32], &Matrix4)> =
        raw.as_slice().unwrap_or_default().chunks_exact((nz * ny * nx).max(1)).zip(maps).collect();
    let threads = rayon::current_num_threads();
    let mut made: Vec<(SplineVolume, Vec<f32>)> =
        (0..threads).map(|_| (SplineVolume::new([nz, ny, nx]), vec![0.0; places.at.len()])).collect();
    for batch in volumes.chunks(threads) {
        resample_batch(&mut made, batch, (places, displaced), gain);
        let ready: Vec<&[f32]> = made.iter().take(batch.len()).map(|(_, out)| out.as_slice()).collect();
        each(&ready)?;
    }
    Ok(())
}

/// One volume for each of `made`. Apart from what is generic: it is compiled here, at this crate's level of optimisation.
fn resample_batch(
    made: &mut [(SplineVolume, Vec<f32>)],
    batch: &[(&[f32], &Matrix4)],
    (places, displaced): (&Places, Option<&Displaced>),
    gain: &[f32],
) {
    made.par_iter_mut().zip(batch).for_each(|((spline, out), (volume, map))| {
        spline.interpolate(volume);
        let m: [[f32; 4]; 3] = std::array::from_fn(|r| map[r].map(|v| v as f32));
        let place = |p: &[f32; 3]| -> [f32; 3] {
            std::array::from_fn(|r| m[r][0] * p[0] + m[r][1] * p[1] + m[r][2] * p[2] + m[r][3])
        };
        let to = out.iter_mut().zip(&places.at).zip(gain);
        // Two loops: no branch at each voxel.
        match displaced {
            None => to.for_each(|((v, p), gain)| *v = spline.sample(place(p)).map_or(0.0, |value| value * gain)),
            Some(displaced) => to.zip(&displaced.voxels).for_each(|(((v, p), gain), by)| {
                let mut at = place(p);
                at[displaced.axis] += by;
                *v = spline.sample(at).map_or(0.0, |value| value * gain);
            }),
        }
    });
}

/// The largest finite magnitude of a series (nt, nz, ny, nx) times `gain`, which has the shape of a volume; 0 if there is none.
#[must_use]
pub fn largest(series: ArrayView4<f32>, gain: ArrayView3<f32>) -> f32 {
    let (series, gain) = (series.as_standard_layout(), gain.as_standard_layout());
    let gain = gain.as_slice().unwrap_or_default();
    let volumes = series.as_slice().unwrap_or_default().par_chunks_exact(gain.len().max(1));
    let of = |volume: &[f32]| {
        volume.iter().zip(gain).map(|(v, g)| (v * g).abs()).filter(|v| v.is_finite()).fold(0.0, f32::max)
    };
    volumes.map(of).reduce(|| 0.0, f32::max)
}

/// The mean of some volumes of a series, as they come.
#[derive(Clone, Debug)]
pub struct RunningMean {
    shape: [usize; 3],
    sum: Vec<f64>,
    /// Whether each volume counts.
    counts: Vec<bool>,
    /// The volume that comes next.
    at: usize,
}

impl RunningMean {
    /// Of volumes of `shape` `(nz, ny, nx)`: those that count, or all where none does.
    #[must_use]
    pub fn new(shape: [usize; 3], mut counts: Vec<bool>) -> Self {
        if !counts.contains(&true) {
            counts.fill(true);
        }
        Self { shape, sum: vec![0.0; shape.iter().product()], counts, at: 0 }
    }

    /// The next volumes, each as long as the grid.
    pub fn add(&mut self, volumes: &[&[f32]]) {
        for volume in volumes {
            if self.counts.get(self.at) == Some(&true) {
                let sums = self.sum.par_iter_mut().with_min_len(8192);
                sums.zip(volume.par_iter().with_min_len(8192)).for_each(|(sum, v)| *sum += f64::from(*v));
            }
            self.at += 1;
        }
    }

    /// The mean of what came.
    #[must_use]
    pub fn mean(self) -> Array3<f32> {
        let n = self.counts.iter().filter(|counts| **counts).count() as f64;
        let values = self.sum.into_iter().map(|sum| (sum / n) as f32).collect();
        // As long as the grid by construction.
        Array3::from_shape_vec(self.shape, values).unwrap_or_default()
    }
}

/// Brings a distorted series (nt, nz, ny, nx) to the grid of its undistorted reference, in place: as [`resample_series`] does it,
/// with the Jacobian of `shift`, whose shape is that of a volume.
pub fn resample_displaced(series: &mut Array4<f32>, maps: &[Matrix4], shift: &Shift) {
    let (_, nz, ny, nx) = series.dim();
    if !series.is_standard_layout() {
        *series = series.as_standard_layout().into_owned();
    }
    let axis = 2 - shift.axis();
    let (by, jacobian) = (shift.voxels.as_standard_layout(), shift.jacobian.as_standard_layout());
    let (by, jacobian) = (by.as_slice().unwrap_or_default(), jacobian.as_slice().unwrap_or_default());
    let Some(voxels) = series.as_slice_mut().filter(|v| !v.is_empty()) else { return };
    voxels.par_chunks_exact_mut(nz * ny * nx).zip(maps).for_each_init(
        || SplineVolume::new([nz, ny, nx]),
        |spline, (volume, map)| {
            spline.interpolate(volume);
            let m: [[f32; 4]; 3] = std::array::from_fn(|r| map[r].map(|v| v as f32));
            for (n, ((v, by), jacobian)) in volume.iter_mut().zip(by).zip(jacobian).enumerate() {
                let p = [n % nx, n / nx % ny, n / (nx * ny)].map(|i| i as f32);
                let mut at: [f32; 3] =
                    std::array::from_fn(|r| m[r][0] * p[0] + m[r][1] * p[1] + m[r][2] * p[2] + m[r][3]);
                at[axis] += by;
                *v = spline.sample(at).map_or(0.0, |value| value * jacobian);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distortion::PhaseEncoding;
    use crate::distortion::shift::undistort;
    use crate::rigid::{IDENTITY, compose, from_parameters};
    use ndarray::Axis;

    fn series() -> Array4<f32> {
        Array4::from_shape_fn((3, 12, 14, 16), |(t, k, j, i)| {
            ((i as f32 * 0.4).sin() + (j as f32 * 0.3).cos() + (k as f32 * 0.35).sin()) * (100.0 + t as f32)
        })
    }

    fn collected(places: &Places, maps: &[Matrix4], gain: f32) -> Vec<Vec<f32>> {
        let gain = Array3::from_elem(places.shape(), gain);
        let mut all = Vec::new();
        resample_series(series().view(), maps, (places, None), gain.view(), |some| {
            all.extend(some.iter().map(|v| v.to_vec()));
            Ok::<(), ()>(())
        })
        .unwrap();
        all
    }

    #[test]
    fn the_own_grid_gives_the_series_again_times_the_gain() {
        let places = Places::new([12, 14, 16], |p| p);
        let all = collected(&places, &[IDENTITY; 3], 2.0);
        assert_eq!(all.len(), 3);
        for (out, volume) in all.iter().zip(series().outer_iter()) {
            assert!(out.iter().zip(volume).all(|(a, b)| (a - 2.0 * b).abs() < 1e-3));
        }
    }

    #[test]
    fn two_maps_make_one_interpolation() {
        let motion = from_parameters(&[0.3, -0.2, 0.4, 0.01, 0.0, -0.02], [8.0, 7.0, 6.0]);
        let shift = from_parameters(&[1.5, 0.25, 0.0, 0.0, 0.03, 0.0], [8.0, 7.0, 6.0]);
        let places = Places::new([5, 6, 7], |p| apply(&shift, [p[0] + 4.0, p[1] + 3.0, p[2] + 3.0]));
        let all = collected(&places, &[IDENTITY, motion, motion], 1.0);
        // The same volume, sampled at once at the composed place.
        let both = compose(&motion, &shift);
        let through = Places::new([5, 6, 7], |p| [p[0] + 4.0, p[1] + 3.0, p[2] + 3.0]).through(&both);
        let once = Places::new([5, 6, 7], |p| apply(&both, [p[0] + 4.0, p[1] + 3.0, p[2] + 3.0]));
        let expected = once.cubic(series().index_axis(Axis(0), 1));
        let same = through.cubic(series().index_axis(Axis(0), 1));
        assert!(same.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 2e-2));
        assert!(all[1].iter().zip(&expected).all(|(a, b)| (a - b).abs() < 2e-2), "{:?}", &all[1][..5]);
    }

    #[test]
    fn displaced_signal_is_put_back_with_its_jacobian_along_each_axis() {
        for direction in PhaseEncoding::ALL {
            let hz = Array3::from_shape_fn((12, 14, 16), |(k, j, i)| 20.0 * ((i + j + k) as f32 * 0.2).sin());
            let shift = Shift::new(hz.view(), None, direction, 0.03).unwrap();
            let places = Places::new([12, 14, 16], |p| p);
            let (mut in_place, jacobian) = (series(), &shift.jacobian);
            resample_displaced(&mut in_place, &[IDENTITY; 3], &shift);
            let mut all = Vec::new();
            let displaced = places.displaced(&shift);
            resample_series(series().view(), &[IDENTITY; 3], (&places, Some(&displaced)), jacobian.view(), |some| {
                all.extend(some.iter().map(|v| v.to_vec()));
                Ok::<(), ()>(())
            })
            .unwrap();
            for (t, volume) in series().outer_iter().enumerate() {
                let expected = undistort(volume, &shift).unwrap();
                let own = in_place.index_axis(Axis(0), t);
                // At the ends of a line both go on beyond the image in their own ways.
                let inner = |at: [usize; 3]| {
                    let axis = shift.axis();
                    (3..own.len_of(Axis(axis)) - 3).contains(&at[axis])
                };
                for (((at, a), b), e) in own.indexed_iter().zip(&all[t]).zip(&expected) {
                    assert!((a - b).abs() < 1e-3, "{direction}: {a} {b}");
                    assert!(!inner(at.into()) || (a - e).abs() < 0.5, "{direction}: {a} {e}");
                }
            }
        }
    }

    #[test]
    fn outside_there_is_nothing_but_smooth_fields_go_on() {
        let places = Places::new([1, 1, 2], |p| [p[0] * 100.0, 5.0, 5.0]);
        assert_eq!(collected(&places, &[IDENTITY], 1.0)[0][1], 0.0);
        let field = Array3::from_elem((12, 14, 16), 3.0);
        assert_eq!(places.linear(field.view(), true).as_slice(), Some([3.0, 3.0].as_slice()));
        assert_eq!(places.linear(field.view(), false).as_slice(), Some([3.0, 0.0].as_slice()));
    }

    #[test]
    fn the_running_mean_is_of_the_volumes_that_count_and_the_largest_value_of_all() {
        let series = series();
        let volumes: Vec<Vec<f32>> = series.outer_iter().map(|v| v.iter().copied().collect()).collect();
        let volumes: Vec<&[f32]> = volumes.iter().map(Vec::as_slice).collect();
        for (counts, expected) in [([false, true, true], 101.5), ([false; 3], 101.0)] {
            let mut mean = RunningMean::new([12, 14, 16], counts.to_vec());
            volumes.iter().for_each(|volume| mean.add(&[volume]));
            // Each volume is one pattern times 100 + t.
            let pattern = series[[0, 3, 4, 5]] / 100.0;
            assert!((mean.mean()[[3, 4, 5]] - pattern * expected).abs() < 1e-3);
        }
        let mut gain = Array3::ones((12, 14, 16));
        gain[[3, 4, 5]] = -1000.0;
        let found = largest(series.view(), gain.view());
        assert!((found - (series[[2, 3, 4, 5]] * 1000.0).abs()).abs() < 1e-2 * found, "{found}");
        gain[[3, 4, 5]] = f32::NAN;
        assert!(largest(series.view(), gain.view()) <= 400.0);
    }
}
