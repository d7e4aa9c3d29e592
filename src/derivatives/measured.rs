//! What was measured of a scan and is written down: the brain, quality, and the columns of the confounds table.

use imaging::brain::Brain;
use imaging::segmentation::{Tissue, TissueMaps};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How the brain was found, and how far the mask is to be believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Located {
    /// How the mask was made.
    pub method: String,
    /// How much scan and template look alike inside the brain, −1 to 1; T1w heads have .65 to .97.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub likeness: Option<f64>,
    /// Correlation of the affine fit of the template's head.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fit: Option<f64>,
    /// What the header's right, front and top are in the head.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub orientation: Option<String>,
    /// The distance in mm from the template's surface at which the mask was cut.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub threshold_mm: Option<f64>,
    /// Level just outside the template's brain in percent of that just inside.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub edge_percent: Option<f64>,
    /// Where between background and the bright level beneath it a surface took the brain's edge to be, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub edge_fraction: Option<f64>,
    /// The intensity that parts tissue from what is around it, as a share of the local tissue level.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tissue_threshold: Option<f64>,
    /// What makes the mask implausible, as short names; empty for a plain success.
    pub doubts: Vec<String>,
}

impl Located {
    /// What is to be told of a brain.
    #[must_use]
    pub fn of(brain: &Brain) -> Self {
        Self {
            method: brain.method.as_str().into(),
            likeness: brain.belief.map(|belief| belief.local),
            fit: brain.head.map(|head| head.score),
            orientation: brain.head.map(|head| head.orientation.to_string()),
            threshold_mm: brain.threshold_mm,
            edge_percent: brain.edge_percent,
            edge_fraction: brain.edge_fraction,
            tissue_threshold: brain.tissue_threshold,
            doubts: brain.doubts.iter().map(|doubt| doubt.kind().to_owned()).collect(),
        }
    }
}

/// How well a brain was brought to a template, and how far that is to be believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalized {
    /// The template, with its cohort where it has several.
    pub template: String,
    /// Where it came from: `built-in`, or the folder of its files.
    pub origin: String,
    /// How the warp was done: `default` or `fast`.
    #[serde(default)]
    pub recipe: String,
    /// Correlation of both brains after the affine, −1 to 1.
    pub affine_correlation: f64,
    /// Volume of the brain by that of the template.
    pub volume_ratio: f64,
    /// Mean squared local correlation before the warp, 0 to 1.
    pub likeness_before: f64,
    /// The same after it.
    pub likeness: f64,
    /// Dice overlap of the brain masks after the warp.
    pub mask_overlap: f64,
    /// Smallest Jacobian determinant of the warp in the template's brain, without the affine.
    pub jacobian_min: f64,
    /// Largest.
    pub jacobian_max: f64,
    /// Places where the warp folds.
    pub folds: usize,
    /// How far points of the brain end from where they began after going there and back, mean, mm.
    pub round_trip_mm: f64,
    /// How much of the brain was not compared with the template, because a mask says that it is lesion, ml.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lesion_ml: Option<f64>,
    /// What makes the map doubtful, as short names; empty for a plain success.
    pub doubts: Vec<String>,
}

/// How well a bold run was laid onto a T1w image, and how far that is to be believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coregistered {
    /// The T1w image.
    pub t1w: String,
    /// Whether the answer was taken; else the best start was kept.
    pub accepted: bool,
    /// Cost of the answer along the border of white matter (Greve and Fischl 2009), 0 to 2; 1 is no contrast.
    pub cost: f64,
    /// The lowest cost of the starts, where one had enough in view.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub start_cost: Option<f64>,
    /// Part of that border inside the run's field of view, 0 to 1.
    pub share: f64,
    /// How much lower the cost is than, on average, 6 mm and 6 degrees away.
    pub depth: f64,
    /// How far apart the back and the front of the brain want to be, mm: mostly distortion.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub halves_mm: Option<f64>,
    /// Where the search began: `header` or `centre of mass`.
    pub start: String,
    /// Whether by way of the coarse registration by tissues.
    pub by_tissues: bool,
    /// What to look at nevertheless, as short names.
    pub doubts: Vec<String>,
}

/// What is known of the distortion of a bold run, and whether it was corrected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distortion {
    /// Whether it was corrected.
    pub corrected: bool,
    /// Why not, if not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
    /// What the field was made from: `phase difference`, `two phases`, `fieldmap` or `opposite phase encoding`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kind: Option<String>,
    /// The fieldmap's identifier, as in names of files.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fieldmap: Option<String>,
    /// The key that said that it is for this run: `B0FieldSource` or `IntendedFor`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    /// Its files, relative to the dataset; the run itself is not among them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub files: Vec<String>,
    /// The phase encoding of the run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub direction: Option<String>,
    /// The readout time that was used, s.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub readout_s: Option<f64>,
    /// Displacement along phase encoding in the brain, mm: 1 %, median, 99 %, and the largest either way.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shift_mm: Option<[f64; 4]>,
    /// Jacobian in the brain: least, 1 %, 99 %, largest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub jacobian: Option<[f64; 4]>,
    /// Part of the brain, 0 to 1, at the limit of folding, where nothing can be right.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub folded_share: Option<f64>,
    /// Part of the brain, 0 to 1, for which the field was not measured but extrapolated.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub extrapolated_share: Option<f64>,
    /// Mutual information with the T1w image.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub likeness: Option<Likenesses>,
    /// Cost of the coregistration.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cost: Option<Costs>,
    /// How far the head had moved between fieldmap and run, mm and degrees, where that was taken into account.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub moved: Option<[f64; 2]>,
    /// Of a field that was measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from_map: Option<FromMap>,
    /// Of a field that was estimated from a pair of images.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from_pair: Option<FromPair>,
    /// What to look at nevertheless.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub doubts: Vec<String>,
}

