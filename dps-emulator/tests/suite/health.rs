//! What the HTTPS listener answers to anybody: `/healthz`, `/readyz` and `/ca.pem`.

use std::net::IpAddr;

use crate::client::{Client, Site, send_on};
use dps_emulator::{At, Emulator, EmulatorOptions, Fault, Limits, Scope};
use serde_json::{Value, json};

async fn get(client: &Client, path: &str) -> (u16, String) {
    let reply = client.send("GET", path, "", "").await.unwrap();
    (reply.status, String::from_utf8(reply.body).unwrap())
}

async fn ready(emulator: &Emulator) -> Value {
    let (status, body) = get(&Client::for_emulator(emulator), "/readyz").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn health_and_the_ca_are_answered_without_a_credential() {
    let site = Site::start(EmulatorOptions::new()).await;
    assert_eq!(get(&site.client, "/healthz").await, (200, json!({ "status": "ok" }).to_string()));
    assert_eq!(get(&site.client, "/ca.pem").await, (200, site.emulator.ca_pem().to_owned()));
    assert_eq!(get(&site.client, "/healthz?verbose=1").await.0, 200);
    assert_eq!(site.client.send("POST", "/healthz", "", "").await.unwrap().status, 404);
}

#[tokio::test]
async fn readiness_names_the_fronts_and_null_for_disabled_ones() {
    let emulator = Emulator::start(EmulatorOptions::new()).await.unwrap();
    let endpoint = emulator.endpoint();
    let endpoints = json!({ "https": endpoint, "mqtt": null, "wss": null });
    assert_eq!(ready(&emulator).await, json!({ "status": "ready", "endpoints": endpoints }));

    let emulator = Emulator::start(EmulatorOptions::new().mqtt_port(0).wss_port(0)).await.unwrap();
    let endpoints =
        json!({ "https": emulator.endpoint(), "mqtt": emulator.mqtt_endpoint(), "wss": emulator.wss_endpoint() });
    assert_eq!(ready(&emulator).await["endpoints"], endpoints);
}

#[tokio::test]
async fn readiness_on_ipv6_names_the_address_in_brackets() {
    let options = EmulatorOptions::new().listen(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])).host_name("::1").mqtt_port(0);
    let emulator = match Emulator::start(options).await {
        Ok(emulator) => emulator,
        // Some containers have no IPv6.
        Err(error) if error.to_string().contains("[::1]:0") => return,
        Err(error) => panic!("{error}"),
    };
    let https = ready(&emulator).await["endpoints"]["https"].clone();
    assert_eq!(https, format!("[::1]:{}", emulator.https_addr().port()));
}

#[tokio::test]
async fn health_is_neither_counted_nor_throttled_and_meets_no_fault() {
    let none = Limits {
        admin_per_minute: Some(0),
        registrations_per_minute: Some(0),
        polls_per_10_s: Some(0),
        ..Limits::none()
    };
    let site = Site::start(EmulatorOptions::new().service(|service| service.limits(none))).await;
    site.emulator.with_service(|service| service.inject(Scope::All, At::Any, Fault::DropBefore, 5));
    let mut sender = site.client.connect().await.unwrap();
    // More than a connection without a credential may have refused.
    for _ in 0..20 {
        assert_eq!(send_on(&mut sender, "GET", "/readyz", "", "").await.unwrap().status, 200);
    }
    let (counters, faults) = site.emulator.with_service(|service| (service.counters(), service.pending_faults()));
    assert_eq!((counters, faults), (Default::default(), 5));
}

#[cfg(unix)]
#[tokio::test]
async fn emulator_that_cannot_save_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let emulator = Emulator::start(EmulatorOptions::new().state_dir(&state)).await.unwrap();
    assert_eq!(ready(&emulator).await["status"], "ready");
    std::fs::remove_dir_all(&state).unwrap();
    let now = emulator.now();
    emulator.with_service(|service| service.put_group(now, dps_emulator::EnrollmentGroup::new("line-1"))).unwrap();
    emulator.flush().await.unwrap_err();
    let (status, body) = get(&Client::for_emulator(&emulator), "/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("could not be saved") && !body.contains(&*state.to_string_lossy()), "{body}");
}
