//! What must be refused, with which code; and that no damage to a file makes the reader panic, guess or balloon.

use crate::common::nifti::{File, gzip, place, read};
use neuro_preprocess::error::{Coded, ErrorCode};
use nifti::NiftiError;
use std::os::unix::fs::symlink;
use std::path::Path;

fn code(result: Result<nifti::Image, NiftiError>) -> Option<ErrorCode> {
    result.err().map(|e| e.code())
}

/// The code for a path and the message; `read_header` must not be more lenient where it can tell.
fn refusal(path: &Path) -> (ErrorCode, String) {
    let error = nifti::read(path).unwrap_err();
    assert_eq!(nifti::read_header(path).unwrap_err().code(), error.code());
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    (error.code(), error.to_string())
}

#[test]
fn headers_that_cannot_be_right() {
    let f = || File::new(&[6, 5, 4, 3]);
    let sform_only = |srow| File { srow, ..f() };
    let cases: Vec<(&str, File, ErrorCode)> = vec![
        ("no dimensions", File { dim: vec![], ..f() }, ErrorCode::BadHeader),
        ("zero extent", File { dim: vec![6, 0, 4], ..f() }, ErrorCode::BadHeader),
        ("negative extent", File { dim: vec![6, -5, 4], ..f() }, ErrorCode::BadHeader),
        ("zero volumes", File { dim: vec![6, 5, 4, 0], ..f() }, ErrorCode::BadHeader),
        ("vector image", File { dim: vec![6, 5, 4, 1, 3], ..f() }, ErrorCode::WrongDimensions),
        ("too long for NIfTI-1", File { dim: vec![40_000, 5, 4], ..f().version_2() }, ErrorCode::WrongDimensions),
        ("complex", File { datatype: 32, ..f() }, ErrorCode::UnsupportedType),
        ("RGB", File { datatype: 128, ..f() }, ErrorCode::UnsupportedType),
        ("float128", File { datatype: 1536, ..f() }, ErrorCode::UnsupportedType),
        ("no type", File { datatype: 0, ..f() }, ErrorCode::UnsupportedType),
        ("offset in the header", File { vox_offset: 348.0, ..f() }, ErrorCode::BadHeader),
        ("offset between bytes", File { vox_offset: 400.5, ..f() }, ErrorCode::BadHeader),
        ("negative offset", File { vox_offset: -352.0, ..f() }, ErrorCode::BadHeader),
        ("offset past the end", File { vox_offset: 1e9, ..f() }, ErrorCode::Truncated),
        ("half a scaling", File { inter: f64::NAN, ..f() }, ErrorCode::BadHeader),
        ("singular sform", sform_only([[2.0, 0.0, 0.0, 0.0]; 3]), ErrorCode::BadOrientation),
        ("NaN sform", sform_only([[f64::NAN; 4]; 3]), ErrorCode::BadOrientation),
        ("empty sform", sform_only([[0.0; 4]; 3]), ErrorCode::BadOrientation),
        ("no form, no size", File { sform_code: 0, pixdim: [0.0; 8], ..f() }, ErrorCode::BadOrientation),
        ("no form, NaN size", File { sform_code: 0, pixdim: [f64::NAN; 8], ..f() }, ErrorCode::BadOrientation),
        ("pair", File { magic: b"ni1\0", ..f() }, ErrorCode::NotNifti),
        ("ANALYZE", File { magic: b"\0\0\0\0", ..f() }, ErrorCode::NotNifti),
    ];
    for (what, file, want) in cases {
        for content in [file.bytes(), gzip(&file.bytes())] {
            let (_dir, path) = place("scan.nii", &content);
            assert_eq!(refusal(&path).0, want, "{what}");
        }
    }
    let mut nine = f().bytes();
    nine[40] = 9;
    assert_eq!(code(read("a.nii", &nine)), Some(ErrorCode::BadHeader));
}

