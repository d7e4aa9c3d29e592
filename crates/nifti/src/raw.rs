//! The fields of a NIfTI header as they stand in the file: versions 1 and 2, both byte orders; and back, as version 1.
//!
//! Offsets are those of `nifti1.h` and `nifti2.h`. Nothing is judged here; that is the work of `checks`.

/// Bytes of a NIfTI-1 header.
pub(crate) const SIZE_1: usize = 348;
/// Bytes of a NIfTI-2 header.
pub(crate) const SIZE_2: usize = 540;
/// Where data begins in the files written here: the header and four zeros, "no extension".
pub(crate) const DATA_OFFSET_1: usize = SIZE_1 + 4;

/// What the first bytes of a file say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// NIfTI of this version (1 or 2) and byte order.
    Nifti {
        /// 1 or 2.
        version: u8,
        /// Most significant byte first.
        big_endian: bool,
        /// `n+1`, `n+2`: header and data in one file; else the header of a `.hdr`/`.img` pair.
        single_file: bool,
    },
    /// The size of a NIfTI-1 header without its magic: ANALYZE 7.5.
    Analyze,
    /// None of these.
    Unknown,
}

/// Tells the kind from the first 348 bytes: `sizeof_hdr` gives version and byte order, `magic` the layout.
pub(crate) fn identify(bytes: &[u8; SIZE_1]) -> Kind {
    let size: [u8; 4] = std::array::from_fn(|n| bytes[n]);
    let (version, big_endian) = match (i32::from_le_bytes(size), i32::from_be_bytes(size)) {
        (348, _) => (1, false),
        (_, 348) => (1, true),
        (540, _) => (2, false),
        (_, 540) => (2, true),
        _ => return Kind::Unknown,
    };
    let magic = if version == 1 { &bytes[344..348] } else { &bytes[4..8] };
    match (version, magic) {
        (1, b"n+1\0") | (2, b"n+2\0") => Kind::Nifti { version, big_endian, single_file: true },
        (1, b"ni1\0") | (2, b"ni2\0") => Kind::Nifti { version, big_endian, single_file: false },
        (1, _) => Kind::Analyze,
        _ => Kind::Unknown,
    }
}

/// The fields this program uses, widened so that both versions fit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raw {
    pub version: u8,
    pub big_endian: bool,
    pub dim: [i64; 8],
    pub datatype: i16,
    pub bitpix: i16,
    pub pixdim: [f64; 8],
    pub vox_offset: f64,
    pub slope: f64,
    pub inter: f64,
    pub units: i32,
    pub qform_code: i32,
    pub sform_code: i32,
    pub quatern: [f64; 3],
    pub qoffset: [f64; 3],
    pub srow: [[f64; 4]; 3],
    pub descrip: String,
}

/// A header's bytes and their order.
struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Fields<'_> {
    /// `N` bytes at an offset, least significant first.
    fn at<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut field = std::array::from_fn(|n| self.bytes[offset + n]);
        if self.big_endian {
            field.reverse();
        }
        field
    }

    fn i16(&self, offset: usize) -> i16 {
        i16::from_le_bytes(self.at(offset))
    }

    fn i32(&self, offset: usize) -> i32 {
        i32::from_le_bytes(self.at(offset))
    }

    fn i64(&self, offset: usize) -> i64 {
        i64::from_le_bytes(self.at(offset))
    }

    fn f32(&self, offset: usize) -> f64 {
        f64::from(f32::from_le_bytes(self.at(offset)))
    }

    fn f64(&self, offset: usize) -> f64 {
        f64::from_le_bytes(self.at(offset))
    }

    fn text(&self, offset: usize, len: usize) -> String {
        let field = &self.bytes[offset..offset + len];
        let end = field.iter().position(|&b| b == 0).unwrap_or(len);
        String::from_utf8_lossy(&field[..end]).trim().to_owned()
    }
}

impl Raw {
    /// The fields of a NIfTI-1 header.
    pub(crate) fn parse_1(bytes: &[u8; SIZE_1], big_endian: bool) -> Self {
        let f = Fields { bytes, big_endian };
        Self {
            version: 1,
            big_endian,
            dim: std::array::from_fn(|n| i64::from(f.i16(40 + 2 * n))),
            datatype: f.i16(70),
            bitpix: f.i16(72),
            pixdim: std::array::from_fn(|n| f.f32(76 + 4 * n)),
            vox_offset: f.f32(108),
            slope: f.f32(112),
            inter: f.f32(116),
            units: i32::from(bytes[123]),
            qform_code: i32::from(f.i16(252)),
            sform_code: i32::from(f.i16(254)),
            quatern: std::array::from_fn(|n| f.f32(256 + 4 * n)),
            qoffset: std::array::from_fn(|n| f.f32(268 + 4 * n)),
            srow: std::array::from_fn(|r| std::array::from_fn(|c| f.f32(280 + 16 * r + 4 * c))),
            descrip: f.text(148, 80),
        }
    }

    /// The fields of a NIfTI-2 header.
    pub(crate) fn parse_2(bytes: &[u8; SIZE_2], big_endian: bool) -> Self {
        let f = Fields { bytes, big_endian };
        Self {
            version: 2,
            big_endian,
            dim: std::array::from_fn(|n| f.i64(16 + 8 * n)),
            datatype: f.i16(12),
            bitpix: f.i16(14),
            pixdim: std::array::from_fn(|n| f.f64(104 + 8 * n)),
            vox_offset: f.i64(168) as f64,
            slope: f.f64(176),
            inter: f.f64(184),
            units: f.i32(500),
            qform_code: f.i32(344),
            sform_code: f.i32(348),
            quatern: std::array::from_fn(|n| f.f64(352 + 8 * n)),
            qoffset: std::array::from_fn(|n| f.f64(376 + 8 * n)),
            srow: std::array::from_fn(|r| std::array::from_fn(|c| f.f64(400 + 32 * r + 8 * c))),
            descrip: f.text(240, 80),
        }
    }

    /// A little-endian, single-file NIfTI-1 header with the empty extension flag: everything before the data.
    pub(crate) fn encode_1(&self) -> [u8; DATA_OFFSET_1] {
        let mut out = [0_u8; DATA_OFFSET_1];
        let mut put = |offset: usize, field: &[u8]| out[offset..offset + field.len()].copy_from_slice(field);
        put(0, &(SIZE_1 as i32).to_le_bytes());
        put(38, b"r");
        for n in 0..8 {
            put(40 + 2 * n, &(self.dim[n] as i16).to_le_bytes());
            put(76 + 4 * n, &(self.pixdim[n] as f32).to_le_bytes());
        }
        put(70, &self.datatype.to_le_bytes());
        put(72, &self.bitpix.to_le_bytes());
        put(108, &(DATA_OFFSET_1 as f32).to_le_bytes());
        put(112, &(self.slope as f32).to_le_bytes());
        put(116, &(self.inter as f32).to_le_bytes());
        put(123, &[self.units as u8]);
        let text = self.descrip.as_bytes();
        put(148, &text[..text.len().min(79)]);
        put(252, &(self.qform_code as i16).to_le_bytes());
        put(254, &(self.sform_code as i16).to_le_bytes());
        for n in 0..3 {
            put(256 + 4 * n, &(self.quatern[n] as f32).to_le_bytes());
            put(268 + 4 * n, &(self.qoffset[n] as f32).to_le_bytes());
            for c in 0..4 {
                put(280 + 16 * n + 4 * c, &(self.srow[n][c] as f32).to_le_bytes());
            }
        }
        put(344, b"n+1\0");
        out
    }
}
