//! Brain extraction: the mask of brain tissue, ventricles, sulci and the fluid around them.
//!
//! A T1w head takes the mask of a template's brain, carried over by an affine map and a coarse warp (`brain_prior`): it ends
//! where brains end, also where the image shows no edge. How much scan and template look alike inside says whether to believe
//! it (`brain_belief`): what is no T1w head is refused, what is doubtful is said (`brain_doubt`). The edge follows the
//! template's references, which include the outer CSF. An EPI is masked by a surface (`brain_by_surface`).

use ndarray::{Array3, ArrayView3, CowArray, Ix3, Zip};

pub use crate::brain_belief::{Belief, Looks};
pub use crate::brain_doubt::{Doubt, Side};
pub use crate::brain_input::Background;
pub use crate::brain_types::{Brain, BrainError, Contrast, Method};

use crate::brain_belief::{DOUBTFUL, EPI_TRUSTED, TRUSTED, belief};
use crate::brain_by_surface::by_surface;
use crate::brain_doubt::{Findings, doubts, edge_percent, epi_doubts, outside_ml, sides_touched};
use crate::brain_input::{copy, range, stripped};
use crate::brain_prior::{Prior, carry_over, distance_below};
use crate::filter::par_count;
use crate::head_template::HeadTemplate;
use crate::metrics::dice;
use crate::registration::determinant;
use crate::registration::head::{HeadFit, find_head, refine_head};
use crate::registration::placed::voxel_size;
use crate::registration::tone::straightened;
use crate::rigid::Matrix4;

/// Smallest and largest brain in ml.
const VOLUME_ML: [f64; 2] = [300.0, 2500.0];
/// The mask ends at this distance in mm from the template's surface.
const THRESHOLD_MM: f32 = -1.0;
/// A body on a constant background that overlaps less with the carried brain (Dice) still has its head.
const LEAST_OVERLAP: f64 = 0.85;
/// Extent of a volume along each axis that shows enough of a head: of a T1w image, and of a run, which may be a slab.
const LEAST_MM: f64 = 40.0;
const LEAST_SLAB_MM: f64 = 30.0;
/// How far in mm from the template's surface an EPI's mask may reach, where the two look alike.
const EPI_OUTER_MM: f32 = 6.0;
/// What is darker than this share of the range is air.
const AIR: f32 = 0.12;
/// Where likeness is doubtful, a surface's mask is taken within these distances of the template's surface.
const BAND_MM: [f32; 2] = [-5.0, 3.0];

/// Finds the brain in a volume `[[k, j, i]]` of raw intensities, in RAS+ order; `to_world` maps voxels (i, j, k, 1) to RAS+
/// mm, and may be oblique or wrong by right angles.
///
/// Values may have any offset and scale, also negative; what is not finite counts as background. An image whose background
/// is one value (or none), and whose rest has the size of a brain, is taken as stripped already. The result is the same at
/// any number of threads.
///
/// # Errors
/// [`BrainError`] when the volume cannot hold a brain, there is no head, or it is none of the asked contrast.
pub fn extract_brain(
    image: ArrayView3<f32>,
    to_world: &Matrix4,
    contrast: Contrast,
    template: &HeadTemplate,
) -> Result<Brain, BrainError> {
    let shape = [image.dim().0, image.dim().1, image.dim().2];
    let [dx, dy, dz] = voxel_size(to_world);
    let voxel_mm = [dz, dy, dx];
    let least_mm = if contrast == Contrast::T1w { LEAST_MM } else { LEAST_SLAB_MM };
    let usable = |(&n, &d): (&usize, &f64)| n >= 4 && d.is_finite() && d > 0.05 && n as f64 * d > least_mm;
    if !shape.iter().zip(&voxel_mm).all(usable) {
        return Err(BrainError::Unusable { shape, voxel_mm });
    }
    let range = range(image).ok_or(BrainError::Constant)?;
    let scan = Scan { image, to_world, voxel_mm, shape, range };
    if let Some((mask, background)) = stripped(image, to_world) {
        return of_stripped(&scan, mask, background, contrast, template);
    }
    match contrast {
        Contrast::T1w => of_head(&scan, template),
        Contrast::Bold => of_epi(&scan, template),
    }
}

/// A scan and what was found of it at first sight.
struct Scan<'a> {
    image: ArrayView3<'a, f32>,
    to_world: &'a Matrix4,
    voxel_mm: [f64; 3],
    shape: [usize; 3],
    range: [f32; 2],
}

