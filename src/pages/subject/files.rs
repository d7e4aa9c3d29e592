//! The files of one scan, as far as its page needs them.

use crate::derivatives::outputs::{OutputKind, sidecar_of};
use crate::derivatives::summary::ScanSummary;
use crate::files::{self, NotRead};
use crate::pages::PageError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use figures::{FigureData, PictureKind};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Columns of a table: for each name a value per row, `None` where there is none.
pub(super) type Columns = BTreeMap<String, Vec<Option<f64>>>;

/// A scan and the folder its files are in.
#[derive(Clone, Copy)]
pub(super) struct ScanFiles<'a> {
    pub output: &'a Path,
    pub scan: &'a ScanSummary,
}

impl ScanFiles<'_> {
    fn bytes(&self, path: Option<PathBuf>) -> Result<Option<Vec<u8>>, PageError> {
        let Some(path) = path.map(|path| self.output.join(path)) else { return Ok(None) };
        match files::read(&path, files::TABLE) {
            Ok(bytes) => Ok(Some(bytes)),
            // Pictures may be deleted to save space.
            Err(NotRead::Io(e)) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PageError::Read { path, source }),
        }
    }

    fn of_kind(&self, kind: OutputKind) -> Option<PathBuf> {
        self.scan.file(kind).map(Path::to_owned)
    }

    fn json<T: DeserializeOwned>(&self, path: Option<PathBuf>) -> Result<Option<T>, PageError> {
        Ok(self.bytes(path)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// What goes with the pictures.
    pub fn figures(&self) -> Result<Option<FigureData>, PageError> {
        self.json(self.of_kind(OutputKind::FigureData))
    }

    /// The sidecar of an output; empty when there is none.
    pub fn sidecar(&self, kind: OutputKind) -> Result<Map<String, Value>, PageError> {
        Ok(self.json(self.of_kind(kind).as_deref().and_then(sidecar_of))?.unwrap_or_default())
    }

    /// The table of confounds.
    pub fn confounds(&self) -> Result<Columns, PageError> {
        let table = self.bytes(self.of_kind(OutputKind::Confounds))?;
        Ok(table.map(|bytes| columns(&String::from_utf8_lossy(&bytes))).unwrap_or_default())
    }

    /// A picture as the source of an image, while `room` bytes are left for pictures.
    pub fn picture(&self, kind: PictureKind, room: &mut usize) -> Result<Option<String>, PageError> {
        self.picture_in(kind, None, room)
    }

    /// The same in the space of a template.
    pub fn picture_in(
        &self,
        kind: PictureKind,
        template: Option<&str>,
        room: &mut usize,
    ) -> Result<Option<String>, PageError> {
        let path = self.scan.file_in(OutputKind::Picture(kind), template).map(Path::to_owned);
        let Some(jpeg) = self.bytes(path)? else { return Ok(None) };
        let Some(left) = room.checked_sub(jpeg.len()) else { return Ok(None) };
        *room = left;
        Ok(Some(format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg))))
    }
}

fn columns(table: &str) -> Columns {
    let mut lines = table.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let mut found: Vec<Vec<Option<f64>>> = vec![Vec::new(); names.len()];
    for line in lines {
        let mut cells = line.split('\t');
        for column in &mut found {
            column.push(cells.next().and_then(|cell| cell.parse().ok()).filter(|v: &f64| v.is_finite()));
        }
    }
    names.into_iter().map(str::to_owned).zip(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_becomes_columns() {
        let found = columns("a\tb\nn/a\t1.5\n2\t\n");
        assert_eq!((&found["a"], &found["b"]), (&vec![None, Some(2.0)], &vec![Some(1.5), None]));
        assert!(columns("").values().all(Vec::is_empty));
    }

    #[test]
    fn nothing_outside_the_folder_is_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x_desc-mosaic_T1w.jpg"), "secret").unwrap();
        let scan: ScanSummary = serde_json::from_value(serde_json::json!({
            "scan_id": "x", "modality": "T1w", "status": "success", "seconds": 1.0, "stages": {}, "quality": {},
            "outputs": [], "files": [{ "kind": "picture_corrected", "path": "../x_desc-mosaic_T1w.jpg" }], "notes": []
        }))
        .unwrap();
        let output = dir.path().join("out");
        std::fs::create_dir(&output).unwrap();
        let files = ScanFiles { output: &output, scan: &scan };
        assert_eq!(files.picture(PictureKind::Corrected, &mut 1000).unwrap(), None);
    }
}
