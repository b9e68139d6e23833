//! What a call says about itself, before any of it is believed.

use crate::{
    history::GatewayCall,
    http::Request,
    task::Export,
    text::{lookup, parse_query},
};

/// A call taken apart.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) protocol: Protocol,
    /// Parameters in their order: the query, and for V1 also a form body.
    pub(super) params: Vec<(String, String)>,
    pub(super) access_key_id: Option<String>,
    pub(super) action: Option<String>,
    pub(super) version: Option<String>,
    pub(super) date: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) token: Option<String>,
    pub(super) signature: Option<String>,
    /// Whether the answer shall be JSON.
    pub(super) json: bool,
}

/// How a call is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Protocol {
    V1,
    V3 {
        signed_headers: Option<String>,
    },
    /// Both or neither, or something unknown.
    Unclear,
}

/// The scheme of V3.
pub(super) const V3_SCHEME: &str = "ACS3-HMAC-SHA256";

impl Envelope {
    pub(super) fn read(request: &Request) -> Self {
        let mut params = parse_query(&request.query);
        let v3 = request.header("authorization").and_then(|value| value.strip_prefix(V3_SCHEME));
        let v1 = lookup(&params, "Signature").is_some() || lookup(&params, "AccessKeyId").is_some();
        match (v3, v1, request.header("authorization")) {
            (Some(rest), false, _) => Self::v3(request, params, rest),
            (None, true, None) => {
                let form = "application/x-www-form-urlencoded";
                if request.header("content-type").is_some_and(|kind| kind.starts_with(form)) {
                    params.extend(parse_query(&String::from_utf8_lossy(&request.body)));
                }
                Self::v1(params)
            }
            _ => {
                let mut envelope = Self::v1(params);
                envelope.protocol = Protocol::Unclear;
                envelope
            }
        }
    }

    fn v1(params: Vec<(String, String)>) -> Self {
        let get = |name: &str| lookup(&params, name).map(ToOwned::to_owned);
        Self {
            protocol: Protocol::V1,
            access_key_id: get("AccessKeyId"),
            action: get("Action"),
            version: get("Version"),
            date: get("Timestamp"),
            nonce: get("SignatureNonce"),
            token: get("SecurityToken"),
            signature: get("Signature"),
            // Without a Format this protocol answers in XML.
            json: get("Format").is_some_and(|format| format.eq_ignore_ascii_case("json")),
            params,
        }
    }

    fn v3(request: &Request, params: Vec<(String, String)>, rest: &str) -> Self {
        let fields: Vec<_> = rest.strip_prefix(' ').unwrap_or("").split(',').collect();
        let field = |name: &str| {
            let found = fields.iter().find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            found.map(ToOwned::to_owned)
        };
        let header = |name: &str| request.header(name).map(ToOwned::to_owned);
        let json = match lookup(&params, "Format") {
            Some(format) => format.eq_ignore_ascii_case("json"),
            // What an answer looks like that was not asked for in JSON is not established: the worse case is taken.
            None => request.header_lists("accept", "application/json"),
        };
        Self {
            protocol: Protocol::V3 { signed_headers: field("SignedHeaders") },
            access_key_id: field("Credential"),
            action: header("x-acs-action"),
            version: header("x-acs-version"),
            date: header("x-acs-date"),
            nonce: header("x-acs-signature-nonce"),
            token: header("x-acs-security-token"),
            signature: field("Signature"),
            json,
            params,
        }
    }

    /// The family and the kind of its operation.
    pub(super) fn operation(&self) -> Option<(Export, Operation)> {
        let action = self.action.as_deref()?;
        Export::ALL.into_iter().find_map(|export| {
            let operation = match action {
                name if name == export.describe() => Operation::Describe,
                name if name == export.create() => Operation::Create,
                name if name == export.delete() => Operation::Delete,
                _ => return None,
            };
            Some((export, operation))
        })
    }

    /// The record of the call, its outcome still open.
    pub(super) fn record(&self, request: &Request, at: std::time::Instant, sim_time: jiff::Timestamp) -> GatewayCall {
        let number = |name: &str| lookup(&self.params, name).and_then(|text| text.parse().ok());
        GatewayCall {
            at,
            sim_time,
            access_key_id: self.access_key_id.clone().unwrap_or_default(),
            method: request.method.clone(),
            action: self.action.clone().unwrap_or_default(),
            export: self.operation().map(|(export, _)| export),
            page: number("PageNumber"),
            page_size: number("PageSize"),
            outcome: String::new(),
            status: 0,
            nonce: self.nonce.clone().unwrap_or_default(),
            v3: matches!(self.protocol, Protocol::V3 { .. }),
            security_token: self.token.clone(),
            request_id: crate::text::request_id(),
        }
    }
}

/// The kind of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Describe,
    Create,
    Delete,
}
