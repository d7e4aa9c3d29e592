//! The battery of header checks. Each looks at one thing and either passes, repairs it and leaves a note, or refuses.
//!
//! The policy is nibabel's where nibabel has one (negative voxel sizes, unknown form codes, a slope of 0 or NaN), and
//! stricter where reading on would mean guessing (an extent of 0, a voxel size of 0, a half-set scaling).

use super::Note;
use super::dtype::{Dtype, unreadable};
use super::raw::{DATA_OFFSET_1, Raw, SIZE_2};
use crate::error::HeaderFault;

/// What a check found: refuse with a code, or (`None`) carry on with what was done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub refuse: Option<HeaderFault>,
    pub note: Note,
}

impl Finding {
    pub(crate) fn note(kind: &'static str, problem: impl Into<String>, done: &str) -> Self {
        Self { refuse: None, note: Note::new(kind, problem, done) }
    }

    pub(crate) fn refuse(fault: HeaderFault, kind: &'static str, problem: impl Into<String>, todo: &str) -> Self {
        Self { refuse: Some(fault), note: Note::new(kind, problem, todo) }
    }
}

const RECONVERT: &str = "convert the scan again from DICOM";

/// Every check, in the order in which later ones rely on earlier ones.
const BATTERY: [fn(&mut Raw) -> Option<Finding>; 11] = [
    dimension_count,
    extents,
    higher_dimensions,
    voxel_type,
    bits_per_voxel,
    data_offset,
    scaling,
    form_codes,
    voxel_sizes,
    spatial_unit,
    repetition_time,
];

/// Runs the battery. Repairs are made in `raw`; `pixdim[4]` is in seconds afterwards, 0 where unknown.
pub(crate) fn run(raw: &mut Raw) -> Result<Vec<Note>, Finding> {
    let mut notes = Vec::new();
    for check in BATTERY {
        match check(raw) {
            None => {}
            Some(f) if f.refuse.is_some() => return Err(f),
            Some(f) => notes.push(f.note),
        }
    }
    Ok(notes)
}

fn dimension_count(raw: &mut Raw) -> Option<Finding> {
    let n = raw.dim[0];
    (!(1..=7).contains(&n))
        .then(|| Finding::refuse(HeaderFault::Malformed, "dim_count", format!("dim[0] is {n}, not 1 to 7"), RECONVERT))
}

fn extents(raw: &mut Raw) -> Option<Finding> {
    let n = raw.dim[0] as usize;
    // Dimensions that are not used may hold anything.
    raw.dim[n + 1..].fill(1);
    let at = raw.dim.iter().position(|&d| !(1..=32767).contains(&d))?;
    let problem = format!("dim[{at}] is {}", raw.dim[at]);
    Some(if raw.dim[at] < 1 {
        Finding::refuse(HeaderFault::Malformed, "dim_extent", problem, RECONVERT)
    } else {
        // Only NIfTI-2 can say so; the outputs are NIfTI-1.
        Finding::refuse(HeaderFault::Dimensions, "dim_extent", problem, "an extent may be at most 32767")
    })
}

fn higher_dimensions(raw: &mut Raw) -> Option<Finding> {
    raw.dim[5..].iter().any(|&d| d > 1).then(|| {
        let used = &raw.dim[1..=raw.dim[0] as usize];
        Finding::refuse(
            HeaderFault::Dimensions,
            "dim_higher",
            format!("the image is {used:?}, more than three axes of space and one of time"),
            "extract the part to be processed",
        )
    })
}

fn voxel_type(raw: &mut Raw) -> Option<Finding> {
    let code = raw.datatype;
    Dtype::from_code(code).is_none().then(|| {
        Finding::refuse(
            HeaderFault::DataType,
            "datatype",
            format!("datatype {code} ({}) cannot be processed", unreadable(code)),
            "store a real-valued image of at most 64 bits per voxel",
        )
    })
}

fn bits_per_voxel(raw: &mut Raw) -> Option<Finding> {
    let expected = Dtype::from_code(raw.datatype)?.bytes() as i16 * 8;
    let stated = std::mem::replace(&mut raw.bitpix, expected);
    (stated != expected).then(|| {
        Finding::note(
            "bitpix",
            format!("bitpix is {stated}, but the datatype has {expected} bits"),
            "the datatype was believed",
        )
    })
}

fn data_offset(raw: &mut Raw) -> Option<Finding> {
    let least = if raw.version == 1 { DATA_OFFSET_1 } else { SIZE_2 + 4 } as f64;
    let offset = raw.vox_offset;
    if offset == 0.0 || offset.is_nan() {
        raw.vox_offset = least;
        let problem = format!("vox_offset is {offset}");
        return Some(Finding::note("vox_offset", problem, "the data was taken to follow the header"));
    }
    // 2^53: up to here a double counts bytes exactly.
    let sound = offset >= least && offset <= 9_007_199_254_740_992.0 && offset.fract() == 0.0;
    (!sound).then(|| {
        let problem = format!("vox_offset is {offset}, but data can begin at byte {least} at the earliest");
        Finding::refuse(HeaderFault::Malformed, "vox_offset", problem, RECONVERT)
    })
}

