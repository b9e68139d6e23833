//! Error answers of the object store.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{http::Reply, text::xml_escape};

/// An error in the store's own form.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    /// The finer code; empty when there is none.
    pub(super) ec: String,
    /// Fields that belong to the code.
    pub(super) fields: Vec<(&'static str, String)>,
    /// Whether the body goes into a header instead.
    pub(super) hidden: bool,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &str, message: &str, ec: &str) -> Self {
        let (code, message, ec) = (code.to_owned(), message.to_owned(), ec.to_owned());
        Self { status, code, message, ec, fields: Vec::new(), hidden: false }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    pub(super) fn denied(message: &str, ec: &str) -> Self {
        Self::new(403, "AccessDenied", message, ec)
    }

    pub(super) fn invalid(message: &str) -> Self {
        Self::new(400, "InvalidArgument", message, "0002-00000201")
    }

    /// The error as an answer; without a body for HEAD, as a 304 has none.
    pub(super) fn reply(&self, head: bool, host: &str, request_id: &str) -> Reply {
        if self.status == 304 {
            return Reply::new(304, "");
        }
        let mut inner = format!(
            "  <Code>{}</Code>\n  <Message>{}</Message>\n  <RequestId>{request_id}</RequestId>\n  <HostId>{}</HostId>\n",
            xml_escape(&self.code),
            xml_escape(&self.message),
            xml_escape(host)
        );
        for (name, value) in &self.fields {
            inner.push_str(&format!("  <{name}>{}</{name}>\n", xml_escape(value)));
        }
        if !self.ec.is_empty() {
            let ec = &self.ec;
            let page = format!("https://api.aliyun.com/troubleshoot?q={ec}");
            inner.push_str(&format!("  <EC>{ec}</EC>\n  <RecommendDoc>{page}</RecommendDoc>\n"));
        }
        let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>\n{inner}</Error>\n");
        let bare = head || self.hidden;
        let mut reply = Reply::new(self.status, if bare { String::new() } else { body.clone() });
        reply.set("Content-Type", "application/xml");
        if bare {
            reply.set("x-oss-err", STANDARD.encode(body));
        }
        if !self.ec.is_empty() {
            reply.set("x-oss-ec", self.ec.clone());
        }
        reply
    }
}
