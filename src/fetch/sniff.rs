//! What a file is, told by its bytes: names, types and hosts may lie, and the service documents "Excel" for what it has
//! also called CSV.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use super::zip;
use crate::model::filename::ContentKind;

/// How much of a file's beginning is looked at.
const HEAD_BYTES: u64 = 64 * 1024;

/// Records of a text that are compared to tell a table from prose.
const RECORDS: usize = 10;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sniffed {
    /// What the file is.
    pub kind: ContentKind,
    /// An archive without its end record: cut, unless a digest says otherwise.
    pub is_cut_archive: bool,
}

/// The file is not an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnExport {
    /// No byte at all.
    #[error("the file is empty")]
    Empty,
    /// A page for people, or an error for programs.
    #[error("the file is an HTML or XML page, not an export")]
    Markup,
}

/// Looks into a file. Blocking: not for the runtime's threads.
///
/// # Errors
/// Outside when it cannot be read, inside when it is no export.
pub fn sniff(file: &mut File) -> io::Result<Result<Sniffed, NotAnExport>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(0))?;
    let mut head = Vec::new();
    file.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
    if head.is_empty() {
        return Ok(Err(NotAnExport::Empty));
    }
    if is_markup(&head) {
        return Ok(Err(NotAnExport::Markup));
    }
    let kind = kind_of(&head);
    if kind != ContentKind::Zip {
        return Ok(Ok(Sniffed { kind, is_cut_archive: false }));
    }
    let archive = zip::inspect(file, length, &head)?;
    let kind = if archive.is_workbook { ContentKind::Xlsx } else { ContentKind::Zip };
    Ok(Ok(Sniffed { kind, is_cut_archive: !archive.has_end }))
}

/// By the first bytes; an archive's contents are not looked at.
fn kind_of(head: &[u8]) -> ContentKind {
    const MAGIC: [(&[u8], ContentKind); 6] = [
        (b"PK\x03\x04", ContentKind::Zip),
        // an archive of nothing
        (b"PK\x05\x06", ContentKind::Zip),
        // an archive in several parts that turned out to need one
        (b"PK00PK\x03\x04", ContentKind::Zip),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ContentKind::Xls),
        (b"%PDF-", ContentKind::Pdf),
        (b"\x1f\x8b", ContentKind::Gz),
    ];
    if let Some((_, kind)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return *kind;
    }
    match text_of(head) {
        Some(text) if is_table(&text) => ContentKind::Csv,
        Some(_) => ContentKind::Txt,
        None => ContentKind::Bin,
    }
}

/// The structure of a text: its ASCII characters, with `?` for everything else. `None` for bytes that are no text in
/// UTF-8, UTF-16 with a byte order mark, or GB 18030 (which includes GBK).
fn text_of(head: &[u8]) -> Option<Vec<u8>> {
    if let Some(units) = utf16(head) {
        let ascii = |u: u16| u8::try_from(u).ok().filter(u8::is_ascii).unwrap_or(b'?');
        let text: Vec<u8> = units.map(ascii).collect();
        return (!has_control(&text)).then_some(text);
    }
    let bytes = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    if has_control(bytes) {
        return None;
    }
    let is_utf8 = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        // The head may end inside a character.
        Err(e) => e.error_len().is_none(),
    };
    // In both encodings a delimiter's byte is only ever itself: the second bytes of GB 18030 begin at 0x30 with digits,
    // and its two-byte characters at 0x40, above comma, semicolon, quote and tab.
    (is_utf8 || is_gb18030(bytes)).then(|| bytes.to_vec())
}

fn utf16(head: &[u8]) -> Option<impl Iterator<Item = u16>> {
    let (bytes, little) = match head {
        [0xff, 0xfe, rest @ ..] => (rest, true),
        [0xfe, 0xff, rest @ ..] => (rest, false),
        // Without a mark only markup's `<` is recognised.
        [b'<', 0, ..] => (head, true),
        [0, b'<', ..] => (head, false),
        _ => return None,
    };
    let unit = move |pair: &[u8]| {
        let pair = [pair[0], pair[1]];
        if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
    };
    Some(bytes.chunks_exact(2).map(unit))
}

fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().any(|b| matches!(b, 0..=8 | 0x0b | 0x0e..=0x1f | 0x7f))
}

fn is_gb18030(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    // Every turn consumes at least a byte of at most 64 KiB.
    while let Some(&first) = rest.first() {
        let width = match rest {
            [0..=0x7f, ..] => 1,
            [0x81..=0xfe, 0x30..=0x39, 0x81..=0xfe, 0x30..=0x39, ..] => 4,
            [0x81..=0xfe, 0x40..=0x7e | 0x80..=0xfe, ..] => 2,
            // The head may end inside a character.
            _ => return rest.len() < 4 && (0x81..=0xfe).contains(&first),
        };
        rest = &rest[width..];
    }
    true
}

/// Whether a text begins, after a byte order mark and blanks, with `<` and what markup continues with.
pub(super) fn is_markup(head: &[u8]) -> bool {
    let text = match utf16(head) {
        Some(units) => units.map(|u| u8::try_from(u).unwrap_or(b'?')).take(256).collect(),
        None => head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).to_vec(),
    };
    let start = text.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(text.len());
    matches!(text[start..], [b'<', b'!' | b'?' | b'a'..=b'z' | b'A'..=b'Z', ..])
}

