//! The plan of a full sweep: (pages read so far) -> next page | wait | the verdict.
//!
//! The order of a listing is undocumented, and rows move between pages while they are read. A pass is *consistent*
//! when every page gave the same total T, T distinct ids were seen, and the first and the last page read again show
//! the same ids; one page alone is consistent by itself. A pass that is not is repeated, at most [`PASSES_MAX`]
//! times, and the ids of all passes are united: what any pass saw is there.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

/// Passes of one sweep. A listing that shifts during three passes shifts all the time; the next sweep has its turn.
pub const PASSES_MAX: u32 = 3;
/// The largest page number that the service documents.
pub const PAGE_NUMBER_MAX: u32 = 100_000;
/// Pages in a row that bring no new id end a pass, whatever TotalCount claims: a service that repeats one page for
/// ever, or claims 10^12 rows, costs this many calls. Shuffled listings bring new ids far more often than that.
pub const BARREN_PAGES_MAX: u32 = 8;

/// A set of task ids that costs 16 bytes an id: the first half of the id's SHA-256, which no one can make collide.
#[derive(Debug, Clone, Default)]
pub struct IdSet(HashSet<u128>);

/// The key of an id in an [`IdSet`].
#[must_use]
pub fn id_key(id: &str) -> u128 {
    let digest = Sha256::digest(id.as_bytes());
    digest.iter().take(16).fold(0, |key, &byte| (key << 8) | u128::from(byte))
}

impl IdSet {
    /// Whether the id is in.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.0.contains(&id_key(id))
    }

    /// Distinct ids.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an id's key; true when it was not in.
    pub fn insert(&mut self, key: u128) -> bool {
        self.0.insert(key)
    }
}

/// What one page says that matters to the plan.
#[derive(Debug, Clone)]
pub struct PageFacts {
    /// The total that it claims.
    pub total: Option<u64>,
    /// The page size that it echoes.
    pub size: Option<u32>,
    /// The keys of its rows in order; a row that cannot be read counts as one id, made from its text.
    pub keys: Vec<u128>,
    /// Whether some of them stand for rows that cannot be read.
    pub has_unreadable: bool,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Read this page. It is in flight from now on.
    Read(u32),
    /// Nothing until a page in flight has been answered.
    Wait,
    /// The sweep is over.
    Done,
}

/// The verdict of a sweep that is done.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Whether the last pass was consistent.
    pub consistent: bool,
    /// The total that the last pass gave, when all of its pages agreed.
    pub total: Option<u64>,
    /// Every id that any pass saw.
    pub seen: IdSet,
    /// Whether some of them stand for rows that cannot be read.
    pub has_unreadable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Body,
    Check,
    Done,
}

/// One pass over the pages.
#[derive(Debug)]
struct Pass {
    number: u32,
    /// The next page to ask for.
    next: u32,
    /// The page size that the service really uses.
    size: u32,
    total: Option<u64>,
    total_moved: bool,
    ids: IdSet,
    barren: u32,
    ended: bool,
    first: Option<PageFacts>,
    last: Option<(u32, PageFacts)>,
    to_check: Vec<u32>,
    check_differs: bool,
}

impl Pass {
    fn new(number: u32, size: u32) -> Self {
        Self {
            number,
            next: 1,
            size,
            total: None,
            total_moved: false,
            ids: IdSet::default(),
            barren: 0,
            ended: false,
            first: None,
            last: None,
            to_check: Vec::new(),
            check_differs: false,
        }
    }

    /// The number of pages that the total stands for; at least one.
    fn pages(&self) -> Option<u32> {
        let pages = self.total?.div_ceil(u64::from(self.size)).max(1);
        Some(u32::try_from(pages).unwrap_or(u32::MAX).min(PAGE_NUMBER_MAX))
    }

    fn is_whole(&self) -> bool {
        !self.total_moved && self.total.is_some_and(|t| t == self.ids.len() as u64)
    }

