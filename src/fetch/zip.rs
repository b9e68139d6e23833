//! As much of the zip format as it takes to tell a whole archive from a cut one, and a workbook from other archives.

use std::io::{self, Read, Seek, SeekFrom};

/// The end record without its comment.
const END_BYTES: u64 = 22;

/// The comment's length is 16 bits.
const COMMENT_MAX: u64 = 0xffff;

/// As much of a directory as is read: a workbook names its parts in a few hundred bytes, and `xl/workbook` early.
const DIRECTORY_MAX: u64 = 1024 * 1024;

/// A directory entry without its texts.
const ENTRY_BYTES: usize = 46;

/// What an archive's end says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Archive {
    /// The end record is where it must be: the archive is not cut.
    pub(super) has_end: bool,
    /// A file named `xl/workbook…` is in it.
    pub(super) is_workbook: bool,
}

/// Looks at the end of an archive of `length` bytes, then at its directory; where there is none, at the names of the
/// first local headers in `head`.
pub(super) fn inspect(mut file: impl Read + Seek, length: u64, head: &[u8]) -> io::Result<Archive> {
    let tail_bytes = length.min(END_BYTES + COMMENT_MAX);
    let tail = read_at(&mut file, length - tail_bytes, tail_bytes)?;
    let Some((size, offset)) = end_record(&tail) else {
        return Ok(Archive { has_end: false, is_workbook: local_names_workbook(head) });
    };
    let directory = if offset < length { read_at(&mut file, offset, size.min(DIRECTORY_MAX))? } else { Vec::new() };
    // An archive with 64-bit records keeps its directory's place elsewhere: its local headers must do.
    let is_elsewhere = offset == u64::from(u32::MAX);
    // A record that does not find its directory belongs to an archive inside a cut archive.
    let has_end = size == 0 || is_elsewhere || directory.starts_with(b"PK\x01\x02");
    let is_workbook = directory_names_workbook(&directory) || local_names_workbook(head);
    Ok(Archive { has_end, is_workbook })
}

fn read_at(file: &mut (impl Read + Seek), offset: u64, bytes: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut buffer = Vec::new();
    file.take(bytes).read_to_end(&mut buffer)?;
    Ok(buffer)
}

/// The directory's size and offset. The record must end exactly with the file, comment included.
fn end_record(tail: &[u8]) -> Option<(u64, u64)> {
    let last = tail.len().checked_sub(22)?;
    (0..=last).rev().find_map(|at| {
        let record = &tail[at..];
        let whole = record.starts_with(b"PK\x05\x06") && usize::from(u16_at(record, 20)?) + 22 == record.len();
        if whole { Some((u32_at(record, 12)?.into(), u32_at(record, 16)?.into())) } else { None }
    })
}

fn directory_names_workbook(mut entries: &[u8]) -> bool {
    // Every turn consumes an entry of at least 46 bytes of at most a mebibyte.
    while entries.starts_with(b"PK\x01\x02") && entries.len() >= ENTRY_BYTES {
        let (Some(name), Some(extra), Some(comment)) = (u16_at(entries, 28), u16_at(entries, 30), u16_at(entries, 32))
        else {
            return false;
        };
        if entries[ENTRY_BYTES..].starts_with(b"xl/workbook") && name >= 11 {
            return true;
        }
        let next = ENTRY_BYTES + usize::from(name) + usize::from(extra) + usize::from(comment);
        entries = entries.get(next..).unwrap_or_default();
    }
    false
}

fn local_names_workbook(mut headers: &[u8]) -> bool {
    // Every turn consumes a header of at least 30 bytes of at most 64 KiB.
    while headers.starts_with(b"PK\x03\x04") && headers.len() >= 30 {
        let (Some(size), Some(name), Some(extra)) = (u32_at(headers, 18), u16_at(headers, 26), u16_at(headers, 28))
        else {
            return false;
        };
        if headers[30..].starts_with(b"xl/workbook") && name >= 11 {
            return true;
        }
        let Ok(size) = usize::try_from(size) else { return false };
        let next = 30 + usize::from(name) + usize::from(extra) + size;
        headers = headers.get(next..).unwrap_or_default();
    }
    false
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// An archive of uncompressed files, for tests: no other part of this program writes one.
#[cfg(test)]
pub(super) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in files {
        let offset = u32::try_from(out.len()).unwrap();
        let size = u32::try_from(data.len()).unwrap().to_le_bytes();
        let mut fields = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        fields.extend(size);
        fields.extend(size);
        fields.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        fields.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&fields);
        out.extend(name.as_bytes());
        out.extend(*data);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&fields);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let offset = u32::try_from(out.len()).unwrap();
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    out.extend(&directory);
    out.extend(b"PK\x05\x06\x00\x00\x00\x00");
    out.extend(count);
    out.extend(count);
    out.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    out.extend(offset.to_le_bytes());
    out.extend([0, 0]);
    out
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn look(bytes: &[u8]) -> Archive {
        inspect(Cursor::new(bytes), bytes.len() as u64, &bytes[..bytes.len().min(64 * 1024)]).unwrap()
    }

    #[test]
    fn a_workbook_is_told_by_its_directory() {
        let book = archive(&[("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook/>")]);
        assert_eq!(look(&book), Archive { has_end: true, is_workbook: true });
        let far = archive(&[("big", &vec![0; 100_000]), ("xl/workbook.xml", b"")]);
        assert_eq!(look(&far), Archive { has_end: true, is_workbook: true });
    }

    #[test]
    fn an_archive_that_holds_a_workbook_is_no_workbook() {
        let book = archive(&[("xl/workbook.xml", b"<workbook/>")]);
        let outer = archive(&[("july.xlsx", &book), ("august.xlsx", &book)]);
        assert_eq!(look(&outer), Archive { has_end: true, is_workbook: false });
    }

    #[test]
    fn a_cut_archive_has_no_end_wherever_it_is_cut() {
        let inner = archive(&[("a", b"1")]);
        let whole = archive(&[("first.zip", &inner), ("xl/workbook.xml", b"<workbook/>")]);
        for cut in 4..whole.len() {
            // Also exactly behind the inner archive, where it ends with an end record that is not its own.
            assert!(!look(&whole[..cut]).has_end, "cut at {cut}");
        }
        assert!(look(&whole).has_end);
        assert!(look(&whole[..whole.len() - 1]).is_workbook);
    }

    #[test]
    fn a_comment_belongs_to_the_end() {
        let mut commented = archive(&[("a", b"1")]);
        let at = commented.len() - 2;
        commented[at] = 5;
        commented.extend(b"hello");
        assert!(look(&commented).has_end);
        commented.push(b'!');
        assert!(!look(&commented).has_end);
    }
}
