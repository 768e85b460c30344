//! Addresses that never answer: the link reaches the next one in time.
#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::time::Duration;

use dps_core::{Call, Link};
use dps_emulator::test_servers::silent;
use dps_http::{HttpLink, HttpOptions};
use dps_net::{Dialer, Resolver};

use crate::link::{ASSIGNING, Do, server};

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