/// Whether the first records have the same number of fields, and more than one, under some delimiter.
fn is_table(text: &[u8]) -> bool {
    [b',', b';', b'\t'].into_iter().any(|delimiter| {
        let counts = delimiters_per_record(text, delimiter);
        counts.first().is_some_and(|&first| first > 0 && counts.iter().all(|&c| c == first))
    })
}

/// How many delimiters each of the first records has, quoted ones not counted, blank lines left out. A last record that
/// the end of the head may have cut counts only if it is the only one.
fn delimiters_per_record(text: &[u8], delimiter: u8) -> Vec<usize> {
    let (mut counts, mut count, mut quoted, mut blank) = (Vec::new(), 0, false, true);
    for &byte in text {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => {
                if !blank {
                    counts.push(count);
                }
                if counts.len() == RECORDS {
                    return counts;
                }
                (count, blank) = (0, true);
                continue;
            }
            _ if byte == delimiter && !quoted => count += 1,
            _ => {}
        }
        blank = false;
    }
    let whole = (text.len() as u64) < HEAD_BYTES / 2;
    if !blank && (whole || counts.is_empty()) {
        counts.push(count);
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn look(bytes: &[u8]) -> Result<Sniffed, NotAnExport> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        sniff(&mut file).unwrap()
    }

    fn kind(bytes: &[u8]) -> ContentKind {
        look(bytes).unwrap().kind
    }

    fn utf16le(text: &str) -> Vec<u8> {
        [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
    }

    #[test]
    fn a_binary_format_is_told_by_its_first_bytes() {
        assert_eq!(kind(b"%PDF-1.4\n..."), ContentKind::Pdf);
        assert_eq!(kind(b"\x1f\x8b\x08\x00abc"), ContentKind::Gz);
        assert_eq!(kind(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00"), ContentKind::Xls);
        assert_eq!(kind(b"\x7fELF\x02\x01"), ContentKind::Bin);
        assert_eq!(kind(b"a,b\n\x00\x00"), ContentKind::Bin);
        assert_eq!(kind(b"\xff\xff\xff,\xff\n"), ContentKind::Bin);
    }

    #[test]
    fn a_workbook_is_told_from_other_archives() {
        let book = zip::archive(&[("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook/>")]);
        assert_eq!(look(&book), Ok(Sniffed { kind: ContentKind::Xlsx, is_cut_archive: false }));
        let other = zip::archive(&[("a.csv", b"a,b\n")]);
        assert_eq!(look(&other), Ok(Sniffed { kind: ContentKind::Zip, is_cut_archive: false }));
        assert!(look(&other[..other.len() - 3]).unwrap().is_cut_archive);
    }

    #[test]
    fn a_table_is_told_from_prose_in_every_encoding() {
        let gbk = b"\xca\xb1\xbc\xe4,\xd3\xf2\xc3\xfb\r\n2018,\xa3\xac\r\n";
        for table in [
            &b"time,domain,bytes\n2018-08-01,a.example.com,1\n"[..],
            b"\xef\xbb\xbftime;domain\r\n1;2\r\n",
            "时间\t域名\n1\t2".as_bytes(),
            b"a,\"b,\nc\"\n1,2\n",
            b"only,a,header",
            &utf16le("时间,域名\n1,2\n"),
            gbk,
        ] {
            assert_eq!(kind(table), ContentKind::Csv, "{table:?}");
        }
        for prose in [
            &b"no export today\n"[..],
            b"Dear customer, hello.\nNothing here\n",
            "没有数据".as_bytes(),
            &utf16le("没有数据"),
            b"\xc3\xbb\xd3\xd0\xca\xfd\xbe\xdd\n",
            b"{\"code\":1}",
        ] {
            assert_eq!(kind(prose), ContentKind::Txt, "{prose:?}");
        }
    }

    #[test]
    fn a_text_may_be_cut_inside_a_character_by_the_end_of_the_head() {
        let head = usize::try_from(HEAD_BYTES).unwrap();
        for offset in 0..4 {
            let mut long = b"x".repeat(offset);
            while long.len() < 2 * head {
                long.extend("时,间\n".as_bytes());
            }
            assert_eq!(kind(&long), ContentKind::Csv, "utf-8, {offset}");
            let mut long = b"x".repeat(offset);
            while long.len() < 2 * head {
                long.extend(b"\xca\xb1,\xbc\xe4\n");
            }
            assert_eq!(kind(&long), ContentKind::Csv, "gbk, {offset}");
        }
    }

    #[test]
    fn markup_is_no_export_and_neither_is_nothing() {
        for page in [
            &b"<!DOCTYPE html><html></html>"[..],
            b"<!doctype html>",
            b"<html>",
            b"\n\t <HTML>",
            b"\xef\xbb\xbf\r\n<?xml version=\"1.0\"?><Error/>",
            b"<Error><Code>x</Code></Error>",
            b"<!-- x --><p>",
            &utf16le("  <html>"),
            b"<\0h\0t\0m\0l\0",
            b"\0<\0?\0x\0m\0l",
        ] {
            assert_eq!(look(page), Err(NotAnExport::Markup), "{page:?}");
        }
        assert_eq!(look(b""), Err(NotAnExport::Empty));
        for text in [&b"<1,2\n3,4\n"[..], b"a<b,c\n", b" < x"] {
            assert!(look(text).is_ok(), "{text:?}");
        }
    }
}
