//! NIfTI: any bytes as a file, and gzip framed in every way.

use super::build::File;
use super::{file, printable};
use flate2::bufread::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use neuro_preprocess::error::Coded;
use nifti::{Image, NiftiError, Voxels};
use std::io::{Read, Write};

/// A file of any bytes is refused with words, or read whole: finite values on a grid that is sound, no more of them than
/// the file can hold, and the same after they were written and read again.
pub fn nifti(bytes: &[u8]) {
    let path = file("scan.nii.gz", bytes);
    let header = nifti::read_header(&path);
    let Some(image) = told(nifti::read(&path)) else { return };
    // As text, for what is not used may be NaN.
    assert_eq!(format!("{:?}", header.expect("its header was read before")), format!("{:?}", image.header));
    whole(&image, bytes.len());
    written_and_read(&image);
}

/// An image, or a refusal that can be shown.
fn told(read: Result<Image, NiftiError>) -> Option<Image> {
    match read {
        Ok(image) => Some(image),
        Err(e) => {
            assert!(!e.code().as_str().is_empty());
            printable(&e.to_string());
            None
        }
    }
}

/// Deflate cannot do better (see `src/nifti/open.rs`).
const MAX_EXPANSION: usize = 1032;

fn whole(image: &Image, file_bytes: usize) {
    let (nt, nz, ny, nx) = image.data.dim();
    assert_eq!((image.header.volumes(), image.header.grid().shape), (nt, [nz, ny, nx]));
    assert!(image.data.len() <= file_bytes * MAX_EXPANSION, "{} voxels of {file_bytes} bytes", image.data.len());
    assert!(image.data.iter().all(|v| v.is_finite()));
    let grid = image.header.grid();
    assert!(grid.affine.iter().flatten().all(|v| v.is_finite()), "{:?}", grid.affine);
    assert!(grid.voxel_mm.iter().all(|v| v.is_finite() && *v > 0.0), "{:?}", grid.voxel_mm);
    assert!(image.header.tr_seconds().is_none_or(|tr| tr.is_finite() && tr > 0.0));
    image.notes.iter().for_each(|note| printable(&note.to_string()));
}

fn written_and_read(image: &Image) {
    let again = |voxels| {
        let mut bytes = Vec::new();
        nifti::write(&mut bytes, &image.header, voxels).expect("what was read can be written");
        nifti::read(&file("again.nii.gz", &bytes)).expect("what was written can be read")
    };
    let float = again(Voxels::Float(image.data.view()));
    assert_eq!(float.data, image.data);
    same_place(image, &float);
    let scaled = again(Voxels::Scaled(image.data.view()));
    let half = scaled.header.scaling().0 as f32 * 0.5;
    for (after, before) in scaled.data.iter().zip(&image.data) {
        assert!((after - before).abs() <= half * 1.001 + before.abs() * 1e-6, "{before} became {after}, half {half}");
    }
}

/// The second image lies where the first does, as exactly as NIfTI-1 can say it.
fn same_place(first: &Image, second: &Image) {
    let (a, b) = (&first.header, &second.header);
    assert_eq!(a.disk_shape(), b.disk_shape());
    assert_eq!(a.orientation_missing(), b.orientation_missing());
    for (row_a, row_b) in a.disk_affine().iter().zip(b.disk_affine()) {
        for (x, y) in row_a.iter().zip(row_b) {
            // Without orientation the affine is a convention, made of voxel sizes and extents.
            let exact = if a.orientation_missing() { 1e-4 } else { 1e-6 };
            assert!((x - y).abs() <= exact * x.abs().max(1e-30), "{:?} became {:?}", a.disk_affine(), b.disk_affine());
        }
    }
    if a.volumes() > 1
        && let Some(tr) = a.tr_seconds()
    {
        assert!(
            b.tr_seconds().is_some_and(|again| (again - tr).abs() <= 1e-6 * tr),
            "{tr} s became {:?}",
            b.tr_seconds()
        );
    }
}

