//! What is known of the tasks that some pages show.

use std::{borrow::Cow, collections::HashMap};

use jiff::Timestamp;
use serde::Deserialize;
use sqlx::SqliteConnection;

use super::json;
use crate::{
    model::{
        download::{DownloadState, Queued},
        link::SignedUrl,
        observe::Known,
        task::{ListingKey, Status},
    },
    store::{Store, StoreError},
};

/// How a task stands before the page.
pub(super) struct Standing {
    pub(super) known: Known,
    pub(super) page: Option<i64>,
    pub(super) last_seen_at: String,
    pub(super) queued: Option<Queued>,
    pub(super) link_refused: Option<String>,
}

/// Tasks in a JSON text, some 100 kB: with more it would be mapped anew, and cleared, at every copy.
const LOT: usize = 200;

const STANDING: &str = "SELECT json_group_array(json_array(t.task_id, t.name, t.status, t.created_at, t.updated_at, t.range_start,
            t.range_end, t.unlisted_at IS NOT NULL, t.missed_at IS NOT NULL, t.update_recorded_at, t.page, t.last_seen_at,
            d.state, d.link, d.link_refused, d.wanted_at IS NOT NULL, d.recheck, d.reissued_at, d.rechecked_at,
            d.fetched_updated_at, d.changed_at))
     FROM json_each(?1) AS j
     CROSS JOIN tasks AS t ON t.account = ?2 AND t.export = ?3 AND t.task_id = j.value
     LEFT JOIN downloads AS d ON d.account = t.account AND d.export = t.export AND d.task_id = t.task_id";

/// A row of [`STANDING`], an array in this order. What people or the service wrote may hold escapes.
#[derive(Deserialize)]
struct StandingRow<'a> {
    #[serde(borrow)]
    task_id: Cow<'a, str>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    created_at: Option<&'a str>,
    updated_at: Option<&'a str>,
    range_start: Option<&'a str>,
    range_end: Option<&'a str>,
    unlisted: u8,
    missed: u8,
    update_recorded_at: Option<&'a str>,
    page: Option<i64>,
    last_seen_at: &'a str,
    state: Option<&'a str>,
    #[serde(borrow)]
    link: Option<Cow<'a, str>>,
    #[serde(borrow)]
    link_refused: Option<Cow<'a, str>>,
    wanted: u8,
    recheck: Option<u8>,
    reissued_at: Option<&'a str>,
    rechecked_at: Option<&'a str>,
    fetched_updated_at: Option<&'a str>,
    changed_at: Option<&'a str>,
}

impl Store {
    /// What is known of the tasks of some pages: their ids outside, the tables by their keys inside. One JSON text for each lot
    /// of them, since a row that is handed over by itself costs as much as reading it does.
    pub(super) async fn standing(
        &self,
        db: &mut SqliteConnection,
        listing: &ListingKey,
        ids: &[&str],
    ) -> Result<HashMap<String, Standing>, StoreError> {
        let mut standing = HashMap::with_capacity(ids.len());
        for lot in ids.chunks(LOT) {
            let known: String = sqlx::query_scalar(STANDING)
                .bind(json(lot))
                .bind(listing.account.as_str())
                .bind(listing.export.as_str())
                .fetch_one(&mut *db)
                .await
                .map_err(self.sql("read the tasks of a page"))?;
            let rows: Vec<StandingRow<'_>> = serde_json::from_str(&known).map_err(|e| self.inconsistent("tasks", e))?;
            for row in rows {
                standing.insert(row.task_id.clone().into_owned(), self.standing_of(row)?);
            }
        }
        Ok(standing)
    }

    fn standing_of(&self, row: StandingRow<'_>) -> Result<Standing, StoreError> {
        let time_of = |column, text: Option<&str>| self.time(column, text);
        let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        let known = Known {
            name: owned(row.name),
            status: self.word("tasks.status", Status::parse(&row.status))?,
            created_at: time_of("created_at", row.created_at)?,
            updated_at: time_of("updated_at", row.updated_at)?,
            range_start: time_of("range_start", row.range_start)?,
            range_end: time_of("range_end", row.range_end)?,
            unlisted: row.unlisted != 0,
            missed: row.missed != 0,
            update_recorded_at: time_of("update_recorded_at", row.update_recorded_at)?,
        };
        let queued = match row.state {
            None => None,
            Some(word) => Some(Queued {
                state: DownloadState::from_word(word)
                    .ok_or_else(|| self.inconsistent("downloads.state", format!("{word:?}")))?,
                link: row.link.map(|l| self.word("downloads.link", SignedUrl::parse(&l))).transpose()?,
                wanted: row.wanted != 0,
                recheck: row.recheck.unwrap_or(0) != 0,
                reissued_at: time_of("reissued_at", row.reissued_at)?,
                rechecked_at: time_of("rechecked_at", row.rechecked_at)?,
                fetched_updated_at: time_of("fetched_updated_at", row.fetched_updated_at)?,
                changed_at: time_of("changed_at", row.changed_at)?.unwrap_or(Timestamp::UNIX_EPOCH),
            }),
        };
        let (page, last_seen_at) = (row.page, row.last_seen_at.to_owned());
        Ok(Standing { known, page, last_seen_at, queued, link_refused: owned(row.link_refused) })
    }
}
