//! Figures: draws the pictures of the reports while the arrays are in memory, and says what was decided about the scan.

use super::{Facts, Stage, StageError, Work, brain};
use crate::bids::Modality;
use crate::derivatives::products::Products;
use crate::figures::{Run, Series, Volume, draw_bold, draw_t1w};
use nifti::Header;
use crate::run::event::StageName;

/// The stage.
pub struct MakeFigures;

impl Stage for MakeFigures {
    fn name(&self) -> StageName {
        StageName::Figures
    }

    fn run(&self, work: &mut Work<'_>, _: &mut Facts) -> Result<(), StageError> {
        let modality = work.modality();
        let products = work.products()?;
        let bias = products.bias.as_ref().ok_or(StageError::OutOfOrder { needs: "the bias field" })?;
        let grid = products.header.grid();
        let volume = Volume {
            image: products.reference(),
            mask: brain(products)?.mask.view(),
            field: bias.field.view(),
            cv: [bias.cv_before, bias.cv_after],
            voxel_mm: grid.voxel_mm,
            affine: grid.affine,
            sides_known: !products.header.orientation_missing(),
        };
        let mut figures = match modality {
            Modality::T1w => draw_t1w(&volume, products.peaks.clone())?,
            Modality::Bold => draw_bold(&volume, Run { series: products.image.view(), time: time(products)? })?,
        };
        figures.data.decisions = decisions(products)?;
        products.figures = Some(figures);
        Ok(())
    }
}

fn time(products: &Products) -> Result<Series, StageError> {
    let motion = products.motion.as_ref().ok_or(StageError::OutOfOrder { needs: "the motion estimate" })?;
    Ok(Series {
        volumes: products.header.volumes(),
        repetition_time: products.header.tr_seconds(),
        non_steady: motion.non_steady,
        unaligned: motion.unaligned.clone(),
        reference: motion.reference,
    })
}

/// What is known and was decided, in the words of the report.
fn decisions(products: &Products) -> Result<Vec<(String, String)>, StageError> {
    let mut found = of_header(&products.header);
    let mut add = |name: &str, value: String| found.push((name.to_owned(), value));
    if let Some(motion) = &products.motion {
        add("Volumes before the steady state", motion.non_steady.to_string());
        add("Volumes that could not be aligned", list(&motion.unaligned));
        add("Motion is relative to volume", motion.reference.to_string());
    }
    let brain = brain(products)?;
    let stripped = if brain.already_stripped { "; the image came without a skull" } else { "" };
    add("Brain mask", format!("{}{stripped}", brain.method));
    if let Some(bias) = &products.bias {
        let [sharpening, tissues] = bias.iterations;
        let rest = if bias.converged { "came to rest" } else { "still changing at the end" };
        add("Bias field", format!("{sharpening} iterations of sharpening, {tissues} with tissues; {rest}"));
    }
    if let Some(reference) = &products.intensity {
        let of = format!("{:.6} became {}, by {}", reference.value, reference.target, reference.method);
        add("Intensity", of);
    }
    if products.motion.is_none() && products.peaks.is_empty() {
        add("Tissues", "could not be told apart".into());
    }
    Ok(found)
}

fn of_header(header: &Header) -> Vec<(String, String)> {
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
