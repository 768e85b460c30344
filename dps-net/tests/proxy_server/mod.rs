//! An HTTP proxy on loopback that opens tunnels, or refuses them. Other crates' tests include it by its path.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// What the proxy does.
#[derive(Clone, Copy)]
pub enum Manner {
    /// Opens every tunnel.
    Opens,
    /// Opens a tunnel for requests with these credentials, and answers 407 to others.
    Wants(&'static str),
    /// Sends this.
    Says(&'static str),
    /// Sends this to the first so many requests, and opens a tunnel for later ones.
    SaysFirst(&'static str, usize),
    /// Never answers.
    Hangs,
}

/// What a refusal looks like.
pub const FORBIDDEN: Manner = Manner::Says("HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\n<html>");

/// Starts a proxy and returns its port. Whatever the host in CONNECT, the tunnel leads to the port on loopback.
pub async fn proxy(manner: Manner) -> u16 {
    counted(manner).await.0
}

/// The same, with the number of connections that it accepted.
pub async fn counted(manner: Manner) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, manner, counter.fetch_add(1, Ordering::SeqCst)));
        }
    });
    (port, count)
}

async fn serve(stream: TcpStream, manner: Manner, earlier: usize) {
    let mut stream = BufReader::new(stream);
    let mut lines: Vec<String> = Vec::new();
    while lines.last().is_none_or(|line| !line.is_empty()) {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        lines.push(line.trim_end().to_owned());
    }
    let is_authorization = |name: &str| name.eq_ignore_ascii_case("Proxy-Authorization");
    let mut headers = lines.iter().filter_map(|line| line.split_once(": "));
    let mut knows = |credentials: &str| headers.any(|(name, value)| is_authorization(name) && value == credentials);
    let answer = match manner {
        Manner::Wants(credentials) if !knows(credentials) => {
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
        }
        Manner::SaysFirst(text, times) if earlier < times => text,
        Manner::Opens | Manner::Wants(_) | Manner::SaysFirst(..) => {
            let port = lines[0].strip_suffix(" HTTP/1.1").and_then(|line| line.rsplit(':').next()).unwrap();
            let mut to = TcpStream::connect((Ipv4Addr::LOCALHOST, port.parse().unwrap())).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n").await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut to).await;
            return;
        }
        Manner::Says(text) => text,
        Manner::Hangs => return std::future::pending().await,
    };
    let _ = stream.write_all(answer.as_bytes()).await;
}
