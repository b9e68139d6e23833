//! `why`: where a task stands, what was tried, and what happens next.

mod words;

use jiff::Timestamp;
use serde::Serialize;

use self::words::Telling;
use super::{
    Failure,
    args::WhyArgs,
    around::{self, Instance},
    output::Out,
    screen::Screen,
    task_ref,
};
use crate::{
    assembly, clock,
    config::Config,
    model::{
        backoff,
        schedule::Due,
        task::TaskKey,
        why::{Answer, Facts, Listing, Remedy, explain},
    },
    store::{AttemptRow, Store, TaskFacts, TaskRow},
};

/// Everything that is known of a task, and what follows from it.
pub(super) struct Case {
    pub key: TaskKey,
    pub row: TaskRow,
    pub known: TaskFacts,
    pub attempts: Vec<AttemptRow>,
    pub facts: Facts,
    pub answer: Answer,
    /// Why the last poll of its listing failed.
    pub listing_error: Option<String>,
    pub now: Timestamp,
}

/// Looks a task up and judges it.
pub(super) async fn examine(
    store: &Store,
    config: &Config,
    reference: &str,
    instance: &Instance,
    is_space_low: bool,
    now: Timestamp,
) -> Result<Case, Failure> {
    let (key, row) = task_ref::find(store, reference).await?;
    let Some(known) = store.task_facts(&key).await? else {
        return Err(Failure::other(format!("the row of task {key} is gone")));
    };
    let attempts = store.attempts_of(&key).await?;
    let listing = store.listing(&key.listing).await?.unwrap_or_default();
    let is_configured = assembly::listings(config).contains(&key.listing);
    let polls = around::polls(store, config, &key.listing, &listing, now).await?;
    let facts = Facts {
        status: known.status.clone(),
        is_unlisted: known.unlisted_at.is_some(),
        changed_at: known.changed_at,
        download: known.download,
        listing: is_configured.then(|| Listing { polls, walk_interval: around::walk_interval(config) }),
        is_running: instance.is_running(),
        is_space_low,
        horizon: backoff::horizon(config.retry.max),
    };
    let answer = explain(&facts, now);
    Ok(Case { key, row, known, attempts, facts, answer, listing_error: listing.error, now })
}

/// The answer as `--json` prints it. Times are as stored, in UTC.
#[derive(Serialize)]
struct CaseJson<'a> {
    account: &'a str,
    export: &'a str,
    task_id: &'a str,
    name: Option<&'a str>,
    status: &'a str,
    state: Option<&'a str>,
    unlisted_at: Option<&'a str>,
    configured: bool,
    running: Option<bool>,
    verdict: &'static str,
    again: bool,
    attempts: usize,
    failures: u32,
    max_attempts: u32,
    received_bytes: i64,
    last_attempt: Option<&'a AttemptRow>,
    path: Option<&'a str>,
    bytes: Option<i64>,
    stored_at: Option<&'a str>,
    reason: Option<&'a str>,
    error: Option<&'a str>,
    next: &'static str,
    next_at: Option<String>,
    next_within_ms: Option<u64>,
    needs_person: bool,
    remedies: Vec<RemedyJson>,
    listing_error: Option<&'a str>,
    text: String,
}

#[derive(Serialize)]
struct RemedyJson {
    what: &'static str,
    text: String,
}

/// Whether nothing happens, or nothing else than before, until a person does something. What `retry` would only hasten
/// comes by itself.
fn needs_person(remedies: &[Remedy]) -> bool {
    remedies.iter().any(|remedy| !matches!(remedy, Remedy::Retry))
}

/// The bytes that all attempts received.
pub(super) fn received(attempts: &[AttemptRow]) -> i64 {
    let of = |a: &AttemptRow| a.to_byte.unwrap_or(0).saturating_sub(a.from_byte.unwrap_or(0)).max(0);
    attempts.iter().map(of).fold(0, i64::saturating_add)
}

fn json<'a>(case: &'a Case, config: &Config, telling: &Telling<'_>) -> CaseJson<'a> {
    let Case { row, answer, now, .. } = case;
    let (next_at, next_within_ms) = match answer.due {
        Due::At(at) => (Some(clock::rfc3339(at)), None),
        Due::Now => (Some(clock::rfc3339(*now)), None),
        Due::Within(pause) => (None, u64::try_from(pause.as_millis()).ok()),
        Due::Never | Due::AtStart => (None, None),
    };
    CaseJson {
        account: &row.account,
        export: &row.export,
        task_id: &row.task_id,
        name: row.name.as_deref(),
        status: &row.status,
        state: row.state.as_deref(),
        unlisted_at: row.unlisted_at.as_deref(),
        configured: case.facts.listing.is_some(),
        running: case.facts.is_running,
        verdict: answer.verdict.as_str(),
        again: answer.is_again,
        attempts: case.attempts.len(),
        failures: case.facts.download.map_or(0, |d| d.failures),
        max_attempts: config.download.max_attempts,
        received_bytes: received(&case.attempts),
        last_attempt: case.attempts.last(),
        path: row.path.as_deref(),
        bytes: row.bytes,
        stored_at: row.stored_at.as_deref(),
        reason: row.reason.as_deref(),
        error: row.error.as_deref(),
        next: answer.next.as_str(),
        next_at,
        next_within_ms,
        needs_person: needs_person(&answer.remedies),
        remedies: answer
            .remedies
            .iter()
            .map(|remedy| RemedyJson { what: remedy.as_str(), text: telling.remedy(*remedy) })
            .collect(),
        listing_error: case.listing_error.as_deref(),
        text: telling.sentences().join(" "),
    }
}

/// The answer for people, line by line.
pub(super) fn lines(case: &Case, config: &Config, screen: &Screen) -> Vec<String> {
    Telling { case, config, screen }.lines()
}

/// Runs the command.
pub(crate) async fn run(config: &Config, args: &WhyArgs) -> Result<(), Failure> {
    let store = Store::open_read_only(&config.storage.state_dir).await?;
    let instance = Instance::of(&config.storage.state_dir);
    let is_space_low = around::disks(config).iter().any(|disk| disk.is_low);
    let case = examine(&store, config, &args.task, &instance, is_space_low, clock::now()).await?;
    // Fields of JSON are in UTC, and so are the sentences among them.
    let mut out = Out::in_zone(args.utc || args.json);
    if args.json {
        let screen = out.screen().clone();
        out.json(&json(&case, config, &Telling { case: &case, config, screen: &screen }))?;
    } else {
        for line in lines(&case, config, out.screen()) {
            out.line(&line)?;
        }
    }
    store.close_beside().await;
    out.finish()
}
