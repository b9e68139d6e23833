//! A server that says what it is told to, byte for byte, on loopback.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};

/// What happens on a connection, after the request's head has been read.
pub(super) enum Say {
    /// These bytes, then an orderly close.
    Bytes(Vec<u8>),
    /// These bytes, then silence until the other side goes.
    ThenSilence(Vec<u8>),
    /// These bytes, then a reset.
    ThenReset(Vec<u8>),
    /// A head, then so many bytes, one at a time with pauses of ten milliseconds.
    Trickle(Vec<u8>, usize),
}

/// The server. It ends with the test.
pub(super) struct Server {
    /// `http://127.0.0.1:PORT`
    pub(super) url: String,
    requests: Arc<Mutex<Vec<String>>>,
    said: Arc<Notify>,
    _connections: JoinSet<()>,
}

impl Server {
    /// Plays the script, one entry a connection; then refuses by closing.
    pub(super) async fn start(script: Vec<Say>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (requests, said) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let (seen, done) = (requests.clone(), said.clone());
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut open = JoinSet::new();
            for say in script {
                let (mut stream, _) = listener.accept().await.unwrap();
                let head = read_head(&mut stream).await;
                seen.lock().unwrap().push(head);
                let done = done.clone();
                open.spawn(async move { play(stream, say, &done).await });
            }
            open.join_all().await;
        });
        Self { url, requests, said, _connections: connections }
    }

    /// The heads of the requests so far, in lower case.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until an entry of the script has been said.
    pub(super) async fn said(&self) {
        self.said.notified().await;
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).to_lowercase()
}

async fn play(mut stream: TcpStream, say: Say, said: &Notify) {
    // The other side may leave at any moment; that is its right.
    match say {
        Say::Bytes(bytes) => {
            let _ = stream.write_all(&bytes).await;
            said.notify_one();
            let _ = stream.shutdown().await;
            let _ = stream.read_u8().await;
        }
        Say::ThenSilence(bytes) => {
            let _ = stream.write_all(&bytes).await;
            said.notify_one();
            let _ = stream.read_u8().await;
        }
        Say::ThenReset(bytes) => {
            let _ = stream.write_all(&bytes).await;
            stream.set_zero_linger().unwrap();
            said.notify_one();
        }
        Say::Trickle(head, bytes) => {
            let _ = stream.write_all(&head).await;
            for _ in 0..bytes {
                if stream.write_all(b"x").await.is_err() {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }
}

/// An answer: status line, header lines, body.
pub(super) fn answer(status: &str, headers: &[String], body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
