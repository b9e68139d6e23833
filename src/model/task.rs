//! What a task is: its identity, the service's last word about it, and how it looked in one listing.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

use super::link::SignedUrl;

/// A value that does not fit the newtype it was meant for. The text is a lower-case fragment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

impl ParseError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// The configured name of an account: `[a-z0-9][a-z0-9_-]{0,62}`. It is the identity of the account's rows and a
/// folder name, so nothing else is let in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(Arc<str>);

impl AccountName {
    /// The only door.
    ///
    /// # Errors
    /// When the text is empty, longer than 63 characters or holds a character outside `[a-z0-9_-]`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let valid = matches!(bytes.first(), Some(&b) if letter(b))
            && bytes.len() <= 63
            && bytes.iter().all(|&b| letter(b) || b == b'_' || b == b'-');
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(ParseError::new(format!(
                "{text:?} is not an account name: 1 to 63 of a-z, 0-9, '_' and '-', beginning with a letter or a digit"
            )))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// One kind of listing. The two have separate tasks, and an id may occur in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Export {
    /// `DescribeUserUsageDetailDataExportTask`: a point every five minutes for each domain.
    UsageDetail,
    /// `DescribeUserUsageDataExportTask`: its sibling, the usage of the whole account.
    Usage,
}

impl Export {
    /// Both, in the order in which they are shown.
    pub const ALL: [Self; 2] = [Self::UsageDetail, Self::Usage];

    /// The name used in configuration, tables, paths and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UsageDetail => "usage-detail",
            Self::Usage => "usage",
        }
    }

    /// The operation that lists it (API version 2018-05-10); also the name of the RAM action after `cdn:`.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::UsageDetail => "DescribeUserUsageDetailDataExportTask",
            Self::Usage => "DescribeUserUsageDataExportTask",
        }
    }

    /// The inverse of [`Export::as_str`].
    ///
    /// # Errors
    /// When the text names neither.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|e| e.as_str() == text)
            .ok_or_else(|| ParseError::new(format!("{text:?} is not an export: \"usage-detail\" or \"usage\"")))
    }
}

impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The service's id of a task: opaque text. The listing sends it as a number or as text, and over the years as
/// small integers, large integers and fragments of a UUID.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(Arc<str>);

impl TaskId {
    /// The longest id that is kept, in bytes. Real ones have 2 to 40; the bound keeps a broken answer out of the
    /// database and the logs.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// The only door.
    ///
    /// # Errors
    /// When the text is empty or longer than [`TaskId::MAX_BYTES`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.is_empty() {
            return Err(ParseError::new("the task id is empty"));
        }
        if text.len() > Self::MAX_BYTES {
            return Err(ParseError::new(format!(
                "the task id has {} bytes, more than {}",
                text.len(),
                Self::MAX_BYTES
            )));
        }
        Ok(Self(text.into()))
    }

    /// The id as the service sent it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// One (account, export): what is polled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListingKey {
    /// The configured account.
    pub account: AccountName,
    /// Which of its listings.
    pub export: Export,
}

impl fmt::Display for ListingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.export)
    }
}

/// So many rows of a listing have this word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Whose rows.
    pub listing: ListingKey,
    /// A status or a state, as stored.
    pub word: String,
    /// How many.
    pub count: u64,
}

/// The identity of a task: (account, export, task id).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// The listing it is a row of.
    pub listing: ListingKey,
    /// Its id there.
    pub id: TaskId,
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.listing, self.id)
    }
}

/// Text from the network as it is stored: at most so many characters, and no NUL, which would end it in SQLite's JSON.
#[must_use]
pub fn clean(text: &str, max_chars: usize) -> String {
    text.chars().take(max_chars).map(|c| if c == '\0' { '\u{FFFD}' } else { c }).collect()
}

/// The service's last word on a task, in lower case. The set is open: an unknown word is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Status {
    /// Accepted, the file is not there yet.
    Created,
    /// The file is there, and the listing links to it.
    Success,
    /// The service gave up.
    Failed,
    /// Any other word. Not finished, as far as anyone knows.
    Other(String),
}

impl Status {
    /// The longest word that is kept, in characters; more is cut. Known words have at most seven.
    pub const MAX_CHARS: usize = 64;

    /// Lower-cases and recognises the service's word.
    ///
    /// # Errors
    /// When the text is blank.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let word = clean(&text.trim().to_lowercase(), Self::MAX_CHARS);
        match word.as_str() {
            "" => Err(ParseError::new("the status is empty")),
            "created" => Ok(Self::Created),
            "success" => Ok(Self::Success),
            "failed" => Ok(Self::Failed),
            _ => Ok(Self::Other(word)),
        }
    }

    /// The word, as stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Created => "created",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Other(word) => word,
        }
    }

    /// True for `success` and `failed`; an unknown word may still change.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        matches!(self, Self::Success | Self::Failed)
    }

    /// True for the words this program knows.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The longest task name that is kept, in characters; more is cut.
pub const NAME_MAX_CHARS: usize = 1024;

/// A task as one listing showed it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSnapshot {
    /// Identity within the listing.
    pub id: TaskId,
    /// The user's text; may be anything, or missing.
    pub name: Option<String>,
    /// The service's word.
    pub status: Status,
    /// When the task was created, by the service's clock.
    pub created_at: Option<Timestamp>,
    /// When the service last touched it.
    pub updated_at: Option<Timestamp>,
    /// Begin of the exported range, inclusive.
    pub range_start: Option<Timestamp>,
    /// End of the exported range, inclusive.
    pub range_end: Option<Timestamp>,
    /// Where the file is, if the listing says so and it can be read as a link.
    pub link: Option<SignedUrl>,
}

#[cfg(test)]
mod tests;
