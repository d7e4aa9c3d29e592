//! Where the voxels lie: the affine of a header, and the axis order and flips that bring its voxels to RAS+.
//!
//! The affine maps a voxel `(i, j, k, 1)` to millimetres in RAS+. Which of the header's affines is used is nibabel's
//! policy, with fallbacks where nibabel fails or returns nonsense:
//!
//! | sform code | qform code | affine | note |
//! |---|---|---|---|
//! | > 0, usable | 0 | sform | |
//! | > 0, usable | > 0, same | sform | |
//! | > 0, usable | > 0, differs > 0.1 mm in the image | sform | `qform_differs`; `qform_mirrored` if left and right disagree |
//! | > 0, usable | > 0, unusable | sform | `qform_unusable` |
//! | > 0, unusable | > 0, usable | qform | `sform_unusable` |
//! | > 0, unusable | 0, or unusable | refused: `BadOrientation` | |
//! | 0 | > 0, usable | qform | |
//! | 0 | > 0, unusable | refused: `BadOrientation` | |
//! | 0 | 0 | voxel sizes, x to the left, centre at 0 | `orientation_missing`, flagged on the header |
//!
//! Usable: finite, and the three axes neither zero nor in one plane. A usable sform whose axes are not at right angles
//! is noted (`sform_sheared`), and one whose voxel sizes are not pixdim's (`pixdim_differs`).
//!
//! Sources: `nifti1.h`, methods 1 to 3 of orientation; nibabel `get_best_affine`, `io_orientation`.

use super::checks::Finding;
use super::gather::Walk;
use super::matrix::{Affine, determinant, dot, linear, nearest_rotation, norms};
use super::raw::Raw;
use crate::error::HeaderFault;

/// The two ways in which a header says where its voxels lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Method 2 of `nifti1.h`: rotation, shift and voxel sizes.
    Qform,
    /// Method 3 of `nifti1.h`: a matrix.
    Sform,
}

impl Form {
    /// `qform` or `sform`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Qform => "qform",
            Self::Sform => "sform",
        }
    }
}

/// The affine of a header and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    pub affine: Affine,
    /// The form it is from; `None` when neither is set: the affine is then a convention, not knowledge.
    pub form: Option<Form>,
    pub findings: Vec<Finding>,
}

/// The affine of a checked header by the table above.
pub(crate) fn place(raw: &Raw) -> Result<Placed, Finding> {
    let qform = (raw.qform_code > 0).then(|| qform(raw));
    let sform = (raw.sform_code > 0).then(|| sform(raw));
    let found = |form, affine, findings| Ok(Placed { affine, form: Some(form), findings });
    match (sform, qform) {
        (Some(Ok(s)), q) => found(Form::Sform, s, compare(raw, &s, q)),
        (Some(Err(why)), Some(Ok(q))) => found(
            Form::Qform,
            q,
            vec![Finding::note("sform_unusable", format!("the sform {why}"), "the qform was used")],
        ),
        (None, Some(Ok(q))) => found(Form::Qform, q, Vec::new()),
        (Some(Err(why)), None) => Err(unusable(&format!("the sform {why} and there is no qform"))),
        (Some(Err(s)), Some(Err(q))) => Err(unusable(&format!("the sform {s} and the qform {q}"))),
        (None, Some(Err(why))) => Err(unusable(&format!("the qform {why} and there is no sform"))),
        (None, None) => by_convention(raw),
    }
}

fn unusable(problem: &str) -> Finding {
    let todo = "set a valid sform or qform, for example by converting again with dcm2niix";
    Finding::refuse(HeaderFault::Orientation, "orientation", problem, todo)
}

/// Method 3 of `nifti1.h`: the matrix as it stands.
fn sform(raw: &Raw) -> Result<Affine, String> {
    let [x, y, z] = raw.srow;
    usable([x, y, z, [0.0, 0.0, 0.0, 1.0]])
}

/// Method 2 of `nifti1.h`: a unit quaternion without its first part, voxel sizes, and qfac for the handedness.
fn qform(raw: &Raw) -> Result<Affine, String> {
    let [b, c, d] = raw.quatern;
    let length = b * b + c * c + d * d;
    // Rounding leaves a half-turn a little longer than 1; more is not a rotation.
    if !(0.0..=1.001).contains(&length) {
        return Err(format!("has the quaternion {:?}, which is no rotation", raw.quatern));
    }
    // Within rounding of a half-turn the first part would be noise: it is 0 then, as nibabel has it.
    let rounding = 3.0 * if raw.version == 1 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let a = if 1.0 - length < rounding { 0.0 } else { (1.0 - length).sqrt() };
    let unit = 1.0 / (a * a + length).sqrt();
    let [a, b, c, d] = [a * unit, b * unit, c * unit, d * unit];
    let size = [raw.pixdim[1], raw.pixdim[2], raw.pixdim[3]];
    let factor = [size[0], size[1], if raw.pixdim[0] == -1.0 { -size[2] } else { size[2] }];
    let rotation = [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ];
    let row = |r: usize| {
        let [x, y, z]: [f64; 3] = std::array::from_fn(|n| rotation[r][n] * factor[n]);
        [x, y, z, raw.qoffset[r]]
    };
    usable([row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]])
}

