//! The HTTPS listener over real sockets: registration, faults as a client meets them, limits, shutdown.

use std::time::{Duration, Instant};

use crate::client::{Client, Site, send_on};
use crate::common::{self, KEY, SCOPE, device_token};
use dps_emulator::{
    At, Emulator, EmulatorOptions, EnrollmentGroup, Fault, IndividualEnrollment, Refusal, Scope, StartError,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

const LONG: Duration = Duration::from_secs(30);

async fn at_once() -> (Site, String) {
    let site = Site::start(EmulatorOptions::new().assign_at_once(true)).await;
    let key = site.enroll("dev-01").await;
    (site, key)
}

fn inject(site: &Site, fault: Fault) {
    site.emulator.with_service(|service| service.inject(Scope::Registration("dev-01"), At::Any, fault, 1));
}

#[tokio::test]
async fn device_registers_and_polls_over_https() {
    let site = Site::start(EmulatorOptions::new().service(|service| service.assigning_ms(0))).await;
    let key = site.enroll("dev-01").await;
    let first = site.register("dev-01", &key).await.unwrap();
    assert_eq!((first.status, first.header("retry-after")), (202, Some("1")));
    assert!(first.header("location").unwrap().starts_with("https://localhost/"), "as the device named the host");
    assert!(first.header("date").unwrap().ends_with(" GMT"));
    let operation = first.json()["operationId"].as_str().unwrap().to_owned();
    let last = site.poll("dev-01", &key, &operation).await.unwrap();
    assert_eq!(last.json()["registrationState"]["assignedHub"], "hub-a.test");
    let record = site.admin("GET", "/registrations/dev-01", "").await;
    assert_eq!(record.json()["status"], "assigned");
    let counters = site.emulator.with_service(|service| service.counters());
    assert_eq!((counters.registers, counters.polls, counters.admin), (1, 1, 2));
    site.emulator.shutdown().await;
}

#[tokio::test]
async fn one_https_connection_carries_many_requests() {
    let (site, key) = at_once().await;
    let token = device_token(&key, "dev-01", site.emulator.now().unix_s() + 60);
    let mut sender = site.client.connect().await.unwrap();
    let path = format!("/{SCOPE}/registrations/dev-01/register?api-version=2021-06-01");
    for _ in 0..5 {
        assert_eq!(send_on(&mut sender, "PUT", &path, &token, "{}").await.unwrap().status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_devices_register_at_the_same_time() {
    let site =
        std::sync::Arc::new(Site::start(EmulatorOptions::new().service(|service| service.assigning_ms(0))).await);
    let now = site.emulator.now();
    let group = site.emulator.with_service(|service| service.put_group(now, EnrollmentGroup::new("line-1"))).unwrap();
    let group_key = group.settings.attestation.primary.unwrap();
    let devices: Vec<_> = (0..100)
        .map(|n| {
            let (site, id) = (std::sync::Arc::clone(&site), format!("dev-{n}"));
            let key = group_key.derive(&id);
            tokio::spawn(async move {
                let first = site.register(&id, key.expose()).await.unwrap().json();
                let last = site.poll(&id, key.expose(), first["operationId"].as_str().unwrap()).await.unwrap().json();
                assert_eq!(last["registrationState"]["deviceId"], id);
            })
        })
        .collect();
    for device in devices {
        device.await.unwrap();
    }
    assert_eq!(site.emulator.with_service(|service| service.hub_devices().count()), 100);
}

#[tokio::test]
async fn refusals_after_waits_for_a_refusal_and_returns_the_later_ones() {
    let (site, key) = at_once().await;
    let refused = async |id: &str| {
        assert_eq!(site.register(id, &key).await.unwrap().status, 401);
    };
    // Waits until there is one.
    let (first, ()) = tokio::join!(timeout(LONG, site.emulator.refusals_after(0)), refused("dev-02"));
    let first = first.unwrap();
    let names =
        |refusals: &[Refusal]| refusals.iter().map(|refusal| refusal.registration_id.clone()).collect::<Vec<_>>();
    assert_eq!((names(&first), first[0].number), (vec!["dev-02".to_owned()], 1));
    // An accepted call is not a refusal.
    assert_eq!(site.register("dev-01", &key).await.unwrap().status, 200);
    assert!(
        timeout(Duration::from_millis(1), site.emulator.refusals_after(1)).await.is_err(),
        "there is only one refusal"
    );
    refused("dev-03").await;
    refused("dev-04").await;
    let later = timeout(LONG, site.emulator.refusals_after(1)).await.unwrap();
    assert_eq!(names(&later), ["dev-03", "dev-04"]);
    let last = timeout(LONG, site.emulator.refusals_after(later[0].number)).await.unwrap();
    assert_eq!((names(&last), last[0].number), (vec!["dev-04".to_owned()], 3));
}

#[tokio::test]
async fn certificate_contains_the_host_names() {
    let options = EmulatorOptions::new().host_name("dps-on-my-desk.test").host_name("192.0.2.7");
    let emulator = Emulator::start(options).await.unwrap();
    let client = Client::for_emulator(&emulator);
    for name in ["localhost", "127.0.0.1", "::1", "dps-on-my-desk.test", "192.0.2.7"] {
        client.tls(name).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(client.tls("elsewhere.test").await.is_err());
    assert_eq!(emulator.endpoint(), format!("dps-on-my-desk.test:{}", emulator.https_addr().port()));
    assert!(emulator.https_addr().ip().is_loopback());
}

#[tokio::test]
async fn certificate_contains_hubs_linked_later() {
    let site = Site::start(EmulatorOptions::new().hub("hub-a.test", 1).hub("no_name.test:8883", 1)).await;
    let client = &site.client;
    let named = |stream: &TlsStream<TcpStream>, name: &str| {
        let (_, tls) = stream.get_ref();
        tls.peer_certificates().unwrap()[0].windows(name.len()).any(|window| window == name.as_bytes())
    };
    let unnamed = client.tls("127.0.0.1").await.unwrap();
    assert!(named(&unnamed, "hub-a.test") && !named(&unnamed, "no_name"));
    assert!(client.tls("hub-b.test").await.is_err(), "it is no hub yet");

    site.emulator.with_service(|service| service.link_hub("hub-b.test", 1)).unwrap();
    for name in ["HUB-B.test", "hub-a.test", "localhost"] {
        assert!(named(&client.tls(name).await.unwrap(), "hub-a.test"), "{name}");
    }
    site.emulator.with_service(|service| service.unlink_hub("hub-b.test"));
    assert!(client.tls("hub-b.test").await.is_ok(), "no name is taken out again");
    assert!(client.tls("hub-c.test").await.is_err());
    site.emulator.shutdown().await;
}

#[tokio::test]
async fn certificate_of_another_ca_is_rejected() {
    let one = Emulator::start(EmulatorOptions::new()).await.unwrap();
    let other = Emulator::start(EmulatorOptions::new()).await.unwrap();
    let confused = Client::new(one.https_addr(), other.ca_pem());
    let error = confused.tls("localhost").await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    assert_ne!(one.connection_string().expose(), other.connection_string().expose());
}

#[tokio::test]
async fn drop_faults_close_the_connection() {
    let (site, key) = at_once().await;
    inject(&site, Fault::DropBefore);
    assert!(site.register("dev-01", &key).await.is_err());
    assert!(site.emulator.with_service(|service| service.record("dev-01").is_none()));
    inject(&site, Fault::DropAfter);
    assert!(site.register("dev-01", &key).await.is_err());
    assert!(site.emulator.with_service(|service| service.record("dev-01").is_some()));
    assert_eq!(site.register("dev-01", &key).await.unwrap().status, 200);
}

#[tokio::test]
async fn faults_are_planned_over_https() {
    let (site, key) = at_once().await;
    let plan = r#"{"registrationId":"dev-01","kind":"throttle","at":"register","retryAfter":7}"#;
    let refused = site.client.send("POST", "/emulator/faults", "", plan).await.unwrap();
    assert_eq!((refused.status, refused.json()["errorCode"].as_u64()), (401, Some(401_002)));
    assert_eq!(site.as_owner("POST", "/emulator/faults", plan).await.status, 200);

    let throttled = site.register("dev-01", &key).await.unwrap();
    assert_eq!((throttled.status, throttled.header("retry-after")), (429, Some("7")));
    assert_eq!(site.register("dev-01", &key).await.unwrap().status, 200);

    site.as_owner("POST", "/emulator/faults", r#"[{"kind":"drop-before","times":9}]"#).await;
    assert!(site.register("dev-01", &key).await.is_err());
    let listed = site.as_owner("GET", "/emulator/faults", "").await.json();
    assert_eq!((&listed["faults"][0]["kind"], &listed["faults"][0]["left"]), (&"drop-before".into(), &8.into()));
    assert_eq!(site.as_owner("DELETE", "/emulator/faults", "").await.json()["cleared"], 1);
    assert_eq!(site.register("dev-01", &key).await.unwrap().status, 200);

    let counters = site.as_owner("GET", "/emulator/counters?registrationId=dev-01", "").await.json();
    assert_eq!((&counters["registers"], &counters["faults"]), (&4.into(), &2.into()));
}

#[tokio::test]
async fn garbage_noise_and_oversize_faults_over_https() {
    let (site, key) = at_once().await;
    inject(&site, Fault::Garbage);
    let garbage = site.register("dev-01", &key).await.unwrap();
    assert!(serde_json::from_slice::<serde_json::Value>(&garbage.body).is_err());
    inject(&site, Fault::Noise);
    assert!(site.register("dev-01", &key).await.is_err());
    inject(&site, Fault::OversizeReply { bytes: 97 * 1024 });
    assert_eq!(site.register("dev-01", &key).await.unwrap().body.len(), 97 * 1024);
    assert_eq!(site.register("dev-01", &key).await.unwrap().status, 200);
}

/// Sends a register call by hand, so that the connection can be observed byte by byte.
async fn raw_register(site: &Site, key: &str) -> TlsStream<TcpStream> {
    let mut stream = site.client.tls("localhost").await.unwrap();
    let token = device_token(key, "dev-01", site.emulator.now().unix_s() + 60);
    let head = format!(
        "PUT /{SCOPE}/registrations/dev-01/register?api-version=2021-06-01 HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: {token}\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn slow_bytes_fault_sends_single_bytes() {
    let (site, key) = at_once().await;
    inject(&site, Fault::SlowBytes);
    let mut stream = raw_register(&site, &key).await;
    let (mut reads, mut seen, mut room) = (0, Vec::new(), [0; 4096]);
    while seen.len() < 20 {
        let got = timeout(LONG, stream.read(&mut room)).await.unwrap().unwrap();
        assert!(got > 0);
        seen.extend_from_slice(&room[..got]);
        reads += 1;
    }
    assert!(seen.starts_with(b"HTTP/1.1 200 OK"));
    assert!(reads >= 5, "{reads} reads for {} bytes", seen.len());
}

#[tokio::test]
async fn delay_and_silent_faults_over_https() {
    let (site, key) = at_once().await;
    inject(&site, Fault::Delay { ms: 300 });
    let began = Instant::now();
    assert_eq!(site.register("dev-01", &key).await.unwrap().status, 200);
    assert!(began.elapsed() >= Duration::from_millis(300));

    inject(&site, Fault::Silent);
    let mut stream = raw_register(&site, &key).await;
    let answer = timeout(Duration::from_millis(300), stream.read_u8()).await;
    assert!(answer.is_err(), "neither an answer nor an end");
    assert_eq!(site.register("dev-01", &key).await.unwrap().status, 200);
}

#[tokio::test]
async fn oversized_body_is_refused_with_a_reply() {
    let (site, key) = at_once().await;
    let token = device_token(&key, "dev-01", site.emulator.now().unix_s() + 60);
    let path = format!("/{SCOPE}/registrations/dev-01/register?api-version=2021-06-01");
    for size in [97 * 1024, 600 * 1024] {
        let answer = site.client.send("PUT", &path, &token, &" ".repeat(size)).await.unwrap();
        assert_eq!(answer.status, 413);
    }
}

#[tokio::test]
async fn date_header_shows_the_skewed_clock() {
    let site = Site::start(EmulatorOptions::new().assign_at_once(true).clock_offset_ms(2 * 3600 * 1000)).await;
    let now = site.emulator.now();
    site.emulator.with_service(|service| {
        service.put_enrollment(now, IndividualEnrollment::new("dev-01").primary_key(common::key(KEY))).unwrap();
    });
    let device_s = now.unix_s() - 2 * 3600;
    let path = format!("/{SCOPE}/registrations/dev-01/register?api-version=2021-06-01");
    let behind = device_token(KEY, "dev-01", device_s + 3600);
    assert_eq!(site.client.send("PUT", &path, &behind, "").await.unwrap().status, 401);
    site.emulator.set_clock_offset_ms(0);
    assert_eq!(site.client.send("PUT", &path, &behind, "").await.unwrap().status, 200);
}

#[tokio::test]
async fn connection_without_tls_gets_no_reply() {
    let (site, _) = at_once().await;
    let mut tcp = TcpStream::connect(site.emulator.https_addr()).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    let _ = timeout(LONG, tcp.read_to_end(&mut got)).await.unwrap();
    assert!(!got.starts_with(b"HTTP"));
}

#[tokio::test]
async fn shutdown_ends_idle_and_hanging_connections() {
    let (site, key) = at_once().await;
    inject(&site, Fault::Silent);
    let mut hanging = raw_register(&site, &key).await;
    let mut idle = site.client.tls("localhost").await.unwrap();
    let unfinished = TcpStream::connect(site.emulator.https_addr()).await.unwrap();
    // The silent request has arrived once the service has counted it.
    while site.emulator.with_service(|service| service.counters().registers) == 0 {
        tokio::task::yield_now().await;
    }
    let address = site.emulator.https_addr();
    timeout(LONG, site.emulator.shutdown()).await.expect("bounded");
    for stream in [&mut hanging, &mut idle] {
        let end = timeout(LONG, stream.read(&mut [0; 16])).await.unwrap();
        assert!(matches!(end, Ok(0) | Err(_)));
    }
    drop(unfinished);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn dropping_the_emulator_frees_the_port() {
    let emulator = Emulator::start(EmulatorOptions::new()).await.unwrap();
    let port = emulator.https_addr().port();
    let taken = Emulator::start(EmulatorOptions::new().https_port(port)).await.unwrap_err();
    assert!(matches!(taken, StartError::Listen { .. }), "{taken}");
    assert!(taken.to_string().contains(&port.to_string()), "{taken}");
    drop(emulator);
    let again = async {
        loop {
            match Emulator::start(EmulatorOptions::new().https_port(port)).await {
                Ok(emulator) => return emulator,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    assert_eq!(timeout(LONG, again).await.unwrap().https_addr().port(), port);
}

#[tokio::test]
async fn invalid_options_are_rejected() {
    for (options, part) in [
        (EmulatorOptions::new().host_name("two words"), "two words"),
        (EmulatorOptions::new().host_name("host:443"), "host:443"),
        (EmulatorOptions::new().host_name("*.test"), "*.test"),
        (EmulatorOptions::new().id_scope("0ne/x"), "0ne/x"),
        (EmulatorOptions::new().listen("192.0.2.1".parse().unwrap()), "192.0.2.1"),
    ] {
        let error = Emulator::start(options).await.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