    /// Whether a page with this number is worth asking for.
    fn wants(&self, page: u32) -> bool {
        if self.ended || page > PAGE_NUMBER_MAX {
            return false;
        }
        let beyond = self.pages().is_some_and(|last| page > last);
        // Beyond the last page only while rows are missing: a service that clamps the page size without saying so
        // has more pages than the total divided by what was asked for.
        !beyond || !self.is_whole()
    }
}

/// A sweep in progress. Feed it with [`Sweep::answer`], ask it with [`Sweep::next`].
#[derive(Debug)]
pub struct Sweep {
    asked_size: u32,
    phase: Phase,
    in_flight: u32,
    pass: Pass,
    union: IdSet,
    has_unreadable: bool,
    consistent: bool,
}

impl Sweep {
    /// A sweep that asks for `page_size` rows a page.
    #[must_use]
    pub fn new(page_size: u32) -> Self {
        let size = page_size.max(1);
        Self {
            asked_size: size,
            phase: Phase::Body,
            in_flight: 0,
            pass: Pass::new(1, size),
            union: IdSet::default(),
            has_unreadable: false,
            consistent: false,
        }
    }

    /// The pass that is under way, from 1.
    #[must_use]
    pub const fn pass(&self) -> u32 {
        self.pass.number
    }

    /// The next step. Call again after every answer and after every `Read`, until it says `Wait` or `Done`.
    #[expect(clippy::should_implement_trait, reason = "it is no iterator: it depends on the answers in between")]
    pub fn next(&mut self) -> Next {
        match self.phase {
            Phase::Done => Next::Done,
            Phase::Check => self.pass.to_check.pop().map_or(Next::Wait, |page| {
                self.in_flight += 1;
                Next::Read(page)
            }),
            // The first page tells how many there are; until then none other is asked for. Pages beyond the last
            // are asked for one at a time.
            Phase::Body => {
                let page = self.pass.next;
                let alone = page == 1 || self.pass.pages().is_none_or(|last| page > last);
                let waits = self.in_flight > 0 && (alone || self.pass.first.is_none());
                if waits || !self.pass.wants(page) {
                    return Next::Wait;
                }
                self.pass.next += 1;
                self.in_flight += 1;
                Next::Read(page)
            }
        }
    }

    /// Takes the answer to a page that [`Sweep::next`] asked for.
    pub fn answer(&mut self, page: u32, facts: PageFacts) {
        self.in_flight = self.in_flight.saturating_sub(1);
        for &key in &facts.keys {
            self.union.insert(key);
        }
        self.has_unreadable |= facts.has_unreadable;
        match self.phase {
            Phase::Body => self.answer_body(page, facts),
            Phase::Check => self.answer_check(page, &facts),
            Phase::Done => return,
        }
        if self.in_flight == 0 {
            self.advance();
        }
    }

    fn answer_body(&mut self, page: u32, facts: PageFacts) {
        let pass = &mut self.pass;
        if page == 1 {
            pass.total = facts.total;
            if let Some(size) = facts.size.filter(|&s| s > 0 && s < self.asked_size) {
                pass.size = size;
            }
        } else if facts.total != pass.total {
            pass.total_moved = true;
            pass.total = facts.total.max(pass.total);
        }
        let before = pass.ids.len();
        for &key in &facts.keys {
            pass.ids.insert(key);
        }
        pass.barren = if pass.ids.len() > before { 0 } else { pass.barren + 1 };
        let beyond = pass.pages().is_none_or(|last| page >= last);
        if pass.barren >= BARREN_PAGES_MAX || (facts.keys.is_empty() && beyond) {
            pass.ended = true;
        }
        if pass.pages() == Some(page) && page > 1 {
            pass.last = Some((page, facts.clone()));
        }
        if page == 1 {
            pass.first = Some(facts);
        }
    }

