//! A T1w scan: brain mask, bias field, contrast of the corrected image, the level of its white matter, tissues.

use super::compare::{fields, joint_variation, keep, mask, masks, values, volume, volume_on};
use super::find::{Roots, Scan};
use super::{Measure, Problem, ScanScore};
use crate::derivatives::outputs::OutputKind;
use imaging::filter::quantiles;
use imaging::metrics::dice;
use imaging::segmentation::Tissue;
use ndarray::{Array3, Zip};
use nifti::Grid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Labels of the true tissues that contrast is taken between.
const GREY: f32 = 2.0;
const WHITE: f32 = 3.0;

/// Labels of the truth that deep grey matter and fluid have.
const DEEP_GREY: f32 = 4.0;
const FLUID: f32 = 1.0;
/// The overlap of each tissue: the label in derivatives, and those of the truth.
const TISSUES: [(Measure, Tissue, &[f32]); 3] = [
    (Measure::GreyDice, Tissue::Grey, &[GREY, DEEP_GREY]),
    (Measure::WhiteDice, Tissue::White, &[WHITE]),
    (Measure::FluidDice, Tissue::Csf, &[FLUID]),
];

type Measures = BTreeMap<Measure, f64>;

/// The true brain and the grid everything must lie on.
struct Truth {
    brain: Array3<u8>,
    grid: Grid,
}

pub(super) fn score(roots: &Roots, scan: &Scan) -> ScanScore {
    let (mut measures, mut problems) = (Measures::new(), Vec::new());
    match truth(roots, scan) {
        Err(e) => problems.push(e),
        Ok(truth) => {
            let parts =
                [brain_mask, bias_field, contrast, tissues].map(|part| part(roots, scan, &truth, &mut measures));
            problems.extend(parts.into_iter().filter_map(Result::err));
        }
    }
    ScanScore { scan: scan.name(), modality: scan.modality, measures, problems }
}

fn truth(roots: &Roots, scan: &Scan) -> Result<Truth, Problem> {
    let (brain, grid) = volume(&roots.truth(scan, Some("brain"), "mask", ".nii.gz")?)?;
    Ok(Truth { brain: mask(&brain), grid })
}

fn brain_mask(roots: &Roots, scan: &Scan, truth: &Truth, measures: &mut Measures) -> Result<(), Problem> {
    let found = mask(&volume_on(&roots.derivative(scan, OutputKind::BrainMask)?, &truth.grid)?);
    keep(measures, masks(&found, &truth.brain, truth.grid.voxel_mm).ok_or(Problem::Empty("the brain mask"))?);
    Ok(())
}

fn bias_field(roots: &Roots, scan: &Scan, truth: &Truth, measures: &mut Measures) -> Result<(), Problem> {
    let found = volume_on(&roots.derivative(scan, OutputKind::BiasField)?, &truth.grid)?;
    let field = true_field(roots, scan, truth)?;
    let (r, residual) = fields(found.view(), field.view(), &truth.brain).ok_or(Problem::Empty("the bias field"))?;
    keep(measures, [(Measure::FieldR, r), (Measure::FieldResidual, residual)]);
    Ok(())
}

fn true_field(roots: &Roots, scan: &Scan, truth: &Truth) -> Result<Array3<f32>, Problem> {
    volume_on(&roots.truth(scan, Some("bias"), "T1w", ".nii.gz")?, &truth.grid)
}

fn contrast(roots: &Roots, scan: &Scan, truth: &Truth, measures: &mut Measures) -> Result<(), Problem> {
    let path = roots.derivative(scan, OutputKind::Preproc)?;
    let image = volume_on(&path, &truth.grid)?;
    let labels = volume_on(&roots.truth(scan, None, "dseg", ".nii.gz")?, &truth.grid)?;
    let tissue = |label: f32| Zip::from(&labels).and(&truth.brain).map_collect(|&l, &b| b != 0 && l == label);
    let [grey, white] = [GREY, WHITE].map(tissue);
    let mut white_values = values(image.view(), &white);
    let empty = || Problem::Empty("the contrast of tissues");
    let cjv = joint_variation(&values(image.view(), &grey), &white_values).ok_or_else(empty)?;
    keep(measures, [(Measure::Cjv, cjv)]);
    if let (Some(target), Some([median])) = (intensity_target(&path), quantiles(&mut white_values, [0.5])) {
        keep(measures, [(Measure::WhiteMatter, f64::from(median) / target)]);
    }
    let mut raw = volume_on(&roots.raw(scan)?, &truth.grid)?;
    raw.zip_mut_with(&true_field(roots, scan, truth)?, |v, field| *v /= field);
    let ideal = joint_variation(&values(raw.view(), &grey), &values(raw.view(), &white)).ok_or_else(empty)?;
    keep(measures, [(Measure::CjvIdeal, ideal), (Measure::CjvExcess, 100.0 * (cjv / ideal - 1.0))]);
    Ok(())
}

/// Labels outside the true brain count as wrong.
fn tissues(roots: &Roots, scan: &Scan, truth: &Truth, measures: &mut Measures) -> Result<(), Problem> {
    let found = volume_on(&roots.derivative(scan, OutputKind::Segmentation)?, &truth.grid)?;
    let labels = volume_on(&roots.truth(scan, None, "dseg", ".nii.gz")?, &truth.grid)?;
    for (measure, tissue, numbers) in TISSUES {
        let number = f32::from(tissue.label());
        let found = found.mapv(|label| u8::from(label == number));
        let is_true = |label: &f32, brain: &u8| u8::from(*brain != 0 && numbers.contains(label));
        let labels = Zip::from(&labels).and(&truth.brain).map_collect(is_true);
        let overlap = dice(found.view(), labels.view()).ok_or(Problem::Empty("a tissue"))?;
        keep(measures, [(measure, overlap)]);
    }
    Ok(())
}

/// The level that white matter was to be given, where the image's sidecar says it; other tools have none.
fn intensity_target(image: &Path) -> Option<f64> {
    let sidecar = image.to_str()?.strip_suffix(".nii.gz")?.to_owned() + ".json";
    let fields: Value = serde_json::from_slice(&std::fs::read(sidecar).ok()?).ok()?;
    fields["IntensityTarget"].as_f64().filter(|t| *t > 0.0)
}
