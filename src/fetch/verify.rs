//! Whether the bytes that arrived are the bytes that the server has.

use std::{
    fmt,
    io::{self, Read},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::Md5;
use reqwest::header::{HeaderMap, HeaderName};
use sha2::{Digest as _, Sha256};

use crate::model::download::VerifiedBy;

/// A file is read in pieces of this many bytes: large enough that system calls do not count.
const READ_BYTES: usize = 256 * 1024;

/// Digests of a stream, computed as it passes. CRC-64/XZ is nearly free, so it is always there; MD5 costs several
/// times what the others do, so only where nothing else is given.
#[derive(Clone)]
pub struct Digests {
    length: u64,
    sha256: Sha256,
    crc64: crc64fast::Digest,
    md5: Option<Md5>,
}

impl Digests {
    /// Of no bytes yet.
    #[must_use]
    pub fn new(with_md5: bool) -> Self {
        Self { length: 0, sha256: Sha256::new(), crc64: crc64fast::Digest::new(), md5: with_md5.then(Md5::new) }
    }

    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        // A usize has at most 64 bits wherever this runs.
        self.length += bytes.len() as u64;
        self.sha256.update(bytes);
        self.crc64.write(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    /// Bytes taken in.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// SHA-256 so far.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256.clone().finalize().into()
    }

    /// CRC-64/XZ so far.
    #[must_use]
    pub fn crc64(&self) -> u64 {
        self.crc64.sum64()
    }

    /// MD5 so far, if it was asked for.
    #[must_use]
    pub fn md5(&self) -> Option<[u8; 16]> {
        self.md5.clone().map(|m| m.finalize().into())
    }
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digests").field("length", &self.length).finish_non_exhaustive()
    }
}

/// Digests of everything `source` still gives. Blocking: not for the runtime's threads. `go_on` is asked between
/// pieces, so that a stop does not wait for a large file.
///
/// # Errors
/// When reading fails, or with [`io::ErrorKind::Interrupted`] when `go_on` said no.
pub fn digest_reader(mut source: impl Read, with_md5: bool, go_on: impl Fn() -> bool) -> io::Result<Digests> {
    let mut digests = Digests::new(with_md5);
    let mut buffer = vec![0; READ_BYTES];
    // Ends with the file.
    loop {
        if !go_on() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "stopped while hashing"));
        }
        match source.read(&mut buffer) {
            Ok(0) => return Ok(digests),
            Ok(n) => digests.update(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Digests of a file as it is on disk, as [`digest_reader`] takes them.
///
/// # Errors
/// When it cannot be opened, and as [`digest_reader`].
pub fn rehash(path: &Path, go_on: impl Fn() -> bool) -> io::Result<Digests> {
    digest_reader(std::fs::File::open(path)?, false, go_on)
}

/// What the server says about the whole object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Length in bytes.
    pub length: Option<u64>,
    /// CRC-64/XZ.
    pub crc64: Option<u64>,
    /// MD5; absent where a CRC is given, which is as good and far cheaper.
    pub md5: Option<[u8; 16]>,
}

impl Expected {
    /// Reads the headers of an answer with status 200 or 206; `length` is the whole object's, from Content-Length or
    /// Content-Range. A digest that cannot be read counts as absent.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap, length: Option<u64>) -> Self {
        // An unsigned decimal; nothing else is known to be sent, and a guess would fail good files.
        let crc64 = text(headers, "x-oss-hash-crc64ecma").and_then(|t| t.parse().ok());
        let md5 = if crc64.is_some() { None } else { content_md5(headers).or_else(|| md5_of_etag(headers)) };
        Self { length, crc64, md5 }
    }

    /// Whether the wholeness of the file rests on more than its length.
    #[must_use]
    pub const fn has_digest(&self) -> bool {
        self.crc64.is_some() || self.md5.is_some()
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    headers.get(HeaderName::from_static(name))?.to_str().ok().map(str::trim)
}

fn content_md5(headers: &HeaderMap) -> Option<[u8; 16]> {
    STANDARD.decode(text(headers, "content-md5")?).ok()?.try_into().ok()
}

/// An ETag is an MD5 only for an object put in one piece; otherwise it is an opaque word.
fn md5_of_etag(headers: &HeaderMap) -> Option<[u8; 16]> {
    if text(headers, "x-oss-object-type")? != "Normal" {
        return None;
    }
    let hex_digits = text(headers, "etag")?.strip_prefix('"')?.strip_suffix('"')?;
    hex::decode(hex_digits).ok()?.try_into().ok()
}

/// The bytes are not the server's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another length.
    #[error("the file has {got} bytes and the server says {expected}")]
    Length {
        /// Arrived.
        got: u64,
        /// Announced.
        expected: u64,
    },
    /// Another CRC-64.
    #[error("the file's CRC-64 is {got} and the server says {expected}")]
    Crc64 {
        /// Computed.
        got: u64,
        /// Announced.
        expected: u64,
    },
    /// Another MD5.
    #[error("the file's MD5 is {got} and the server says {expected}")]
    Md5 {
        /// Computed, in hex.
        got: String,
        /// Announced, in hex.
        expected: String,
    },
    /// Nothing to compare with.
    #[error("the server gives neither a digest nor a length, so that nothing shows whether the file is whole")]
    Unverifiable,
    /// Nothing to compare with but the length of what may be another form of the file.
    #[error("the body is encoded, which was not asked for, and the server gives no digest of the file")]
    Encoded,
}

