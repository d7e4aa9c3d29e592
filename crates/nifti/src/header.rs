//! A checked header: sizes, type, scaling, timing, and where the voxels lie.

use super::Note;
use super::checks::{self, Finding};
use super::dtype::Dtype;
use super::matrix::{Affine, quaternion, voxel_sizes};
use super::orientation::{Axes, Form, place};
use super::raw::Raw;

/// A grid of voxels in canonical RAS+ order.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Extents `(nz, ny, nx)`.
    pub shape: [usize; 3],
    /// Voxel sizes `[dz, dy, dx]` in millimetres: the lengths of the affine's axes.
    pub voxel_mm: [f64; 3],
    /// From the canonical voxel `(i, j, k, 1)` to RAS+ millimetres.
    pub affine: [[f64; 4]; 4],
}

/// What a NIfTI header says, checked, with oddities resolved as its notes tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    raw: Raw,
    dtype: Dtype,
    affine: Affine,
    axes: Axes,
    grid: Grid,
    form: Option<Form>,
}

impl Header {
    /// A header for a synthetic image on a grid that is in canonical order, as it would be read back from a float32 file.
    /// `tr_seconds` is used by series only.
    #[must_use]
    pub fn new(grid: Grid, volumes: usize, tr_seconds: Option<f64>) -> Self {
        let [nz, ny, nx] = grid.shape;
        let [dz, dy, dx] = grid.voxel_mm;
        let (quatern, qfac) = quaternion(&grid.affine);
        let [x, y, z, _] = grid.affine;
        let raw = Raw {
            version: 1,
            big_endian: false,
            dim: [if volumes > 1 { 4 } else { 3 }, nx as i64, ny as i64, nz as i64, volumes as i64, 1, 1, 1],
            datatype: Dtype::F32.code(),
            bitpix: 32,
            pixdim: [qfac, dx, dy, dz, tr_seconds.unwrap_or(0.0), 0.0, 0.0, 0.0],
            vox_offset: super::raw::DATA_OFFSET_1 as f64,
            slope: 1.0,
            inter: 0.0,
            units: MILLIMETRES_AND_SECONDS,
            qform_code: 1,
            sform_code: 1,
            quatern,
            qoffset: [x[3], y[3], z[3]],
            srow: [x, y, z],
            descrip: String::new(),
        };
        let affine = grid.affine;
        Self { raw, dtype: Dtype::F32, affine, axes: Axes::IDENTITY, grid, form: Some(Form::Sform) }
    }

    /// Checks the fields of a file and resolves its orientation.
    pub(crate) fn from_raw(mut raw: Raw) -> Result<(Self, Vec<Note>), Finding> {
        let mut notes = checks::run(&mut raw)?;
        let placed = place(&raw)?;
        notes.extend(placed.findings.into_iter().map(|f| f.note));
        // The battery has refused every other type.
        let dtype = Dtype::from_code(raw.datatype).unwrap_or(Dtype::F32);
        let axes = Axes::nearest(&placed.affine);
        let disk = spatial(&raw);
        let affine = axes.affine(disk, &placed.affine);
        let [nx, ny, nz] = axes.shape(disk);
        let [dx, dy, dz] = voxel_sizes(&affine);
        let grid = Grid { shape: [nz, ny, nx], voxel_mm: [dz, dy, dx], affine };
        Ok((Self { raw, dtype, affine: placed.affine, axes, grid, form: placed.form }, notes))
    }

    /// The grid of one volume in canonical order.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The number of volumes: 1 for a 3-D image.
    #[must_use]
    pub fn volumes(&self) -> usize {
        self.raw.dim[4] as usize
    }

    /// The repetition time in seconds, whatever unit the file has; `None` if it has no positive one.
    #[must_use]
    pub fn tr_seconds(&self) -> Option<f64> {
        (self.raw.pixdim[4] > 0.0).then_some(self.raw.pixdim[4])
    }

    /// The same header with another repetition time in seconds, for when a sidecar knows it and the header does not.
    #[must_use]
    pub fn with_tr_seconds(mut self, tr_seconds: f64) -> Self {
        self.raw.pixdim[4] = tr_seconds;
        self
    }

