//! The JSON beside each output: what it is, what it was made from, and the values a reader needs to use it.

use super::DerivativeError;
use super::outputs::{OutputKind, Tissue};
use super::products::Products;
use crate::bids::{Entities, Modality};
use serde_json::{Map, Value, json};

/// What sidecars need to know about the scan besides its products.
#[derive(Clone, Copy, Debug)]
pub struct SidecarContext<'a> {
    /// What kind of image the scan is.
    pub modality: Modality,
    /// The scan's path relative to the raw dataset, with forward slashes.
    pub source: &'a str,
    /// The raw metadata after inheritance.
    pub metadata: &'a Map<String, Value>,
    /// The scan's entities.
    pub entities: &'a Entities,
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

/// The same of a bold run; without them the header's time and the name's task are taken.
const KEPT_BOLD: [&str; 2] = ["RepetitionTime", "TaskName"];

/// Of the metadata of a scan what has a part in its outputs. Nothing else is planned with, so that nothing else can have.
#[must_use]
pub fn used(modality: Modality, mut metadata: Map<String, Value>) -> Map<String, Value> {
    let of_bold = |key: &str| modality == Modality::Bold && KEPT_BOLD.contains(&key);
    metadata.retain(|key, _| KEPT.contains(&key.as_str()) || of_bold(key));
    metadata
}

/// The sidecar of one output.
///
/// # Errors
/// [`DerivativeError::Incomplete`] when a stage did not leave what the file describes.
pub fn sidecar(kind: OutputKind, cx: &SidecarContext<'_>, products: &Products) -> Result<Value, DerivativeError> {
    let mut fields = match kind {
        OutputKind::Preproc => preproc(cx, products)?,
        OutputKind::BrainMask => mask(products)?,
        OutputKind::BiasField => bias(products)?,
        OutputKind::BoldRef => reference(products)?,
        OutputKind::Confounds => confounds(products),
        OutputKind::Segmentation => segmentation(products)?,
        OutputKind::Probability(tissue) => probability(tissue),
        OutputKind::LabelTable | OutputKind::Picture(_) | OutputKind::FigureData => Map::new(),
    };
    if kind != OutputKind::Confounds {
        fields.insert("Sources".into(), json!([format!("bids:raw:{}", cx.source)]));
    }
    Ok(Value::Object(fields))
}

fn preproc(cx: &SidecarContext<'_>, products: &Products) -> Result<Map<String, Value>, DerivativeError> {
    let intensity =
        products.intensity.as_ref().ok_or(DerivativeError::Incomplete { what: "the reference intensity" })?;
    let mut fields: Map<String, Value> =
        KEPT.iter().filter_map(|k| Some(((*k).to_owned(), cx.metadata.get(*k)?.clone()))).collect();
    let description = match cx.modality {
        Modality::T1w => "Bias-corrected and intensity-normalised T1w image",
        Modality::Bold => "Motion-corrected, bias-corrected and intensity-normalised BOLD series",
    };
    fields.insert("Description".into(), json!(description));
    fields.insert("SkullStripped".into(), json!(products.brain.as_ref().is_some_and(|b| b.already_stripped)));
    fields.insert("IntensityReference".into(), json!(intensity.value));
    fields.insert("IntensityTarget".into(), json!(intensity.target));
    fields.insert("IntensityMethod".into(), json!(intensity.method));
    if cx.modality == Modality::Bold {
        let task = cx.entities.get("task").unwrap_or("unknown");
        fields.insert("TaskName".into(), cx.metadata.get("TaskName").cloned().unwrap_or_else(|| json!(task)));
        fields.insert("RepetitionTime".into(), json!(products.header.tr_seconds().map(round_us)));
        fields.insert("SliceTimingCorrected".into(), json!(false));
    }
    Ok(fields)
}

fn mask(products: &Products) -> Result<Map<String, Value>, DerivativeError> {
    let brain = products.brain.as_ref().ok_or(DerivativeError::Incomplete { what: "the brain mask" })?;
    Ok(object(json!({
        "Description": "Brain: parenchyma, ventricles and sulcal CSF, without skull, eyes and neck",
        "Type": "Brain",
        "Method": brain.method,
        "VolumeMillilitres": brain.volume_ml,
    })))
}

fn bias(products: &Products) -> Result<Map<String, Value>, DerivativeError> {
    let bias = products.bias.as_ref().ok_or(DerivativeError::Incomplete { what: "the bias field" })?;
    Ok(object(json!({
        "Description": "Multiplicative intensity field; the preprocessed image is the input divided by it, then scaled",
        "SkullStripped": false,
        "Method": "N4 (Tustison 2010, doi:10.1109/TMI.2010.2046908)",
        "Iterations": bias.iterations,
    })))
}

fn reference(products: &Products) -> Result<Map<String, Value>, DerivativeError> {
    let motion = products.motion.as_ref().ok_or(DerivativeError::Incomplete { what: "the motion estimate" })?;
    Ok(object(json!({
        "Description": "Mean of the aligned steady-state volumes, bias-corrected",
        "SkullStripped": false,
        "ReferenceVolume": motion.reference,
        "NumberOfNonSteadyStateVolumes": motion.non_steady,
    })))
}

const TISSUE_METHOD: &str =
    "Gaussian mixture of three classes with a Potts prior (Besag 1986, doi:10.1111/j.2517-6161.1986.tb01412.x)";

fn segmentation(products: &Products) -> Result<Map<String, Value>, DerivativeError> {
    let tissues = products.tissues()?;
    let ml = products.header.grid().voxel_mm.iter().product::<f64>() / 1000.0;
    #[expect(clippy::cast_precision_loss, reason = "a count of voxels")]
    let volume = |t: Tissue| tissues.voxels[usize::from(t.class()) - 1] as f64 * ml;
    let volumes: Map<String, Value> =
        Tissue::ALL.into_iter().map(|t| (t.abbreviation().to_owned(), json!(volume(t)))).collect();
    Ok(object(json!({
        "Description": "Tissue of each voxel of the brain by its intensity; for quality control, not for volumetry",
        "Manual": false,
        "Method": TISSUE_METHOD,
        "VolumeMillilitres": volumes,
    })))
}

fn probability(tissue: Tissue) -> Map<String, Value> {
    object(json!({
        "Description": format!("Probability of {} at each voxel of the brain", tissue.name().to_lowercase()),
        "Manual": false,
        "Method": TISSUE_METHOD,
    }))
}

/// The dictionary of the table's columns, as BIDS asks of a tabular file's sidecar.
fn confounds(products: &Products) -> Map<String, Value> {
    products
        .confounds
        .iter()
        .map(|c| {
            let mut column = json!({ "Description": c.description });
            if let Some(units) = c.units {
                column["Units"] = json!(units);
            }
            (c.name.clone(), column)
        })
        .collect()
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

/// A time in seconds without the digits a 32-bit header adds.
fn round_us(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}