impl Distortion {
    /// The largest displacement in the brain, either way, mm.
    #[must_use]
    pub fn largest_mm(&self) -> Option<f64> {
        self.shift_mm.map(|shift| shift.into_iter().map(f64::abs).fold(0.0, f64::max))
    }

    /// What the sidecars of a run's images say of its distortion; nothing where no fieldmap was thought of.
    #[must_use]
    pub fn in_sidecar(told: Option<&Self>) -> Map<String, Value> {
        let value = told.and_then(|told| serde_json::to_value(told).ok());
        value.map(|value| ("DistortionCorrection".to_owned(), value)).into_iter().collect()
    }
}

/// How alike a run and the T1w image are, as mutual information in nats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Likenesses {
    /// With the correction.
    pub corrected: f64,
    /// Without it.
    pub uncorrected: f64,
    /// With the opposite sign.
    pub reversed: f64,
}

/// What it costs to lay a run onto the T1w image (Greve and Fischl 2009), 0 to 2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// With the correction.
    pub corrected: f64,
    /// Without it.
    pub uncorrected: f64,
}

/// What is known of a field that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FromMap {
    /// Part of the head, 0 to 1, where the phase was wrapped.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wrapped_share: Option<f64>,
    /// Whole cycles that were taken off everywhere.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cycles_removed: Option<i32>,
    /// Median in the head before that, Hz.
    pub median_hz: f64,
    /// Root of the mean square of measured less smooth field, Hz.
    pub residual_hz: f64,
}

/// What is known of a field that was estimated from a pair of images with opposite phase encoding.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FromPair {
    /// What the second image was multiplied by.
    pub gain: f64,
    /// How the head moved between them along x, y and z, mm; a guess along phase encoding.
    pub translation_mm: [f64; 3],
    /// How it turned about them, degrees.
    pub rotation_deg: [f64; 3],
    /// Correlation of both images before and after correction.
    pub correlation: [f64; 2],
    /// Their root mean square difference over their mean, before and after.
    pub relative_rms: [f64; 2],
}

/// Volumes of the tissues inside the brain mask, ml: the sums of their probability maps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TissueVolumes {
    /// Grey matter.
    pub gm_volume_ml: f64,
    /// White matter.
    pub wm_volume_ml: f64,
    /// Cerebrospinal fluid, and whatever else in the mask is as dark.
    pub csf_volume_ml: f64,
    /// The three together.
    pub intracranial_volume_ml: f64,
}

impl TissueVolumes {
    /// The volumes that these maps have.
    #[must_use]
    pub fn of(maps: &TissueMaps) -> Self {
        let [gm_volume_ml, wm_volume_ml, csf_volume_ml] = Tissue::ALL.map(|tissue| maps.volume_ml(tissue));
        let intracranial_volume_ml = gm_volume_ml + wm_volume_ml + csf_volume_ml;
        Self { gm_volume_ml, wm_volume_ml, csf_volume_ml, intracranial_volume_ml }
    }

    /// Each by its name in tables, with what it is.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, &'static str, f64); 4] {
        [
            ("gm_volume_ml", "Volume of grey matter: sum of its probabilities in the brain mask.", self.gm_volume_ml),
            ("wm_volume_ml", "Volume of white matter: sum of its probabilities in the brain mask.", self.wm_volume_ml),
            (
                "csf_volume_ml",
                "Volume of cerebrospinal fluid: sum of its probabilities in the brain mask.",
                self.csf_volume_ml,
            ),
            (
                "intracranial_volume_ml",
                "Total intracranial volume: grey matter, white matter and fluid in the brain mask together.",
                self.intracranial_volume_ml,
            ),
        ]
    }
}

/// One column of the confounds table: a name and a value per volume, `None` where it is not defined.
#[derive(Clone, Debug, PartialEq)]
pub struct Confound {
    /// fMRIPrep's name of the column, where it has one.
    pub name: String,
    /// What the column holds, for the sidecar.
    pub description: &'static str,
    /// The unit, for the sidecar; `None` for indicators.
    pub units: Option<&'static str>,
    /// One value per volume.
    pub values: Vec<Option<f64>>,
    /// Further entries of its sidecar.
    pub facts: Map<String, Value>,
}

/// A measure of image quality.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// Its short name, lower case, as MRIQC writes it.
    pub name: &'static str,
    /// Its value; measures that are not defined for a scan are left out.
    pub value: f64,
}

/// How good a scan is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quality {
    /// All measures.
    pub measures: Vec<Measure>,
    /// 0 (unusable) to 100; `None` where nothing could be measured.
    pub score: Option<f64>,
    /// Whether the subject moved more than the documented limit.
    pub motion_detected: bool,
}
