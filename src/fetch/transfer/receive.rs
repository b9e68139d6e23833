//! The network side: reads the body, watches its pace and its length, and hands it to the writer.

use std::{collections::VecDeque, time::Duration};

use reqwest::Response;
use tokio::time::Instant;

use super::{
    Failure, Limits, Request,
    ask::Facts,
    writer::{Writer, Written},
};
use crate::{
    clock,
    egress::describe,
    fetch::{publish::Partial, transfer::oss_error::scrub},
    model::download::Reason,
};

/// How finely the window of the slowest allowed rate is kept.
const RATE_STEPS: u32 = 60;

/// Reads the body to its end, or to what ends it early.
pub(super) async fn receive(
    response: Response,
    facts: &Facts,
    partial: Partial,
    request: &Request<'_>,
) -> (Written, Result<(), Failure>) {
    let expected = &facts.expected;
    let resumable = facts.resume_etag().filter(|_| expected.has_digest());
    request.progress.begin(facts.offset, expected.length, resumable);
    let remaining = expected.length.map_or(0, |l| l.saturating_sub(facts.offset));
    let mut writer = Writer::start(partial, remaining, request.space.clone());
    let received = pump(response, facts, &mut writer, request).await;
    let mut written = writer.finish().await;
    // The disk's failure is the cause when both have one.
    let received = written.failure.take().map_or(received, Err);
    (written, received)
}

async fn pump(
    mut response: Response,
    facts: &Facts,
    writer: &mut Writer,
    request: &Request<'_>,
) -> Result<(), Failure> {
    let limits = &request.limits;
    let mut pace = Pace::new(limits, clock::instant());
    let mut done = facts.offset;
    // Ends with the body, which the size limit and the slowest rate bound in length and in time.
    loop {
        let wait = pace.wait(clock::instant());
        match tokio::time::timeout(wait, response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                done += chunk.len() as u64;
                check_size(done, facts, limits)?;
                let arrived_at = clock::instant();
                if !writer.take(&chunk).await {
                    // Why is the writer's to say.
                    return Ok(());
                }
                request.progress.set_done(done);
                pace.arrived(arrived_at, chunk.len() as u64, clock::instant());
            }
            Ok(Ok(None)) => break,
            Ok(Err(e)) => {
                let text = format!("the body broke off at byte {done}: {}", describe(e));
                return Err(Failure::new(Reason::Network, scrub(&text)));
            }
            Err(_) => {}
        }
        pace.check(clock::instant())?;
    }
    match facts.expected.length {
        Some(length) if done < length => {
            let text = format!("the body ended at byte {done} of {length}");
            Err(Failure::new(Reason::Network, text))
        }
        _ => Ok(()),
    }
}

fn check_size(done: u64, facts: &Facts, limits: &Limits) -> Result<(), Failure> {
    if let Some(length) = facts.expected.length
        && done > length
    {
        let text = format!("the body goes on after the {length} bytes that the server announced");
        return Err(Failure::new(Reason::Integrity, text));
    }
    if done > limits.max_size_bytes {
        let text = format!("the file has more bytes than download.max_size ({})", limits.max_size_bytes);
        return Err(Failure::new(Reason::TooLarge, text));
    }
    Ok(())
}

/// The pace of a body, in the network's time: while the disk is waited for, that clock stands still.
#[derive(Debug)]
struct Pace {
    idle: Duration,
    window: Duration,
    /// Bytes that a window must bring.
    window_bytes: u128,
    rate: u64,
    /// Time spent waiting for the disk.
    waited: Duration,
    heard_at: Instant,
    begun_at: Instant,
    /// Bytes by the step of the window in which they came, oldest first.
    steps: VecDeque<(Instant, u64)>,
    in_window: u64,
}

impl Pace {
    fn new(limits: &Limits, now: Instant) -> Self {
        let window = limits.rate_window;
        Self {
            idle: limits.idle_timeout,
            window,
            window_bytes: u128::from(limits.min_rate_bytes) * window.as_millis() / 1000,
            rate: limits.min_rate_bytes,
            waited: Duration::ZERO,
            heard_at: now,
            begun_at: now,
            steps: VecDeque::new(),
            in_window: 0,
        }
    }

    /// Wall time without the waits.
    fn network_time(&self, now: Instant) -> Instant {
        now.checked_sub(self.waited).unwrap_or(now)
    }

