//! Pictures and small plain data for the reports: arrays in, encoded images out; no files, no pages.
//!
//! What is drawn: slices in three planes of the image as it came and as it was corrected, of the bias field and, for bold,
//! of signal over noise in time; the carpet of a bold run; a thumbnail. All pictures made of slices share one layout, so
//! that the outline of the brain, kept as an SVG path, lies on each of them. The bytes do not depend on threads.

mod contour;
mod data;
mod frame;
mod in_time;
mod on_template;
mod paint;

pub use data::{Bias, CarpetPart, FigureData, Histogram, Label, Mosaic, Series, TemplateMosaic, TissuePeak};
pub use on_template::{OnTemplate, RATIOS, TemplatePictures, draw_on_template, draw_volume_ratio};
pub use paint::{DIVERGING, SCALE};

use frame::{Frame, Plane};
use ndarray::{Array2, ArrayView3, ArrayView4};
use thiserror::Error;

/// Slices of each plane, and pixels across each.
const COLUMNS: usize = 7;
const SIDE: usize = 150;
/// Pixels across a thumbnail, and the most bytes it may have.
const THUMBNAIL: usize = 96;
const THUMBNAIL_BYTES: usize = 4000;
/// JPEG quality of anatomy; colours and carpets are smooth or noise, and need less.
const SHARP: u8 = 78;
const SOFT: u8 = 70;
/// Bins of the histogram, and about as many voxels as are counted.
const BINS: usize = 120;
const COUNTED: usize = 200_000;
/// Standard deviations that black and white of a carpet stand for.
const CARPET_WINDOW: [f32; 2] = [-2.5, 2.5];
/// The classes of a carpet's rows.
const CLASSES: [&str; 4] = ["GM", "WM", "CSF", "rest"];

/// A picture that could not be made.
#[derive(Debug, Error)]
pub enum FigureError {
    /// The picture has more pixels along a side than JPEG can have.
    #[error("a picture of {columns} x {rows} pixels is too large; this is a defect, please report it")]
    Size {
        /// Pixels down.
        rows: usize,
        /// Pixels across.
        columns: usize,
    },
    /// The encoder refused.
    #[error("a picture could not be encoded: {0}; this is a defect, please report it")]
    Encode(String),
}

/// The pictures a scan can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PictureKind {
    /// Slices before bias correction (for bold, of the mean of the aligned volumes).
    Input,
    /// Slices of the corrected image.
    Corrected,
    /// Slices of the bias field.
    BiasField,
    /// Slices of the corrected image with the borders of the tissues.
    Tissues,
    /// Slices of signal over noise in time.
    Tsnr,
    /// All time courses.
    Carpet,
    /// Slices of the scan in the space of a template.
    OnTemplate,
    /// The same slices of the template.
    Template,
    /// The same slices of how much larger or smaller each place of the scan is than in the template.
    Jacobian,
    /// Slices of the mean of a run before its distortion was corrected.
    Distorted,
    /// The same slices after it.
    Undistorted,
    /// One slice, small, with the outline of the brain.
    Thumbnail,
}

/// Pictures, as JPEG files, and what goes with them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// The pictures.
    pub pictures: Vec<(PictureKind, Vec<u8>)>,
    /// Pictures in the space of each template, in the order of [`FigureData::templates`].
    pub on_templates: Vec<Vec<(PictureKind, Vec<u8>)>>,
    /// A run before and after the correction of its distortion.
    pub undistorted: Option<[(PictureKind, Vec<u8>); 2]>,
    /// What is needed to read them.
    pub data: FigureData,
}

impl Figures {
    /// The JPEG file of a picture.
    #[must_use]
    pub fn picture(&self, kind: PictureKind) -> Option<&[u8]> {
        self.pictures.iter().find(|(k, _)| *k == kind).map(|(_, jpeg)| jpeg.as_slice())
    }
}

/// A corrected volume with what is needed to see how it was before. All arrays are `(nz, ny, nx)`, RAS+.
#[derive(Clone, Copy, Debug)]
pub struct Volume<'a> {
    /// The corrected image: the input divided by the field, times the scale.
    pub image: ArrayView3<'a, f32>,
    /// The brain.
    pub mask: ArrayView3<'a, u8>,
    /// The bias field.
    pub field: ArrayView3<'a, f32>,
    /// Standard deviation over mean of the brain before and after the field was divided out.
    pub cv: [f64; 2],
    /// Voxel sizes `[dz, dy, dx]` in mm.
    pub voxel_mm: [f64; 3],
    /// From voxel `(i, j, k)` to RAS mm.
    pub affine: [[f64; 4]; 4],
    /// Whether the header says which side is right.
    pub sides_known: bool,
}

/// An aligned, corrected series with its motion. The volume is its mean.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// `(nt, nz, ny, nx)`.
    pub series: ArrayView4<'a, f32>,
    /// The tissue of each voxel (1 grey matter, 2 white matter, 3 fluid, 4 none of them), where it is known: what the carpet is
    /// ordered by.
    pub tissues: Option<ArrayView3<'a, u8>>,
    /// What is known of its time.
    pub time: Series,
}

