//! Asks the daemon, as whoever watches it does.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::common::Failed;

/// The whole answer.
pub async fn get(listen: SocketAddr, path: &str) -> Result<String, Failed> {
    let mut stream = TcpStream::connect(listen).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
