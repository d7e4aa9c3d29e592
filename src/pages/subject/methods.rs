//! The text of methods for a paper, of what truly ran: from the sidecars and figures of the scans, not from defaults.

use crate::derivatives::measured::{Coregistered, Distortion, Normalized};
use figures::FigureData;
use serde_json::{Map, Value};

/// Key in the text, and the reference in full.
const REFERENCES: &[(&str, &str)] = &[
    (
        "Avants et al. 2008",
        "Avants BB, Epstein CL, Grossman M, Gee JC (2008). Symmetric diffeomorphic image registration with cross-correlation. Med Image Anal 12, 26–41. doi:10.1016/j.media.2007.06.004",
    ),
    (
        "Andersson et al. 2003",
        "Andersson JLR, Skare S, Ashburner J (2003). How to correct susceptibility distortions in spin-echo echo-planar images: application to diffusion tensor imaging. NeuroImage 20, 870–888. doi:10.1016/S1053-8119(03)00336-7",
    ),
    (
        "Brett et al. 2001",
        "Brett M, Leff AP, Rorden C, Ashburner J (2001). Spatial normalization of brain images with focal lesions using cost function masking. NeuroImage 14, 486–500. doi:10.1006/nimg.2001.0845",
    ),
    (
        "Dymerska et al. 2021",
        "Dymerska B, Eckstein K, Bachrata B, et al. (2021). Phase unwrapping with a rapid opensource minimum spanning tree algorithm (ROMEO). Magn Reson Med 85, 2294–2308. doi:10.1002/mrm.28563",
    ),
    (
        "Ruthotto et al. 2012",
        "Ruthotto L, Kugel H, Olesch J, et al. (2012). Diffeomorphic susceptibility artifact correction of diffusion-weighted magnetic resonance images. Phys Med Biol 57, 5715–5731. doi:10.1088/0031-9155/57/18/5715",
    ),
    (
        "Baker and Matthews 2004",
        "Baker S, Matthews I (2004). Lucas-Kanade 20 years on: a unifying framework. Int J Comput Vis 56, 221–255. doi:10.1023/B:VISI.0000011205.11775.fd",
    ),
    (
        "Behzadi et al. 2007",
        "Behzadi Y, Restom K, Liau J, Liu TT (2007). A component based noise correction method (CompCor) for BOLD and perfusion based fMRI. NeuroImage 37, 90–101. doi:10.1016/j.neuroimage.2007.04.042",
    ),
    (
        "Eilers and Marx 1996",
        "Eilers PHC, Marx BD (1996). Flexible smoothing with B-splines and penalties. Statist Sci 11, 89–121. doi:10.1214/ss/1038425655",
    ),
    (
        "Esteban et al. 2017",
        "Esteban O, Birman D, Schaer M, Koyejo OO, Poldrack RA, Gorgolewski KJ (2017). MRIQC: advancing the automatic prediction of image quality in MRI from unseen sites. PLoS ONE 12, e0184661. doi:10.1371/journal.pone.0184661",
    ),
    (
        "Friston et al. 1996",
        "Friston KJ, Williams S, Howard R, Frackowiak RSJ, Turner R (1996). Movement-related effects in fMRI time-series. Magn Reson Med 35, 346–355. doi:10.1002/mrm.1910350312",
    ),
    (
        "Holmes et al. 1998",
        "Holmes CJ, Hoge R, Collins L, Woods R, Toga AW, Evans AC (1998). Enhancement of MR images using registration for signal averaging. J Comput Assist Tomogr 22, 324–333. doi:10.1097/00004728-199803000-00032",
    ),
    ("Nichols 2013", "Nichols TE (2013). Notes on creating a standardized version of DVARS. arXiv:1704.01469"),
    (
        "Patriat et al. 2017",
        "Patriat R, Reynolds RC, Birn RM (2017). An improved model of motion-related signal changes in fMRI. NeuroImage 144, 74–82. doi:10.1016/j.neuroimage.2016.08.051",
    ),
    (
        "Posse et al. 1999",
        "Posse S, Wiese S, Gembris D, et al. (1999). Enhancement of BOLD-contrast sensitivity by single-shot multi-echo functional MR imaging. Magn Reson Med 42, 87–97. doi:10.1002/(SICI)1522-2594(199907)42:1<87::AID-MRM13>3.0.CO;2-O",
    ),
    (
        "Power et al. 2012",
        "Power JD, Barnes KA, Snyder AZ, Schlaggar BL, Petersen SE (2012). Spurious but systematic correlations in functional connectivity MRI networks arise from subject motion. NeuroImage 59, 2142–2154. doi:10.1016/j.neuroimage.2011.10.018",
    ),
    (
        "Satterthwaite et al. 2013",
        "Satterthwaite TD, Elliott MA, Gerraty RT, et al. (2013). An improved framework for confound regression and filtering for control of motion artifact in the preprocessing of resting-state functional connectivity data. NeuroImage 64, 240–256. doi:10.1016/j.neuroimage.2012.08.052",
    ),
    (
        "Shattuck et al. 2001",
        "Shattuck DW, Sandor-Leahy SR, Schaper KA, Rottenberg DA, Leahy RM (2001). Magnetic resonance image tissue classification using a partial volume model. NeuroImage 13, 856–876. doi:10.1006/nimg.2000.0730",
    ),
    (
        "Shinohara et al. 2014",
        "Shinohara RT, Sweeney EM, Goldsmith J, et al. (2014). Statistical normalization techniques for magnetic resonance imaging. NeuroImage Clin 6, 9–19. doi:10.1016/j.nicl.2014.08.008",
    ),
    (
        "Smith 2002",
        "Smith SM (2002). Fast robust automated brain extraction. Hum Brain Mapp 17, 143–155. doi:10.1002/hbm.10062",
    ),
    (
        "Tustison et al. 2010",
        "Tustison NJ, Avants BB, Cook PA, et al. (2010). N4ITK: improved N3 bias correction. IEEE Trans Med Imaging 29, 1310–1320. doi:10.1109/TMI.2010.2046908",
    ),
    (
        "Unser et al. 1993",
        "Unser M, Aldroubi A, Eden M (1993). B-spline signal processing: part I, theory. IEEE Trans Signal Process 41, 821–833. doi:10.1109/78.193220",
    ),
    (
        "Wells et al. 1996",
        "Wells WM, Grimson WEL, Kikinis R, Jolesz FA (1996). Adaptive segmentation of MRI data. IEEE Trans Med Imaging 15, 429–442. doi:10.1109/42.511747",
    ),
    (
        "Greve and Fischl 2009",
        "Greve DN, Fischl B (2009). Accurate and robust brain image alignment using boundary-based registration. NeuroImage 48, 63–72. doi:10.1016/j.neuroimage.2009.06.060",
    ),
    (
        "Zhang et al. 2001",
        "Zhang Y, Brady M, Smith S (2001). Segmentation of brain MR images through a hidden Markov random field model and the expectation-maximization algorithm. IEEE Trans Med Imaging 20, 45–57. doi:10.1109/42.906424",
    ),
];

