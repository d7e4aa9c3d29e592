//! Opens a path as what it is, not as what it is called: refuses all that is not NIfTI, and gives the header.

use super::checks::Finding;
use super::fingerprint::Watched;
use super::raw::{Kind, Raw, SIZE_1, SIZE_2, identify};
use super::stream::{Fault, Gunzip, Stream};
use super::{Header, NiftiError, Note};
use crate::error::HeaderFault;
use std::fs::{self, File, FileType};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// No deflate stream expands by more than this (RFC 1951: a match of 258 bytes costs at least two bits).
const MAX_EXPANSION: u64 = 1032;

/// A file whose header is sound; the stream stands at the first voxel's byte only after `Opened::skip_to_data`.
pub(crate) struct Opened {
    pub stream: Stream,
    pub header: Header,
    pub notes: Vec<Note>,
    position: u64,
}

/// Opens a file and checks its header, reading `at_once` bytes at a time and no more than that needs.
pub(crate) fn open(path: &Path, at_once: usize) -> Result<Opened, NiftiError> {
    let Unchecked { length, gzipped, stream, raw, position } = unchecked(path, at_once)?;
    let (header, mut notes) = Header::from_raw(raw).map_err(|f| refused(path, f))?;
    notes.extend(misnamed(path, gzipped));
    enough_bytes(path, &header, length, gzipped)?;
    Ok(Opened { stream, header, notes, position })
}

/// A file whose header was read and not yet judged.
pub(crate) struct Unchecked {
    pub length: u64,
    pub gzipped: bool,
    stream: Stream,
    pub raw: Raw,
    position: u64,
}

/// Opens a file and reads the fields of its header.
pub(crate) fn unchecked(path: &Path, at_once: usize) -> Result<Unchecked, NiftiError> {
    let length = regular_file(path)?;
    let read_failed = |source| NiftiError::Read { path: path.to_owned(), source };
    let mut file = BufReader::with_capacity(at_once, File::open(path).and_then(Watched::new).map_err(read_failed)?);
    let gzipped = file.fill_buf().map_err(read_failed)?.starts_with(&[0x1f, 0x8b]);
    let mut stream = if gzipped { Stream::Gzip(Box::new(Gunzip::new(file))) } else { Stream::Plain(file) };
    let (raw, position) = fields(path, &mut stream)?;
    Ok(Unchecked { length, gzipped, stream, raw, position })
}

impl Opened {
    /// Moves on to the first voxel.
    pub(crate) fn skip_to_data(&mut self, path: &Path) -> Result<(), NiftiError> {
        self.pass_extensions(path)?;
        let gap = self.header.data_offset().saturating_sub(self.position);
        let passed = self.stream.skip(gap).map_err(|f| failed(path, f))?;
        if passed < gap {
            let problem = format!("the file ends before its data begins (byte {})", self.header.data_offset());
            return Err(NiftiError::Truncated { path: path.to_owned(), problem });
        }
        Ok(())
    }

