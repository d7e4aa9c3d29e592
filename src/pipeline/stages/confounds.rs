//! The confounds table of a bold run: fMRIPrep's columns, in fMRIPrep's order.

use super::native::ScaledSeries;
use crate::derivatives::measured::Confound;
use imaging::brain::Brain;
use imaging::confounds::compcor::Component;
use imaging::confounds::expansion::{Expansion, expand};
use imaging::confounds::nuisance::{Nuisance, Part, nuisance};
use imaging::confounds::outliers::motion_outliers;
use imaging::confounds::tissue_masks::TissueMasks;
use imaging::confounds::{Confounds, confounds};
use imaging::motion::MotionEstimate;
use serde_json::{Map, Value, json};

/// The six parameters in the order of [`MotionEstimate::parameters`]: fMRIPrep's name, meaning, unit.
const PARAMETERS: [(&str, &str, &str); 6] = [
    ("trans_x", "Translation of the head to the right", "mm"),
    ("trans_y", "Translation of the head to the front", "mm"),
    ("trans_z", "Translation of the head to the top", "mm"),
    ("rot_x", "Rotation of the head about the left-right axis", "rad"),
    ("rot_y", "Rotation of the head about the back-front axis", "rad"),
    ("rot_z", "Rotation of the head about the bottom-top axis", "rad"),
];

/// Of each part of the head with components of its own: how their names begin, what they are, method and mask as fMRIPrep's
/// sidecar has them. In its order, which is not that of the masks.
const MOST_VARIABLE: Parted = ("t_comp_cor_", "Component of the most variable voxels of the brain", "tCompCor", None);
const TISSUES: [Parted; 3] = [
    ("c_comp_cor_", "Component of cerebrospinal fluid", "aCompCor", Some("CSF")),
    ("w_comp_cor_", "Component of white matter", "aCompCor", Some("WM")),
    ("a_comp_cor_", "Component of white matter and cerebrospinal fluid", "aCompCor", Some("combined")),
];
const CROWN: Parted = ("edge_comp_", "Component of the crown around the brain", "EdgeRegressor", Some("Edge"));
type Parted = (&'static str, &'static str, &'static str, Option<&'static str>);

/// The mean signals of the tissues, in the order of their masks; what is expanded.
const MEANS: [(&str, &str, bool); 3] = [
    ("csf", "Mean signal of voxels with nothing but cerebrospinal fluid", true),
    ("white_matter", "Mean signal of voxels with nothing but white matter", true),
    ("csf_wm", "Mean signal of voxels with nothing but white matter or cerebrospinal fluid", false),
];

/// What moved and changed from volume to volume.
pub fn of(scaled: &ScaledSeries, brain: &Brain) -> Confounds {
    confounds(scaled.series.view(), brain.mask.view(), &scaled.fit.motion)
}

/// The confounds table of a run; without masks of the tissues it lacks their columns.
pub fn columns(
    scaled: &ScaledSeries,
    brain: &Brain,
    found: &Confounds,
    tissues: Option<&TissueMasks>,
) -> Vec<Confound> {
    let tr = scaled.header.tr_seconds();
    let courses = nuisance(scaled.series.view(), brain.mask.view(), scaled.fit.motion.non_steady, tr, tissues);
    table(&scaled.fit.motion, found, &courses)
}

