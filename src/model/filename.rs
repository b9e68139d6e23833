//! What a published file is called.
//!
//! The name is made of the task's identity and range alone: the task's own name is user text, and the server's names
//! and types may lie.

use std::fmt::Write as _;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use sha2::{Digest, Sha256};

use super::task::{ListingKey, TaskId, TaskKey};

/// The longest encoded task id that is used as it is, in bytes. With the rest of a name, and an account of 63
/// characters before it in `.incoming/`, this stays well below the 255 bytes that file systems allow.
const ENCODED_MAX: usize = 100;

/// How much of a longer one is kept before its hash, for people.
const ENCODED_KEPT: usize = 60;

/// What the bytes are, whatever name or type the server gives. Decides the extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentKind {
    /// Office Open XML workbook.
    Xlsx,
    /// Compound-file workbook.
    Xls,
    /// Delimited text.
    Csv,
    /// PDF.
    Pdf,
    /// Any other zip archive.
    Zip,
    /// gzip.
    Gz,
    /// Text that is not delimited.
    Txt,
    /// Anything else.
    Bin,
}

impl ContentKind {
    /// The extension, without its dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Xlsx => "xlsx",
            Self::Xls => "xls",
            Self::Csv => "csv",
            Self::Pdf => "pdf",
            Self::Zip => "zip",
            Self::Gz => "gz",
            Self::Txt => "txt",
            Self::Bin => "bin",
        }
    }
}

/// Where a revision of a task's file is published, relative to the download folder:
/// `ACCOUNT/EXPORT/START_END_TASKID[.rN].EXT`. Revision 1 has no `.rN`.
#[must_use]
pub fn relative_path(
    listing: &ListingKey,
    task: &TaskId,
    range_start: Option<Timestamp>,
    range_end: Option<Timestamp>,
    revision: u32,
    kind: ContentKind,
) -> String {
    let (start, end) = (time(range_start), time(range_end));
    let revision = if revision > 1 { format!(".r{revision}") } else { String::new() };
    format!("{listing}/{start}_{end}_{}{revision}.{}", encoded(task), kind.extension())
}

/// What a task's unfinished file is called in `.incoming/`: the same for every attempt, and no other task's. Neither
/// account nor export nor encoded id holds a dot.
#[must_use]
pub fn partial_name(task: &TaskKey) -> String {
    format!("{}.{}.{}.part", task.listing.account, task.listing.export, encoded(&task.id))
}

/// How begin and end of a range are spelled in a name.
const TIME: &str = "%Y%m%dT%H%M%SZ";

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "unknown".to_owned(), |at| at.to_zoned(TimeZone::UTC).datetime().strftime(TIME).to_string())
}

/// The range that a published path names, begin and end as the listing had them; nothing when it names none.
#[must_use]
pub fn range_of(path: &str) -> Option<(Timestamp, Timestamp)> {
    let mut parts = path.rsplit('/').next()?.splitn(3, '_');
    let mut at = || {
        let civil = DateTime::strptime(TIME, parts.next()?).ok()?;
        civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    };
    Some((at()?, at()?))
}

