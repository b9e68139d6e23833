//! One event as one line.

use std::{borrow::Cow, error::Error, fmt, fmt::Write};

use serde::Serialize;
use serde_json::Value;
use tracing::{
    Event, Level,
    field::{Field, Visit},
};

use super::OURS;
use crate::text::{json_visible, redact, visible};

/// Names that the line itself uses; a field of that name gets a prefix, so that no JSON name occurs twice.
const RESERVED: [&str; 5] = ["timestamp", "level", "event", "message", "target"];

pub(super) struct Line {
    pub(super) timestamp: String,
    pub(super) level: Level,
    pub(super) event: Option<String>,
    pub(super) target: String,
    pub(super) message: String,
    /// In the order in which they were given.
    pub(super) fields: Vec<(Cow<'static, str>, Value)>,
}

impl Line {
    pub(super) fn of(event: &Event<'_>, timestamp: String) -> Self {
        let meta = event.metadata();
        let mut line = Self {
            timestamp,
            level: *meta.level(),
            event: None,
            target: meta.target().to_owned(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut line);
        // Only this program's own events have names that are promised.
        if let Some(name) = line.event.take_if(|_| !line.target.starts_with(OURS)) {
            line.fields.insert(0, ("field_event".into(), Value::from(name)));
        }
        line
    }

    pub(super) fn json(&self) -> String {
        let mut out = Object(Vec::with_capacity(512));
        out.put("timestamp", &self.timestamp);
        out.put("level", &self.level.as_str().to_ascii_lowercase());
        out.put("event", self.event.as_deref().unwrap_or("log"));
        out.put("message", &self.message);
        if self.event.is_none() {
            out.put("target", &self.target);
        }
        for (name, value) in &self.fields {
            out.put(name, value);
        }
        let line = out.end();
        match json_visible(&line) {
            Cow::Borrowed(_) => line,
            Cow::Owned(shown) => shown,
        }
    }

    pub(super) fn text(&self, colour: bool) -> String {
        let (on, off) = match self.level {
            _ if !colour => ("", ""),
            Level::ERROR => ("\x1b[31m", "\x1b[0m"),
            Level::WARN => ("\x1b[33m", "\x1b[0m"),
            Level::INFO => ("\x1b[32m", "\x1b[0m"),
            _ => ("\x1b[2m", "\x1b[0m"),
        };
        let name = self.event.as_deref().unwrap_or(&self.target);
        let mut out = format!("{} {on}{:<5}{off} {}", self.timestamp, self.level, visible(name));
        if !self.message.is_empty() {
            let _ = write!(out, " {}", visible(&self.message));
        }
        for (i, (name, value)) in self.fields.iter().enumerate() {
            let _ = write!(out, "{}{name}={}", if i == 0 { " (" } else { " " }, shown(value));
        }
        if !self.fields.is_empty() {
            out.push(')');
        }
        out
    }

    fn put(&mut self, field: &Field, value: Value) {
        let value = match value {
            Value::String(text) => match redact(&text) {
                Cow::Borrowed(_) => Value::String(text),
                Cow::Owned(shorter) => Value::String(shorter),
            },
            other => other,
        };
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("event", Value::String(text)) => self.event = Some(text),
            (name, value) => {
                let name = if RESERVED.contains(&name) { format!("field_{name}").into() } else { name.into() };
                self.fields.push((name, value));
            }
        }
    }
}

/// A JSON object that is being written, member by member, without a tree of values before it.
struct Object(Vec<u8>);

impl Object {
    fn put(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        // Writing to memory cannot fail, nor can what is written: texts, and values that are JSON.
        let _ = serde_json::to_writer(&mut self.0, name);
        self.0.push(b':');
        let _ = serde_json::to_writer(&mut self.0, value);
    }

    fn end(mut self) -> String {
        self.0.push(b'}');
        String::from_utf8(self.0).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
    }
}

/// A value for people: quoted where it would otherwise run into its neighbours.
fn shown(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let text = visible(text);
    if text.is_empty() || text.contains([' ', '"', '=', '(', ')', '\u{a0}']) {
        format!("\"{}\"", text.replace('"', "\\\""))
    } else {
        text.into_owned()
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::from(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinities; they become null.
        self.put(field, Value::from(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        // Deeper than any real chain: a chain that loops must not hang a log line.
        for _ in 0..16 {
            let Some(error) = source else { break };
            let _ = write!(text, ": {error}");
            source = error.source();
        }
        self.put(field, Value::from(text));
    }
}