/// Method 1, with nibabel's choices: x runs to the left, the centre of the image is the origin.
fn by_convention(raw: &Raw) -> Result<Placed, Finding> {
    let [_, dx, dy, dz, ..] = raw.pixdim;
    let [_, nx, ny, nz, ..] = raw.dim;
    let centre = |size: f64, extent: i64| -size * (extent - 1) as f64 / 2.0;
    let affine = [
        [-dx, 0.0, 0.0, centre(-dx, nx)],
        [0.0, dy, 0.0, centre(dy, ny)],
        [0.0, 0.0, dz, centre(dz, nz)],
        [0.0, 0.0, 0.0, 1.0],
    ];
    usable(affine).map_err(|why| unusable(&format!("neither form is set, and the voxel size {why}")))?;
    let note = Finding::note(
        "orientation_missing",
        "neither sform nor qform is set: left and right are not known",
        "x was taken to run to the left, the image's centre as the origin, as nibabel does",
    );
    Ok(Placed { affine, form: None, findings: vec![note] })
}

/// Refuses, with the reason, an affine that does not span space.
fn usable(affine: Affine) -> Result<Affine, String> {
    // The doubles of NIfTI-2 hold numbers that the outputs, which are NIfTI-1, do not.
    if !affine.iter().flatten().all(|&v| (v as f32).is_finite()) {
        return Err("has values that are NaN, infinite or beyond all measure".to_owned());
    }
    let m = linear(&affine);
    let norms = norms(&m);
    if norms.iter().any(|&n| !(1e-6..=1e6).contains(&n)) {
        return Err(format!("has axes of {norms:?} mm"));
    }
    if determinant(&m).abs() < 1e-3 * norms.iter().product::<f64>() {
        return Err("is singular: its axes lie in one plane".to_owned());
    }
    Ok(affine)
}

/// What is odd about a usable sform, alone and beside the qform.
fn compare(raw: &Raw, s: &Affine, qform: Option<Result<Affine, String>>) -> Vec<Finding> {
    let mut found = Vec::new();
    let (used, m) = ("the sform was used", linear(s));
    let sizes = norms(&m);
    if (0..3).any(|a| (0..a).any(|b| dot(&m, a, b).abs() > 1e-3 * sizes[a] * sizes[b])) {
        let done = "it was used as it is; the qform of outputs is its nearest rotation";
        found.push(Finding::note("sform_sheared", "the axes of the sform are not at right angles", done));
    }
    let stated = [raw.pixdim[1], raw.pixdim[2], raw.pixdim[3]];
    if sizes.iter().zip(&stated).any(|(a, b)| b.is_nan() || (a - b).abs() > 0.01 * a) {
        let problem = format!("voxels are {sizes:?} mm by the sform, {stated:?} mm by pixdim");
        found.push(Finding::note("pixdim_differs", problem, used));
    }
    match qform {
        None => {}
        Some(Err(why)) => found.push(Finding::note("qform_unusable", format!("the qform {why}"), used)),
        Some(Ok(q)) if (determinant(&linear(&q)) > 0.0) != (determinant(&m) > 0.0) => {
            let problem = "qform and sform disagree about which side is left";
            found.push(Finding::note("qform_mirrored", problem, "the sform was used; check a known asymmetry"));
        }
        Some(Ok(q)) => {
            let far = farthest(raw, s, &q);
            if far > 0.1 {
                let problem = format!("qform and sform differ by up to {far:.2} mm in the image");
                found.push(Finding::note("qform_differs", problem, used));
            }
        }
    }
    found
}

/// The largest distance between two affines over the image's corners, in millimetres.
fn farthest(raw: &Raw, a: &Affine, b: &Affine) -> f64 {
    let corner = |n: usize| -> [f64; 4] {
        let at = |axis: usize| if n >> axis & 1 == 1 { (raw.dim[axis + 1] - 1) as f64 } else { 0.0 };
        [at(0), at(1), at(2), 1.0]
    };
    let apart = |c: [f64; 4]| -> f64 {
        (0..3).map(|r| (0..4).map(|n| (a[r][n] - b[r][n]) * c[n]).sum::<f64>().powi(2)).sum::<f64>().sqrt()
    };
    (0..8).map(|n| apart(corner(n))).fold(0.0, f64::max)
}

