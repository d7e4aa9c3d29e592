//! Writes a composite transform as ITK's HDF5.
//!
//! Layout, as in files of ITK 5: `/ITKVersion /HDFVersion /OSName /OSVersion`, one string each; `/TransformGroup/0` holds
//! only the `TransformType` of the composite; `/TransformGroup/1` and on hold the steps, the one a point takes last first,
//! each with `TransformType`, `TransformFixedParameters` and `TransformParameters`. Strings have a variable length and are
//! ASCII (ITK cannot read UTF-8 ones).

use super::{ItkError, StepView};
use crate::lps::{affine_parameters, grid_parameters, turn};
use hdf5_pure::{CharacterSet, DatasetBuilder, Datatype, FileBuilder, FinishedGroup, GroupBuilder, StringPadding};
use hdf5_pure::{make_f32_type, make_u8_type};
use ndarray::{ArrayView3, ArrayView4, Axis};
use rayon::prelude::*;
use std::io::Write;

/// Numbers in a chunk: whole voxels, small enough for a reader's cache. Not more than 65535: HDF5 2.0.0 refuses a chunk
/// whose size is stored in more bytes than it takes, and the crate stores in 1, 2 or 4 (hdf5 issue 6409).
const CHUNK: u64 = 3 << 14;

/// Little more is gained by higher levels, at several times the work.
const DEFLATE_LEVEL: u32 = 4;

/// What stands for the versions of ITK and HDF5 and for the host, which no reader needs and which would make equal
/// transforms differ.
const ABOUT: [(&str, &str); 4] = [
    ("ITKVersion", "5.4.0"),
    ("HDFVersion", "hdf5-pure"),
    ("OSName", "neuro-preprocess"),
    ("OSVersion", env!("CARGO_PKG_VERSION")),
];

/// Writes a transform: the steps in the order in which a point takes them. Fields are stored as float32, compressed.
/// Written front to back, without seeking; needs about 1.7 times the largest field's bytes of memory.
///
/// # Errors
/// [`ItkError::Empty`], [`ItkError::Shape`], [`ItkError::NotFinite`], [`ItkError::Singular`] for what cannot be written;
/// [`ItkError::Io`] when the disk refuses.
pub fn write_h5(to: &mut (impl Write + ?Sized), steps: &[StepView<'_>]) -> Result<(), ItkError> {
    if steps.is_empty() {
        return Err(ItkError::Empty);
    }
    let mut file = FileBuilder::new();
    for (name, value) in ABOUT {
        text(file.create_dataset(name), value);
    }
    let mut all = file.create_group("TransformGroup");
    let mut whole = all.create_group("0");
    text(whole.create_dataset("TransformType"), "CompositeTransform_double_3_3");
    all.add_group(whole.finish());
    for (n, step) in steps.iter().rev().enumerate() {
        let group = all.create_group(&(n + 1).to_string());
        let finished = match step {
            StepView::Affine(affine) => affine_group(group, affine)?,
            StepView::Field(affine, vectors) => field_group(group, affine, vectors)?,
        };
        all.add_group(finished);
    }
    file.add_group(all.finish());
    file.finish_to(to)?;
    Ok(())
}

fn affine_group(mut group: GroupBuilder, affine: &[[f64; 4]; 4]) -> Result<FinishedGroup, ItkError> {
    text(group.create_dataset("TransformType"), "AffineTransform_double_3_3");
    group.create_dataset("TransformFixedParameters").with_f64_data(&[0.0; 3]);
    group.create_dataset("TransformParameters").with_f64_data(&affine_parameters(affine)?);
    Ok(group.finish())
}

fn field_group(
    mut group: GroupBuilder,
    affine: &[[f64; 4]; 4],
    vectors: &ArrayView4<'_, f32>,
) -> Result<FinishedGroup, ItkError> {
    let (nz, ny, nx, parts) = vectors.dim();
    if parts != 3 || vectors.is_empty() {
        return Err(ItkError::Shape([nz, ny, nx, parts]));
    }
    let fixed = grid_parameters(affine, [nx, ny, nz])?;
    let bytes = interleaved(vectors)?;
    let count = vectors.len() as u64;
    text(group.create_dataset("TransformType"), "DisplacementFieldTransform_float_3_3");
    group.create_dataset("TransformFixedParameters").with_f64_data(&fixed);
    group
        .create_dataset("TransformParameters")
        .with_raw_data(make_f32_type(), bytes, count)
        .with_chunks(&[CHUNK.min(count)])
        .with_shuffle()
        .with_deflate(DEFLATE_LEVEL);
    Ok(group.finish())
}

/// The bytes of a field as ITK has them: LPS+, little-endian, the three parts of a voxel together, x fastest.
fn interleaved(vectors: &ArrayView4<'_, f32>) -> Result<Vec<u8>, ItkError> {
    let size = vectors.len() * size_of::<f32>();
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| ItkError::Memory { bytes: size })?;
    bytes.resize(size, 0_u8);
    let slab = size / vectors.len_of(Axis(0));
    let finite = bytes
        .par_chunks_mut(slab)
        .zip(vectors.axis_iter(Axis(0)).into_par_iter())
        .map(|(into, slab)| fill(into, &slab))
        .reduce(|| true, |a, b| a && b);
    if finite { Ok(bytes) } else { Err(ItkError::NotFinite { what: "the displacement field" }) }
}

/// Fills the bytes of one slab; whether all its numbers are finite.
fn fill(into: &mut [u8], slab: &ArrayView3<'_, f32>) -> bool {
    let (mut voxels, mut finite) = (into.chunks_exact_mut(12), true);
    for line in slab.outer_iter() {
        for (vector, out) in line.outer_iter().zip(&mut voxels) {
            let turned = turn([vector[0], vector[1], vector[2]]);
            finite &= turned.iter().all(|v| v.is_finite());
            for (value, four) in turned.iter().zip(out.chunks_exact_mut(4)) {
                four.copy_from_slice(&value.to_le_bytes());
            }
        }
    }
    finite
}

/// One string of variable length in ASCII.
fn text(dataset: &mut DatasetBuilder, value: &str) {
    dataset.with_vlen_strings(&[value]).with_dtype(Datatype::VariableLength {
        is_string: true,
        padding: Some(StringPadding::NullTerminate),
        charset: Some(CharacterSet::Ascii),
        base_type: Box::new(make_u8_type()),
    });
}
