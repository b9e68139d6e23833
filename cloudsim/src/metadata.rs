//! The metadata service of an ECS instance with a role, and beside it a credentials URI.

use std::{
    collections::HashSet,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    account::AccountSpec,
    cloud::Cloud,
    http::{self, Answer, Handler, Reply, Request},
    lock,
    text::{http_date, iso_seconds},
};

const ROLES: &str = "/latest/meta-data/ram/security-credentials/";
/// Where the credentials URI is, on the same port.
const URI: &str = "/credentials";

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct MetadataSettings {
    /// The role of the instance; none is attached without one.
    pub role: Option<String>,
    /// An access key id of the account whose tasks the keys see.
    pub owner: String,
    /// How long keys last. They are replaced in the second half of that.
    pub lifetime: Duration,
    /// Whether tokens are handed out.
    pub gives_tokens: bool,
    /// Whether tokens are accepted that were handed out.
    pub takes_tokens: bool,
    /// Whether requests without a token are answered.
    pub answers_v1: bool,
    /// What the query of the credentials URI must be.
    pub query: String,
}

/// What the service gets wrong.
#[derive(Debug, Clone)]
pub enum MetadataFault {
    /// It answers with this.
    Body(u16, String),
    /// The connection is reset.
    Reset,
    /// It never answers.
    Hang,
}

/// A request to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataCall {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// Whether it brought a token that was handed out.
    pub has_token: bool,
    /// The HTTP status; 0 when there was none.
    pub status: u16,
}

/// The running service; it stops when this is dropped.
#[derive(Debug)]
pub struct Metadata {
    address: SocketAddr,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    cloud: Cloud,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    settings: MetadataSettings,
    tokens: HashSet<String>,
    keys: Option<AccountSpec>,
    script: Vec<(String, MetadataFault, u32)>,
    calls: Vec<MetadataCall>,
}

