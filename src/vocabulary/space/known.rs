//! The names of spaces that are known: the templates of TemplateFlow's archive, and what is refused with a reason.

/// A template of the human brain as a volume with a T1w image.
pub(super) struct Known {
    pub name: &'static str,
    /// How many cohorts it has, counted from 1; 0 where it has none.
    pub cohorts: u8,
}

const fn plain(name: &'static str) -> Known {
    Known { name, cohorts: 0 }
}

pub(super) const TEMPLATES: [Known; 18] = [
    plain("MNI152NLin2009cAsym"),
    plain("MNI152NLin6Asym"),
    plain("MNI152NLin2009cSym"),
    plain("MNI152NLin2009aAsym"),
    plain("MNI152NLin2009aSym"),
    plain("MNI152NLin2009bAsym"),
    plain("MNI152NLin2009bSym"),
    plain("MNI152NLin6Sym"),
    plain("MNI152Lin"),
    plain("MNI305"),
    plain("MNIColin27"),
    Known { name: "MNIInfant", cohorts: 11 },
    Known { name: "MNIPediatricAsym", cohorts: 6 },
    Known { name: "UNCInfant", cohorts: 3 },
    plain("NKI"),
    plain("OASIS30ANTs"),
    plain("PNC"),
    plain("RESILIENT"),
];

/// Other names of the participant's own spaces, as fMRIPrep has them.
pub(super) const T1W: [&str; 2] = ["T1w", "anat"];
pub(super) const FUNC: [&str; 4] = ["func", "bold", "run", "boldref"];

const SURFACE: &str =
    "it is a surface, and surfaces are not reconstructed; a template such as MNI152NLin2009cAsym is a volume";
const ANIMAL: &str = "it is no human brain, and the methods here are made for human brains";

/// Why outputs in a space that others know are not made here.
pub(super) fn unsupported(name: &str) -> Option<&'static str> {
    Some(match name {
        _ if name.starts_with("fsaverage") => SURFACE,
        "fsLR" | "fsnative" | "onavg" | "civet" => SURFACE,
        "T2w" => "the T1w image is the participant's anatomical space; T1w is it",
        "sbref" => "single-band references are not used; func is the run's own space",
        "session" | "individual" => "runs are not aligned with each other; T1w is common to the runs of a participant",
        "dwi" | "asl" | "pet" => "only T1w and bold images are preprocessed",
        "MouseIn" | "WHS" | "Fischer344" | "NMT31Sym" | "VALiDATe29" => ANIMAL,
        _ => return None,
    })
}

/// The known name nearest to one that is not; upper and lower case count for nothing.
pub(super) fn nearest(name: &str, also_known: &[String]) -> String {
    let wanted = name.to_ascii_lowercase();
    let own = TEMPLATES.iter().map(|t| t.name).chain(T1W).chain(FUNC).chain(also_known.iter().map(String::as_str));
    let alike = |known: &str| strsim::normalized_damerau_levenshtein(&wanted, &known.to_ascii_lowercase());
    // The first of equals: the more usual ones stand first.
    let best = own.fold((-1.0, ""), |best, known| {
        let score = alike(known);
        if score > best.0 { (score, known) } else { best }
    });
    best.1.to_owned()
}
