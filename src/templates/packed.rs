//! Reads the images inside the binary: NIfTI-1, 8 bits a voxel, an sform along the axes, gzip.

use flate2::read::GzDecoder;
use std::io::Read;

/// Bytes before the voxels of these files.
const HEADER: usize = 352;

/// One volume or more of 8 bits a voxel.
pub(super) struct Packed {
    /// Of one volume: `(nz, ny, nx)`.
    pub shape: [usize; 3],
    pub to_world: [[f64; 4]; 4],
    pub slope: f32,
    pub voxels: Vec<u8>,
}

impl Packed {
    pub fn read(packed: &[u8]) -> Option<Self> {
        let mut bytes = Vec::new();
        GzDecoder::new(packed).read_to_end(&mut bytes).ok()?;
        let extent = |at: usize| Some(usize::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)));
        let float = |at: usize| Some(f32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let shape = [extent(46)?, extent(44)?, extent(42)?];
        let mut to_world = [[0.0, 0.0, 0.0, 0.0], [0.0; 4], [0.0; 4], [0.0, 0.0, 0.0, 1.0]];
        for (row, at) in to_world.iter_mut().zip([280, 296, 312]) {
            for (column, cell) in row.iter_mut().enumerate() {
                *cell = f64::from(float(at + 4 * column)?);
            }
        }
        let voxels = bytes.get(HEADER..)?.to_vec();
        Some(Self { shape, to_world, slope: float(112)?, voxels })
    }
}