/// The confounds table.
pub fn table(motion: &MotionEstimate, found: &Confounds, courses: &Nuisance) -> Vec<Confound> {
    let signals = signals(found, courses);
    let measured = [
        ("std_dvars", "Standardised DVARS (Nichols 2013)", None, &found.std_dvars),
        ("dvars", "DVARS (Power 2012), brain median scaled to 1000", None, &found.dvars),
        (
            "framewise_displacement",
            "Framewise displacement (Power 2012), 50 mm sphere",
            Some("mm"),
            &found.framewise_displacement,
        ),
        ("rmsd", "RMS deviation from the volume before (Jenkinson 1999), 80 mm sphere", Some("mm"), &found.rmsd),
    ];
    let measured = measured.map(|(name, description, units, values)| column(name, description, units, values.clone()));
    let of_tissues = courses.tissues.iter().flat_map(|parts| TISSUES.iter().zip(parts));
    let parts = std::iter::once((&MOST_VARIABLE, &courses.most_variable)).chain(of_tissues);
    let components = parts.chain([(&CROWN, &courses.crown)]).flat_map(|(names, part)| components(names, part));
    let cosines = courses.cosines.iter().enumerate().map(|(n, course)| {
        column(&format!("cosine{n:02}"), "Discrete cosine with a period of 128 s or more", None, known(course))
    });
    let parameters = PARAMETERS.iter().enumerate().flat_map(|(p, &(name, description, units))| {
        expanded(column(name, description, Some(units), motion.parameters.iter().map(|v| v.get(p).copied()).collect()))
    });
    let volumes = motion.parameters.len();
    let steady = marked("non_steady_state_outlier", "A volume before the steady state", 0..motion.non_steady, volumes);
    let outliers = motion_outliers(&found.framewise_displacement, &found.std_dvars);
    let outliers = marked(
        "motion_outlier",
        "A volume with a framewise displacement above 0.5 mm or a standardised DVARS above 1.5",
        outliers,
        volumes,
    );
    signals
        .into_iter()
        .chain(measured)
        .chain(components)
        .chain(cosines)
        .chain(steady)
        .chain(parameters)
        .chain(outliers)
        .collect()
}

/// The mean signals.
fn signals(found: &Confounds, courses: &Nuisance) -> Vec<Confound> {
    let mean = |name, description, values: &Vec<Option<f64>>| Confound {
        facts: facts(json!({ "Method": "Mean" })),
        ..column(name, description, None, values.clone())
    };
    let mut columns = expanded(mean("global_signal", "Mean signal of the brain", &found.global_signal));
    let parts = courses.tissues.iter().flat_map(|parts| MEANS.iter().zip(parts));
    for (&(name, description, is_expanded), part) in parts.filter(|(_, part)| part.voxels > 0) {
        let signal = mean(name, description, &part.mean);
        columns.extend(if is_expanded { expanded(signal) } else { vec![signal] });
    }
    if courses.most_variable.voxels > 0 {
        let description = "Mean signal of the 2 % most variable voxels of the brain";
        columns.push(mean("tcompcor", description, &courses.most_variable.mean));
    }
    columns
}

/// A column and its terms.
fn expanded(of: Confound) -> Vec<Confound> {
    let Expansion { derivative, power, derivative_power } = expand(&of.values);
    let name = |suffix: &str| format!("{}_{suffix}", of.name);
    let terms = [
        column(&name("derivative1"), "Change of the column of this name since the volume before", of.units, derivative),
        column(&name("power2"), "Square of the column of this name", None, power),
        column(&name("derivative1_power2"), "Square of the change since the volume before", None, derivative_power),
    ];
    std::iter::once(of).chain(terms).collect()
}

/// The components of a part. Only what is kept is written, so that table and sidecar have the same names.
fn components(&(prefix, description, method, mask): &Parted, part: &Part) -> Vec<Confound> {
    let one = |(n, component): (usize, &Component)| {
        let mut told = facts(json!({ "Method": method }));
        if let Some(mask) = mask {
            told.insert("Mask".into(), json!(mask));
        }
        told.extend(facts(json!({
            "SingularValue": component.singular_value,
            "VarianceExplained": component.variance_explained,
            "CumulativeVarianceExplained": component.cumulative_variance_explained,
            "Retained": true,
        })));
        Confound { facts: told, ..column(&format!("{prefix}{n:02}"), description, None, known(&component.course)) }
    };
    part.components.iter().enumerate().map(one).collect()
}

/// A column for each of these volumes, which is 1 there and 0 elsewhere.
fn marked(
    name: &str,
    description: &'static str,
    which: impl IntoIterator<Item = usize>,
    volumes: usize,
) -> impl Iterator<Item = Confound> {
    which.into_iter().enumerate().map(move |(n, volume)| {
        let values = (0..volumes).map(|v| Some(f64::from(u8::from(v == volume)))).collect();
        column(&format!("{name}{n:02}"), description, None, values)
    })
}

fn column(name: &str, description: &'static str, units: Option<&'static str>, values: Vec<Option<f64>>) -> Confound {
    Confound { name: name.into(), description, units, values, facts: Map::new() }
}

fn known(course: &[f64]) -> Vec<Option<f64>> {
    course.iter().copied().map(Some).collect()
}