/// How the axes of the file become R, A, S.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axes {
    /// Which axis of the file (0 = x, fastest) each of R, A, S comes from.
    pub from: [usize; 3],
    /// Whether it runs the other way there.
    pub flip: [bool; 3],
}

impl Axes {
    pub(crate) const IDENTITY: Self = Self { from: [0, 1, 2], flip: [false; 3] };

    /// The axes nearest to R, A, S: each axis of the affine's closest rotation, the clearest first, takes the direction
    /// it changes most (nibabel's `io_orientation`).
    pub(crate) fn nearest(affine: &Affine) -> Self {
        let rotation = nearest_rotation(&linear(affine));
        let strength = |axis: usize| (0..3).map(|r| rotation[r][axis].powi(2)).fold(0.0, f64::max);
        let mut order = [0, 1, 2];
        order.sort_by(|&a, &b| strength(b).total_cmp(&strength(a)));
        let (mut axes, mut taken) = (Self::IDENTITY, [false; 3]);
        for axis in order {
            let mut best: Option<usize> = None;
            for r in (0..3).filter(|&r| !taken[r]) {
                if best.is_none_or(|b| rotation[r][axis].abs() > rotation[b][axis].abs()) {
                    best = Some(r);
                }
            }
            let Some(r) = best else { continue };
            taken[r] = true;
            axes.from[r] = axis;
            axes.flip[r] = rotation[r][axis] < 0.0;
        }
        axes
    }

    /// The canonical extents `(nx, ny, nz)` of a file's.
    pub(crate) fn shape(&self, disk: [usize; 3]) -> [usize; 3] {
        self.from.map(|axis| disk[axis])
    }

    /// The affine of the canonical voxels.
    pub(crate) fn affine(&self, disk: [usize; 3], affine: &Affine) -> Affine {
        let mut out = *affine;
        for row in 0..3 {
            for c in 0..3 {
                let step = affine[row][self.from[c]];
                out[row][c] = if self.flip[c] { -step } else { step };
                if self.flip[c] {
                    out[row][3] += step * (disk[self.from[c]] - 1) as f64;
                }
            }
        }
        out
    }

    /// The way through a volume in the file's order that visits the voxels in canonical order.
    pub(crate) fn to_canonical(self, disk: [usize; 3]) -> Walk {
        let step = [1, disk[0] as isize, (disk[0] * disk[1]) as isize];
        let (mut dims, mut strides, mut offset) = ([0; 3], [0; 3], 0);
        for c in 0..3 {
            let (extent, stride) = (disk[self.from[c]], step[self.from[c]]);
            dims[2 - c] = extent;
            strides[2 - c] = if self.flip[c] { -stride } else { stride };
            offset += if self.flip[c] { (extent as isize - 1) * stride } else { 0 };
        }
        Walk { dims, strides, offset }
    }