/// Draws everything of a T1w image; the peaks of its tissues are put into its histogram, and its labels (1 grey matter, 2 white
/// matter, 3 fluid, on the grid of the image) have a picture of their own.
///
/// # Errors
/// [`FigureError`], which would be a defect.
pub fn draw_t1w(
    volume: &Volume<'_>,
    tissues: Vec<TissuePeak>,
    labels: Option<ArrayView3<'_, u8>>,
) -> Result<Figures, FigureError> {
    let mut figures = draw(volume, tissues, None)?;
    if let Some(labels) = labels {
        figures.pictures.push((PictureKind::Tissues, draw_tissues(volume, labels)?));
    }
    Ok(figures)
}

/// The colours of the borders of white and of grey matter.
const BORDERS: [[u8; 3]; 2] = [[255, 80, 80], [80, 200, 255]];

/// The corrected image with the border of white matter, and that of grey and white matter together.
fn draw_tissues(volume: &Volume<'_>, labels: ArrayView3<'_, u8>) -> Result<Vec<u8>, FigureError> {
    let planes = [Plane::Axial, Plane::Coronal, Plane::Sagittal];
    let frame = Frame::new(volume.mask, volume.voxel_mm, &planes, COLUMNS, SIDE);
    let values = frame.draw(1, |at| volume.image[at]);
    let shown = frame.voxels(1);
    let of = |least: u8| shown.mapv(|at| at.is_some_and(|at| (least..=2).contains(&labels[at])));
    let (white, tissue) = (of(2), of(1));
    let window = paint::window(values.iter().step_by(7).filter(|v| !v.is_nan()), 0.005, 0.997);
    paint::edged(values.view(), window, &[(white.view(), BORDERS[0]), (tissue.view(), BORDERS[1])], SHARP)
}

/// Draws everything of a bold run.
///
/// # Errors
/// [`FigureError`], which would be a defect.
pub fn draw_bold(volume: &Volume<'_>, run: Run<'_>) -> Result<Figures, FigureError> {
    draw(volume, Vec::new(), Some(run))
}

fn draw(volume: &Volume<'_>, tissues: Vec<TissuePeak>, run: Option<Run<'_>>) -> Result<Figures, FigureError> {
    let planes = [Plane::Axial, Plane::Coronal, Plane::Sagittal];
    let frame = Frame::new(volume.mask, volume.voxel_mm, &planes, COLUMNS, SIDE);
    let in_mask = |voxels: Array2<Option<[usize; 3]>>| voxels.mapv(|at| at.is_some_and(|at| volume.mask[at] != 0));
    let half = frame.voxels(2);
    let inside = in_mask(half.clone());
    let shown = |values: &Array2<f32>, low: f64, high: f64| {
        let values = values.iter().zip(&inside).filter(|(_, m)| **m).map(|(v, _)| v);
        paint::window(values, low, high)
    };
    let before = || anatomy(&frame.draw(1, |at| volume.image[at] * volume.field[at]));
    let after = || anatomy(&frame.draw(1, |at| volume.image[at]));
    let bias = || {
        let field = frame.draw(2, |at| volume.field[at]);
        let window = shown(&field, 0.005, 0.995);
        Ok::<_, FigureError>((paint::coloured(field.view(), window, &SCALE, SOFT)?, window))
    };
    let over_time = || run.as_ref().map(|run| in_time_pictures(volume, run, &half, &shown)).transpose();
    let outline = || contour::outline(in_mask(frame.voxels(1)).view());
    // Each is mostly on one thread.
    let (((input, corrected), (bias, over_time)), (thumbnail, (outline, histogram))) = rayon::join(
        || rayon::join(|| rayon::join(before, after), || rayon::join(bias, over_time)),
        || rayon::join(|| thumbnail(volume), || rayon::join(outline, || histogram(volume, tissues))),
    );
    let (bias, bias_window) = bias?;
    let mut pictures = vec![
        (PictureKind::Input, input?),
        (PictureKind::Corrected, corrected?),
        (PictureKind::BiasField, bias),
        (PictureKind::Thumbnail, thumbnail?),
    ];
    let (mut tsnr_window, mut carpet) = (None, Vec::new());
    if let Some(found) = over_time? {
        tsnr_window = Some(found.window);
        carpet = found.parts;
        pictures.extend([(PictureKind::Tsnr, found.tsnr), (PictureKind::Carpet, found.carpet)]);
    }
    let mosaic = Mosaic {
        width: frame.width,
        height: frame.height,
        outline,
        labels: labels(&frame, volume),
        sides_known: volume.sides_known,
    };
    let data = FigureData {
        mosaic,
        histogram,
        bias: Bias { window: bias_window, cv_before: volume.cv[0], cv_after: volume.cv[1] },
        undistorted: None,
        templates: Vec::new(),
        tsnr_window,
        carpet,
        series: run.map(|run| run.time),
        decisions: Vec::new(),
    };
    Ok(Figures { pictures, on_templates: Vec::new(), undistorted: None, data })
}

