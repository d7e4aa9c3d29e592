//! Tissues of a T1w image: grey matter, white matter and CSF, as labels and as probabilities.

use super::intensity::ScaledVolume;
use super::spatial_normalization::Registered;
use crate::derivatives::measured::TissueVolumes;
use crate::step::Found;
use crate::templates::tissue_prior;
use crate::vocabulary::TemplateId;
use figures::TissuePeak;
use imaging::brain::Brain;
use imaging::rigid::apply;
use imaging::segmentation::{
    Segmentation, SegmentationError, Tissue, TissueMaps, TissuePrior, estimate_shares, segment_tissues, too_coarse,
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
pub fn t1w(scaled: &ScaledVolume, brain: &Brain, maps: &[Registered<'_>], found: &mut Found) -> Option<Tissues> {
    let tissues = segment(scaled, brain, maps);
    if let Err(e) = &tissues {
        found.note(format!("there are no tissue maps: {e}"));
        found.known.without_tissues = true;
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

fn segment(scaled: &ScaledVolume, brain: &Brain, maps: &[Registered<'_>]) -> Result<Tissues, SegmentationError> {
    let (image, mask, voxel_mm) = (scaled.image.view(), brain.mask.view(), scaled.header.grid().voxel_mm);
    let prior = prior(scaled, brain, maps);
    let found = segment_tissues(image, mask, voxel_mm, prior.as_ref())?;
    let shares = estimate_shares(image, mask, voxel_mm, prior.as_ref(), &found)?;
    Ok(Tissues { found, shares })
}

/// What the template that is in the binary expects where, if the scan was brought to it.
fn prior(scaled: &ScaledVolume, brain: &Brain, maps: &[Registered<'_>]) -> Option<TissuePrior> {
    let Registered { map, .. } = maps.iter().find(|map| map.template.id == TemplateId::built_in())?;
    let (prior, to_voxel) = tissue_prior();
    let affine = scaled.header.grid().affine;
    #[expect(clippy::cast_precision_loss, reason = "an index of a voxel")]
    let to_template = |voxel: [usize; 3]| map.warp.to_template(apply(&affine, voxel.map(|v| v as f64)));
    Some(prior.carried(to_voxel, brain.mask.view(), to_template))
}

/// Where the tissues are among the intensities, from the darkest on.
pub fn peaks(tissues: &Tissues) -> Vec<TissuePeak> {
    let of = |tissue: Tissue| {
        let facts = tissues.found.facts(tissue);
        TissuePeak { name: tissue.abbreviation().into(), mean: facts.mean, sd: facts.sd, voxels: facts.voxels }
    };
    [Tissue::Csf, Tissue::Grey, Tissue::White].map(of).into()
}
