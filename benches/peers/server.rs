//! An nginx of our own that answers for the gateway and for the object store, on free ports of loopback.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use cdn_usaged::clock;
use crc64fast::Digest;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rustix::process::Signal;

use crate::{
    common::Failed,
    listing::{LARGE, Links, Listing, MANY, signed},
    measure::signal,
};

/// The file of a task that has a small one.
const SMALL_BYTES: usize = 20 * 1024;
/// The large one, in pieces of a mebibyte.
const LARGE_PIECES: u32 = 1024;
const START_MAX: Duration = Duration::from_secs(10);

/// Ends with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    root: PathBuf,
    pub http: SocketAddr,
    pub tls: SocketAddr,
    /// Takes connections and never answers.
    stall: TcpListener,
}

impl Server {
    /// Writes what is served below a folder, the large file where it is asked for, and starts.
    pub fn start(folder: &Path, with_large: bool) -> Result<Self, Failed> {
        let root = folder.join("www");
        fs::create_dir_all(root.join("files/small"))?;
        fs::create_dir_all(folder.join("tmp"))?;
        write_files(folder, &root, with_large)?;
        let [http, tls] = free_addresses()?;
        let config = folder.join("nginx.conf");
        fs::write(&config, configuration(folder, http, tls))?;
        let child = bound_to_us(program())
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("stderr"))?)
            .spawn()
            .map_err(|e| format!("start nginx: {e}; on Debian: apt-get install --no-install-recommends nginx-light"))?;
        let stall = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        stall.set_nonblocking(true)?;
        let mut server = Self { child, root, http, tls, stall };
        server.wait(folder)?;
        Ok(server)
    }

    fn wait(&mut self, folder: &Path) -> Result<(), Failed> {
        let deadline = clock::instant() + START_MAX;
        while TcpStream::connect(self.http).is_err() {
            if let Some(ended) = self.child.try_wait()? {
                let said = fs::read_to_string(folder.join("stderr")).unwrap_or_default();
                return Err(format!("nginx ended with {ended}: {said}").into());
            }
            if clock::instant() > deadline {
                return Err("nginx does not answer".into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Has the listing served, over http and TLS. The links of one whose files are fetched lead where the listing is asked for.
    pub fn serve(&self, listing: &Listing, tls: bool) -> io::Result<()> {
        let folder = self.root.join("listing").join(listing.key_id);
        let key = folder.join("links");
        let files = if tls { format!("https://{}", self.tls) } else { format!("http://{}", self.http) };
        if fs::read_to_string(&key).is_ok_and(|there| there == files) {
            return Ok(());
        }
        let stall = self.stall.local_addr()?;
        listing.write(&folder, |task| match listing.links {
            Links::Stalled => signed(&format!("http://{stall}/billing_data/{task}.csv")),
            Links::Large => signed(&format!("{files}/files/{LARGE}")),
            Links::Small => signed(&format!("{files}/files/small/{task}.csv")),
        })?;
        fs::write(key, files)
    }

    /// Lets go of the requests that were never answered.
    pub fn forget_stalled(&self) {
        while self.stall.accept().is_ok() {}
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = signal(self.child.id(), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A command that is told to end when this process does, however that happens; where `setpriv` is missing, it may outlive it.
fn bound_to_us(program: &str) -> Command {
    let has_setpriv = Command::new("setpriv").arg("--version").output().is_ok_and(|said| said.status.success());
    if !has_setpriv {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", program]);
    command
}

/// Debian keeps it where only root looks.
pub fn program() -> &'static str {
    if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" }
}

/// Free a moment ago: nginx takes no port that the kernel chooses, since nobody could ask it which.
fn free_addresses() -> io::Result<[SocketAddr; 2]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (one, other) = (bind()?, bind()?);
    Ok([one.local_addr()?, other.local_addr()?])
}

/// What is fetched, and the CRC of each as the object store would give it.
fn write_files(folder: &Path, root: &Path, with_large: bool) -> io::Result<()> {
    let mut random = StdRng::seed_from_u64(7);
    let mut map = BufWriter::new(File::create(folder.join("crc64.map"))?);
    let mut piece = vec![0; 1024 * 1024];
    for task in 0..MANY.tasks {
        let bytes = piece.get_mut(..SMALL_BYTES).unwrap_or_default();
        fill(&mut random, bytes);
        fs::write(root.join(format!("files/small/{task}.csv")), &*bytes)?;
        writeln!(map, "/files/small/{task}.csv {};", crc64(bytes))?;
    }
    if with_large {
        let (mut large, mut crc) = (File::create(root.join("files").join(LARGE))?, Digest::new());
        for _ in 0..LARGE_PIECES {
            fill(&mut random, &mut piece);
            large.write_all(&piece)?;
            crc.write(&piece);
        }
        large.sync_all()?;
        writeln!(map, "/files/{LARGE} {};", crc.sum64())?;
    }
    map.flush()
}

/// Bytes of chance behind a head that no page for people has, which would be refused.
fn fill(random: &mut StdRng, bytes: &mut [u8]) {
    random.fill_bytes(bytes);
    for (byte, head) in bytes.iter_mut().zip(b"time,domain,traffic\n") {
        *byte = *head;
    }
}

fn crc64(bytes: &[u8]) -> u64 {
    let mut digest = Digest::new();
    digest.write(bytes);
    digest.sum64()
}

/// As Debian's own where nothing here needs another: two processes, sendfile. A listing is a POST, which nginx refuses for
/// a file and then answers as if it were a GET.
fn configuration(folder: &Path, http: SocketAddr, tls: SocketAddr) -> String {
    let folder = folder.display();
    let certificates = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    let certificates = certificates.display();
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{user}
worker_processes 2;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 10000000;
    keepalive_timeout 75s;
    types {{ }}
    default_type application/octet-stream;
    client_body_temp_path {folder}/tmp/body;
    proxy_temp_path {folder}/tmp/proxy;
    fastcgi_temp_path {folder}/tmp/fastcgi;
    uwsgi_temp_path {folder}/tmp/uwsgi;
    scgi_temp_path {folder}/tmp/scgi;
    map_hash_max_size 65536;
    map_hash_bucket_size 128;
    map $http_authorization $key_id {{
        default none;
        \"~Credential=(?<id>[A-Za-z0-9]+)\" $id;
    }}
    map $uri $crc64 {{
        include {folder}/crc64.map;
    }}
    server {{
        listen {http};
        listen {tls} ssl;
        ssl_certificate {certificates}/good.pem;
        ssl_certificate_key {certificates}/server.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        root {folder}/www;
        location = / {{
            rewrite ^ /listing/$key_id/$arg_PageNumber.json last;
        }}
        location /listing/ {{
            internal;
            default_type application/json;
            add_header x-acs-request-id $request_id;
            error_page 405 =200 $uri;
        }}
        location /files/ {{
            add_header x-oss-request-id $request_id;
            add_header x-oss-hash-crc64ecma $crc64;
        }}
    }}
}}
"
    )
}
