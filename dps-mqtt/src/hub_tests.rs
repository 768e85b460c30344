//! A session with a hub over memory, in virtual time, against a peer that is scripted by hand.

use std::time::Duration;

use dps_core::LinkError;
use dps_net::{CertificateUse, NetError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use crate::{HubLogin, HubSession, MqttOptions};

const HOUR: Duration = Duration::from_secs(3600);
const LOGIN: HubLogin<'static> =
    HubLogin { client_id: "dev-01", user_name: "hub-a.test/dev-01/?api-version=2021-04-12", password: Some("secret") };

async fn open(io: DuplexStream) -> Result<HubSession, NetError> {
    let address = ("hub-a.test", 8883);
    let unused = CertificateUse::default();
    HubSession::start(Box::new(io), &MqttOptions::default(), address, LOGIN, "a/#", &unused).await
}

/// Reads one packet; none is longer than 127 bytes.
async fn packet(io: &mut DuplexStream) -> Vec<u8> {
    let (kind, length) = (io.read_u8().await.unwrap(), io.read_u8().await.unwrap());
    let mut packet = vec![kind, length];
    packet.resize(2 + usize::from(length), 0);
    io.read_exact(&mut packet[2..]).await.unwrap();
    packet
}

/// A publish of quality 0 to the topic `a/b`.
const PUBLISH: &[u8] = b"\x30\x07\x00\x03a/bhi";
/// The same with quality 1.
const PUBLISH_1: &[u8] = b"\x32\x09\x00\x03a/b\x00\x07hi";
/// Another one, with quality 1.
const PUBLISH_2: &[u8] = b"\x32\x09\x00\x03a/c\x00\x08hi";
const PUBACK_1: [u8; 4] = [0x40, 2, 0, 7];
const PUBACK_2: [u8; 4] = [0x40, 2, 0, 8];
const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const SUBACK: [u8; 5] = [0x90, 3, 0, 1, 1];

#[tokio::test(start_paused = true)]
async fn publishes_before_and_after_the_subscription_are_returned_in_order() {
    let (ours, mut theirs) = duplex(4096);
    let peer = async {
        let connect = packet(&mut theirs).await;
        let text = String::from_utf8_lossy(&connect).into_owned();
        assert!(text.contains("hub-a.test/dev-01/?api-version=2021-04-12") && text.ends_with("secret"), "{text}");
        theirs.write_all(&CONNACK).await.unwrap();
        let subscribe = packet(&mut theirs).await;
        assert_eq!(&subscribe[subscribe.len() - 4..], b"a/#\x01");
        theirs.write_all(&[PUBLISH_1, PUBLISH_2, &SUBACK, PUBLISH].concat()).await.unwrap();
        assert_eq!((packet(&mut theirs).await, packet(&mut theirs).await), (PUBACK_1.into(), PUBACK_2.into()));
        let published = packet(&mut theirs).await;
        assert_eq!((published[0], &published[published.len() - 2..]), (0x32, &b"{}"[..]));
        theirs
    };
    let device = async {
        let mut session = open(ours).await.unwrap();
        for expected in ["a/b", "a/c", "a/b"] {
            let (topic, payload) = session.next().await.unwrap();
            assert_eq!((topic.as_str(), payload.as_ref()), (expected, &b"hi"[..]));
        }
        session.publish("c", b"{}").await.unwrap();
        session
    };
    let (mut theirs, session) = tokio::join!(peer, device);
    let closed = tokio::join!(session.close(), packet(&mut theirs)).1;
    assert_eq!(closed, [0xe0, 0], "DISCONNECT");
}

#[tokio::test(start_paused = true)]
async fn publishes_that_cannot_be_acknowledged_are_returned_before_the_error() {
    let (ours, mut theirs) = duplex(4096);
    let peer = async move {
        packet(&mut theirs).await;
        theirs.write_all(&CONNACK).await.unwrap();
        packet(&mut theirs).await;
        theirs.write_all(&SUBACK).await.unwrap();
        theirs.write_all(&[PUBLISH_1, PUBLISH_2].concat()).await.unwrap();
    };
    // The peer closes its end before anything is acknowledged.
    let mut session = tokio::join!(open(ours), peer).0.unwrap();
    for expected in ["a/b", "a/c"] {
        assert_eq!(session.next().await.unwrap().0, expected);
    }
    assert_eq!(session.next().await.unwrap_err().kind(), LinkError::Cut);
}

#[tokio::test(start_paused = true)]
async fn hub_that_publishes_without_end_before_the_subscription_is_disconnected() {
    let (ours, mut theirs) = duplex(4096);
    let flood = tokio::spawn(async move {
        packet(&mut theirs).await;
        theirs.write_all(&CONNACK).await.unwrap();
        while theirs.write_all(PUBLISH).await.is_ok() {}
    });
    assert_eq!(timeout(HOUR, open(ours)).await.unwrap().unwrap_err().kind(), LinkError::InvalidReply);
    flood.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn hub_that_publishes_without_end_is_disconnected() {
    let (ours, mut theirs) = duplex(4096);
    let flood = tokio::spawn(async move {
        packet(&mut theirs).await;
        theirs.write_all(&[&CONNACK[..], &SUBACK].concat()).await.unwrap();
        while theirs.write_all(PUBLISH).await.is_ok() {}
    });
    let mut session = open(ours).await.unwrap();
    let mut count = 0;
    let error = loop {
        match timeout(HOUR, session.next()).await.unwrap() {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), count), (LinkError::InvalidReply, 100));
    drop(session);
    flood.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn hub_that_refuses_the_device_or_the_filter_is_an_error() {
    for (answers, expected) in [
        ([&[0x20, 2, 0, 5][..], &[]], LinkError::MqttRefused { code: 5 }),
        ([&CONNACK, &[0x90, 3, 0, 1, 0x80]], LinkError::SubscribeRefused),
        ([b"HTTP/1.1 400 Bad Request\r\n", &[]], LinkError::InvalidReply),
    ] {
        let (ours, mut theirs) = duplex(4096);
        theirs.write_all(&answers.concat()).await.unwrap();
        assert_eq!(open(ours).await.unwrap_err().kind(), expected);
    }
}