/// The id percent-encoded outside `[A-Za-z0-9_-]`. A long one is cut and gets a hash of the raw id, behind a `~` that
/// no encoded id holds, so that two ids never share a name.
fn encoded(task: &TaskId) -> String {
    let mut text = String::new();
    for &byte in task.as_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    if text.len() > ENCODED_MAX {
        let hash = hex::encode(Sha256::digest(task.as_str()));
        text.truncate(ENCODED_KEPT);
        text.push('~');
        text.push_str(&hash[..16]);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::task::{AccountName, Export};

    fn listing() -> ListingKey {
        ListingKey { account: AccountName::parse("main").unwrap(), export: Export::UsageDetail }
    }

    fn path(id: &str, revision: u32, kind: ContentKind) -> String {
        let (start, end) = ("2018-07-31T16:00:00Z".parse().unwrap(), "2018-08-31T15:59:59.9Z".parse().unwrap());
        relative_path(&listing(), &TaskId::parse(id).unwrap(), Some(start), Some(end), revision, kind)
    }

    #[test]
    fn a_name_says_range_task_revision_and_kind() {
        assert_eq!(path("11", 1, ContentKind::Xlsx), "main/usage-detail/20180731T160000Z_20180831T155959Z_11.xlsx");
        assert_eq!(
            path("A91BE91F-0B34_x", 2, ContentKind::Csv),
            "main/usage-detail/20180731T160000Z_20180831T155959Z_A91BE91F-0B34_x.r2.csv"
        );
        let unknown = relative_path(&listing(), &TaskId::parse("7").unwrap(), None, None, 1, ContentKind::Bin);
        assert_eq!(unknown, "main/usage-detail/unknown_unknown_7.bin");
    }

    #[test]
    fn a_name_tells_the_range_that_it_was_made_of() {
        let range = ("2018-07-31T16:00:00Z".parse().unwrap(), "2018-08-31T15:59:59Z".parse().unwrap());
        assert_eq!(range_of(&path("A91_x", 2, ContentKind::Csv)), Some(range));
        for other in ["main/usage-detail/unknown_unknown_7.bin", "20180731T160000Z", "", "a/b/20180731T160000Z_x_7.bin"]
        {
            assert_eq!(range_of(other), None, "{other}");
        }
    }

    #[test]
    fn an_id_is_encoded_byte_by_byte_in_upper_case_hex() {
        assert!(path("../a b~刷", 1, ContentKind::Txt).ends_with("_%2E%2E%2Fa%20b%7E%E5%88%B7.txt"));
    }

    #[test]
    fn an_id_of_more_than_a_hundred_encoded_bytes_is_cut_and_hashed() {
        let longest = "x".repeat(100);
        assert!(path(&longest, 1, ContentKind::Bin).ends_with(&format!("_{longest}.bin")));

        // The digits are sha256sum's.
        let longer = path(&"x".repeat(101), 1, ContentKind::Bin);
        assert!(longer.ends_with(&format!("_{}~c675a2e604b0cd12.bin", "x".repeat(60))), "{longer}");

        // 34 characters of three encoded bytes each are 102; the cut counts encoded bytes.
        let dots = path(&".".repeat(34), 1, ContentKind::Bin);
        assert!(dots.contains(&format!("_{}~", "%2E".repeat(20))), "{dots}");
    }

    #[test]
    fn an_unfinished_file_is_named_after_the_whole_identity() {
        let key = TaskKey { listing: listing(), id: TaskId::parse("a.b").unwrap() };
        assert_eq!(partial_name(&key), "main.usage-detail.a%2Eb.part");
    }

    proptest! {
        #[test]
        fn no_id_leaves_its_folder(id in "\\PC{1,200}|[./\\\\\0~%]{1,200}", revision in 1_u32.., account in "[a-z0-9][a-z0-9_-]{0,62}") {
            let listing = ListingKey { account: AccountName::parse(&account).unwrap(), export: Export::Usage };
            let task = TaskId::parse(&id).unwrap();
            let path = relative_path(&listing, &task, Some(Timestamp::MIN), Some(Timestamp::MAX), revision, ContentKind::Xlsx);
            let parts: Vec<&str> = path.split('/').collect();
            prop_assert_eq!(parts.len(), 3);
            prop_assert_eq!(&parts[..2], &[account.as_str(), "usage"]);
            prop_assert!(!path.contains("..") && !path.contains('\0') && path.is_ascii());
            prop_assert!(parts[2].len() < 255);
            let partial = partial_name(&TaskKey { listing, id: task });
            prop_assert!(partial.len() < 255 && !partial.contains('/') && !partial.contains("..") && !partial.starts_with('.'));
        }

        #[test]
        fn two_ids_never_share_a_name(a in "[a.~%/]{1,80}", b in "[a.~%/]{1,80}") {
            prop_assume!(a != b);
            prop_assert_ne!(path(&a, 1, ContentKind::Bin), path(&b, 1, ContentKind::Bin));
        }
    }
}