/// What is known of how one scan was processed.
pub(super) struct Ran<'a> {
    /// `T1w` or `bold`.
    pub modality: &'a str,
    /// Sidecars of the image, the mask and the bias field.
    pub preproc: &'a Map<String, Value>,
    pub mask: &'a Map<String, Value>,
    pub bias: &'a Map<String, Value>,
    /// Sidecar of the tissue labels; empty without them.
    pub tissues: &'a Map<String, Value>,
    /// How the run was laid onto the T1w image.
    pub coregistration: Option<&'a Coregistered>,
    /// What is known of its distortion.
    pub distortion: Option<&'a Distortion>,
    /// How the brain was brought to the first template.
    pub normalized: Option<&'a Normalized>,
    /// `minimal` or `resampling`, where not everything was asked for.
    pub level: Option<&'a str>,
    pub figures: &'a FigureData,
}

/// What was done to one scan, as sentences.
pub(super) fn paragraph(ran: &Ran<'_>, version: &str) -> String {
    let mut text = if ran.modality == "bold" {
        format!(
            "BOLD runs were processed with neuro-preprocess {version}. {}{}",
            motion(ran.figures),
            of_time(ran.preproc)
        )
    } else {
        format!("T1w images were processed with neuro-preprocess {version}. ")
    };
    let of = if ran.modality == "bold" { "mean volume" } else { "image" };
    text.push_str(&match ran.mask.get("Method").and_then(Value::as_str) {
        Some(method @ ("template" | "surface near template")) => {
            let likeness = ran.mask.get("TemplateLikeness").and_then(Value::as_f64);
            let alike = likeness.map(|r| format!(" (mean local correlation in the brain {r:.2})")).unwrap_or_default();
            let surface = if method == "template" {
                ""
            } else {
                ", near which a deformable surface (Smith 2002) and the tissue under it took the edge (after Shattuck et al. 2001)"
            };
            format!(
                "A brain mask was carried over from a template head, made of Colin27 (Holmes et al. 1998) and six public heads, by \
                 an affine map and a smooth warp that maximises local correlation (Avants et al. 2008){alike}{surface}. "
            )
        }
        Some("surface and tissue") => format!(
            "A brain mask was found on the {of} by a deformable surface (Smith 2002) whose edge was then moved to that of \
             the tissue at full resolution (after Shattuck et al. 2001). "
        ),
        Some(_) => format!("The {of} had been stripped of its skull; what is not background is the brain mask. "),
        None => String::new(),
    });
    text.push_str(&bias(ran));
    text.push_str(&intensity(ran));
    text.push_str(&templates(ran));
    if !ran.tissues.is_empty() {
        text.push_str(
            "Grey matter, white matter and cerebrospinal fluid were told apart in the mask by a hidden Markov random field of \
             Gaussian classes (Zhang et al. 2001), and their shares in each voxel estimated with classes for voxels of two \
             tissues (Shattuck et al. 2001). ",
        );
    }
    if ran.figures.templates.is_empty() || ran.level == Some(MINIMAL) {
        text.push_str("Nothing was resampled to another space. ");
    }
    if ran.modality == "bold" {
        text.push_str(&undistorted(ran.distortion));
    }
    if ran.modality != "bold" {
        return text + "Quality measures follow MRIQC (Esteban et al. 2017).";
    }
    text.push_str(
        "Framewise displacement and DVARS follow Power et al. \
         2012, standardised DVARS Nichols 2013, other quality measures MRIQC (Esteban et al. 2017).",
    );
    if ran.level.is_none() {
        text.push_str(
            " The confounds table also has the \
             squares and changes of its parameters and signals (Satterthwaite et al. 2013), cosines with periods of 128 s and more, and \
             components (Behzadi et al. 2007) of the most variable voxels, of white matter and cerebrospinal fluid where the T1w image \
             shows them, and of the brain's edge (Patriat et al. 2017).",
        );
    }
    text
}

