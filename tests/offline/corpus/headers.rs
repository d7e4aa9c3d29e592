//! NIfTI headers: sizes, types, scaling, where the data begins, orientation; and the voxels themselves.

use super::case::Outcome::{Accepted, Refused};
use super::case::{Case, FINE, Outcome, Peer, big_endian, bold, bytes, header, noted, t1w};
use crate::common::nifti::{File, gzip};
use neuro_preprocess::error::ErrorCode::{
    BadHeader, BadOrientation, NoSignal, NonFinite, NotNifti, Truncated, UnsupportedType, WrongDimensions,
};

/// Every case of headers and voxels.
pub fn cases() -> Vec<Case> {
    let mut all = magic();
    all.extend(dimensions());
    all.extend(sizes());
    all.extend(offsets());
    all.extend(types());
    all.extend(scaling());
    all.extend(orientation());
    all.extend(voxels());
    all.extend(ignored());
    all
}

/// Accepted with a note, and other than nibabel has it.
const fn differs(note: &'static [&'static str], what: &'static str, why: &'static str) -> Outcome {
    Accepted(note, Peer::Differs(what, why))
}

fn magic() -> Vec<Case> {
    vec![
        bytes("header of a .hdr/.img pair", Refused(NotNifti, &["pair", "nib-convert"]), |b| b[345] = b'i'),
        bytes("ANALYZE, or no magic", Refused(NotNifti, &["ANALYZE 7.5"]), |b| b[344..348].fill(0)),
        bytes("magic without its end", Refused(NotNifti, &["without its magic"]), |b| b[347] = b' '),
        bytes("sizeof_hdr of 0", Refused(NotNifti, &["no header was found"]), |b| b[..4].fill(0)),
        t1w("NIfTI-2", FINE, |s| s.gz(&s.head().version_2().bytes())),
        t1w("NIfTI-2 cut in its header", Refused(Truncated, &["within its header of 540"]), |s| {
            s.gz(&s.head().version_2().bytes()[..400]);
        }),
        t1w("NIfTI-2 sent in text mode", Refused(BadHeader, &["line ends", "text mode"]), |s| {
            let mut b = s.head().version_2().bytes();
            b[8..12].copy_from_slice(b"\n\n\x1a\n");
            s.gz(&b);
        }),
        t1w("big-endian", FINE, |s| s.gz(&big_endian(s.head()).bytes())),
        t1w("big-endian NIfTI-2 of 64-bit floats", FINE, |s| {
            s.gz(&big_endian(s.any_head().stored(64).version_2()).bytes());
        }),
        bold("big-endian bold run", FINE, |s| s.gz(&big_endian(s.head()).bytes())),
    ]
}

