//! Tissues of a T1w image: grey matter, white matter and CSF, as labels and as probabilities.

use super::intensity::ScaledVolume;
use crate::derivatives::measured::TissueVolumes;
use crate::step::Found;
use figures::TissuePeak;
use imaging::brain::Brain;
use imaging::segmentation::{
    Segmentation, SegmentationError, Tissue, TissueMaps, estimate_shares, segment_tissues, too_coarse,
};

/// The tissues of an image.
pub struct Tissues {
    /// Labels and classes.
    pub found: Segmentation,
    /// The probability, or share, of each tissue at each voxel.
    pub shares: TissueMaps,
}

/// Tells the tissues apart; `None`, with a note, where that cannot be done: then there are no maps and fewer measures, which
/// is no reason to lose the corrected image and its mask.
pub fn t1w(scaled: &ScaledVolume, brain: &Brain, found: &mut Found) -> Option<Tissues> {
    let tissues = segment(scaled, brain);
    if let Err(e) = &tissues {
        found.note(format!("there are no tissue maps: {e}"));
    }
    let tissues = tissues.ok()?;
    if let Some(size_mm) = too_coarse(scaled.header.grid().voxel_mm) {
        found.note(format!(
            "in voxels of {size_mm:.1} mm most of the cortex shares its voxel with other tissue; labels and volumes of tissues \
             are rough"
        ));
    }
    let volumes = TissueVolumes::of(&tissues.shares);
    found.set("tissues.gm_ml", volumes.gm_volume_ml);
    found.set("tissues.wm_ml", volumes.wm_volume_ml);
    found.set("tissues.csf_ml", volumes.csf_volume_ml);
    found.known.tissues = Some(volumes);
    Some(tissues)
}

fn segment(scaled: &ScaledVolume, brain: &Brain) -> Result<Tissues, SegmentationError> {
    let (image, mask, voxel_mm) = (scaled.image.view(), brain.mask.view(), scaled.header.grid().voxel_mm);
    let found = segment_tissues(image, mask, voxel_mm, None)?;
    let shares = estimate_shares(image, mask, voxel_mm, None, &found)?;
    Ok(Tissues { found, shares })
}

/// Where the tissues are among the intensities, from the darkest on.
pub fn peaks(tissues: &Tissues) -> Vec<TissuePeak> {
    let of = |tissue: Tissue| {
        let facts = tissues.found.facts(tissue);
        TissuePeak { name: tissue.abbreviation().into(), mean: facts.mean, sd: facts.sd, voxels: facts.voxels }
    };
    [Tissue::Csf, Tissue::Grey, Tissue::White].map(of).into()
}
