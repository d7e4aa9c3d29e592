//! Files as such: cut, damaged, something else than their name says, not there, not files.

use super::case::Outcome::{LeftOut, Refused};
use super::case::{Case, FINE, Spot, bytes, noted, t1w};
use crate::common::nifti::gzip;
use crate::common::pipe;
use flate2::{Compression, Crc, GzBuilder};
use neuro_preprocess::error::ErrorCode::{
    CorruptGzip, InputMissing, NotMaterialised, NotNifti, ReadFailed, TrailingData, Truncated,
};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

/// Every case of files beside good ones.
pub fn cases() -> Vec<Case> {
    let mut all = vec![
        t1w("a good T1w image", FINE, |s| s.gz(&s.head().bytes())),
        t1w("a good T1w image, not compressed", FINE, |s| s.plain(&s.head().bytes())),
    ];
    all.extend(cut());
    all.extend(framing());
    all.extend(foreign());
    all.extend(links());
    all
}

fn cut() -> Vec<Case> {
    vec![
        t1w("empty file", Refused(Truncated, &["the file is empty"]), |s| s.raw(&[])),
        t1w("gzip cut in its own header", Refused(Truncated, &["the gzip stream has no end"]), |s| {
            s.raw(&gzip(&s.head().bytes())[..9]);
        }),
        t1w("gzip cut in the NIfTI header", Refused(Truncated, &["the gzip stream has no end"]), |s| {
            s.raw(&gzip(&s.head().bytes())[..60]);
        }),
        t1w("gzip cut in the middle", Refused(Truncated, &["the gzip stream has no end"]), |s| {
            let whole = gzip(&s.head().bytes());
            s.raw(&whole[..whole.len() / 2]);
        }),
        t1w("gzip cut in its checksum", Refused(Truncated, &["the gzip stream has no end"]), |s| {
            let whole = gzip(&s.head().bytes());
            s.raw(&whole[..whole.len() - 5]);
        }),
        t1w("gzip of nothing", Refused(Truncated, &["ends after 0 bytes"]), |s| s.gz(&[])),
        bytes("gzip of a file cut in its header", Refused(Truncated, &["ends after 200 bytes"]), |b| b.truncate(200)),
        bytes("gzip of a file without its last voxel", Refused(Truncated, &["the data ends before"]), |b| {
            b.truncate(b.len() - 1);
        }),
        t1w("plain file without its last voxel", Refused(Truncated, &["the header asks for"]), |s| {
            let whole = s.head().bytes();
            s.plain(&whole[..whole.len() - 1]);
        }),
        bytes("bytes after the image", Refused(TrailingData, &["goes on after the last voxel"]), |b| {
            b.extend(b"more");
        }),
        t1w("bytes after the image, not compressed", Refused(TrailingData, &["goes on after"]), |s| {
            s.plain(&[s.head().bytes().as_slice(), b"more"].concat());
        }),
        t1w("bytes after the gzip stream", Refused(TrailingData, &["not gzip follow"]), |s| {
            s.raw(&[gzip(&s.head().bytes()).as_slice(), b"garbage"].concat());
        }),
        t1w("two gzip files in one, the second something else", Refused(TrailingData, &["goes on after"]), |s| {
            s.raw(&[gzip(&s.head().bytes()), gzip(b"something else")].concat());
        }),
        t1w("the scan twice in one file", Refused(TrailingData, &["goes on after"]), |s| {
            let once = gzip(&s.head().bytes());
            s.raw(&[once.as_slice(), &once].concat());
        }),
        bytes("3 MiB of zeros after the image", Refused(TrailingData, &["goes on after"]), |b| {
            b.extend(vec![0; 3 << 20]);
        }),
        bytes("zero padding after the image", noted(&["700 zero bytes follow the image"]), |b| b.extend([0; 700])),
        t1w("zero padding after the image, not compressed", noted(&["9 zero bytes follow the image"]), |s| {
            s.plain(&[s.head().bytes().as_slice(), &[0; 9]].concat());
        }),
        t1w("zero padding after the gzip stream", noted(&["512 zero bytes follow the image"]), |s| {
            s.raw(&[gzip(&s.head().bytes()).as_slice(), &[0; 512]].concat())
        }),
    ]
}

