//! The voxel types of NIfTI: which are real numbers, how wide they are, what they are called.

/// A voxel type that can be read: every real one of NIfTI up to 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dtype {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Dtype {
    /// The type of a `datatype` code of `nifti1.h`, if it is real and at most 64 bits wide.
    pub(crate) fn from_code(code: i16) -> Option<Self> {
        Some(match code {
            2 => Self::U8,
            256 => Self::I8,
            512 => Self::U16,
            4 => Self::I16,
            768 => Self::U32,
            8 => Self::I32,
            1280 => Self::U64,
            1024 => Self::I64,
            16 => Self::F32,
            64 => Self::F64,
            _ => return None,
        })
    }

    /// Its `datatype` code.
    pub(crate) const fn code(self) -> i16 {
        match self {
            Self::U8 => 2,
            Self::I8 => 256,
            Self::U16 => 512,
            Self::I16 => 4,
            Self::U32 => 768,
            Self::I32 => 8,
            Self::U64 => 1280,
            Self::I64 => 1024,
            Self::F32 => 16,
            Self::F64 => 64,
        }
    }

    /// Bytes of one voxel.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Its usual name (NumPy's).
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
            Self::U64 => "uint64",
            Self::I64 => "int64",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }
}

/// What a `datatype` code that cannot be read stands for, for the message.
pub(crate) fn unreadable(code: i16) -> &'static str {
    match code {
        1 => "one bit per voxel",
        32 => "complex64",
        128 => "RGB colour",
        1536 => "float128",
        1792 => "complex128",
        2048 => "complex256",
        2304 => "RGBA colour",
        _ => "not a type of NIfTI",
    }
}
