//! Error answers of the gateway.

use crate::{
    fault::{ApiError, ErrorFormat},
    history::GatewayCall,
    http::Reply,
    text::{json_string, xml_escape},
};

/// Why a call is refused.
pub(super) type Refusal = ApiError;

/// A refusal with a code, a status and a message.
pub(super) fn refuse(code: impl Into<String>, status: u16, message: impl Into<String>) -> Refusal {
    ApiError::new(code, status).with_message(message)
}

/// The error as an answer.
pub(super) fn reply(error: &ApiError, json: bool, host: &str, call: &GatewayCall) -> Reply {
    let request_id = &call.request_id;
    let format = match error.format {
        ErrorFormat::AsAsked if json => ErrorFormat::Json,
        ErrorFormat::AsAsked => ErrorFormat::Xml,
        other => other,
    };
    let recommend = format!("https://api.aliyun.com/troubleshoot?q={}&requestId={request_id}", error.code);
    let (text, content_type) = match format {
        ErrorFormat::Xml | ErrorFormat::AsAsked => {
            let text = format!(
                "<?xml version='1.0' encoding='UTF-8'?><Error><RequestId>{request_id}</RequestId><HostId>{}</HostId>\
                 <Code>{}</Code><Message>{}</Message><Recommend>{}</Recommend></Error>",
                xml_escape(host),
                xml_escape(&error.code),
                xml_escape(&error.message),
                xml_escape(&recommend)
            );
            (text, "text/xml;charset=utf-8")
        }
        ErrorFormat::Json | ErrorFormat::JsonLower => {
            let text = json_error(error, host, call, &recommend, format == ErrorFormat::JsonLower);
            (text, "application/json;charset=utf-8")
        }
        ErrorFormat::Html => {
            let title = format!("{} {}", error.status, "from a proxy on the way");
            let text = format!(
                "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
                 <hr><center>Tengine</center>\r\n</body>\r\n</html>\r\n"
            );
            (text, "text/html")
        }
        ErrorFormat::Empty => (String::new(), "text/plain"),
    };
    let mut reply = Reply::new(error.status, text).with("Content-Type", content_type);
    for (name, value) in &error.headers {
        reply.set(name.clone(), value.clone());
    }
    reply
}

fn json_error(error: &ApiError, host: &str, call: &GatewayCall, recommend: &str, lower: bool) -> String {
    let name = |name: &str| {
        let mut name = name.to_owned();
        if lower && let Some(first) = name.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        name
    };
    let mut fields = vec![
        (name("RequestId"), json_string(&call.request_id, false)),
        (name("HostId"), json_string(host, false)),
        (name("Code"), json_string(&error.code, false)),
        (name("Message"), json_string(&error.message, false)),
        (name("Recommend"), json_string(recommend, false)),
    ];
    if error.code.starts_with("Forbidden") || error.code == "NoPermission" {
        let action = json_string(&format!("{}:{}", call.product(), call.action), false);
        let rest = "\"AuthPrincipalType\":\"SubUser\",\"AuthPrincipalOwnerId\":\"1000000000000000\",\"AuthPrincipalDisplayName\":\"200000000000000000\",\
             \"NoPermissionType\":\"ImplicitDeny\",\"PolicyType\":\"AccountLevelIdentityBasedPolicy\",\
             \"EncodedDiagnosticMessage\":\"AQEAAAAA\"}";
        fields.push((name("AccessDeniedDetail"), format!("{{\"AuthAction\":{action},{rest}")));
    }
    let fields: Vec<_> = fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}