    fn answer_check(&mut self, page: u32, facts: &PageFacts) {
        let before = if page == 1 {
            self.pass.first.as_ref()
        } else {
            self.pass.last.as_ref().filter(|(number, _)| *number == page).map(|(_, facts)| facts)
        };
        let same = before.is_some_and(|b| b.keys == facts.keys && b.total == facts.total);
        self.pass.check_differs |= !same;
    }

    /// Nothing is in flight: is the phase over?
    fn advance(&mut self) {
        match self.phase {
            Phase::Body if self.pass.wants(self.pass.next) => {}
            Phase::Body if !self.pass.is_whole() => self.end_pass(false),
            // One page alone cannot shift against itself.
            Phase::Body if self.pass.pages() == Some(1) && self.pass.next == 2 => self.end_pass(true),
            Phase::Body => {
                self.phase = Phase::Check;
                self.pass.to_check = self.pass.last.iter().map(|(page, _)| *page).chain([1]).collect();
                // Whole, but its last page was never read as such: nothing to compare with.
                self.pass.check_differs = self.pass.last.is_none();
            }
            Phase::Check if self.pass.to_check.is_empty() => self.end_pass(!self.pass.check_differs),
            Phase::Check | Phase::Done => {}
        }
    }

    fn end_pass(&mut self, consistent: bool) {
        self.consistent = consistent;
        if consistent || self.pass.number >= PASSES_MAX {
            self.phase = Phase::Done;
        } else {
            self.phase = Phase::Body;
            self.pass = Pass::new(self.pass.number + 1, self.asked_size);
        }
    }

    /// The verdict, once [`Sweep::next`] said `Done`.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        let total = if self.pass.total_moved { None } else { self.pass.total };
        Verdict {
            consistent: self.consistent && self.phase == Phase::Done,
            total,
            seen: self.union,
            has_unreadable: self.has_unreadable,
        }
    }
}

/// For this long after its onset a shrunken listing marks nothing as unlisted.
pub const SUSPECT_FOR: SignedDuration = SignedDuration::from_hours(24);
/// A listing this long that loses more than half of its rows is suspect; shorter ones may.
pub const SUSPECT_FROM: u64 = 20;

/// What the total of a consistent sweep means beside that of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// Nothing odd: the sweep counts.
    Plausible,
    /// Suddenly empty, or under half: nothing may be marked unlisted.
    Suspect {
        /// The total of the last sweep that counted.
        previous: u64,
        /// Since when.
        since: Timestamp,
    },
}

/// Judges a total against `previous`, that of the last sweep that counted; `since` is when a suspicion began.
#[must_use]
pub fn judge_total(total: u64, previous: Option<u64>, since: Option<Timestamp>, now: Timestamp) -> Total {
    let Some(previous) = previous else { return Total::Plausible };
    let shrunk = (total == 0 && previous > 0) || (previous >= SUSPECT_FROM && total.saturating_mul(2) < previous);
    // After a clock was set back the suspicion begins again, rather than last for as long as it was ahead.
    let since = since.unwrap_or(now).min(now);
    if shrunk && now.duration_since(since) < SUSPECT_FOR {
        Total::Suspect { previous, since }
    } else {
        Total::Plausible
    }
}

/// What a consistent sweep that lacks a task means for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The first that lacks it: remember when that sweep began.
    Remember,
    /// Not long enough after the first: nothing yet.
    TooSoon,
    /// The second: it is unlisted.
    Unlist,
}

/// Judges a task that a consistent sweep lacked, begun at `sweep_began`. Two such sweeps count when they began at
/// least `apart` from each other.
#[must_use]
pub fn judge_missing(missed_at: Option<Timestamp>, sweep_began: Timestamp, apart: SignedDuration) -> Missing {
    match missed_at {
        None => Missing::Remember,
        // A clock that was set back: begin again rather than wait for it to catch up.
        Some(first) if first > sweep_began => Missing::Remember,
        Some(first) if sweep_began.duration_since(first) >= apart => Missing::Unlist,
        Some(_) => Missing::TooSoon,
    }
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;
