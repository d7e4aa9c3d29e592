//! What the measures of quality mean, for data dictionaries: MRIQC's names, one sentence each, units where they have one.

use crate::derivatives::summary::ScanSummary;

/// Name, meaning, unit.
const MEASURES: &[(&str, &str, Option<&str>)] = &[
    ("cjv", "Coefficient of joint variation of white and grey matter; lower is better.", None),
    ("cnr", "Contrast of white and grey matter to noise; higher is better.", None),
    ("snr_csf", "Signal to noise within cerebrospinal fluid.", None),
    ("snr_gm", "Signal to noise within grey matter.", None),
    ("snr_wm", "Signal to noise within white matter.", None),
    ("snr_total", "Signal to noise, mean of the tissues.", None),
    ("snrd_csf", "Signal of cerebrospinal fluid to noise of the air (Dietrich 2007).", None),
    ("snrd_gm", "Signal of grey matter to noise of the air (Dietrich 2007).", None),
    ("snrd_wm", "Signal of white matter to noise of the air (Dietrich 2007).", None),
    ("snrd_total", "Signal to noise of the air (Dietrich 2007), mean of the tissues.", None),
    ("efc", "Entropy focus criterion, 0 to 1; higher with ghosts and blur.", None),
    ("fber", "Foreground to background energy ratio; higher is better.", None),
    ("fwhm_x", "Smoothness along x, full width at half maximum.", Some("mm")),
    ("fwhm_y", "Smoothness along y, full width at half maximum.", Some("mm")),
    ("fwhm_z", "Smoothness along z, full width at half maximum.", Some("mm")),
    ("fwhm_avg", "Smoothness, full width at half maximum, mean of the axes.", Some("mm")),
    ("qi_1", "Part of the air that is artefact (Mortamet 2009); lower is better.", None),
    ("air_tail", "99 % percentile of the air over its median; at most 2.58 for noise alone.", None),
    (
        "air_ghosts",
        "Air in line with the head along one axis over that along the others; about 1 without ghosts.",
        None,
    ),
    ("wm2max", "Median of white matter over the 99.95 % percentile of the image.", None),
    ("brain_ml", "Volume of the brain mask.", Some("ml")),
    ("tsnr", "Temporal signal to noise, median over the brain; higher is better.", None),
    ("dvars_nstd", "DVARS (Power 2012).", None),
    ("dvars_std", "Standardised DVARS (Nichols 2013).", None),
    ("fd_mean", "Framewise displacement (Power 2012), mean over the volumes.", Some("mm")),
    ("fd_max", "Framewise displacement (Power 2012), largest of the volumes.", Some("mm")),
    ("fd_perc", "Volumes with a framewise displacement above 0.2 mm.", Some("%")),
    ("rmsd_mean", "RMS deviation between volumes (Jenkinson 1999), mean.", Some("mm")),
    ("rmsd_max", "RMS deviation between volumes (Jenkinson 1999), largest.", Some("mm")),
    ("rmsd_perc", "Volumes with an RMS deviation above 0.2 mm.", Some("%")),
    ("gsr_x", "Ghost to signal ratio, phase encoded along x; near 0 is good.", None),
    ("gsr_y", "Ghost to signal ratio, phase encoded along y; near 0 is good.", None),
    ("aor", "Part of the brain's voxels that are outliers in a volume; lower is better.", None),
];

/// The measures that count in the score of each kind of scan; of those in one group the one that exists.
const SCORED: [(&str, [&[&str]; 4]); 2] = [
    ("T1w", [&["cjv"], &["cnr"], &["snr_wm"], &["air_tail"]]),
    ("bold", [&["rmsd_mean"], &["tsnr"], &["aor"], &["gsr_x", "gsr_y"]]),
];

/// `from 3 of 4 measures, without air_tail`, where the score of a scan is based on fewer than all; `None` for a full score
/// or none.
#[must_use]
pub fn partial_score(scan: &ScanSummary) -> Option<String> {
    scan.quality_score?;
    let (_, groups) = SCORED.iter().find(|(kind, _)| *kind == scan.modality)?;
    let measured = |group: &&&[&str]| group.iter().any(|name| scan.quality.contains_key(*name));
    let missing: Vec<&str> = groups.iter().filter(|group| !measured(group)).map(|group| group[0]).collect();
    let (all, left) = (groups.len(), groups.len() - missing.len());
    (!missing.is_empty()).then(|| format!("from {left} of {all} measures, without {}", missing.join(", ")))
}

