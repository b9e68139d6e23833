//! A client that does exactly what a test says: it shares nothing with the simulator.

#![expect(dead_code, reason = "every test file uses its own part of this")]
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{cell::Cell, net::SocketAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cloudsim::CloudSim;
use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

pub const ID: &str = "LTAItest";
pub const SECRET: &str = "a-secret";
pub const DETAIL: &str = "DescribeUserUsageDetailDataExportTask";
/// Nothing on the loopback interface takes this long.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// How long a silence is watched where silence is the point: much longer than a busy machine pauses.
const QUIET: Duration = Duration::from_secs(1);
/// How late a late answer is.
pub const LATE: Duration = Duration::from_millis(50);

thread_local! {
    /// How long a reader waits for the next bytes before it calls them missing.
    static PATIENCE: Cell<Duration> = const { Cell::new(DEADLINE) };
}

/// Runs an exchange that is expected to fall silent.
pub async fn impatiently<T>(work: impl Future<Output = T>) -> T {
    PATIENCE.set(QUIET);
    let out = work.await;
    PATIENCE.set(DEADLINE);
    out
}

/// How an answer ended.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum End {
    Complete,
    Closed,
    Reset,
    Silent,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub end: End,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The error code, in whichever form.
    pub fn code(&self) -> String {
        match serde_json::from_slice::<serde_json::Value>(&self.body) {
            Ok(json) => json["Code"].as_str().unwrap_or_default().to_owned(),
            Err(_) => inside(&self.text(), "Code").unwrap_or_default(),
        }
    }
}

/// The text of the first element of that name.
pub fn inside(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text.to_owned())
}

/// Sends bytes, reads one answer.
pub async fn exchange(address: SocketAddr, request: &[u8]) -> Reply {
    tokio::time::timeout(DEADLINE, async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        read(&mut stream, request.starts_with(b"HEAD")).await
    })
    .await
    .unwrap()
}

/// Reads one answer off a connection.
pub async fn read(stream: &mut TcpStream, head_only: bool) -> Reply {
    let mut bytes = Vec::new();
    let mut reply: Option<Reply> = None;
    let mut start = 0;
    loop {
        if reply.is_none()
            && let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n")
        {
            start = at + 4;
            reply = Some(parse_head(&bytes[..at]));
        }
        if let Some(reply) = &mut reply {
            let done = head_only || matches!(reply.status, 204 | 304);
            if done || complete(reply, &bytes[start..]) {
                return finish(reply, &bytes[start..], End::Complete);
            }
        }
        let end = match tokio::time::timeout(PATIENCE.get(), stream.read_buf(&mut bytes)).await {
            Err(_) => End::Silent,
            Ok(Ok(0)) => End::Closed,
            Ok(Err(_)) => End::Reset,
            Ok(Ok(_)) => continue,
        };
        let mut reply = reply.unwrap_or(Reply { status: 0, headers: Vec::new(), body: Vec::new(), end: End::Closed });
        return finish(&mut reply, &bytes[start..], end);
    }
}

fn parse_head(head: &[u8]) -> Reply {
    let head = std::str::from_utf8(head).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let split = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_owned(), value.to_owned())
    };
    Reply { status, headers: lines.map(split).collect(), body: Vec::new(), end: End::Closed }
}

fn complete(reply: &Reply, body: &[u8]) -> bool {
    match reply.header("content-length") {
        Some(length) => length.parse::<usize>().is_ok_and(|length| body.len() >= length),
        None => reply.header("transfer-encoding").is_some() && body.ends_with(b"0\r\n\r\n"),
    }
}

fn finish(reply: &mut Reply, body: &[u8], end: End) -> Reply {
    let chunked = reply.header("transfer-encoding").is_some();
    let body = if chunked { unchunk(body) } else { body.to_vec() };
    Reply { status: reply.status, headers: std::mem::take(&mut reply.headers), body, end }
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(at) = body.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..at]).unwrap(), 16).unwrap();
        if size == 0 || body.len() < at + 2 + size {
            break;
        }
        out.extend_from_slice(&body[at + 2..at + 2 + size]);
        body = &body[at + 2 + size + 2..];
    }
    out
}

/// GET of a link.
pub async fn get(url: &str, headers: &[(&str, &str)]) -> Reply {
    request("GET", url, headers).await
}

/// Any request to a link.
pub async fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> Reply {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, target) = rest.split_once('/').unwrap();
    let mut head = format!("{method} /{target} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    exchange(host.parse().unwrap(), head.as_bytes()).await
}

pub fn address(cloud: &CloudSim) -> SocketAddr {
    cloud.endpoint().strip_prefix("http://").unwrap().parse().unwrap()
}

/// A signed call, every part of which a test may spoil.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: &'static str,
    pub action: String,
    pub version: String,
    pub params: Vec<(String, String)>,
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
    pub date: Timestamp,
    pub nonce: String,
    pub accept: Option<&'static str>,
    /// Sent but not signed.
    pub unsigned: Vec<(String, String)>,
}