fn framing() -> Vec<Case> {
    let damaged = |name, at: fn(usize) -> std::ops::Range<usize>| {
        t1w(name, Refused(CorruptGzip, &["the gzip stream is damaged"]), move |s| {
            let mut whole = gzip(&s.head().bytes());
            for at in at(whole.len()) {
                whole[at] ^= 0xff;
            }
            s.raw(&whole);
        })
    };
    vec![
        damaged("gzip with a wrong checksum", |n| n - 8..n - 7),
        damaged("gzip with a wrong length", |n| n - 4..n - 3),
        damaged("gzip damaged in the middle", |n| n / 2..n / 2 + 64),
        damaged("gzip with an unknown method", |_| 2..3),
        t1w("several gzip members, as bgzip writes them", FINE, |s| s.raw(&bgzip(&s.head().bytes()))),
        t1w("a gzip member that ends within the header", FINE, |s| {
            let whole = s.head().bytes();
            s.raw(&[gzip(&whole[..100]), gzip(&whole[100..])].concat());
        }),
        t1w("gzip with name, comment and extra fields", FINE, |s| {
            let builder = GzBuilder::new().filename("scan.nii").comment("from the scanner").extra(&b"XX\x02\0ab"[..]);
            let mut encoder = builder.write(Vec::new(), Compression::fast());
            encoder.write_all(&s.head().bytes()).unwrap();
            s.raw(&encoder.finish().unwrap());
        }),
        t1w("gzip with a checksum of its header", FINE, |s| {
            let whole = gzip(&s.head().bytes());
            let mut start = whole[..10].to_vec();
            start[3] |= 2;
            let mut sum = Crc::new();
            sum.update(&start);
            s.raw(&[&start[..], &sum.sum().to_le_bytes()[..2], &whole[10..]].concat());
        }),
        t1w("gzip without compression", FINE, |s| {
            let mut encoder = GzBuilder::new().write(Vec::new(), Compression::none());
            encoder.write_all(&s.head().bytes()).unwrap();
            s.raw(&encoder.finish().unwrap());
        }),
        t1w("plain file named .nii.gz", noted(&["not compressed, unlike its name"]), |s| s.raw(&s.head().bytes())),
        t1w("gzip file named .nii", noted(&["compressed, unlike its name"]), |s| s.plain(&gzip(&s.head().bytes()))),
    ]
}

/// As bgzip writes: members below 64 kB with their size in an extra field, an empty one at the end.
fn bgzip(bytes: &[u8]) -> Vec<u8> {
    let member = |part: &[u8]| {
        let mut encoder = GzBuilder::new().extra(&b"BC\x02\0\0\0"[..]).write(Vec::new(), Compression::fast());
        encoder.write_all(part).unwrap();
        let mut member = encoder.finish().unwrap();
        let size = u16::try_from(member.len() - 1).unwrap();
        member[16..18].copy_from_slice(&size.to_le_bytes());
        member
    };
    bytes.chunks(30_000).chain([&[][..]]).flat_map(member).collect()
}

fn foreign() -> Vec<Case> {
    let is = |name, content: Vec<u8>, says| {
        t1w(name, Refused(NotNifti, says), move |s: &Spot<'_>| {
            s.raw(&content);
        })
    };
    let long = |start: &[u8]| [start, &[7; 1000]].concat();
    let mut dicom = vec![0; 600];
    dicom[128..132].copy_from_slice(b"DICM");
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    let page = b"<!DOCTYPE html><html><body>Sign in</body></html>";
    vec![
        is("web page", page.to_vec(), &["web page", "download the scan again"]),
        is("web page, compressed", gzip(b"\n <html>"), &["web page"]),
        is("JSON of a web server", b"{\"error\": \"forbidden\"}".to_vec(), &["no header was found"]),
        is("xz", long(b"\xfd7zXZ\0"), &["an xz archive", "xz -d"]),
        is("bzip2", long(b"BZh9"), &["a bzip2 archive"]),
        is("zstd", long(b"\x28\xb5\x2f\xfd"), &["a zstd archive"]),
        is("zip", long(b"PK\x03\x04"), &["a zip archive"]),
        is("7z", long(b"7z\xbc\xaf\x27\x1c"), &["a 7z archive"]),
        is("tar in gzip", gzip(&tar), &["no header was found"]),
        is("gzip within gzip", gzip(&gzip(&long(b"noise"))), &["gzip within gzip", "gzip -d"]),
        is("DICOM", dicom, &["DICOM", "dcm2niix"]),
        is("FreeSurfer MGH", gzip(&long(b"\0\0\0\x01")), &["MGH", "mri_convert"]),
        is("NRRD", long(b"NRRD0004\n"), &["NRRD"]),
        is("MINC 2", long(b"\x89HDF\r\n\x1a\n"), &["HDF5 or MINC"]),
        is("MINC 1", long(b"CDF\x01"), &["MINC", "mnc2nii"]),
        is("AppleDouble under the scan's name", long(b"\0\x05\x16\x07"), &["AppleDouble"]),
        is("noise", long(b"noise"), &["no header was found"]),
        is("a few bytes", b"short".to_vec(), &["no header was found"]),
        t1w("git-lfs pointer", Refused(NotMaterialised, &["git lfs pull"]), |s| {
            s.raw(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n");
        }),
        t1w("git-annex pointer", Refused(NotMaterialised, &["git-annex pointer", "datalad get"]), |s| {
            s.raw(b"/annex/objects/MD5E-s5--0.nii.gz\n");
        }),
    ]
}

