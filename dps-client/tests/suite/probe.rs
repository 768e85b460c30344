//! Probing a credential: one question, facts for an answer, and never a registration.

use std::time::{Duration, SystemTime};

use crate::common::{builder, builder_over, device_key, service, service_with};
use dps_client::{Answer, Probe, ProvisioningClientBuilder, SymmetricKey, Transport};
use dps_core::{LinkError, Status};
use dps_emulator::{At, Emulator, EmulatorOptions, Fault, RetryAfter, Scope};
use tokio::net::TcpListener;

const BOTH: [Transport; 2] = [Transport::Mqtt, Transport::MqttWebSocket];

async fn probe(builder: ProvisioningClientBuilder) -> Probe {
    builder.build().unwrap().probe().await.unwrap()
}

async fn answer(builder: ProvisioningClientBuilder) -> Answer {
    match probe(builder).await {
        Probe::Answered(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn wrong_key() -> SymmetricKey {
    SymmetricKey::from_bytes(&[9; 32]).unwrap()
}

#[track_caller]
fn nothing_was_registered(emulator: &Emulator, registers_before: u64) {
    assert_eq!(emulator.with_service(|service| service.counters().registers), registers_before);
}

#[tokio::test]
async fn probe_returns_the_record_over_https() {
    let emulator = service().await;
    let unknown = answer(builder(&emulator).symmetric_key(device_key())).await;
    assert_eq!((unknown.http_status, unknown.record), (404, None));
    nothing_was_registered(&emulator, 0);
    builder(&emulator).symmetric_key(device_key()).build().unwrap().register().await.unwrap();
    let known = answer(builder(&emulator).symmetric_key(device_key())).await;
    let record = known.record.unwrap();
    assert_eq!((known.http_status, record.status), (200, Status::Assigned));
    assert_eq!((record.hub.as_deref(), record.device_id.as_deref()), (Some("hub-a.test"), Some("dev-01")));
    nothing_was_registered(&emulator, 1);
}

#[tokio::test]
async fn probe_ignores_a_record_with_an_invalid_hub_name() {
    let emulator = service().await;
    builder(&emulator).symmetric_key(device_key()).build().unwrap().register().await.unwrap();
    let patch = serde_json::json!({ "assignedHub": "a;HostName=evil.test" }).as_object().unwrap().clone();
    emulator.with_service(|service| service.inject(Scope::All, At::Lookup, Fault::PatchReply { patch }, 1));
    let Probe::NoAnswer { error, detail } = probe(builder(&emulator).symmetric_key(device_key())).await else {
        panic!()
    };
    assert_eq!((error, detail.as_str()), (LinkError::InvalidReply, "its assigned hub is not a host name"));
}

#[tokio::test]
async fn probe_returns_the_services_time_with_a_refusal() {
    let emulator = service_with(EmulatorOptions::new().clock_offset_ms(7_200_000)).await;
    let refused = answer(builder(&emulator).symmetric_key(device_key())).await;
    assert_eq!((refused.http_status, refused.error_code), (401, Some(401_002)));
    assert!(refused.tracking_id.is_some() && refused.message.is_some() && refused.record.is_none());
    let ahead = refused.service_time.unwrap().duration_since(SystemTime::now()).unwrap();
    assert!(ahead > Duration::from_secs(7100) && ahead < Duration::from_secs(7300), "{ahead:?}");
    let in_time = builder(&emulator).symmetric_key(device_key()).clock(move || Some(SystemTime::now() + ahead));
    assert_eq!(answer(in_time).await.http_status, 404);
}

#[tokio::test]
async fn probe_does_not_retry() {
    let emulator = service().await;
    let busy = Fault::Throttle { retry_after: Some(RetryAfter::Seconds(1)) };
    emulator.with_service(|service| service.inject(Scope::All, At::Lookup, busy, 1));
    let throttled = answer(builder(&emulator).symmetric_key(device_key())).await;
    assert_eq!((throttled.http_status, throttled.retry_after), (429, Some(Duration::from_secs(1))));
    assert_eq!(emulator.with_service(|service| service.counters().lookups), 1);
}

#[tokio::test]
async fn probe_over_mqtt_signs_in_and_disconnects() {
    for transport in BOTH {
        for strict in [false, true] {
            let options = EmulatorOptions::new().service(|service| service.strict_at_connect(strict));
            let emulator = service_with(options).await;
            let over = || builder_over(transport, &emulator);
            assert!(matches!(probe(over().symmetric_key(device_key())).await, Probe::SignedIn), "{transport:?}");
            match probe(over().symmetric_key(wrong_key())).await {
                Probe::SignedIn => assert!(!strict, "{transport:?}"),
                Probe::NoAnswer { error: LinkError::MqttRefused { code: 5 }, .. } => assert!(strict, "{transport:?}"),
                other => panic!("{transport:?}: {other:?}"),
            }
            nothing_was_registered(&emulator, 0);
            assert_eq!(emulator.with_service(|service| service.counters().connects), 2);
        }
    }
}

#[tokio::test]
async fn probe_reports_a_silent_or_missing_server() {
    let emulator = service().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = crate::common::CLOSED;
    for (endpoint, expected) in [(silent.local_addr().unwrap(), LinkError::Timeout), (closed, LinkError::Connect)] {
        for transport in [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket] {
            let builder = builder_over(transport, &emulator).endpoint(endpoint.to_string());
            let limit = Duration::from_millis(if expected == LinkError::Timeout { 300 } else { 20_000 });
            match probe(builder.symmetric_key(device_key()).request_timeout(limit)).await {
                Probe::NoAnswer { error, .. } => assert_eq!(error, expected, "{transport:?}"),
                other => panic!("{transport:?}: {other:?}"),
            }
        }
    }
}
