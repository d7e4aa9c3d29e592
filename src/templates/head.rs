//! The head inside the binary that brain masks are carried over from. Where it comes from is in `NOTICE`.

use super::packed::Packed;
use imaging::head_template::HeadTemplate;
use ndarray::Array3;
use std::sync::OnceLock;

/// Image and distance from the brain, as `make_head.py` makes them: NIfTI-1, 8 bits a voxel, an sform along the axes.
const HEAD: &[u8] = include_bytes!("head_T1w.nii.gz");
const DISTANCE: &[u8] = include_bytes!("head_desc-brain_distance.nii.gz");

/// The template head of brain extraction; loaded on first use.
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
    let (head, distance) = (Packed::read(HEAD)?, Packed::read(DISTANCE)?);
    let signed =
        Array3::from_shape_vec(distance.shape, distance.voxels.iter().map(|v| v.cast_signed()).collect()).ok()?;
    let image = Array3::from_shape_vec(head.shape, head.voxels).ok()?;
    HeadTemplate::new(image.view(), signed.view(), distance.slope, head.to_world).ok()
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
