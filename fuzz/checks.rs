//! What holds for every input, whatever it is. The fuzz targets call these, and so does the test that replays the corpus.

use std::path::Path;

use cdn_usaged::{
    cdn::{
        error::Refusal,
        wire::{self, Page},
    },
    config::{Config, Environment},
    fetch::{content_range::ContentRange, transfer::oss_error::OssError},
    model::{
        filename::{ContentKind, relative_path},
        task::{AccountName, Export, ListingKey, TaskId},
    },
    text,
};
use reqwest::header::{HeaderMap, HeaderValue};

/// A key's id, as the service repeats it in messages.
const KEY_ID: &str = "LTAIfuzzfuzzfuzz";

/// An answer of the listing in JSON. What begins like markup is for [`listing_xml`].
pub fn listing_json(data: &[u8]) {
    if !begins_like_markup(data) {
        listing(data);
    }
}

/// The same in XML.
pub fn listing_xml(data: &[u8]) {
    if begins_like_markup(data) {
        listing(data);
    }
}

fn begins_like_markup(data: &[u8]) -> bool {
    data.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
}

fn listing(data: &[u8]) {
    let Ok(page) = wire::page(data) else { return };
    assert!(page.rows.len() + page.rejected.len() <= 10_000, "a page is bounded");
    assert!(page.total.is_none_or(|total| total <= 1_000_000_000), "a total is believable");
    assert!(page.rejected.iter().all(|row| row.raw.len() <= 16 * 1024 + 64), "a raw row is bounded");
    identities(&page);
    for link in page.rows.iter().filter_map(|row| row.link.as_ref()) {
        let url = link.expose();
        let (shown, public) = (format!("{link:?} {link}"), format!("{:?}{}", url.host_str(), url.path()));
        let query = url.query().unwrap_or("");
        assert!(query.len() < 8 || public.contains(query) || !shown.contains(query), "a signature is shown");
    }
}

/// An id is the same when it is read again, and decides nothing of a path but one name of plain characters.
fn identities(page: &Page) {
    let account = AccountName::parse("main").expect("a good name");
    let listing = ListingKey { account, export: Export::UsageDetail };
    for row in &page.rows {
        assert_eq!(TaskId::parse(row.id.as_str()).as_ref(), Ok(&row.id));
        let path = relative_path(&listing, &row.id, row.range_start, row.range_end, 1, ContentKind::Csv);
        let name = path.strip_prefix("main/usage-detail/").expect("the folder of the listing");
        assert!(name.len() <= 200 && !name.starts_with('.'), "{name:?}");
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.%~".contains(&byte);
        assert!(name.bytes().all(is_plain), "{name:?}");
    }
}

/// The body of a refusal, of the gateway's and of the object store's.
pub fn error_body(data: &[u8]) {
    let refusal = Refusal::parse(data, KEY_ID);
    assert!(!refusal.message.is_empty() && refusal.message.chars().count() <= 500);
    assert!(!refusal.message.contains(KEY_ID), "our key's id is shown");
    assert_eq!(text::redact(&refusal.message), refusal.message, "something is left to be cut");
    for word in [&refusal.code, &refusal.request_id, &refusal.auth_action].into_iter().flatten() {
        assert!(word.chars().count() <= 100 && !word.chars().any(char::is_control), "{word:?}");
    }
    let mut stand_in = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(data) {
        stand_in.insert("x-oss-err", value);
    }
    for (headers, body) in [(HeaderMap::new(), data), (stand_in, &[][..])] {
        let shown = OssError::read(&headers, body).to_string();
        assert!(shown.chars().count() < 1200 && !shown.chars().any(char::is_control), "{shown:?}");
    }
}

/// A configuration file.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Config::parse(text, Path::new("fuzz.toml"), &Environment::empty()) {
        Ok(config) => {
            assert!(!config.accounts.is_empty() && config.storage.state_dir.is_absolute());
            assert!(config.poll.page_size >= 1 && config.download.max_attempts >= 1);
        }
        Err(error) => assert!(error.to_string().contains("fuzz.toml"), "{error}"),
    }
}

/// The value of `Content-Range`.
pub fn content_range(data: &[u8]) {
    let Some(range) = std::str::from_utf8(data).ok().and_then(ContentRange::parse) else { return };
    assert!(range.first <= range.last && range.last < range.total, "{range:?}");
    assert!(range.bytes() >= 1 && range.bytes() <= range.total, "{range:?}");
    let written = format!("bytes {}-{}/{}", range.first, range.last, range.total);
    assert_eq!(ContentRange::parse(&written), Some(range));
}