fn scaling(raw: &mut Raw) -> Option<Finding> {
    let (slope, inter) = (raw.slope, raw.inter);
    if slope == 0.0 || !slope.is_finite() {
        (raw.slope, raw.inter) = (1.0, 0.0);
        // 0 is the standard's, NaN many converters' way to say "no scaling"; only infinity is odd.
        return slope
            .is_infinite()
            .then(|| Finding::note("scl_slope", format!("scl_slope is {slope}"), "the voxels were read unscaled"));
    }
    (!inter.is_finite()).then(|| {
        let problem = format!("scl_slope is {slope}, but scl_inter is {inter}");
        Finding::refuse(HeaderFault::Malformed, "scl_inter", problem, RECONVERT)
    })
}

fn form_codes(raw: &mut Raw) -> Option<Finding> {
    let unknown = |code: i32| !(0..=5).contains(&code);
    let (q, s) = (raw.qform_code, raw.sform_code);
    if unknown(q) {
        raw.qform_code = 0;
    }
    if unknown(s) {
        raw.sform_code = 0;
    }
    (unknown(q) || unknown(s)).then(|| {
        let problem = format!("qform_code is {q} and sform_code {s}, not 0 to 5");
        Finding::note("form_code", problem, "an unknown code was taken as not set")
    })
}

/// Voxel sizes that are wrong in a harmless way are repaired. 0 and NaN stay: `orientation` refuses them, but only if it
/// needs them, for a valid sform says the sizes too.
fn voxel_sizes(raw: &mut Raw) -> Option<Finding> {
    let stated = [raw.pixdim[1], raw.pixdim[2], raw.pixdim[3]];
    for axis in 1..=3 {
        if raw.pixdim[axis] == 0.0 && raw.dim[axis] == 1 {
            raw.pixdim[axis] = 1.0;
        }
        raw.pixdim[axis] = raw.pixdim[axis].abs();
    }
    let changed = (1..=3).any(|n| raw.pixdim[n] < f64::INFINITY && raw.pixdim[n] != stated[n - 1]);
    changed.then(|| {
        let problem = format!("the voxel sizes pixdim[1..3] are {stated:?}");
        Finding::note("pixdim", problem, "their absolute values were taken, and 1 mm for the thickness of one slice")
    })
}

fn spatial_unit(raw: &mut Raw) -> Option<Finding> {
    let unit = match raw.units & 7 {
        0 | 2 => return None,
        1 => "metres".to_owned(),
        3 => "micrometres".to_owned(),
        other => format!("unit {other}"),
    };
    let problem = format!("xyzt_units says that space is in {unit}");
    Some(Finding::note("spatial_unit", problem, "millimetres were assumed, as nibabel and FSL do"))
}