/// The level at which nothing is resampled.
const MINIMAL: &str = "minimal";

fn motion(figures: &FigureData) -> String {
    let Some(series) = &figures.series else { return String::new() };
    let tr = series
        .repetition_time
        .map(|tr| format!(", repetition time {} s", (tr * 1e6).round() / 1e6))
        .unwrap_or_default();
    let steady = match series.non_steady {
        0 => "all of which were in the steady state".to_owned(),
        1 => "of which the first, before the steady state, was not used for the mean".to_owned(),
        n => format!("of which the first {n}, before the steady state, were not used for the mean"),
    };
    format!(
        "Each of the {} volumes{tr}, {steady}, was aligned with the mean of the steadiest ones by Gauss–Newton least squares in \
         the inverse compositional form (Baker and Matthews 2004), allowing for smooth changes of brightness (Friston et al. \
         1996), and resampled once with cubic B-splines (Unser et al. 1993). ",
        series.volumes
    )
}

/// What was done about distortion.
fn undistorted(told: Option<&Distortion>) -> String {
    let Some(told) = told.filter(|told| told.corrected) else {
        return "Susceptibility distortion was not corrected. ".to_owned();
    };
    let field = match told.kind.as_deref() {
        Some("phase difference" | "two phases") => {
            "measured by the phases of two gradient echoes, unwrapped by region growing (after Dymerska et al. 2021) and made smooth \
             by a weighted B-spline"
        }
        Some("fieldmap") => "measured, and made smooth by a weighted B-spline",
        _ => {
            "estimated from two images of opposite phase encoding as a B-spline, with the motion of the head between them (after \
             Andersson et al. 2003 and Ruthotto et al. 2012)"
        }
    };
    format!(
        "Susceptibility distortion was corrected with a field that was {field}; signal was put back along phase encoding and \
         multiplied by the Jacobian, in the same interpolation as all else. "
    )
}

