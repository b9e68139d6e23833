//! The page, part by part. Every part has an id, by which the script puts a newer one in its place.

use jiff::Timestamp;

use super::{
    calendar,
    facts::{Disk, Facts, Row, Transfer},
    html::Html,
};
use crate::{
    config::show_size,
    model::{age::age, overview::Concern},
    store::RecentRow,
    text::{count, size, span},
};

/// Before what differs.
const HEAD: &str = "<meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
    <meta name=\"color-scheme\" content=\"light dark\"><link rel=\"stylesheet\" href=\"/style.css\">\
    <link rel=\"icon\" type=\"image/svg+xml\" href=\"/icon.svg\"><script src=\"/page.js\" defer></script></head><body>";

/// The whole page.
pub(super) fn page(facts: &Facts) -> String {
    let mut html = Html::default();
    let n = facts.concerns.len();
    html.raw("<!DOCTYPE html><html lang=\"en\" data-version=\"").raw(env!("CARGO_PKG_VERSION")).raw("\"><head><title>");
    html.raw(if n == 0 { "cdn-usaged: all is well" } else { "cdn-usaged: look here" }).raw("</title>").raw(HEAD);
    html.raw("<header><h1><img src=\"/icon.svg\" alt=\"\" width=\"28\" height=\"28\"> cdn-usaged</h1><p id=\"p-head\" data-part>");
    html.raw("As of ").time(facts.now).raw(". Version ").raw(env!("CARGO_PKG_VERSION")).raw(", running for ");
    html.text(&span(age(facts.since, facts.now)))
        .raw(".</p><p class=\"live\"><span id=\"note\" role=\"status\">Reload to see what is new</span> ");
    html.raw("<button id=\"pause\" type=\"button\" hidden aria-pressed=\"false\">Pause</button></p></header><main>");
    part(&mut html, "p-verdict", "Verdict", |html| verdict(html, facts));
    part(&mut html, "p-windows", "Completeness", |html| windows(html, facts));
    part(&mut html, "p-accounts", "Accounts", |html| accounts(html, facts));
    part(&mut html, "p-downloads", "Downloads", |html| downloads(html, facts));
    part(&mut html, "p-recent", "Recent changes", |html| recent(html, facts));
    part(&mut html, "p-disks", "Disk", |html| disks(html, facts));
    html.raw("</main><footer><p>Nothing can be changed here. The same in a terminal: <code>cdn-usaged status</code>, ");
    html.raw("<code>gaps</code>, <code>calendar</code>, <code>why</code>. Times are UTC.</p></footer></body></html>");
    html.into_text()
}

/// Instead of the page, when nothing can be read.
pub(super) fn unreadable(error: &str) -> String {
    let mut html = Html::default();
    html.raw("<!DOCTYPE html><html lang=\"en\"><head><title>cdn-usaged: the database cannot be read</title>").raw(HEAD);
    html.raw("<header><h1>cdn-usaged</h1></header><main><section class=\"bad verdict\"><h2>The database cannot be read</h2><p>");
    html.text(error).raw("</p></section></main></body></html>");
    html.into_text()
}

fn part(html: &mut Html, id: &'static str, title: &'static str, write: impl FnOnce(&mut Html)) {
    html.raw("<section id=\"").raw(id).raw("\" data-part aria-labelledby=\"").raw(id).raw("-h\"><h2 id=\"").raw(id);
    html.raw("-h\">").raw(title).raw("</h2>");
    write(html);
    html.raw("</section>");
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    // A clock that was set back.
    if at > now { "in the future".to_owned() } else { format!("{} ago", span(age(at, now))) }
}

fn verdict(html: &mut Html, facts: &Facts) {
    if facts.concerns.is_empty() {
        html.raw("<p class=\"good verdict\"><strong>All is well:</strong> nothing needs a person.</p>");
        return;
    }
    html.raw("<ul class=\"bad verdict\">");
    for concern in &facts.concerns {
        html.raw("<li>").text(&sentence(concern));
        match concern {
            Concern::Abandoned(_) => html.raw(": <code>cdn-usaged tasks --state abandoned</code> shows which"),
            Concern::RefusedHere(_) => html.raw(": <code>cdn-usaged tasks --state pending</code> shows which"),
            Concern::Lacking(_) => html.raw(": <code>cdn-usaged gaps</code> says what to do"),
            _ => html,
        };
        html.raw(".</li>");
    }
    html.raw("</ul>");
}