fn repetition_time(raw: &mut Raw) -> Option<Finding> {
    let (stated, unit) = (raw.pixdim[4], raw.units & 0x38);
    let per_second = match unit {
        0 if stated > 100.0 => 1e3,
        0 | 8 => 1.0,
        16 => 1e3,
        24 => 1e6,
        _ => f64::INFINITY,
    };
    let seconds = stated / per_second;
    // As the outputs will hold it, which are NIfTI-1.
    let held = seconds as f32;
    raw.pixdim[4] = if held > 0.0 && held.is_normal() { seconds } else { 0.0 };
    if raw.dim[4] == 1 {
        return None;
    }
    if raw.pixdim[4] == 0.0 {
        let problem = format!("pixdim[4] is {stated} with time unit {unit}, which is no repetition time");
        return Some(Finding::note("tr_missing", problem, "the header's repetition time was left unset"));
    }
    if unit == 0 && per_second > 1.0 {
        let problem = format!("pixdim[4] is {stated} without a time unit");
        return Some(Finding::note("tr_unit", problem, "it was taken as milliseconds"));
    }
    (!(0.01..=100.0).contains(&seconds)).then(|| {
        Finding::note("tr_implausible", format!("the repetition time is {seconds} s"), "it was kept as the header says")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sound 4-D header.
    pub(crate) fn sound() -> Raw {
        Raw {
            version: 1,
            big_endian: false,
            dim: [4, 8, 7, 6, 5, 1, 1, 1],
            datatype: 4,
            bitpix: 16,
            pixdim: [1.0, 2.0, 2.0, 3.0, 2.5, 0.0, 0.0, 0.0],
            vox_offset: 352.0,
            slope: 1.0,
            inter: 0.0,
            units: 10,
            qform_code: 1,
            sform_code: 1,
            quatern: [0.0; 3],
            qoffset: [0.0; 3],
            srow: [[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]],
            descrip: String::new(),
        }
    }

    /// Runs the battery on a sound header changed by `change`: the repaired header, and the kinds found.
    fn after(change: impl FnOnce(&mut Raw)) -> (Raw, Vec<&'static str>, Option<HeaderFault>) {
        let mut raw = sound();
        change(&mut raw);
        match run(&mut raw) {
            Ok(notes) => (raw, notes.iter().map(|n| n.kind).collect(), None),
            Err(f) => (raw, vec![f.note.kind], f.refuse),
        }
    }

    #[test]
    fn a_sound_header_passes_unchanged() {
        assert_eq!(after(|_| {}), (sound(), vec![], None));
    }

    #[test]
    fn impossible_values_are_refused() {
        type Change = fn(&mut Raw);
        let bad: [(Change, HeaderFault); 13] = [
            (|r| r.dim[0] = 0, HeaderFault::Malformed),
            (|r| r.dim[0] = 9, HeaderFault::Malformed),
            (|r| r.dim[0] = -3, HeaderFault::Malformed),
            (|r| r.dim[2] = 0, HeaderFault::Malformed),
            (|r| r.dim[4] = -5, HeaderFault::Malformed),
            (|r| r.dim[1] = 40_000, HeaderFault::Dimensions),
            (|r| (r.dim[0], r.dim[5]) = (5, 3), HeaderFault::Dimensions),
            (|r| r.datatype = 128, HeaderFault::DataType),
            (|r| r.datatype = 1536, HeaderFault::DataType),
            (|r| r.vox_offset = 351.0, HeaderFault::Malformed),
            (|r| r.vox_offset = 360.5, HeaderFault::Malformed),
            (|r| r.vox_offset = f64::INFINITY, HeaderFault::Malformed),
            (|r| r.inter = f64::NAN, HeaderFault::Malformed),
        ];
        for (n, (change, code)) in bad.into_iter().enumerate() {
            assert_eq!(after(change).2, Some(code), "case {n}");
        }
    }

    #[test]
    fn odd_values_are_repaired_and_noted() {
        let (raw, kinds, _) = after(|r| r.bitpix = 8);
        assert_eq!((raw.bitpix, kinds), (16, vec!["bitpix"]));
        let (raw, kinds, _) = after(|r| r.vox_offset = f64::NAN);
        assert_eq!((raw.vox_offset, kinds), (352.0, vec!["vox_offset"]));
        let (raw, kinds, _) = after(|r| (r.version, r.vox_offset) = (2, 0.0));
        assert_eq!((raw.vox_offset, kinds), (544.0, vec!["vox_offset"]));
        let (raw, kinds, _) = after(|r| r.pixdim[2] = -2.0);
        assert_eq!((raw.pixdim[2], kinds), (2.0, vec!["pixdim"]));
        let (raw, kinds, _) = after(|r| (r.qform_code, r.sform_code) = (77, -1));
        assert_eq!((raw.qform_code, raw.sform_code, kinds), (0, 0, vec!["form_code"]));
        let (raw, kinds, _) = after(|r| (r.slope, r.inter) = (f64::INFINITY, 3.0));
        assert_eq!((raw.slope, raw.inter, kinds), (1.0, 0.0, vec!["scl_slope"]));
        assert_eq!(after(|r| r.units = 9).1, ["spatial_unit"]);
    }

    #[test]
    fn no_slope_means_no_scaling() {
        for slope in [0.0, f64::NAN] {
            let (raw, kinds, _) = after(|r| (r.slope, r.inter) = (slope, f64::NAN));
            assert_eq!((raw.slope, raw.inter, kinds), (1.0, 0.0, vec![]));
        }
    }

    #[test]
    fn the_repetition_time_is_in_seconds_whatever_the_unit() {
        let tr = |value: f64, units: i32| {
            let (raw, kinds, _) = after(|r| (r.pixdim[4], r.units) = (value, units));
            (raw.pixdim[4], kinds)
        };
        assert_eq!(tr(2.0, 10), (2.0, vec![]));
        assert_eq!(tr(2000.0, 18), (2.0, vec![]));
        assert_eq!(tr(2e6, 26), (2.0, vec![]));
        assert_eq!(tr(2000.0, 2), (2.0, vec!["tr_unit"]));
        assert_eq!(tr(2.0, 0), (2.0, vec![]));
        assert_eq!(tr(2000.0, 10), (2000.0, vec!["tr_implausible"]));
        assert_eq!(tr(2.0, 34), (0.0, vec!["tr_missing"]));
        for none in [0.0, -1.0, f64::NAN] {
            assert_eq!(tr(none, 10), (0.0, vec!["tr_missing"]));
        }
    }

    #[test]
    fn unused_dimensions_may_hold_anything() {
        let (raw, _, refused) = after(|r| r.dim = [2, 8, 7, 0, -4, 9, 0, 0]);
        assert_eq!((raw.dim, refused), ([2, 8, 7, 1, 1, 1, 1, 1], None));
    }
}
