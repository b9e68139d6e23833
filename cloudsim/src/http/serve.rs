//! Accepts connections and keeps each until it is done.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    Answer, Reply, Request,
    read::{Connection, NoRequest},
    write::{After, write},
};

/// A server's own part.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Whether connections are reset as soon as they are there.
    fn refuses(&self) -> bool;

    /// What to do with a request.
    fn handle(&self, request: Request) -> impl Future<Output = Answer> + Send;
}

/// The pause after a failed accept, so that too many open files do not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Serves until dropped; its connections die with it.
pub(crate) async fn serve<H: Handler>(listener: TcpListener, handler: H) {
    let handler = Arc::new(handler);
    let mut connections = JoinSet::new();
    // Ends when its owner drops it.
    loop {
        // A failed accept is the peer's loss, or too many open files: the next one may do better.
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(connection(stream, handler.clone()));
        } else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection<H: Handler>(stream: TcpStream, handler: Arc<H>) {
    // Small answers should not wait for more.
    let _ = stream.set_nodelay(true);
    let mut connection = Connection::new(stream);
    // Ends with the connection.
    loop {
        if handler.refuses() {
            return reset(connection.stream);
        }
        let request = match connection.request().await {
            Ok(request) => request,
            Err(NoRequest::Closed) => return,
            Err(NoRequest::Bad(status)) => {
                let _ = write(&mut connection.stream, &Reply::new(status, ""), false).await;
                return;
            }
        };
        if handler.refuses() {
            return reset(connection.stream);
        }
        let keep = !request.header_lists("connection", "close");
        let after = match handler.handle(request).await {
            Answer::Reply(reply) => write(&mut connection.stream, &reply, keep).await,
            Answer::Reset => Ok(After::Reset),
            Answer::Hang => Ok(After::Hold),
        };
        match after {
            Ok(After::Keep) => {}
            Ok(After::Reset) => return reset(connection.stream),
            Ok(After::Hold) => return connection.hold().await,
            Ok(After::Close) | Err(_) => return,
        }
    }
}

/// Closes with RST instead of FIN.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}