fn links() -> Vec<Case> {
    let annexed = "../../.git/annex/objects/Xx/Yy/MD5E-s9--0.nii.gz/MD5E-s9--0.nii.gz";
    vec![
        t1w("git-annex link whose content is not here", Refused(NotMaterialised, &["datalad get"]), move |s| {
            symlink(annexed, s.scan(".nii.gz")).unwrap();
        }),
        t1w("git-annex link whose content is here", FINE, |s| {
            let content = ".git/annex/objects/SUB/MD5E-s9--0.nii.gz";
            s.copy_to(content);
            let to = format!("../../{}", content.replace("SUB", &format!("sub-{}", s.label)));
            symlink(to, s.scan(".nii.gz")).unwrap();
        }),
        t1w("link to nowhere", Refused(InputMissing, &["a link to", "does not exist"]), |s| {
            symlink("gone.nii.gz", s.scan(".nii.gz")).unwrap();
        }),
        t1w("link out of the dataset", FINE, |s| {
            let outside = s.root.with_file_name(format!("outside-{}.nii.gz", s.label));
            fs::write(&outside, gzip(&s.head().bytes())).unwrap();
            symlink(&outside, s.scan(".nii.gz")).unwrap();
        }),
        t1w("participant's folder that is a link", FINE, |s| {
            let store = format!("store/{}", s.label);
            s.copy_to(&format!("{store}/anat/SUB_T1w.nii.gz"));
            symlink(store, s.at("SUB")).unwrap();
        }),
    ]
}

/// What has the name of a scan and is none, or cannot be looked at. Left out, so apart from the others.
pub fn left_out() -> Vec<Case> {
    vec![
        t1w("link to itself", LeftOut("cannot be read: Too many levels of symbolic links"), |s| {
            symlink(s.scan(".nii.gz").file_name().unwrap(), s.scan(".nii.gz")).unwrap();
        }),
        t1w("links that lead to each other", LeftOut("cannot be read: Too many levels of symbolic links"), |s| {
            let (a, b) = (s.scan(".nii.gz"), s.at("SUB/anat/other.nii.gz"));
            symlink(a.file_name().unwrap(), &b).unwrap();
            symlink(b.file_name().unwrap(), &a).unwrap();
        }),
        t1w("folder with the name of a scan", LeftOut("not a regular file"), |s| {
            fs::create_dir(s.scan(".nii.gz")).unwrap();
        }),
        t1w("named pipe with the name of a scan", LeftOut("not a regular file"), |s| pipe(&s.scan(".nii.gz"))),
        t1w("socket with the name of a scan", LeftOut("not a regular file"), |s| {
            // It stays when its owner has gone.
            drop(UnixListener::bind(s.scan(".nii.gz")).unwrap());
        }),
    ]
}

/// What may not be read by the user the program runs as.
pub fn locked() -> Vec<Case> {
    fn lock(path: std::path::PathBuf) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    vec![
        t1w("a good scan beside locked ones", FINE, |s| s.gz(&s.head().bytes())),
        t1w("scan without permission", Refused(ReadFailed, &["cannot be read", "Permission denied"]), |s| {
            s.gz(&s.head().bytes());
            lock(s.scan(".nii.gz"));
        }),
        t1w(
            "sidecar without permission",
            Refused(neuro_preprocess::error::ErrorCode::BadSidecar, &["Permission denied"]),
            |s| {
                s.with_sidecar(b"{}");
                lock(s.scan(".json"));
            },
        ),
        t1w("anat folder without permission", LeftOut("cannot be read: Permission denied"), |s| {
            s.gz(&s.head().bytes());
            lock(s.at("SUB/anat"));
        }),
        t1w("participant's folder without permission", LeftOut("cannot be read: Permission denied"), |s| {
            s.gz(&s.head().bytes());
            lock(s.at("SUB"));
        }),
    ]
}
