//! The JSON beside each output: what it is, what it was made from, and the values a reader needs to use it.

use super::measured::{Confound, Coregistered, Distortion, Located, Normalized};
use crate::bids::{Entities, Modality, tidy};
use crate::vocabulary::{Resolution, Space};
use imaging::bias::BiasField;
use imaging::brain::Brain;
use imaging::intensity::Reference;
use imaging::motion::MotionEstimate;
use imaging::registration::recipe::{Level, Recipe};
use imaging::segmentation::{Tissue, TissueMaps};
use serde_json::{Map, Value, json};
use std::path::Path;

/// What a registration does at one resolution.
fn level(level: &Level) -> Value {
    json!({
        "TemplateVoxels": 1 << level.doublings,
        "Iterations": level.iterations,
        "WindowNodes": level.block * level.window,
        "FieldOnHalfTheNodes": level.coarse_field,
        "UpdateSmoothing": level.update_sigma,
        "FieldSmoothing": level.field_sigma,
        "LongestStep": level.step,
        "DifferenceWeight": level.difference,
        "LeastJacobian": level.least_jacobian,
    })
}

/// The meaning of `res-` in a name, which BIDS requires.
fn resolution(space: &Space) -> String {
    match space {
        Space::Template(id, Resolution::Numbered(number)) => format!("grid res-{number} of the template {id}"),
        Space::Template(id, _) => format!("the grid of the template {id}"),
        Space::T1w => "voxels of the run's own size over the field of view of the T1w image".to_owned(),
        Space::Func => "the run's own grid".to_owned(),
    }
}

/// What sidecars need to know about the scan besides what was made of it.
#[derive(Clone, Copy, Debug)]
pub struct SidecarContext<'a> {
    /// What kind of image the scan is.
    pub modality: Modality,
    /// The scan's path relative to the raw dataset, with forward slashes; of a multi-echo run those of all echoes.
    pub sources: &'a [String],
    /// The image that stands for the space `T1w`, and the run's own reference, relative to the output folder.
    pub spaces: Spatial<'a>,
    /// The moment that all slices of a run were brought to, s after a volume began.
    pub moment: Option<f64>,
    /// What is known of the distortion of a run.
    pub distortion: Option<&'a Distortion>,
    /// The raw metadata after inheritance.
    pub metadata: &'a Map<String, Value>,
    /// The scan's entities.
    pub entities: &'a Entities,
}

/// The images that spaces without a template are those of, relative to the output folder.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spatial<'a> {
    /// The T1w image that a run was laid onto.
    pub t1w: Option<&'a Path>,
    /// The mean of the run.
    pub boldref: Option<&'a Path>,
}

/// Raw metadata that stays true of a corrected image and that readers of it need.
const KEPT: [&str; 8] = [
    "MagneticFieldStrength",
    "Manufacturer",
    "ManufacturersModelName",
    "EchoTime",
    "FlipAngle",
    "PhaseEncodingDirection",
    "EffectiveEchoSpacing",
    "TotalReadoutTime",
];

/// The echo times of a multi-echo run, as the plan gathers them (s, the shortest first).
const ECHO_TIMES: &str = "EchoTimes";

/// The same of a bold run; without them the header's time and the name's task are taken.
const KEPT_BOLD: [&str; 7] = [
    "RepetitionTime",
    "VolumeTiming",
    "FrameAcquisitionDuration",
    "AcquisitionDuration",
    "TaskName",
    "SliceTiming",
    "SliceEncodingDirection",
];

/// What says when volumes were taken that do not come every so many seconds.
const VOLUME_TIMES: [&str; 3] = ["VolumeTiming", "FrameAcquisitionDuration", "AcquisitionDuration"];

/// What a fieldmap is found and used by; no sidecar of an output has it.
const OF_FIELD: [&str; 5] =
    ["B0FieldSource", "B0FieldIdentifier", "ReconMatrixPE", "WaterFatShift", "EstimatedTotalReadoutTime"];

/// Of the metadata of a scan what has a part in its outputs, with values that BIDS lets them have, and what was odd about others.
/// Nothing else is planned with, so that nothing else can have a part.
#[must_use]
pub fn used(modality: Modality, mut metadata: Map<String, Value>) -> (Map<String, Value>, Vec<String>) {
    let of_bold = |key: &str| modality == Modality::Bold && (KEPT_BOLD.contains(&key) || OF_FIELD.contains(&key));
    metadata.retain(|key, _| KEPT.contains(&key.as_str()) || of_bold(key));
    let odd = tidy(&mut metadata);
    (metadata, odd)
}