    /// How long to wait for a chunk before checking again.
    fn wait(&self, now: Instant) -> Duration {
        let silent = self.network_time(now).saturating_duration_since(self.heard_at);
        // Not below a millisecond, so that no rounding makes the loop spin.
        self.idle.saturating_sub(silent).min(self.window).max(Duration::from_millis(1))
    }

    /// Bytes came at `at` and were handed over by `now`.
    fn arrived(&mut self, at: Instant, bytes: u64, now: Instant) {
        let waited = now.saturating_duration_since(at);
        let at = self.network_time(at);
        self.waited += waited;
        self.heard_at = at;
        self.in_window += bytes;
        match self.steps.back_mut() {
            Some((begun, sum)) if at.saturating_duration_since(*begun) < self.window / RATE_STEPS => *sum += bytes,
            _ => self.steps.push_back((at, bytes)),
        }
    }

    fn check(&mut self, now: Instant) -> Result<(), Failure> {
        let now = self.network_time(now);
        if now.saturating_duration_since(self.heard_at) >= self.idle {
            let text = format!("no byte for {} ms", self.idle.as_millis());
            return Err(Failure::new(Reason::Network, text));
        }
        // Ends with the steps, of which there are at most one more than a window has.
        while let Some(&(begun, sum)) = self.steps.front()
            && now.saturating_duration_since(begun) > self.window
        {
            self.in_window -= sum;
            self.steps.pop_front();
        }
        let is_full = now.saturating_duration_since(self.begun_at) >= self.window;
        if is_full && u128::from(self.in_window) < self.window_bytes {
            let text = format!(
                "{} bytes in {} s are fewer than download.min_rate allows ({} a second)",
                self.in_window,
                self.window.as_secs_f32(),
                self.rate
            );
            return Err(Failure::new(Reason::Network, text));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace(start: Instant) -> Pace {
        let limits =
            Limits { idle_timeout: 30 * SECOND, min_rate_bytes: 100, rate_window: 60 * SECOND, max_size_bytes: 1 };
        Pace::new(&limits, start)
    }

    #[test]
    fn a_stream_just_fast_enough_goes_on_and_one_just_too_slow_ends() {
        for (bytes, is_fine) in [(100, true), (99, false)] {
            let start = clock::instant();
            let mut pace = pace(start);
            let mut verdict = Ok(());
            for second in 1..=300 {
                let now = start + second * SECOND;
                pace.arrived(now, bytes, now);
                verdict = pace.check(now);
                if verdict.is_err() {
                    break;
                }
            }
            assert_eq!(verdict.is_ok(), is_fine, "{bytes}");
            assert!(pace.steps.len() <= 62, "{}", pace.steps.len());
        }
    }

    #[test]
    fn a_fast_beginning_does_not_excuse_a_slow_rest() {
        let start = clock::instant();
        let mut pace = pace(start);
        pace.arrived(start, 1_000_000_000, start);
        let mut seconds = (1..=120).map(|s| {
            let now = start + s * SECOND;
            pace.arrived(now, 1, now);
            pace.check(now)
        });
        assert!(seconds.any(|verdict| verdict.is_err()));
    }

    #[test]
    fn bytes_that_come_just_before_the_idle_timeout_do_not_excuse_the_rate() {
        let start = clock::instant();
        let mut pace = pace(start);
        let mut ended = None;
        for n in 1..=10 {
            let now = start + n * 29 * SECOND;
            assert!(pace.wait(now - SECOND) <= 2 * SECOND, "it looks up in time");
            pace.arrived(now, 1, now);
            if let Err(failure) = pace.check(now) {
                ended = Some((n, failure.text));
                break;
            }
        }
        let (n, text) = ended.unwrap();
        assert_eq!(n, 3, "the first look after a full window");
        assert!(text.contains("download.min_rate"), "{text}");
    }

    #[test]
    fn silence_ends_a_stream_and_a_slow_disk_does_not() {
        let start = clock::instant();
        let mut silent = pace(start);
        assert_eq!(silent.wait(start), 30 * SECOND);
        assert!(silent.check(start + 29 * SECOND).is_ok());
        assert!(silent.check(start + 30 * SECOND).is_err());

        let mut waiting = pace(start);
        waiting.arrived(start + SECOND, 1, start + 500 * SECOND);
        assert!(waiting.check(start + 500 * SECOND).is_ok());
        assert!(waiting.check(start + 529 * SECOND).is_ok());
        assert!(waiting.check(start + 530 * SECOND).is_err());
    }
}
