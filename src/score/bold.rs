//! A bold run: brain mask, and the motion of every volume.

use super::compare::{keep, mask, masks, mean_p95_max, motion, volume, volume_on};
use super::find::{Roots, Scan};
use super::{Measure, Problem, ScanScore};
use crate::derivatives::outputs::OutputKind;
use imaging::rigid::{Matrix4, apply, from_parameters};
use nifti::Grid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Columns of the confounds table with the parameters, in the order of [`from_parameters`].
const COLUMNS: [&str; 6] = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"];

type Measures = BTreeMap<Measure, f64>;

pub(super) fn score(roots: &Roots, scan: &Scan) -> ScanScore {
    let (mut measures, mut problems) = (Measures::new(), Vec::new());
    match roots.truth(scan, Some("brain"), "mask", ".nii.gz").and_then(|path| volume(&path)) {
        Err(e) => problems.push(e),
        Ok((brain, grid)) => {
            problems.extend(brain_mask(roots, scan, &brain, &grid, &mut measures).err());
            problems.extend(head_motion(roots, scan, &grid, &mut measures).err());
        }
    }
    ScanScore { scan: scan.name(), modality: scan.modality, measures, problems }
}

fn brain_mask(
    roots: &Roots,
    scan: &Scan,
    brain: &ndarray::Array3<f32>,
    grid: &Grid,
    measures: &mut Measures,
) -> Result<(), Problem> {
    let found = mask(&volume_on(&roots.derivative(scan, OutputKind::BrainMask)?, grid)?);
    keep(measures, masks(&found, &mask(brain), grid.voxel_mm).ok_or(Problem::Empty("the brain mask"))?);
    Ok(())
}

/// The parameters turn about the centre of the grid; the truth has matrices.
fn head_motion(roots: &Roots, scan: &Scan, grid: &Grid, measures: &mut Measures) -> Result<(), Problem> {
    let [nz, ny, nx] = grid.shape;
    let centre = apply(&grid.affine, [nx, ny, nz].map(|n| (n as f64 - 1.0) / 2.0));
    let table = roots.derivative(scan, OutputKind::Confounds)?;
    let found: Vec<Matrix4> = parameters(&table)?.iter().map(|p| from_parameters(p, centre)).collect();
    let truth = true_matrices(&roots.truth(scan, Some("motion"), "timeseries", ".json")?)?;
    let problem = format!("it has {} volumes, the truth has {}", found.len(), truth.len());
    let apart = motion(&found, &truth, centre).ok_or(Problem::Content { path: table, problem })?;
    let [mean, p95, max] = mean_p95_max(apart).ok_or(Problem::Empty("motion"))?;
    keep(measures, [(Measure::MotionMean, mean), (Measure::MotionP95, p95), (Measure::MotionMax, max)]);
    Ok(())
}

/// `[tx, ty, tz, rx, ry, rz]` (mm, radians) of each row of a confounds table.
fn parameters(path: &Path) -> Result<Vec<[f64; 6]>, Problem> {
    let wrong = |problem: String| Problem::Content { path: path.to_owned(), problem };
    let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').from_path(path).map_err(|e| wrong(e.to_string()))?;
    let header = reader.headers().map_err(|e| wrong(e.to_string()))?.clone();
    let mut places = [0; 6];
    for (place, name) in places.iter_mut().zip(COLUMNS) {
        *place = header.iter().position(|h| h == name).ok_or_else(|| wrong(format!("it has no column {name}")))?;
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| wrong(e.to_string()))?;
        let mut row = [0.0; 6];
        for ((value, place), name) in row.iter_mut().zip(places).zip(COLUMNS) {
            let text = record.get(place).unwrap_or_default();
            let number = text.parse::<f64>().ok().filter(|v| v.is_finite());
            *value = number.ok_or_else(|| wrong(format!("row {}: {name} is {text:?}", rows.len() + 1)))?;
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The matrices in the sidecar of the true motion.
fn true_matrices(path: &Path) -> Result<Vec<Matrix4>, Problem> {
    let wrong = |problem: String| Problem::Content { path: path.to_owned(), problem };
    let text = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    let mut sidecar: Value = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
    serde_json::from_value(sidecar["Matrices"].take()).map_err(|e| wrong(format!("Matrices: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_by_name_and_bad_ones_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tsv");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            parameters(&path).map_err(|e| e.to_string())
        };
        let columns = "rot_z\trmsd\ttrans_x\ttrans_y\ttrans_z\trot_x\trot_y\n";
        assert_eq!(read(&format!("{columns}6\tn/a\t1\t2\t3\t4\t5\n")), Ok(vec![[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]));
        assert!(read(&format!("{columns}n/a\t0\t1\t2\t3\t4\t5\n")).unwrap_err().contains("row 1: rot_z"));
        assert!(read("trans_x\n0\n").unwrap_err().contains("no column trans_y"));
    }
}
