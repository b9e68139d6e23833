//! What is written and how much is worked for it, counted by SQLite itself.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::*;

/// Rows by their tables, and transactions that took the right to write, since they were last asked for.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<(BTreeMap<String, usize>, usize)>>);

impl Written {
    /// From here on, by the writer of this store.
    async fn of(store: &Store) -> Self {
        let written = Self::default();
        let mut writer = store.writer.acquire().await.unwrap();
        let mut handle = writer.lock_handle().await.unwrap();
        let (rows, transactions) = (written.clone(), written.clone());
        handle.set_update_hook(move |row| *rows.0.lock().unwrap().0.entry(row.table.to_owned()).or_default() += 1);
        handle.set_commit_hook(move || {
            transactions.0.lock().unwrap().1 += 1;
            true
        });
        drop(handle);
        written
    }

    fn take(&self) -> (Vec<(String, usize)>, usize) {
        let (rows, transactions) = std::mem::take(&mut *self.0.lock().unwrap());
        (rows.into_iter().collect(), transactions)
    }
}

fn rows(table_and_count: &[(&str, usize)]) -> Vec<(String, usize)> {
    table_and_count.iter().map(|(table, count)| ((*table).to_owned(), *count)).collect()
}

/// Applies a listing as a sweep does: twenty pages of fifty at a time.
async fn apply_all(store: &Store, all: &[TaskSnapshot], now: Timestamp) {
    let pages: Vec<_> = (1..).zip(all.chunks(50)).map(|(number, rows)| page(number, rows)).collect();
    for group in pages.chunks(20) {
        store.apply_pages(&listing(), group, None, now).await.unwrap();
    }
}

#[tokio::test]
async fn what_did_not_change_is_not_written_and_what_did_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let written = Written::of(&store).await;
    let mut all: Vec<_> = (0..2_000).map(|n| row(&n.to_string(), "created")).collect();
    let ids: Vec<_> = all.iter().map(|row| row.id.as_str().to_owned()).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    apply_all(&store, &all, at(0)).await;
    assert_eq!(written.take(), (rows(&[("tasks", 2_000), ("transitions", 2_000)]), 2), "a transaction a group");

    apply_all(&store, &all, at(1)).await;
    assert_eq!(written.take(), (Vec::new(), 2), "they looked, and had nothing to write");
    sweep(&store, &ids, at(1)).await;
    assert_eq!(written.take(), (rows(&[("listings", 1)]), 1));

    for row in all.iter_mut().step_by(40) {
        row.status = Status::parse("failed").unwrap();
    }
    apply_all(&store, &all, at(2)).await;
    sweep(&store, &ids, at(2)).await;
    assert_eq!(written.take(), (rows(&[("listings", 1), ("tasks", 50), ("transitions", 50)]), 3));

    for row in all.iter_mut().take(30) {
        *row = self::row(row.id.as_str(), "success");
    }
    apply_all(&store, &all, at(3)).await;
    assert_eq!(written.take(), (rows(&[("downloads", 30), ("tasks", 30), ("transitions", 30)]), 2));
    store.poll_succeeded(&listing(), Some(2_000), false, at(4)).await.unwrap();
    assert_eq!(written.take(), (rows(&[("listings", 1)]), 1));
}

/// Steps of SQLite's machine on every connection of a store, since they were last asked for.
struct Steps(Arc<AtomicU64>);

impl Steps {
    async fn of(store: &Store) -> Self {
        let steps = Arc::new(AtomicU64::new(0));
        let mut connections = vec![store.writer.acquire().await.unwrap()];
        // Held together, so that it is each of them.
        for _ in 0..2 {
            connections.push(store.readers.acquire().await.unwrap());
        }
        for connection in &mut connections {
            let steps = Arc::clone(&steps);
            let mut handle = connection.lock_handle().await.unwrap();
            handle.set_progress_handler(1, move || steps.fetch_add(1, Ordering::Relaxed) < u64::MAX);
        }
        Self(steps)
    }

    fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// What each of the things that polls and the queue do again and again takes, with so many tasks of which all but a few are
/// stored.
async fn taken(tasks: usize) -> Vec<(&'static str, u64)> {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let all: Vec<_> = (0..tasks).map(|n| row(&format!("{n:06}"), "success")).collect();
    apply_all(&store, &all, at(0)).await;
    let stored = "UPDATE downloads SET state = 'stored', link = NULL, link_host = NULL, wanted_at = NULL WHERE task_id >= '000003'";
    sqlx::query(stored).execute(&store.writer).await.unwrap();
    let steps = Steps::of(&store).await;
    let (listing, mut taken) = (listing(), Vec::new());
    let listings = [listing.clone()];
    // From the middle of the tables, whose ends are cheaper to find.
    let few = &all[tasks / 2..tasks / 2 + 50];
    store.apply_pages(&listing, &[page(7, few)], None, at(1)).await.unwrap();
    taken.push(("apply a page without news", steps.take()));
    let changed: Vec<_> =
        few.iter().map(|row| TaskSnapshot { status: Status::Failed, link: None, ..row.clone() }).collect();
    store.apply_pages(&listing, &[page(7, &changed)], None, at(1)).await.unwrap();
    taken.push(("apply a page of news", steps.take()));
    store.apply_some_page(&listing, page(7, &changed), at(1)).await.unwrap();
    taken.push(("apply the page of a quick poll", steps.take()));
    store.poll_succeeded(&listing, Some(9), false, at(1)).await.unwrap();
    taken.push(("note a poll", steps.take()));
    store.listing(&listing).await.unwrap().unwrap();
    taken.push(("read the row of a listing", steps.take()));
    assert!(store.watched(&listing, at(-1)).await.unwrap().is_empty());
    taken.push(("look for what polls look for", steps.take()));
    assert_eq!(store.waiting(&listings, at(1)).await.unwrap().with_link, 3);
    taken.push(("count what waits", steps.take()));
    store.outstanding(&listing, at(1)).await.unwrap();
    taken.push(("count what is not delivered", steps.take()));
    let job = claim(&store, at(1)).await.unwrap();
    taken.push(("claim a download", steps.take()));
    store.intend(&job.key, &intent("p", 1, "aa")).await.unwrap();
    taken.push(("record an intent", steps.take()));
    store.stored(&job, &intent("p", 1, "aa"), at(1)).await.unwrap();
    taken.push(("record a file", steps.take()));
    store.cut_off().await.unwrap();
    store.unfinished().await.unwrap();
    taken.push(("bring the queue into order", steps.take()));
    taken
}

#[tokio::test]
async fn what_polls_and_the_queue_do_takes_no_more_steps_with_more_tasks() {
    let (few, many) = (taken(500).await, taken(10_000).await);
    assert!(few.iter().all(|(what, steps)| *steps > 0 || panic!("{what} was not counted")));
    assert_eq!(few, many);
}
