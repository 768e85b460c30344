//! A proxy on loopback that refuses the first requests, as a row of the matrix demands, and opens tunnels afterwards.
#![allow(clippy::expect_used, reason = "a broken setting should stop the run")]

use std::net::Ipv4Addr;

use pair::matrix::ProxyPlan;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A proxy; it ends with this value.
pub(crate) struct Proxy {
    url: String,
    _serving: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(plan: ProxyPlan) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port on loopback");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            let mut left = plan.times;
            while let Ok((stream, _)) = listener.accept().await {
                let refusal = (left > 0).then_some(plan.status);
                left = left.saturating_sub(1);
                connections.spawn(serve(stream, refusal));
            }
        });
        Self { url, _serving: serving }
    }

    /// For clients.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

async fn serve(stream: TcpStream, refusal: Option<u16>) {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if !stream.read_line(&mut request).await.is_ok_and(|length| length > 0) {
            return;
        }
    }
    if let Some(status) = refusal {
        let schemes = if status == 407 { "Proxy-Authenticate: Basic realm=\"faults\"\r\n" } else { "" };
        let answer = format!("HTTP/1.1 {status} x\r\n{schemes}Content-Length: 0\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await;
        return;
    }
    // Every host name leads to loopback; the port is the requested one.
    let port = request.split(' ').nth(1).and_then(|target| target.rsplit_once(':')?.1.parse::<u16>().ok());
    let Some(port) = port else { return };
    let Ok(mut to) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    if stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_ok() {
        let _ = copy_bidirectional(&mut stream, &mut to).await;
    }
}
