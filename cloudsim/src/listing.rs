//! The tasks of one account and one export, and their order.

use std::{collections::HashMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use crate::{body::DigestCell, settings::Order, task::TaskSpec};

/// A task and what is known of its file.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) spec: TaskSpec,
    pub(crate) digests: DigestCell,
    /// When its object was last put, if it was replaced.
    pub(crate) replaced_at: Option<Timestamp>,
}

impl Task {
    /// `Last-Modified` of its file.
    pub(crate) fn modified(&self) -> Timestamp {
        self.replaced_at.unwrap_or(self.spec.created_at)
    }
}

/// The tasks of one account and one export.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    tasks: Vec<Task>,
    places: HashMap<String, usize>,
    /// Places by descending time of creation, as long as nothing changes.
    newest: Option<Vec<u32>>,
    shuffles: u64,
    last_number: u64,
}

/// Ids are numbers over 32 bits, as samples show.
const FIRST_NUMBER: u64 = 34_230_590_000;

impl Listing {
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Task> {
        self.places.get(id).map(|place| &self.tasks[*place])
    }

    /// Adds a task, or replaces the one of that id.
    pub(crate) fn add(&mut self, mut spec: TaskSpec, now: Timestamp) -> String {
        if spec.created_at == TaskSpec::WHEN_ADDED {
            spec.created_at = now;
        }
        let id = spec.id.take().unwrap_or_else(|| self.next_id());
        let task = Task { id: id.clone(), spec, digests: DigestCell::default(), replaced_at: None };
        self.newest = None;
        if let Some(place) = self.places.get(&id) {
            self.tasks[*place] = task;
        } else {
            self.places.insert(id.clone(), self.tasks.len());
            self.tasks.push(task);
        }
        id
    }

    fn next_id(&mut self) -> String {
        // Ends: there are fewer ids in use than numbers.
        loop {
            self.last_number += 1;
            let id = (FIRST_NUMBER + self.last_number).to_string();
            if !self.places.contains_key(&id) {
                return id;
            }
        }
    }

    pub(crate) fn update(&mut self, id: &str, now: Timestamp, change: impl FnOnce(&mut TaskSpec)) -> bool {
        let Some(place) = self.places.get(id) else { return false };
        let task = &mut self.tasks[*place];
        change(&mut task.spec);
        task.digests = DigestCell::default();
        task.replaced_at = Some(now);
        self.newest = None;
        true
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<TaskSpec> {
        let place = self.places.remove(id)?;
        let task = self.tasks.remove(place);
        for later in self.places.values_mut().filter(|other| **other > place) {
            *later -= 1;
        }
        self.newest = None;
        Some(task.spec)
    }

    /// The rows from `skip` on, `take` at most, in the order that is set, and how many there are in all. With a static
    /// order and no horizon the cost is that of the page.
    pub(crate) fn page(
        &mut self,
        order: Order,
        horizon: Option<(Duration, Timestamp)>,
        skip: usize,
        take: usize,
    ) -> (Vec<&Task>, usize) {
        let horizon = horizon.map(|(span, now)| {
            let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
            now.checked_sub(span).unwrap_or(Timestamp::MIN)
        });
        if order == Order::AsAdded && horizon.is_none() {
            let rows = self.tasks.iter().skip(skip).take(take).collect();
            return (rows, self.tasks.len());
        }
        let count = u32::try_from(self.tasks.len()).unwrap_or(u32::MAX);
        let mut own: Vec<u32> = Vec::new();
        let places: &[u32] = match order {
            Order::NewestFirst => {
                let tasks = &self.tasks;
                self.newest.get_or_insert_with(|| {
                    let mut places: Vec<u32> = (0..count).rev().collect();
                    places.sort_by_key(|place| std::cmp::Reverse(tasks[*place as usize].spec.created_at));
                    places
                })
            }
            Order::AsAdded | Order::Shuffled(_) => {
                own.extend(0..count);
                if let Order::Shuffled(seed) = order {
                    self.shuffles += 1;
                    own.shuffle(&mut StdRng::seed_from_u64(seed.wrapping_add(self.shuffles)));
                }
                &own
            }
        };
        let tasks = &self.tasks;
        let row = |place: &u32| &tasks[*place as usize];
        match horizon {
            None => (places.iter().skip(skip).take(take).map(row).collect(), tasks.len()),
            Some(oldest) => {
                let listed: Vec<_> = places.iter().map(row).filter(|task| task.spec.created_at >= oldest).collect();
                let total = listed.len();
                (listed.into_iter().skip(skip).take(take).collect(), total)
            }
        }
    }
}
