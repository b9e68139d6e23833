//! How long the server asks to be left alone. Every SDK of the vendor reads another header, and which of them the
//! gateway sends is documented nowhere: all are read, none is needed.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::{clock::http_date, model::backoff::WAIT_MAX};

/// The longest wait that any header asks for, an hour at most. `now` is the time by the server's clock.
pub fn wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let hints = [
        text("x-acs-retry-after").and_then(millis),
        text("x-ratelimit-user-api").and_then(time_left),
        text("x-ratelimit-user").and_then(time_left),
        text(RETRY_AFTER.as_str()).and_then(|value| retry_after(value, now)),
    ];
    hints.into_iter().flatten().max().map(|wait| wait.min(WAIT_MAX))
}

fn millis(text: &str) -> Option<Duration> {
    text.parse().ok().filter(|&n| n > 0).map(Duration::from_millis)
}

/// `Limit:1,Remain:0,TimeLeft:2000,Reset:1234`
fn time_left(text: &str) -> Option<Duration> {
    text.split(',')
        .filter_map(|pair| pair.split_once(':'))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("TimeLeft"))
        .and_then(|(_, value)| millis(value.trim()))
}

/// Seconds, or a date.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds)).filter(|wait| !wait.is_zero());
    }
    Duration::try_from(http_date(text)?.duration_since(now)).ok().filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(headers: &[(&'static str, &str)]) -> Option<u128> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        wait(&map, "2024-05-06T07:08:09Z".parse().unwrap()).map(|wait| wait.as_millis())
    }

    #[test]
    fn every_known_header_is_read_and_the_longest_wait_counts() {
        for (headers, expected) in [
            (&[][..], None),
            (&[("x-acs-retry-after", "1500")], Some(1500)),
            (&[("x-ratelimit-user-api", "Limit:1,Remain:0,TimeLeft:2000,Reset:1234")], Some(2000)),
            (&[("x-ratelimit-user", "limit: 1, timeleft: 700")], Some(700)),
            (&[("x-ratelimit-user", "TimeLeft:700"), ("x-ratelimit-user-api", "TimeLeft:900")], Some(900)),
            (&[("retry-after", "3")], Some(3000)),
            (&[("retry-after", "Mon, 06 May 2024 07:08:39 GMT")], Some(30_000)),
            (&[("retry-after", "3"), ("x-acs-retry-after", "10")], Some(3000)),
        ] {
            assert_eq!(waits(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn nonsense_is_no_hint_and_an_hour_is_the_end() {
        for (name, value) in [
            ("x-acs-retry-after", "0"),
            ("x-acs-retry-after", "-5"),
            ("x-acs-retry-after", "soon"),
            ("x-ratelimit-user", "TimeLeft"),
            ("x-ratelimit-user", "TimeLeft:x,"),
            ("retry-after", "0"),
            ("retry-after", "Mon, 06 May 2024 07:08:09 GMT"),
            ("retry-after", "Mon, 06 May 2019 07:08:09 GMT"),
        ] {
            assert_eq!(waits(&[(name, value)]), None, "{name}: {value}");
        }
        for (name, value) in [
            ("x-acs-retry-after", "18446744073709551615"),
            ("retry-after", "18446744073709551615"),
            ("x-ratelimit-user", "TimeLeft:99999999999"),
            ("retry-after", "Mon, 06 May 2199 07:08:09 GMT"),
        ] {
            assert_eq!(waits(&[(name, value)]), Some(3_600_000), "{name}: {value}");
        }
    }
}
