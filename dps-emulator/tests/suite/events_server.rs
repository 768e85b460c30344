//! Events of the listeners over real sockets: what is known of connections, following, and waiting.

use std::time::Duration;

use dps_emulator::{EmulatorOptions, Event, EventFilter, EventKind, ServiceOptions};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use serde_json::Value;
use tokio::time::timeout;

use crate::client::{Client, Site};
use crate::common::{KEY, encode, token};
use crate::pki::Ca;
use crate::schema;

const LONG: Duration = Duration::from_secs(30);

fn at_once() -> EmulatorOptions {
    EmulatorOptions::new().assign_at_once(true)
}

fn all(site: &Site) -> Vec<Value> {
    site.emulator.events(&EventFilter::new()).iter().map(|event| serde_json::to_value(&**event).unwrap()).collect()
}

#[tokio::test]
async fn connection_is_told_with_its_tls_session_and_its_end() {
    let site = Site::start(at_once()).await;
    let root = Ca::root("Root");
    let device = root.device("dev-01");
    let client =
        Client::with_tls(site.emulator.https_addr(), site.emulator.ca_pem(), &[&rustls::version::TLS12], Some(&device));
    let path = format!("/{}/registrations/dev-01/register?api-version=2021-06-01", site.emulator.id_scope());
    assert_eq!(client.send("PUT", &path, "", "{}").await.unwrap().status, 401);
    let end = EventFilter::new().kind("disconnection");
    site.emulator.wait_for(&end, LONG).await.unwrap();
    let events = all(&site);
    events.iter().for_each(schema::check);
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["kind"].as_str()).collect();
    assert_eq!(kinds, ["connection", "refusal", "disconnection"]);
    for event in &events {
        let connection = &event["connection"];
        assert_eq!((&connection["id"], &connection["tlsVersion"]), (&1.into(), &"1.2".into()), "{event}");
        assert!(connection["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
        assert!(connection["cipherSuite"].as_str().unwrap().starts_with("TLS_"));
        assert_eq!(connection["serverName"], "localhost");
        assert_eq!(connection["clientCertificate"]["subjectName"], "CN=dev-01");
    }
    let refusal = &events[1];
    assert_eq!(refusal["reason"], "root-not-verified");
    assert_eq!(refusal["certificates"].as_array().unwrap().len(), 2);
    assert_eq!(refusal["missingIssuer"], "CN=Root");
}

#[tokio::test]
async fn end_of_an_https_connection_names_the_device_of_its_latest_request() {
    let site = Site::start(at_once()).await;
    let mut connection = site.client.connect().await.unwrap();
    for id in ["dev-01", "dev-02"] {
        let key = site.enroll(id).await;
        assert_eq!(site.register_on(&mut connection, id, &key).await.unwrap().status, 200);
    }
    drop(connection);
    let end = EventFilter::new().kind("disconnection").registration_id("dev-02");
    site.emulator.wait_for(&end, LONG).await.unwrap();
    let others = site.emulator.events(&EventFilter::new().kind("disconnection").registration_id("dev-01"));
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn client_that_does_not_trust_the_ca_is_told() {
    let site = Site::start(at_once()).await;
    let other = Client::new(site.emulator.https_addr(), &Ca::root_of_today("Other").pem());
    other.tls("localhost").await.unwrap_err();
    let failed = EventFilter::new().reason("handshake-failed").kind("connection");
    let event = site.emulator.wait_for(&failed, LONG).await.unwrap();
    let EventKind::Connection(handshake) = &event.kind else { panic!("{event}") };
    assert!(handshake.failure.as_ref().unwrap().contains("UnknownCA"), "{event}");
}

#[tokio::test]
async fn wait_for_returns_the_first_match_or_tells_what_happened_instead() {
    let site = Site::start(at_once()).await;
    let key = site.enroll("dev-01").await;
    let refused = EventFilter::new().registration_id("dev-01").kind("refusal");
    let wait = site.emulator.wait_for(&refused, LONG);
    let (event, _) = tokio::join!(wait, site.register("dev-01", KEY));
    assert_eq!(event.unwrap().reason().unwrap().name(), "bad-signature");
    site.register("dev-01", &key).await.unwrap();
    let again = refused.after(site.emulator.last_event());
    let error = site.emulator.wait_for(&again, Duration::from_millis(1)).await.unwrap_err();
    let lines = error.to_string();
    assert!(lines.starts_with("no event matched within 1ms; the latest events are:\n"), "{lines}");
    assert!(lines.contains("dev-01 register: 200 assigned to hub-a.test") && !lines.contains("PUT"), "{lines}");
    let other =
        site.emulator.wait_for(&EventFilter::new().registration_id("dev-09"), Duration::ZERO).await.unwrap_err();
    assert_eq!(other.to_string(), "no event matched within 0ns; nothing arrived");
}

/// A client that follows the events.
struct Follower {
    body: hyper::body::Incoming,
    text: String,
    /// How much of the text was returned.
    read: usize,
}

impl Follower {
    async fn start(site: &Site, query: &str) -> Result<Self, u16> {
        let connection = site.emulator.connection_string();
        let part =
            |name: &str| connection.expose().split(';').find_map(|part| part.strip_prefix(name)).unwrap().to_owned();
        let end_s = site.emulator.now().unix_s() + 3600;
        let sr = encode(&part("HostName="));
        let token = token(&part("SharedAccessKey="), &sr, end_s, "&skn=provisioningserviceowner");
        let request = hyper::Request::builder()
            .uri(format!("/emulator/events?follow=true{query}"))
            .header("Host", "localhost")
            .header("Authorization", token)
            .body(Full::new(Bytes::new()))
            .unwrap();
        let mut sender = site.client.connect().await.unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        if head.status != 200 {
            return Err(head.status.as_u16());
        }
        assert_eq!(head.headers["content-type"], "text/event-stream");
        Ok(Self { body, text: String::new(), read: 0 })
    }

    /// The next event, or the number of those that were dropped.
    async fn next(&mut self) -> Option<Result<Value, u64>> {
        loop {
            let piece = self.next_message().await?;
            let Some(data) = piece.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
            let data: Value = serde_json::from_str(data).unwrap();
            return Some(match piece.starts_with("event: dropped") {
                true => Err(data["dropped"].as_u64().unwrap()),
                false => Ok(data),
            });
        }
    }

    /// The next message of the stream as it was sent, which may be a comment.
    async fn next_message(&mut self) -> Option<String> {
        loop {
            if let Some((message, _)) = self.text[self.read..].split_once("\n\n") {
                self.read += message.len() + 2;
                return Some(message.to_owned());
            }
            let frame = timeout(LONG, self.body.frame()).await.expect("nothing arrived")?;
            self.text.drain(..std::mem::take(&mut self.read));
            self.text.push_str(std::str::from_utf8(&frame.ok()?.into_data().unwrap()).unwrap());
        }
    }
}

#[tokio::test]
async fn events_are_followed_from_the_first_one_and_as_they_happen() {
    let site = Site::start(at_once()).await;
    let key = site.enroll("dev-01").await;
    site.register("dev-02", KEY).await.unwrap();
    let mut follower = Follower::start(&site, "&registrationId=dev-01").await.unwrap();
    for expected in [200, 401] {
        site.register("dev-01", if expected == 200 { &key } else { KEY }).await.unwrap();
        // The end of the connection before may follow.
        let event = loop {
            let event = follower.next().await.unwrap().unwrap();
            schema::check(&event);
            assert_eq!(event["registrationId"], "dev-01");
            if event["kind"] != "disconnection" {
                break event;
            }
        };
        assert_eq!(event["status"], expected);
    }
    // It ends with the emulator.
    let ends = async { while follower.next().await.is_some() {} };
    tokio::join!(site.emulator.shutdown(), timeout(LONG, ends)).1.expect("the events go on");
}

#[tokio::test]
async fn follower_is_told_how_many_events_were_dropped() {
    let few = |service: ServiceOptions| service.events_kept(10);
    let site = Site::start(at_once().service(few)).await;
    for _ in 0..12 {
        site.register("dev-02", KEY).await.unwrap();
    }
    let mut follower = Follower::start(&site, "&after=1").await.unwrap();
    let Some(Err(dropped)) = follower.next().await else { panic!("no number") };
    let first = follower.next().await.unwrap().unwrap();
    assert_eq!(first["seq"], dropped + 2);
}

#[tokio::test]
async fn number_of_followers_is_limited() {
    let site = Site::start(at_once()).await;
    let mut followers = Vec::new();
    for _ in 0..16 {
        followers.push(Follower::start(&site, "").await.unwrap());
    }
    assert_eq!(Follower::start(&site, "").await.err(), Some(429));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_stay_within_their_bound_while_a_client_follows() {
    let bound = |service: ServiceOptions| service.events_kept(100).limits(dps_emulator::Limits::none());
    let site = std::sync::Arc::new(Site::start(at_once().service(bound)).await);
    let key = site.enroll("dev-01").await;
    let mut follower = Follower::start(&site, "&registrationId=dev-01").await.unwrap();
    let registering = {
        let site = std::sync::Arc::clone(&site);
        tokio::spawn(async move {
            for _ in 0..200 {
                assert_eq!(site.register("dev-01", &key).await.unwrap().status, 200);
                assert!(site.emulator.events(&EventFilter::new()).len() <= 100);
            }
            assert_eq!(site.register("dev-01", KEY).await.unwrap().status, 401);
        })
    };
    // Events arrive in order, up to the last one.
    let (mut last, mut seen) = (0, 0);
    loop {
        match follower.next().await.unwrap() {
            Ok(event) => {
                let seq = event["seq"].as_u64().unwrap();
                assert!(seq > last);
                (last, seen) = (seq, seen + 1);
                if event["kind"] == "refusal" {
                    break;
                }
            }
            Err(dropped) => last += dropped,
        }
    }
    assert!(seen > 0);
    registering.await.unwrap();
}

#[tokio::test]
async fn mqtt_session_is_told_with_its_packets() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let site = Site::start(at_once().mqtt_port(0)).await;
    let now = site.emulator.now();
    let enrollment = dps_emulator::IndividualEnrollment::new("dev-01").primary_key(crate::common::key(KEY));
    site.emulator.with_service(|service| service.put_enrollment(now, enrollment)).unwrap();
    let world = crate::common::World::with_device();
    let mut hello = crate::mqtt::Hello::new(&world, "dev-01", KEY);
    hello.password = Some(crate::common::device_token(KEY, "dev-01", now.unix_s() + 60));
    let mqtt = Client::new(site.emulator.mqtt_addr().unwrap(), site.emulator.ca_pem());
    let mut tls = mqtt.tls("localhost").await.unwrap();
    let register = crate::mqtt::publish(0x32, "$dps/registrations/PUT/iotdps-register/?$rid=1", b"{}");
    let packets = [hello.bytes(), crate::mqtt::subscribe("$dps/registrations/res/#", 1), register].concat();
    tls.write_all(&packets).await.unwrap();
    let registered = EventFilter::new().call("register");
    site.emulator.wait_for(&registered, LONG).await.unwrap();
    tls.write_all(&[0xc0, 0, 0xe0, 0]).await.unwrap();
    let _ = tls.read_to_end(&mut Vec::new()).await;
    let end = site.emulator.wait_for(&EventFilter::new().kind("disconnection").registration_id("dev-01"), LONG).await;
    let end: Event = Event::clone(&end.unwrap());
    let events = all(&site);
    events.iter().for_each(schema::check);
    let names = |event: &Value| -> Vec<String> {
        let packets = event["packets"].as_array().cloned().unwrap_or_default();
        packets
            .iter()
            .map(|packet| format!("{} {}", packet["from"].as_str().unwrap(), packet["packet"].as_str().unwrap()))
            .collect()
    };
    let of = |call: &str| names(events.iter().find(|event| event["call"] == call).unwrap());
    assert_eq!(of("connect"), ["client CONNECT", "service CONNACK"]);
    assert_eq!(of("subscribe"), ["client SUBSCRIBE", "service SUBACK"]);
    assert_eq!(of("register"), ["client PUBLISH", "service PUBACK", "service PUBLISH"]);
    let end = serde_json::to_value(&end).unwrap();
    assert_eq!(names(&end), ["client PINGREQ", "service PINGRESP", "client DISCONNECT"]);
    let connect = events.iter().find(|event| event["call"] == "connect").unwrap();
    assert_eq!((&connect["transport"], &connect["userAgent"]), (&"mqtt".into(), &"test/1".into()));
    assert_eq!(connect["token"]["signedBy"], "primary-key");
}

const DEVICES: usize = 10_000;
const AT_A_TIME: usize = 8;

/// Registers all devices of a group; returns how long that took.
async fn register_all(site: &std::sync::Arc<Site>, keys: &std::sync::Arc<Vec<(String, String)>>) -> Duration {
    let began = std::time::Instant::now();
    let lanes: Vec<_> = (0..AT_A_TIME)
        .map(|lane| {
            let (site, keys) = (std::sync::Arc::clone(site), std::sync::Arc::clone(keys));
            tokio::spawn(async move {
                for (id, key) in keys.iter().skip(lane).step_by(AT_A_TIME) {
                    assert_eq!(site.register(id, key).await.unwrap().status, 200);
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
    began.elapsed()
}

/// An emulator without rate limits, with an enrollment group.
async fn site_that_keeps(events: usize, primary: &dps_emulator::SymmetricKey) -> std::sync::Arc<Site> {
    let options = |service: ServiceOptions| service.limits(dps_emulator::Limits::none()).events_kept(events);
    let site = Site::start(at_once().service(options)).await;
    let (now, group) = (site.emulator.now(), dps_emulator::EnrollmentGroup::new("line-1").primary_key(primary.clone()));
    site.emulator.with_service(|service| service.put_group(now, group)).unwrap();
    std::sync::Arc::new(site)
}

/// Counts the events up to the refusal of the device `the-end`, and those that were dropped. Like a program that only stores
/// events it does not parse them, which would be the larger part of what it costs.
async fn read_all(mut follower: Follower) -> (u64, u64) {
    let (mut events, mut dropped) = (0, 0);
    while let Some(message) = follower.next_message().await {
        if let Some((_, count)) = message.split_once("{\"dropped\":") {
            dropped += count.trim_end_matches('}').parse::<u64>().unwrap();
        } else if message.contains(r#""registrationId":"the-end""#) {
            break;
        } else if message.starts_with("id: ") {
            events += 1;
        }
    }
    (events, dropped)
}

/// Registers all devices while a client follows the events.
#[expect(clippy::print_stdout, reason = "it measures")]
async fn register_all_followed(site: &std::sync::Arc<Site>, keys: &std::sync::Arc<Vec<(String, String)>>) -> Duration {
    let after = format!("&after={}", site.emulator.last_event());
    let reading = tokio::spawn(read_all(Follower::start(site, &after).await.unwrap()));
    let time = register_all(site, keys).await;
    let _ = site.register("the-end", KEY).await;
    let (received, missed) = reading.await.unwrap();
    let kept = site.emulator.events(&EventFilter::new()).len();
    assert!(kept <= 10_000, "{kept}");
    println!("  the follower received {received} events and missed {missed}; {kept} are kept");
    time
}

/// Compares no recording, recording, and recording with a client that follows: side by side in every round, in another order in
/// each, since other work of the machine moves single rounds by a fifth.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures time: cargo xtask event-load"]
#[expect(clippy::print_stdout, reason = "it measures")]
async fn event_load() {
    const ROUNDS: usize = 9;
    let primary = crate::common::key(crate::common::GROUP_KEY);
    let (silent, site) = (site_that_keeps(0, &primary).await, site_that_keeps(10_000, &primary).await);
    let ids = (0..DEVICES).map(|number| format!("dev-{number}"));
    let keys = std::sync::Arc::new(ids.map(|id| (id.clone(), primary.derive(&id).expose().to_owned())).collect());
    println!("seconds for {DEVICES} registrations over HTTPS, each with a connection of its own:");
    let (mut recording, mut following) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut seconds = [0.0; 3];
        for kind in [round, round + 1, round + 2].map(|kind| kind % 3) {
            let time = match kind {
                0 => register_all(&silent, &keys).await,
                1 => register_all(&site, &keys).await,
                _ => register_all_followed(&site, &keys).await,
            };
            seconds[kind] = time.as_secs_f64();
        }
        let [unrecorded, recorded, followed] = seconds;
        println!("  without recording {unrecorded:.2}, with {recorded:.2}, with a follower {followed:.2}");
        recording.push(unrecorded / recorded);
        following.push(recorded / followed);
    }
    let [recording, following] = [recording, following].map(median);
    println!(
        "throughput, median of {ROUNDS} rounds: recording {recording:.2} of without, following {following:.2} of recording"
    );
    assert!(following >= 0.9, "following costs more than a tenth");
    assert!(recording >= 0.9, "recording costs more than a tenth");
}

fn median(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}