/// Compares what arrived with what was announced: the length where there is one, then the best digest.
///
/// # Errors
/// The first difference, or [`Mismatch::Unverifiable`] when nothing was announced.
pub fn verify(digests: &Digests, expected: &Expected) -> Result<VerifiedBy, Mismatch> {
    if let Some(length) = expected.length
        && length != digests.length()
    {
        return Err(Mismatch::Length { got: digests.length(), expected: length });
    }
    if let Some(crc64) = expected.crc64 {
        let got = digests.crc64();
        return if got == crc64 { Ok(VerifiedBy::Crc64) } else { Err(Mismatch::Crc64 { got, expected: crc64 }) };
    }
    if let Some(md5) = expected.md5 {
        // One that was not computed proves nothing, and must not pass for a comparison of lengths.
        let Some(got) = digests.md5() else { return Err(Mismatch::Unverifiable) };
        return if got == md5 {
            Ok(VerifiedBy::Md5)
        } else {
            Err(Mismatch::Md5 { got: hex::encode(got), expected: hex::encode(md5) })
        };
    }
    if expected.length.is_some() { Ok(VerifiedBy::Length) } else { Err(Mismatch::Unverifiable) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(bytes: &[u8]) -> Digests {
        let mut d = Digests::new(true);
        d.update(bytes);
        d
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    #[test]
    fn the_crc_is_the_one_that_oss_prints() {
        for (bytes, crc) in
            [(&b"123456789"[..], 11_051_210_869_376_104_954_u64), (b"hello world", 5_981_764_153_023_615_706), (b"", 0)]
        {
            assert_eq!(digests(bytes).crc64(), crc);
        }
    }

    #[test]
    fn digests_do_not_depend_on_how_the_bytes_arrive() {
        let whole = digests(b"hello world");
        let mut pieces = Digests::new(true);
        for byte in b"hello world" {
            pieces.update(&[*byte]);
        }
        assert_eq!(
            (pieces.length(), pieces.sha256(), pieces.crc64(), pieces.md5()),
            (whole.length(), whole.sha256(), whole.crc64(), whole.md5())
        );
        assert_eq!(hex::encode(whole.sha256()), "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
        assert_eq!(hex::encode(whole.md5().unwrap()), "5eb63bbbe01eeed093cb22bb8f5acdc3");
    }

    #[test]
    fn a_crc_is_preferred_and_spares_the_md5() {
        let given = headers(&[
            ("x-oss-hash-crc64ecma", "5981764153023615706"),
            ("content-md5", "XrY7u+Ae7tCTyyK7j1rNww=="),
            ("etag", "\"5EB63BBBE01EEED093CB22BB8F5ACDC3\""),
            ("x-oss-object-type", "Normal"),
        ]);
        let expected = Expected::from_headers(&given, Some(11));
        assert_eq!((expected.crc64, expected.md5), (Some(5_981_764_153_023_615_706), None));
        assert_eq!(verify(&digests(b"hello world"), &expected), Ok(VerifiedBy::Crc64));
        assert!(matches!(verify(&digests(b"hello worlt"), &expected), Err(Mismatch::Crc64 { .. })));
        assert!(matches!(verify(&digests(b"hello"), &expected), Err(Mismatch::Length { got: 5, expected: 11 })));
    }

    #[test]
    fn an_md5_serves_where_there_is_no_crc() {
        let etag = [("etag", "\"5EB63BBBE01EEED093CB22BB8F5ACDC3\""), ("x-oss-object-type", "Normal")];
        for given in [headers(&[("content-md5", "XrY7u+Ae7tCTyyK7j1rNww==")]), headers(&etag)] {
            let expected = Expected::from_headers(&given, None);
            assert!(expected.has_digest());
            assert_eq!(verify(&digests(b"hello world"), &expected), Ok(VerifiedBy::Md5));
            assert!(matches!(verify(&digests(b"hello worlt"), &expected), Err(Mismatch::Md5 { .. })));
        }
    }

    #[test]
    fn an_etag_that_is_no_md5_is_not_taken_for_one() {
        let etag = "\"5EB63BBBE01EEED093CB22BB8F5ACDC3\"";
        for given in [
            headers(&[("etag", etag)]),
            headers(&[("etag", etag), ("x-oss-object-type", "Multipart")]),
            headers(&[("etag", "\"5EB63BBBE01EEED093CB22BB8F5ACDC3-2\""), ("x-oss-object-type", "Normal")]),
            headers(&[("etag", "W/\"5EB63BBBE01EEED093CB22BB8F5ACDC3\""), ("x-oss-object-type", "Normal")]),
            headers(&[("etag", "\"5EB63BBB\""), ("x-oss-object-type", "Normal")]),
            headers(&[("x-oss-hash-crc64ecma", "-5"), ("content-md5", "nonsense")]),
        ] {
            assert!(!Expected::from_headers(&given, Some(1)).has_digest(), "{given:?}");
        }
    }

    #[test]
    fn the_length_alone_serves_where_there_is_no_digest_and_nothing_is_no_proof() {
        let expected = Expected { length: Some(5), ..Expected::default() };
        assert_eq!(verify(&digests(b"hello"), &expected), Ok(VerifiedBy::Length));
        assert_eq!(verify(&digests(b"hello"), &Expected::default()), Err(Mismatch::Unverifiable));
    }

    #[test]
    fn an_md5_that_was_not_computed_is_no_proof() {
        let expected = Expected { length: Some(0), md5: digests(b"").md5(), crc64: None };
        assert_eq!(verify(&Digests::new(true), &expected), Ok(VerifiedBy::Md5));
        assert_eq!(verify(&Digests::new(false), &expected), Err(Mismatch::Unverifiable));
        let with_crc = Expected { crc64: Some(0), ..Expected::default() };
        assert!(with_crc.has_digest());
    }

    /// Gives these results one after the other, then nothing.
    struct Reader(Vec<io::Result<&'static [u8]>>);

    impl Read for Reader {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let bytes = self.0.remove(0)?;
            buffer[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        }
    }

    #[test]
    fn a_read_that_a_signal_interrupts_goes_on_and_one_that_fails_does_not() {
        let failure = |kind: io::ErrorKind| Err(kind.into());
        let interrupted = Reader(vec![Ok(b"hello "), failure(io::ErrorKind::Interrupted), Ok(b"world")]);
        assert_eq!(digest_reader(interrupted, false, || true).unwrap().sha256(), digests(b"hello world").sha256());
        let failed = Reader(vec![Ok(b"hello "), failure(io::ErrorKind::PermissionDenied), Ok(b"world")]);
        assert_eq!(digest_reader(failed, false, || true).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_file_is_hashed_as_it_is_on_disk_until_told_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let bytes = vec![7; READ_BYTES + 1];
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(rehash(&path, || true).unwrap().sha256(), digests(&bytes).sha256());
        let stopped = digest_reader(&bytes[..], false, || false).unwrap_err();
        assert_eq!(stopped.kind(), io::ErrorKind::Interrupted);
    }
}