/// What is done to a gzip file before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    None,
    CutShort,
    Flipped,
    Followed,
    Padded,
}

/// An image compressed in members of any size, with any of the header's options, is read as it was; cut short or followed
/// by something it is refused; with a byte changed it is refused or, where the byte says nothing, read as it was. Input: how
/// to damage (or 255: the rest is the file), two bytes where, one that adds to it, size of members, level and options, then
/// the voxels.
pub fn gzip(bytes: &[u8]) {
    let Some(([how, high, low, value, step, level], voxels)) = bytes.split_first_chunk::<6>() else { return };
    if *how == 255 {
        return framed_anyhow(voxels);
    }
    let damage =
        [Damage::None, Damage::CutShort, Damage::Flipped, Damage::Followed, Damage::Padded][usize::from(how % 5)];
    if voxels.is_empty() || voxels.len() > 32767 {
        return;
    }
    let plain = [&line_of_bytes(voxels.len())[..], voxels].concat();
    let size = if *step == 0 { plain.len() } else { usize::from(*step) };
    let mut zipped: Vec<u8> = plain.chunks(size).flat_map(|part| member(part, *level)).collect();
    let at = usize::from(u16::from_be_bytes([*high, *low])) % zipped.len();
    match damage {
        Damage::None => {}
        Damage::CutShort => zipped.truncate(at),
        Damage::Flipped => zipped[at] ^= (*value).max(1),
        Damage::Followed => zipped.extend([(*value).max(1), 0, 0]),
        Damage::Padded => zipped.extend(vec![0; at]),
    }
    let read = told(nifti::read(&file("scan.nii.gz", &zipped)));
    let kept = matches!(damage, Damage::None | Damage::Padded);
    let lost = matches!(damage, Damage::CutShort | Damage::Followed);
    assert!(read.is_some() || !kept, "{damage:?} refused");
    assert!(read.is_none() || !lost, "{damage:?} accepted");
    if let Some(image) = read {
        assert!(image.data.iter().zip(voxels).all(|(v, b)| *v == f32::from(*b)), "{damage:?} changed voxels");
    }
}

/// Whatever the framing: nothing is read of what another decoder refuses, but for zeros at the end.
fn framed_anyhow(zipped: &[u8]) {
    let Some(image) = told(nifti::read(&file("scan.nii.gz", zipped))) else { return };
    if !zipped.starts_with(&[0x1f, 0x8b]) {
        return;
    }
    let used = zipped.len() - zipped.iter().rev().take_while(|b| **b == 0).count();
    // A member may itself end in zeros: an empty one in ten.
    let inflated = (used..=zipped.len().min(used + 10)).find_map(|end| {
        let mut plain = Vec::new();
        MultiGzDecoder::new(&zipped[..end]).read_to_end(&mut plain).ok().map(|_| plain)
    });
    let plain = inflated.expect("another decoder reads it, too");
    assert!(plain.len() >= 348 + image.data.len());
}

/// A NIfTI-1 header of one line of unsigned bytes.
fn line_of_bytes(length: usize) -> Vec<u8> {
    // From left to right, so that the voxels keep their order.
    let srow = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    let pixdim = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0];
    let empty = File::new(&[1]).voxels(2, 8, Vec::new());
    File { dim: vec![length as i64], pixdim, slope: 0.0, units: 0, srow, ..empty }.bytes()
}

/// One gzip member. The lowest bits of `options` are the level, the others add what its header may hold.
fn member(plain: &[u8], options: u8) -> Vec<u8> {
    let mut head = GzBuilder::new().mtime(u32::from(options));
    if options & 0x10 != 0 {
        head = head.filename("a name");
    }
    if options & 0x20 != 0 {
        head = head.comment("a comment");
    }
    if options & 0x40 != 0 {
        head = head.extra(vec![1; usize::from(options)]);
    }
    let mut encoder = head.write(Vec::new(), Compression::new(u32::from(options % 10)));
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}
