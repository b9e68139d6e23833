//! A simulator of the Alibaba Cloud CDN gateway (RPC API, version 2018-05-10), of STS and of OSS, for tests and
//! demonstrations. The gateway's port answers for STS too.
//!
//! It shares no code with the client it is meant for, so that it can catch the client's mistakes: it recomputes every
//! signature from the bytes on the wire, keeps a clock of its own, remembers nonces, lets links expire and ignores
//! ranges the way the real service does. What the documentation leaves open can be turned in [`Settings`], what goes
//! wrong on a bad day is scripted with [`GatewayFault`] and [`OssFault`].
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use cloudsim::{AccountSpec, CloudSim, Export, GatewayFault, GatewayMatch, TaskSpec};
//!
//! let cloud = CloudSim::start().await?;
//! cloud.add_account(AccountSpec::new("LTAItest", "secret"));
//! let id = cloud.add_task("LTAItest", Export::UsageDetail, TaskSpec::default());
//! cloud.script_gateway(GatewayMatch::Any, GatewayFault::Reset, 1);
//! assert!(cloud.endpoint().starts_with("http://127.0.0.1:"));
//! # assert!(!id.is_empty());
//! # Ok::<(), std::io::Error>(()) }).unwrap();
//! ```

mod account;
mod body;
mod clock;
mod cloud;
mod fault;
mod gateway;
mod history;
mod http;
mod limits;
mod listing;
mod metadata;
mod object;
mod oss;
mod role;
mod script;
mod settings;
mod task;
mod text;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    ops::Deref,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{net::TcpListener, task::JoinSet};

pub use account::AccountSpec;
pub use body::{Body, Generated};
pub use clock::SimClock;
pub use cloud::Cloud;
pub use fault::{ApiError, ErrorFormat, GatewayFault, GatewayMatch, OssFault, OssMatch};
pub use history::{GatewayCall, OssCall};
pub use metadata::{Metadata, MetadataCall, MetadataFault, MetadataSettings};
pub use object::{EtagMode, Object};
pub use role::{RoleSpec, StsCall, StsFault};
pub use settings::{EmptyShape, IdType, Knobs, Layout, Missing, Order, Oversize, PastEnd, Settings};
pub use task::{Export, LinkMode, LinkStyle, TaskSpec};

/// The two servers. They stop when this is dropped, and every connection with them.
#[derive(Debug)]
pub struct CloudSim {
    cloud: Cloud,
    gateway: SocketAddr,
    _servers: JoinSet<()>,
}

impl CloudSim {
    /// Starts both servers on free ports of 127.0.0.1, plain HTTP.
    ///
    /// # Errors
    /// When no port can be listened on.
    pub async fn start() -> io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::start_at(any, any).await
    }

    /// Starts both servers at these addresses, plain HTTP: for a client that is started before the cloud is.
    ///
    /// # Errors
    /// When one of them cannot be listened on.
    pub async fn start_at(gateway: SocketAddr, oss: SocketAddr) -> io::Result<Self> {
        let gateway = TcpListener::bind(gateway).await?;
        let oss = TcpListener::bind(oss).await?;
        let address = gateway.local_addr()?;
        let cloud = Cloud::new(oss.local_addr()?);
        let mut servers = JoinSet::new();
        servers.spawn(http::serve(gateway, gateway::Gateway(cloud.clone())));
        servers.spawn(http::serve(oss, oss::Oss(cloud.clone())));
        Ok(Self { cloud, gateway: address, _servers: servers })
    }

    /// The gateway's address as an endpoint: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.gateway)
    }

    /// Where the object store listens.
    #[must_use]
    pub fn oss_address(&self) -> SocketAddr {
        self.cloud.oss_address()
    }

    /// The state of the cloud.
    #[must_use]
    pub fn state(&self) -> &Cloud {
        &self.cloud
    }
}

impl Deref for CloudSim {
    type Target = Cloud;

    fn deref(&self) -> &Cloud {
        &self.cloud
    }
}

/// Locks; a panic elsewhere does not make the state useless for a test that is about to report it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