impl Metadata {
    /// Starts it on a free port of 127.0.0.1 for an instance of the account of `owner`, with the role `collector`.
    ///
    /// # Errors
    /// When no port can be listened on.
    pub async fn start(cloud: &Cloud, owner: &str) -> io::Result<Self> {
        Self::start_at(cloud, owner, (Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// The same at an address.
    ///
    /// # Errors
    /// When it cannot be listened on.
    pub async fn start_at(cloud: &Cloud, owner: &str, at: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        let settings = MetadataSettings {
            role: Some("collector".to_owned()),
            owner: owner.to_owned(),
            lifetime: Duration::from_secs(6 * 3600),
            gives_tokens: true,
            takes_tokens: true,
            answers_v1: true,
            query: String::new(),
        };
        let state = State { settings, tokens: HashSet::new(), keys: None, script: Vec::new(), calls: Vec::new() };
        let shared = Arc::new(Shared { cloud: cloud.clone(), state: Mutex::new(state) });
        let mut server = JoinSet::new();
        server.spawn(http::serve(listener, Service(Arc::clone(&shared))));
        Ok(Self { address, shared, _server: server })
    }

    /// Where it is: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its credentials URI, with the query that it asks for.
    #[must_use]
    pub fn uri(&self) -> String {
        let query = lock(&self.shared.state).settings.query.clone();
        if query.is_empty() { format!("{}{URI}", self.origin()) } else { format!("{}{URI}?{query}", self.origin()) }
    }

    /// Changes how it behaves.
    pub fn set(&self, change: impl FnOnce(&mut MetadataSettings)) {
        change(&mut lock(&self.shared.state).settings);
    }

    /// Hands out other keys from now on.
    pub fn rotate(&self) {
        lock(&self.shared.state).keys = None;
    }

    /// Scripts a fault for the next `times` requests whose path begins so.
    pub fn script(&self, path: &str, fault: MetadataFault, times: u32) {
        lock(&self.shared.state).script.push((path.to_owned(), fault, times));
    }

    /// Forgets every fault that has not happened yet.
    pub fn clear_script(&self) {
        lock(&self.shared.state).script.clear();
    }

    /// The requests, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<MetadataCall> {
        lock(&self.shared.state).calls.clone()
    }
}

struct Service(Arc<Shared>);

impl Handler for Service {
    fn refuses(&self) -> bool {
        false
    }

    async fn handle(&self, request: Request) -> Answer {
        let mut state = lock(&self.0.state);
        let token = request.header("x-aliyun-ecs-metadata-token").map(ToOwned::to_owned);
        let has_token = token.as_ref().is_some_and(|token| state.tokens.contains(token));
        let answer = match state.fault(&request.path) {
            Some(MetadataFault::Reset) => Answer::Reset,
            Some(MetadataFault::Hang) => Answer::Hang,
            Some(MetadataFault::Body(status, body)) => Answer::Reply(Reply::new(status, body)),
            None => Answer::Reply(state.answer(&request, token.is_some(), has_token, &self.0.cloud)),
        };
        let status = if let Answer::Reply(reply) = &answer { reply.status } else { 0 };
        let (method, path) = (request.method, request.path);
        state.calls.push(MetadataCall { method, path, has_token, status });
        answer
    }
}

impl State {
    fn fault(&mut self, path: &str) -> Option<MetadataFault> {
        let at = self.script.iter().position(|(prefix, _, _)| path.starts_with(prefix.as_str()))?;
        let (_, fault, times) = &mut self.script[at];
        let fault = fault.clone();
        if *times != u32::MAX {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.script.remove(at);
            }
        }
        Some(fault)
    }

    fn answer(&mut self, request: &Request, brings_token: bool, has_token: bool, cloud: &Cloud) -> Reply {
        let date = http_date(cloud.clock().server_now());
        let plain = |status: u16, text: &str| Reply::new(status, text.to_owned()).with("Date", date.clone());
        match (request.method.as_str(), request.path.as_str()) {
            ("PUT", "/latest/api/token") => {
                let ttl = request.header("x-aliyun-ecs-metadata-token-ttl-seconds").and_then(|t| t.parse::<u32>().ok());
                match ttl {
                    _ if !self.settings.gives_tokens => plain(404, "not found"),
                    Some(1..=21600) => {
                        let token = format!("metadata-token-{:032x}", rand::random::<u128>());
                        self.tokens.insert(token.clone());
                        plain(200, &token)
                    }
                    _ => plain(400, "the time to live is missing or wrong"),
                }
            }
            ("GET", URI) if request.query == self.settings.query => {
                plain(200, &self.keys(cloud)).with("Content-Type", "application/json")
            }
            ("GET", URI) => plain(403, "{\"Code\":\"Forbidden\",\"Message\":\"the query is not the right one\"}"),
            ("GET", path) => {
                let allowed =
                    if brings_token { has_token && self.settings.takes_tokens } else { self.settings.answers_v1 };
                let role = self.settings.role.clone();
                match (path.strip_prefix(ROLES), role) {
                    _ if !allowed => plain(403, "<html>forbidden</html>"),
                    (Some(""), Some(role)) => plain(200, &format!("{role}\n")),
                    (Some(name), Some(role)) if name == role => plain(200, &self.keys(cloud)),
                    _ => plain(404, "<html>not found</html>"),
                }
            }
            _ => plain(405, "not allowed"),
        }
    }

    fn keys(&mut self, cloud: &Cloud) -> String {
        let now = cloud.clock().now();
        let half = i64::try_from(self.settings.lifetime.as_millis() / 2).unwrap_or(i64::MAX);
        let old = |keys: &AccountSpec| {
            keys.token_expires_at.is_none_or(|end| end.duration_since(now).as_millis() < i128::from(half))
        };
        if self.keys.as_ref().is_none_or(old) {
            self.keys = Some(cloud.issue(cloud.owner(&self.settings.owner), self.settings.lifetime));
        }
        let Some(keys) = &self.keys else { return String::new() };
        format!(
            "{{\"AccessKeyId\":\"{}\",\"AccessKeySecret\":\"{}\",\"Expiration\":\"{}\",\"SecurityToken\":\"{}\",\
             \"LastUpdated\":\"{}\",\"Code\":\"Success\"}}",
            keys.access_key_id,
            keys.access_key_secret,
            keys.token_expires_at.map(iso_seconds).unwrap_or_default(),
            keys.security_token.as_deref().unwrap_or_default(),
            iso_seconds(now),
        )
    }
}