impl Scan<'_> {
    fn ml(&self, mask: &Array3<u8>) -> f64 {
        par_count(mask.view(), |&v| v != 0) as f64 * self.voxel_mm.iter().product::<f64>() / 1000.0
    }

    /// The image with what is not finite at the lower end of the range.
    fn finite(&self) -> CowArray<'_, f32, Ix3> {
        if par_count(self.image, |v| !v.is_finite()) == 0 {
            return self.image.into();
        }
        let [low, _] = self.range;
        self.image.mapv(|v| if v.is_finite() { v } else { low }).into()
    }

    fn checked(&self, mask: Array3<u8>, method: Method) -> Result<Brain, BrainError> {
        let volume_ml = self.ml(&mask);
        if !(VOLUME_ML[0]..=VOLUME_ML[1]).contains(&volume_ml) {
            return Err(BrainError::Volume { volume_ml });
        }
        Ok(Brain {
            mask,
            volume_ml,
            method,
            already_stripped: None,
            head: None,
            belief: None,
            overlap: None,
            threshold_mm: None,
            edge_percent: None,
            edge_fraction: None,
            tissue_threshold: None,
            doubts: Vec::new(),
        })
    }
}

/// The template carried over to a scan, and how much the two look alike.
fn compare(
    scan: &Scan,
    template: &HeadTemplate,
    contrast: Contrast,
    black: Option<&Array3<u8>>,
) -> Option<(HeadFit, Prior, Belief)> {
    let copy = match black {
        None => copy(scan.image, scan.to_world, scan.range),
        Some(mask) => {
            let [low, _] = scan.range;
            let cut = Zip::from(scan.image).and(mask).map_collect(|&v, &m| if m != 0 { v } else { low });
            copy(cut.view(), scan.to_world, scan.range)
        }
    };
    let head = find_head(template, &copy)?;
    // Only a T1w head is known to be bright where the template is.
    let straight = if contrast == Contrast::T1w { straightened(template, &copy, &head) } else { None };
    let head = straight.as_ref().and_then(|scan| refine_head(template, scan, &head)).unwrap_or(head);
    let prior = carry_over(template, &copy, straight.as_ref(), &head)?;
    let belief = belief(&prior)?;
    Some((head, prior, belief))
}

/// Whether the scan would be a T1w head if bright were dark, as in a T2w image: asked only of what is refused.
fn fits_inverted(scan: &Scan, template: &HeadTemplate) -> bool {
    let [low, high] = scan.range;
    // The air stays dark.
    let air = low + AIR * (high - low);
    let turned = scan.image.mapv(|v| if v > air { (high + air - v).max(low) } else { low });
    let turned = Scan { image: turned.view(), ..*scan };
    compare(&turned, template, Contrast::T1w, None).is_some_and(|(.., belief)| belief.local >= DOUBTFUL)
}

fn of_head(scan: &Scan, template: &HeadTemplate) -> Result<Brain, BrainError> {
    let (head, prior, belief) = compare(scan, template, Contrast::T1w, None).ok_or(BrainError::NoHead)?;
    if belief.local < DOUBTFUL {
        let looks = if fits_inverted(scan, template) { Looks::T2w } else { belief.looks() };
        return Err(BrainError::NotT1w { local: belief.local, looks });
    }
    let carried = |mm: f32| distance_below(&prior, scan.shape, scan.to_world, mm).ok_or(BrainError::NoHead);
    let mask = carried(THRESHOLD_MM)?;
    let surface = if belief.local < TRUSTED {
        let found = by_surface(scan.finite().view(), scan.voxel_mm, Contrast::T1w).ok();
        let [inner, outer] = [carried(THRESHOLD_MM + BAND_MM[0])?, carried(THRESHOLD_MM + BAND_MM[1])?];
        found.map(|mut found| {
            Zip::from(&mut found.mask).and(&inner).and(&outer).for_each(|m, &i, &o| *m = (*m & o) | i);
            found
        })
    } else {
        None
    };
    let disagreement = surface.as_ref().and_then(|found| disagreement(scan, &found.mask, &mask));
    let (mask, method) = match &surface {
        Some(found) => (found.mask.clone(), Method::SurfaceNearTemplate),
        None => (mask, Method::Template),
    };
    let mut brain = scan.checked(mask, method)?;
    let outside_ml = outside_ml(&prior, determinant(&head.matrix));
    let (volume_ml, edge_percent) = (brain.volume_ml, edge_percent(&prior));
    let sides = sides_touched(&brain.mask, scan.voxel_mm);
    let findings = Findings { prior: &prior, head: &head, belief: &belief, volume_ml, outside_ml, sides, edge_percent };
    brain.doubts = doubts(findings);
    brain.doubts.extend(disagreement);
    brain.threshold_mm = Some(f64::from(THRESHOLD_MM));
    brain.edge_percent = edge_percent;
    brain.edge_fraction = surface.as_ref().map(|s| s.edge_fraction);
    brain.tissue_threshold = surface.as_ref().map(|s| s.tissue_threshold);
    (brain.head, brain.belief) = (Some(head), Some(belief));
    Ok(brain)
}

