//! Reads the voxels: streamed in chunks, scaled to `f32`, brought to canonical order.
//!
//! A file whose slowest axis is the canonical one is converted slab by slab straight into the result, also where lines or
//! columns are turned. Any other order needs a whole volume at hand before it can be turned; then one volume's raw bytes
//! are kept besides the result, never a second copy of the image.

use super::background::settle;
use super::dtype::Dtype;
use super::gather::{Walk, gather, gather_serial};
use super::open::{Opened, failed, open};
use super::stream::Tail;
use super::{Fingerprint, Header, NiftiError, Note};
use ndarray::Array4;
use rayon::prelude::*;
use std::path::Path;

/// Bytes read, and about as many converted, at a time; small enough for the second-level cache.
const CHUNK: usize = 1 << 18;

/// An image in memory.
#[derive(Clone, Debug)]
pub struct Image {
    /// What the file's header says.
    pub header: Header,
    /// Scaled values, `(nt, nz, ny, nx)`, canonical RAS+; all finite.
    pub data: Array4<f32>,
    /// What was odd about the file, and what was done about it.
    pub notes: Vec<Note>,
    /// What the file was when it was read; all of it was.
    pub fingerprint: Fingerprint,
}

/// Bytes that are asked of the disk at once: few for a header, since a plan looks at those of thousands of files.
const HEADER_AT_ONCE: usize = 1 << 12;
const IMAGE_AT_ONCE: usize = 1 << 16;

/// Reads and checks a header only: a few kilobytes of the file, whatever its size.
///
/// # Errors
/// Whatever makes the file unreadable as far as its first bytes and its length tell; see [`NiftiError`].
pub fn read_header(path: &Path) -> Result<Header, NiftiError> {
    open(path, HEADER_AT_ONCE).map(|opened| opened.header)
}

/// Reads an image: every real voxel type up to 64 bits, NIfTI-1 and -2, either byte order, plain or gzip in any number
/// of members. Values are `stored · scl_slope + scl_inter`, computed in `f64`. NaN and infinite voxels become 0, with a
/// note, as long as they are at most 1 % of the image, or NaN all around the head: raw scans have none, and more means a damaged
/// file. Up to 1 MiB of zero padding after the image is passed over with a note.
///
/// # Errors
/// See [`NiftiError`]; a file that is cut short, damaged, or longer than its header says is never read in part.
pub fn read(path: &Path) -> Result<Image, NiftiError> {
    let mut opened = open(path, IMAGE_AT_ONCE)?;
    opened.skip_to_data(path)?;
    let (mut values, broken) = by_type(&mut opened, path)?;
    let Opened { stream, header, mut notes, .. } = opened;
    let Tail::End(zeros, fingerprint) = stream.tail().map_err(|f| failed(path, f))? else {
        let problem = "the file goes on after the last voxel its header announces".to_owned();
        return Err(NiftiError::TrailingData { path: path.to_owned(), problem });
    };
    if zeros > 0 {
        notes.push(Note::new("padding", format!("{zeros} zero bytes follow the image"), "they were ignored"));
    }
    if broken > 0 {
        let total = values.len();
        let settled = settle(&mut values, header.grid().shape, broken);
        notes.push(settled.ok_or_else(|| NiftiError::NonFinite { path: path.to_owned(), count: broken, total })?);
    }
    let [nz, ny, nx] = header.grid().shape;
    let shape = [header.volumes(), nz, ny, nx];
    let got = [1, 1, 1, values.len()];
    let data =
        Array4::from_shape_vec(shape, values).map_err(|_| NiftiError::Shape { got, grid: header.grid().shape })?;
    Ok(Image { header, data, notes, fingerprint })
}

/// Reads the voxels with the decoder of their type; the values, and how many were not finite.
fn by_type(opened: &mut Opened, path: &Path) -> Result<(Vec<f32>, usize), NiftiError> {
    let (slope, inter) = opened.header.scaling();
    let big_endian = opened.header.big_endian();
    // 64-bit integers lose digits beyond 2^53, far below what f32 keeps.
    macro_rules! voxels {
        ($t:ty) => {
            if big_endian {
                voxels(opened, path, |b| (<$t>::from_be_bytes(b) as f64 * slope + inter) as f32)
            } else {
                voxels(opened, path, |b| (<$t>::from_le_bytes(b) as f64 * slope + inter) as f32)
            }
        };
    }
    match opened.header.dtype() {
        Dtype::U8 => voxels!(u8),
        Dtype::I8 => voxels!(i8),
        Dtype::U16 => voxels!(u16),
        Dtype::I16 => voxels!(i16),
        Dtype::U32 => voxels!(u32),
        Dtype::I32 => voxels!(i32),
        Dtype::U64 => voxels!(u64),
        Dtype::I64 => voxels!(i64),
        Dtype::F32 => voxels!(f32),
        Dtype::F64 => voxels!(f64),
    }
}