    /// Passes over the extensions between header and data as far as their sizes make sense (`nifti1.h`: a flag of four
    /// bytes, then size and code before each; sizes are multiples of 16). They hold nothing that is used here, but a wrong
    /// size may mean that the data begins elsewhere, so that leaves a note.
    fn pass_extensions(&mut self, path: &Path) -> Result<(), NiftiError> {
        let end = self.header.data_offset();
        let mut flag = [0; 4];
        if end < self.position + 4 || !self.take(path, &mut flag)? || flag[0] == 0 {
            return Ok(());
        }
        while end - self.position >= 16 {
            let (at, mut size) = (self.position, [0; 4]);
            if !self.take(path, &mut size)? {
                return Ok(());
            }
            let size = if self.header.big_endian() { i32::from_be_bytes(size) } else { i32::from_le_bytes(size) };
            let whole = u64::try_from(size).ok().filter(|&n| n >= 16 && n % 16 == 0 && n <= end - at);
            let Some(whole) = whole else {
                let problem =
                    format!("the extension at byte {at} says it has {size} bytes, with the data at byte {end}");
                self.notes.push(Note::new(
                    "header_extension",
                    problem,
                    "it was passed over, and the data read at that byte",
                ));
                return Ok(());
            };
            self.position += self.stream.skip(whole - 4).map_err(|f| failed(path, f))?;
            if self.position < at + whole {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads some bytes before the data; whether they were there.
    fn take(&mut self, path: &Path, into: &mut [u8]) -> Result<bool, NiftiError> {
        let got = self.stream.fill(into).map_err(|f| failed(path, f))?;
        self.position += got as u64;
        Ok(got == into.len())
    }
}

/// A stream's failure, with the file's name.
pub(crate) fn failed(path: &Path, fault: Fault) -> NiftiError {
    let path = path.to_owned();
    match fault {
        Fault::Io(source) => NiftiError::Read { path, source },
        Fault::CutShort => NiftiError::Truncated { path, problem: "the gzip stream has no end".to_owned() },
        Fault::Corrupt(problem) => NiftiError::CorruptGzip { path, problem },
        Fault::Garbage => {
            NiftiError::TrailingData { path, problem: "bytes that are not gzip follow the gzip stream".to_owned() }
        }
    }
}

fn refused(path: &Path, finding: Finding) -> NiftiError {
    let Finding { refuse, note: Note { problem, action, .. } } = finding;
    let fault = refuse.unwrap_or(HeaderFault::Malformed);
    NiftiError::Header { path: path.to_owned(), fault, problem, action }
}

/// The length of the regular file at `path`. Looks before opening, since opening a pipe without a writer would hang.
fn regular_file(path: &Path) -> Result<u64, NiftiError> {
    let meta = fs::metadata(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => absent(path),
        _ => NiftiError::Read { path: path.to_owned(), source },
    })?;
    if !meta.is_file() {
        let problem = format!("this is {}, not a file", special(meta.file_type()));
        return Err(not_nifti(path, &problem, "name the scan itself"));
    }
    if meta.len() == 0 {
        return Err(NiftiError::Truncated { path: path.to_owned(), problem: "the file is empty".to_owned() });
    }
    Ok(meta.len())
}

fn special(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// Why nothing is at `path`: a link, perhaps by way of others, into an annex whose content was not fetched; another
/// dangling link; or just nothing.
fn absent(path: &Path) -> NiftiError {
    let (mut at, mut links) = (path.to_owned(), 0);
    // More links than this the system does not follow either.
    while let (Ok(target), true) = (fs::read_link(&at), links < 40) {
        at = at.parent().unwrap_or(Path::new("")).join(target);
        links += 1;
    }
    if links == 0 {
        return NiftiError::Missing { path: path.to_owned(), problem: "there is no such file".to_owned() };
    }
    let problem = format!("this is a link to {}, which does not exist", at.display());
    if at.to_string_lossy().contains("annex/objects/") {
        return not_materialised(path, &problem, "datalad get");
    }
    NiftiError::Missing { path: path.to_owned(), problem }
}

fn not_materialised(path: &Path, problem: &str, command: &str) -> NiftiError {
    let command = format!("{command} {}", path.display());
    NiftiError::NotMaterialised { path: path.to_owned(), problem: problem.to_owned(), command }
}

fn not_nifti(path: &Path, problem: &str, action: &str) -> NiftiError {
    NiftiError::NotNifti { path: path.to_owned(), problem: problem.to_owned(), action: action.to_owned() }
}

/// Formats that turn up under a NIfTI name: where their magic stands, the magic, what it is, what to do.
const FOREIGN: [(usize, &[u8], &str, &str); 12] = [
    (0, b"\xfd7zXZ\0", "an xz archive", "unpack it with xz -d and compress it with gzip"),
    (0, b"BZh", "a bzip2 archive", "unpack it with bzip2 -d and compress it with gzip"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it with zstd -d and compress it with gzip"),
    (0, b"PK\x03\x04", "a zip archive", "unpack it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (0, b"\x1f\x8b", "gzip within gzip", "unpack it once with gzip -d"),
    (0, b"\x00\x05\x16\x07", "a macOS metadata file (AppleDouble)", "remove it, the scan has the same name without ._"),
    (0, b"NRRD", "NRRD", "convert it to NIfTI"),
    (0, b"\x89HDF", "HDF5 or MINC", "convert it to NIfTI, for example with mnc2nii"),
    (0, b"CDF\x01", "MINC", "convert it to NIfTI, for example with mnc2nii"),
    (0, b"\x00\x00\x00\x01", "FreeSurfer MGH", "convert it to NIfTI with mri_convert"),
    (128, b"DICM", "DICOM", "convert it to NIfTI with dcm2niix"),
];

/// Refuses a file whose first bytes, inflated where it is gzip, are known to be something else.
fn recognise(path: &Path, start: &[u8]) -> Result<(), NiftiError> {
    if start.starts_with(b"version https://git-lfs.github.com/") {
        return Err(not_materialised(path, "this is a git-lfs pointer, not the scan", "git lfs pull --include"));
    }
    let text = start.trim_ascii_start();
    if text.starts_with(b"/annex/objects/") || text.starts_with(b".git/annex/objects/") {
        return Err(not_materialised(path, "this is a git-annex pointer, not the scan", "datalad get"));
    }
    let begins = |word: &[u8]| text.len() >= word.len() && text[..word.len()].eq_ignore_ascii_case(word);
    if begins(b"<!doctype") || begins(b"<html") || begins(b"<?xml") {
        let action = "download the scan again; the server answered with a page, often a login or an error";
        return Err(not_nifti(path, "this is a web page (HTML or XML)", action));
    }
    match FOREIGN.iter().find(|(at, magic, ..)| start.get(*at..).is_some_and(|rest| rest.starts_with(magic))) {
        Some((_, _, what, action)) => Err(not_nifti(path, &format!("this is {what}"), action)),
        None => Ok(()),
    }
}

/// The header's fields, and how many bytes they took.
fn fields(path: &Path, stream: &mut Stream) -> Result<(Raw, u64), NiftiError> {
    let mut bytes = [0_u8; SIZE_2];
    let got = stream.fill(&mut bytes[..SIZE_1]).map_err(|f| failed(path, f))?;
    let mut first = [0_u8; SIZE_1];
    first.copy_from_slice(&bytes[..SIZE_1]);
    recognise(path, &first[..got])?;
    let truncated = |got: usize, of: usize| NiftiError::Truncated {
        path: path.to_owned(),
        problem: format!("the file ends after {got} bytes, within its header of {of}"),
    };
    let kind = identify(&first);
    if got < SIZE_1 && (got == 0 || kind != Kind::Unknown) {
        return Err(truncated(got, SIZE_1));
    }
    match kind {
        Kind::Nifti { single_file: false, .. } => Err(pair(path, "this is the header of a .hdr/.img pair")),
        Kind::Analyze => Err(pair(path, "this is an ANALYZE 7.5 header, or NIfTI without its magic")),
        Kind::Unknown if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("img")) => {
            Err(pair(path, "this is the data half of a .hdr/.img pair"))
        }
        Kind::Unknown => {
            Err(not_nifti(path, "this is not NIfTI: no header was found", "replace it by the converted scan"))
        }
        Kind::Nifti { version: 1, big_endian, .. } => Ok((Raw::parse_1(&first, big_endian), SIZE_1 as u64)),
        Kind::Nifti { big_endian, .. } => {
            let more = stream.fill(&mut bytes[SIZE_1..]).map_err(|f| failed(path, f))?;
            if SIZE_1 + more < SIZE_2 {
                return Err(truncated(SIZE_1 + more, SIZE_2));
            }
            text_mode(path, &bytes)?;
            Ok((Raw::parse_2(&bytes, big_endian), SIZE_2 as u64))
        }
    }
}

/// NIfTI-2 has line ends of all kinds after its magic, which show whether a transfer has changed them.
fn text_mode(path: &Path, bytes: &[u8; SIZE_2]) -> Result<(), NiftiError> {
    if bytes[8..12] == *b"\r\n\x1a\n" || bytes[8..12] == [0; 4] {
        return Ok(());
    }
    let problem = "the line ends after the magic were changed, as a transfer in text mode does".to_owned();
    let action = "copy the scan again in binary mode".to_owned();
    Err(NiftiError::Header { path: path.to_owned(), fault: HeaderFault::Malformed, problem, action })
}

fn pair(path: &Path, problem: &str) -> NiftiError {
    not_nifti(path, problem, "convert the pair to a single .nii.gz, for example with nib-convert or fslchfiletype")
}

fn misnamed(path: &Path, gzipped: bool) -> Option<Note> {
    let named_gz = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
    (named_gz != gzipped).then(|| {
        let is = if gzipped { "compressed" } else { "not compressed" };
        Note::new("extension", format!("the file is {is}, unlike its name says"), "it was read as what it is")
    })
}

/// Refuses a header that promises more than the file can hold, before anything is allocated on its word.
fn enough_bytes(path: &Path, header: &Header, length: u64, gzipped: bool) -> Result<(), NiftiError> {
    let holds = if gzipped { length.saturating_mul(MAX_EXPANSION) } else { length };
    match header.file_bytes() {
        Some(needed) if needed <= holds => Ok(()),
        needed => {
            let needed = needed.map_or_else(|| "more than 2^64".to_owned(), |n| n.to_string());
            let at_most = if gzipped { "can inflate to at most" } else { "has" };
            let problem = format!("the header asks for {needed} bytes, but the file {at_most} {holds}");
            Err(NiftiError::Truncated { path: path.to_owned(), problem })
        }
    }
}