/// What was done about slices and echoes, from the sidecar of the series.
fn of_time(preproc: &Map<String, Value>) -> String {
    let mut text = match preproc.get("SliceTimingCorrected").and_then(Value::as_bool) {
        Some(true) => format!(
            "Slices were brought to one moment, {} s after a volume began, by windowed sinc interpolation in time. ",
            preproc.get("StartTime").and_then(Value::as_f64).unwrap_or_default()
        ),
        _ => "Slice timing was not corrected. ".to_owned(),
    };
    let times = preproc.get("EchoTimes").and_then(Value::as_array);
    let times: Vec<String> =
        times.into_iter().flatten().filter_map(Value::as_f64).map(|s| format!("{:.1}", s * 1000.0)).collect();
    if !times.is_empty() {
        text.push_str(&format!(
            "Motion was estimated in the shortest echo. T2* was fitted to the logarithms of the echoes at {} ms, and they were \
             combined with weights from T2* (Posse et al. 1999). ",
            times.join(", ")
        ));
    }
    text
}

fn bias(ran: &Ran<'_>) -> String {
    let iterations: Vec<u64> =
        ran.bias.get("Iterations").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_u64).collect();
    let [sharpening, tissues] = iterations[..] else { return String::new() };
    let then = if tissues > 0 {
        format!(" and then {tissues} iterations with the expectation of three tissue classes (Wells et al. 1996)")
    } else {
        String::new()
    };
    format!(
        "Intensity non-uniformity was estimated in the mask as a penalised cubic B-spline (Eilers and Marx 1996), with \
         {sharpening} iterations of the histogram sharpening of N4 (Tustison et al. 2010){then}, and divided out. "
    )
}

fn intensity(ran: &Ran<'_>) -> String {
    let target = ran.preproc.get("IntensityTarget").and_then(Value::as_f64);
    let Some(target) = target else { return String::new() };
    match ran.preproc.get("IntensityMethod").and_then(Value::as_str) {
        Some("white-matter-peak") => format!(
            "Intensities were scaled so that white matter, the brightest peak of the histogram in the mask (after Shinohara et \
             al. 2014), is {target}. "
        ),
        Some("white-matter-quantile") => format!(
            "Intensities were scaled so that the 75 % quantile of the brain, taken as white matter, is {target}. "
        ),
        Some("grand-mean") => format!("Each run was scaled by one factor so that the mean of its brain is {target}. "),
        _ => String::new(),
    }
}

fn templates(ran: &Ran<'_>) -> String {
    let names = || ran.figures.templates.iter().map(|there| there.template.as_str());
    if ran.modality == "bold" {
        return spaces(names().collect(), ran);
    }
    let names: Vec<&str> = names().collect();
    if names.is_empty() {
        return String::new();
    }
    let lesion = match ran.normalized.and_then(|fit| fit.lesion_ml) {
        Some(ml) if ml > 0.0 => format!(", {ml:.1} ml of lesion left out of the comparison (Brett et al. 2001)"),
        _ => String::new(),
    };
    let fast = match ran.normalized {
        Some(fit) if fit.recipe == "fast" => ", in the faster of two recipes, which stops at twice the voxel size",
        _ => "",
    };
    let resampled = match ran.level {
        Some(MINIMAL) => "",
        _ => ", and what was made of the image was resampled there in one step",
    };
    format!(
        "The brain was registered to {} by an affine map and a symmetric diffeomorphic warp that maximises local correlation \
         (Avants et al. 2008){fast}{lesion}{resampled}. ",
        names.join(" and to ")
    )
}

/// What was done to bring a run to other spaces: the first is the T1w image it was laid onto.
fn spaces(names: Vec<&str>, ran: &Ran<'_>) -> String {
    let [_, templates @ ..] = names.as_slice() else { return String::new() };
    let through = match templates {
        [] => String::new(),
        names => format!(" and the warp of that image to {}", names.join(" and to ")),
    };
    let believed = match ran.coregistration {
        Some(laid) if !laid.accepted => {
            ", whose answer was not plausible, so that the position by the headers or the centres of mass was kept"
        }
        _ => "",
    };
    let resampled = match ran.level {
        Some(MINIMAL) => String::new(),
        _ => format!(
            "In each output space the volumes as they were scanned were sampled once, by cubic B-splines, through the motion of the \
             head and this transform{through}, in one step. "
        ),
    };
    format!(
        "The mean volume was laid onto the T1w image by boundary-based registration with 6 degrees of freedom (Greve and Fischl \
         2009){believed}. {resampled}"
    )
}

