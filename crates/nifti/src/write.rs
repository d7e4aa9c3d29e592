//! Writes gzipped NIfTI-1: canonical arrays back in the axis order of the scan they came from, compressed in parallel.
//!
//! The data is cut into fixed pieces of whole slices, at least 1 MiB each. Every piece is turned, converted and deflated
//! on its own, ends on a byte boundary (a sync flush), and the pieces joined are one ordinary gzip member: readers that
//! stop after a file's first member, of which there are several, read it whole. The cuts depend on the image alone, so
//! the bytes are the same at any number of threads; the gzip header carries no time and no name.

use super::dtype::Dtype;
use super::gather::gather_serial;
use super::{Header, NiftiError};
use flate2::Crc;
use ndarray::{ArrayView3, ArrayView4, Axis};
use rayon::prelude::*;
use std::io::{self, Write};
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Strategy};

/// The least size of a piece, in bytes before compression.
pub(super) const PIECE: usize = 1 << 20;

/// The magic, deflate, no flags, no time, "fastest", unknown system (RFC 1952, section 2.3).
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// An empty last block with fixed codes (RFC 1951, section 3.2.6): ends a deflate stream at a byte boundary.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// What to write, in canonical RAS+ order on the grid of the header it is written with.
#[derive(Clone, Copy, Debug)]
pub enum Voxels<'a> {
    /// `(nt, nz, ny, nx)` as int16 with `scl_slope` = largest magnitude / 32767 and `scl_inter` = 0: zero stays exactly
    /// zero, every other value is within half a slope. NaN becomes 0, infinities the largest value.
    Scaled(ArrayView4<'a, f32>),
    /// As [`Voxels::Scaled`] where its steps are no larger than the second value, else as float32: a single voxel far above
    /// all others must not take the levels from them.
    Fine(ArrayView4<'a, f32>, f32),
    /// As [`Voxels::Scaled`] in 1023 steps: for smooth fields, whose finer digits say nothing and do not compress.
    Smooth(ArrayView4<'a, f32>),
    /// `(nt, nz, ny, nx)` as float32, unchanged.
    Float(ArrayView4<'a, f32>),
    /// `(nz, ny, nx)` as uint8.
    Mask(ArrayView3<'a, u8>),
    /// `(nz, ny, nx)` as int16.
    Labels(ArrayView3<'a, i16>),
}

/// Writes an image as gzipped NIfTI-1 in the axis order and with the affine of `like`; the bytes written.
///
/// qform and sform are both `like`'s affine, with code 1 (0 if its orientation was not known); units are mm and s;
/// `pixdim[4]` of a series is `like`'s repetition time. One volume is written as 3-D, more as 4-D, whatever `like` is.
///
/// # Errors
/// [`NiftiError::Shape`] if the array is not on the grid or has more than 32767 volumes, [`NiftiError::Write`] if `to`
/// fails.
pub fn write(to: impl Write + Send, like: &Header, voxels: Voxels<'_>) -> Result<u64, NiftiError> {
    let as_stored = |dtype, strategy| Form { dtype, slope: 1.0, strategy };
    let (repeats, runs) = (Strategy::Default, Strategy::Rle);
    match voxels {
        Voxels::Float(v) => write_as(to, like, v, as_stored(Dtype::F32, repeats), f32::to_le_bytes),
        Voxels::Scaled(v) => write_scaled(to, like, v, STEPS, runs),
        Voxels::Fine(v, finest) if beyond(v, finest) > 0 => {
            write_as(to, like, v, as_stored(Dtype::F32, repeats), f32::to_le_bytes)
        }
        Voxels::Fine(v, _) => write_scaled(to, like, v, STEPS, runs),
        Voxels::Smooth(v) => write_scaled(to, like, v, 1023.0, repeats),
        Voxels::Mask(v) => write_as(to, like, v.insert_axis(Axis(0)), as_stored(Dtype::U8, runs), u8::to_le_bytes),
        Voxels::Labels(v) => {
            write_as(to, like, v.insert_axis(Axis(0)), as_stored(Dtype::I16, repeats), i16::to_le_bytes)
        }
    }
}

/// Steps of an int16 on either side of zero.
pub(super) const STEPS: f32 = 32767.0;

/// Voxels whose magnitude an int16 reaches only with steps larger than `finest`; such an image is written as float32 by
/// [`Voxels::Fine`].
#[must_use]
pub fn beyond(data: ArrayView4<'_, f32>, finest: f32) -> usize {
    let limit = finest * STEPS;
    let slices: Vec<_> = data.outer_iter().flat_map(|v| v.into_outer_iter()).collect();
    slices.par_iter().map(|s| s.iter().filter(|v| v.is_finite() && v.abs() > limit).count()).sum()
}

/// How voxels are stored.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub(super) dtype: Dtype,
    pub(super) slope: f64,
    /// Where noise fills the lower bits nothing repeats but empty background: there [`Strategy::Rle`], which looks for runs
    /// only and has codes fitted to the bytes, makes smaller files in two thirds of the time of the default. Of a mask, which
    /// is nothing but runs, it makes a third of the bytes.
    pub(super) strategy: Strategy,
}

fn write_scaled(
    to: impl Write + Send,
    like: &Header,
    voxels: ArrayView4<'_, f32>,
    steps: f32,
    strategy: Strategy,
) -> Result<u64, NiftiError> {
    let slope = f64::from(slope(voxels, steps));
    let (form, per) = (Form { dtype: Dtype::I16, slope, strategy }, 1.0 / slope);
    write_as(to, like, voxels, form, move |x| nearest(f64::from(x) * per).to_le_bytes())
}

/// The slope with which so many steps reach the largest finite magnitude; 1 if all is zero.
fn slope(data: ArrayView4<'_, f32>, steps: f32) -> f32 {
    let lanes: Vec<_> = data.outer_iter().flat_map(|v| v.into_outer_iter()).collect();
    let magnitude = |v: &f32| if v.is_finite() { v.abs() } else { 0.0 };
    let largest = lanes.par_iter().map(|s| s.iter().map(magnitude).fold(0.0, f32::max)).reduce(|| 0.0, f32::max);
    let slope = largest / steps;
    // Rounded up, as many steps as reach the largest number there is would reach beyond it.
    let slope = if (f64::from(slope) * f64::from(steps)) as f32 == f32::INFINITY { slope.next_down() } else { slope };
    // Below the normal numbers a slope has too few digits to divide by.
    if slope.is_normal() { slope } else { 1.0 }
}

/// The nearest int16. Adding 1.5·2^52 leaves the rounded integer in a double's lowest bits, which the compiler can do to
/// several values at once, unlike `round`.
pub(super) fn nearest(x: f64) -> i16 {
    let x = if x.is_nan() { 0.0 } else { x.clamp(-32767.0, 32767.0) };
    (x + 6_755_399_441_055_744.0).to_bits() as i16
}

fn write_as<T: Copy + Send + Sync, const N: usize>(
    mut to: impl Write + Send,
    like: &Header,
    data: ArrayView4<'_, T>,
    form: Form,
    encode: impl Fn(T) -> [u8; N] + Sync,
) -> Result<u64, NiftiError> {
    let (nt, nz, ny, nx) = data.dim();
    let disk = like.disk_shape();
    if like.grid().shape != [nz, ny, nx] || [nt, nz, ny, nx].iter().any(|n| !(1..=32767).contains(n)) {
        return Err(NiftiError::Shape { got: [nt, nz, ny, nx], grid: like.grid().shape });
    }
    let walk = like.axes().to_disk([disk[0], disk[1], disk[2]]);
    let data = data.as_standard_layout();
    let source = data.as_slice().unwrap_or_default();
    let (slice, slices, volume) = (disk[0] * disk[1], disk[2], nz * ny * nx);
    let piece_slices = PIECE.div_ceil(slice * N);
    let piece = |first: usize| {
        let mut bytes = vec![[0; N]; piece_slices.min(nt * slices - first) * slice];
        let (mut done, mut at) = (0, first);
        while done < bytes.len() {
            // A piece may go over from one volume to the next.
            let (t, z) = (at / slices, at % slices);
            let count = (slices - z).min((bytes.len() - done) / slice);
            let out = &mut bytes[done..done + count * slice];
            gather_serial(&source[t * volume..(t + 1) * volume], out, walk.slabs(z, count), &encode);
            done += count * slice;
            at += count;
        }
        deflate(bytes.as_flattened(), form.strategy)
    };
    let mut gzip = Joined::begin(&mut to)?;
    let header = like.output(nt, form.dtype, form.slope).encode_1();
    gzip.append(&deflate(&header, form.strategy)?)?;
    let firsts: Vec<usize> = (0..nt * slices).step_by(piece_slices).collect();
    // A few pieces per thread at a time: what is held in memory stays small. One batch is written while the next is made.
    let mut ready = Vec::new();
    for batch in firsts.chunks(2 * rayon::current_num_threads()) {
        let (written, made) = rayon::join(
            || ready.iter().try_for_each(|deflated| gzip.append(deflated)),
            || batch.par_iter().map(|&first| piece(first)).collect::<io::Result<Vec<_>>>(),
        );
        written?;
        ready = made?;
    }
    ready.iter().try_for_each(|deflated| gzip.append(deflated))?;
    gzip.end()
}

/// A deflated piece and the checksum of what it was.
pub(super) struct Deflated {
    bytes: Vec<u8>,
    crc: Crc,
}

/// Deflates a piece at level 1, up to a byte boundary, without ending the stream.
pub(super) fn deflate(raw: &[u8], strategy: Strategy) -> io::Result<Deflated> {
    let mut crc = Crc::new();
    crc.update(raw);
    // Negative: no zlib header around the stream. The most memory: half as many codes to fit to the bytes.
    let config = DeflateConfig { level: 1, window_bits: -15, mem_level: 9, strategy, ..DeflateConfig::default() };
    let mut deflater = Deflate::new_with_config(config);
    // Incompressible data need a little more than they are.
    let mut bytes = vec![0; raw.len() + raw.len() / 8 + 4096];
    loop {
        let (rest, room) = (&raw[deflater.total_in() as usize..], &mut bytes[deflater.total_out() as usize..]);
        deflater.compress(rest, room, DeflateFlush::SyncFlush).map_err(|e| io::Error::other(e.as_str()))?;
        let done = deflater.total_out() as usize;
        // zlib: a flush is complete once it leaves room in the output.
        if deflater.total_in() == raw.len() as u64 && done < bytes.len() {
            bytes.truncate(done);
            return Ok(Deflated { bytes, crc });
        }
        bytes.resize(bytes.len() + raw.len() / 4 + 4096, 0);
    }
}

/// One gzip member made of deflated pieces.
pub(super) struct Joined<W> {
    to: W,
    crc: Crc,
    raw: u64,
    written: u64,
}

impl<W: Write> Joined<W> {
    pub(super) fn begin(mut to: W) -> io::Result<Self> {
        to.write_all(&GZIP_HEADER)?;
        Ok(Self { to, crc: Crc::new(), raw: 0, written: GZIP_HEADER.len() as u64 })
    }

    pub(super) fn append(&mut self, piece: &Deflated) -> io::Result<()> {
        self.crc.combine(&piece.crc);
        self.raw += u64::from(piece.crc.amount());
        self.written += piece.bytes.len() as u64;
        self.to.write_all(&piece.bytes)
    }

    pub(super) fn end(mut self) -> Result<u64, NiftiError> {
        self.to.write_all(&LAST_BLOCK)?;
        self.to.write_all(&self.crc.sum().to_le_bytes())?;
        // The size is stored modulo 2^32.
        self.to.write_all(&(self.raw as u32).to_le_bytes())?;
        self.to.flush()?;
        Ok(self.written + LAST_BLOCK.len() as u64 + 8)
    }
}