fn facts(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(course: &[f64]) -> Component {
        Component {
            course: course.to_vec(),
            singular_value: 3.0,
            variance_explained: 0.25,
            cumulative_variance_explained: 0.25,
        }
    }

    fn part(voxels: usize, components: usize) -> Part {
        let mean = if voxels > 0 { vec![Some(5.0), Some(6.0)] } else { vec![None; 2] };
        Part { voxels, mean, components: vec![component(&[0.5, -0.5]); components] }
    }

    fn made(tissues: Option<[Part; 3]>) -> Vec<Confound> {
        let motion = MotionEstimate {
            parameters: vec![[0.0; 6], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]],
            matrices: vec![imaging::rigid::IDENTITY; 2],
            centre: [0.0; 3],
            reference: 0,
            non_steady: 1,
            unaligned: Vec::new(),
            iterations: Vec::new(),
        };
        let found = Confounds {
            framewise_displacement: vec![None, Some(1.0)],
            rmsd: vec![None, Some(1.0)],
            dvars: vec![None, Some(20.0)],
            std_dvars: vec![None, Some(1.2)],
            global_signal: vec![Some(3.0), Some(2.0)],
        };
        let courses = Nuisance { cosines: vec![vec![0.0, 1.0]], most_variable: part(2, 2), crown: part(3, 1), tissues };
        table(&motion, &found, &courses)
    }

    /// The header of fMRIPrep 25.2 for a run with so many of each.
    #[test]
    fn names_and_their_order_are_those_of_fmriprep() {
        let expanded = |name: &str| format!("{name} {name}_derivative1 {name}_power2 {name}_derivative1_power2");
        let [gs, csf, wm] = ["global_signal", "csf", "white_matter"].map(expanded);
        let measured = "tcompcor std_dvars dvars framewise_displacement rmsd t_comp_cor_00 t_comp_cor_01";
        let motion = PARAMETERS.map(|(name, ..)| expanded(name)).join(" ");
        let rest = format!("edge_comp_00 cosine00 non_steady_state_outlier00 {motion} motion_outlier00");
        let names = |table: &[Confound]| table.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(" ");
        let with = made(Some([part(4, 1), part(5, 2), part(9, 1)]));
        let tissues = "c_comp_cor_00 w_comp_cor_00 w_comp_cor_01 a_comp_cor_00";
        assert_eq!(names(&with), format!("{gs} {csf} {wm} csf_wm {measured} {tissues} {rest}"));
        assert_eq!(names(&made(None)), format!("{gs} {measured} {rest}"));
        // A tissue without a voxel has no columns.
        let without = made(Some([part(0, 0), part(5, 1), part(9, 1)]));
        assert!(!names(&without).contains("csf ") && names(&without).contains("csf_wm "), "{}", names(&without));
        assert!(with.iter().all(|c| c.values.len() == 2 && !c.description.is_empty()));
    }

    #[test]
    fn every_component_is_described_as_fmriprep_describes_it() {
        let table = made(Some([part(4, 1), part(5, 2), part(9, 1)]));
        let of = |name: &str| Value::Object(table.iter().find(|c| c.name == name).unwrap().facts.clone());
        let all = |method: &str| {
            json!({
                "Method": method, "SingularValue": 3.0, "VarianceExplained": 0.25, "CumulativeVarianceExplained": 0.25,
                "Retained": true,
            })
        };
        let masked = |method: &str, mask: &str| {
            let mut all = all(method);
            all["Mask"] = json!(mask);
            all
        };
        assert_eq!(of("t_comp_cor_01"), all("tCompCor"));
        assert_eq!(of("c_comp_cor_00"), masked("aCompCor", "CSF"));
        assert_eq!(of("w_comp_cor_01"), masked("aCompCor", "WM"));
        assert_eq!(of("a_comp_cor_00"), masked("aCompCor", "combined"));
        assert_eq!(of("edge_comp_00"), masked("EdgeRegressor", "Edge"));
        assert_eq!(of("csf"), json!({ "Method": "Mean" }));
        let volume = |name: &str| table.iter().find(|c| c.name == name).unwrap().values.clone();
        assert_eq!(volume("non_steady_state_outlier00"), [Some(1.0), Some(0.0)]);
        assert_eq!(volume("motion_outlier00"), [Some(0.0), Some(1.0)]);
        assert_eq!(volume("trans_x_derivative1"), [None, Some(1.0)]);
    }
}