/// What is to be looked at. Errors stand with their listing.
fn sentence(concern: &Concern) -> String {
    match concern {
        Concern::LowSpace(folder) => {
            format!("Less than storage.min_free is free below storage.{folder}_dir: downloads wait; make room")
        }
        Concern::NeverPolled(key) => format!("{key} has never been read"),
        Concern::Failing(key) => format!("The last poll of {key} failed"),
        Concern::Overdue(key, overdue) => format!("{key}: {overdue}"),
        Concern::Suspect(key) => {
            format!("{key} lost more than half of its tasks at once: are its keys those of the right account?")
        }
        Concern::RefusedHere(n) => {
            let fail = if *n == 1 { "fails" } else { "fail" };
            format!("{} {fail} of what the configuration says, and will as long as it does", count(*n, "download"))
        }
        Concern::Lacking(n) => {
            format!("{n} expected {} overdue", if *n == 1 { "month or day is" } else { "months or days are" })
        }
        Concern::Abandoned(n) => format!("{} {} given up", count(*n, "download"), if *n == 1 { "is" } else { "are" }),
    }
}

fn windows(html: &mut Html, facts: &Facts) {
    if facts.expected.is_empty() {
        html.raw(
            "<p class=\"card\">Nothing is expected: say what shall be there in <code>[[account.expect]]</code>.</p>",
        );
        return;
    }
    calendar::legend(html);
    html.raw("<div class=\"cards\">");
    for (at, expected) in facts.expected.iter().enumerate() {
        calendar::expectation(html, at as u64, expected, facts.now);
    }
    html.raw("</div>");
}

fn accounts(html: &mut Html, facts: &Facts) {
    html.raw("<ul class=\"rows card\">");
    for row in &facts.rows {
        account(html, row, facts);
    }
    html.raw("</ul>");
}

fn account(html: &mut Html, row: &Row, facts: &Facts) {
    let known = &row.known;
    let concerns = |concern: &&Concern| match concern {
        Concern::NeverPolled(key) | Concern::Failing(key) | Concern::Overdue(key, _) | Concern::Suspect(key) => {
            *key == row.key
        }
        Concern::LowSpace(_) | Concern::Abandoned(_) | Concern::RefusedHere(_) | Concern::Lacking(_) => false,
    };
    let (class, word) = match facts.concerns.iter().find(concerns) {
        None if known.last_poll_at.is_none() => ("badge", "not read yet"),
        None => ("badge good", "well"),
        Some(Concern::Failing(_)) => ("badge bad", "failing"),
        Some(Concern::Suspect(_)) => ("badge bad", "suspect"),
        Some(_) => ("badge bad", "overdue"),
    };
    html.raw("<li><h3>").text(&row.key.to_string()).raw(" <span class=\"").raw(class).raw("\">").raw(word);
    html.raw("</span></h3><dl>");
    for (name, at) in [("Last read", known.last_poll_at), ("Read whole", known.last_consistent_sweep_at)] {
        html.raw("<div><dt>").raw(name).raw("</dt><dd>");
        match at {
            None => html.raw("never"),
            Some(at) => html.text(&ago(at, facts.now)).raw(" <small>").time(at).raw("</small>"),
        };
        html.raw("</dd></div>");
    }
    html.raw("<div><dt>Tasks listed</dt><dd>");
    match known.total {
        None => html.raw("not known"),
        Some(total) => html.number(total),
    };
    html.raw("</dd></div><div><dt>Not stored</dt><dd>");
    let states = ["active", "pending", "abandoned"].map(|state| (state, facts.undone(state, Some(&row.key))));
    let shown: Vec<String> = states.iter().filter(|(_, n)| *n > 0).map(|(state, n)| format!("{n} {state}")).collect();
    html.text(if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }.as_str()).raw("</dd></div></dl>");
    if let Some(error) = &known.error {
        html.raw("<p class=\"error\">").text(error).raw("</p>");
    }
    html.raw("</li>");
}

fn downloads(html: &mut Html, facts: &Facts) {
    html.raw("<p class=\"counts\"><b>").number(facts.transfers.len() as u64).raw("</b> under way, <b>");
    html.number(facts.undone("pending", None)).raw("</b> pending, <b>").number(facts.undone("abandoned", None));
    html.raw("</b> abandoned</p>");
    if facts.transfers.is_empty() && facts.retrying.is_empty() {
        return;
    }
    html.raw("<ul class=\"rows card\">");
    for transfer in &facts.transfers {
        bar(html, transfer, facts.now);
    }
    for retry in &facts.retrying {
        html.raw("<li><h3>").text(&format!("{}/{}/{}", retry.account, retry.export, retry.task_id)).raw("</h3><p>");
        html.raw("is tried again ");
        match retry.not_before.parse() {
            Ok(at) => html.raw("at ").time(at),
            Err(_) => html.text(&retry.not_before),
        };
        if let Some(reason) = &retry.reason {
            html.raw(", after <code>").text(reason).raw("</code>");
        }
        html.raw("</p></li>");
    }
    html.raw("</ul>");
}