fn dimensions() -> Vec<Case> {
    let no = |at: usize, value: i64| move |f: &mut File| f.dim[at] = value;
    let small = |dim: &'static [i64]| {
        move |f: &mut File| {
            let kept = (f.srow, f.pixdim);
            *f = File::new(dim);
            (f.srow, f.pixdim) = kept;
        }
    };
    vec![
        header("no dimensions", Refused(BadHeader, &["dim[0] is 0"]), |f| f.dim.clear()),
        bytes("nine dimensions", Refused(BadHeader, &["dim[0] is 9"]), |b| b[40] = 9),
        bytes("a negative number of dimensions", Refused(BadHeader, &["dim[0] is -3"]), |b| {
            b[40..42].copy_from_slice(&(-3_i16).to_le_bytes());
        }),
        header("an extent of 0", Refused(BadHeader, &["dim[2] is 0"]), no(1, 0)),
        header("a negative extent", Refused(BadHeader, &["dim[1] is -5"]), no(0, -5)),
        header("extents of 281 TB", Refused(Truncated, &["281449207693656 bytes", "can inflate to at most"]), |f| {
            (f.dim, f.datatype, f.bitpix) = (vec![32_767; 3], 64, 64);
        }),
        header("extents whose product overflows", Refused(Truncated, &["the header asks for"]), |f| {
            (f.dim, f.datatype, f.bitpix) = (vec![32_767; 4], 64, 64);
        }),
        header("all seven extents of 32767", Refused(WrongDimensions, &["more than three axes"]), |f| {
            f.dim = vec![32_767; 7];
        }),
        t1w("NIfTI-2 with an extent of 2^40", Refused(WrongDimensions, &["at most 32767"]), |s| {
            let mut file = s.head().version_2();
            file.dim[0] = 1 << 40;
            s.gz(&file.bytes());
        }),
        bytes("unused extents that hold anything", FINE, |b| b[48..56].fill(0x9c)),
        header("T1w with two axes", Refused(WrongDimensions, &["at least 8 along each axis"]), small(&[40, 40])),
        header("T1w of a single slice", Refused(WrongDimensions, &["40x40x1 voxels"]), small(&[40, 40, 1])),
        header("T1w of 7 voxels along an axis", Refused(WrongDimensions, &["at least 8"]), small(&[40, 7, 40])),
        header("T1w with a fourth axis of 1", FINE, |f| f.dim.push(1)),
        header("T1w with all axes, the higher ones of 1", FINE, |f| f.dim.extend([1; 4])),
        header("T1w with two volumes", Refused(WrongDimensions, &["has 2 volumes; a T1w image has one"]), |f| {
            f.dim.push(2);
            f.data = f.data.repeat(2);
        }),
        header("T1w of vectors", Refused(WrongDimensions, &["more than three axes of space and one of time"]), |f| {
            f.dim.extend([1, 3]);
            f.data = f.data.repeat(3);
        }),
        bold("bold with one volume", Refused(WrongDimensions, &["has a single volume"]), |s| {
            s.gz(&s.heads.t1w.stored(4).bytes());
        }),
        bold("bold with five volumes", Refused(WrongDimensions, &["has 5 volumes; at least 6"]), |s| {
            let mut file = s.head();
            file.data.truncate(file.data.len() / file.dim[3] as usize * 5);
            file.dim[3] = 5;
            s.gz(&file.bytes());
        }),
    ]
}

const SFORM: &str = "a usable sform says the voxel sizes; nibabel gives pixdim";

fn sizes() -> Vec<Case> {
    let by_qform = |size: f64| {
        move |f: &mut File| {
            (f.qform_code, f.sform_code) = (1, 0);
            f.pixdim[1] = size;
        }
    };
    vec![
        header("voxel size 0 beside a sform", differs(&["0.0, "], "zooms", SFORM), |f| f.pixdim[1] = 0.0),
        header("voxel size NaN beside a sform", differs(&["NaN"], "zooms", SFORM), |f| f.pixdim[2] = f64::NAN),
        header("voxel size other than the sform's", differs(&["by pixdim; the sform was used"], "zooms", SFORM), |f| {
            f.pixdim[3] *= 2.0;
        }),
        header("negative voxel sizes", noted(&["their absolute values were taken"]), |f| {
            (f.pixdim[1], f.pixdim[3]) = (-f.pixdim[1], -f.pixdim[3]);
        }),
        header("voxel size 0, no sform", Refused(BadOrientation, &["the qform has axes of"]), by_qform(0.0)),
        header("voxel size NaN, no sform", Refused(BadOrientation, &["NaN, infinite"]), by_qform(f64::NAN)),
        header("voxel size infinite, no sform", Refused(BadOrientation, &["the qform has"]), by_qform(f64::INFINITY)),
        header("no voxel size and no orientation", Refused(BadOrientation, &["neither form is set"]), |f| {
            (f.sform_code, f.pixdim) = (0, [0.0; 8]);
        }),
        header("sizes in metres", noted(&["space is in metres; millimetres were assumed"]), |f| f.units = 9),
        header("sizes in micrometres", noted(&["space is in micrometres; millimetres were assumed"]), |f| f.units = 11),
        header("an unknown unit of space", noted(&["unit 7; millimetres were assumed"]), |f| f.units = 15),
        header("no unit", FINE, |f| f.units = 0),
    ]
}

