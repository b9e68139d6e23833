//! TLS before a simulated cloud, which itself speaks plain HTTP.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use cloudsim::CloudSim;
use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use crate::common::{Run, World, finish};

/// What is kept for these tests; `make.sh` beside it says which certificate is what.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

fn acceptor(certificate: &str) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(fixture(certificate)).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()))
}

/// Ends TLS and passes on what is in it.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    certificate: Arc<Mutex<String>>,
    _server: JoinSet<()>,
}

impl Front {
    /// On a free port, before `target`.
    pub async fn before(target: SocketAddr, certificate: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let certificate = Arc::new(Mutex::new(certificate.to_owned()));
        let shown = Arc::clone(&certificate);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (plain, _) = listener.accept().await.unwrap();
                let acceptor = acceptor(&shown.lock().unwrap());
                connections.spawn(async move {
                    let Ok(mut inside) = acceptor.accept(plain).await else { return };
                    let Ok(mut onward) = TcpStream::connect(target).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut inside, &mut onward).await;
                });
            }
        });
        Self { address, certificate, _server: server }
    }

    /// Shows another certificate from the next connection on.
    pub fn show(&self, certificate: &str) {
        certificate.clone_into(&mut self.certificate.lock().unwrap());
    }

    /// `https://localhost:PORT`
    pub fn base(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

/// Where the simulated gateway listens.
pub fn gateway_address(cloud: &CloudSim) -> SocketAddr {
    cloud.endpoint().trim_start_matches("http://").parse().unwrap()
}

/// A world in which everything goes by TLS, with nothing but https allowed.
pub struct Secure {
    pub world: World,
    pub gateway: Front,
    pub store: Front,
}

impl Secure {
    /// With these certificates of the gateway and of the object store.
    pub async fn start(gateway: &str, store: &str) -> Self {
        let mut world = World::start().await;
        let gateway = Front::before(gateway_address(&world.cloud), gateway).await;
        let store = Front::before(world.cloud.oss_address(), store).await;
        world.set_endpoint(&gateway.base());
        world.set("download.allow_http", "false");
        world.cloud.settings().set_link_base(Some(store.base()));
        Self { world, gateway, store }
    }

    /// A command that trusts the authority of the tests.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.world.command(args);
        command.env("SSL_CERT_FILE", fixture("ca.pem"));
        command
    }

    pub async fn once(&self, code: i32) -> Run {
        finish(&mut self.command(&["once"])).await.expect(code)
    }
}
