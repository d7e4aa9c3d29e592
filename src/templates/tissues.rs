//! What to expect of the tissues at each place of MNI152NLin2009cAsym, in the binary. Where it comes from is in `NOTICE`.

use super::packed::Packed;
use imaging::rigid::{Matrix4, invert_affine};
use imaging::segmentation::TissuePrior;
use ndarray::Array3;
use std::sync::OnceLock;

/// Four volumes, as `make_tissue_prior.py` makes them: NIfTI-1, 8 bits a voxel, an sform along the axes.
const PRIOR: &[u8] = include_bytes!("tpl-MNI152NLin2009cAsym_res-02_desc-tissues_prior.nii.gz");

/// The prior, and the map of RAS+ mm of the template to its voxels; read on first use.
///
/// # Panics
/// Never: a test reads the bytes that are in the binary.
#[must_use]
pub fn tissue_prior() -> &'static (TissuePrior, Matrix4) {
    static PRIOR: OnceLock<(TissuePrior, Matrix4)> = OnceLock::new();
    #[expect(clippy::expect_used, reason = "the bytes are part of the binary, and a test reads them")]
    PRIOR.get_or_init(|| read().expect("the tissue prior in the binary can be read"))
}

fn read() -> Option<(TissuePrior, Matrix4)> {
    let packed = Packed::read(PRIOR)?;
    let [nz, ny, nx] = packed.shape;
    let mut volumes = packed.voxels.chunks_exact(nz * ny * nx);
    let mut next = || Array3::from_shape_vec((nz, ny, nx), volumes.next()?.to_vec()).ok();
    let prior = TissuePrior { grey: next()?, white: next()?, levels: [next()?, next()?] };
    Some((prior, invert_affine(&packed.to_world)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use imaging::rigid::apply;

    #[test]
    fn deep_grey_matter_is_grey_and_the_brainstem_white() {
        let (prior, to_voxel) = read().unwrap();
        let at = |mm: [f64; 3]| {
            let [i, j, k] = apply(&to_voxel, mm).map(|v| v.round() as usize);
            (prior.grey[[k, j, i]], prior.white[[k, j, i]])
        };
        assert!(at([-12.0, -20.0, 8.0]).0 > 128, "thalamus {:?}", at([-12.0, -20.0, 8.0]));
        assert!(at([0.0, -30.0, -30.0]).1 > 128, "pons {:?}", at([0.0, -30.0, -30.0]));
        assert_eq!(at([-90.0, -120.0, -70.0]), (0, 0), "air");
    }
}
