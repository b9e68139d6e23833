//! The XML of a listing.
//!
//! quick-xml reads a flat stream of events, and the tree is built with a stack of our own whose depth is bounded, so
//! that no nesting can exhaust the thread's. Entities beyond the predefined ones are not expanded.

use quick_xml::{Reader, escape::resolve_xml_entity, events::Event};

use super::{Draft, Fields, ROWS_MAX, Row, Scalar};

/// Elements deeper than this are skipped. A listing has six levels.
const DEPTH_MAX: usize = 32;

/// More elements than this are no page: [`ROWS_MAX`] rows of ten elements, twice.
const ELEMENTS_MAX: usize = 20 * ROWS_MAX;

/// An element with its text and its children.
#[derive(Debug, Default)]
pub struct Element<'a> {
    name: String,
    text: String,
    children: Vec<Self>,
    /// From its start tag to its end tag, as sent.
    raw: &'a str,
}

impl<'a> Element<'a> {
    /// Parses a document and returns its root.
    ///
    /// # Errors
    /// When it is not well-formed, is empty, or has too many elements.
    pub fn parse(body: &'a str) -> Result<Self, String> {
        Builder { body, reader: Reader::from_str(body), stack: Vec::new(), skipped: 0, elements: 0 }.run()
    }

    /// The last child of this name, in any case.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().rfind(|child| child.name.eq_ignore_ascii_case(name))
    }

    /// The text of the last child of this name.
    pub fn child_text(&self, name: &str) -> Option<String> {
        self.child(name).map(|child| child.text.trim().to_owned())
    }

    fn scalar(&self, name: &str) -> Scalar {
        match self.child(name) {
            None => Scalar::Missing,
            Some(child) if child.children.is_empty() => Scalar::Text(child.text.trim().to_owned()),
            Some(_) => Scalar::Other("an element with elements"),
        }
    }

    fn is_blank(&self) -> bool {
        self.children.is_empty() && self.text.trim().is_empty()
    }
}

struct Builder<'a> {
    body: &'a str,
    reader: Reader<&'a [u8]>,
    /// The open elements and where each begins.
    stack: Vec<(Element<'a>, usize)>,
    /// Open elements that are too deep to be kept.
    skipped: usize,
    elements: usize,
}

impl<'a> Builder<'a> {
    fn run(mut self) -> Result<Element<'a>, String> {
        // Ends: every event but the last consumes at least one byte.
        loop {
            let begin = self.position();
            match self.reader.read_event().map_err(|e| format!("it is no XML: {e}"))? {
                Event::Start(tag) => {
                    let name = tag.local_name().as_ref().to_owned();
                    self.open(name, begin)?;
                }
                Event::Empty(tag) => {
                    let name = tag.local_name().as_ref().to_owned();
                    self.open(name, begin)?;
                    if let Some(root) = self.close() {
                        return Ok(root);
                    }
                }
                Event::End(_) => {
                    if let Some(root) = self.close() {
                        return Ok(root);
                    }
                }
                Event::Text(text) => self.text(&text),
                Event::CData(text) => self.text(&text),
                Event::GeneralRef(entity) => match entity.resolve_char_ref() {
                    Ok(Some(c)) => self.text(c.encode_utf8(&mut [0; 4])),
                    _ => match resolve_xml_entity(&entity) {
                        Some(text) => self.text(text),
                        None => self.text(&format!("&{};", &*entity)),
                    },
                },
                Event::Eof => {
                    return Err(match self.stack.last() {
                        Some((open, _)) => format!("it ends within <{}>", super::shorten(&open.name, 64)),
                        None => "it is no XML: it has no element".to_owned(),
                    });
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    fn open(&mut self, name: String, begin: usize) -> Result<(), String> {
        self.elements += 1;
        if self.elements > ELEMENTS_MAX {
            return Err(format!("it has more than {ELEMENTS_MAX} elements"));
        }
        if self.stack.len() < DEPTH_MAX {
            self.stack.push((Element { name, ..Element::default() }, begin));
        } else {
            self.skipped += 1;
        }
        Ok(())
    }

    /// Closes the innermost element; returns it if it was the root.
    fn close(&mut self) -> Option<Element<'a>> {
        if self.skipped > 0 {
            self.skipped -= 1;
            return None;
        }
        let end = self.position();
        let (mut element, begin) = self.stack.pop()?;
        element.raw = self.body.get(begin..end).unwrap_or_default();
        match self.stack.last_mut() {
            Some((parent, _)) => {
                parent.children.push(element);
                None
            }
            None => Some(element),
        }
    }

    fn text(&mut self, text: &str) {
        if self.skipped == 0
            && let Some((open, _)) = self.stack.last_mut()
        {
            open.text.push_str(text);
        }
    }
}

pub(super) fn draft(body: &str) -> Result<Draft<'_>, String> {
    let root = Element::parse(body)?;
    if root.name.eq_ignore_ascii_case("html") {
        return Err("it is an HTML page".to_owned());
    }
    let page = root.child("UsageDataPerPage");
    let counter = |name: &str| match page.map(|page| page.scalar(name)) {
        None | Some(Scalar::Missing) => root.scalar(name),
        Some(counter) => counter,
    };
    let mut rows = Vec::new();
    let containers = page.iter().flat_map(|page| &page.children);
    for container in containers.filter(|c| ["Data", "UsageData"].iter().any(|name| c.name.eq_ignore_ascii_case(name))) {
        let items = || container.children.iter().filter(|c| c.name.eq_ignore_ascii_case("DataItem"));
        // A container without items may be a row itself, as the oldest samples have it.
        let lone = (items().next().is_none() && !container.is_blank()).then_some(container);
        for row in items().chain(lone) {
            if rows.len() >= ROWS_MAX {
                return Err(format!("it has more than {ROWS_MAX} rows"));
            }
            rows.push(Row { raw: row.raw, fields: fields(row) });
        }
    }
    Ok(Draft {
        request_id: root.child_text("RequestId"),
        has_code: root.child_text("Code").is_some_and(|code| !code.is_empty()),
        has_page: page.is_some(),
        total: counter("TotalCount"),
        number: counter("PageNumber"),
        size: counter("PageSize"),
        rows,
    })
}

fn fields(row: &Element<'_>) -> Result<Fields, String> {
    if row.children.is_empty() {
        return Err("it is an element without elements".to_owned());
    }
    let range = row.child("TaskConfig");
    Ok(Fields {
        id: row.scalar("TaskId"),
        name: row.scalar("TaskName"),
        status: row.scalar("Status"),
        link: row.scalar("DownloadUrl"),
        created: row.scalar("CreateTime"),
        updated: row.scalar("UpdateTime"),
        range_start: range.map_or(Scalar::Missing, |range| range.scalar("StartTime")),
        range_end: range.map_or(Scalar::Missing, |range| range.scalar("EndTime")),
    })
}