fn offsets() -> Vec<Case> {
    let extended = |esize: i32, offset: f64| {
        move |b: &mut Vec<u8>| {
            let data = b.split_off(352);
            b[108..112].copy_from_slice(&(offset as f32).to_le_bytes());
            b[348] = 1;
            b.extend(esize.to_le_bytes());
            b.extend(6_i32.to_le_bytes());
            b.resize(offset as usize, b'x');
            b.extend(data);
        }
    };
    let strict = "the voxels do not depend on extensions";
    vec![
        header(
            "vox_offset 0",
            differs(&["vox_offset is 0; the data was taken to follow"], "values", "it takes the header for voxels"),
            |f| f.vox_offset = 0.0,
        ),
        header(
            "vox_offset NaN",
            differs(&["vox_offset is NaN; the data was taken to follow"], "refused", "it takes NaN for no number"),
            |f| f.vox_offset = f64::NAN,
        ),
        header("vox_offset within the header", Refused(BadHeader, &["vox_offset is 348"]), |f| f.vox_offset = 348.0),
        header("vox_offset between bytes", Refused(BadHeader, &["vox_offset is 400.5"]), |f| f.vox_offset = 400.5),
        header("negative vox_offset", Refused(BadHeader, &["vox_offset is -352"]), |f| f.vox_offset = -352.0),
        header("infinite vox_offset", Refused(BadHeader, &["vox_offset is inf"]), |f| f.vox_offset = f64::INFINITY),
        header("vox_offset past the end", Refused(Truncated, &["the header asks for"]), |f| f.vox_offset = 1e9),
        header("vox_offset far on, zeros before it", FINE, |f| f.vox_offset = 4096.0),
        header("vox_offset that is no multiple of 16", FINE, |f| f.vox_offset = 357.0),
        bytes("an extension", FINE, extended(32, 384.0)),
        bytes("an extension of 0 bytes", differs(&["passed over"], "refused", strict), extended(0, 384.0)),
        bytes("an extension of -16 bytes", differs(&["passed over"], "refused", strict), extended(-16, 384.0)),
        bytes("an extension that is no multiple of 16", noted(&["passed over"]), extended(20, 384.0)),
        bytes(
            "an extension that reaches into the data",
            differs(&["passed over"], "refused", strict),
            extended(4096, 384.0),
        ),
        bytes("an extension announced and not there", FINE, |b| b[348] = 1),
    ]
}

