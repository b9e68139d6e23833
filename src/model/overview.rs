//! Whether anything of the whole needs a person: what `status` ends with.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    age::age,
    health::{Ages, Beat, Overdue, judge_listing},
    task::ListingKey,
};

/// A configured listing, as its row tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Which.
    pub key: ListingKey,
    /// The last poll that succeeded.
    pub last_poll_at: Option<Timestamp>,
    /// The last sweep that was consistent.
    pub last_consistent_sweep_at: Option<Timestamp>,
    /// The last poll failed.
    pub is_failing: bool,
    /// It is suddenly empty, or under half of what it was.
    pub is_suspect: bool,
    /// What is promised of it.
    pub beat: Beat,
}

/// Something that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concern {
    /// Less than `storage.min_free` is free below this one of the two folders.
    LowSpace(&'static str),
    /// A listing that has never been read.
    NeverPolled(ListingKey),
    /// The last poll of a listing failed.
    Failing(ListingKey),
    /// A poll or a sweep of a listing that should have come.
    Overdue(ListingKey, Overdue),
    /// A listing that lost too much at once to be believed.
    Suspect(ListingKey),
    /// So many downloads were given up.
    Abandoned(u64),
    /// So many downloads fail of what the configuration says, and will as long as it does.
    RefusedHere(u64),
    /// So many months or days that are expected are overdue.
    Lacking(u64),
}

/// What is counted over all configured listings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Downloads that were given up.
    pub abandoned: u64,
    /// Downloads that are tried again, and failed last for a reason that lies in the configuration.
    pub refused_here: u64,
    /// Expected months and days that are overdue.
    pub lacking: u64,
}

/// What is to be looked at, the most pressing first. `running_for` is how long the instance has run: what it could not
/// have done yet is not held against it.
#[must_use]
pub fn concerns(
    listings: &[Listing],
    low_space: &[&'static str],
    counts: Counts,
    running_for: Option<Duration>,
    now: Timestamp,
) -> Vec<Concern> {
    let mut concerns: Vec<Concern> = low_space.iter().map(|folder| Concern::LowSpace(folder)).collect();
    for listing in listings {
        concerns.extend(of_listing(listing, running_for, now));
    }
    let counted = [
        (counts.abandoned, Concern::Abandoned(counts.abandoned)),
        (counts.refused_here, Concern::RefusedHere(counts.refused_here)),
        (counts.lacking, Concern::Lacking(counts.lacking)),
    ];
    concerns.extend(counted.into_iter().filter(|(n, _)| *n > 0).map(|(_, concern)| concern));
    concerns
}

fn of_listing(listing: &Listing, running_for: Option<Duration>, now: Timestamp) -> Vec<Concern> {
    let key = &listing.key;
    let age_of = |at: Option<Timestamp>| {
        let age = at.map_or(Duration::MAX, |at| age(at, now).unsigned_abs());
        running_for.map_or(age, |running| age.min(running))
    };
    let ages = Ages { poll: age_of(listing.last_poll_at), sweep: age_of(listing.last_consistent_sweep_at) };
    let mut found = Vec::new();
    if listing.is_failing {
        found.push(Concern::Failing(key.clone()));
    }
    if listing.is_suspect {
        found.push(Concern::Suspect(key.clone()));
    }
    match listing.last_poll_at {
        // A failing one has been said, and so has the reason.
        None if !listing.is_failing && ages.poll > listing.beat.interval => {
            found.push(Concern::NeverPolled(key.clone()));
        }
        None => {}
        Some(_) => {
            let overdue = judge_listing(&listing.beat, &ages);
            let is_news = |o: &Overdue| !(listing.is_failing && matches!(o, Overdue::Poll { .. }));
            found.extend(overdue.into_iter().filter(is_news).map(|o| Concern::Overdue(key.clone(), o)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::task::{AccountName, Export};

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + minute * 60).unwrap()
    }

    fn key() -> ListingKey {
        ListingKey { account: AccountName::parse("main").unwrap(), export: Export::Usage }
    }

    fn well() -> Listing {
        Listing {
            key: key(),
            last_poll_at: Some(at(-5)),
            last_consistent_sweep_at: Some(at(-100)),
            is_failing: false,
            is_suspect: false,
            beat: Beat { interval: 10 * MINUTE, request_timeout: MINUTE / 4, full_sweep_interval: 360 * MINUTE },
        }
    }

    fn of(listing: Listing) -> Vec<Concern> {
        concerns(&[listing], &[], Counts::default(), None, at(0))
    }

    #[test]
    fn nothing_is_of_concern_when_all_is_well() {
        assert_eq!(of(well()), []);
        assert_eq!(concerns(&[], &[], Counts::default(), None, at(0)), []);
    }

    #[test]
    fn each_thing_that_is_wrong_is_named_and_what_presses_most_comes_first() {
        assert_eq!(of(Listing { is_failing: true, ..well() }), [Concern::Failing(key())]);
        assert_eq!(of(Listing { is_suspect: true, ..well() }), [Concern::Suspect(key())]);
        assert_eq!(of(Listing { last_poll_at: None, ..well() }), [Concern::NeverPolled(key())]);
        let late = of(Listing { last_poll_at: Some(at(-31)), ..well() });
        assert!(matches!(late.as_slice(), [Concern::Overdue(_, Overdue::Poll { .. })]), "{late:?}");
        let unswept = of(Listing { last_consistent_sweep_at: Some(at(-1081)), ..well() });
        assert!(matches!(unswept.as_slice(), [Concern::Overdue(_, Overdue::Sweep { .. })]), "{unswept:?}");
        let never_swept = of(Listing { last_consistent_sweep_at: None, ..well() });
        assert!(matches!(never_swept.as_slice(), [Concern::Overdue(_, Overdue::Sweep { .. })]), "{never_swept:?}");
        let counts = Counts { abandoned: 3, refused_here: 2, lacking: 1 };
        let all = concerns(&[Listing { is_failing: true, ..well() }], &["state"], counts, None, at(0));
        let counted = [Concern::Abandoned(3), Concern::RefusedHere(2), Concern::Lacking(1)];
        assert_eq!(all[..2], [Concern::LowSpace("state"), Concern::Failing(key())]);
        assert_eq!(all[2..], counted);
    }

    #[test]
    fn a_poll_that_fails_is_not_named_twice_as_one_that_is_late() {
        assert_eq!(of(Listing { is_failing: true, last_poll_at: Some(at(-500)), ..well() }), [Concern::Failing(key())]);
        assert_eq!(of(Listing { is_failing: true, last_poll_at: None, ..well() }), [Concern::Failing(key())]);
    }

    #[test]
    fn what_an_instance_could_not_have_done_yet_is_not_held_against_it() {
        let since = |running, listing| concerns(&[listing], &[], Counts::default(), Some(running), at(0));
        let old = || Listing { last_poll_at: Some(at(-9_999)), last_consistent_sweep_at: Some(at(-9_999)), ..well() };
        assert_eq!(since(MINUTE, old()), []);
        assert_eq!(since(32 * MINUTE, old()).len(), 1);
        assert_eq!(since(MINUTE, Listing { last_poll_at: None, ..well() }), []);
        assert_eq!(since(11 * MINUTE, Listing { last_poll_at: None, ..well() }), [Concern::NeverPolled(key())]);
    }
}
