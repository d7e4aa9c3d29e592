//! Quality: measures how good the scan is, on the image as it was corrected, and makes the confounds of a series.

use super::{Facts, Stage, StageError, Work, brain};
use crate::bids::Modality;
use crate::derivatives::outputs::Tissue;
use crate::derivatives::products::{Confound, Measure, Products, Quality};
use crate::figures::TissuePeak;
use imaging::confounds::{Confounds, confounds};
use imaging::motion::MotionEstimate;
use imaging::quality::Verdict;
use imaging::quality_bold::{bold_quality, bold_verdict};
use imaging::quality_t1w::{t1w_quality, t1w_verdict};
use imaging::tissue::{Tissues, check_voxel_size, classify_tissues};
use crate::run::event::StageName;
use crate::telemetry::names;

/// The stage.
pub struct QualityCheck;

/// The six parameters in the order of [`MotionEstimate::parameters`]: fMRIPrep's name, meaning, unit.
const PARAMETERS: [(&str, &str, &str); 6] = [
    ("trans_x", "Translation of the head to the right", "mm"),
    ("trans_y", "Translation of the head to the front", "mm"),
    ("trans_z", "Translation of the head to the top", "mm"),
    ("rot_x", "Rotation of the head about the left-right axis", "rad"),
    ("rot_y", "Rotation of the head about the back-front axis", "rad"),
    ("rot_z", "Rotation of the head about the bottom-top axis", "rad"),
];

impl Stage for QualityCheck {
    fn name(&self) -> StageName {
        StageName::Quality
    }

    fn run(&self, work: &mut Work<'_>, facts: &mut Facts) -> Result<(), StageError> {
        let modality = work.modality();
        let asked = work.scan.tissues;
        let products = work.products()?;
        let (measures, verdict, note) = match modality {
            Modality::T1w => t1w(products, asked)?,
            Modality::Bold => bold(products)?,
        };
        let measures = measures.into_iter().filter_map(|(name, value)| Some(Measure { name, value: value? })).collect();
        let quality = Quality { measures, score: verdict.quality_score, motion_detected: verdict.motion_detected };
        if let Some(score) = quality.score {
            facts.set_phase(names::PROCESSING_QUALITY_SCORE, score);
        }
        facts.set_phase(names::PROCESSING_MOTION_DETECTED, quality.motion_detected);
        facts.phase_events.push((names::QUALITY_CHECK_COMPLETED, vec![]));
        products.quality = Some(quality);
        work.notes.extend(note);
        if verdict.motion_detected {
            work.notes.push("the subject moved more than most analyses tolerate".into());
        }
        Ok(())
    }
}

type Measured = (Vec<(&'static str, Option<f64>)>, Verdict, Option<String>);

fn t1w(products: &mut Products, maps_asked: bool) -> Result<Measured, StageError> {
    let (image, mask) = (products.reference(), brain(products)?.mask.view());
    if maps_asked {
        check_voxel_size(products.header.grid().voxel_mm)?;
    }
    // Without tissues there are fewer measures, which is no reason to lose the scan, unless it is their map that is wanted.
    let (tissues, note) = match classify_tissues(image, mask) {
        Ok(tissues) => (Some(tissues), None),
        Err(e) if maps_asked => return Err(e.into()),
        Err(e) => (None, Some(format!("tissue contrast could not be measured: {e}"))),
    };
    let labels = tissues.as_ref().map(|t| t.labels.view());
    let quality = t1w_quality(image, mask, labels, products.header.grid().voxel_mm);
    products.peaks = tissues.as_ref().map(peaks).unwrap_or_default();
    products.tissues = tissues.filter(|_| maps_asked);
    Ok((quality.named(), t1w_verdict(&quality), note))
}

/// Where the tissues are among the intensities, from the darkest on.
fn peaks(tissues: &Tissues) -> Vec<TissuePeak> {
    let of = |tissue: Tissue| {
        let class = usize::from(tissue.class()) - 1;
        let (mean, sd, voxels) = (tissues.means[class], tissues.sds[class], tissues.voxels[class]);
        TissuePeak { name: tissue.abbreviation().into(), mean, sd, voxels }
    };
    [Tissue::Csf, Tissue::Gm, Tissue::Wm].map(of).into()
}

fn bold(products: &mut Products) -> Result<Measured, StageError> {
    let motion = products.motion.as_ref().ok_or(StageError::OutOfOrder { needs: "the motion estimate" })?;
    let mask = brain(products)?.mask.view();
    let found = confounds(products.image.view(), mask, motion);
    let quality = bold_quality(products.image.view(), mask, &found, motion.non_steady);
    let columns = columns(motion, found);
    products.confounds = columns;
    Ok((quality.named(), bold_verdict(&quality), None))
}

/// The confounds table: parameters, displacement, signal, and an indicator for each volume before the steady state.
fn columns(motion: &MotionEstimate, found: Confounds) -> Vec<Confound> {
    let column = |name: &str, description, units, values| Confound { name: name.into(), description, units, values };
    let parameters = PARAMETERS.iter().enumerate().map(|(p, &(name, description, units))| {
        column(name, description, Some(units), motion.parameters.iter().map(|v| v.get(p).copied()).collect())
    });
    let measured = [
        (
            "framewise_displacement",
            "Framewise displacement (Power 2012), 50 mm sphere",
            Some("mm"),
            found.framewise_displacement,
        ),
        ("rmsd", "RMS deviation from the volume before (Jenkinson 1999), 80 mm sphere", Some("mm"), found.rmsd),
        ("dvars", "DVARS (Power 2012), brain median scaled to 1000", None, found.dvars),
        ("std_dvars", "Standardised DVARS (Nichols 2013)", None, found.std_dvars),
        ("global_signal", "Mean signal of the brain", None, found.global_signal),
    ];
    let steady = (0..motion.non_steady).map(|volume| {
        let values = (0..motion.parameters.len()).map(|v| Some(f64::from(u8::from(v == volume)))).collect();
        column(&format!("non_steady_state_outlier{volume:02}"), "A volume before the steady state", None, values)
    });
    parameters.chain(measured.map(|(n, d, u, v)| column(n, d, u, v))).chain(steady).collect()
}
