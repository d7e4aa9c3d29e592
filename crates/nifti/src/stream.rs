//! A scan's bytes as a stream, plain or inflated, with the ways a stream fails kept apart.

use super::fingerprint::{Fingerprint, Watched};
use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, BufReader, Read};

/// Zero bytes that may follow an image: padding of tapes and block devices.
const PADDING: u64 = 1 << 20;

/// Why a stream could not be read on.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The operating system refused.
    Io(io::Error),
    /// The file ends inside a gzip member.
    CutShort,
    /// Deflate or its checksum failed.
    Corrupt(String),
    /// Bytes that are neither gzip nor padding follow the last gzip member.
    Garbage,
}

/// What follows an image.
#[derive(Debug)]
pub(crate) enum Tail {
    /// The end of the file after this many zero bytes; what the whole file was.
    End(u64, Fingerprint),
    /// Something else, or more zeros than padding explains.
    Data,
}

/// The bytes of a file, gzip or plain.
pub(crate) enum Stream {
    Plain(BufReader<Watched>),
    Gzip(Box<Gunzip<BufReader<Watched>>>),
}

impl Stream {
    /// Fills `into` as far as the stream goes; fewer bytes mean that it has ended.
    pub(crate) fn fill(&mut self, into: &mut [u8]) -> Result<usize, Fault> {
        let mut done = 0;
        while done < into.len() {
            let got = match self {
                Self::Plain(file) => retry(|| file.read(&mut into[done..])).map_err(Fault::Io)?,
                Self::Gzip(gzip) => gzip.read(&mut into[done..])?,
            };
            if got == 0 {
                break;
            }
            done += got;
        }
        Ok(done)
    }

    /// Reads past `count` bytes; the number passed is smaller if the stream ends first.
    pub(crate) fn skip(&mut self, count: u64) -> Result<u64, Fault> {
        let (mut buffer, mut passed) = ([0; 4096], 0);
        while passed < count {
            let want = (count - passed).min(buffer.len() as u64) as usize;
            let got = self.fill(&mut buffer[..want])?;
            passed += got as u64;
            if got < want {
                break;
            }
        }
        Ok(passed)
    }

    /// Reads what is left, which also verifies the checksum of the last gzip member.
    pub(crate) fn tail(mut self) -> Result<Tail, Fault> {
        let (mut buffer, mut zeros) = ([0; 4096], 0);
        loop {
            let got = self.fill(&mut buffer)?;
            if buffer[..got].iter().any(|&b| b != 0) {
                return Ok(Tail::Data);
            }
            zeros += got as u64;
            if zeros > PADDING {
                return Ok(Tail::Data);
            }
            if got < buffer.len() {
                break;
            }
        }
        let (padding, file) = match self {
            Self::Plain(file) => (0, Some(file)),
            Self::Gzip(gzip) => (gzip.padding, gzip.ended),
        };
        Ok(file.map_or(Tail::Data, |file| Tail::End(zeros + padding, file.get_ref().fingerprint())))
    }
}

/// Inflates every member of a gzip file (RFC 1952, section 2.2), as bgzip and parallel compressors write them, and
/// passes over zero padding after the last, as `gzip` does.
pub(crate) struct Gunzip<R> {
    /// The member being read; `None` after the last.
    member: Option<GzDecoder<R>>,
    padding: u64,
    /// The file after the last.
    ended: Option<R>,
}

impl<R: BufRead> Gunzip<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { member: Some(GzDecoder::new(source)), padding: 0, ended: None }
    }

    /// Reads some bytes; 0 at the end of the last member.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Fault> {
        while let Some(member) = &mut self.member {
            let got = retry(|| member.read(into)).map_err(gzip_fault)?;
            if got > 0 {
                return Ok(got);
            }
            if let Some(ended) = self.member.take() {
                self.member = self.next_member(ended.into_inner())?;
            }
        }
        Ok(0)
    }

    /// The member that follows, if one does.
    fn next_member(&mut self, mut source: R) -> Result<Option<GzDecoder<R>>, Fault> {
        loop {
            let ahead = fill_buf(&mut source)?;
            match ahead.iter().position(|&b| b != 0) {
                Some(0) if ahead[0] == 0x1f && self.padding == 0 => return Ok(Some(GzDecoder::new(source))),
                Some(_) => return Err(Fault::Garbage),
                None if ahead.is_empty() => {
                    self.ended = Some(source);
                    return Ok(None);
                }
                None => {
                    let zeros = ahead.len();
                    self.padding += zeros as u64;
                    if self.padding > PADDING {
                        return Err(Fault::Garbage);
                    }
                    source.consume(zeros);
                }
            }
        }
    }
}

fn gzip_fault(e: io::Error) -> Fault {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => Fault::CutShort,
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Fault::Corrupt(e.to_string()),
        _ => Fault::Io(e),
    }
}

/// Repeats a read that a signal has interrupted.
fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// `BufRead::fill_buf` with the same patience.
fn fill_buf<R: BufRead>(source: &mut R) -> Result<&[u8], Fault> {
    retry(|| source.fill_buf().map(<[u8]>::len)).map_err(Fault::Io)?;
    source.fill_buf().map_err(Fault::Io)
}
