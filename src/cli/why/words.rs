//! The answer in words: one sentence on where the task stands, one on what was tried, one on what comes next, and one for
//! each thing that a person has to do.

use jiff::{SignedDuration, Timestamp};

use super::{Case, received};
use crate::{
    cli::{
        screen::{Screen, size, span},
        table::{flow, glued, unglued},
    },
    config::{Config, show_size},
    model::{
        age::age,
        download::Reason,
        schedule::Due,
        why::{Remedy, Step, Verdict},
    },
    store::AttemptRow,
    text::{count, visible},
};

/// Who tells it, and where.
pub(super) struct Telling<'a> {
    pub case: &'a Case,
    pub config: &'a Config,
    pub screen: &'a Screen,
}

impl Telling<'_> {
    /// Title, sentences and remedies, as wide as the screen.
    pub(super) fn lines(&self) -> Vec<String> {
        let Case { key, row, .. } = self.case;
        let name = row.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
        let state = row.state.as_deref().map(|state| format!(", {state}")).unwrap_or_default();
        let unlisted = if row.unlisted_at.is_some() { ", unlisted" } else { "" };
        let title = format!("{key}{name}: {}{unlisted}{state}", row.status);
        let mut lines = self.flow("", &title, 4);
        for sentence in self.parts() {
            lines.extend(self.flow("", &sentence, 0));
        }
        for remedy in &self.case.answer.remedies {
            lines.extend(self.flow("- ", &self.advice(*remedy), 2));
        }
        lines
    }

    fn flow(&self, start: &str, text: &str, indent: usize) -> Vec<String> {
        flow(start, &[visible(text).into_owned()], indent, self.screen.width)
    }

    /// What is so, what was tried, what comes.
    pub(super) fn sentences(&self) -> Vec<String> {
        self.parts().iter().map(|part| unglued(part)).collect()
    }

    /// The same, with times that stand on one line.
    fn parts(&self) -> Vec<String> {
        let stands = self.stands();
        let stands = if self.case.answer.is_again {
            format!("Its file is stored, and to be looked at again because the service has changed the task: {stands}.")
        } else {
            format!("{}.", upper_first(&stands))
        };
        // Where there never was anything to download, there was nothing to try.
        let tried = self.case.facts.download.is_some() || !self.case.attempts.is_empty();
        [Some(stands), tried.then(|| self.tried()), Some(self.next())].into_iter().flatten().collect()
    }

    fn time(&self, at: Timestamp) -> String {
        glued(&self.screen.time(at))
    }

    fn stored_time(&self, text: Option<&str>) -> String {
        text.and_then(|t| t.parse().ok()).map_or_else(|| "an unknown time".to_owned(), |at| self.time(at))
    }

    fn unlisted(&self) -> String {
        self.stored_time(self.case.row.unlisted_at.as_deref())
    }

    fn stands(&self) -> String {
        let Case { row, known, key, now, .. } = self.case;
        let status = &row.status;
        match self.case.answer.verdict {
            Verdict::Unconfigured => {
                format!("nothing is done for it, because {} is not in the configuration", key.listing)
            }
            Verdict::Unfinished => format!("the service still works on it (status {status}): there is no file yet"),
            Verdict::Unwatched => format!(
                "the service has not changed it for {} (status {status}), so that only full sweeps look for it",
                span(age(known.changed_at, *now))
            ),
            Verdict::FailedThere => format!("the service gave up on it (status {status}): there is no file"),
            Verdict::LeftEarly => {
                format!("it left the listing at {} (status {status}), before its file was queued", self.unlisted())
            }
            Verdict::Unqueued => "it is listed as success, and its download is not queued yet".to_owned(),
            Verdict::Withdrawn => {
                format!("its download waits, because the service says {status} where it said success before")
            }
            Verdict::WaitsForLink => "its download waits for a link from the listing".to_owned(),
            Verdict::WaitsForNothing => {
                format!("its download waits for a link from the listing, which the task left at {}", self.unlisted())
            }
            Verdict::WaitsForTime => "its download waits for the time of its next attempt".to_owned(),
            Verdict::WaitsForTurn => "its download is due".to_owned(),
            Verdict::WaitsForSpace => format!(
                "its download is due, and waits for room: less than storage.min_free ({}) is free",
                show_size(self.config.storage.min_free_bytes)
            ),
            Verdict::Downloading => {
                let since = known.active_since.map(|at| format!(" since {}", self.time(at))).unwrap_or_default();
                format!("attempt {} at its file is under way{since}", known.attempt)
            }
            Verdict::CutOff => {
                format!("attempt {} at its file was under way when the program ended", known.attempt)
            }
            Verdict::Stored => format!(
                "its file has been stored since {}: {} ({})",
                self.stored_time(row.stored_at.as_deref()),
                row.path.as_deref().unwrap_or("-"),
                size(row.bytes.unwrap_or(0))
            ),
            Verdict::Abandoned => format!("its download was given up after {}", self.failures()),
            Verdict::AbandonedGone => format!(
                "its download was given up after {}, and the task left the listing at {}",
                self.failures(),
                self.unlisted()
            ),
            Verdict::AbandonedWithdrawn => {
                format!("its download was given up after {}, and the service now says {status}", self.failures())
            }
        }
    }

    fn failures(&self) -> String {
        let failures = self.case.facts.download.map_or(0, |d| d.failures);
        format!("{} in a row", count(u64::from(failures), "failure"))
    }

    fn tried(&self) -> String {
        let attempts = &self.case.attempts;
        let Some(last) = attempts.last() else { return "No attempt at its file has ended yet.".to_owned() };
        let mut words: Vec<(&str, u64)> = Vec::new();
        for attempt in attempts {
            match words.iter_mut().find(|(word, _)| *word == attempt.result) {
                Some((_, n)) => *n += 1,
                None => words.push((&attempt.result, 1)),
            }
        }
        let ended = format!("the last, attempt {}, {}", last.attempt, self.ended(last));
        let got = format!("{} received", size(received(attempts)));
        if let [(_, 1)] = words.as_slice() {
            return format!("1 attempt, {got}: attempt {}, {}.", last.attempt, self.ended(last));
        }
        let words: Vec<String> = words.iter().map(|(word, n)| format!("{n} {word}")).collect();
        format!("{}, {got}: {}; {ended}.", count(attempts.len() as u64, "attempt"), words.join(", "))
    }

    fn ended(&self, attempt: &AttemptRow) -> String {
        let at = self.stored_time(Some(&attempt.ended_at));
        let why = match (&attempt.reason, &attempt.error) {
            (Some(reason), Some(error)) => format!(", {reason}: {}", error.trim_end_matches('.')),
            (Some(reason), None) => format!(", {reason}"),
            _ => String::new(),
        };
        format!("{} at {at}{why}", attempt.result)
    }

    fn next(&self) -> String {
        let answer = &self.case.answer;
        let when = self.when(answer.due);
        let attempt = self.case.known.attempt.saturating_add(1);
        match answer.next {
            Step::Nothing if answer.verdict == Verdict::Stored => {
                "Nothing is left to do; when the service changes the task, its file is looked at again, at most once a day."
                    .to_owned()
            }
            Step::Nothing => "Nothing more happens by itself.".to_owned(),
            Step::Poll => format!("The next poll of the listing, {when}, looks for it."),
            Step::Sweep => format!("The next full sweep of the listing, {when}, looks for it."),
            Step::Revival => {
                format!("The next full sweep of the regular beat, {when}, brings it back if it is still listed.")
            }
            Step::Walk => format!("The listing is asked for a link {when}; each time it has none costs an attempt."),
            Step::End => "The next thing is its end; a file that breaks off is resumed.".to_owned(),
            Step::Attempt if answer.verdict == Verdict::WaitsForTurn && answer.due == Due::Now => format!(
                "Attempt {attempt} begins when one of the {} is free and its host can be reached.",
                count(self.config.download.concurrency as u64, "slot")
            ),
            Step::Attempt if answer.verdict == Verdict::WaitsForSpace && answer.due == Due::Now => {
                format!("Attempt {attempt} begins when there is room.")
            }
            Step::Attempt => format!("Attempt {attempt} begins {when}{}.", self.left()),
        }
    }

    /// How many failures it may still have.
    fn left(&self) -> String {
        let failures = self.case.facts.download.map_or(0, |d| d.failures);
        match failures {
            0 => String::new(),
            _ => format!("; it is given up after {} in a row, and had {failures}", count_of(self.config)),
        }
    }

    fn when(&self, due: Due) -> String {
        let now = self.case.now;
        match due {
            Due::Never => "never".to_owned(),
            Due::Now => "at any moment".to_owned(),
            Due::At(at) => format!("at {} ({})", self.time(at), glued(&format!("in {}", span(at.duration_since(now))))),
            Due::Within(pause) => {
                format!("within {}", span(SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX)))
            }
            Due::AtStart => "when the program runs again".to_owned(),
        }
    }

    /// What a person has to do.
    pub(super) fn remedy(&self, remedy: Remedy) -> String {
        unglued(&self.advice(remedy))
    }

    fn advice(&self, remedy: Remedy) -> String {
        let Case { key, row, known, .. } = self.case;
        match remedy {
            Remedy::Start => {
                "No instance runs. Start it: `systemctl start cdn-usaged`, or `cdn-usaged once`.".to_owned()
            }
            Remedy::Configure => format!(
                "To go on with it, put the account {} with the export {} back into the configuration, then `systemctl reload \
                 cdn-usaged`.",
                key.listing.account, key.listing.export
            ),
            Remedy::MendListing => format!(
                "The listing cannot be read, which holds this up: {}",
                self.case.listing_error.as_deref().unwrap_or("the reason is not on record")
            ),
            Remedy::FreeSpace => format!(
                "Make room for {} and more below {} and {}; it goes on by itself.",
                show_size(self.config.storage.min_free_bytes),
                self.config.storage.state_dir.display(),
                self.config.storage.download_dir.display()
            ),
            Remedy::MendCause(reason) => cause(reason, known.link_host.as_deref()).to_owned(),
            Remedy::Retry => format!("To bring it back at once: `cdn-usaged retry {}`.", quoted(&key.to_string())),
            Remedy::CreateAgain => {
                let range = match (&row.range_start, &row.range_end) {
                    (Some(from), Some(to)) => {
                        format!(" for {} to {}", self.stored_time(Some(from)), self.stored_time(Some(to)))
                    }
                    _ => String::new(),
                };
                format!("Create the export{range} again at the service: its new task is found by itself.")
            }
        }
    }
}

