//! The field of a bold run: read from its fieldmap, made smooth, and brought to the grid of the run.

use super::motion_correct::Motion;
use super::validate::Series;
use crate::plan::{EpiImage, FieldImage, FieldKind, Fieldmap};
use imaging::distortion::fieldmap::{self, FieldFacts, from_hz, from_phase_difference};
use imaging::distortion::pepolar::{self, Epi, PepolarFacts, estimate};
use imaging::distortion::phase::{PhaseScale, phase_difference, phase_in_radians};
use imaging::distortion::readout::{Readout, ReadoutFields, ReadoutSource, total_readout};
use imaging::distortion::{DistortionError, PhaseEncoding, head_mask};
use imaging::motion::{aligned_mean, estimate_motion};
use imaging::resampling::Places;
use imaging::rigid::{IDENTITY, Matrix4, apply, compose, invert_affine};
use ndarray::{Array3, ArrayView4, Axis, s};
use nifti::{Fingerprint, Grid, Header};
use std::path::{Path, PathBuf};

/// Volumes of an EPI image that are averaged.
const VOLUMES: usize = 5;
/// How far two images of one acquisition may lie apart by their headers, mm.
const SAME_MM: f64 = 0.1;
/// How far apart both images of a pair may lie by their headers, mm: what a head moves in a session.
const PAIR_MM: f64 = 20.0;

