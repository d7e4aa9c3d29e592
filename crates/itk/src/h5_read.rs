//! Reads a composite transform from ITK's HDF5: what [`super::write_h5`], ITK or ANTs wrote.
//!
//! Nothing in the file is believed: what it announces is held against what its length can hold before memory is asked for.

use super::{Composite, DisplacementField, ItkError, Step};
use crate::lps::{affine_of, grid_of, turn};
use hdf5_pure::{DType, Dataset, File, Group, ReadSeekSource, VlenStringReadOptions};
use ndarray::Array4;
use rayon::prelude::*;
use std::io::{Read, Seek, SeekFrom};

/// More steps than this no tool writes.
const MAX_STEPS: usize = 16;

/// No deflate stream expands by more than this (RFC 1951: a match of 258 bytes costs at least two bits).
const MAX_EXPANSION: u64 = 1032;

/// Voxels of the largest field that is read: 512 of them cubed, 1.6 GB.
const MAX_VOXELS: u64 = 1 << 27;

/// Reads a transform of affines and displacement fields, float32 or float64. The steps are in the order in which a point
/// takes them, in RAS+ millimetres.
///
/// # Errors
/// [`ItkError::Hdf5`] for a file that is not HDF5, is damaged or cut short; [`ItkError::Layout`], [`ItkError::Kind`],
/// [`ItkError::TooLarge`], [`ItkError::NotFinite`], [`ItkError::Singular`] for one that holds something else than such a
/// transform; [`ItkError::Io`] and [`ItkError::Memory`] for what the system refuses.
pub fn read_h5<R: Read + Seek + Send + 'static>(mut file: R) -> Result<Composite, ItkError> {
    let length = file.seek(SeekFrom::End(0))?;
    let source = ReadSeekSource::new(file).map_err(hdf5_pure::Error::Format)?;
    let file = File::from_source(source)?;
    let all = file.group("TransformGroup").map_err(|_| layout("it has no TransformGroup"))?;
    let mut names = all.groups()?;
    if names.len() > MAX_STEPS {
        return Err(ItkError::TooLarge { what: format!("{} transforms", names.len()) });
    }
    names.sort_by_key(|name| (name.len(), name.clone()));
    let whole = all.group("0").map_err(|_| layout("it has no first transform"))?;
    let kind = kind_of(&whole)?;
    let steps: Result<Vec<Step>, ItkError> = if kind.starts_with("CompositeTransform_") {
        // The one a point takes last stands first.
        names.iter().rev().filter(|name| *name != "0").map(|name| step(&all.group(name)?, length)).collect()
    } else {
        Ok(vec![step(&whole, length)?])
    };
    let steps = steps?;
    if steps.is_empty() { Err(layout("it is a composite of nothing")) } else { Ok(Composite { steps }) }
}

fn layout(problem: &str) -> ItkError {
    ItkError::Layout(problem.to_owned())
}

/// Reads one transform that is not itself composed.
fn step(group: &Group, length: u64) -> Result<Step, ItkError> {
    let kind = kind_of(group)?;
    // `<class>_<number type>_<dimensions>_<dimensions>`; the class is the only part that decides how it is read.
    let class = kind.strip_suffix("_float_3_3").or_else(|| kind.strip_suffix("_double_3_3"));
    match class {
        Some("AffineTransform" | "MatrixOffsetTransformBase") => {
            let parameters = numbers::<12>(&dataset(group, "Parameters")?)?;
            let centre = numbers::<3>(&dataset(group, "FixedParameters")?)?;
            affine_of(&parameters, &centre).map(Step::Affine)
        }
        Some("DisplacementFieldTransform") => field(group, length).map(Step::Field),
        _ => Err(ItkError::Kind { kind }),
    }
}

fn field(group: &Group, length: u64) -> Result<DisplacementField, ItkError> {
    let (affine, [nx, ny, nz]) = grid_of(&numbers::<18>(&dataset(group, "FixedParameters")?)?)?;
    let data = dataset(group, "Parameters")?;
    let voxels = nx as u64 * ny as u64 * nz as u64;
    let width: u64 = match data.dtype()? {
        DType::F32 => 4,
        DType::F64 => 8,
        other => return Err(ItkError::Layout(format!("its displacements are of type {other}"))),
    };
    let stored = voxels * 3 * width;
    if voxels > MAX_VOXELS || stored > length.saturating_mul(MAX_EXPANSION) {
        return Err(ItkError::TooLarge { what: format!("a field of {nx} x {ny} x {nz} voxels in {length} bytes") });
    }
    if data.shape()? != [voxels * 3] {
        return Err(layout("its displacements do not fill its grid"));
    }
    let mut values = data.read_f32()?;
    let finite = values.par_chunks_mut(3).map(|vector| {
        if let [x, y, z] = vector {
            [*x, *y, *z] = turn([*x, *y, *z]);
        }
        vector.iter().all(|v| v.is_finite())
    });
    if !finite.reduce(|| true, |a, b| a && b) {
        return Err(ItkError::NotFinite { what: "the displacement field" });
    }
    let vectors = Array4::from_shape_vec((nz, ny, nx, 3), values)
        .map_err(|_| layout("its displacements do not fill its grid"))?;
    Ok(DisplacementField { affine, vectors })
}

/// A dataset by the end of its name. ITK before 4.8 wrote `Tranform` for `Transform`.
fn dataset(group: &Group, name: &str) -> Result<Dataset, ItkError> {
    let found = group.dataset(&format!("Transform{name}")).or_else(|_| group.dataset(&format!("Tranform{name}")));
    found.map_err(|_| ItkError::Layout(format!("a transform in it has no Transform{name}")))
}

/// The `TransformType` of a transform: one short string.
fn kind_of(group: &Group) -> Result<String, ItkError> {
    let data = group.dataset("TransformType").map_err(|_| layout("a transform in it has no TransformType"))?;
    let one = data.shape()?.iter().try_fold(1_u64, |n, &d| n.checked_mul(d)) == Some(1);
    let text = match data.dtype()? {
        DType::VariableLengthString if one => {
            data.read_vlen_strings(VlenStringReadOptions::new().with_max_elements(1).with_max_payload_bytes(256))?
        }
        DType::String if one && data.datatype()?.type_size() <= 256 => data.read_string()?,
        _ => return Err(layout("a TransformType in it is not one short string")),
    };
    let kind = text.into_iter().next().unwrap_or_default();
    // What is said of it later shall be fit to print.
    if kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        Ok(kind)
    } else {
        Err(layout("a TransformType in it has other characters than letters, digits and _"))
    }
}

/// `N` numbers, float32 or float64.
fn numbers<const N: usize>(data: &Dataset) -> Result<[f64; N], ItkError> {
    if data.shape()? != [N as u64] || !matches!(data.dtype()?, DType::F32 | DType::F64) {
        return Err(ItkError::Layout(format!("a row of parameters in it is not {N} floating-point numbers")));
    }
    let values = data.read_f64()?;
    <[f64; N]>::try_from(values).map_err(|_| ItkError::Layout(format!("a row of {N} parameters in it is incomplete")))
}
