//! A page of a listing as JSON or XML, in every shape that samples show.

use crate::{
    settings::{EmptyShape, IdType, Knobs, Layout, Missing},
    text::{json_string, xml_escape},
};

/// A page to be written.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) request_id: String,
    /// The name of the operation, for the root element.
    pub(super) action: String,
    pub(super) number: u64,
    /// JSON tokens: a fault may put anything there.
    pub(super) size: String,
    pub(super) total: Option<String>,
    pub(super) rows: Vec<Row>,
}

/// One row.
#[derive(Debug, Clone)]
pub(super) enum Row {
    Fields(Box<Fields>),
    /// A text that stands for a row.
    Raw(String),
}

/// The fields of a row.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    pub(super) id: String,
    pub(super) name: Value,
    pub(super) status: String,
    pub(super) link: Value,
    pub(super) created: String,
    pub(super) updated: String,
    /// What an earlier update time is said to be, where a quirk shows one.
    pub(super) earlier: String,
    pub(super) start: String,
    pub(super) end: String,
}

/// A field that may have no value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Missing(Missing),
}

pub(super) fn json(page: &Page, knobs: &Knobs) -> String {
    let counter = |token: &str| match token.parse::<u64>() {
        Ok(number) if knobs.counters_as_strings || knobs.layout == Layout::Historic => format!("\"{number}\""),
        _ => token.to_owned(),
    };
    let mut counters = vec![format!("\"PageSize\":{}", counter(&page.size))];
    if let Some(total) = &page.total {
        counters.push(format!("\"TotalCount\":{}", counter(total)));
    }
    counters.push(format!("\"PageNumber\":{}", counter(&page.number.to_string())));
    let counters = counters.join(",");
    let id = format!("\"RequestId\":{}", json_string(&page.request_id, false));
    let rows: Vec<_> = page.rows.iter().map(|row| json_row(row, knobs)).collect();
    let list = format!("[{}]", rows.join(","));
    if knobs.layout == Layout::Historic {
        return format!("{{{id},{counters},\"UsageDataPerPage\":{{\"UsageData\":{list}}}}}");
    }
    let data = match (knobs.layout, knobs.empty_shape) {
        (_, EmptyShape::MissingPage) if rows.is_empty() => return format!("{{{id},{counters}}}"),
        (_, shape) if rows.is_empty() => match shape {
            EmptyShape::EmptyData => Some("{}".to_owned()),
            EmptyShape::NullData => Some("null".to_owned()),
            EmptyShape::ArrayData => Some("[]".to_owned()),
            EmptyShape::EmptyString => Some("\"\"".to_owned()),
            EmptyShape::MissingData | EmptyShape::MissingPage => None,
            EmptyShape::EmptyArray => Some("{\"DataItem\":[]}".to_owned()),
        },
        (Layout::FlatData, _) => Some(list),
        (Layout::LoneObject, _) if rows.len() == 1 => Some(format!("{{\"DataItem\":{}}}", rows[0])),
        _ => Some(format!("{{\"DataItem\":{list}}}")),
    };
    let data = data.map_or_else(String::new, |data| format!(",\"Data\":{data}"));
    format!("{{{id},\"UsageDataPerPage\":{{{counters}{data}}}}}")
}

fn json_row(row: &Row, knobs: &Knobs) -> String {
    let fields = match row {
        Row::Raw(text) => return text.clone(),
        Row::Fields(fields) => fields,
    };
    let text = |value: &str| json_string(value, knobs.escape_html);
    let numeric = knobs.id_type == IdType::Number
        && fields.id.bytes().all(|b| b.is_ascii_digit())
        && fields.id.len() < 19
        && !(fields.id.starts_with('0') && fields.id.len() > 1)
        && !fields.id.is_empty();
    let mut out = vec![("TaskId", if numeric { fields.id.clone() } else { text(&fields.id) })];
    let mut optional = |name, value: &Value| match value {
        Value::Text(value) => out.push((name, text(value))),
        Value::Missing(Missing::Absent) => {}
        Value::Missing(Missing::Null) => out.push((name, "null".to_owned())),
        Value::Missing(Missing::Empty) => out.push((name, "\"\"".to_owned())),
    };
    optional("TaskName", &fields.name);
    optional("DownloadUrl", &fields.link);
    if knobs.duplicate_update_time {
        out.insert(1, ("UpdateTime", text(&fields.earlier)));
    }
    out.push(("UpdateTime", text(&fields.updated)));
    if knobs.modify_time {
        out.push(("ModifyTime", text(&fields.earlier)));
    }
    out.push(("CreateTime", text(&fields.created)));
    out.push(("Status", text(&fields.status)));
    let config = format!("{{\"StartTime\":{},\"EndTime\":{}}}", text(&fields.start), text(&fields.end));
    out.push(("TaskConfig", config));
    let out: Vec<_> = out.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", out.join(","))
}

pub(super) fn xml(page: &Page, knobs: &Knobs) -> String {
    let counter = |name: &str, token: &str| element(name, token.trim_matches('"'));
    let rows: String = page.rows.iter().map(|row| xml_row(row, knobs)).collect();
    let mut inner = counter("PageSize", &page.size);
    if let Some(total) = &page.total {
        inner.push_str(&counter("TotalCount", total));
    }
    inner.push_str(&counter("PageNumber", &page.number.to_string()));
    let missing = matches!(knobs.empty_shape, EmptyShape::MissingData | EmptyShape::MissingPage);
    if !(page.rows.is_empty() && missing) {
        inner.push_str(&format!("<Data>{rows}</Data>"));
    }
    let inner = if page.rows.is_empty() && knobs.empty_shape == EmptyShape::MissingPage {
        inner
    } else {
        format!("<UsageDataPerPage>{inner}</UsageDataPerPage>")
    };
    let id = element("RequestId", &page.request_id);
    let root = &page.action;
    format!("<?xml version='1.0' encoding='UTF-8'?><{root}Response>{id}{inner}</{root}Response>")
}

fn xml_row(row: &Row, knobs: &Knobs) -> String {
    let fields = match row {
        Row::Raw(text) => return text.clone(),
        Row::Fields(fields) => fields,
    };
    let optional = |name: &str, value: &Value| match value {
        Value::Text(value) => element(name, value),
        Value::Missing(Missing::Absent) => String::new(),
        Value::Missing(Missing::Null | Missing::Empty) => format!("<{name}></{name}>"),
    };
    let mut out = element("TaskId", &fields.id);
    out.push_str(&optional("TaskName", &fields.name));
    if knobs.duplicate_update_time {
        out.push_str(&element("UpdateTime", &fields.earlier));
    }
    out.push_str(&optional("DownloadUrl", &fields.link));
    out.push_str(&element("UpdateTime", &fields.updated));
    if knobs.modify_time {
        out.push_str(&element("ModifyTime", &fields.earlier));
    }
    out.push_str(&element("CreateTime", &fields.created));
    out.push_str(&element("Status", &fields.status));
    let config = element("StartTime", &fields.start) + &element("EndTime", &fields.end);
    format!("<DataItem>{out}<TaskConfig>{config}</TaskConfig></DataItem>")
}

pub(super) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", xml_escape(text))
}