    /// The type of the voxels in the file, by NumPy's name, such as `int16`.
    #[must_use]
    pub fn dtype_name(&self) -> &'static str {
        self.dtype.name()
    }

    /// The extents in the file, `[nx, ny, nz, nt]`, fastest first.
    #[must_use]
    pub fn disk_shape(&self) -> [usize; 4] {
        let [nx, ny, nz] = spatial(&self.raw);
        [nx, ny, nz, self.volumes()]
    }

    /// The affine of the file's own voxel order, to RAS+ millimetres.
    #[must_use]
    pub fn disk_affine(&self) -> &[[f64; 4]; 4] {
        &self.affine
    }

    /// Where the file's axes point, fastest first, such as `LAS`.
    #[must_use]
    pub fn disk_axes(&self) -> String {
        let mut letters = ['?'; 3];
        for (c, (forward, backward)) in [('R', 'L'), ('A', 'P'), ('S', 'I')].into_iter().enumerate() {
            letters[self.axes.from[c]] = if self.axes.flip[c] { backward } else { forward };
        }
        letters.iter().collect()
    }

    /// The axis of arrays `(nz, ny, nx)`, 0 to 2, that an axis of the file (0 is the fastest) became, and whether it was turned
    /// round; `None` for an axis that there is not.
    #[must_use]
    pub fn of_disk_axis(&self, axis: usize) -> Option<(usize, bool)> {
        let world = self.axes.from.iter().position(|from| *from == axis)?;
        Some((2 - world, self.axes.flip[world]))
    }

    /// Neither sform nor qform is set: the affine is a convention and the sides are not known.
    #[must_use]
    pub fn orientation_missing(&self) -> bool {
        self.form.is_none()
    }

    /// The form the affine is from; `None` when neither is set.
    #[must_use]
    pub fn form(&self) -> Option<Form> {
        self.form
    }

    /// `(qform_code, sform_code)` of the file; codes NIfTI does not know count as 0.
    #[must_use]
    pub fn form_codes(&self) -> (i32, i32) {
        (self.raw.qform_code, self.raw.sform_code)
    }

    /// `(slope, intercept)` from stored to real values; `(1, 0)` without scaling.
    #[must_use]
    pub fn scaling(&self) -> (f64, f64) {
        (self.raw.slope, self.raw.inter)
    }

    /// The version of the format, 1 or 2.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.raw.version
    }

    /// Whether the file has its most significant bytes first.
    #[must_use]
    pub fn big_endian(&self) -> bool {
        self.raw.big_endian
    }

    /// The free text of the file's header.
    #[must_use]
    pub fn descrip(&self) -> &str {
        &self.raw.descrip
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.dtype
    }

    pub(crate) fn axes(&self) -> Axes {
        self.axes
    }

    /// The byte of the (inflated) file at which the voxels begin.
    pub(crate) fn data_offset(&self) -> u64 {
        self.raw.vox_offset as u64
    }

    /// The bytes the file must have: up to and with the last voxel. `None` if that is beyond 64 bits.
    pub(crate) fn file_bytes(&self) -> Option<u64> {
        let voxels = self.disk_shape().iter().try_fold(1_u64, |n, &d| n.checked_mul(d as u64))?;
        voxels.checked_mul(self.dtype.bytes() as u64)?.checked_add(self.data_offset())
    }

    /// The fields of an output of `volumes` volumes in this file's axis order: both forms are the affine with code 1,
    /// or 0 if the orientation was not known (an output must not claim more than its input).
    pub(crate) fn output(&self, volumes: usize, dtype: Dtype, slope: f64) -> Raw {
        let mut raw = self.raw.clone();
        let series = volumes > 1;
        let [dx, dy, dz] = voxel_sizes(&self.affine);
        let (quatern, qfac) = quaternion(&self.affine);
        let [x, y, z, _] = self.affine;
        let code = i32::from(self.form.is_some());
        raw.dim[0] = if series { 4 } else { 3 };
        raw.dim[4] = volumes as i64;
        raw.datatype = dtype.code();
        raw.bitpix = dtype.bytes() as i16 * 8;
        raw.pixdim = [qfac, dx, dy, dz, if series { raw.pixdim[4] } else { 0.0 }, 0.0, 0.0, 0.0];
        (raw.slope, raw.inter) = (slope, 0.0);
        raw.units = MILLIMETRES_AND_SECONDS;
        (raw.qform_code, raw.sform_code) = (code, code);
        (raw.quatern, raw.qoffset, raw.srow) = (quatern, [x[3], y[3], z[3]], [x, y, z]);
        raw.descrip = concat!("neuro-preprocess ", env!("CARGO_PKG_VERSION")).to_owned();
        raw
    }
}

/// `xyzt_units` of millimetres and seconds.
const MILLIMETRES_AND_SECONDS: i32 = 2 | 8;

/// The extents of one volume in the file, fastest first.
fn spatial(raw: &Raw) -> [usize; 3] {
    [raw.dim[1] as usize, raw.dim[2] as usize, raw.dim[3] as usize]
}
