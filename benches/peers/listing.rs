//! Canned listings: the pages that the gateway would answer with, as files.

use std::{fmt::Write as _, fs, io, path::Path};

use jiff::Timestamp;

/// Rows of a page, as many as the service gives.
pub const PAGE: u32 = 50;
/// The file that is one gibibyte.
pub const LARGE: &str = "large.bin";
/// When the first task was created: 2026-10-01.
const FIRST_S: i64 = 1_790_812_800;

/// Where the links of a listing lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// To one who takes the request and never answers, so that a sweep is measured and no download.
    Stalled,
    /// To the large file.
    Large,
    /// Each to a small file of its own.
    Small,
}

/// A listing. In the stand-in of the gateway the id of the key says whose listing is asked for, as in the real one.
#[derive(Debug, Clone, Copy)]
pub struct Listing {
    pub key_id: &'static str,
    pub tasks: u32,
    pub links: Links,
    /// The status of a task, and the second in which it was last changed, after it was created.
    pub status: fn(u32) -> (&'static str, i64),
}

const fn success(_: u32) -> (&'static str, i64) {
    ("success", 46)
}

/// Fifty tasks on as many pages.
pub const CHANGED: u32 = 50;
const fn is_one_of_the_changed(task: u32) -> bool {
    task % 2_000 == 7
}

/// A hundred thousand tasks, some of them not finished.
pub const BEFORE: Listing = Listing {
    key_id: "LTAIbefore",
    tasks: 100_000,
    links: Links::Stalled,
    status: |task| if is_one_of_the_changed(task) { ("created", 1) } else { success(task) },
};
/// The same, and these have failed.
pub const AFTER: Listing = Listing {
    key_id: "LTAIafter",
    status: |task| if is_one_of_the_changed(task) { ("failed", 90) } else { success(task) },
    ..BEFORE
};
/// Work that grows.
pub const GROWING: [Listing; 4] =
    [growing("LTAIgrow1", 1_000), growing("LTAIgrow2", 10_000), growing("LTAIgrow3", 100_000), MOST];
/// The largest.
pub const MOST: Listing = growing("LTAIgrow4", 300_000);

const fn growing(key_id: &'static str, tasks: u32) -> Listing {
    Listing { key_id, tasks, links: Links::Stalled, status: success }
}

/// One task with a large file.
pub const ONE: Listing = Listing { key_id: "LTAIone", tasks: 1, links: Links::Large, status: success };
/// Many tasks with small files.
pub const MANY: Listing = Listing { key_id: "LTAImany", tasks: 5_000, links: Links::Small, status: success };
/// A page on which nothing happens.
pub const QUIET: Listing =
    Listing { key_id: "LTAIquiet", tasks: PAGE, links: Links::Stalled, status: |_| ("failed", 46) };
/// The same, and one task is waited for.
pub const BUSY: Listing =
    Listing { key_id: "LTAIbusy", status: |task| if task == 0 { ("created", 1) } else { ("failed", 46) }, ..QUIET };

impl Listing {
    pub const fn pages(&self) -> u32 {
        self.tasks.div_ceil(PAGE)
    }

    /// Writes the pages into a folder, named by their numbers. `link` says where the file of a task is.
    pub fn write(&self, folder: &Path, link: impl Fn(u32) -> String) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for page in 1..=self.pages() {
            fs::write(folder.join(format!("{page}.json")), self.page(page, &link))?;
        }
        Ok(())
    }

    fn page(&self, page: u32, link: &impl Fn(u32) -> String) -> String {
        let first = (page - 1) * PAGE;
        let mut rows = String::new();
        for task in first..(first + PAGE).min(self.tasks) {
            let (status, updated) = (self.status)(task);
            let created = FIRST_S + i64::from(task) * 10;
            let time = |second| Timestamp::from_second(second).unwrap_or_default();
            let link = match status {
                "success" => format!("\"DownloadUrl\":\"{}\",", link(task)),
                _ => String::new(),
            };
            let comma = if rows.is_empty() { "" } else { "," };
            // Writing to a string cannot fail.
            let _ = write!(
                rows,
                "{comma}{{\"TaskId\":\"{}\",\"TaskName\":\"traffic of all domains\",\"Status\":\"{status}\",{link}\
                 \"CreateTime\":\"{}\",\"UpdateTime\":\"{}\",\"TaskConfig\":{{\"StartTime\":\"2026-08-31T16:00:00Z\",\
                 \"EndTime\":\"2026-09-30T15:59:59Z\"}}}}",
                34_230_590_000_u64 + u64::from(task),
                time(created),
                time(created + updated),
            );
        }
        format!(
            "{{\"RequestId\":\"A91BE91F-0B34-4CBF-8E0F-{page:012X}\",\"UsageDataPerPage\":{{\"PageSize\":{PAGE},\
             \"TotalCount\":{},\"PageNumber\":{page},\"Data\":{{\"DataItem\":[{rows}]}}}}}}",
            self.tasks
        )
    }
}

/// The path and the signed query of a link, as long as those that the object store gives.
pub fn signed(path: &str) -> String {
    format!(
        "{path}?Expires=1798761600&OSSAccessKeyId=LTAI5tBenchmarkBenchmark&Signature=c2lnbmF0dXJlIG9mIDI4IGNoYXJz%3D"
    )
}
