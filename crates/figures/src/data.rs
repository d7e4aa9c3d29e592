//! What goes with the pictures as plain data: layout, histogram, ranges, and what was decided about the scan.

use serde::{Deserialize, Serialize};

/// Everything the pictures of a scan need to be read, as it is stored beside them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FigureData {
    /// Size and overlay of all pictures made of slices.
    pub mosaic: Mosaic,
    /// The same of the pictures in the space of each template.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub templates: Vec<TemplateMosaic>,
    /// The same of the pictures before and after the correction of distortion; the outline is that of white matter.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub undistorted: Option<Mosaic>,
    /// Intensities in the brain.
    pub histogram: Histogram,
    /// The bias field.
    pub bias: Bias,
    /// Temporal signal to noise that the darkest and the brightest colour of its picture stand for; bold only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tsnr_window: Option<[f32; 2]>,
    /// The tissues that the rows of the carpet are of, from the top; none where they are not known.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub carpet: Vec<CarpetPart>,
    /// What a bold run is besides a volume.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub series: Option<Series>,
    /// What is known and was decided about the scan: name and value, for people.
    pub decisions: Vec<(String, String)>,
}

/// Rows of a carpet that are of one tissue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarpetPart {
    /// GM, WM, CSF or rest.
    pub name: String,
    /// How many.
    pub rows: usize,
}

/// The pictures in the space of a template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TemplateMosaic {
    /// The template.
    pub template: String,
    /// Size and overlay of both pictures; the outline is that of the template's brain.
    pub mosaic: Mosaic,
}

/// A picture made of slices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mosaic {
    /// Pixels across; pictures of half the resolution have half.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// The outline of the brain mask: the path of an SVG of that size.
    pub outline: String,
    /// What stands beside the slices.
    pub labels: Vec<Label>,
    /// Whether the header says which side is right; if not, sides and places are a guess.
    pub sides_known: bool,
}

/// A text on a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Pixels from the left.
    pub x: usize,
    /// Pixels from the top to the foot of the text.
    pub y: usize,
    /// The text: a side, or the place of the slice in mm of the scanner.
    pub text: String,
}

/// How often which intensity is found in the brain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// The intensity at the end of the last bin; the first begins at 0.
    pub high: f64,
    /// Voxels in each bin before the bias field was divided out, scaled as the corrected image is.
    pub before: Vec<u32>,
    /// Voxels in each bin of the corrected image.
    pub after: Vec<u32>,
    /// The tissues of a T1w image, where they can be told apart.
    pub tissues: Vec<TissuePeak>,
}

/// Where one tissue is in the histogram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TissuePeak {
    /// BIDS' abbreviation: CSF, GM or WM.
    pub name: String,
    /// Mean intensity.
    pub mean: f64,
    /// Standard deviation.
    pub sd: f64,
    /// Voxels in the brain.
    pub voxels: usize,
}

/// The bias field in the brain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bias {
    /// Lowest and highest factor that is shown: the 0.5 % and 99.5 % quantiles in the brain.
    pub window: [f32; 2],
    /// Standard deviation over mean of the brain before.
    pub cv_before: f64,
    /// The same after.
    pub cv_after: f64,
}

/// A bold run in time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// How many volumes it has.
    pub volumes: usize,
    /// Seconds between them.
    pub repetition_time: Option<f64>,
    /// Volumes at the start before the steady state.
    pub non_steady: usize,
    /// Volumes that could not be aligned.
    pub unaligned: Vec<usize>,
    /// The volume that motion is relative to.
    pub reference: usize,
}
