//! From values to encoded pictures: grey or in colours, as JPEG.

use super::FigureError;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use ndarray::{Array2, ArrayView2};

/// Points of the colour scale viridis (S. van der Walt and N. Smith, 2015, CC0), evenly from low to high: readable by the
/// colour blind, and by everybody in grey.
pub const SCALE: [[u8; 3]; 9] = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
];

/// Points of a scale with a middle: blue below it, red above.
pub const DIVERGING: [[u8; 3]; 5] = [[24, 72, 190], [116, 164, 236], [244, 244, 244], [238, 128, 104], [188, 20, 36]];

/// The colour of a mask's outline where it is drawn into the picture.
const OUTLINE: [u8; 3] = [255, 120, 60];

/// The `low` and `high` quantiles of the finite values: what black and white stand for. `[0, 1]` without any.
pub(super) fn window<'v>(values: impl Iterator<Item = &'v f32>, low: f64, high: f64) -> [f32; 2] {
    let mut values: Vec<f32> = values.copied().collect();
    let [low, high] = imaging::filter::quantiles(&mut values, [low, high]).unwrap_or([0.0, 1.0]);
    if low < high { [low, high] } else { [low, low + 1.0] }
}

/// The values as bytes, `low` and below as 0, `high` and above as 255; NaN as 0.
fn bytes(values: ArrayView2<f32>, [low, high]: [f32; 2]) -> Array2<u8> {
    let scale = 255.0 / (high - low);
    values.mapv(|v| ((v - low) * scale + 0.5) as u8)
}

/// A grey picture.
pub(super) fn grey(values: ArrayView2<f32>, window: [f32; 2], quality: u8) -> Result<Vec<u8>, FigureError> {
    let pixels = bytes(values, window);
    encode(pixels.as_slice().unwrap_or_default(), values.dim(), ColorType::Luma, quality)
}

/// A picture in the colours of a scale; NaN is black.
pub(super) fn coloured(
    values: ArrayView2<f32>,
    window: [f32; 2],
    scale: &[[u8; 3]],
    quality: u8,
) -> Result<Vec<u8>, FigureError> {
    let levels = bytes(values, window);
    let pixel = |(&level, v): (&u8, &f32)| if v.is_nan() { [0; 3] } else { colour(level, scale) };
    let pixels = levels.iter().zip(values).flat_map(pixel);
    encode(&pixels.collect::<Vec<u8>>(), values.dim(), ColorType::Rgb, quality)
}

/// Whether a pixel of `mask` has one beside it that is none of it.
fn is_edge(mask: ArrayView2<bool>, (y, x): (usize, usize)) -> bool {
    let beside = [(y.wrapping_sub(1), x), (y + 1, x), (y, x.wrapping_sub(1)), (y, x + 1)];
    mask[[y, x]] && beside.iter().any(|at| !mask.get(*at).copied().unwrap_or(false))
}

/// The colours of a grey picture with the edges of some masks in it, the first on top.
fn with_edges(values: ArrayView2<f32>, window: [f32; 2], masks: &[(ArrayView2<bool>, [u8; 3])]) -> Vec<u8> {
    let levels = bytes(values, window);
    let pixel = |(at, level): ((usize, usize), &u8)| {
        masks.iter().find(|(mask, _)| is_edge(*mask, at)).map_or([*level; 3], |(_, colour)| *colour)
    };
    levels.indexed_iter().flat_map(pixel).collect()
}

/// A grey picture in which each of some masks has its edge in a colour.
pub(super) fn edged(
    values: ArrayView2<f32>,
    window: [f32; 2],
    masks: &[(ArrayView2<bool>, [u8; 3])],
    quality: u8,
) -> Result<Vec<u8>, FigureError> {
    encode(&with_edges(values, window, masks), values.dim(), ColorType::Rgb, quality)
}

/// A grey picture with the outline of `mask` in it, at the best quality that fits into `most` bytes.
pub(super) fn outlined(
    values: ArrayView2<f32>,
    window: [f32; 2],
    mask: ArrayView2<bool>,
    most: usize,
) -> Result<Vec<u8>, FigureError> {
    let pixels = with_edges(values, window, &[(mask, OUTLINE)]);
    let mut found = Vec::new();
    for quality in [80, 65, 50, 35, 20] {
        found = encode(&pixels, values.dim(), ColorType::Rgb, quality)?;
        if found.len() <= most {
            break;
        }
    }
    Ok(found)
}

fn colour(level: u8, scale: &[[u8; 3]]) -> [u8; 3] {
    let place = f32::from(level) / 255.0 * (scale.len() - 1) as f32;
    let low = (place as usize).min(scale.len() - 2);
    let part = place - low as f32;
    std::array::from_fn(|c| {
        let (from, to) = (f32::from(scale[low][c]), f32::from(scale[low + 1][c]));
        (from + part * (to - from) + 0.5) as u8
    })
}

fn encode(
    pixels: &[u8],
    (rows, columns): (usize, usize),
    kind: ColorType,
    quality: u8,
) -> Result<Vec<u8>, FigureError> {
    let size = |n: usize| u16::try_from(n).map_err(|_| FigureError::Size { rows, columns });
    let mut jpeg = Vec::with_capacity(pixels.len() / 6);
    let mut encoder = Encoder::new(&mut jpeg, quality);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder.encode(pixels, size(columns)?, size(rows)?, kind).map_err(|e| FigureError::Encode(e.to_string()))?;
    Ok(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_levels_and_colours() {
        let values = ndarray::arr2(&[[-1.0, 0.0, 5.0], [10.0, 99.0, f32::NAN]]);
        assert_eq!(bytes(values.view(), [0.0, 10.0]), ndarray::arr2(&[[0, 0, 128], [255, 255, 0]]));
        assert_eq!((colour(0, &SCALE), colour(255, &SCALE)), (SCALE[0], SCALE[8]));
        assert_eq!(window([3.0_f32].iter(), 0.0, 1.0), [3.0, 4.0]);
        assert_eq!(window([].iter(), 0.0, 1.0), [0.0, 1.0]);
    }

    #[test]
    fn a_thumbnail_keeps_to_its_size() {
        let noise = Array2::from_shape_fn((96, 96), |(y, x)| ((y * 7919 + x * 104_729) % 251) as f32);
        let mask = Array2::from_shape_fn((96, 96), |(y, x)| y > 20 && x > 20);
        let jpeg = outlined(noise.view(), [0.0, 250.0], mask.view(), 5000).unwrap();
        assert!(jpeg.len() <= 5000 && jpeg.starts_with(&[0xff, 0xd8]), "{}", jpeg.len());
    }
}
