//! Save: writes the derivatives of the scan, whole or not at all.

use super::coregistration::OnAnatomy;
use super::distortion::Undone;
use super::echoes::Echoes;
use super::intensity::{ScaledVolume, step};
use super::native::ScaledSeries;
use super::resampling::Resampled;
use super::spaces::InSpace;
use super::spatial_normalization::Registered;
use super::tissues::Tissues;
use crate::derivatives::DerivativeError;
use crate::derivatives::measured::Confound;
use crate::derivatives::outputs::{Output, OutputKind};
use crate::derivatives::save::{Content, File, Saved, save};
use crate::derivatives::sidecar::{SidecarContext, Spatial, columns};
use crate::plan::ScanPlan;
use crate::step::Found;
use crate::templates::{Origin, TemplateTarget};
use crate::vocabulary::{OutputLevel, Resolution, Space};
use figures::Figures;
use imaging::brain::Brain;
use imaging::intensity::Reference;
use imaging::segmentation::Tissue;
use ndarray::{ArrayView4, Axis};
use nifti::{Header, Voxels};
use serde_json::Value;
use std::path::Path;

/// All that is made of a T1w image.
pub struct Anatomical<'a> {
    /// The corrected image.
    pub scaled: ScaledVolume,
    /// The brain.
    pub brain: Brain,
    /// Its tissues, where they can be told apart.
    pub tissues: Option<Tissues>,
    /// The maps between the brain and the templates.
    pub maps: Vec<Registered<'a>>,
    /// The scan on the grids of the templates.
    pub in_templates: Vec<Resampled>,
    /// Pictures for the reports.
    pub figures: Figures,
}

/// All that is made of a bold run.
pub struct Functional<'a> {
    /// The corrected series.
    pub scaled: ScaledSeries,
    /// The brain.
    pub brain: Brain,
    /// The field, where distortion was corrected.
    pub undone: Option<Undone>,
    /// The decay of a multi-echo run, and its echoes where they are wanted.
    pub echoes: Option<Echoes>,
    /// Where it lies on the T1w image, where there is one.
    pub on_anatomy: Option<OnAnatomy<'a>>,
    /// The run in other spaces.
    pub in_spaces: Vec<InSpace>,
    /// The columns of the confounds table.
    pub confounds: Vec<Confound>,
    /// Pictures for the reports.
    pub figures: Figures,
}

