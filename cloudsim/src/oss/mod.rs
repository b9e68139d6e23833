//! OSS as far as exports need it: GET of signed links, and GET, HEAD, PUT and DELETE of objects for an SDK.
//!
//! A virtual-host name cannot point to 127.0.0.1, so all addresses are `/bucket/key`, as an SDK does it for an IP address.

mod answer;
mod auth;
pub(crate) mod link;
mod range;
mod refusal;
mod sign;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use md5::{Digest as _, Md5};

use self::refusal::Refusal;
use crate::{
    body::Body,
    clock::instant,
    cloud::{Cloud, StoredObject},
    fault::OssFault,
    history::OssCall,
    http::{Answer, Handler, Reply, Request},
    object::Object,
    script::GetFacts,
    task::{Export, LinkMode, LinkStyle},
    text::{http_date, oss_request_id, parse_query, percent_decode},
};

/// The object store as a server.
#[derive(Debug)]
pub(crate) struct Oss(pub(crate) Cloud);

/// A request taken apart.
struct Get<'a> {
    cloud: &'a Cloud,
    request: &'a Request,
    /// `bucket/key`, decoded.
    key: String,
    task: Option<(usize, Export, String)>,
    nth: u64,
}

impl Handler for Oss {
    fn refuses(&self) -> bool {
        self.0.settings().get().oss_down
    }

    async fn handle(&self, request: Request) -> Answer {
        let cloud = &self.0;
        let header = |name: &str| request.header(name).map(ToOwned::to_owned);
        let key = percent_decode(request.path.trim_start_matches('/'));
        let task = link::task_at(&key);
        let mut call = OssCall {
            at: instant(),
            sim_time: cloud.clock().now(),
            method: request.method.clone(),
            key: key.clone(),
            task_id: task.as_ref().map(|(_, _, id)| id.clone()),
            range: header("range"),
            if_match: header("if-match"),
            if_none_match: header("if-none-match"),
            accept_encoding: header("accept-encoding"),
            status: 0,
            code: None,
            sent: 0,
        };
        let get = Get { cloud, request: &request, key, task, nth: cloud.history().next_oss() };
        let host = request.header("host").unwrap_or("");
        let request_id = oss_request_id();
        let answer = match get.answer().await {
            Ok(answer) => answer,
            Err(refusal) => {
                call.code = Some(refusal.code.clone());
                Answer::Reply(refusal.reply(request.method == "HEAD", host, &request_id))
            }
        };
        let Answer::Reply(mut reply) = answer else {
            cloud.history().oss(call, Default::default());
            return answer;
        };
        reply.set("Server", "AliyunOSS");
        reply.set("Date", http_date(cloud.clock().now()));
        reply.set("x-oss-request-id", request_id);
        reply.set("x-oss-server-time", "7");
        reply.wire.head_only = request.method == "HEAD" || reply.status == 304;
        reply.wire.before += cloud.settings().get().oss_latency;
        call.status = reply.status;
        cloud.history().oss(call, reply.wire.sent.clone());
        Answer::Reply(reply)
    }
}

impl Get<'_> {
    async fn answer(&self) -> Result<Answer, Refusal> {
        let params = parse_query(&self.request.query);
        let resource = format!("/{}", self.key);
        let signed = auth::authorize(self.cloud, self.request, &params, &resource)?;
        if !signed && !self.is_public() {
            let text = "You have no right to access this object because of bucket acl.";
            return Err(Refusal::denied(text, "0003-00000001"));
        }
        let reading = match self.request.method.as_str() {
            "GET" | "HEAD" => true,
            "PUT" | "DELETE" if signed && self.task.is_none() => false,
            "PUT" | "DELETE" => {
                return Err(Refusal::denied("You have no right to change this object.", "0003-00000002"));
            }
            _ => {
                let text = "The specified method is not allowed against this resource.";
                return Err(Refusal::new(405, "MethodNotAllowed", text, "0017-00000101"));
            }
        };
        let facts = GetFacts {
            task_id: self.task.as_ref().map(|(_, _, id)| id.as_str()),
            nth: self.nth,
            ranged: self.request.header("range").is_some(),
        };
        let fault = self.cloud.oss_fault(&facts);
        match &fault {
            Some(OssFault::Reset) => return Ok(Answer::Reset),
            Some(OssFault::Hang) => return Ok(Answer::Hang),
            Some(OssFault::Replace(object)) => self.replace(object),
            _ => {}
        }
        if let Some(answer) = fault.as_ref().and_then(answer::instead) {
            return answer.map(Answer::Reply);
        }
        if !reading {
            return self.write().map(Answer::Reply);
        }
        let Some(stored) = self.stored() else {
            let name = self.key.split_once('/').map_or("", |(_, name)| name);
            let text = "The specified key does not exist.";
            return Err(Refusal::new(404, "NoSuchKey", text, "0026-00000001").with("Key", name));
        };
        let digests = answer::digests(&stored).await;
        let reply = answer::object(self.request, &stored, &digests, fault.as_ref());
        match reply {
            // The one refusal that carries the object's headers.
            Err(refusal) if refusal.status == 304 => {
                let mut reply = Reply::new(304, "").with("Last-Modified", http_date(stored.modified));
                if let Some(etag) = stored.object.etag_text(&digests) {
                    reply.set("ETag", etag);
                }
                Ok(Answer::Reply(reply))
            }
            other => other.map(Answer::Reply),
        }
    }

    /// Whether anybody may read it.
    fn is_public(&self) -> bool {
        let Some((account, export, id)) = &self.task else { return false };
        let Some(task) = self.cloud.task_of(*account, *export, id) else { return false };
        match task.spec.link {
            LinkMode::Style(style) => style == LinkStyle::Plain,
            LinkMode::Fixed(_) => true,
            _ => self.cloud.settings().get().link_style == LinkStyle::Plain,
        }
    }

    fn stored(&self) -> Option<StoredObject> {
        let Some((account, export, id)) = &self.task else { return self.cloud.object(&self.key) };
        let task = self.cloud.task_of(*account, *export, id)?;
        let modified: Timestamp = task.modified();
        Some(StoredObject { object: task.spec.object, digests: task.digests, modified })
    }

    fn replace(&self, object: &Object) {
        let now = self.cloud.clock().now();
        match &self.task {
            Some((account, export, id)) => {
                self.cloud.with_listing_of(*account, *export, |listing| {
                    listing.update(id, now, |task| task.object = object.clone())
                });
            }
            None => self.cloud.put_object(&self.key, object.clone()),
        }
    }

    /// PUT and DELETE.
    fn write(&self) -> Result<Reply, Refusal> {
        if self.request.method == "DELETE" {
            self.cloud.remove_object(&self.key);
            return Ok(Reply::new(204, ""));
        }
        let body = &self.request.body;
        if let Some(md5) = self.request.header("content-md5")
            && md5 != STANDARD.encode(Md5::digest(body))
        {
            let text = "The Content-MD5 you specified did not match what we received.";
            return Err(Refusal::new(400, "InvalidDigest", text, "0017-00000503"));
        }
        let kind = self.request.header("content-type").unwrap_or("application/octet-stream").to_owned();
        let object = Object::new(Body::Bytes(body.clone()), kind);
        let digests = object.body.digests(true);
        let mut reply = Reply::new(200, "").with("x-oss-hash-crc64ecma", digests.crc64.to_string());
        reply.set("ETag", object.etag_text(&digests).unwrap_or_default());
        reply.set("Content-MD5", STANDARD.encode(digests.md5));
        self.cloud.put_object(&self.key, object);
        Ok(reply)
    }
}