/// A doubt where a surface's mask differs from the carried one by more than a tenth.
fn disagreement(scan: &Scan, surface: &Array3<u8>, carried: &Array3<u8>) -> Option<Doubt> {
    let ml = scan.voxel_mm.iter().product::<f64>() / 1000.0;
    let (mut extra, mut missing) = (0usize, 0usize);
    Zip::from(surface).and(carried).for_each(|&s, &c| {
        extra += usize::from(s & (1 - c));
        missing += usize::from(c & (1 - s));
    });
    let (extra_ml, missing_ml) = (extra as f64 * ml, missing as f64 * ml);
    (extra_ml + missing_ml > 0.1 * scan.ml(carried)).then_some(Doubt::Disagreement { extra_ml, missing_ml })
}

/// The mask of an image without a head is what is not background; the comparison only says what kind of image it is.
fn of_stripped(
    scan: &Scan,
    mask: Array3<u8>,
    background: Background,
    contrast: Contrast,
    template: &HeadTemplate,
) -> Result<Brain, BrainError> {
    let brain_only = template.stripped().ok();
    let found = brain_only.and_then(|t| compare(scan, &t, contrast, Some(&mask)));
    let mut brain = scan.checked(mask, Method::Background)?;
    brain.already_stripped = Some(background);
    let Some((head, prior, belief)) = found else {
        brain.doubts.push(Doubt::NotCompared);
        return Ok(brain);
    };
    let carried = distance_below(&prior, scan.shape, scan.to_world, 0.0);
    let overlap = carried.and_then(|carried| dice(carried.view(), brain.mask.view()));
    brain.overlap = overlap;
    if contrast == Contrast::T1w && overlap.is_some_and(|o| o < LEAST_OVERLAP) {
        return of_head(scan, template);
    }
    let Belief { local, .. } = belief;
    if contrast == Contrast::T1w && local < DOUBTFUL {
        return Err(BrainError::NotT1w { local, looks: belief.looks() });
    }
    if contrast == Contrast::T1w && local < TRUSTED {
        brain.doubts.push(Doubt::Likeness { local, looks: belief.looks() });
    }
    (brain.head, brain.belief) = (Some(head), Some(belief));
    Ok(brain)
}

/// A surface finds the brain of an EPI; a template with the contrast of an EPI says whether it is one, and keeps the mask near.
fn of_epi(scan: &Scan, template: &HeadTemplate) -> Result<Brain, BrainError> {
    let mut found = by_surface(scan.finite().view(), scan.voxel_mm, Contrast::Bold)?;
    let compared = template.echo_planar().ok().and_then(|t| compare(scan, &t, Contrast::Bold, None));
    let carried = |mm| compared.as_ref().and_then(|(_, p, _)| distance_below(p, scan.shape, scan.to_world, mm));
    let local = compared.as_ref().map(|(_, _, belief)| belief.local);
    let outer = carried(EPI_OUTER_MM).filter(|_| local.is_some_and(|l| l >= EPI_TRUSTED));
    if let Some(outer) = outer {
        found.mask &= &outer;
    }
    let mut brain = scan.checked(found.mask, Method::Surface)?;
    brain.edge_fraction = Some(found.edge_fraction);
    brain.tissue_threshold = Some(found.tissue_threshold);
    let (Some((head, prior, belief)), Some(carried)) = (&compared, carried(0.0)) else {
        brain.doubts.push(Doubt::NotCompared);
        return Ok(brain);
    };
    brain.overlap = dice(carried.view(), brain.mask.view());
    let outside_ml = outside_ml(prior, determinant(&head.matrix));
    let (local, sides) = (belief.local, sides_touched(&brain.mask, scan.voxel_mm));
    let disagreement = disagreement(scan, &brain.mask, &carried);
    brain.doubts = epi_doubts(local, head, brain.volume_ml, outside_ml, sides, disagreement);
    (brain.head, brain.belief) = (Some(*head), Some(*belief));
    Ok(brain)
}