/// Writes what was made of a T1w image.
pub fn anatomical(
    root: &Path,
    plan: &ScanPlan,
    made: &Anatomical<'_>,
    found: &mut Found,
) -> Result<Saved, DerivativeError> {
    let sources = sources(plan);
    let cx = context(plan, &sources);
    let Anatomical { scaled, brain, tissues, maps, in_templates, figures } = made;
    let header = &scaled.header;
    let mut out = Outputs::of(plan);
    let image = fine(scaled.image.view().insert_axis(Axis(0)), &scaled.reference, found);
    out.add(OutputKind::Preproc, Content::Image(header, image), cx.preproc(brain, &scaled.reference, None));
    out.add_common(&cx, header, brain, &scaled.bias);
    if let Some(Tissues { found, shares }) = tissues {
        let labels = Voxels::Mask(found.labels.view());
        out.add(OutputKind::Segmentation, Content::Image(header, labels), cx.segmentation());
        out.add(OutputKind::LabelTable, Content::Bytes(LABEL_TABLE.as_bytes()), Value::Null);
        for tissue in Tissue::ALL {
            let map = Content::Map(header, Box::new(move || shares.map(tissue)));
            out.add(OutputKind::Probability(tissue), map, cx.probability(shares, tissue));
        }
    }
    for there in in_templates {
        let step = step(&scaled.reference);
        let space = Some(&there.space);
        let image = Voxels::Fine(there.image.view().insert_axis(Axis(0)), step);
        out.add_in(
            OutputKind::Preproc,
            space,
            Content::Image(&there.header, image),
            cx.preproc_in(&there.space, &scaled.reference),
        );
        let mask = Voxels::Mask(there.mask.view());
        out.add_in(OutputKind::BrainMask, space, Content::Image(&there.header, mask), cx.mask_in(&there.space));
        let Some((tissues, labels)) = tissues.as_ref().zip(there.labels.as_ref()) else { continue };
        let labels = Content::Image(&there.header, Voxels::Mask(labels.view()));
        out.add_in(OutputKind::Segmentation, space, labels, cx.tissues_in(&there.space));
        for tissue in Tissue::ALL {
            let by = &maps[there.by];
            let map = Content::Map(&there.header, Box::new(move || there.probability(tissues, tissue, by)));
            out.add_in(OutputKind::Probability(tissue), space, map, cx.tissues_in(&there.space));
        }
    }
    for Registered { template, map } in maps {
        let space = Space::Template(template.id.clone(), Resolution::Unsaid);
        let warp = &map.warp;
        let (forward, inverse) = (&warp.forward, &warp.inverse);
        let to_scan =
            vec![itk::StepView::Field(&forward.affine, forward.vectors.view()), itk::StepView::Affine(&warp.affine)];
        let to_template = vec![
            itk::StepView::Affine(&warp.inverse_affine),
            itk::StepView::Field(&inverse.affine, inverse.vectors.view()),
        ];
        let told = found.known.normalization.iter().find(|told| told.template == template.id.to_string());
        out.add_in(
            OutputKind::ToTemplate,
            Some(&space),
            Content::Transform(to_scan),
            cx.transform(template_sources(template), &map.recipe, told),
        );
        out.add_in(
            OutputKind::FromTemplate,
            Some(&space),
            Content::Transform(to_template),
            cx.transform(template_sources(template), &map.recipe, told),
        );
    }
    out.add_figures(figures);
    out.add_pictures(figures);
    out.save(root, scaled.image.len(), found)
}