/// Why there is no field.
#[derive(Debug, thiserror::Error)]
pub enum FieldError {
    /// The images or their sidecars cannot be used.
    #[error("{}", plain(.0))]
    Distortion(#[from] DistortionError),
    /// An image cannot be read or used, in words that name it.
    #[error("{0}")]
    Image(String),
    /// Images that should belong together do not.
    #[error("{}: {problem}", path.display())]
    Unfit {
        /// The image.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// The words of a failure without those that say what it is about.
fn plain(e: &DistortionError) -> String {
    let text = e.to_string();
    text.strip_prefix("distortion: ").unwrap_or(&text).to_owned()
}

/// A failure that is one image's.
fn of_image(image: &Path) -> impl Fn(DistortionError) -> FieldError {
    move |e| FieldError::Image(format!("{}: {}", image.display(), plain(&e)))
}

/// A field where it was measured.
pub struct Field {
    /// The grid of the fieldmap, as a header.
    pub header: Header,
    /// Hz, `(nz, ny, nx)` of that grid.
    pub hz: Array3<f32>,
    /// Control points of its spline in Hz, from one before the first voxel, and how many voxels they are apart.
    pub coefficients: Array3<f32>,
    pub knots: usize,
    /// Where it was measured; elsewhere it is extrapolated.
    pub mask: Array3<u8>,
    /// An image of the head there.
    pub image: Array3<f32>,
    /// How it came about.
    pub facts: Facts,
    /// The files as they were read.
    pub prints: Vec<(PathBuf, Fingerprint)>,
    /// What is odd about it.
    pub notes: Vec<String>,
}

/// How a field came about.
#[derive(Clone, Copy, Debug)]
pub enum Facts {
    /// From a map.
    Map(FieldFacts),
    /// From a pair of EPI images.
    Pair(PepolarFacts),
}

/// An image of a fieldmap, one volume.
struct Read {
    header: Header,
    data: Array3<f32>,
}

impl Field {
    /// Reads the images of a fieldmap and computes the field. The mean of the run is used for an image that is the run itself.
    pub fn read(fieldmap: &Fieldmap, raw: &Series, motion: &Motion) -> Result<Self, FieldError> {
        let mut prints = Vec::new();
        let mut one = |image: &FieldImage| {
            let (read, print) = read(image)?;
            prints.push((image.relative.clone(), print));
            Ok::<_, FieldError>(read)
        };
        match &fieldmap.kind {
            FieldKind::PhaseDifference { phase, magnitude, seconds } => {
                let (difference, head) = (one(phase)?, one(magnitude)?);
                together(&difference, &head, magnitude)?;
                let radians = phase_in_radians(difference.data.view());
                let (radians, scale) = radians.map_err(of_image(&phase.relative))?;
                Self::of_phase(radians, &[(phase, scale)], head, *seconds, prints)
            }
            FieldKind::TwoPhases { phases: [first, second], magnitude, seconds } => {
                let (a, b, head) = (one(first)?, one(second)?, one(magnitude)?);
                together(&a, &b, second)?;
                together(&a, &head, magnitude)?;
                let of = |read: &Read, image: &FieldImage| {
                    phase_in_radians(read.data.view()).map_err(of_image(&image.relative))
                };
                let ((a, scale_a), (b, scale_b)) = (of(&a, first)?, of(&b, second)?);
                let radians = phase_difference(a.view(), b.view())?;
                Self::of_phase(radians, &[(first, scale_a), (second, scale_b)], head, *seconds, prints)
            }
            FieldKind::Direct { field, magnitude, hz } => {
                let (map, head) = (one(field)?, one(magnitude)?);
                together(&map, &head, magnitude)?;
                #[expect(clippy::cast_possible_truncation, reason = "voxels are f32")]
                let map = map.data.mapv(|v| v * *hz as f32);
                let made = from_hz(map.view(), head.data.view(), head.header.grid().voxel_mm)?;
                Ok(Self::of_map(made, head, prints))
            }
            FieldKind::Opposite(pair) => Self::of_pair(pair, raw, motion, prints),
        }
    }

    fn of_phase(
        radians: Array3<f32>,
        scales: &[(&FieldImage, PhaseScale)],
        head: Read,
        seconds: f64,
        prints: Vec<(PathBuf, Fingerprint)>,
    ) -> Result<Self, FieldError> {
        let made = from_phase_difference(radians.view(), head.data.view(), seconds, head.header.grid().voxel_mm)?;
        let mut field = Self::of_map(made, head, prints);
        let unknown = scales.iter().filter(|(_, scale)| !scale.known);
        field.notes.extend(unknown.map(|(image, scale)| {
            let (low, high) = (scale.zero - scale.half_turn, scale.zero + scale.half_turn);
            format!(
                "the values of {} have no range that phase images usually have; {low} to {high} was taken for one turn",
                image.relative.display()
            )
        }));
        Ok(field)
    }

    fn of_map(made: imaging::distortion::fieldmap::Fieldmap, head: Read, prints: Vec<(PathBuf, Fingerprint)>) -> Self {
        let imaging::distortion::fieldmap::Fieldmap { hz, coefficients, mask, facts } = made;
        Self {
            header: head.header,
            hz,
            coefficients,
            knots: fieldmap::KNOTS,
            mask,
            image: head.data,
            facts: Facts::Map(facts),
            prints,
            notes: Vec::new(),
        }
    }

    fn of_pair(
        pair: &[EpiImage; 2],
        raw: &Series,
        motion: &Motion,
        mut prints: Vec<(PathBuf, Fingerprint)>,
    ) -> Result<Self, FieldError> {
        let mut notes = Vec::new();
        let mut one = |epi: &EpiImage| {
            let read = match &epi.image {
                Some(image) => {
                    let (read, print) = read(image)?;
                    prints.push((image.relative.clone(), print));
                    read
                }
                None => Read { header: raw.header.clone(), data: motion.mean.clone() },
            };
            let name = epi.image.as_ref().map_or(Path::new("the run"), |image| image.relative.as_path());
            let direction = in_memory(epi.direction, &read.header).map_err(of_image(name))?;
            let readout = readout(&epi.readout, direction, read.data.dim()).map_err(of_image(name))?;
            notes.extend(of_readout(&readout).map(|note| format!("{}: {note}", name.display())));
            Ok::<_, FieldError>((read, direction, readout.seconds))
        };
        let ([first, second], [of_first, of_second]) = ([one(&pair[0])?, one(&pair[1])?], pair);
        let name = |epi: &EpiImage| epi.image.as_ref().map_or_else(PathBuf::new, |image| image.relative.clone());
        let apart = apart_mm(&first.0.header, &second.0.header);
        if apart > PAIR_MM {
            let problem = format!("it lies {apart:.0} mm away from {} by its header", name(of_first).display());
            return Err(FieldError::Unfit { path: name(of_second), problem });
        }
        let differ = (first.2 / second.2 - 1.0).abs();
        if differ > 0.01 {
            let times = format!("{:.4} s and {:.4} s", first.2, second.2);
            notes.push(format!("the images of opposite phase encoding have different readout times, {times}"));
        }
        let epi = |of: &'_ (Read, PhaseEncoding, f64)| (of.1, of.2);
        let ((d1, t1), (d2, t2)) = (epi(&first), epi(&second));
        let pair = [
            Epi { image: first.0.data.view(), direction: d1, readout_s: t1 },
            Epi { image: second.0.data.view(), direction: d2, readout_s: t2 },
        ];
        let made = estimate(&pair[0], &pair[1], first.0.header.grid().voxel_mm, true)?;
        let mask = head_mask(first.0.data.view())?;
        Ok(Self {
            hz: made.hz,
            coefficients: made.coefficients,
            knots: pepolar::KNOTS,
            mask,
            facts: Facts::Pair(made.facts),
            prints,
            notes,
            header: first.0.header,
            image: first.0.data,
        })
    }

    /// The control points of the field, with their grid.
    pub fn points(&self) -> (Header, &Array3<f32>) {
        let points = &self.coefficients;
        let Grid { voxel_mm, affine, .. } = self.header.grid();
        let (nz, ny, nx) = points.dim();
        #[expect(clippy::cast_precision_loss, reason = "2 or 3")]
        let step = self.knots as f64;
        let mut to_voxel = IDENTITY;
        (0..3).for_each(|a| (to_voxel[a][a], to_voxel[a][3]) = (step, -step));
        let grid =
            Grid { shape: [nz, ny, nx], voxel_mm: voxel_mm.map(|mm| mm * step), affine: compose(affine, &to_voxel) };
        (Header::new(grid, 1, None), points)
    }

    /// The field, and where it was measured, on the grid of the run. `moved` takes the world of the run to that of the fieldmap.
    pub fn on(&self, run: &Grid, moved: &Matrix4) -> Option<(Array3<f32>, Array3<f32>)> {
        let to_voxel = invert_affine(&self.header.grid().affine)?;
        let map = compose(&to_voxel, &compose(moved, &run.affine));
        let places = Places::of(run.shape, &map);
        Some((places.smooth(self.hz.view()), places.linear(self.mask.mapv(f32::from).view(), false)))
    }
}

/// The direction of phase encoding in the axes of the array, which may be turned against those of the file.
pub fn in_memory(direction: PhaseEncoding, header: &Header) -> Result<PhaseEncoding, DistortionError> {
    let unknown = || DistortionError::Direction { text: direction.to_string() };
    let (axis, turned) = header.of_disk_axis(direction.axis()).ok_or_else(unknown)?;
    let is_it = |d: &PhaseEncoding| d.array_axis() == axis && d.is_negative() == (direction.is_negative() != turned);
    PhaseEncoding::ALL.into_iter().find(is_it).ok_or_else(unknown)
}

/// The readout time of an image of this shape.
pub fn readout(
    fields: &ReadoutFields,
    direction: PhaseEncoding,
    (nz, ny, nx): (usize, usize, usize),
) -> Result<Readout, DistortionError> {
    total_readout(fields, [nz, ny, nx][direction.array_axis()])
}

/// What is odd about a readout time, in words.
pub fn of_readout(readout: &Readout) -> Option<String> {
    match readout.source {
        ReadoutSource::EchoSpacingOfGrid { stated_s, stated_lines, grid_lines } => Some(format!(
            "the sidecar states {stated_lines:.0} lines along phase encoding (readout {stated_s:.4} s), the image has \
             {grid_lines}: taken for {:.4} s",
            readout.seconds
        )),
        ReadoutSource::EstimatedTotalReadoutTime => {
            Some("the readout time is EstimatedTotalReadoutTime, which is an estimate".to_owned())
        }
        _ => None,
    }
}

fn read(image: &FieldImage) -> Result<(Read, Fingerprint), FieldError> {
    // Named as in the dataset: what is written down must not depend on where that lies.
    let (path, relative) = (image.path.display().to_string(), image.relative.display().to_string());
    let found = nifti::read(&image.path).map_err(|e| FieldError::Image(e.to_string().replace(&path, &relative)))?;
    let affine = found.header.grid().affine;
    let mut data = found.data;
    // The mean of a few volumes, put together first; of a phase there is only one.
    let data = match data.len_of(Axis(0)) {
        1 => data.index_axis_move(Axis(0), 0),
        n => {
            data = data.slice_move(s![..n.min(VOLUMES), .., .., ..]);
            mean(data.view(), affine).unwrap_or_else(|| data.index_axis_move(Axis(0), 0))
        }
    };
    Ok((Read { header: found.header, data }, found.fingerprint))
}

fn mean(series: ArrayView4<'_, f32>, affine: Matrix4) -> Option<Array3<f32>> {
    let motion = estimate_motion(series, affine).ok()?;
    aligned_mean(series, affine, &motion, &motion.unaligned).ok()
}

/// Refuses images that do not lie on one grid.
fn together(one: &Read, other: &Read, image: &FieldImage) -> Result<(), FieldError> {
    let problem = if one.data.dim() != other.data.dim() {
        "it has other voxels than the phase or field it belongs to"
    } else if apart_mm(&one.header, &other.header) > SAME_MM {
        "it lies elsewhere than the phase or field it belongs to, by its header"
    } else {
        return Ok(());
    };
    Err(FieldError::Unfit { path: image.relative.clone(), problem: problem.to_owned() })
}

/// The largest distance between corners of two grids, mm.
#[expect(clippy::cast_precision_loss, reason = "an extent of an image")]
fn apart_mm(a: &Header, b: &Header) -> f64 {
    let [nz, ny, nx] = a.grid().shape.map(|n| n.saturating_sub(1) as f64);
    let corners = (0..8).map(|n| [nx * f64::from(n & 1), ny * f64::from(n >> 1 & 1), nz * f64::from(n >> 2)]);
    let distance = |p: [f64; 3]| {
        let (a, b) = (apply(&a.grid().affine, p), apply(&b.grid().affine, p));
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    };
    corners.map(distance).fold(0.0, f64::max)
}
