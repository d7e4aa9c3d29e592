//! The echoes of a multi-echo run: their decay, and the one series that all later stages take for the run.

use super::intensity::Fit;
use super::motion_correct::{Motion, averaged};
use super::validate::{Series, check_signal};
use crate::derivatives::ledger::Input;
use crate::error::ErrorCode;
use crate::plan::ScanPlan;
use crate::step::{Found, StageError};
use crate::vocabulary::OutputLevel;
use imaging::bias::divide_by_field;
use imaging::brain::Brain;
use imaging::distortion::DistortionError;
use imaging::distortion::shift::{Shift, carried, undistort};
use imaging::echoes::{Decay, combine as combined, fit_decay, lit_volumes};
use ndarray::{Array3, Array4, ArrayView4, Zip};
use nifti::Header;
use std::path::Path;

/// The echoes of a multi-echo run besides the first, which must be of the same voxels and volumes; none for any other run.
pub fn read_others(
    plan: &ScanPlan,
    first: &Series,
    strict: bool,
    found: &mut Found,
) -> Result<Vec<Array4<f32>>, StageError> {
    let (Some(one), Some(Input::File(print))) = (plan.echoes.first(), found.known.input.clone()) else {
        return Ok(Vec::new());
    };
    let mut prints = vec![(one.relative.clone(), print)];
    let mut others = Vec::with_capacity(plan.echoes.len() - 1);
    for echo in &plan.echoes[1..] {
        let image = nifti::read(&echo.path)?;
        fits(&image.header, &first.header, [&echo.relative, &one.relative])?;
        let name = format!("echo {} of {}", echo.label, plan.id);
        check_signal(image.data.view(), &name)?;
        image.notes.iter().try_for_each(|note| found.odd(format!("{name}: {note}"), &plan.id, strict))?;
        let empty: Vec<usize> =
            (0..).zip(lit_volumes(image.data.view())).filter(|(_, lit)| !lit).map(|(t, _)| t).collect();
        if !empty.is_empty() {
            found.note(format!("volumes {empty:?} of {name} are empty; the other echoes are used instead"));
        }
        prints.push((echo.relative.clone(), image.fingerprint));
        others.push(image.data);
    }
    found.known.input = Some(Input::Echoes(prints));
    Ok(others)
}

/// Refuses an echo that is not on the grid of the first.
fn fits(header: &Header, first: &Header, [of, one]: [&Path; 2]) -> Result<(), StageError> {
    /// Two headers of one acquisition differ by rounding only.
    const SAME_MM: f64 = 0.01;
    let shape = |header: &Header| {
        let [nz, ny, nx] = header.grid().shape;
        format!("{nx}x{ny}x{nz} voxels, {} volumes", header.volumes())
    };
    let (a, b) = (&header.grid().affine, &first.grid().affine);
    let apart = a.iter().flatten().zip(b.iter().flatten()).any(|(a, b)| (a - b).abs() > SAME_MM);
    let differ = if shape(header) != shape(first) {
        format!("{} has {}, but {} has {}", of.display(), shape(header), one.display(), shape(first))
    } else if apart {
        format!("{} and {} lie in different places by their headers", of.display(), one.display())
    } else {
        return Ok(());
    };
    let message = format!("{differ}; all echoes of a run need the same voxels, place and number of volumes");
    Err(StageError::Invalid { code: ErrorCode::EchoesUnfit, message })
}

/// What is kept of the echoes besides their combination.
pub struct Echoes {
    /// T2*, s, `(nz, ny, nx)`; 0 outside the brain.
    pub t2star: Array3<f32>,
    /// The signal at echo time 0, likewise.
    pub s0: Array3<f32>,
    /// Each echo, `(nt, nz, ny, nx)`, the shortest first, where they are wanted.
    pub series: Vec<Array4<f32>>,
}

