//! A session over memory, in virtual time, against a peer that is scripted by hand.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use dps_core::{Call, Endpoint, IdScope, Identity, Instant, Link, LinkError, RegistrationId, Request, RequestId};
use dps_net::{CertificateUse, Dialer, Roots, TlsOptions};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::coop::has_budget_remaining;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request as Upgrade, Response};

use crate::session::Session;
use crate::{Framing, MqttLink, MqttOptions};

const PUBLISH: u8 = 3;
const SUBSCRIBE: u8 = 8;
const PINGREQ: u8 = 12;
const CONNECT: u8 = 1;
const PINGRESP: [u8; 2] = [0xd0, 0];
const HOUR: Duration = Duration::from_secs(3600);

fn request(id: u32, call: Call<'_>) -> Request<'_> {
    let identity = Identity {
        endpoint: Endpoint::new("localhost").unwrap(),
        id_scope: IdScope::new("0ne00A1B2C3").unwrap(),
        registration_id: RegistrationId::new("dev-01").unwrap(),
    };
    Request::new(RequestId::new(id), call, identity, None, Instant::from_millis(30_000))
}

/// A link with a connection to a peer in memory.
async fn link(io: DuplexStream, options: MqttOptions) -> MqttLink {
    let (request, unused) = (request(1, Call::register(None)), CertificateUse::default());
    let session = Session::start(Box::new(io), &options, &request, &unused).await.unwrap();
    let pem = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap().cert.pem();
    let tls = TlsOptions::new(Roots::replace_pem(pem.as_bytes()).unwrap()).client_config().unwrap();
    let mut link = MqttLink::new(Dialer::new(tls, None), options).unwrap();
    link.adopt(session);
    link
}

/// The type of the next packet, none of which is longer than 127 bytes but CONNECT and PUBLISH, at most 16,383.
async fn packet(io: &mut DuplexStream) -> Option<u8> {
    let kind = io.read_u8().await.ok()? >> 4;
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = io.read_u8().await.ok()?;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    io.read_exact(&mut vec![0; length]).await.ok()?;
    Some(kind)
}

async fn welcome(io: &mut DuplexStream) {
    assert_eq!(packet(io).await, Some(CONNECT));
    io.write_all(&[0x20, 2, 0, 0]).await.unwrap();
    assert_eq!(packet(io).await, Some(SUBSCRIBE));
    io.write_all(&[0x90, 3, 0, 1, 1]).await.unwrap();
}

/// A 202 without a body, at quality 0.
fn reply(id: u8) -> Vec<u8> {
    let topic = format!("$dps/registrations/res/202/?$rid={id}&retry-after=21600");
    let length = topic.len() as u8;
    [&[0x30, length + 4, 0, length][..], topic.as_bytes(), b"{}"].concat()
}

#[tokio::test(start_paused = true)]
async fn hint_of_six_hours_with_keep_alive_needs_one_connection() {
    let (ours, mut theirs) = duplex(4096);
    let peer = tokio::spawn(async move {
        welcome(&mut theirs).await;
        let mut pings = 0;
        let mut asked = 0;
        while let Some(kind) = packet(&mut theirs).await {
            match kind {
                PUBLISH => {
                    asked += 1;
                    // An acknowledgement, then the reply.
                    theirs.write_all(&[0x40, 2, 0, 1 + asked]).await.unwrap();
                    theirs.write_all(&reply(asked)).await.unwrap();
                }
                PINGREQ => {
                    pings += 1;
                    theirs.write_all(&PINGRESP).await.unwrap();
                }
                _ => {}
            }
        }
        (asked, pings)
    });
    let mut link = link(ours, MqttOptions::default().keep_alive(Duration::from_secs(2))).await;
    let mut buffer = [0; 1024];
    let first = link.exchange(&request(1, Call::register(None)), &mut buffer).await.unwrap();
    assert_eq!(first.retry_after.map(dps_core::Millis::get), Some(21_600_000));
    let idle = timeout(6 * HOUR, link.idle(Instant::from_millis(0))).await;
    assert!(idle.is_err(), "the connection lives for six hours");
    link.exchange(&request(2, Call::Status { operation_id: "5.0".into() }), &mut buffer).await.unwrap();
    link.close().await;
    let (asked, pings) = peer.await.unwrap();
    assert_eq!(asked, 2);
    assert!(pings > 20_000, "a ping a second: {pings}");
}

#[tokio::test(start_paused = true)]
async fn unexpected_packets_are_limited_per_minute_while_idle() {
    for (every, lives) in [(Duration::from_secs(1), true), (Duration::from_millis(300), false)] {
        let (ours, mut theirs) = duplex(4096);
        tokio::spawn(async move {
            welcome(&mut theirs).await;
            assert_eq!(packet(&mut theirs).await, Some(PUBLISH));
            theirs.write_all(&reply(1)).await.unwrap();
            while theirs.write_all(&[0x40, 2, 0, 99]).await.is_ok() {
                sleep(every).await;
            }
        });
        let mut link = link(ours, MqttOptions::default().keep_alive(Duration::from_secs(65_535))).await;
        let mut buffer = [0; 1024];
        link.exchange(&request(1, Call::register(None)), &mut buffer).await.unwrap();
        let idle = timeout(HOUR, link.idle(Instant::from_millis(0))).await;
        assert_eq!(idle.is_err(), lives, "one in {every:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn unexpected_packets_are_limited_per_exchange() {
    let (ours, mut theirs) = duplex(4096);
    tokio::spawn(async move {
        welcome(&mut theirs).await;
        while theirs.write_all(&PINGRESP).await.is_ok() {
            sleep(Duration::from_secs(10)).await;
        }
    });
    let mut link = link(ours, MqttOptions::default().keep_alive(Duration::from_secs(65_535))).await;
    let mut buffer = [0; 1024];
    let asked = request(1, Call::register(None));
    let ended = timeout(HOUR, link.exchange(&asked, &mut buffer)).await.expect("it gives up");
    assert_eq!(ended.unwrap_err(), LinkError::InvalidReply);
}

/// The runtime's other tasks and its timers run while there are bytes to be read.
#[tokio::test(start_paused = true)]
async fn reading_buffered_bytes_yields_to_the_runtime() {
    let (ours, theirs) = duplex(1 << 20);
    let peer = tokio::spawn(async move {
        let mut theirs = accept_hdr_async(theirs, choose_mqtt).await.unwrap();
        for answer in [&[0x20, 2, 0, 0][..], &[0x90, 3, 0, 1, 1]] {
            theirs.next().await.unwrap().unwrap();
            theirs.send(Message::Binary(answer.to_vec().into())).await.unwrap();
        }
        theirs
    });
    let mut link = link(ours, MqttOptions::default().framing(Framing::WebSocket)).await;
    let mut theirs = peer.await.unwrap();
    // A packet of 16,383 bytes, each in a message of its own.
    let packet = [&[0x30, 0xff, 0x7f][..], &[0; 1000]].concat();
    let messages: Vec<u8> = packet.iter().flat_map(|byte| [0x82, 1, *byte]).collect();
    theirs.get_mut().write_all(&messages).await.unwrap();
    // A turn of its own, so that nothing of it is used up.
    tokio::task::yield_now().await;
    let mut idle = pin!(link.idle(Instant::from_millis(0)));
    poll_fn(|context| {
        assert!(idle.as_mut().poll(context).is_pending());
        assert!(!has_budget_remaining(), "it read on to the end");
        Poll::Ready(())
    })
    .await;
}

#[allow(clippy::result_large_err, reason = "the library's callback has this type")]
fn choose_mqtt(upgrade: &Upgrade, mut response: Response) -> Result<Response, ErrorResponse> {
    let asked = upgrade.headers().get("sec-websocket-protocol").cloned().unwrap();
    response.headers_mut().insert("sec-websocket-protocol", asked);
    Ok(response)
}
