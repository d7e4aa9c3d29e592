//! What a header says, unchecked, for people who look for what is wrong with a file.

use super::dtype::Dtype;
use super::open::{Unchecked, unchecked};
use super::raw::Raw;
use std::path::Path;

/// Bytes that are asked of the disk at once.
const AT_ONCE: usize = 1 << 12;

/// The main fields of a header as they are in the file, by name; empty when no header can be read.
#[must_use]
pub fn facts(path: &Path) -> Vec<(&'static str, String)> {
    let Ok(Unchecked { gzipped, raw, .. }) = unchecked(path, AT_ONCE) else { return Vec::new() };
    let order = if raw.big_endian { "big-endian" } else { "little-endian" };
    let packed = if gzipped { ", gzip" } else { "" };
    let mut found = vec![
        ("format", format!("NIfTI-{}, {order}{packed}", raw.version)),
        ("dimensions", joined(axes(&raw), |n| raw.dim[n].to_string())),
        ("pixdim", joined(axes(&raw), |n| raw.pixdim[n].to_string())),
        ("data type", data_type(raw.datatype)),
        ("qform_code, sform_code", format!("{}, {}", raw.qform_code, raw.sform_code)),
    ];
    if !(raw.slope == 1.0 && raw.inter == 0.0) {
        found.push(("scl_slope, scl_inter", format!("{}, {}", raw.slope, raw.inter)));
    }
    found
}

/// The axes that the header counts; all of them when the count is impossible.
fn axes(raw: &Raw) -> usize {
    usize::try_from(raw.dim[0]).ok().filter(|n| (1..=7).contains(n)).unwrap_or(7)
}

fn joined(axes: usize, of: impl Fn(usize) -> String) -> String {
    (1..=axes).map(of).collect::<Vec<_>>().join(" x ")
}

/// Names of the types that are not read (`nifti1.h`).
const OTHERS: [(i16, &str); 7] = [
    (1, "1 bit"),
    (32, "complex64"),
    (128, "RGB24"),
    (1536, "float128"),
    (1792, "complex128"),
    (2048, "complex256"),
    (2304, "RGBA32"),
];

fn data_type(code: i16) -> String {
    let name = Dtype::from_code(code).map(Dtype::name);
    let name = name.or_else(|| OTHERS.iter().find(|(other, _)| *other == code).map(|(_, name)| *name));
    name.map_or_else(|| format!("unknown ({code})"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::{Grid, Header, Voxels, write};
    use super::*;
    use ndarray::Array3;

    #[test]
    fn a_header_that_is_refused_is_told_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.nii");
        let affine = [[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let grid = Grid { shape: [4, 5, 6], voxel_mm: [3.0, 2.0, 2.0], affine };
        let mut bytes = Vec::new();
        write(&mut bytes, &Header::new(grid, 1, None), Voxels::Mask(Array3::ones((4, 5, 6)).view())).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let found = facts(&path);
        let of = |name: &str| found.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
        assert_eq!(of("format"), Some("NIfTI-1, little-endian, gzip"));
        assert_eq!((of("dimensions"), of("pixdim")), (Some("6 x 5 x 4"), Some("2 x 2 x 3")));
        assert_eq!((of("data type"), of("qform_code, sform_code")), (Some("uint8"), Some("1, 1")));
        std::fs::write(&path, "no header").unwrap();
        assert_eq!(facts(&path), []);
        assert_eq!((data_type(1792), data_type(77)), ("complex128".to_owned(), "unknown (77)".to_owned()));
    }
}
