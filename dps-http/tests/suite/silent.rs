//! Addresses that never answer: the link reaches the next one in time.
#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::time::Duration;

use dps_core::{Call, Link};
use dps_http::{HttpLink, HttpOptions};
use dps_net::{Dialer, Resolver};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::link::{ASSIGNING, Do, server};

/// A listener at this address that never answers: its queue is full, so that the kernel drops what else comes.
async fn silent(address: SocketAddr) -> (TcpListener, JoinSet<std::io::Result<TcpStream>>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut waiting = JoinSet::new();
    for _ in 0..6 {
        waiting.spawn(TcpStream::connect(address));
    }
    // The last of them stays unanswered.
    while tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await.is_ok() {}
    (listener, waiting)
}

#[tokio::test]
async fn address_that_stays_silent_leaves_time_for_the_next_one() {
    let server = server(vec![Do::Answer(ASSIGNING)]).await;
    let port = server.endpoint.rsplit(':').next().unwrap();
    let _silent = silent(SocketAddr::from(([127, 0, 0, 2], port.parse().unwrap()))).await;
    let resolver = Resolver::new([format!("localhost:{port}:127.0.0.2,127.0.0.1").parse().unwrap()]);
    let dialer = Dialer::new(server.tls().client_config().unwrap(), None).resolver(resolver);
    let mut link = HttpLink::new(dialer.connect_timeout(Duration::from_secs(2)), HttpOptions::default()).unwrap();
    let mut buffer = [0; 1024];
    assert_eq!(link.exchange(&server.request(Call::register(None)), &mut buffer).await.unwrap().status, 202);
}