/// Writes what was made of a bold run.
pub fn functional(
    root: &Path,
    plan: &ScanPlan,
    made: &Functional<'_>,
    found: &mut Found,
) -> Result<Saved, DerivativeError> {
    let sources = sources(plan);
    let points = made.undone.as_ref().map(|undone| undone.field.points());
    let mut out = Outputs::of(plan);
    let boldref = out.table.iter().find(|output| output.kind == OutputKind::BoldRef && output.space.is_none());
    let boldref = boldref.map(|output| output.path.clone());
    let t1w = made.on_anatomy.as_ref().and_then(|there| there.source.image());
    let spaces = Spatial { t1w, boldref: boldref.as_deref() };
    let distortion = found.known.distortion.clone();
    let cx = SidecarContext {
        moment: made.scaled.moment,
        distortion: distortion.as_ref(),
        spaces,
        ..context(plan, &sources)
    };
    let Functional {
        scaled: ScaledSeries { header, series: voxels, fit, .. },
        brain,
        undone,
        echoes,
        on_anatomy,
        in_spaces,
        confounds,
        figures,
    } = made;
    let reference = &fit.reference;
    if plan.wanted.level > OutputLevel::Minimal {
        let series = Content::Image(header, fine(voxels.view(), reference, found));
        out.add(OutputKind::Preproc, series, cx.preproc(brain, reference, header.tr_seconds()));
    }
    let mean = Content::Image(header, Voxels::Fine(fit.mean.view().insert_axis(Axis(0)), step(reference)));
    out.add(OutputKind::BoldRef, mean, cx.boldref(&fit.motion, reference));
    out.add_common(&cx, header, brain, &fit.bias);
    out.add(OutputKind::HeadMotion, Content::Affines(fit.motion.matrices.clone()), cx.head_motion(&fit.motion));
    if let Some(echoes) = echoes {
        let t2star = Voxels::Float(echoes.t2star.view().insert_axis(Axis(0)));
        out.add(OutputKind::T2Star, Content::Image(header, t2star), cx.t2star(None));
        let s0 = Voxels::Float(echoes.s0.view().insert_axis(Axis(0)));
        out.add(OutputKind::S0, Content::Image(header, s0), cx.s0());
        for (number, (series, echo)) in echoes.series.iter().zip(&plan.echoes).enumerate() {
            let sidecar = cx.echo(&sources[number], echo.seconds, header.tr_seconds());
            let series = Content::Image(header, Voxels::Fine(series.view(), step(reference)));
            out.add(OutputKind::Echo(number), series, sidecar);
        }
    }
    if let Some(undone) = undone {
        let told = found.known.distortion.as_ref();
        let hz = Voxels::Smooth(undone.hz.view().insert_axis(Axis(0)));
        out.add(OutputKind::Field, Content::Image(header, hz), cx.field(told));
        if let Some((header, points)) = &points {
            let points = Voxels::Smooth(points.view().insert_axis(Axis(0)));
            out.add(OutputKind::FieldCoefficients, Content::Image(header, points), cx.field_coefficients(told));
        }
        out.add(OutputKind::ToFieldmap, Content::Affines(vec![undone.moved]), cx.to_fieldmap());
        for (kind, jpeg) in figures.undistorted.iter().flatten() {
            out.add(OutputKind::Picture(*kind), Content::Bytes(jpeg), Value::Null);
        }
    }
    if let Some(there) = on_anatomy {
        let told = found.known.coregistration.as_ref();
        let map = Content::Affines(vec![there.found.transform]);
        out.add(OutputKind::Coregistration, map, cx.coregistration(told));
    }
    for there in in_spaces {
        let space = Some(&there.space);
        let sidecar = cx.bold_in(&there.space, reference, header.tr_seconds());
        out.add_in(OutputKind::Preproc, space, Content::Ready(&there.series), sidecar);
        let mean = Voxels::Fine(there.mean.view().insert_axis(Axis(0)), step(reference));
        out.add_in(OutputKind::BoldRef, space, Content::Image(&there.header, mean), cx.boldref_in(&there.space));
        let mask = Voxels::Mask(there.mask.view());
        out.add_in(OutputKind::BrainMask, space, Content::Image(&there.header, mask), cx.mask_in(&there.space));
        if let Some(t2star) = &there.t2star {
            let map = Voxels::Float(t2star.view().insert_axis(Axis(0)));
            out.add_in(OutputKind::T2Star, space, Content::Image(&there.header, map), cx.t2star(space));
        }
    }
    out.add(OutputKind::Confounds, Content::Table(confounds), columns(confounds));
    out.add_figures(figures);
    out.add_pictures(figures);
    out.save(root, voxels.len(), found)
}

/// An image in steps that are fine enough for its tissue, with a note where voxels far above it cost more than an int16.
fn fine<'a>(image: ArrayView4<'a, f32>, reference: &Reference, found: &mut Found) -> Voxels<'a> {
    let step = step(reference);
    let outliers = nifti::beyond(image, step);
    if outliers > 0 {
        let times = f64::from(step) * 32767.0 / reference.target;
        found.note(format!(
            "{outliers} voxels are more than {times:.0} times as bright as the reference tissue; the image is written as \
             float32, to keep the grey levels of the brain"
        ));
    }
    Voxels::Fine(image, step)
}

/// The files that a scan was read from, relative to the dataset.
fn sources(plan: &ScanPlan) -> Vec<String> {
    match plan.echoes.as_slice() {
        [] => vec![plan.relative.to_string_lossy().into_owned()],
        echoes => echoes.iter().map(|echo| echo.relative.to_string_lossy().into_owned()).collect(),
    }
}

fn context<'a>(plan: &'a ScanPlan, sources: &'a [String]) -> SidecarContext<'a> {
    SidecarContext {
        modality: plan.modality,
        moment: None,
        distortion: None,
        spaces: Spatial::default(),
        sources,
        metadata: &plan.metadata,
        entities: &plan.entities,
    }
}

/// The outputs of a scan by the table of outputs, and the files made for them so far.
struct Outputs<'a> {
    table: Vec<Output>,
    files: Vec<File<'a>>,
}

impl<'a> Outputs<'a> {
    fn of(plan: &ScanPlan) -> Self {
        Self { table: plan.outputs(), files: Vec::new() }
    }