fn voxels<const N: usize>(
    opened: &mut Opened,
    path: &Path,
    decode: impl Fn([u8; N]) -> f32 + Sync,
) -> Result<(Vec<f32>, usize), NiftiError> {
    let [nx, ny, nz, nt] = opened.header.disk_shape();
    let volume = nx * ny * nz;
    let walk = opened.header.axes().to_canonical([nx, ny, nz]);
    // Only reserved: the pages are touched as the file delivers voxels for them.
    let mut values = reserve(path, volume * nt)?;
    let broken = if walk.dims[0] == nz && walk.strides[0] == (nx * ny) as isize {
        by_slabs(opened, path, walk, nz * nt, &mut values, decode)?
    } else {
        turned(opened, path, walk, nt, &mut values, decode)?
    };
    Ok((values, broken))
}

/// Converts `count` slabs of the slowest axis, which the file has in this order: some while the next ones are read.
fn by_slabs<const N: usize>(
    opened: &mut Opened,
    path: &Path,
    walk: Walk,
    count: usize,
    values: &mut Vec<f32>,
    decode: impl Fn([u8; N]) -> f32 + Sync,
) -> Result<usize, NiftiError> {
    let slab = walk.dims[1] * walk.dims[2];
    let at_once = (CHUNK / (slab * N)).max(1);
    let room = || reserve::<u8>(path, at_once.min(count) * slab * N);
    let (mut ready, mut next) = (room()?, room()?);
    let (mut unread, mut broken) = (count, 0);
    while unread + ready.len() > 0 {
        let slabs = at_once.min(unread);
        unread -= slabs;
        let convert = || {
            let voxels = ready.as_chunks::<N>().0;
            let first = values.len();
            values.resize(first + voxels.len(), 0.0);
            gather_serial(voxels, &mut values[first..], walk.slabs(0, voxels.len() / slab), &decode);
            broken += not_finite(&mut values[first..]);
        };
        rayon::join(|| arrive(opened, path, &mut next, slabs * slab * N, |_| {}), convert).0?;
        std::mem::swap(&mut ready, &mut next);
    }
    Ok(broken)
}

/// Converts `nt` volumes, each along `walk`.
fn turned<const N: usize>(
    opened: &mut Opened,
    path: &Path,
    walk: Walk,
    nt: usize,
    values: &mut Vec<f32>,
    decode: impl Fn([u8; N]) -> f32 + Sync,
) -> Result<usize, NiftiError> {
    let volume = walk.dims.iter().product::<usize>();
    let (mut bytes, mut broken) = (reserve::<u8>(path, volume * N)?, 0);
    for t in 0..nt {
        arrive(opened, path, &mut bytes, volume * N, |got| values.resize(t * volume + got / N, 0.0))?;
        values.resize((t + 1) * volume, 0.0);
        let out = &mut values[t * volume..];
        gather(bytes.as_chunks::<N>().0, out, walk, &decode);
        broken += out.par_chunks_mut(CHUNK).map(not_finite).sum::<usize>();
    }
    Ok(broken)
}

/// Fills a buffer, which grows with what arrives; `beside` is told what has arrived, while more does.
fn arrive(
    opened: &mut Opened,
    path: &Path,
    bytes: &mut Vec<u8>,
    count: usize,
    mut beside: impl FnMut(usize) + Send,
) -> Result<(), NiftiError> {
    for first in (0..count).step_by(CHUNK) {
        let end = (first + CHUNK).min(count);
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        rayon::join(|| fill(opened, path, &mut bytes[first..end]), || beside(first)).0?;
    }
    bytes.truncate(count);
    Ok(())
}

/// Fills a buffer or says where the file ended.
fn fill(opened: &mut Opened, path: &Path, buffer: &mut [u8]) -> Result<(), NiftiError> {
    let got = opened.stream.fill(buffer).map_err(|f| failed(path, f))?;
    if got == buffer.len() {
        return Ok(());
    }
    let needed = opened.header.file_bytes().unwrap_or(u64::MAX);
    let problem = format!("the data ends before the {needed} bytes that the header announces");
    Err(NiftiError::Truncated { path: path.to_owned(), problem })
}

/// How many are NaN or infinite.
fn not_finite(values: &mut [f32]) -> usize {
    values.iter().filter(|v| !v.is_finite()).count()
}

/// Room for `count` values, or an error instead of an abort.
fn reserve<T>(path: &Path, count: usize) -> Result<Vec<T>, NiftiError> {
    let mut room = Vec::new();
    room.try_reserve_exact(count).map_err(|_| NiftiError::Memory {
        path: path.to_owned(),
        bytes: (count as u64).saturating_mul(size_of::<T>() as u64),
    })?;
    Ok(room)
}
