//! Export tasks as the simulator keeps them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::object::Object;

/// One of the two kinds of listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Export {
    /// `DescribeUserUsageDetailDataExportTask` and its family.
    UsageDetail,
    /// `DescribeUserUsageDataExportTask` and its family.
    Usage,
}

impl Export {
    /// Both.
    pub const ALL: [Self; 2] = [Self::UsageDetail, Self::Usage];

    /// The operation that lists.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::UsageDetail => "DescribeUserUsageDetailDataExportTask",
            Self::Usage => "DescribeUserUsageDataExportTask",
        }
    }

    /// The operation that creates.
    #[must_use]
    pub const fn create(self) -> &'static str {
        match self {
            Self::UsageDetail => "CreateUsageDetailDataExportTask",
            Self::Usage => "CreateUserUsageDataExportTask",
        }
    }

    /// The operation that deletes.
    #[must_use]
    pub const fn delete(self) -> &'static str {
        match self {
            Self::UsageDetail => "DeleteUsageDetailDataExportTask",
            Self::Usage => "DeleteUserUsageDataExportTask",
        }
    }

    /// Its folder in the object store.
    pub(crate) const fn folder(self) -> &'static str {
        match self {
            Self::UsageDetail => "usage-detail",
            Self::Usage => "usage",
        }
    }
}

/// How a link is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkStyle {
    /// Signature V1: `OSSAccessKeyId`, `Expires` (absolute), `Signature`.
    V1,
    /// V1 by temporary keys, with `security-token`.
    V1WithToken,
    /// V1 and no scheme before the host.
    V1NoScheme,
    /// Signature V4: `x-oss-…`, the expiry relative.
    V4,
    /// V4 by temporary keys, with `x-oss-security-token`.
    V4WithToken,
    /// No signature: the object is public.
    Plain,
}

/// What the listing shows as the link of a task that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkMode {
    /// One in the style of the settings.
    Default,
    /// One in this style.
    Style(LinkStyle),
    /// This text.
    Fixed(String),
    /// No such field.
    Absent,
    /// `null`; in XML an empty element.
    Null,
    /// An empty text.
    Empty,
}

/// A task to be. Its status and its update time follow the schedule by the simulated clock.
#[derive(Debug, Clone)]
pub struct TaskSpec {
    /// The id; without one the next number is given.
    pub id: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// When it was created; [`TaskSpec::WHEN_ADDED`] is replaced when it is added.
    pub created_at: Timestamp,
    /// Start of what is exported.
    pub range_start: Timestamp,
    /// End of what is exported.
    pub range_end: Timestamp,
    /// Which status holds from how long after the creation on; before the first it is `created`.
    pub schedule: Vec<(Duration, String)>,
    /// Shown as the update time, whatever the schedule says.
    pub updated_at: Option<Timestamp>,
    /// The file.
    pub object: Object,
    /// The link.
    pub link: LinkMode,
    /// Shown instead of the row in JSON: any text.
    pub raw_json: Option<String>,
    /// Shown instead of the row in XML: any text.
    pub raw_xml: Option<String>,
}

impl Default for TaskSpec {
    /// Created when it is added, for August 2018 in Beijing, at once a success, a small CSV file.
    fn default() -> Self {
        Self {
            id: None,
            name: None,
            created_at: Self::WHEN_ADDED,
            range_start: Timestamp::constant(1_533_052_800, 0),
            range_end: Timestamp::constant(1_535_731_199, 0),
            schedule: vec![(Duration::ZERO, "success".to_owned())],
            updated_at: None,
            object: Object::default(),
            link: LinkMode::Default,
            raw_json: None,
            raw_xml: None,
        }
    }
}

impl TaskSpec {
    /// Stands for the time at which the task is added.
    pub const WHEN_ADDED: Timestamp = Timestamp::MIN;

    /// The default with a file.
    #[must_use]
    pub fn with_object(mut self, object: Object) -> Self {
        self.object = object;
        self
    }

    /// The same with an id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The same with a name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same with a time of creation.
    #[must_use]
    pub fn with_created_at(mut self, at: Timestamp) -> Self {
        self.created_at = at;
        self
    }

    /// The same for another range.
    #[must_use]
    pub fn with_range(mut self, start: Timestamp, end: Timestamp) -> Self {
        (self.range_start, self.range_end) = (start, end);
        self
    }

    /// The same with one status that never changes.
    #[must_use]
    pub fn with_status(self, status: impl Into<String>) -> Self {
        self.with_schedule([(Duration::ZERO, status.into())])
    }

    /// The same with a schedule: from how long after the creation on, which status.
    #[must_use]
    pub fn with_schedule<S: Into<String>>(mut self, schedule: impl IntoIterator<Item = (Duration, S)>) -> Self {
        self.schedule = schedule.into_iter().map(|(after, status)| (after, status.into())).collect();
        self
    }

    /// The same, created first and a success so long after.
    #[must_use]
    pub fn with_success_after(self, after: Duration) -> Self {
        self.with_schedule([(Duration::ZERO, "created"), (after, "success")])
    }

    /// The same with an update time that does not follow the schedule.
    #[must_use]
    pub fn with_updated_at(mut self, at: Timestamp) -> Self {
        self.updated_at = Some(at);
        self
    }

    /// The same with another link.
    #[must_use]
    pub fn with_link(mut self, link: LinkMode) -> Self {
        self.link = link;
        self
    }

    /// The same, its row replaced by this text in JSON.
    #[must_use]
    pub fn with_raw_json(mut self, row: impl Into<String>) -> Self {
        self.raw_json = Some(row.into());
        self
    }

    /// The same, its row replaced by this text in XML.
    #[must_use]
    pub fn with_raw_xml(mut self, row: impl Into<String>) -> Self {
        self.raw_xml = Some(row.into());
        self
    }

    /// The status and the update time at a time.
    #[must_use]
    pub fn status_at(&self, now: Timestamp) -> (&str, Timestamp) {
        let when = |after: &Duration| {
            let after = SignedDuration::try_from(*after).unwrap_or(SignedDuration::MAX);
            self.created_at.checked_add(after).unwrap_or(Timestamp::MAX)
        };
        let mut current = self.schedule.iter().map(|(after, status)| (status.as_str(), when(after)));
        let (status, since) = current.rfind(|(_, since)| *since <= now).unwrap_or(("created", self.created_at));
        (status, self.updated_at.unwrap_or(since))
    }
}
