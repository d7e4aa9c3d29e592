//! Writes all files of one scan: all are made under temporary names first, then all get their names.

use super::DerivativeError;
use super::atomic::{Staged, publish_all, stage_json};
use super::outputs::{Output, OutputKind, Tissue, outputs_of};
use super::products::{Confound, Products};
use super::sidecar::{SidecarContext, sidecar};
use crate::bids::{Entities, Modality};
use imaging::tissue::Tissues;
use nifti::{Header, Voxels};
use ndarray::{Array3, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What a scan left on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// The files.
    pub files: Vec<SavedFile>,
    /// Their size in bytes.
    pub bytes: u64,
}

/// A file as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedFile {
    /// Relative to the output folder.
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
}

/// Writes every output of a scan below `root`, whole or not at all.
///
/// # Errors
/// [`DerivativeError`]; no file of the scan has then its name, unless the last renames themselves were refused.
pub fn save_scan(
    root: &Path,
    outputs: &[Output],
    cx: &SidecarContext<'_>,
    products: &Products,
) -> Result<Saved, DerivativeError> {
    // Side by side, so that one is compressed while the disk takes another.
    let staged: Vec<_> = outputs.par_iter().map(|output| stage_files(root, output, cx, products)).collect();
    let staged: Vec<_> = staged.into_iter().collect::<Result<_, _>>()?;
    let (paths, staged): (Vec<_>, Vec<_>) = staged.into_iter().flatten().unzip();
    let sizes = publish_all(staged)?;
    let bytes = sizes.iter().sum();
    let files = paths.into_iter().zip(sizes).map(|(path, bytes)| SavedFile { path, bytes }).collect();
    Ok(Saved { files, bytes })
}

/// An output and its sidecar, each with its final path.
fn stage_files(
    root: &Path,
    output: &Output,
    cx: &SidecarContext<'_>,
    products: &Products,
) -> Result<Vec<(PathBuf, Staged)>, DerivativeError> {
    let mut staged = vec![(output.path.clone(), stage_output(root.join(&output.path), output.kind, products)?)];
    if let Some(path) = &output.sidecar {
        staged.push((path.clone(), stage_json(root.join(path), &sidecar(output.kind, cx, products)?)?));
    }
    Ok(staged)
}

/// Removes what an earlier run left of this scan, so that neither a failure nor a run that is asked for less leaves old
/// files that look like new ones.
///
/// # Errors
/// [`DerivativeError::Access`] when a file is there and cannot be removed.
pub fn remove_old(root: &Path, modality: Modality, entities: &Entities) -> Result<(), DerivativeError> {
    // Without a name there are no files either.
    let outputs = outputs_of(modality, entities, true).unwrap_or_default();
    for path in outputs.iter().flat_map(Output::files) {
        remove_if_there(&root.join(path))?;
    }
    Ok(())
}

/// Removes a file; one that is not there is fine. Returns whether it was there.
///
/// # Errors
/// [`DerivativeError::Access`].
pub fn remove_if_there(path: &Path) -> Result<bool, DerivativeError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(DerivativeError::Access { path: path.to_owned(), source }),
    }
}

fn stage_output(path: PathBuf, kind: OutputKind, products: &Products) -> Result<Staged, DerivativeError> {
    let missing = |what| DerivativeError::Incomplete { what };
    let header = &products.header;
    match kind {
        OutputKind::Preproc => stage_nifti(path, header, Voxels::Scaled(products.image.view())),
        OutputKind::BrainMask => {
            let brain = products.brain.as_ref().ok_or(missing("the brain mask"))?;
            stage_nifti(path, header, Voxels::Mask(brain.mask.view()))
        }
        OutputKind::BiasField => {
            let bias = products.bias.as_ref().ok_or(missing("the bias field"))?;
            stage_nifti(path, header, Voxels::Smooth(bias.field.view().insert_axis(Axis(0))))
        }
        OutputKind::BoldRef => stage_nifti(path, header, Voxels::Scaled(products.reference().insert_axis(Axis(0)))),
        OutputKind::Segmentation => stage_nifti(path, header, Voxels::Mask(segmentation(products.tissues()?).view())),
        OutputKind::LabelTable => Staged::write(path, |w| Ok(w.write_all(label_table().as_bytes())?)),
        OutputKind::Probability(tissue) => {
            let map = products.tissues()?.probability(products.reference(), tissue.class());
            stage_nifti(path, header, Voxels::Smooth(map.view().insert_axis(Axis(0))))
        }
        OutputKind::Picture(picture) => {
            let figures = products.figures.as_ref().ok_or(missing("a figure"))?;
            let jpeg = figures.picture(picture).ok_or(missing("a figure"))?;
            Staged::write(path, |w| Ok(w.write_all(jpeg)?))
        }
        OutputKind::FigureData => {
            let figures = products.figures.as_ref().ok_or(missing("a figure"))?;
            Staged::write(path, |w| Ok(serde_json::to_writer(w, &figures.data).map_err(std::io::Error::from)?))
        }
        OutputKind::Confounds => Staged::write(path, |w| Ok(write_table(w, &products.confounds)?)),
    }
}

/// The tissue labels by BIDS' numbers.
fn segmentation(tissues: &Tissues) -> Array3<u8> {
    let mut numbers = [0; 4];
    Tissue::ALL.iter().for_each(|t| numbers[usize::from(t.class())] = *t as u8);
    tissues.labels.mapv(|class| numbers.get(usize::from(class)).copied().unwrap_or(0))
}

/// The table that names the labels of a segmentation, as BIDS asks for it.
fn label_table() -> String {
    let row = |t: &Tissue| format!("{}\t{}\t{}\n", *t as u8, t.name(), t.abbreviation());
    let rows: String = Tissue::ALL.iter().map(row).collect();
    format!("index\tname\tabbreviation\n0\tBackground\tBG\n{rows}")
}

fn stage_nifti(path: PathBuf, header: &Header, voxels: Voxels<'_>) -> Result<Staged, DerivativeError> {
    Staged::write(path, |w| {
        nifti::write(w, header, voxels)?;
        Ok(())
    })
}

/// A BIDS table: tab-separated, `n/a` where a value is not defined.
fn write_table(w: &mut dyn Write, columns: &[Confound]) -> csv::Result<()> {
    let mut table = csv::WriterBuilder::new().delimiter(b'\t').from_writer(w);
    table.write_record(columns.iter().map(|c| c.name.as_str()))?;
    let rows = columns.iter().map(|c| c.values.len()).max().unwrap_or(0);
    for row in 0..rows {
        table.write_record(columns.iter().map(|c| match c.values.get(row).copied().flatten() {
            Some(v) if v.is_finite() => format!("{v:.6}"),
            _ => "n/a".to_owned(),
        }))?;
    }
    table.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_the_numbers_and_names_of_bids() {
        let expected = "0\tBackground\tBG\n1\tGray Matter\tGM\n2\tWhite Matter\tWM\n3\tCerebrospinal Fluid\tCSF\n";
        assert_eq!(label_table(), format!("index\tname\tabbreviation\n{expected}"));
    }

    #[test]
    fn undefined_values_are_written_as_bids_wants_them() {
        let column = |name: &str, values| Confound { name: name.into(), description: "", units: None, values };
        let mut text = Vec::new();
        let columns = [column("a", vec![None, Some(1.5)]), column("b", vec![Some(f64::NAN), Some(-2.0)])];
        write_table(&mut text, &columns).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "a\tb\nn/a\tn/a\n1.500000\t-2.000000\n");
    }
}
