//! Ranges and conditions as this store understands them.

use jiff::Timestamp;

use super::refusal::Refusal;
use crate::{http::Request, text::parse_http_date};

/// The bytes an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// The first byte and how many.
    Some {
        start: u64,
        len: u64,
    },
}

/// What a `Range` header means for an object. What cannot be satisfied to the letter is ignored; only the standard
/// behaviour, asked for in a header that has to be signed, knows a 416.
pub(super) fn part(request: &Request, size: u64) -> Result<Part, Refusal> {
    let Some(spec) = request.header("range").and_then(|text| text.strip_prefix("bytes=")) else {
        return Ok(Part::Whole);
    };
    let standard = request.header("x-oss-range-behavior").is_some_and(|text| text == "standard");
    // Of several ranges only the first counts.
    let first = spec.split(',').next().unwrap_or("").trim();
    let Some((from, to)) = first.split_once('-') else { return Ok(Part::Whole) };
    let (from, to) = (number(from), number(to));
    let part = |start: u64, end: u64| Ok(Part::Some { start, len: end - start + 1 });
    match (from, to) {
        (Number::Is(start), Number::Is(end)) if start <= end && end < size => part(start, end),
        (Number::Is(start), Number::None) if start < size => part(start, size - 1),
        (Number::None, Number::Is(last)) if last > 0 && last <= size => part(size - last, size - 1),
        (Number::Is(start), Number::Is(end)) if standard && start <= end && start < size => part(start, size - 1),
        (Number::None, Number::Is(last)) if standard && last > 0 && size > 0 => part(0, size - 1),
        (Number::Is(start), Number::None | Number::Is(_)) if standard && start >= size => {
            let text = "The requested range cannot be satisfied.";
            Err(Refusal::new(416, "InvalidRange", text, "0016-00000507"))
        }
        _ => Ok(Part::Whole),
    }
}

enum Number {
    None,
    Is(u64),
    Bad,
}

fn number(text: &str) -> Number {
    match text.trim() {
        "" => Number::None,
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_or(Number::Bad, Number::Is),
        _ => Number::Bad,
    }
}

/// Checks the four conditions. `If-Range` is not known here.
pub(super) fn conditions(request: &Request, etag: Option<&str>, modified: Timestamp) -> Result<(), Refusal> {
    let bare = |text: &str| text.trim().trim_matches('"').to_owned();
    let names =
        |list: &str| list.split(',').any(|one| one.trim() == "*" || etag.is_some_and(|etag| bare(one) == bare(etag)));
    // Conditions on dates know seconds only.
    let modified = modified.as_second();
    let date = |name: &str| request.header(name).and_then(parse_http_date).map(Timestamp::as_second);
    let failed = |name: &str| {
        let text = "At least one of the pre-conditions you specified did not hold.";
        Err(Refusal::new(412, "PreconditionFailed", text, "0016-00000701").with("Condition", name))
    };
    if request.header("if-match").is_some_and(|list| !names(list)) {
        return failed("If-Match");
    }
    if date("if-unmodified-since").is_some_and(|date| modified > date) {
        return failed("If-Unmodified-Since");
    }
    let same = request.header("if-none-match").is_some_and(names);
    if same || date("if-modified-since").is_some_and(|date| modified <= date) {
        return Err(Refusal::new(304, "NotModified", "", ""));
    }
    Ok(())
}