impl SidecarContext<'_> {
    /// The sidecar of an image: what it was made from, beside `fields`.
    pub(super) fn with_sources(&self, mut fields: Map<String, Value>) -> Value {
        let sources: Vec<String> = self.sources.iter().map(|source| format!("bids:raw:{source}")).collect();
        fields.insert("Sources".into(), json!(sources));
        Value::Object(fields)
    }

    /// What BIDS asks for where a space is none of its standard ones: the image that it is the space of.
    fn spatial_reference(&self, space: Option<&Space>) -> Map<String, Value> {
        let image = match space {
            None => self.spaces.boldref,
            Some(Space::T1w) => self.spaces.t1w,
            Some(_) => None,
        };
        let uri = |path: &Path| format!("bids::{}", path.display());
        image.map(|path| object(json!({ "SpatialReference": uri(path) }))).unwrap_or_default()
    }

    /// What a series is, in words.
    fn series(&self) -> &'static str {
        match self.metadata.contains_key(ECHO_TIMES) {
            true => {
                "Motion-corrected, bias-corrected and intensity-normalised BOLD series, the optimal combination of all echoes"
            }
            false => "Motion-corrected, bias-corrected and intensity-normalised BOLD series",
        }
    }

    /// How echoes were combined, where there are several.
    fn combination(&self) -> Map<String, Value> {
        let Some(times) = self.metadata.get(ECHO_TIMES) else { return Map::new() };
        object(json!({
            ECHO_TIMES: times,
            "EchoCombination": "weights TE exp(-TE / T2*) (Posse 1999, doi:10.1002/(SICI)1522-2594(199907)42:1<87::AID-MRM13>3.0.CO;2-O)",
        }))
    }

    /// Of T2* in the space of the run, or in another.
    #[must_use]
    pub fn t2star(&self, space: Option<&Space>) -> Value {
        let mut fields = object(json!({
            "Description": "T2* of each voxel of the brain: a line through the logarithms of all volumes over echo time",
            "Units": "s",
            "SkullStripped": true,
            ECHO_TIMES: self.metadata.get(ECHO_TIMES),
        }));
        fields.extend(self.spatial_reference(space));
        if let Some(space) = space {
            fields.insert("Resolution".into(), json!(resolution(space)));
        }
        self.with_sources(fields)
    }

    /// Of the signal at echo time 0.
    #[must_use]
    pub fn s0(&self) -> Value {
        let mut fields = object(json!({
            "Description": "Signal at echo time 0 of each voxel of the brain, in the units of the preprocessed series",
            "Units": "arbitrary",
            "SkullStripped": true,
            ECHO_TIMES: self.metadata.get(ECHO_TIMES),
        }));
        fields.extend(self.spatial_reference(None));
        self.with_sources(fields)
    }

    /// Of one echo without motion.
    #[must_use]
    pub fn echo(&self, source: &str, seconds: f64, tr_seconds: Option<f64>) -> Value {
        let mut fields = object(json!({
            "Description": "One echo, motion-corrected; divided by the field and scaled as the combination of all echoes is",
            "SkullStripped": false,
            "Sources": [format!("bids:raw:{source}")],
        }));
        fields.extend(KEPT.iter().filter_map(|k| Some(((*k).to_owned(), self.metadata.get(*k)?.clone()))));
        fields.extend(self.timing(tr_seconds));
        fields.insert("EchoTime".into(), json!(seconds));
        Value::Object(fields)
    }

    /// Of the corrected, scaled image.
    #[must_use]
    pub fn preproc(&self, brain: &Brain, intensity: &Reference, tr_seconds: Option<f64>) -> Value {
        let mut fields: Map<String, Value> =
            KEPT.iter().filter_map(|k| Some(((*k).to_owned(), self.metadata.get(*k)?.clone()))).collect();
        let description = match self.modality {
            Modality::T1w => "Bias-corrected and intensity-normalised T1w image",
            Modality::Bold => self.series(),
        };
        fields.insert("Description".into(), json!(description));
        fields.insert("SkullStripped".into(), json!(brain.already_stripped.is_some()));
        fields.extend(scaling(intensity));
        if self.modality == Modality::Bold {
            fields.extend(self.timing(tr_seconds));
            fields.extend(self.combination());
            fields.extend(Distortion::in_sidecar(self.distortion));
        }
        self.with_sources(fields)
    }

    /// What readers of a series ask of its time.
    fn timing(&self, tr_seconds: Option<f64>) -> Map<String, Value> {
        let task = self.entities.get("task").unwrap_or("unknown");
        let mut fields = object(json!({
            "TaskName": self.metadata.get("TaskName").cloned().unwrap_or_else(|| json!(task)),
        }));
        // BIDS has the one or the other; which of them the run has is what it was scanned with.
        if self.metadata.contains_key("VolumeTiming") && !self.metadata.contains_key("RepetitionTime") {
            fields.extend(VOLUME_TIMES.iter().filter_map(|k| Some(((*k).to_owned(), self.metadata.get(*k)?.clone()))));
        } else {
            fields.insert("RepetitionTime".into(), json!(tr_seconds.map(round_us)));
        }
        fields.extend(self.slices());
        fields
    }

    /// Which moment of a volume the slices are of.
    fn slices(&self) -> Map<String, Value> {
        object(json!({
            "StartTime": self.moment.map_or(0.0, round_us),
            "SliceTimingCorrected": self.moment.is_some(),
        }))
    }

    /// Of a series in another space.
    #[must_use]
    pub fn bold_in(&self, space: &Space, intensity: &Reference, tr_seconds: Option<f64>) -> Value {
        let mut fields = object(json!({
            "Description": format!(
                "{}, resampled to this space from the original volumes in one interpolation by cubic B-splines",
                self.series()
            ),
            "SkullStripped": false,
            "Resolution": resolution(space),
        }));
        fields.extend(scaling(intensity));
        fields.extend(KEPT.iter().filter_map(|k| Some(((*k).to_owned(), self.metadata.get(*k)?.clone()))));
        fields.extend(self.timing(tr_seconds));
        fields.extend(self.combination());
        fields.extend(Distortion::in_sidecar(self.distortion));
        fields.extend(self.spatial_reference(Some(space)));
        self.with_sources(fields)
    }

    /// Of the mean of a series in another space.
    #[must_use]
    pub fn boldref_in(&self, space: &Space) -> Value {
        let mut fields = object(json!({
            "Description": "Mean of the steady-state volumes of the series in this space",
            "SkullStripped": false,
            "Resolution": resolution(space),
        }));
        fields.extend(self.spatial_reference(Some(space)));
        self.with_sources(fields)
    }

    /// Of the motion of the head.
    #[must_use]
    pub fn head_motion(&self, motion: &MotionEstimate) -> Value {
        self.with_sources(object(json!({
            "Description": "One rigid transform for each volume, in ITK's text format: takes points of the reference volume to \
                            the volume as it was scanned",
            "ReferenceVolume": motion.reference,
            "VolumesWithoutOwnEstimate": motion.unaligned,
        })))
    }

    /// Of the map between a run and a T1w image.
    #[must_use]
    pub fn coregistration(&self, told: Option<&Coregistered>) -> Value {
        let mut fields = object(json!({
            "Description": "Rigid transform in ITK's text format: takes points of the T1w image to the run's reference volume",
            "Method": "boundary-based registration (Greve and Fischl 2009, doi:10.1016/j.neuroimage.2009.06.060), 6 degrees \
                       of freedom",
        }));
        if let Some(Value::Object(measures)) = told.and_then(|told| serde_json::to_value(told).ok()) {
            fields.insert("Fit".into(), Value::Object(measures));
        }
        self.with_sources(fields)
    }

    /// Of the brain mask.
    #[must_use]
    pub fn mask(&self, brain: &Brain) -> Value {
        let located = Located::of(brain);
        let mut fields = object(json!({
            "Description": "Brain: parenchyma, ventricles, sulcal and outer CSF, without skull, eyes and neck",
            "Type": "Brain",
            "Method": located.method,
            "VolumeMillilitres": brain.volume_ml,
        }));
        let numbers = [
            ("TemplateLikeness", located.likeness),
            ("TemplateFit", located.fit),
            ("ThresholdMillimetres", located.threshold_mm),
            ("EdgeFraction", located.edge_fraction),
            ("TissueThreshold", located.tissue_threshold),
        ];
        fields.extend(numbers.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value?)))));
        if let Some(orientation) = located.orientation {
            fields.insert("HeadOrientation".into(), json!(orientation));
        }
        if !located.doubts.is_empty() {
            fields.insert("Doubts".into(), json!(located.doubts));
        }
        self.with_sources(fields)
    }

    /// Of the corrected image in the space of a template.
    #[must_use]
    pub fn preproc_in(&self, space: &Space, intensity: &Reference) -> Value {
        self.with_sources(object(json!({
            "Description": "Bias-corrected and intensity-normalised T1w image of the brain, resampled to the template by cubic B-splines",
            "SkullStripped": true,
            "IntensityReference": intensity.value,
            "IntensityTarget": intensity.target,
            "Resolution": resolution(space),
        })))
    }

    /// Of the brain mask in the space of a template.
    #[must_use]
    pub fn mask_in(&self, space: &Space) -> Value {
        let mut fields = object(json!({
            "Description": "The brain mask of the scan, resampled to this space: where at least half is brain",
            "Type": "Brain",
            "Resolution": resolution(space),
        }));
        fields.extend(self.spatial_reference(Some(space)));
        self.with_sources(fields)
    }

    /// Of a map of tissues in the space of a template.
    #[must_use]
    pub fn tissues_in(&self, space: &Space) -> Value {
        self.with_sources(object(json!({
            "Description": "The map of the scan itself, resampled to the template: labels by the nearest voxel, probabilities linearly",
            "Manual": false,
            "Resolution": resolution(space),
        })))
    }

    /// Of the map between the scan and a template that was read from `sources`.
    #[must_use]
    pub fn transform(&self, sources: Vec<String>, recipe: &Recipe, told: Option<&Normalized>) -> Value {
        let mut fields = object(json!({
            "Description": "Affine and diffeomorphic warp as an ITK composite transform: takes points of the space named by to- \
                            to the space named by from-",
            "Method": "symmetric diffeomorphic registration by local correlation (after Avants 2008, \
                       doi:10.1016/j.media.2007.06.004), brain to brain",
            "TemplateSources": sources,
            "Recipe": recipe.name(),
            "Levels": recipe.levels.iter().map(level).collect::<Vec<_>>(),
        }));
        if let Some(Value::Object(measures)) = told.and_then(|told| serde_json::to_value(told).ok()) {
            fields.insert("Fit".into(), Value::Object(measures));
        }
        self.with_sources(fields)
    }

    /// Of the bias field.
    #[must_use]
    pub fn bias(&self, bias: &BiasField) -> Value {
        self.with_sources(object(json!({
            "Description": "Multiplicative intensity field; the preprocessed image is the input divided by it, then scaled",
            "SkullStripped": false,
            "Method": "N4 (Tustison 2010, doi:10.1109/TMI.2010.2046908)",
            "Iterations": bias.iterations,
        })))
    }

    /// Of the mean of a run, with what the series can be made again by.
    #[must_use]
    pub fn boldref(&self, motion: &MotionEstimate, intensity: &Reference) -> Value {
        let mut fields = object(json!({
            "Description": "Mean of the aligned steady-state volumes, bias-corrected",
            "SkullStripped": false,
            "ReferenceVolume": motion.reference,
            "NumberOfNonSteadyStateVolumes": motion.non_steady,
        }));
        fields.extend(scaling(intensity));
        fields.extend(self.slices());
        fields.extend(self.combination());
        fields.extend(Distortion::in_sidecar(self.distortion));
        self.with_sources(fields)
    }

    /// Of the tissue labels.
    #[must_use]
    pub fn segmentation(&self) -> Value {
        self.with_sources(object(json!({
            "Description": "Tissue of each voxel of the brain, by its intensity, position and neighbours",
            "Manual": false,
            "Method": LABEL_METHOD,
        })))
    }

    /// Of the probability of a tissue.
    #[must_use]
    pub fn probability(&self, maps: &TissueMaps, tissue: Tissue) -> Value {
        self.with_sources(object(json!({
            "Description": format!("Probability of {}, or its share, at each voxel of the brain", tissue.name().to_lowercase()),
            "Manual": false,
            "Method": SHARE_METHOD,
            "VolumeMillilitres": maps.volume_ml(tissue),
        })))
    }
}

/// How intensities were scaled.
fn scaling(intensity: &Reference) -> Map<String, Value> {
    object(json!({
        "IntensityReference": intensity.value,
        "IntensityTarget": intensity.target,
        "IntensityMethod": intensity.method,
    }))
}

const LABEL_METHOD: &str = "Hidden Markov random field of three Gaussian classes (Zhang 2001, doi:10.1109/42.906424) with \
                            variances drawn together and local means";
const SHARE_METHOD: &str = "Hidden Markov random field (Zhang 2001, doi:10.1109/42.906424) of three pure and two partial-volume \
                            classes (Shattuck 2001, doi:10.1006/nimg.2000.0730) with local means";

/// The dictionary of the columns of the confounds table, as BIDS asks of a tabular file's sidecar.
#[must_use]
pub fn columns(columns: &[Confound]) -> Value {
    let described = columns.iter().map(|c| {
        let mut column = object(json!({ "Description": c.description }));
        if let Some(units) = c.units {
            column.insert("Units".into(), json!(units));
        }
        column.extend(c.facts.clone());
        (c.name.clone(), Value::Object(column))
    });
    Value::Object(described.collect())
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

/// A time in seconds without the digits a 32-bit header adds.
fn round_us(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}
