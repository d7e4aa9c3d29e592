//! Figures: draws the pictures of the reports while the arrays are in memory, and says what was decided about the scan.

use super::coregistration::OnAnatomy;
use super::distortion::Undone;
use super::intensity::ScaledVolume;
use super::native::ScaledSeries;
use super::resampling::Resampled;
use super::spaces::{self, InSpace};
use super::spatial_normalization::Registered;
use super::tissues::{Tissues, peaks};
use crate::templates::{Targets, TemplateTarget};
use crate::vocabulary::{Space, TemplateId};
use figures::{FigureError, Figures, OnTemplate, PictureKind, Run, Series, TemplateMosaic, TemplatePictures, Volume};
use figures::{draw_bold, draw_on_template, draw_t1w, draw_volume_ratio};
use imaging::bias::BiasField;
use imaging::brain::Brain;
use imaging::intensity::Reference;
use imaging::normalization::Normalization;
use imaging::rigid::apply;
use ndarray::{Array3, ArrayView3};
use nifti::{Grid, Header};

/// Draws a T1w image.
pub fn t1w(
    scaled: &ScaledVolume,
    brain: &Brain,
    tissues: Option<&Tissues>,
    (maps, in_templates): (&[Registered<'_>], &[Resampled]),
) -> Result<Figures, FigureError> {
    let peaks = tissues.map(peaks).unwrap_or_default();
    let labels = tissues.map(|tissues| tissues.found.labels.view());
    let untold = peaks.is_empty();
    let mut figures = draw_t1w(&volume(&scaled.header, scaled.image.view(), brain, &scaled.bias), peaks, labels)?;
    let mut decisions = Vec::new();
    decisions.extend(of_header(&scaled.header));
    decisions.extend(of_brain(brain));
    decisions.extend(of_correction(&scaled.bias, &scaled.reference));
    if untold {
        decisions.push(("Tissues".into(), "could not be told apart".into()));
    }
    for (by, Registered { template, map }) in maps.iter().enumerate() {
        decisions.extend(of_map(template, map));
        if let Some(there) = in_templates.iter().find(|there| there.by == by) {
            add_template(&mut figures, there, template, map)?;
        }
    }
    figures.data.decisions = decisions;
    Ok(figures)
}

/// Adds the scan, the template and how their volumes differ, in the same slices.
fn add_template(
    figures: &mut Figures,
    there: &Resampled,
    template: &TemplateTarget,
    map: &Normalization,
) -> Result<(), FigureError> {
    let grid = there.header.grid();
    // A grid of the template can be inverted; if not, there is the scan alone.
    let nothing = || (there.image.clone(), there.mask.clone());
    let (image, mask) = template.target.on_grid(there.image.dim(), &grid.affine).unwrap_or_else(nothing);
    let (pictures, mosaic) = draw_on_template(&OnTemplate {
        scan: there.image.view(),
        template: image.view(),
        mask: mask.view(),
        voxel_mm: grid.voxel_mm,
        affine: grid.affine,
    })?;
    let mut pictures = Vec::from(pictures);
    #[expect(clippy::cast_precision_loss, reason = "an extent of an image")]
    let ratio = |[k, j, i]: [usize; 3]| map.warp.forward.jacobian(apply(&grid.affine, [i, j, k].map(|v| v as f64)));
    pictures.push((PictureKind::Jacobian, draw_volume_ratio(mask.view(), grid.voxel_mm, ratio)?));
    figures.on_templates.push(pictures);
    figures.data.templates.push(TemplateMosaic { template: template.id.to_string(), mosaic });
    Ok(())
}

fn of_map(template: &TemplateTarget, map: &Normalization) -> Vec<Decision> {
    let (fit, report) = (&map.fit, &map.warp.report);
    let [before, after] = fit.likeness;
    let [least, most] = report.jacobian;
    let mut told = vec![
        (
            format!("Fit with {}", template.id),
            format!(
                "local correlation {before:.2} before the warp, {after:.2} after; brain masks overlap by {:.3}",
                fit.overlap
            ),
        ),
        (
            format!("Warp to {}", template.id),
            format!(
                "{} recipe; volumes change by {least:.2} to {most:.2}, {} folds, {:.3} mm off there and back; the brain has {:.2} \
                 times the template's volume",
                map.recipe.name(),
                report.folds,
                report.round_trip_mm[0],
                fit.volume_ratio
            ),
        ),
    ];
    told.extend(map.doubts.iter().map(|doubt| ("Doubt".to_owned(), doubt.to_string())));
    told
}

/// Draws a bold run: in its own space, on the T1w image it was laid onto, and on each template.
pub fn bold(
    scaled: &ScaledSeries,
    brain: &Brain,
    (on_anatomy, in_spaces, undone): (Option<&OnAnatomy<'_>>, &[InSpace], Option<&Undone>),
    targets: &Targets,
) -> Result<Figures, FigureError> {
    let motion = &scaled.fit.motion;
    let time = Series {
        volumes: scaled.header.volumes(),
        repetition_time: scaled.header.tr_seconds(),
        non_steady: motion.non_steady,
        unaligned: motion.unaligned.clone(),
        reference: motion.reference,
    };
    let tissues = on_anatomy.and_then(|there| there.labels(scaled, brain));
    let run = Run { series: scaled.series.view(), tissues: tissues.as_ref().map(|t| t.view()), time };
    let mut figures = draw_bold(&volume(&scaled.header, scaled.fit.mean.view(), brain, &scaled.fit.bias), run)?;
    let decisions = &mut figures.data.decisions;
    decisions.extend(of_header(&scaled.header));
    let slices = scaled.moment.map_or_else(
        || "taken as they come: not corrected".to_owned(),
        |moment| format!("all brought to {moment} s after a volume began"),
    );
    decisions.push(("Slices".into(), slices));
    decisions.push(("Volumes before the steady state".into(), motion.non_steady.to_string()));
    decisions.push(("Volumes that could not be aligned".into(), list(&motion.unaligned)));
    decisions.push(("Motion is relative to volume".into(), motion.reference.to_string()));
    decisions.extend(of_brain(brain));
    decisions.extend(of_correction(&scaled.fit.bias, &scaled.fit.reference));
    if let Some(there) = on_anatomy {
        decisions.extend(of_coregistration(there));
    }
    let around = on_anatomy.and_then(|there| {
        let (grid, places) = spaces::around_brain(&scaled.header.grid().affine, there)?;
        let (image, white) = spaces::anatomy_on(there.anatomy, &grid)?;
        Some((grid, places, image, white))
    });
    if let Some(Undone { means, .. }) = undone {
        let drawn = match &around {
            Some((grid, places, _, white)) => {
                draw_pair(means.each_ref().map(|mean| places.cubic(mean.view())), white.view(), grid)
            }
            None => draw_pair(means.clone(), brain.mask.view(), scaled.header.grid()),
        };
        let ([after, before], mosaic) = drawn?;
        figures.undistorted = Some([(PictureKind::Distorted, before.1), (PictureKind::Undistorted, after.1)]);
        figures.data.undistorted = Some(mosaic);
    }
    if let Some((grid, places, image, white)) = &around {
        let mean = places.cubic(scaled.fit.mean.view());
        add(&mut figures, "T1w", (mean.view(), image.view(), white.view()), grid)?;
    }
    let mut drawn: Vec<&TemplateId> = Vec::new();
    for there in in_spaces {
        let Space::Template(id, _) = &there.space else { continue };
        let target = targets.iter().find(|target| target.id == *id).filter(|_| !drawn.contains(&id));
        let grid = there.header.grid();
        let on_grid = target.and_then(|target| target.target.on_grid(there.mean.dim(), &grid.affine));
        if let Some((image, _)) = on_grid {
            drawn.push(id);
            add(&mut figures, &id.to_string(), (there.mean.view(), image.view(), there.white.view()), grid)?;
        }
    }
    Ok(figures)
}

/// Draws a mean before and after something in the same slices.
fn draw_pair(
    [before, after]: [Array3<f32>; 2],
    outlined: ArrayView3<'_, u8>,
    grid: &Grid,
) -> Result<TemplatePictures, FigureError> {
    draw_on_template(&OnTemplate {
        scan: after.view(),
        template: before.view(),
        mask: outlined,
        voxel_mm: grid.voxel_mm,
        affine: grid.affine,
    })
}

/// Adds the pictures of a run and of what it was brought to, in the same slices.
fn add(
    figures: &mut Figures,
    name: &str,
    (scan, template, mask): (ArrayView3<'_, f32>, ArrayView3<'_, f32>, ArrayView3<'_, u8>),
    grid: &Grid,
) -> Result<(), FigureError> {
    let there = OnTemplate { scan, template, mask, voxel_mm: grid.voxel_mm, affine: grid.affine };
    let (pictures, mosaic) = draw_on_template(&there)?;
    figures.on_templates.push(pictures.into());
    figures.data.templates.push(TemplateMosaic { template: name.to_owned(), mosaic });
    Ok(())
}

fn of_coregistration(there: &OnAnatomy<'_>) -> Vec<Decision> {
    let found = &there.found;
    let start = if found.start_cost.is_finite() { format!("{:.2}", found.start_cost) } else { "no".to_owned() };
    let halves = found.halves_mm.map_or_else(String::new, |mm| format!("; back and front {mm:.1} mm apart"));
    let mut told = vec![(
        format!("Laid onto {}", there.source.id()),
        format!(
            "{}; cost {:.2} ({start} at the start), depth {:.2}, {:.0} % of the border of white matter in view{halves}",
            found.verdict,
            found.cost,
            found.depth,
            100.0 * found.share
        ),
    )];
    told.extend(found.cautions.iter().map(|caution| ("Doubt".to_owned(), caution.to_string())));
    told
}

fn volume<'a>(header: &Header, image: ArrayView3<'a, f32>, brain: &'a Brain, bias: &'a BiasField) -> Volume<'a> {
    let grid = header.grid();
    Volume {
        image,
        mask: brain.mask.view(),
        field: bias.field.view(),
        cv: [bias.cv_before, bias.cv_after],
        voxel_mm: grid.voxel_mm,
        affine: grid.affine,
        sides_known: !header.orientation_missing(),
    }
}

/// A decision in the words of the report: what it is about, what was decided.
type Decision = (String, String);

fn of_brain(brain: &Brain) -> Vec<Decision> {
    let stripped = if brain.already_stripped.is_some() { "; the image came without a skull" } else { "" };
    let mut told = vec![("Brain mask".into(), format!("{}{stripped}", brain.method.as_str()))];
    if let Some(belief) = brain.belief {
        told.push(("Likeness with the template".into(), format!("{:.2} (T1w heads have .65 to .97)", belief.local)));
    }
    told.extend(brain.doubts.iter().map(|doubt| ("Doubt".to_owned(), doubt.to_string())));
    told
}

fn of_correction(bias: &BiasField, reference: &Reference) -> [Decision; 2] {
    let [sharpening, tissues] = bias.iterations;
    let rest = if bias.converged { "converged" } else { "did not converge" };
    [
        ("Bias field".into(), format!("{sharpening} iterations of sharpening, {tissues} with tissues; {rest}")),
        ("Intensity".into(), format!("{:.6} became {}, by {}", reference.value, reference.target, reference.method)),
    ]
}

fn of_header(header: &Header) -> Vec<Decision> {
    let [nz, ny, nx] = header.grid().shape;
    let [dz, dy, dx] = header.grid().voxel_mm;
    let axes = header.disk_axes();
    let orientation = match header.form() {
        None => format!("the header has none: sides are unknown, the order of the voxels was taken for {axes}"),
        Some(form) => {
            let (qform, sform) = header.form_codes();
            let turned = if axes == "RAS" { "as on disk" } else { "in memory RAS, outputs as on disk" };
            format!("{axes} by the {} (codes: qform {qform}, sform {sform}); {turned}", form.as_str())
        }
    };
    let mut found = vec![
        (
            "Grid".to_owned(),
            format!("{nx} x {ny} x {nz} voxels of {dx:.3} x {dy:.3} x {dz:.3} mm, {}", header.dtype_name()),
        ),
        ("Orientation".to_owned(), orientation),
    ];
    if header.volumes() > 1 {
        found.push(("Volumes".to_owned(), header.volumes().to_string()));
        let tr = header.tr_seconds().map_or_else(|| "unknown".to_owned(), |tr| format!("{tr:.6} s"));
        found.push(("Repetition time".to_owned(), tr));
    }
    found
}

fn list(volumes: &[usize]) -> String {
    let all: Vec<String> = volumes.iter().map(usize::to_string).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nifti::Grid;

    #[test]
    fn what_the_header_says_is_told() {
        let affine = [[-2.0, 0.0, 0.0, 9.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let grid = Grid { shape: [10, 20, 30], voxel_mm: [3.0, 2.0, 2.0], affine };
        let told = of_header(&Header::new(grid, 40, Some(2.5)));
        let of = |name: &str| &told.iter().find(|(n, _)| n == name).unwrap().1;
        assert!(of("Grid").starts_with("30 x 20 x 10 voxels of 2.000 x 2.000 x 3.000 mm"), "{told:?}");
        assert!(of("Repetition time").starts_with("2.5") && of("Volumes") == "40", "{told:?}");
        assert_eq!((list(&[]), list(&[3, 5])), ("none".into(), "3, 5".into()));
    }
}