#[test]
fn files_that_are_something_else() {
    let scan = File::new(&[6, 5, 4]).bytes();
    let mut dicom = vec![0; 600];
    dicom[128..132].copy_from_slice(b"DICM");
    let long = |start: &[u8]| [start, &[7; 1000]].concat();
    let cases: Vec<(&str, Vec<u8>, ErrorCode, &str)> = vec![
        ("a.nii.gz", vec![], ErrorCode::Truncated, "empty"),
        ("a.nii.gz", gzip(&[]), ErrorCode::Truncated, "0 bytes"),
        ("a.nii.gz", b"<!DOCTYPE html><html><body>Sign in".to_vec(), ErrorCode::NotNifti, "web page"),
        ("a.nii.gz", gzip(b"\n <html>"), ErrorCode::NotNifti, "web page"),
        (
            "a.nii.gz",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n".to_vec(),
            ErrorCode::NotMaterialised,
            "git lfs pull",
        ),
        ("a.nii.gz", b"/annex/objects/MD5E-s5--0.nii.gz\n".to_vec(), ErrorCode::NotMaterialised, "datalad get /"),
        ("a.nii.xz", long(b"\xfd7zXZ\0"), ErrorCode::NotNifti, "xz"),
        ("a.nii.gz", b"\xfd7zXZ\0short".to_vec(), ErrorCode::NotNifti, "xz"),
        ("a.nii.gz", gzip(&gzip(&long(b"noise"))), ErrorCode::NotNifti, "gzip within gzip"),
        ("a.nii", dicom, ErrorCode::NotNifti, "dcm2niix"),
        ("._a.nii", long(b"\x00\x05\x16\x07"), ErrorCode::NotNifti, "AppleDouble"),
        ("a.mgz", gzip(&long(b"\x00\x00\x00\x01")), ErrorCode::NotNifti, "mri_convert"),
        ("a.nii", long(b"noise"), ErrorCode::NotNifti, "not NIfTI"),
        ("a.nii", b"short".to_vec(), ErrorCode::NotNifti, "not NIfTI"),
        ("a.img", long(b"noise"), ErrorCode::NotNifti, "single .nii.gz"),
        ("a.nii", scan[..200].to_vec(), ErrorCode::Truncated, "200 bytes"),
        ("a.nii", scan[..350].to_vec(), ErrorCode::Truncated, "592"),
    ];
    for (name, content, want, says) in cases {
        let (_dir, path) = place(name, &content);
        let (code, message) = refusal(&path);
        assert_eq!(code, want, "{message}");
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn paths_that_are_no_scan() {
    let dir = tempfile::TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    let target = ".git/annex/objects/Xx/Yy/MD5E-s9--0.nii.gz/MD5E-s9--0.nii.gz";
    symlink(format!("../../{target}"), at("annexed.nii.gz")).unwrap();
    symlink("annexed.nii.gz", at("link_to_annexed.nii.gz")).unwrap();
    symlink("nowhere.nii.gz", at("dangling.nii.gz")).unwrap();
    symlink("loop.nii.gz", at("loop.nii.gz")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(at("pipe.nii.gz")).status().unwrap().success());
    assert_eq!(refusal(&at("annexed.nii.gz")).0, ErrorCode::NotMaterialised);
    assert_eq!(refusal(&at("link_to_annexed.nii.gz")).0, ErrorCode::NotMaterialised);
    assert_eq!(refusal(&at("dangling.nii.gz")).0, ErrorCode::InputMissing);
    assert_eq!(refusal(&at("absent.nii.gz")).0, ErrorCode::InputMissing);
    assert_eq!(refusal(&at("loop.nii.gz")).0, ErrorCode::ReadFailed);
    assert_eq!(refusal(&at("pipe.nii.gz")).0, ErrorCode::NotNifti);
    assert_eq!(refusal(dir.path()).0, ErrorCode::NotNifti);
    assert_eq!(refusal(Path::new("/dev/zero")).0, ErrorCode::NotNifti);
}

#[test]
fn data_that_does_not_fit_the_header() {
    let bytes = File::new(&[9, 8, 7]).bytes();
    let more = [bytes.as_slice(), b"more"].concat();
    let zeros = [bytes.as_slice(), &vec![0; 3 << 20]].concat();
    let gz_then_garbage = [gzip(&bytes).as_slice(), b"garbage"].concat();
    for content in [&more, &gzip(&more), &gz_then_garbage, &zeros, &gzip(&zeros)] {
        assert_eq!(code(read("a", content)), Some(ErrorCode::TrailingData));
    }
    let mut wrong_sum = gzip(&bytes);
    let crc = wrong_sum.len() - 8;
    wrong_sum[crc] ^= 1;
    assert_eq!(code(read("a.nii.gz", &wrong_sum)), Some(ErrorCode::CorruptGzip));
}

#[test]
fn many_broken_voxels_are_refused() {
    let values = (0..1000).map(|n| if n < 11 { f64::NAN } else { 1.0 });
    let file = File::new(&[10, 10, 10]).voxels(64, 64, values.flat_map(f64::to_le_bytes).collect());
    assert_eq!(code(file.read()), Some(ErrorCode::NonFinite));
}

#[test]
fn cut_anywhere_a_file_is_truncated_not_filled() {
    for file in [File::new(&[7, 6, 5, 2]), File::new(&[7, 6, 5, 2]).version_2()] {
        let (plain, gz) = (file.bytes(), gzip(&file.bytes()));
        // From byte 8 on it is recognisable as either version.
        for cut in (8..plain.len()).step_by(7) {
            assert_eq!(code(read("a.nii", &plain[..cut])), Some(ErrorCode::Truncated), "{cut}");
        }
        for cut in (2..gz.len()).step_by(7) {
            assert_eq!(code(read("a.nii.gz", &gz[..cut])), Some(ErrorCode::Truncated), "{cut}");
        }
    }
}

/// The most memory this process ever had resident, in kB.
fn peak_kb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find(|l| l.starts_with("VmHWM"))?.split_whitespace().nth(1)?.parse().ok()
}

/// Any byte of the header replaced by any of several values, plain and compressed: the result is an image as long as the
/// file allows, or an error. (A panic fails the test by itself.)
#[test]
fn no_damage_to_a_header_breaks_the_reader() {
    for file in [File::new(&[5, 4, 3]), File::new(&[5, 4, 3]).version_2()] {
        let bytes = file.bytes();
        let header = bytes.len() - file.data.len();
        let (_dir, path) = place("a.nii", &bytes);
        for at in 0..header {
            for change in [0x01, 0x40, 0x80] {
                let mut damaged = bytes.clone();
                damaged[at] ^= change;
                let content = if at % 2 == 0 { damaged } else { gzip(&damaged) };
                std::fs::write(&path, content).unwrap();
                if let Ok(image) = nifti::read(&path) {
                    assert!(image.data.len() <= bytes.len() && image.data.iter().all(|v| v.is_finite()));
                }
            }
        }
    }
    // A header that asks for 281 TB, and one that overflows 64 bits.
    let huge = File { datatype: 64, bitpix: 64, dim: vec![32_767; 3], ..File::new(&[5, 4, 3]) };
    let beyond = File { dim: vec![32_767; 4], ..huge.clone() };
    for file in [huge, beyond] {
        for content in [file.bytes(), gzip(&file.bytes())] {
            assert_eq!(code(read("a.nii", &content)), Some(ErrorCode::Truncated));
        }
    }
    if let Some(kb) = peak_kb() {
        assert!(kb < 500_000, "{kb} kB");
    }
}

/// A changed byte in a gzip file is either noticed or without effect (the time in its header; a match at another distance
/// that says the same).
#[test]
fn no_damage_to_gzip_changes_voxels_unnoticed() {
    let bytes = gzip(&File::new(&[7, 6, 5]).bytes());
    let want = read("a.nii.gz", &bytes).unwrap().data;
    let (_dir, path) = place("a.nii.gz", &bytes);
    for at in 0..bytes.len() {
        for change in [0x01, 0x10, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= change;
            std::fs::write(&path, &damaged).unwrap();
            if let Ok(image) = nifti::read(&path) {
                assert!(image.data == want, "byte {at} ^ {change:#x}");
            }
        }
    }
}
