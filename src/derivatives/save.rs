//! Writes all files of one scan: all are made under temporary names first, then all get their names.

use super::DerivativeError;
use super::atomic::{Staged, Written, publish_all, stage_json};
use super::measured::Confound;
use super::outputs::{Output, is_in_other_space, outputs_of};
use crate::bids::{Datatype, Entities, Modality, participant_dir};
use crate::vocabulary::Wanted;
use figures::FigureData;
use ndarray::{Array3, Axis};
use nifti::{Header, Voxels};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What a scan left on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// The files.
    pub files: Vec<SavedFile>,
    /// What each is.
    pub kinds: Vec<Output>,
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
    /// XXH3 of all bytes, 128 bits as 32 hexadecimal digits.
    pub xxh3: String,
}

/// What one file is made of.
pub enum Content<'a> {
    /// An image on the grid of a header.
    Image(&'a Header, Voxels<'a>),
    /// A smooth map on the grid of a header, made when it is written, so that only some are in memory.
    Map(&'a Header, Box<dyn Fn() -> Array3<f32> + Sync + 'a>),
    /// A file that is written already and only waits for its name.
    Ready(&'a Mutex<Option<Staged>>),
    /// A map of points, in the steps in which a point takes them, as an ITK file.
    Transform(Vec<itk::StepView<'a>>),
    /// Affine maps of points, as an ITK text file.
    Affines(Vec<[[f64; 4]; 4]>),
    /// A table with a row per volume.
    Table(&'a [Confound]),
    /// Text or a picture.
    Bytes(&'a [u8]),
    /// What goes with the pictures.
    Figures(&'a FigureData),
}

/// One output that is ready to be written.
pub struct File<'a> {
    /// What it is and where it goes.
    pub output: Output,
    /// What it is made of.
    pub content: Content<'a>,
    /// What its sidecar says, where it has one.
    pub sidecar: Value,
}

/// Writes the outputs of a scan below `root`, whole or not at all.
///
/// # Errors
/// [`DerivativeError`]; no file of the scan has then its name, unless the last renames themselves were refused.
pub fn save(root: &Path, files: &[File<'_>]) -> Result<Saved, DerivativeError> {
    // Side by side, so that one is compressed while the disk takes another; but of maps, which are as large as the image, one
    // after the other.
    let stage = |(at, file): (usize, &File<'_>)| (at, stage_files(root, file));
    let is_map = |file: &File<'_>| matches!(file.content, Content::Map(..));
    let (maps, mut staged) = rayon::join(
        || files.iter().enumerate().filter(|(_, file)| is_map(file)).map(stage).collect::<Vec<_>>(),
        || files.par_iter().enumerate().filter(|(_, file)| !is_map(file)).map(stage).collect::<Vec<_>>(),
    );
    staged.extend(maps);
    staged.sort_by_key(|(at, _)| *at);
    let staged: Vec<_> = staged.into_iter().map(|(_, staged)| staged).collect::<Result<_, _>>()?;
    let (paths, staged): (Vec<_>, Vec<_>) = staged.into_iter().flatten().unzip();
    let written = publish_all(staged)?;
    let bytes = written.iter().map(|written| written.bytes).sum();
    let kinds = files.iter().map(|file| file.output.clone()).collect();
    let saved = |(path, Written { bytes, xxh3 })| SavedFile { path, bytes, xxh3 };
    let files = paths.into_iter().zip(written).map(saved).collect();
    Ok(Saved { files, kinds, bytes })
}

/// An output and its sidecar, each with its final path.
fn stage_files(root: &Path, file: &File<'_>) -> Result<Vec<(PathBuf, Staged)>, DerivativeError> {
    let Output { path, sidecar, .. } = &file.output;
    let mut staged = vec![(path.clone(), stage_content(root.join(path), &file.content)?)];
    if let Some(path) = sidecar {
        staged.push((path.clone(), stage_json(root.join(path), &file.sidecar)?));
    }
    Ok(staged)
}

fn stage_content(path: PathBuf, content: &Content<'_>) -> Result<Staged, DerivativeError> {
    match content {
        Content::Image(header, voxels) => stage_nifti(path, header, *voxels),
        Content::Map(header, make) => {
            let map = make();
            stage_nifti(path, header, Voxels::Smooth(map.view().insert_axis(Axis(0))))
        }
        Content::Transform(steps) => {
            Staged::write(path, |w| Ok(itk::write_h5(w, steps).map_err(std::io::Error::other)?))
        }
        Content::Affines(maps) => Staged::write(path, |w| Ok(itk::write_text(w, maps).map_err(std::io::Error::other)?)),
        Content::Ready(staged) => {
            let staged = staged.lock().unwrap_or_else(PoisonError::into_inner).take();
            staged.ok_or_else(|| DerivativeError::Write { path, source: "it was named already".into() })
        }
        Content::Table(columns) => Staged::write(path, |w| Ok(write_table(w, columns)?)),
        Content::Bytes(bytes) => Staged::write(path, |w| Ok(w.write_all(bytes)?)),
        Content::Figures(data) => {
            Staged::write(path, |w| Ok(serde_json::to_writer(w, data).map_err(std::io::Error::from)?))
        }
    }
}

/// Removes what an earlier run left of this scan, so that neither a failure nor a run that is asked for less leaves old
/// files that look like new ones.
///
/// # Errors
/// [`DerivativeError::Access`] when a file is there and cannot be removed.
pub fn remove_old(root: &Path, modality: Modality, entities: &Entities) -> Result<(), DerivativeError> {
    // Without a name there are no files either.
    let outputs = outputs_of(modality, entities, &Wanted::default()).unwrap_or_default();
    for path in outputs.iter().flat_map(Output::files) {
        remove_if_there(&root.join(path))?;
    }
    let mut folders: BTreeSet<PathBuf> = outputs.iter().filter_map(|o| Some(o.path.parent()?.to_owned())).collect();
    folders.extend(participant_dir(entities, Datatype::Fmap));
    folders.iter().try_for_each(|folder| remove_in_other_spaces(&root.join(folder), modality, entities))
}

/// Removes what an earlier run left of this scan in any other spaces.
fn remove_in_other_spaces(folder: &Path, modality: Modality, entities: &Entities) -> Result<(), DerivativeError> {
    let Ok(there) = std::fs::read_dir(folder) else { return Ok(()) };
    for file in there.flatten() {
        if file.file_name().to_str().is_some_and(|name| is_in_other_space(modality, entities, name)) {
            remove_if_there(&file.path())?;
        }
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
            Some(v) if v.is_finite() => shown(v),
            _ => "n/a".to_owned(),
        }))?;
    }
    table.flush()?;
    Ok(())
}

/// A number with nine significant digits: squares of small changes are as exact as what they are made of.
fn shown(value: f64) -> String {
    // What was just written can be read. A zero has no sign.
    let rounded = format!("{value:.8e}").parse::<f64>().unwrap_or(value);
    (rounded + 0.0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;

    #[test]
    fn undefined_values_are_written_as_bids_wants_them() {
        let column = |name: &str, values| Confound {
            name: name.into(),
            description: "",
            units: None,
            values,
            facts: Map::new(),
        };
        let mut text = Vec::new();
        let columns = [column("a", vec![None, Some(1.5)]), column("b", vec![Some(f64::NAN), Some(-2.0)])];
        write_table(&mut text, &columns).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "a\tb\nn/a\tn/a\n1.5\t-2\n");
    }

    #[test]
    fn small_numbers_keep_their_digits() {
        let cases = [
            (1.0 / 3.0, "0.333333333"),
            (-2.0 / 3.0e-7, "-6666666.67"),
            (1.234_567_891_2e-10, "0.000000000123456789"),
            (0.1 + 0.2, "0.3"),
            (-0.0, "0"),
            (10_000.0, "10000"),
        ];
        for (value, expected) in cases {
            assert_eq!(shown(value), expected);
        }
    }
}