/// The meaning and unit of a measure; derivatives of another version may have others.
#[must_use]
pub fn describe(measure: &str) -> (&'static str, Option<&'static str>) {
    let found = MEASURES.iter().find(|(name, ..)| *name == measure);
    found.map_or(("A measure of quality.", None), |(_, meaning, unit)| (meaning, *unit))
}

/// The place of a measure when they are listed: related ones stand together, unknown ones last.
#[must_use]
pub fn order(measure: &str) -> usize {
    MEASURES.iter().position(|(name, ..)| *name == measure).unwrap_or(MEASURES.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use imaging::confounds::Confounds;
    use imaging::quality_bold::{BoldQuality, bold_quality, bold_verdict};
    use imaging::quality_t1w::{T1wQuality, t1w_quality, t1w_verdict};
    use ndarray::{Array3, Array4};

    fn no_volumes() -> Confounds {
        Confounds {
            framewise_displacement: vec![],
            rmsd: vec![],
            dvars: vec![],
            std_dvars: vec![],
            global_signal: vec![],
        }
    }

    /// Measures of empty images have no values, but all their names.
    #[test]
    fn every_measure_is_described_and_nothing_else() {
        let (image, mask) = (Array3::<f32>::zeros((2, 2, 2)), Array3::<u8>::zeros((2, 2, 2)));
        let t1w = t1w_quality(image.view(), mask.view(), None, [1.0; 3]).named();
        let series = Array4::<f32>::zeros((2, 2, 2, 2));
        let bold = bold_quality(series.view(), mask.view(), &no_volumes(), 0).named();
        let mut measured: Vec<&str> = t1w.iter().chain(&bold).map(|(name, _)| *name).collect();
        let mut described: Vec<&str> = MEASURES.iter().map(|(name, ..)| *name).collect();
        measured.sort_unstable();
        described.sort_unstable();
        assert_eq!(described, measured);
    }

    /// Each measure of the table makes a score by itself.
    #[test]
    fn the_measures_of_a_score_are_those_that_imaging_grades() {
        let (image, mask) = (Array3::<f32>::zeros((2, 2, 2)), Array3::<u8>::zeros((2, 2, 2)));
        let none = || t1w_quality(image.view(), mask.view(), None, [1.0; 3]);
        let one = Some(1.0);
        let t1w = [
            ("cjv", T1wQuality { cjv: one, ..none() }),
            ("cnr", T1wQuality { cnr: one, ..none() }),
            ("snr_wm", T1wQuality { snr: [None, None, one], ..none() }),
            ("air_tail", T1wQuality { air_tail: one, ..none() }),
        ];
        for ((name, alone), group) in t1w.iter().zip(SCORED[0].1) {
            assert!(group == [*name] && t1w_verdict(alone).quality_score.is_some(), "{name}");
        }
        assert_eq!(t1w_verdict(&T1wQuality { efc: one, qi_1: one, ..none() }).quality_score, None);
        let series = Array4::<f32>::zeros((1, 2, 2, 2));
        let none = || bold_quality(series.view(), mask.view(), &no_volumes(), 0);
        let bold = [
            ("rmsd_mean", BoldQuality { rmsd_mean: one, ..none() }),
            ("tsnr", BoldQuality { tsnr: one, ..none() }),
            ("aor", BoldQuality { aor: one, ..none() }),
            ("gsr_x", BoldQuality { gsr_x: one, ..none() }),
        ];
        for ((name, alone), group) in bold.iter().zip(SCORED[1].1) {
            assert!(group[0] == *name && bold_verdict(alone).quality_score.is_some(), "{name}");
        }
        assert_eq!(bold_verdict(&BoldQuality { fd_mean: one, ..none() }).quality_score, None);
    }

    #[test]
    fn a_score_of_fewer_measures_says_so() {
        let scan = |quality: serde_json::Value| -> ScanSummary {
            serde_json::from_value(serde_json::json!({
                "scan_id": "a", "modality": "T1w", "status": "success", "seconds": 1.0, "stages": {}, "quality": quality,
                "quality_score": 80.0, "outputs": [], "notes": []
            }))
            .unwrap()
        };
        let all = serde_json::json!({ "cjv": 0.4, "cnr": 3.0, "snr_wm": 12.0, "air_tail": 3.0 });
        assert_eq!(partial_score(&scan(all)), None);
        let three = serde_json::json!({ "cjv": 0.4, "cnr": 3.0, "snr_wm": 12.0 });
        assert_eq!(partial_score(&scan(three)).unwrap(), "from 3 of 4 measures, without air_tail");
    }
}