fn bar(html: &mut Html, transfer: &Transfer, now: Timestamp) {
    let shown = |bytes: u64| size(i64::try_from(bytes).unwrap_or(i64::MAX));
    html.raw("<li><h3>")
        .text(&transfer.task)
        .raw("</h3><p><progress aria-label=\"Download of task ")
        .text(&transfer.task);
    match transfer.total_bytes {
        Some(total) => {
            let done = transfer.done_bytes.min(total);
            html.raw("\" max=\"").number(total).raw("\" value=\"").number(done).raw("\"></progress> ");
            html.number(done.saturating_mul(100) / total.max(1)).raw("\u{a0}%, ").text(&shown(done)).raw(" of ");
            html.text(&shown(total));
        }
        None => {
            html.raw("\"></progress> ").text(&shown(transfer.done_bytes));
        }
    }
    if let Some(since) = transfer.since {
        let took = age(since, now);
        html.raw(", for ").text(&span(took));
        if let Some(rate) = transfer.received_bytes.checked_div(took.unsigned_abs().as_secs()) {
            html.raw(" at ").text(&shown(rate)).raw("/s");
        }
    }
    if let Some(attempt) = transfer.attempt.filter(|n| *n > 1) {
        html.raw(", attempt ").number(attempt);
    }
    html.raw("</p></li>");
}

fn recent(html: &mut Html, facts: &Facts) {
    if facts.recent.is_empty() {
        html.raw("<p class=\"card\">Nothing has been seen yet.</p>");
        return;
    }
    html.raw("<ol class=\"log card\">");
    for row in &facts.recent {
        html.raw("<li>");
        match row.observed_at.parse() {
            Ok(at) => html.time(at),
            Err(_) => html.text(&row.observed_at),
        };
        html.raw(" <span class=\"task\">").text(&format!("{}/{}/{}", row.account, row.export, row.task_id));
        if let Some(name) = row.name.as_deref().filter(|name| !name.is_empty()) {
            html.raw(" <q>").text(name).raw("</q>");
        }
        html.raw("</span> <span class=\"").raw(outcome(row)).raw("\">").text(&change(row)).raw("</span></li>");
    }
    html.raw("</ol>");
}

/// What happened, in a few words.
fn change(row: &RecentRow) -> String {
    match (row.kind.as_str(), &row.from_status) {
        ("first", _) => format!("first seen, {}", row.to_status),
        ("status", Some(from)) => format!("{from} \u{2192} {}", row.to_status),
        (kind, _) => format!("{kind}, {}", row.to_status),
    }
}

fn outcome(row: &RecentRow) -> &'static str {
    match (row.kind.as_str(), row.to_status.as_str()) {
        ("unlisted", _) | (_, "failed") => "badge bad",
        (_, "success") => "badge good",
        _ => "badge",
    }
}

fn disks(html: &mut Html, facts: &Facts) {
    html.raw("<ul class=\"rows card\">");
    for disk in &facts.disks {
        one_disk(html, disk, facts);
    }
    html.raw("</ul>");
}

fn one_disk(html: &mut Html, disk: &Disk, facts: &Facts) {
    let shown = |bytes: u64| size(i64::try_from(bytes).unwrap_or(i64::MAX));
    let name = if disk.folder == "state" { "State" } else { "Files" };
    html.raw("<li><h3>").raw(name).raw(" <small>").text(&disk.path.display().to_string()).raw("</small></h3><p>");
    let Some(space) = disk.space else {
        html.raw("cannot be looked at</p></li>");
        return;
    };
    let used = space.total_bytes.saturating_sub(space.free_bytes);
    let high = space.total_bytes.saturating_sub(facts.min_free_bytes).max(1);
    html.raw("<meter aria-label=\"Used on the disk of ").raw(name).raw("\" min=\"0\" optimum=\"0\" max=\"");
    html.number(space.total_bytes.max(1)).raw("\" low=\"").number(high).raw("\" high=\"").number(high);
    html.raw("\" value=\"").number(used).raw("\"></meter> ").text(&shown(space.free_bytes)).raw(" free of ");
    html.text(&shown(space.total_bytes));
    html.raw(if facts.is_low(disk) { ": <strong class=\"w-overdue\">less than min_free " } else { " (min_free " });
    html.text(&show_size(facts.min_free_bytes));
    html.raw(if facts.is_low(disk) { "</strong></p></li>" } else { ")</p></li>" });
}
