//! Servers that send packets without end: the link gives up by itself, in an exchange and while idle, and its connection is
//! closed.

use std::time::Duration;

use crate::server::{ASSIGNING, PUBLISH, Step, publish, server, suback, welcome};
use dps_core::{Instant, Link, LinkError};
use dps_mqtt::Framing;

const BOTH: [Framing; 2] = [Framing::Tcp, Framing::WebSocket];
const RES_202: &str = "$dps/registrations/res/202/?$rid={rid}&retry-after=3";
/// Wide: it takes milliseconds.
const LIMIT: Duration = Duration::from_secs(20);

/// What a server can send forever, by name.
fn floods(framing: Framing) -> Vec<(&'static str, Step)> {
    let mut floods = vec![
        ("PUBACK", Step::Flood(vec![0x40, 2, 0, 7])),
        ("PINGRESP", Step::Flood(vec![0xd0, 0])),
        ("PUBLISH at quality 0", Step::Flood(vec![0x30, 3, 0, 1, b'a'])),
        ("PUBLISH at quality 1", Step::Flood(publish("a", ""))),
        ("SUBACK", Step::Flood(suback(1))),
    ];
    if framing == Framing::WebSocket {
        floods.push(("WebSocket pings", Step::FloodPings));
    }
    floods
}

#[tokio::test]
async fn flood_instead_of_a_reply_ends_the_exchange() {
    for framing in BOTH {
        for (name, flood) in floods(framing) {
            let mut server = server(framing, vec![[welcome(), vec![Step::Receive(PUBLISH), flood]].concat()]).await;
            let mut link = server.link(server.options());
            let mut buffer = [0; 1024];
            let request = server.register(1);
            let ended = tokio::time::timeout(LIMIT, link.exchange(&request, &mut buffer)).await;
            let error = ended.unwrap_or_else(|_| panic!("{name} over {framing:?} holds the exchange"));
            assert_eq!(error.unwrap_err(), LinkError::InvalidReply, "{name} over {framing:?}");
            let detail = link.last_error_detail().unwrap_or_default();
            assert!(detail.contains("unexpected packets"), "{name}: {detail}");
            server.all_closed().await;
        }
    }
}

#[tokio::test]
async fn flood_while_idle_ends_the_connection_and_the_next_request_opens_another() {
    for framing in BOTH {
        for (name, flood) in floods(framing) {
            let answered = [welcome(), vec![Step::Receive(PUBLISH), Step::Reply(RES_202, ASSIGNING)]].concat();
            let server = server(framing, vec![[answered.clone(), vec![flood]].concat(), answered]).await;
            let mut link = server.link(server.options());
            let mut buffer = [0; 1024];
            link.exchange(&server.register(1), &mut buffer).await.unwrap();
            let idle = tokio::time::timeout(LIMIT, link.idle(Instant::from_millis(0))).await;
            idle.unwrap_or_else(|_| panic!("{name} over {framing:?} holds the connection"));
            link.exchange(&server.register(2), &mut buffer).await.expect("over a new connection");
        }
    }
}