    /// Makes a file of what the table has under this kind; what is not in the table of this scan is not written.
    fn add(&mut self, kind: OutputKind, content: Content<'a>, sidecar: Value) {
        self.add_in(kind, None, content, sidecar);
    }

    /// As [`Outputs::add`], in the space of a template.
    fn add_in(&mut self, kind: OutputKind, space: Option<&Space>, content: Content<'a>, sidecar: Value) {
        let is_it = |output: &&Output| output.kind == kind && output.space.as_ref() == space;
        if let Some(output) = self.table.iter().find(is_it).cloned() {
            self.files.push(File { output, content, sidecar });
        }
    }

    /// Mask and field, which every scan has.
    fn add_common(
        &mut self,
        cx: &SidecarContext<'_>,
        header: &'a Header,
        brain: &'a Brain,
        bias: &'a imaging::bias::BiasField,
    ) {
        self.add(OutputKind::BrainMask, Content::Image(header, Voxels::Mask(brain.mask.view())), cx.mask(brain));
        let field = Voxels::Smooth(bias.field.view().insert_axis(Axis(0)));
        self.add(OutputKind::BiasField, Content::Image(header, field), cx.bias(bias));
    }

    fn add_figures(&mut self, figures: &'a Figures) {
        self.add(OutputKind::FigureData, Content::Figures(&figures.data), Value::Null);
        for (kind, jpeg) in &figures.pictures {
            self.add(OutputKind::Picture(*kind), Content::Bytes(jpeg), Value::Null);
        }
    }

    /// Pictures in other spaces, by the names of these.
    fn add_pictures(&mut self, figures: &'a Figures) {
        for (there, pictures) in figures.data.templates.iter().zip(&figures.on_templates) {
            for (kind, jpeg) in pictures {
                let is_it = |space: &Space| space.to_string() == there.template;
                let pictured = |output: &&Output| output.kind == OutputKind::Picture(*kind);
                let space = self.table.iter().filter(pictured).find_map(|output| output.space.clone().filter(is_it));
                self.add_in(OutputKind::Picture(*kind), space.as_ref(), Content::Bytes(jpeg), Value::Null);
            }
        }
    }

    /// Writes all, and says how much it is.
    #[expect(clippy::cast_precision_loss, reason = "file sizes are far below 2^52")]
    fn save(self, root: &Path, voxels: usize, found: &mut Found) -> Result<Saved, DerivativeError> {
        let Self { table, mut files } = self;
        files.sort_by_key(|file| table.iter().position(|output| output.path == file.output.path));
        let saved = save(root, &files)?;
        let first = saved.files.first().map(|f| root.join(&f.path).to_string_lossy().into_owned());
        found.set("output.path", first.unwrap_or_default());
        found.set("output.size_mb", saved.bytes as f64 / 1e6);
        found.set("compression_ratio", voxels as f64 * 2.0 / saved.bytes.max(1) as f64);
        Ok(saved)
    }
}

/// The files a template was read from.
fn template_sources(template: &TemplateTarget) -> Vec<String> {
    let file = |source: &crate::templates::Source| format!("{} (XXH3 {})", source.path.display(), source.xxh3);
    match &template.origin {
        Origin::BuiltIn => vec![format!("{}, built into neuro-preprocess {}", template.id, env!("CARGO_PKG_VERSION"))],
        Origin::Folder(_) => template.sources.iter().map(file).collect(),
    }
}

/// The table that names the labels of a segmentation, as BIDS asks for it.
const LABEL_TABLE: &str = "index\tname\tabbreviation\n0\tBackground\tBG\n1\tGray Matter\tGM\n2\tWhite Matter\tWM\n\
                           3\tCerebrospinal Fluid\tCSF\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_the_numbers_and_names_of_bids() {
        let row = |t: &Tissue| format!("{}\t{}\t{}\n", t.label(), t.name(), t.abbreviation());
        let rows: String = Tissue::ALL.iter().map(row).collect();
        assert_eq!(LABEL_TABLE, format!("index\tname\tabbreviation\n0\tBackground\tBG\n{rows}"));
    }
}
