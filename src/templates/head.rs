//! The head inside the binary that brain masks are carried over from. Where it comes from is in `NOTICE`.

use flate2::read::GzDecoder;
use imaging::head_template::HeadTemplate;
use ndarray::Array3;
use std::io::Read;
use std::sync::OnceLock;

/// Image and distance from the brain, as `make_head.py` makes them: NIfTI-1, 8 bits a voxel, an sform along the axes.
const HEAD: &[u8] = include_bytes!("head_T1w.nii.gz");
const DISTANCE: &[u8] = include_bytes!("head_desc-brain_distance.nii.gz");

/// Bytes before the voxels of these files.
const HEADER: usize = 352;

/// The head that brain extraction carries its mask over from; made when it is first asked for.
///
/// # Panics
/// Never: a test reads the bytes that are in the binary.
#[must_use]
pub fn head() -> &'static HeadTemplate {
    static TEMPLATE: OnceLock<HeadTemplate> = OnceLock::new();
    #[expect(clippy::expect_used, reason = "the bytes are part of the binary, and a test reads them")]
    TEMPLATE.get_or_init(|| read_head().expect("the template in the binary can be read"))
}

fn read_head() -> Option<HeadTemplate> {
    let (head, distance) = (Volume::read(HEAD)?, Volume::read(DISTANCE)?);
    let signed =
        Array3::from_shape_vec(distance.shape, distance.voxels.iter().map(|v| v.cast_signed()).collect()).ok()?;
    let image = Array3::from_shape_vec(head.shape, head.voxels).ok()?;
    HeadTemplate::new(image.view(), signed.view(), distance.slope, head.to_world).ok()
}

/// A volume of 8 bits a voxel.
struct Volume {
    shape: [usize; 3],
    to_world: [[f64; 4]; 4],
    slope: f32,
    voxels: Vec<u8>,
}

impl Volume {
    fn read(packed: &[u8]) -> Option<Self> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_in_the_binary_is_a_head() {
        let head = read_head().unwrap();
        assert_eq!(head.voxel_mm(), [2.0; 3]);
        assert!((1200.0..2100.0).contains(&head.brain_ml()), "{} ml", head.brain_ml());
    }
}