    /// The way through a canonical volume that visits the voxels in the file's order.
    pub(crate) fn to_disk(self, disk: [usize; 3]) -> Walk {
        let [nx, ny, _] = self.shape(disk);
        let step = [1, nx as isize, (nx * ny) as isize];
        let (mut dims, mut strides, mut offset) = ([0; 3], [0; 3], 0);
        for c in 0..3 {
            let (axis, extent) = (self.from[c], disk[self.from[c]]);
            dims[2 - axis] = extent;
            strides[2 - axis] = if self.flip[c] { -step[c] } else { step[c] };
            offset += if self.flip[c] { (extent as isize - 1) * step[c] } else { 0 };
        }
        Walk { dims, strides, offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{quaternion, voxel_sizes};

    /// A rotation about an arbitrary axis times voxel sizes, one of which may be negative, and an origin.
    fn oblique(angle: f64, sizes: [f64; 3]) -> Affine {
        let [x, y, z] = [0.48, -0.6, 0.64];
        let (s, c) = angle.sin_cos();
        let r = [
            [c + x * x * (1.0 - c), x * y * (1.0 - c) - z * s, x * z * (1.0 - c) + y * s],
            [y * x * (1.0 - c) + z * s, c + y * y * (1.0 - c), y * z * (1.0 - c) - x * s],
            [z * x * (1.0 - c) - y * s, z * y * (1.0 - c) + x * s, c + z * z * (1.0 - c)],
        ];
        let row = |n: usize, origin: f64| [r[n][0] * sizes[0], r[n][1] * sizes[1], r[n][2] * sizes[2], origin];
        [row(0, -31.5), row(1, 12.25), row(2, 70.0), [0.0, 0.0, 0.0, 1.0]]
    }

    /// A header with both forms set to an affine.
    fn header(affine: &Affine) -> Raw {
        let (quatern, qfac) = quaternion(affine);
        let [dx, dy, dz] = voxel_sizes(affine);
        Raw {
            version: 1,
            big_endian: false,
            dim: [3, 20, 30, 10, 1, 1, 1, 1],
            datatype: 4,
            bitpix: 16,
            pixdim: [qfac, dx, dy, dz, 0.0, 0.0, 0.0, 0.0],
            vox_offset: 352.0,
            slope: 1.0,
            inter: 0.0,
            units: 10,
            qform_code: 1,
            sform_code: 1,
            quatern,
            qoffset: [affine[0][3], affine[1][3], affine[2][3]],
            srow: [affine[0], affine[1], affine[2]],
            descrip: String::new(),
        }
    }

    fn distance(a: &Affine, b: &Affine) -> f64 {
        a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    fn kinds(placed: &Placed) -> Vec<&str> {
        placed.findings.iter().map(|f| f.note.kind).collect()
    }

    #[test]
    fn a_quaternion_gives_its_affine_back_at_every_angle() {
        for step in 0..=40 {
            for dz in [3.0, -3.0] {
                let affine = oblique(f64::from(step) * std::f64::consts::PI / 20.0, [2.0, 1.5, dz]);
                let mut raw = header(&affine);
                (raw.version, raw.sform_code) = (2, 0);
                assert!(distance(&place(&raw).unwrap().affine, &affine) < 1e-6, "step {step} dz {dz}");
            }
        }
    }

    #[test]
    fn the_table_of_forms() {
        let (s, q) = (oblique(0.3, [2.0, 2.0, 2.0]), oblique(0.4, [2.0, 2.0, 2.0]));
        let both = Raw { srow: [s[0], s[1], s[2]], ..header(&q) };
        let placed = place(&both).unwrap();
        assert_eq!((placed.affine, kinds(&placed)), (s, vec!["qform_differs"]));
        let mirrored = place(&Raw { pixdim: [-1.0, 2.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0], ..both.clone() }).unwrap();
        assert_eq!((mirrored.affine, kinds(&mirrored)), (s, vec!["qform_mirrored"]));
        let no_rotation = Raw { quatern: [0.9, 0.9, 0.0], ..both.clone() };
        assert_eq!(kinds(&place(&no_rotation).unwrap()), ["qform_unusable"]);
        for bad in [[0.0; 4], [f64::NAN, 0.0, 0.0, 0.0], both.srow[1]] {
            let raw = Raw { srow: [bad, both.srow[1], both.srow[2]], ..both.clone() };
            let placed = place(&raw).unwrap();
            assert_eq!(kinds(&placed), ["sform_unusable"]);
            assert!(distance(&placed.affine, &q) < 1e-6);
            for raw in [Raw { qform_code: 0, ..raw.clone() }, Raw { quatern: [f64::NAN; 3], ..raw.clone() }] {
                assert_eq!(place(&raw).unwrap_err().refuse, Some(HeaderFault::Orientation));
            }
        }
        let no_sizes = Raw { sform_code: 0, pixdim: [1.0, 2.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0], ..both.clone() };
        assert_eq!(place(&no_sizes).unwrap_err().refuse, Some(HeaderFault::Orientation));
        assert_eq!(kinds(&place(&Raw { sform_code: 1, ..no_sizes }).unwrap()), ["pixdim_differs", "qform_unusable"]);
    }

    #[test]
    fn without_forms_the_convention_is_flagged() {
        let raw = Raw { qform_code: 0, sform_code: 0, ..header(&oblique(0.0, [2.0, 1.5, 3.0])) };
        let placed = place(&raw).unwrap();
        assert_eq!(placed.form, None);
        let want = [[-2.0, 0.0, 0.0, 19.0], [0.0, 1.5, 0.0, -21.75], [0.0, 0.0, 3.0, -13.5], [0.0, 0.0, 0.0, 1.0]];
        assert!(distance(&placed.affine, &want) < 1e-12);
    }

    #[test]
    fn a_sheared_sform_is_used_and_noted() {
        let mut affine = oblique(0.2, [2.0, 1.5, 3.0]);
        affine[0][1] += 0.3;
        let placed = place(&Raw { qform_code: 0, ..header(&affine) }).unwrap();
        assert_eq!((placed.affine, kinds(&placed)), (affine, vec!["sform_sheared"]));
    }

    #[test]
    fn each_axis_takes_one_direction_even_half_way_between() {
        let affine = oblique(std::f64::consts::FRAC_PI_4, [1.0, 1.0, 1.0]);
        let mut from = Axes::nearest(&affine).from;
        from.sort_unstable();
        assert_eq!(from, [0, 1, 2]);
    }
}