pub fn call(cloud: &CloudSim, action: &str, params: &[(&str, &str)]) -> Call {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Call {
        method: "POST",
        action: action.to_owned(),
        version: "2018-05-10".to_owned(),
        params: params.iter().map(own).collect(),
        id: ID.to_owned(),
        secret: SECRET.to_owned(),
        token: None,
        date: cloud.clock().now(),
        nonce: format!("{:032x}", rand::random::<u128>()),
        accept: Some("application/json"),
        unsigned: Vec::new(),
    }
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

fn query(params: &[(String, String)]) -> String {
    let mut parts: Vec<_> = params.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    parts.sort();
    parts.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

impl Call {
    fn iso(&self) -> String {
        self.date.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// The call signed with V3.
    pub fn v3_bytes(&self, host: &str) -> Vec<u8> {
        let hash = hex::encode(Sha256::digest(b""));
        let mut headers = vec![
            ("host".to_owned(), host.to_owned()),
            ("x-acs-action".to_owned(), self.action.clone()),
            ("x-acs-content-sha256".to_owned(), hash.clone()),
            ("x-acs-date".to_owned(), self.iso()),
            ("x-acs-signature-nonce".to_owned(), self.nonce.clone()),
            ("x-acs-version".to_owned(), self.version.clone()),
        ];
        if let Some(token) = &self.token {
            headers.push(("x-acs-accesskey-id".to_owned(), self.id.clone()));
            headers.push(("x-acs-security-token".to_owned(), token.clone()));
        }
        headers.sort();
        let query = query(&self.params);
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let canonical = format!("{}\n/\n{query}\n{lines}\n{names}\n{hash}", self.method);
        let to_sign = format!("ACS3-HMAC-SHA256\n{}", hex::encode(Sha256::digest(canonical)));
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(to_sign.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        let id = &self.id;
        let authorization = format!("ACS3-HMAC-SHA256 Credential={id},SignedHeaders={names},Signature={signature}");
        headers.push(("authorization".to_owned(), authorization));
        headers.extend(self.unsigned.clone());
        self.bytes(&query, &headers)
    }

    /// The call signed with V1.
    pub fn v1_bytes(&self, host: &str) -> Vec<u8> {
        let mut params = self.params.clone();
        let mut add = |name: &str, value: &str| params.push((name.to_owned(), value.to_owned()));
        add("Action", &self.action);
        add("Version", &self.version);
        add("Timestamp", &self.iso());
        add("SignatureNonce", &self.nonce);
        add("SignatureMethod", "HMAC-SHA1");
        add("SignatureVersion", "1.0");
        add("AccessKeyId", &self.id);
        if let Some(token) = &self.token {
            add("SecurityToken", token);
        }
        let to_sign = format!("{}&%2F&{}", self.method, encode(&query(&params)));
        let mut mac = Hmac::<Sha1>::new_from_slice(format!("{}&", self.secret).as_bytes()).unwrap();
        mac.update(to_sign.as_bytes());
        params.push(("Signature".to_owned(), STANDARD.encode(mac.finalize().into_bytes())));
        let mut headers = vec![("host".to_owned(), host.to_owned())];
        headers.extend(self.unsigned.clone());
        self.bytes(&query(&params), &headers)
    }

    fn bytes(&self, query: &str, headers: &[(String, String)]) -> Vec<u8> {
        let mut head = format!("{} /?{query} HTTP/1.1\r\n", self.method);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(accept) = self.accept {
            head.push_str(&format!("accept: {accept}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    pub async fn v3(&self, cloud: &CloudSim) -> Reply {
        let address = address(cloud);
        exchange(address, &self.v3_bytes(&address.to_string())).await
    }

    pub async fn v1(&self, cloud: &CloudSim) -> Reply {
        let address = address(cloud);
        exchange(address, &self.v1_bytes(&address.to_string())).await
    }
}

/// A page of the detail listing.
pub async fn page(cloud: &CloudSim, number: u64, size: u64) -> Reply {
    let (number, size) = (number.to_string(), size.to_string());
    call(cloud, DETAIL, &[("PageNumber", &number), ("PageSize", &size)]).v3(cloud).await
}

/// The task ids of a page.
pub fn ids(reply: &Reply) -> Vec<String> {
    let json = reply.json();
    let rows = json["UsageDataPerPage"]["Data"]["DataItem"].as_array().cloned().unwrap_or_default();
    rows.iter().map(|row| row["TaskId"].as_str().unwrap().to_owned()).collect()
}

/// A cloud with one account.
pub async fn cloud() -> CloudSim {
    let cloud = CloudSim::start().await.unwrap();
    cloud.add_account(cloudsim::AccountSpec::new(ID, SECRET));
    cloud
}