fn types() -> Vec<Case> {
    let names = [
        (2, "uint8 voxels"),
        (256, "int8 voxels"),
        (512, "uint16 voxels"),
        (768, "uint32 voxels"),
        (8, "int32 voxels"),
        (1280, "uint64 voxels"),
        (1024, "int64 voxels"),
        (16, "float32 voxels"),
        (64, "float64 voxels"),
    ];
    let mut all: Vec<Case> = names
        .into_iter()
        .map(|(code, name)| t1w(name, FINE, move |s| s.gz(&s.any_head().stored(code).bytes())))
        .collect();
    let unread: [(i16, i16, &'static str, &'static [&'static str]); 9] = [
        (0, 0, "no type", &["datatype 0 (not a type of NIfTI)"]),
        (1, 1, "one bit per voxel", &["one bit per voxel"]),
        (32, 64, "complex64 voxels", &["complex64"]),
        (1792, 128, "complex128 voxels", &["complex128"]),
        (2048, 256, "complex256 voxels", &["complex256"]),
        (128, 24, "RGB voxels", &["RGB colour"]),
        (2304, 32, "RGBA voxels", &["RGBA colour"]),
        (1536, 128, "float128 voxels", &["float128"]),
        (-4, 16, "a negative type", &["datatype -4"]),
    ];
    all.extend(unread.map(|(code, bits, name, says)| {
        header(name, Refused(UnsupportedType, says), move |f| {
            (f.datatype, f.bitpix) = (code, bits);
            f.data.resize(f.data.len() * bits.max(8) as usize / 16, 1);
        })
    }));
    all.push(header(
        "bitpix other than the type's",
        noted(&["bitpix is 8, but the datatype has 16 bits; the datatype was believed"]),
        |f| f.bitpix = 8,
    ));
    all
}

fn scaling() -> Vec<Case> {
    let set = |slope: f64, inter: f64| move |f: &mut File| (f.slope, f.inter) = (slope, inter);
    vec![
        header("a slope and an intercept", FINE, set(0.37, 12.5)),
        header("slope 0: no scaling", FINE, set(0.0, 5.0)),
        header("slope NaN: no scaling", FINE, set(f64::NAN, f64::NAN)),
        header("slope infinite", noted(&["scl_slope is inf; the voxels were read unscaled"]), set(f64::INFINITY, 3.0)),
        header("slope with an intercept of NaN", Refused(BadHeader, &["scl_inter is NaN"]), set(1.0, f64::NAN)),
        header("slope with an infinite intercept", Refused(BadHeader, &["scl_inter is inf"]), set(1.0, f64::INFINITY)),
        header("a slope that overflows", Refused(NonFinite, &["NaN or infinite"]), set(3e38, 0.0)),
        t1w("negative slope", FINE, |s| {
            let mut file = s.any_head().with(4, |v| 1.0 - v);
            (file.slope, file.inter) = (-1.0, 1000.0);
            s.gz(&file.bytes());
        }),
    ]
}

fn orientation() -> Vec<Case> {
    let sheared = |by: f64| move |f: &mut File| f.srow[0][1] += by * f.srow[0][0];
    let singular = [[4.0, 0.0, 4.0, 0.0], [0.0, 4.0, 0.0, 0.0], [0.0; 4]];
    vec![
        header("no orientation", noted(&["neither sform nor qform is set"]), |f| f.sform_code = 0),
        header("unknown form codes", noted(&["qform_code is 77 and sform_code -1", "neither sform nor qform"]), |f| {
            (f.qform_code, f.sform_code) = (77, -1);
        }),
        header("a qform only", FINE, |f| {
            (f.qform_code, f.sform_code, f.qoffset) = (1, 0, f.srow.map(|row| row[3]));
        }),
        header("qform and sform 5 mm apart", noted(&["differ by up to 5.00 mm"]), |f| {
            (f.qform_code, f.qoffset) = (1, f.srow.map(|row| row[3]));
            f.qoffset[1] += 5.0;
        }),
        header("qform and sform of mirrored sides", noted(&["disagree about which side is left"]), |f| {
            (f.qform_code, f.qoffset) = (1, f.srow.map(|row| row[3]));
            f.srow[0] = f.srow[0].map(|v| -v);
        }),
        header("left and right exchanged in file and header", FINE, |f| {
            let [nx, size] = [f.dim[0] as usize, 2];
            f.data.chunks_mut(nx * size).for_each(|row| {
                let turned: Vec<u8> = row.chunks(size).rev().flatten().copied().collect();
                row.copy_from_slice(&turned);
            });
            f.srow[0][3] += f.srow[0][0] * (nx - 1) as f64;
            f.srow[0][0] = -f.srow[0][0];
        }),
        header("axes in another order", FINE, |f| {
            let [nx, ny, nz] = [0, 1, 2].map(|axis| f.dim[axis] as usize);
            let mut data = Vec::with_capacity(f.data.len());
            for j in 0..ny {
                for i in 0..nx {
                    for k in 0..nz {
                        let at = 2 * ((k * ny + j) * nx + i);
                        data.extend(&f.data[at..at + 2]);
                    }
                }
            }
            f.data = data;
            f.dim.rotate_right(1);
            f.pixdim[1..4].rotate_right(1);
            f.srow.iter_mut().for_each(|row| row[..3].rotate_right(1));
        }),
        header("a sform that is slightly sheared", differs(&["not at right angles"], "zooms", SFORM), sheared(0.05)),
        header("a singular sform", Refused(BadOrientation, &["axes lie in one plane"]), move |f| f.srow = singular),
        header("an empty sform", Refused(BadOrientation, &["the sform has axes of"]), |f| f.srow = [[0.0; 4]; 3]),
        header("a sform of NaN", Refused(BadOrientation, &["NaN, infinite"]), |f| f.srow = [[f64::NAN; 4]; 3]),
        header(
            "a singular sform beside a good qform",
            differs(
                &["axes lie in one plane; the qform was used"],
                "refused",
                "it uses the sform, which has no inverse",
            ),
            move |f| (f.qform_code, f.srow) = (1, singular),
        ),
        header("a quaternion that is no rotation", Refused(BadOrientation, &["which is no rotation"]), |f| {
            (f.qform_code, f.sform_code, f.quatern) = (1, 0, [2.0, 0.0, 0.0]);
        }),
        header("such a quaternion beside a sform", noted(&["no rotation; the sform was used"]), |f| {
            (f.qform_code, f.quatern) = (1, [2.0, 0.0, 0.0]);
        }),
    ]
}

fn voxels() -> Vec<Case> {
    let every = |n: usize, value: f32| {
        move |f: &mut File| f.data.chunks_mut(4).step_by(n).for_each(|v| v.copy_from_slice(&value.to_le_bytes()))
    };
    let float = |name, outcome, change: Box<dyn Fn(&mut File)>| {
        t1w(name, outcome, move |s| {
            let mut file = s.any_head().stored(16);
            change(&mut file);
            s.gz(&file.bytes());
        })
    };
    let kept = "it keeps NaN and infinities, which no method here can use";
    vec![
        float("a few NaN voxels", differs(&["NaN or infinite; they were set to 0"], "values", kept), {
            Box::new(every(1000, f32::NAN))
        }),
        float(
            "a few infinite voxels",
            differs(&["were set to 0"], "values", kept),
            Box::new(every(999, f32::INFINITY)),
        ),
        float("one voxel in 20 is NaN", Refused(NonFinite, &["NaN or infinite"]), Box::new(every(20, f32::NAN))),
        float("NaN all around the head", differs(&["all around the head, are NaN"], "values", kept), {
            Box::new(|f| {
                let [nx, ny, nz] = [f.dim[0], f.dim[1], f.dim[2]].map(|n| usize::try_from(n).unwrap());
                let at_edge = |i: usize, n: usize| i < 3 || i + 3 >= n;
                for (i, v) in f.data.chunks_mut(4).enumerate() {
                    if at_edge(i % nx, nx) || at_edge(i / nx % ny, ny) || at_edge(i / (nx * ny), nz) {
                        v.copy_from_slice(&f32::NAN.to_le_bytes());
                    }
                }
            })
        }),
        float("NaN only", Refused(NonFinite, &["NaN or infinite"]), Box::new(every(1, f32::NAN))),
        header("all zero", Refused(NoSignal, &["every voxel", "is 0"]), |f| f.data.fill(0)),
        header("constant", Refused(NoSignal, &["is 1799"]), |f| f.data.fill(7)),
        float("negative voxels", noted(&["negative, which a magnitude image should not have"]), {
            Box::new(|f| f.data[..400].chunks_mut(4).for_each(|v| v.copy_from_slice(&(-3_f32).to_le_bytes())))
        }),
        bold("bold with all volumes zero", Refused(NoSignal, &["every voxel"]), |s| {
            let mut file = s.head();
            file.data.fill(0);
            s.gz(&file.bytes());
        }),
    ]
}

/// Fields that say nothing about the voxels, or hold nonsense that nothing depends on.
fn ignored() -> Vec<Case> {
    let put = |at: usize, field: Vec<u8>| move |b: &mut Vec<u8>| b[at..at + field.len()].copy_from_slice(&field);
    vec![
        bytes("an intent code", FINE, put(68, 1001_i16.to_le_bytes().to_vec())),
        bytes("an unknown intent code", FINE, put(68, (-7_i16).to_le_bytes().to_vec())),
        bytes("dim_info that names no axes", FINE, put(39, vec![0xff])),
        bytes("cal_max NaN", FINE, put(124, f32::NAN.to_le_bytes().to_vec())),
        bytes("slice timing that is impossible", FINE, put(74, vec![0xff; 2])),
        bytes("a terminal's commands in descrip", FINE, put(148, b"\x1b[2J\x1b]0;owned\x07".to_vec())),
        bytes("descrip that is not UTF-8", FINE, put(148, vec![0xe9; 80])),
        t1w(
            "gzip of 1 GB of zeros after the image",
            Refused(neuro_preprocess::error::ErrorCode::TrailingData, &["goes on after the last voxel"]),
            |s| {
                let zeros = gzip(&vec![0; 64 << 20]);
                s.raw(&[gzip(&s.head().bytes()), zeros.repeat(16)].concat());
            },
        ),
    ]
}