/// The references that the text names, in full.
pub(super) fn references(text: &str) -> Vec<&'static str> {
    REFERENCES.iter().filter(|(key, _)| text.contains(key)).map(|(_, full)| *full).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn the_text_says_what_ran_and_names_its_sources() {
        let preproc = object(json!({ "IntensityTarget": 1000.0, "IntensityMethod": "white-matter-peak" }));
        let mask = object(json!({ "Method": "surface and tissue" }));
        let bias = object(json!({ "Iterations": [8, 12] }));
        let figures = FigureData::default();
        let tissues = object(json!({ "Method": "HMRF" }));
        let ran = Ran {
            modality: "T1w",
            preproc: &preproc,
            mask: &mask,
            bias: &bias,
            tissues: &tissues,
            coregistration: None,
            distortion: None,
            normalized: None,
            level: None,
            figures: &figures,
        };
        let text = paragraph(&ran, "9.9.9");
        for part in ["9.9.9", "8 iterations", "12 iterations", "is 1000.", "Smith 2002"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(references(&text).len(), 8, "{text}");
        assert!(!text.contains("Unser") && !text.contains("quantile"));

        let none = object(json!({ "Iterations": [40, 0] }));
        let quantile = object(json!({ "IntensityTarget": 1000.0, "IntensityMethod": "white-matter-quantile" }));
        let text = paragraph(&Ran { preproc: &quantile, bias: &none, ..ran }, "1");
        assert!(text.contains("75 % quantile") && !text.contains("tissue classes"), "{text}");
        assert!(text.contains("Nothing was resampled"), "{text}");

        let there = figures::TemplateMosaic { template: "MNI152NLin6Asym".into(), ..Default::default() };
        let figures = FigureData { templates: vec![there], ..FigureData::default() };
        let text = paragraph(&Ran { figures: &figures, ..ran }, "1");
        assert!(text.contains("registered to MNI152NLin6Asym by") && !text.contains("Nothing was"), "{text}");
        assert!(!text.contains("lesion"), "{text}");
        let fit: Normalized = serde_json::from_value(json!({
            "template": "MNI152NLin6Asym", "origin": "built-in", "recipe": "fast", "affine_correlation": 0.9, "volume_ratio": 0.9,
            "likeness_before": 0.5, "likeness": 0.8, "mask_overlap": 0.98, "jacobian_min": 0.3, "jacobian_max": 3.0, "folds": 0,
            "round_trip_mm": 0.02, "lesion_ml": 12.34, "doubts": [],
        }))
        .unwrap();
        let text = paragraph(&Ran { figures: &figures, normalized: Some(&fit), level: Some(MINIMAL), ..ran }, "1");
        assert!(text.contains("faster of two recipes") && text.contains("Nothing was resampled"), "{text}");
        let text = paragraph(&Ran { figures: &figures, normalized: Some(&fit), ..ran }, "1");
        assert!(
            text.contains("12.3 ml of lesion") && references(&text).iter().any(|full| full.starts_with("Brett")),
            "{text}"
        );
        assert!(references(&text).iter().any(|full| full.starts_with("Avants")), "{text}");
    }

    #[test]
    fn every_source_that_a_text_can_name_is_in_the_list() {
        let series = figures::Series { volumes: 9, repetition_time: Some(2.0), non_steady: 2, ..Default::default() };
        let figures = FigureData { series: Some(series), ..FigureData::default() };
        let (empty, mask) = (Map::new(), object(json!({ "Method": "surface and tissue" })));
        let ran = |modality| Ran {
            modality,
            preproc: &empty,
            mask: &mask,
            bias: &empty,
            tissues: &empty,
            coregistration: None,
            distortion: None,
            normalized: None,
            level: None,
            figures: &figures,
        };
        for modality in ["T1w", "bold"] {
            let text = paragraph(&ran(modality), "1");
            let years = text.split(|c: char| !c.is_ascii_digit()).filter(|w| w.len() == 4).count();
            assert_eq!(references(&text).len(), years, "{text}");
        }
        assert!(paragraph(&ran("bold"), "1").contains("repetition time 2 s, of which the first 2,"));
        let less = paragraph(&Ran { level: Some("resampling"), ..ran("bold") }, "1");
        assert!(paragraph(&ran("bold"), "1").contains("The confounds table") && !less.contains("confounds"), "{less}");
        let preproc = object(json!({ "SliceTimingCorrected": true, "StartTime": 0.75, "EchoTimes": [0.012, 0.0285] }));
        let text = paragraph(&Ran { preproc: &preproc, ..ran("bold") }, "1");
        assert!(text.contains("0.75 s after") && text.contains("at 12.0, 28.5 ms"), "{text}");
        assert!(references(&text).iter().any(|full| full.starts_with("Posse")));
    }
}
