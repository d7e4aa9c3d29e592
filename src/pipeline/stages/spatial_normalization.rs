//! Spatial normalisation: finds the map between the brain and each template, and says how far it is to be believed.

use super::intensity::ScaledVolume;
use super::lesions::{self, Lesion};
use crate::derivatives::measured::Normalized;
use crate::plan::ScanPlan;
use crate::step::{Found, StageError};
use crate::templates::{Origin, Targets, TemplateTarget};
use imaging::brain::Brain;
use imaging::normalization::{Normalization, NormalizationDoubt, normalize};
use imaging::registration::recipe::Recipe;

/// How far apart the nodes of the way back are at most where they are thinned out, mm.
const WAY_BACK_MM: f64 = 2.0;

/// The map between a scan and a template, as it is written and used.
pub struct Registered<'a> {
    /// The template.
    pub template: &'a TemplateTarget,
    /// Points there and back: over the whole field of view of the template, rounded as in its file, so that who reads the
    /// file computes the same.
    pub map: Normalization,
}

/// Brings the brain of a T1w image to the templates of the run.
pub fn t1w<'a>(
    scaled: &ScaledVolume,
    brain: &Brain,
    targets: &'a Targets,
    (plan, strict): (&ScanPlan, bool),
    found: &mut Found,
) -> Result<Vec<Registered<'a>>, StageError> {
    let lesion = lesions::t1w((plan, strict), scaled.header.grid(), brain, found)?;
    let recipe = if plan.wanted.fast { Recipe::fast() } else { Recipe::default_quality() };
    let one = |target| one(scaled, brain, lesion.as_ref(), (target, &recipe));
    let registered: Vec<_> = targets.iter().map(one).collect::<Result<_, _>>()?;
    // What was said of the mask need not be said again.
    let known = brain.head.map(|head| head.orientation);
    for Registered { template, map } in &registered {
        template.notes.iter().for_each(|note| found.note(note.clone()));
        let said = |doubt: &&NormalizationDoubt| !matches!(doubt, NormalizationDoubt::Turned(o) if known == Some(*o));
        map.doubts.iter().filter(said).for_each(|doubt| found.note(format!("{}: {doubt}", template.id)));
        if !map.tissues_known {
            found.note(format!(
                "{}: registered without tissue intensities, because the tissues could not be separated",
                template.id
            ));
        }
        let lesion_ml = lesion.as_ref().map(|lesion| lesion.ml);
        found.known.normalization.push(Normalized { lesion_ml, ..told(template, map) });
    }
    let least = |of: fn(&Normalized) -> f64| found.known.normalization.iter().map(of).reduce(f64::min);
    if let (Some(likeness), Some(overlap)) = (least(|n| n.likeness), least(|n| n.mask_overlap)) {
        let names: Vec<String> = registered.iter().map(|r| r.template.id.to_string()).collect();
        found.set("template", names.join(" "));
        found.set("normalization.likeness", likeness);
        found.set("normalization.mask_overlap", overlap);
    }
    if strict {
        let doubts = registered.iter().flat_map(|r| r.map.doubts.iter().map(|d| format!("{}: {d}", r.template.id)));
        let doubts: Vec<String> = doubts.collect();
        if !doubts.is_empty() {
            return Err(StageError::Strict { scan: plan.id.clone(), notes: doubts.join("; ") });
        }
    }
    Ok(registered)
}

fn one<'a>(
    scaled: &ScaledVolume,
    brain: &Brain,
    lesion: Option<&Lesion>,
    (template, recipe): (&'a TemplateTarget, &Recipe),
) -> Result<Registered<'a>, StageError> {
    let affine = scaled.header.grid().affine;
    let lesion = lesion.map(|lesion| lesion.mask.view());
    let mut map = normalize(&template.target, scaled.image.view(), brain.mask.view(), lesion, &affine, recipe)
        .map_err(|source| StageError::Registration { template: template.id.to_string(), source })?;
    // As far as the template is seen, because readers take what lies beyond a field for not moved.
    let [low, high] = template.extent;
    let warp = &mut map.warp;
    warp.forward = warp.forward.over(low, high, 1);
    // The way back is found on nodes of 1 mm (those of the fast recipe: 2 mm). Every second one makes it 0.07 mm off in the mean
    // in place of 0.02, and its file has an eighth of the size.
    let apart = warp.forward.affine[0][0].min(WAY_BACK_MM) / warp.inverse.affine[0][0];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 or 2")]
    let step = apart.round().max(1.0) as usize;
    warp.inverse = warp.inverse.over(low, high, step);
    [&mut warp.forward, &mut warp.inverse].into_iter().for_each(|field| itk::round(&mut field.vectors));
    warp.report.round_trip_mm = template.target.round_trip(warp);
    Ok(Registered { template, map })
}

fn told(template: &TemplateTarget, map: &Normalization) -> Normalized {
    let (fit, report) = (&map.fit, &map.warp.report);
    let origin = match &template.origin {
        Origin::BuiltIn => "built-in".to_owned(),
        Origin::Folder(folder) => folder.to_string_lossy().into_owned(),
    };
    Normalized {
        template: template.id.to_string(),
        origin,
        recipe: map.recipe.name().to_owned(),
        affine_correlation: fit.affine_correlation,
        volume_ratio: fit.volume_ratio,
        likeness_before: fit.likeness[0],
        likeness: fit.likeness[1],
        mask_overlap: fit.overlap,
        jacobian_min: report.jacobian[0],
        jacobian_max: report.jacobian[1],
        folds: report.folds,
        round_trip_mm: report.round_trip_mm[0],
        lesion_ml: None,
        doubts: map.doubts.iter().map(|doubt| doubt.kind().to_owned()).collect(),
    }
}