fn count_of(config: &Config) -> String {
    count(u64::from(config.download.max_attempts), "failure")
}

/// What to do about the reason of a failure.
fn cause(reason: Reason, host: Option<&str>) -> String {
    let text = match reason {
        Reason::Network => {
            "Look for what lies between: route, DNS, proxy, certificates; a line that is too slow: download.min_rate."
        }
        Reason::Expired => "The links are refused also when they are fresh: is this machine's clock right?",
        Reason::Gone => "There is no such file at the service: if that stays so, create the export again.",
        Reason::Http => {
            "The object store refuses: its own code is in the error, and `cdn-usaged history` has the request id."
        }
        Reason::Integrity => "What arrives is not what was sent: look for a proxy that changes bodies.",
        Reason::NoLink => {
            "The service lists it as success and gives no link: if that stays so, create the export again."
        }
        Reason::TooLarge => "Raise download.max_size, then `systemctl reload cdn-usaged`.",
        Reason::RefusedHost => {
            let host = host.map(|host| format!(" ({host})")).unwrap_or_default();
            return format!(
                "If its host{host} is to be trusted, allow it: download.allowed_hosts, allowed_networks or allow_http, then \
                 `systemctl reload cdn-usaged`."
            );
        }
        Reason::NotAnExport => {
            "Something answers in the object store's place: a proxy, or a portal that wants a login."
        }
        Reason::Disk => "Look at the folder of the files: permissions, its unit's ReadWritePaths=, a disk that fails.",
    };
    text.to_owned()
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_.-".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

fn upper_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
