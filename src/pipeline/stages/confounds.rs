//! The confounds table of a bold run.

use super::native::ScaledSeries;
use crate::derivatives::measured::Confound;
use imaging::brain::Brain;
use imaging::confounds::{Confounds, confounds};
use imaging::motion::MotionEstimate;

/// The six parameters in the order of [`MotionEstimate::parameters`]: fMRIPrep's name, meaning, unit.
const PARAMETERS: [(&str, &str, &str); 6] = [
    ("trans_x", "Translation of the head to the right", "mm"),
    ("trans_y", "Translation of the head to the front", "mm"),
    ("trans_z", "Translation of the head to the top", "mm"),
    ("rot_x", "Rotation of the head about the left-right axis", "rad"),
    ("rot_y", "Rotation of the head about the back-front axis", "rad"),
    ("rot_z", "Rotation of the head about the bottom-top axis", "rad"),
];

/// What moved and changed from volume to volume.
pub fn of(scaled: &ScaledSeries, brain: &Brain) -> Confounds {
    confounds(scaled.series.view(), brain.mask.view(), &scaled.fit.motion)
}

/// The confounds table: parameters, displacement, signal, and an indicator for each volume before the steady state.
pub fn columns(motion: &MotionEstimate, found: Confounds) -> Vec<Confound> {
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
