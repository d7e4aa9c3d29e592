//! Tissues of a T1w image: CSF, grey and white matter by intensity.

use super::intensity::ScaledVolume;
use crate::derivatives::outputs::Tissue;
use crate::step::{Found, StageError};
use crate::vocabulary::Wanted;
use figures::TissuePeak;
use imaging::brain::Brain;
use imaging::tissue::{Tissues, check_voxel_size, classify_tissues};

/// Tells the tissues apart; `None`, with a note, where that cannot be done. Then there are fewer measures, which is no reason
/// to lose the scan, unless maps of the tissues are wanted.
pub fn classify(
    scaled: &ScaledVolume,
    brain: &Brain,
    wanted: &Wanted,
    found: &mut Found,
) -> Result<Option<Tissues>, StageError> {
    if wanted.tissues {
        check_voxel_size(scaled.header.grid().voxel_mm)?;
    }
    match classify_tissues(scaled.image.view(), brain.mask.view()) {
        Ok(tissues) => Ok(Some(tissues)),
        Err(e) if wanted.tissues => Err(e.into()),
        Err(e) => {
            found.note(format!("tissue contrast could not be measured: {e}"));
            Ok(None)
        }
    }
}

/// Where the tissues are among the intensities, from the darkest on.
pub fn peaks(tissues: &Tissues) -> Vec<TissuePeak> {
    let of = |tissue: Tissue| {
        let class = usize::from(tissue.class()) - 1;
        let (mean, sd, voxels) = (tissues.means[class], tissues.sds[class], tissues.voxels[class]);
        TissuePeak { name: tissue.abbreviation().into(), mean, sd, voxels }
    };
    [Tissue::Csf, Tissue::Gm, Tissue::Wm].map(of).into()
}
