//! What is counted: the work that is done for each page or call, on pages as the service gives them.

use std::hint::black_box;

use cdn_usaged::{
    cdn::wire,
    model::{
        observe::{Known, observe},
        task::{AccountName, Export, ListingKey, Status, TaskId, TaskSnapshot},
    },
    rpc::signature::{self, EMPTY_BODY_SHA256},
    store::{PageRead, Store},
};
use jiff::Timestamp;

use crate::Failed;

const ROWS: u32 = 50;
/// As many as a sweep applies together.
const PAGES: u32 = 20;
const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Work that is done `rounds` times. Everything else that it does has to be the same for any number of rounds up to
/// `rounds_max`.
pub struct Case {
    /// As it is recorded.
    pub name: &'static str,
    /// What one round is.
    pub what: &'static str,
    /// How many rounds make a figure.
    pub rounds: u32,
    /// Does them.
    pub run: fn(rounds: u32, rounds_max: u32) -> Result<(), Failed>,
}

/// All of them, the cheapest first.
pub const CASES: [Case; 5] = [
    Case { name: "sign", what: "sign one request", rounds: 100, run: sign },
    Case { name: "observe", what: "judge the 50 tasks of a page, of which two are news", rounds: 100, run: judge },
    Case { name: "read", what: "read a page of 50 tasks, some 17 kB of JSON", rounds: 20, run: read },
    Case { name: "apply-same", what: "apply a group of 20 pages, nothing new", rounds: 4, run: apply_same },
    Case { name: "apply-new", what: "apply a group of 20 pages, all of it new", rounds: 2, run: apply_new },
];

fn sign(rounds: u32, _: u32) -> Result<(), Failed> {
    let request = signature::Request {
        method: "POST",
        query: &[("PageNumber", "1734"), ("PageSize", "50")],
        headers: &[
            ("host", "cdn.aliyuncs.com"),
            ("x-acs-action", "DescribeCdnUserUsageDetailDataExportTask"),
            ("x-acs-version", "2018-05-10"),
            ("x-acs-date", "2026-01-01T00:00:00Z"),
            ("x-acs-signature-nonce", "3fbf1c0d4cc0e77aa8a12b1ad6c5a1d7"),
            ("x-acs-content-sha256", EMPTY_BODY_SHA256),
        ],
    };
    for _ in 0..rounds {
        black_box(signature::sign("LTAI5tinstructions", "secret-of-instructions", black_box(&request)));
    }
    Ok(())
}

fn judge(rounds: u32, _: u32) -> Result<(), Failed> {
    let rows = rows(0)?;
    let mut known: Vec<Option<Known>> = rows.iter().map(|row| Some(observe(None, row, NOW).next)).collect();
    if let [first, .., last] = known.as_mut_slice() {
        *first = None;
        if let Some(last) = last {
            last.status = Status::parse("created")?;
        }
    }
    for _ in 0..rounds {
        for (known, seen) in known.iter().zip(&rows) {
            black_box(observe(black_box(known.as_ref()), black_box(seen), NOW));
        }
    }
    Ok(())
}

fn read(rounds: u32, _: u32) -> Result<(), Failed> {
    let body = body(0);
    for _ in 0..rounds {
        black_box(wire::page(black_box(body.as_bytes()))?);
    }
    Ok(())
}

fn apply_same(rounds: u32, _: u32) -> Result<(), Failed> {
    let group = group(0)?;
    applying(async |store, listing| {
        apply(store, listing, &group).await?;
        for _ in 0..rounds {
            apply(store, listing, &group).await?;
        }
        Ok(())
    })
}

fn apply_new(rounds: u32, rounds_max: u32) -> Result<(), Failed> {
    let groups = (0..=rounds_max).map(group).collect::<Result<Vec<_>, _>>()?;
    let rounds = usize::try_from(rounds)?;
    applying(async |store, listing| {
        // The first is into an empty database, which is another thing.
        for group in groups.iter().take(1 + rounds) {
            apply(store, listing, group).await?;
        }
        Ok(())
    })
}

/// Does something to a new database. It is not closed: what that costs depends on how large it is.
fn applying(work: impl AsyncFnOnce(&Store, &ListingKey) -> Result<(), Failed>) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listing = ListingKey { account: AccountName::parse("main")?, export: Export::UsageDetail };
    runtime.block_on(async {
        let store = Store::open(dir.path()).await?;
        store.register_listing(&listing, "https://cdn.aliyuncs.com").await?;
        work(&store, &listing).await
    })
}

async fn apply(store: &Store, listing: &ListingKey, group: &[Vec<TaskSnapshot>]) -> Result<(), Failed> {
    let pages: Vec<PageRead<'_>> = (1..)
        .zip(group)
        .map(|(number, rows)| PageRead { number, rows, rejected: Vec::new(), request_id: Some("REQUEST") })
        .collect();
    black_box(store.apply_pages(listing, &pages, None, NOW).await?);
    Ok(())
}

/// The pages of a group; those of another have other ids.
fn group(number: u32) -> Result<Vec<Vec<TaskSnapshot>>, Failed> {
    (0..PAGES).map(|page| rows(number * PAGES + page)).collect()
}

fn rows(page: u32) -> Result<Vec<TaskSnapshot>, Failed> {
    let rows = wire::page(body(page).as_bytes())?.rows;
    let expected = (ROWS as usize, Some(TaskId::parse(&id(page, 0))?));
    if (rows.len(), rows.first().map(|row| row.id.clone())) == expected {
        Ok(rows)
    } else {
        Err(format!("page {page} is read as {} tasks", rows.len()).into())
    }
}

/// Ids are as if at random: rows come in at any place of an index.
fn id(page: u32, row: u32) -> String {
    let serial = u64::from(page * ROWS + row) + 1;
    (10_000_000 + serial * 2_654_435_761 % 89_999_999).to_string()
}

/// An answer of the service: finished tasks, each with its signed link.
fn body(page: u32) -> String {
    let rows: Vec<String> = (0..ROWS)
        .map(|row| {
            let id = id(page, row);
            format!(
                r#"{{"TaskId":"{id}","TaskName":"usage-of-august-{id}","Status":"success","CreateTime":"2025-12-01T06:12:{row:02}Z","UpdateTime":"2025-12-01T06:31:{row:02}Z","DownloadUrl":"https://cdn-usage-export.oss-cn-hangzhou.aliyuncs.com/export/usage-detail/2025/12/01/{id}.csv?Expires=1769817600&OSSAccessKeyId=LTAI5tinstructions&Signature=kXb4c%2Fq8L0pVh5tZs2mQ{id}8nU%3D","TaskConfig":{{"StartTime":"2025-07-31T16:00:00Z","EndTime":"2025-08-31T15:59:59Z"}}}}"#
            )
        })
        .collect();
    format!(
        r#"{{"RequestId":"16A96B9A-F203-4EC5-8E43-CB92E68F4CD8","UsageDataPerPage":{{"TotalCount":100000,"PageNumber":{},"PageSize":{ROWS},"Data":{{"DataItem":[{}]}}}}}}"#,
        page + 1,
        rows.join(",")
    )
}