fn anatomy(values: &Array2<f32>) -> Result<Vec<u8>, FigureError> {
    // Every seventh value is enough for the window.
    let window = paint::window(values.iter().step_by(7).filter(|v| !v.is_nan()), 0.005, 0.997);
    paint::grey(values.view(), window, SHARP)
}

struct InTime {
    tsnr: Vec<u8>,
    window: [f32; 2],
    carpet: Vec<u8>,
    parts: Vec<CarpetPart>,
}

fn in_time_pictures(
    volume: &Volume<'_>,
    run: &Run<'_>,
    voxels: &Array2<Option<[usize; 3]>>,
    shown: &impl Fn(&Array2<f32>, f64, f64) -> [f32; 2],
) -> Result<InTime, FigureError> {
    let steady = run.time.non_steady;
    let tsnr = in_time::signal_to_noise(run.series, steady, voxels);
    let window = [0.0, shown(&tsnr, 0.0, 0.98)[1]];
    let (carpet, parts) = in_time::carpet(run.series, volume.mask, run.tissues, volume.voxel_mm, steady);
    let part = |(class, rows): &(u8, usize)| {
        let name = CLASSES.get(usize::from(*class).wrapping_sub(1)).map(|name| (*name).to_owned())?;
        Some(CarpetPart { name, rows: *rows })
    };
    Ok(InTime {
        tsnr: paint::coloured(tsnr.view(), window, &SCALE, SOFT)?,
        window,
        carpet: paint::grey(carpet.view(), CARPET_WINDOW, SOFT)?,
        parts: parts.iter().filter_map(part).collect(),
    })
}

fn thumbnail(volume: &Volume<'_>) -> Result<Vec<u8>, FigureError> {
    let frame = Frame::new(volume.mask, volume.voxel_mm, &[Plane::Axial], 1, THUMBNAIL);
    let values = frame.draw(1, |at| volume.image[at]);
    let inside = frame.voxels(1).mapv(|at| at.is_some_and(|at| volume.mask[at] != 0));
    let window = paint::window(values.iter().filter(|v| !v.is_nan()), 0.005, 0.997);
    paint::outlined(values.view(), window, inside.view(), THUMBNAIL_BYTES)
}

/// The sides, and where each slice lies in mm of the scanner.
fn labels(frame: &Frame, volume: &Volume<'_>) -> Vec<Label> {
    let [left, right] = if volume.sides_known { ["L", "R"] } else { ["?", "?"] };
    let (nz, ny, nx) = volume.image.dim();
    let mut labels = Vec::new();
    for tile in &frame.tiles {
        let (axis, name) = match tile.plane {
            Plane::Axial => (2, "z"),
            Plane::Coronal => (1, "y"),
            Plane::Sagittal => (0, "x"),
        };
        // The middle of the slice, since oblique slices have no single place.
        let mut voxel = [nx as f64 / 2.0, ny as f64 / 2.0, nz as f64 / 2.0];
        voxel[axis] = tile.slice as f64;
        let mm = volume.affine[axis].iter().zip(voxel).map(|(a, v)| a * v).sum::<f64>() + volume.affine[axis][3];
        labels.push(Label {
            x: tile.x + 3,
            y: tile.y + tile.height - 4,
            text: format!("{name} {:.0}", mm.round() + 0.0),
        });
        let sides = if tile.plane == Plane::Sagittal { ["P", "A"] } else { [left, right] };
        for (x, side) in [(tile.x + 3, sides[0]), (tile.x + tile.width - 12, sides[1])] {
            labels.push(Label { x, y: tile.y + 13, text: side.to_owned() });
        }
    }
    labels
}

fn histogram(volume: &Volume<'_>, tissues: Vec<TissuePeak>) -> Histogram {
    let (_, ny, nx) = volume.image.dim();
    // A brain fills about an eighth of an image. A step without a common divisor with the rows meets every column.
    let step = (volume.image.len() / 8 / COUNTED..).find(|&step| coprime(step, nx)).unwrap_or(1);
    let voxels = (0..volume.image.len()).step_by(step).map(|at| [at / (ny * nx), at / nx % ny, at % nx]);
    let brain: Vec<(f32, f32)> = voxels
        .filter(|&at| volume.mask[at] != 0)
        .map(|at| (volume.image[at], volume.image[at] * volume.field[at]))
        .collect();
    let [_, bright] = paint::window(brain.iter().map(|(v, _)| v), 0.0, 0.998);
    let high = f64::from(bright) * 1.15;
    let count = |values: &mut dyn Iterator<Item = f32>| {
        let mut bins = vec![0; BINS];
        for v in values {
            let at = f64::from(v) / high * BINS as f64;
            if at >= 0.0
                && let Some(bin) = bins.get_mut(at as usize)
            {
                *bin += 1;
            }
        }
        bins
    };
    let before = count(&mut brain.iter().map(|(_, v)| *v));
    let after = count(&mut brain.iter().map(|(v, _)| *v));
    Histogram { high, before, after, tissues }
}

fn coprime(mut a: usize, mut b: usize) -> bool {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}

#[cfg(test)]
mod tests;
