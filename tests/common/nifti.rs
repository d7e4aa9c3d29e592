//! Builds NIfTI files field by field, independently of the code under test.
#![allow(dead_code, reason = "each test program uses its own part")]

use flate2::{Compression, write::GzEncoder};
use nifti::{Image, NiftiError};
use std::io::Write;
use std::path::PathBuf;
use tempfile::TempDir;

/// A real type of voxels.
pub struct Type {
    pub code: i16,
    pub bits: i16,
    /// A value's bytes, least significant first.
    pub encode: fn(f64) -> Vec<u8>,
    /// The value of such bytes.
    pub decode: fn(&[u8]) -> f64,
}

macro_rules! types {
    ($($code:literal $number:ty),*) => {
        [$(Type {
            code: $code,
            bits: 8 * size_of::<$number>() as i16,
            encode: |v| (v as $number).to_le_bytes().to_vec(),
            decode: |b| <$number>::from_le_bytes(b.try_into().unwrap()) as f64,
        }),*]
    };
}

/// Every real type of NIfTI of up to 64 bits.
pub const TYPES: [Type; 10] = types![2 u8, 256 i8, 512 u16, 4 i16, 768 u32, 8 i32, 1280 u64, 1024 i64, 16 f32, 64 f64];

/// A NIfTI file to be; public fields are changed by the tests.
#[derive(Clone, Debug)]
pub struct File {
    pub version: u8,
    pub big: bool,
    pub dim: Vec<i64>,
    pub datatype: i16,
    pub bitpix: i16,
    pub pixdim: [f64; 8],
    pub vox_offset: f64,
    pub slope: f64,
    pub inter: f64,
    pub units: u8,
    pub qform_code: i16,
    pub sform_code: i16,
    pub quatern: [f64; 3],
    pub qoffset: [f64; 3],
    pub srow: [[f64; 4]; 3],
    pub magic: &'static [u8; 4],
    pub data: Vec<u8>,
}

impl File {
    /// An int16 image in RAS+ order whose voxels count up from 0, 2 mm wide.
    pub fn new(dim: &[i64]) -> Self {
        let count = dim.iter().product::<i64>();
        Self {
            version: 1,
            big: false,
            dim: dim.to_vec(),
            datatype: 4,
            bitpix: 16,
            pixdim: [1.0, 2.0, 2.0, 2.0, 2.5, 0.0, 0.0, 0.0],
            vox_offset: 352.0,
            slope: 1.0,
            inter: 0.0,
            units: 10,
            qform_code: 0,
            sform_code: 1,
            quatern: [0.0; 3],
            qoffset: [0.0; 3],
            srow: [[2.0, 0.0, 0.0, -9.0], [0.0, 2.0, 0.0, 4.0], [0.0, 0.0, 2.0, 30.0]],
            magic: b"n+1\0",
            data: (0..count).flat_map(|v| (v as i16).to_le_bytes()).collect(),
        }
    }

    /// The same with other voxels.
    pub fn voxels(mut self, datatype: i16, bitpix: i16, data: Vec<u8>) -> Self {
        (self.datatype, self.bitpix, self.data) = (datatype, bitpix, data);
        self
    }

    /// The same as NIfTI-2.
    pub fn version_2(mut self) -> Self {
        (self.version, self.vox_offset, self.magic) = (2, 544.0, b"n+2\0");
        self
    }

