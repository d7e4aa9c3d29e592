//! A scan's contrast straightened: its intensities in the template's terms.
//!
//! Registration by correlation ends elsewhere when a scan's contrast is bent, by a gamma curve, a filter of the scanner, or
//! bright fat. Once the head has been found roughly, the monotone map of the scan's values to the template's that fits best is
//! known: isotonic regression, by pooling adjacent violators (Ayer et al., Ann. Math. Statist. 26 (1955) 641–647).

use super::placed::{Placed, Sampler};
use crate::filter::quantiles;
use crate::head_template::{HeadTemplate, LEVELS_MM};
use crate::registration::head::HeadFit;
use crate::rigid::{apply, compose, invert_affine};

/// Bins of the scan's intensities, between these shares of its values around the brain.
const BINS: usize = 64;
const RANGE: [f64; 2] = [0.005, 0.995];
/// A map that spans less than this share of the template's range says that the two are not alike.
const LEAST_SPAN: f64 = 0.3;

/// The scan with its intensities mapped to those that the template shows there, on average, where the head was found; `None`
/// where the two do not rise together.
pub(crate) fn straightened(template: &HeadTemplate, scan: &Placed, head: &HeadFit) -> Option<Placed> {
    let coarse = scan.coarser(LEVELS_MM[1]);
    let map = compose(&invert_affine(&coarse.to_world)?, &head.matrix);
    let sampler = Sampler::new(coarse.voxels.view());
    let here = |(at, t): ([f64; 3], f32)| {
        let p = apply(&map, at).map(|v| v as f32);
        sampler.holds(p, 0.0).then(|| (sampler.clamped(p), t))
    };
    let pairs: Vec<(f32, f32)> = template.levels[1].values().filter_map(here).collect();
    let tone = Tone::fit(&pairs)?;
    let mut voxels = scan.voxels.clone();
    voxels.par_mapv_inplace(|v| tone.of(v));
    Some(Placed { voxels, to_world: scan.to_world })
}

/// A map of intensities that never falls, linear between the middles of equal bins from `low` to `high`.
#[derive(Clone, Debug, PartialEq)]
struct Tone {
    low: f64,
    high: f64,
    levels: [f64; BINS],
}

impl Tone {
    /// The map from `pairs` of scan and template; `None` where the scan is constant or the two do not rise together.
    fn fit(pairs: &[(f32, f32)]) -> Option<Self> {
        let mut values: Vec<f32> = pairs.iter().map(|p| p.0).collect();
        let [low, high] = quantiles(&mut values, RANGE)?.map(f64::from);
        if high <= low {
            return None;
        }
        let mut bins = [(0.0, 0.0); BINS];
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for &(v, t) in pairs {
            let share = (f64::from(v).clamp(low, high) - low) / (high - low);
            let bin = &mut bins[((share * BINS as f64) as usize).min(BINS - 1)];
            let t = f64::from(t);
            (bin.0, bin.1) = (bin.0 + t, bin.1 + 1.0);
            (least, most) = (least.min(t), most.max(t));
        }
        let levels = rising(&bins);
        (levels[BINS - 1] - levels[0] > LEAST_SPAN * (most - least)).then_some(Self { low, high, levels })
    }

    fn of(&self, v: f32) -> f32 {
        let share = (f64::from(v).clamp(self.low, self.high) - self.low) / (self.high - self.low);
        let at = (share * BINS as f64 - 0.5).clamp(0.0, (BINS - 1) as f64);
        let below = (at as usize).min(BINS - 2);
        let part = at - below as f64;
        ((1.0 - part) * self.levels[below] + part * self.levels[below + 1]) as f32
    }
}

/// The means of bins of (sum, count), pooled until none is below the one before. An empty bin has the mean of its neighbour.
fn rising(bins: &[(f64, f64); BINS]) -> [f64; BINS] {
    let mut blocks: Vec<(f64, f64, usize)> = Vec::with_capacity(BINS);
    for &(sum, count) in bins {
        let mut last = (sum, count, 1);
        while let Some(&(sum, count, bins)) = blocks.last() {
            if count > 0.0 && last.1 > 0.0 && sum / count <= last.0 / last.1 {
                break;
            }
            last = (sum + last.0, count + last.1, bins + last.2);
            blocks.pop();
        }
        blocks.push(last);
    }
    let mut levels = [0.0; BINS];
    let mut rest = levels.as_mut_slice();
    for (sum, count, bins) in blocks {
        let (block, after) = rest.split_at_mut(bins);
        block.fill(sum / count.max(1.0));
        rest = after;
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(curve: impl Fn(f32) -> f32) -> Vec<(f32, f32)> {
        (0..20_000)
            .map(|n| (n as f32 / 19_999.0, (n % 7) as f32 * 0.01))
            .map(|(t, noise)| (curve(t), t + noise))
            .collect()
    }

    #[test]
    fn a_bent_contrast_comes_out_straight() {
        for curve in [|t: f32| t * t, |t: f32| t.sqrt(), |t: f32| 500.0 * t * t * t - 20.0] {
            let tone = Tone::fit(&pairs(curve)).unwrap();
            for t in [0.3f32, 0.5, 0.7, 0.9] {
                let found = tone.of(curve(t));
                assert!((found - t - 0.03).abs() < 0.02, "{t}: {found}");
            }
            assert!(tone.levels.is_sorted());
            assert_eq!((tone.of(-1e9), tone.of(1e9)), (tone.levels[0] as f32, tone.levels[BINS - 1] as f32));
        }
    }

    #[test]
    fn what_does_not_rise_with_the_template_is_left_as_it_is() {
        assert_eq!(Tone::fit(&pairs(|t| 1.0 - t)), None);
        assert_eq!(Tone::fit(&pairs(|_| 4.0)), None);
        assert_eq!(Tone::fit(&[]), None);
    }

    #[test]
    fn bins_without_values_are_bridged() {
        let gap: Vec<_> = pairs(|t| t).into_iter().filter(|(v, _)| !(0.4..0.6).contains(v)).collect();
        let tone = Tone::fit(&gap).unwrap();
        assert!(tone.levels.is_sorted() && tone.of(0.2) < tone.of(0.5) && tone.of(0.5) < tone.of(0.8));
    }
}
