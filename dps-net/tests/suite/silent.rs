//! Addresses that never answer: how long a dial waits for them, and what it reports.
#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::time::Duration;

use dps_core::LinkError;
use dps_emulator::test_servers::proxy_server::{Manner, proxy};
use dps_emulator::test_servers::silent;
use dps_net::{Proxy, Resolver};

use crate::dial::{dialer, server};

#[tokio::test]
async fn address_that_stays_silent_does_not_keep_the_next_one_from_being_tried() {
    let server = server().await;
    let _silent = silent(SocketAddr::from(([127, 0, 0, 2], server.port))).await;
    let resolver = Resolver::new([format!("localhost:{}:127.0.0.2,127.0.0.1", server.port).parse().unwrap()]);
    let dialer = dialer(&server, None).resolver(resolver).connect_timeout(Duration::from_secs(5));
    dialer.dial("localhost", server.port).await.unwrap();
}

#[tokio::test]
async fn dial_ends_with_its_timeout_and_names_the_phase() {
    let server = server().await;
    let _silent = silent(SocketAddr::from(([127, 0, 0, 2], server.port))).await;
    let resolver = Resolver::new([format!("localhost:{}:127.0.0.2", server.port).parse().unwrap()]);
    let dialer = |proxy| dialer(&server, proxy).connect_timeout(Duration::from_millis(200));
    let to_server = dialer(None).resolver(resolver).dial("localhost", server.port).await.unwrap_err();
    let silent_proxy = Proxy::parse(&format!("127.0.0.2:{}", server.port)).unwrap();
    let to_proxy = dialer(Some(silent_proxy)).dial("localhost", server.port).await.unwrap_err();
    let hanging = Proxy::parse(&format!("127.0.0.1:{}", proxy(Manner::Hangs).await)).unwrap();
    let at_proxy = dialer(Some(hanging)).dial("localhost", server.port).await.unwrap_err();
    for (failure, words) in [
        (to_server, "stalled during the TCP connection"),
        (to_proxy, "stalled at the proxy"),
        (at_proxy, "stalled at the proxy"),
    ] {
        assert_eq!((failure.kind(), failure.detail()), (LinkError::Timeout, words));
    }
}