    /// The file's bytes: header, zeros up to the data, data.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = if self.version == 1 { self.header_1() } else { self.header_2() };
        let start = if self.vox_offset.is_finite() { self.vox_offset as usize } else { 0 };
        let least = if self.version == 1 { 352 } else { 544 };
        out.resize(start.clamp(least, 1 << 16), 0);
        out.extend(&self.data);
        out
    }

    fn put(&self, out: &mut [u8], at: usize, little: &[u8]) {
        let mut field = little.to_vec();
        if self.big {
            field.reverse();
        }
        out[at..at + field.len()].copy_from_slice(&field);
    }

    fn dims(&self) -> [i64; 8] {
        let mut dim = [1; 8];
        dim[0] = self.dim.len() as i64;
        dim[1..=self.dim.len()].copy_from_slice(&self.dim);
        dim
    }

    fn header_1(&self) -> Vec<u8> {
        let mut out = vec![0; 348];
        let f32s = |out: &mut Vec<u8>, at: usize, values: &[f64]| {
            for (n, v) in values.iter().enumerate() {
                self.put(out, at + 4 * n, &(*v as f32).to_le_bytes());
            }
        };
        self.put(&mut out, 0, &348_i32.to_le_bytes());
        for (n, d) in self.dims().iter().enumerate() {
            self.put(&mut out, 40 + 2 * n, &(*d as i16).to_le_bytes());
        }
        self.put(&mut out, 70, &self.datatype.to_le_bytes());
        self.put(&mut out, 72, &self.bitpix.to_le_bytes());
        f32s(&mut out, 76, &self.pixdim);
        f32s(&mut out, 108, &[self.vox_offset, self.slope, self.inter]);
        out[123] = self.units;
        self.put(&mut out, 252, &self.qform_code.to_le_bytes());
        self.put(&mut out, 254, &self.sform_code.to_le_bytes());
        f32s(&mut out, 256, &self.quatern);
        f32s(&mut out, 268, &self.qoffset);
        f32s(&mut out, 280, self.srow.as_flattened());
        out[344..348].copy_from_slice(self.magic);
        out
    }

    fn header_2(&self) -> Vec<u8> {
        let mut out = vec![0; 540];
        let f64s = |out: &mut Vec<u8>, at: usize, values: &[f64]| {
            for (n, v) in values.iter().enumerate() {
                self.put(out, at + 8 * n, &v.to_le_bytes());
            }
        };
        self.put(&mut out, 0, &540_i32.to_le_bytes());
        out[4..8].copy_from_slice(self.magic);
        out[8..12].copy_from_slice(b"\r\n\x1a\n");
        self.put(&mut out, 12, &self.datatype.to_le_bytes());
        self.put(&mut out, 14, &self.bitpix.to_le_bytes());
        for (n, d) in self.dims().iter().enumerate() {
            self.put(&mut out, 16 + 8 * n, &d.to_le_bytes());
        }
        f64s(&mut out, 104, &self.pixdim);
        self.put(&mut out, 168, &(self.vox_offset as i64).to_le_bytes());
        f64s(&mut out, 176, &[self.slope, self.inter]);
        self.put(&mut out, 344, &i32::from(self.qform_code).to_le_bytes());
        self.put(&mut out, 348, &i32::from(self.sform_code).to_le_bytes());
        f64s(&mut out, 352, &self.quatern);
        f64s(&mut out, 376, &self.qoffset);
        f64s(&mut out, 400, self.srow.as_flattened());
        self.put(&mut out, 500, &i32::from(self.units).to_le_bytes());
        out
    }

    /// Reads the file back under a name with `.nii`.
    pub fn read(&self) -> Result<Image, NiftiError> {
        read("scan.nii", &self.bytes())
    }
}

/// Compresses to one gzip member.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A folder with one file.
pub fn place(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

/// Reads bytes as a file of this name.
pub fn read(name: &str, bytes: &[u8]) -> Result<Image, NiftiError> {
    let (_dir, path) = place(name, bytes);
    nifti::read(&path)
}

/// The kinds of an image's notes.
pub fn kinds(image: &Image) -> Vec<&'static str> {
    image.notes.iter().map(|n| n.kind).collect()
}

/// All 48 ways in which the axes of a file can point: voxels of 2, 1.5 and 3 mm along x, y, z of the file, turned by
/// `tilt` radians about the left-right axis.
pub fn orientations(tilt: f64) -> Vec<[[f64; 4]; 3]> {
    let mut all = Vec::new();
    let turn = [[1.0, 0.0, 0.0], [0.0, tilt.cos(), -tilt.sin()], [0.0, tilt.sin(), tilt.cos()]];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for flips in 0..8 {
            let mut srow = [[0.0, 0.0, 0.0, -20.0], [0.0, 0.0, 0.0, 33.0], [0.0, 0.0, 0.0, 5.5]];
            for (axis, size) in [2.0, 1.5, 3.0].into_iter().enumerate() {
                let size = if flips >> axis & 1 == 1 { -size } else { size };
                for row in 0..3 {
                    srow[row][axis] = turn[row][order[axis]] * size;
                }
            }
            all.push(srow);
        }
    }
    all
}
