//! What is durable before what: read off the system calls of the binary.

use std::sync::{Arc, Mutex};

use cloudsim::Object;

use super::tracer::{Act, Call};
use crate::common::{World, csv_path};

const LOG: &str = "usage.db-wal";

/// A call as it matters here.
#[derive(Debug, Clone)]
struct Step {
    call: &'static str,
    /// What it is done to; of a line on standard error, its event.
    path: String,
    /// Of a page that is written to the database's log, whether it holds these.
    has_status: bool,
    has_intent: bool,
    has_path: bool,
}

impl Step {
    fn of(call: &Call, folder: &std::path::Path, path: &str) -> Option<Self> {
        let step = |call, path| Self { call, path, has_status: false, has_intent: false, has_path: false };
        if let Some(line) = call.said() {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            return Some(step("say", line["event"].as_str().unwrap().to_owned()));
        }
        let point = call.point(folder)?;
        let mut step = step(point.call, point.path);
        if step.call == "pwrite" && step.path == LOG {
            let text = call.text();
            step.has_intent = text.contains(&format!("\"path\":\"{path}\""));
            step.has_path = text.replace(&format!("\"path\":\"{path}\""), "").contains(path);
            step.has_status = text.contains("first") && text.contains("success");
        }
        Some(step)
    }
}

/// The calls of a whole first run over one task.
async fn steps_of_a_first_run() -> Vec<Step> {
    let world = World::start().await;
    world.add("1", Object::csv(5));
    let folder = world.state_dir().canonicalize().unwrap_or(world.state_dir());
    let steps = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&steps);
    let look = move |call: &Call| {
        kept.lock().unwrap().extend(Step::of(call, &folder, &csv_path("1")));
        Act::Pass
    };
    world.trace(&["once"], look).await.expect(0);
    let steps = steps.lock().unwrap();
    steps.clone()
}

/// Steps by their names; each has to come after the one before it.
struct Order<'a> {
    steps: &'a [Step],
    last: Option<usize>,
}

impl Order<'_> {
    fn show(&self) -> String {
        self.steps.iter().enumerate().map(|(n, s)| format!("{n} {} {}\n", s.call, s.path)).collect()
    }

    /// The first step of its kind at all: it must not have been made too early.
    #[track_caller]
    fn then(&mut self, name: &str, is_it: impl Fn(&Step) -> bool) {
        let found = self.steps.iter().position(is_it);
        assert!(found.is_some() && found > self.last, "{name}: {found:?}, not after {:?}:\n{}", self.last, self.show());
        self.last = found;
    }

    /// The next step of a kind that is made more than once.
    #[track_caller]
    fn next(&mut self, name: &str, is_it: impl Fn(&Step) -> bool) {
        let from = self.last.map_or(0, |last| last + 1);
        let found = self.steps[from..].iter().position(is_it);
        self.last = Some(from + found.unwrap_or_else(|| panic!("{name}: never after {from}:\n{}", self.show())));
    }
}

fn is_flush(step: &Step, path: &str) -> bool {
    (step.call == "fsync" || step.call == "fdatasync") && step.path == path
}

#[tokio::test]
async fn a_file_is_promised_then_flushed_then_named_and_only_then_recorded_and_announced() {
    let steps = steps_of_a_first_run().await;
    let part = "exports/.incoming/main.usage-detail.1.part";
    let placed = format!("{part} > exports/{}", csv_path("1"));
    let mut order = Order { steps: &steps, last: None };
    order.then("the database is named when it is whole", |s| s.call == "rename_noreplace" && s.path.contains("db.new"));
    order.next("its name is flushed", |s| is_flush(s, ""));
    order.then("the page is written", |s| s.has_status);
    order.next("the page is committed", |s| is_flush(s, LOG));
    order.then("the transition is said", |s| s.call == "say" && s.path == "task.transition");
    order.then("the file is made", |s| s.call == "create" && s.path == part);
    order.then("its bytes are written", |s| s.call == "write" && s.path == part);
    order.then("the intent is written", |s| s.has_intent);
    order.next("the intent is committed", |s| is_flush(s, LOG));
    order.then("the file is flushed", |s| is_flush(s, part));
    order.then("the account's folder is made", |s| s.call == "mkdir" && s.path == "exports/main");
    order.next("the account's folder is flushed", |s| is_flush(s, "exports"));
    order.then("the export's folder is made", |s| s.call == "mkdir" && s.path == "exports/main/usage-detail");
    order.then("the export's folder is flushed", |s| is_flush(s, "exports/main"));
    order.then("the file has its name", |s| s.call == "rename_noreplace" && s.path == placed);
    order.then("the name is flushed", |s| is_flush(s, "exports/main/usage-detail"));
    order.then("the record is written", |s| s.has_path);
    order.next("the record is committed", |s| is_flush(s, LOG));
    order.then("it is said", |s| s.call == "say" && s.path == "download.stored");
    let is_change = |s: &Step| s.path == part && ["write", "ftruncate"].contains(&s.call);
    let (last, flush) = (steps.iter().rposition(is_change), steps.iter().position(|s| is_flush(s, part)));
    assert!(last < flush, "the file is changed after it was flushed:\n{}", order.show());
}
