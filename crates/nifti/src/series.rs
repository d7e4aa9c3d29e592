//! Writes a series as its volumes are made, so that no more than a few of them are in memory.

use super::dtype::Dtype;
use super::gather::gather_serial;
use super::write::{Deflated, Form, Joined, PIECE, STEPS, deflate, nearest};
use super::{Header, NiftiError};
use rayon::prelude::*;
use std::io::{self, Write};
use zlib_rs::Strategy;

/// A gzipped NIfTI-1 series that grows volume by volume, in the axis order and with the affine of its header.
///
/// The pieces it is compressed in depend on the grid alone: the same bytes at any number of threads, however many volumes
/// are handed over at once.
pub struct SeriesWriter<'h, W> {
    gzip: Joined<W>,
    like: &'h Header,
    form: Form,
    due: usize,
    limit: f32,
    beyond: u64,
}

impl<'h, W: Write> SeriesWriter<'h, W> {
    /// Begins a series of as many volumes as `like` states. `largest` is the magnitude that is expected at most: the series
    /// is stored as int16 in steps of `largest` / 32767, or as float32 where those would be larger than `finest`.
    ///
    /// # Errors
    /// [`NiftiError::Write`] if `to` fails.
    pub fn begin(to: W, like: &'h Header, largest: f32, finest: f32) -> Result<Self, NiftiError> {
        let step = largest / STEPS;
        let (form, limit) = if step <= finest && step.is_normal() {
            (Form { dtype: Dtype::I16, slope: f64::from(step), strategy: Strategy::Rle }, largest)
        } else {
            (Form { dtype: Dtype::F32, slope: 1.0, strategy: Strategy::Default }, f32::INFINITY)
        };
        let mut gzip = Joined::begin(to)?;
        gzip.append(&deflate(&like.output(like.volumes(), form.dtype, form.slope).encode_1(), form.strategy)?)?;
        Ok(Self { gzip, like, form, due: like.volumes(), limit, beyond: 0 })
    }

    /// Adds volumes, each `nz·ny·nx` values in canonical order with x the fastest.
    ///
    /// # Errors
    /// [`NiftiError::Shape`] if one is not on the grid or there are more than the header states; [`NiftiError::Write`].
    pub fn append(&mut self, volumes: &[&[f32]]) -> Result<(), NiftiError> {
        let grid = self.like.grid().shape;
        let [nz, ny, nx] = grid;
        if volumes.len() > self.due || volumes.iter().any(|volume| volume.len() != nz * ny * nx) {
            return Err(NiftiError::Shape { got: [volumes.len(), nz, ny, nx], grid });
        }
        self.due -= volumes.len();
        let limit = self.limit;
        let beyond = |volume: &&[f32]| volume.iter().filter(|v| v.abs() > limit).count() as u64;
        self.beyond += volumes.par_iter().map(beyond).sum::<u64>();
        let pieces = match self.form.dtype {
            Dtype::I16 => {
                let per = 1.0 / self.form.slope;
                pieces((self.like, self.form), volumes, move |x| nearest(f64::from(x) * per).to_le_bytes())?
            }
            _ => pieces((self.like, self.form), volumes, f32::to_le_bytes)?,
        };
        pieces.iter().try_for_each(|piece| self.gzip.append(piece))?;
        Ok(())
    }

    /// Ends the series; says how many voxels were larger than expected and are stored as the largest value.
    ///
    /// # Errors
    /// [`NiftiError::Shape`] if volumes are missing; [`NiftiError::Write`].
    pub fn end(self) -> Result<u64, NiftiError> {
        if self.due > 0 {
            let grid = self.like.grid().shape;
            return Err(NiftiError::Shape { got: [self.like.volumes() - self.due, grid[0], grid[1], grid[2]], grid });
        }
        self.gzip.end()?;
        Ok(self.beyond)
    }
}

/// Compresses the slices of volumes in pieces of fixed size.
fn pieces<const N: usize>(
    (like, form): (&Header, Form),
    volumes: &[&[f32]],
    encode: impl Fn(f32) -> [u8; N] + Sync,
) -> io::Result<Vec<Deflated>> {
    let disk = like.disk_shape();
    let walk = like.axes().to_disk([disk[0], disk[1], disk[2]]);
    let (slice, slices) = (disk[0] * disk[1], disk[2]);
    let per_piece = PIECE.div_ceil(slice * N);
    let all: Vec<(&[f32], usize)> =
        volumes.iter().flat_map(|volume| (0..slices).step_by(per_piece).map(move |first| (*volume, first))).collect();
    let piece = |&(volume, first): &(&[f32], usize)| {
        let count = per_piece.min(slices - first);
        let mut bytes = vec![[0; N]; count * slice];
        gather_serial(volume, &mut bytes, walk.slabs(first, count), &encode);
        deflate(bytes.as_flattened(), form.strategy)
    };
    all.par_iter().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grid, read};
    use ndarray::Array4;

    const UNIT: [[f64; 4]; 4] =
        [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];

    fn written(data: &Array4<f32>, at_once: usize, finest: f32) -> (Vec<u8>, u64) {
        let affine = [[2.0, 0.0, 0.0, 9.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let (nt, nz, ny, nx) = data.dim();
        let like = Header::new(Grid { shape: [nz, ny, nx], voxel_mm: [3.0, 2.0, 2.0], affine }, nt, Some(2.0));
        let mut out = Vec::new();
        let mut writer = SeriesWriter::begin(&mut out, &like, 100.0, finest).unwrap();
        let volumes: Vec<&[f32]> = data.as_slice().unwrap().chunks_exact(nz * ny * nx).collect();
        volumes.chunks(at_once).for_each(|some| writer.append(some).unwrap());
        let beyond = writer.end().unwrap();
        (out, beyond)
    }

    #[test]
    fn what_is_written_is_read_and_does_not_depend_on_how_it_was_handed_over() {
        let data = Array4::from_shape_fn((5, 4, 6, 7), |(t, k, j, i)| (t * 17 + k * 5 + j * 3 + i) as f32 - 20.0);
        for (finest, tolerance) in [(1.0, 100.0 / 32767.0), (1e-6, 0.0)] {
            let (bytes, beyond) = written(&data, 1, finest);
            assert_eq!(bytes, written(&data, 3, finest).0);
            assert_eq!(beyond, 0);
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("a.nii.gz");
            std::fs::write(&file, bytes).unwrap();
            let read = read(&file).unwrap();
            assert_eq!((read.header.volumes(), read.header.tr_seconds()), (5, Some(2.0)));
            assert!(read.data.iter().zip(&data).all(|(a, b)| (a - b).abs() <= tolerance));
        }
    }

    #[test]
    fn what_is_larger_than_expected_is_counted_and_missing_volumes_are_refused() {
        let mut data = Array4::zeros((2, 8, 8, 8));
        data[[1, 2, 3, 4]] = 101.0;
        data[[0, 2, 3, 4]] = -1e9;
        assert_eq!(written(&data, 2, 1.0).1, 2);
        assert_eq!(written(&data, 2, 1e-6).1, 0);
        let like = Header::new(Grid { shape: [8; 3], voxel_mm: [1.0; 3], affine: UNIT }, 2, None);
        let writer = SeriesWriter::begin(Vec::new(), &like, 1.0, 1.0).unwrap();
        assert!(matches!(writer.end(), Err(NiftiError::Shape { .. })));
    }
}
