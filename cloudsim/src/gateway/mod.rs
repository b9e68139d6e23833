//! The CDN gateway: RPC API, version 2018-05-10.

pub(crate) mod auth;
mod envelope;
mod operations;
mod refusal;
mod render;
mod sts;

use bytes::Bytes;

use self::{
    envelope::{Envelope, Operation},
    refusal::Refusal,
};
use crate::{
    account::Keys,
    clock::instant,
    cloud::Cloud,
    fault::{ApiError, GatewayFault},
    history::GatewayCall,
    http::{Answer, Cut, CutHow, Handler, Reply, Request},
    script::CallFacts,
    task::Export,
    text::{http_date, json_string},
};

/// The gateway as a server.
#[derive(Debug)]
pub(crate) struct Gateway(pub(crate) Cloud);

impl Handler for Gateway {
    fn refuses(&self) -> bool {
        self.0.settings().get().gateway_down
    }

    async fn handle(&self, request: Request) -> Answer {
        let cloud = &self.0;
        let envelope = Envelope::read(&request);
        let mut call = envelope.record(&request, instant(), cloud.clock().now());
        let host = request.header("host").and_then(|host| host.split(':').next()).unwrap_or("");
        // One door for both services: which of them is called stands in the operation.
        let is_sts = sts::knows(&call.action);
        let found = if is_sts {
            sts::answer(cloud, &request, &envelope, &mut call)
        } else {
            answer(cloud, &request, &envelope, &mut call)
        };
        let answer = match found {
            Ok(answer) => answer,
            Err(error) => {
                call.outcome.clone_from(&error.code);
                Answer::Reply(refusal::reply(&error, envelope.json, host, &call))
            }
        };
        let answer = dress(cloud, answer, &mut call);
        if is_sts {
            sts::record(cloud, &request, &envelope, call);
        } else {
            cloud.history().gateway(call);
        }
        answer
    }
}

/// Adds what every answer has.
fn dress(cloud: &Cloud, answer: Answer, call: &mut GatewayCall) -> Answer {
    let Answer::Reply(mut reply) = answer else { return answer };
    call.status = reply.status;
    if reply.status == 200 && call.outcome.is_empty() {
        "OK".clone_into(&mut call.outcome);
    }
    reply.set("Date", http_date(cloud.clock().server_now()));
    reply.set("Server", "Tengine");
    reply.set("X-Acs-Request-Id", call.request_id.clone());
    reply.set("X-Acs-Trace-Id", call.request_id.replace('-', "").to_ascii_lowercase());
    reply.wire.before += cloud.settings().get().latency;
    Answer::Reply(reply)
}

fn answer(cloud: &Cloud, request: &Request, envelope: &Envelope, call: &mut GatewayCall) -> Result<Answer, Refusal> {
    let keys = auth::authenticate(cloud, request, envelope)?;
    if cloud.limits().over_quota(keys.account, call.at, &cloud.settings().get()) {
        return Err(ApiError::throttling().with_header("x-ratelimit-user", "Limit:100,Remain:0,TimeLeft:200,Reset:1"));
    }
    let facts =
        CallFacts { action: &call.action, export: call.export, access_key_id: &call.access_key_id, page: call.page };
    let fault = cloud.gateway_fault(&facts);
    match &fault {
        Some(GatewayFault::Error(error)) => return Err(error.clone()),
        Some(GatewayFault::Reset) => return Ok(named(call, "reset", Answer::Reset)),
        Some(GatewayFault::Hang) => return Ok(named(call, "hang", Answer::Hang)),
        Some(GatewayFault::Body { status, content_type, body }) => {
            let reply = Reply::new(*status, body.clone()).with("Content-Type", content_type.clone());
            return Ok(named(call, "body", Answer::Reply(reply)));
        }
        _ => {}
    }
    let text = operate(cloud, envelope, &keys, call, fault.as_ref())?;
    let kind = if envelope.json { "application/json;charset=utf-8" } else { "text/xml;charset=utf-8" };
    let reply = bend(text, envelope.json, fault.as_ref()).with("Content-Type", kind);
    Ok(Answer::Reply(reply))
}

fn named(call: &mut GatewayCall, name: &str, answer: Answer) -> Answer {
    name.clone_into(&mut call.outcome);
    answer
}

/// Does what is asked and says it in the format that is asked for.
fn operate(
    cloud: &Cloud,
    envelope: &Envelope,
    keys: &Keys,
    call: &GatewayCall,
    fault: Option<&GatewayFault>,
) -> Result<String, Refusal> {
    let (export, operation) = envelope.operation().unwrap_or((Export::UsageDetail, Operation::Describe));
    let id = &keys.spec.access_key_id;
    let fields = match operation {
        Operation::Describe => {
            cloud.run_hook(call);
            let page = operations::describe(cloud, envelope, keys.account, export, call, fault)?;
            let knobs = cloud.settings().get();
            return Ok(if envelope.json { render::json(&page, &knobs) } else { render::xml(&page, &knobs) });
        }
        Operation::Create => operations::create(cloud, envelope, id, export)?,
        Operation::Delete => operations::delete(cloud, envelope, id, export)?,
    };
    let mut all = vec![("RequestId", call.request_id.clone())];
    all.extend(fields);
    if envelope.json {
        let all: Vec<_> = all.iter().map(|(name, value)| format!("\"{name}\":{}", json_string(value, false))).collect();
        return Ok(format!("{{{}}}", all.join(",")));
    }
    let inner: String = all.iter().map(|(name, value)| render::element(name, value)).collect();
    let root = &call.action;
    Ok(format!("<?xml version='1.0' encoding='UTF-8'?><{root}Response>{inner}</{root}Response>"))
}

/// A right answer, made wrong on its way.
fn bend(mut text: String, json: bool, fault: Option<&GatewayFault>) -> Reply {
    match fault {
        Some(GatewayFault::EmptyBody) => text.clear(),
        Some(GatewayFault::Truncated) => {
            let half = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(half);
        }
        Some(GatewayFault::HugeBody(mebibytes)) => {
            // Blanks before a value are well-formed, so only a limit on bytes can refuse it.
            let padding = usize::try_from(*mebibytes).unwrap_or(0).saturating_mul(1 << 20);
            text.insert_str(0, &" ".repeat(padding));
        }
        Some(GatewayFault::DeepNesting(depth)) => {
            let (open, close) = if json { ("[", "]") } else { ("<Data>", "</Data>") };
            let nest = open.repeat(*depth) + &close.repeat(*depth);
            text = if json { format!("{{\"UsageDataPerPage\":{nest}}}") } else { nest };
        }
        _ => {}
    }
    let mut reply = Reply::new(200, Bytes::from(text));
    let cut = match fault {
        Some(GatewayFault::ResetAfter(at)) => Some(Cut { at: *at, how: CutHow::Reset }),
        Some(GatewayFault::CloseAfter(at)) => Some(Cut { at: *at, how: CutHow::Close }),
        Some(GatewayFault::StallAfter(at)) => Some(Cut { at: *at, how: CutHow::Stall }),
        _ => None,
    };
    reply.wire.cut = cut;
    if let Some(GatewayFault::Delay(time)) = fault {
        reply.wire.before = *time;
    }
    reply
}
