//! What the store knows of a listing, as far as it matters to windows.

use jiff::Timestamp;

use super::{
    super::{
        download::{DownloadState, Reason},
        filename,
        task::{Status, TaskId},
    },
    span::Span,
};

/// A task with its download and its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFacts {
    /// Its id in the listing.
    pub id: TaskId,
    /// The name that its maker gave it.
    pub name: Option<String>,
    /// The service's last word.
    pub status: Status,
    /// When it was created, by the service's clock.
    pub created_at: Option<Timestamp>,
    /// When it was first seen.
    pub first_seen_at: Timestamp,
    /// Begin and end of its range as the listing has them: the end is the last second.
    pub range: Option<(Timestamp, Timestamp)>,
    /// Since when it is no longer listed.
    pub unlisted_at: Option<Timestamp>,
    /// Its download, once it was listed as a success.
    pub download: Option<DownloadFacts>,
    /// Its published revisions, in ascending order.
    pub files: Vec<FileFacts>,
}

/// What came of a task's download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownloadFacts {
    /// How far it is.
    pub state: DownloadState,
    /// Why the last attempt failed.
    pub reason: Option<Reason>,
    /// Whether the id was issued anew, and its file not fetched since.
    pub reissued: bool,
}

/// A published revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Its number, from 1.
    pub revision: u32,
    /// Where it is, relative to the download folder.
    pub path: String,
    /// The digest of its bytes.
    pub sha256: String,
}

/// How it stands with the file of a task's present range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is published.
    Stored,
    /// The service works on it, or it is being downloaded.
    Pending,
    /// The service gave up.
    Failed,
    /// Its download was given up, for this reason. While the task is listed, a retry may bring it.
    Abandoned(Option<Reason>),
    /// It left the listing before it was delivered.
    Lost,
}

impl Fate {
    /// The word in tables, of what is not stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Abandoned(_) => "abandoned",
            Self::Lost => "unlisted",
        }
    }
}

impl TaskFacts {
    /// When it was created, as far as is known: not after it was first seen.
    #[must_use]
    pub fn born_at(&self) -> Timestamp {
        self.created_at.unwrap_or(self.first_seen_at)
    }

    /// The range that was asked for, if it is one.
    #[must_use]
    pub fn asked(&self) -> Option<Span> {
        self.range.and_then(|(start, end)| Span::listed(start, end))
    }

    /// What of its range a file of it can hold: nothing of what came about after the task was created.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.held(self.asked()?)
    }

    fn held(&self, asked: Span) -> Option<Span> {
        Span::new(asked.start(), asked.end().min(self.born_at()))
    }

    /// How it stands with the file of its range. A stored file whose bytes are missing or damaged is in the queue again,
    /// and does not count until it is back; no more does that of an earlier range under the same id.
    #[must_use]
    pub fn fate(&self) -> Fate {
        let listed = self.unlisted_at.is_none();
        match self.download {
            Some(DownloadFacts { state: DownloadState::Stored, reissued: false, .. }) => Fate::Stored,
            Some(DownloadFacts { state: DownloadState::Abandoned, reason, .. }) => {
                if listed {
                    Fate::Abandoned(reason)
                } else {
                    Fate::Lost
                }
            }
            // A link may still serve after its task has left the listing; if it does not, the download is abandoned.
            Some(DownloadFacts { state: DownloadState::Pending | DownloadState::Active, .. }) => Fate::Pending,
            _ if self.status == Status::Failed => Fate::Failed,
            _ if !listed => Fate::Lost,
            Some(_) | None => Fate::Pending,
        }
    }

    /// The files that count, each with what it can hold: the newest has the range of the task, earlier ones may have had
    /// another, which their names tell. Of an id that was issued anew the same bytes may be the file of both ranges.
    pub fn archived(&self) -> impl Iterator<Item = (&FileFacts, Span)> {
        let stored = self.download.is_some_and(|d| d.state == DownloadState::Stored);
        let reissued = self.download.is_some_and(|d| d.reissued);
        let newest = self.files.last().map(|file| file.revision);
        self.files.iter().filter(move |_| stored).flat_map(move |file| {
            let present = self.span().filter(|_| Some(file.revision) == newest && !reissued);
            let named = filename::range_of(&file.path).and_then(|(start, end)| Span::listed(start, end));
            let named = named.and_then(|asked| self.held(asked)).filter(|named| Some(*named) != present);
            present.into_iter().chain(named).map(move |span| (file, span))
        })
    }

    /// The order of age. Ids are numbers that grow: of the same second, the longer one is the newer.
    #[must_use]
    pub fn age_key(&self) -> (Timestamp, usize, &TaskId) {
        (self.born_at(), self.id.as_str().len(), &self.id)
    }
}