/// Combines the first echo with the others. The motion is that of the first; the mean that leads on is made anew.
pub fn combine(
    (first, others): (Series, Vec<Array4<f32>>),
    motion: Motion,
    brain: &Brain,
    plan: &ScanPlan,
    found: &mut Found,
) -> Result<(Series, Motion, Echoes), StageError> {
    let Series { header, voxels, moment } = first;
    let (affine, estimate) = (header.grid().affine, motion.estimate);
    let times: Vec<f64> = plan.echoes.iter().map(|echo| echo.seconds).collect();
    let views: Vec<ArrayView4<'_, f32>> = std::iter::once(&voxels).chain(&others).map(|echo| echo.view()).collect();
    let decay = fit_decay(&views, &times, affine, &estimate, brain.mask.view())?;
    told(&decay, brain, times.len(), found);
    let kept = (plan.wanted.echoes && plan.wanted.level > OutputLevel::Minimal).then(|| voxels.clone());
    let others_seen: Vec<ArrayView4<'_, f32>> = others.iter().map(|echo| echo.view()).collect();
    let voxels = combined(voxels, &others_seen, &decay, affine, &estimate)?;
    let series = kept.map_or_else(Vec::new, |first| std::iter::once(first).chain(others).collect());
    let Decay { t2star, s0, .. } = decay;
    let raw = Series { header, voxels, moment };
    let motion = averaged(&raw, estimate)?;
    Ok((raw, motion, Echoes { t2star, s0, series }))
}

#[expect(clippy::cast_precision_loss, reason = "a count of voxels")]
fn told(decay: &Decay, brain: &Brain, echoes: usize, found: &mut Found) {
    let inside = || brain.mask.iter().zip(&decay.t2star).zip(&decay.with_signal).filter(|((m, _), _)| **m > 0);
    let mut t2star: Vec<f32> = inside().map(|((_, t), _)| *t).collect();
    let all = inside().filter(|(_, n)| usize::from(**n) == echoes).count() as f64 / t2star.len().max(1) as f64;
    let middle = t2star.len() / 2;
    if middle > 0 {
        let (_, median, _) = t2star.select_nth_unstable_by(middle, f32::total_cmp);
        found.set("t2star_median_ms", f64::from(*median) * 1000.0);
    }
    found.set("echoes", echoes);
    found.set("echoes.all_share", all);
    if all < LEAST_SHARE {
        found.note(format!(
            "the last of {echoes} echoes has signal in only {:.0} % of the brain, and is not used in the rest",
            100.0 * all
        ));
    }
}

/// A note is written if all echoes have signal in less of the brain than this.
const LEAST_SHARE: f64 = 0.5;

impl Echoes {
    /// Puts the maps back where they belong; the series are when they are brought to the reference volume.
    pub fn undistort(&mut self, shift: &Shift) -> Result<(), DistortionError> {
        // The map is 0 beyond the brain, which must not count at its edge.
        let share = carried(self.t2star.mapv(|t| f32::from(u8::from(t > 0.0))).view(), shift)?;
        self.t2star = carried(self.t2star.view(), shift)?;
        let inside = |t: &mut f32, share: &f32| *t = if *share >= 0.5 { *t / share } else { 0.0 };
        Zip::from(&mut self.t2star).and(&share).for_each(inside);
        self.s0 = undistort(self.s0.view(), shift)?;
        Zip::from(&mut self.s0).and(&share).for_each(|s0, share| *s0 *= f32::from(u8::from(*share >= 0.5)));
        Ok(())
    }

    /// Brings the echoes to the reference volume, and all to the scale and the evenness of the run's own series.
    pub fn in_own_space(mut self, affine: imaging::rigid::Matrix4, fit: &Fit) -> Result<Self, StageError> {
        #[expect(clippy::cast_possible_truncation, reason = "voxels are f32")]
        let mut gain = Array3::from_elem(self.s0.dim(), fit.reference.scale as f32);
        divide_by_field(gain.view_mut(), fit.bias.field.view());
        for echo in &mut self.series {
            fit.undone(echo, &affine)?;
            for mut volume in echo.outer_iter_mut() {
                Zip::from(&mut volume).and(&gain).par_for_each(|v, gain| *v *= gain);
            }
        }
        self.s0 *= &gain;
        Ok(self)
    }
}
