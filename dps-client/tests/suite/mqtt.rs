//! Registrations over MQTT and MQTT over WebSocket against the local service: what works, what is refused, and what the
//! network does. The same lines as over HTTPS, where the wire can tell.

use std::time::{Duration, SystemTime};

use crate::common::{Counted, GROUP_DEVICE, builder_over, device_key, group_key, service, service_with, what};
use dps_client::{DpsError, ProvisioningClientBuilder, Roots, SymmetricKey, Transport};
use dps_core::{ErrorCode, Family, Hint, Verdict};
use dps_emulator::{At, Emulator, EmulatorOptions, Fault, IndividualEnrollment, RetryAfter, Scope};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const BOTH: [Transport; 2] = [Transport::Mqtt, Transport::MqttWebSocket];
/// For what nothing but the deadline ends.
const SHORT: Duration = Duration::from_millis(800);
/// For what has to happen before the deadline, on a busy machine too.
const LONG: Duration = Duration::from_secs(6);

fn port_of(transport: Transport, emulator: &Emulator) -> u16 {
    let address = if transport == Transport::Mqtt { emulator.mqtt_addr() } else { emulator.wss_addr() };
    address.unwrap().port()
}

/// Registers with a short deadline and gives the error.
async fn fails(builder: ProvisioningClientBuilder) -> DpsError {
    fails_within(SHORT, builder).await
}

async fn fails_within(limit: Duration, builder: ProvisioningClientBuilder) -> DpsError {
    let client = builder.timeout(limit).build().unwrap();
    tokio::time::timeout(limit * 20, client.register()).await.expect("it ends by its deadline").unwrap_err()
}

#[tokio::test]
async fn mqtt_registers_individual_and_group_over_one_connection() {
    for transport in BOTH {
        let emulator = service().await;
        let mut counted = Counted::to_port("127.0.0.1", port_of(transport, &emulator)).await;
        let client = builder_over(transport, &emulator).endpoint(counted.endpoint()).symmetric_key(device_key());
        let assignment = client.build().unwrap().register().await.unwrap();
        assert_eq!((assignment.hub(), assignment.device_id()), ("hub-a.test", "dev-01"), "{transport:?}");
        assert!(assignment.operation_id().is_some());
        assert_eq!(counted.accepted(), 1, "{transport:?}");
        let of_group = builder_over(transport, &emulator).registration_id(GROUP_DEVICE).group_key(group_key());
        assert_eq!(of_group.build().unwrap().register().await.unwrap().device_id(), GROUP_DEVICE);
        let counters = emulator.with_service(|service| service.counters());
        assert_eq!((counters.connects, counters.registers, counters.polls), (2, 2, 2));
        tokio::time::timeout(Duration::from_secs(10), counted.all_closed()).await.expect("nothing is left open");
    }
}

#[tokio::test]
async fn pipelined_registration_sends_everything_in_one_flight() {
    for transport in BOTH {
        let emulator = service().await;
        let client = builder_over(transport, &emulator).pipelined(true).symmetric_key(device_key());
        assert_eq!(client.build().unwrap().register().await.unwrap().device_id(), "dev-01", "{transport:?}");
        let counters = emulator.with_service(|service| service.counters());
        assert_eq!((counters.connects, counters.registers, counters.polls), (1, 1, 1));
    }
}

#[tokio::test]
async fn mqtt_payload_is_sent_and_received() {
    for transport in BOTH {
        let emulator = service_with(EmulatorOptions::new().service(|service| service.echo_payload(true))).await;
        let client = builder_over(transport, &emulator).symmetric_key(device_key()).payload(r#"{"line":"7 ü"}"#);
        let assignment = client.build().unwrap().register().await.unwrap();
        assert_eq!(assignment.payload(), Some(r#"{"line":"7 ü"}"#));
    }
}

#[tokio::test]
async fn mqtt_refused_credentials_are_reported_by_topic_and_by_connack() {
    for transport in BOTH {
        for strict in [false, true] {
            let options = EmulatorOptions::new().service(|service| service.strict_at_connect(strict));
            let emulator = service_with(options).await;
            let over = || builder_over(transport, &emulator);
            let wrong = SymmetricKey::from_bytes(&[9; 32]).unwrap();
            let group_as_device = SymmetricKey::from_base64(crate::common::GROUP_KEY).unwrap();
            let table = [
                (over().symmetric_key(wrong), Hint::WrongKey),
                (over().id_scope("0ne99999999").symmetric_key(device_key()), Hint::WrongKey),
                (over().registration_id("dev-02").symmetric_key(device_key()), Hint::WrongKey),
                (over().registration_id("dev-02").symmetric_key(group_as_device), Hint::GroupKeyAsDeviceKey),
            ];
            for (client, hint) in table {
                let error = client.build().unwrap().register().await.unwrap_err();
                // A refusal at CONNECT comes before any key is looked at.
                let first = if strict { Hint::CheckClock } else { hint };
                assert_eq!(what(&error), (ErrorCode::Unauthorized, Some(first)), "{transport:?}, strict: {strict}");
                assert!(error.hints().contains(&hint), "{error}");
                assert_eq!((error.family(), error.verdict()), (Family::Service, Verdict::Never));
                assert!(error.hints().contains(&Hint::CheckClock), "MQTT tells no time: {error}");
                assert_eq!(error.tracking_id().is_none(), strict, "CONNACK has no room for it");
            }
        }
    }
}

#[tokio::test]
async fn clock_is_corrected_by_the_services_if_allowed() {
    for (transport, strict) in [(Transport::Mqtt, false), (Transport::MqttWebSocket, true)] {
        // Two hours ahead of this device.
        let ahead = EmulatorOptions::new().clock_offset_ms(7_200_000);
        let emulator = service_with(ahead.service(|service| service.strict_at_connect(strict))).await;
        let port = emulator.https_addr().port();
        let over = || builder_over(transport, &emulator).symmetric_key(device_key()).service_time_port(port);
        let refused = over().build().unwrap().register().await.unwrap_err();
        assert_eq!(what(&refused), (ErrorCode::Unauthorized, Some(Hint::CheckClock)));
        let registered = over().correct_clock(true).build().unwrap().register().await.unwrap();
        assert_eq!(registered.hub(), "hub-a.test");
        let told = over().build().unwrap().service_time().await.unwrap();
        let skew = told.duration_since(SystemTime::now()).unwrap();
        assert!(skew > Duration::from_secs(7100) && skew < Duration::from_secs(7300), "{skew:?}");
    }
}

#[tokio::test]
async fn wrong_key_with_right_clock_is_refused_once_without_a_clock_hint() {
    let emulator = service().await;
    let wrong = SymmetricKey::from_bytes(&[9; 32]).unwrap();
    let client = builder_over(Transport::Mqtt, &emulator).symmetric_key(wrong).correct_clock(true);
    let client = client.service_time_port(emulator.https_addr().port()).build().unwrap();
    let error = client.register().await.unwrap_err();
    assert_eq!(what(&error), (ErrorCode::Unauthorized, Some(Hint::WrongKey)));
    assert!(!error.hints().contains(&Hint::CheckClock), "{error}");
    assert_eq!(emulator.with_service(|service| service.counters().registers), 1);
}

#[tokio::test]
async fn refusal_is_reported_if_the_time_cannot_be_requested() {
    let ahead = EmulatorOptions::new().clock_offset_ms(7_200_000);
    let emulator = service_with(ahead).await;
    // Nothing listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = builder_over(Transport::Mqtt, &emulator).symmetric_key(device_key()).correct_clock(true);
    let client = client.service_time_port(free).build().unwrap();
    let error = client.register().await.unwrap_err();
    assert_eq!(what(&error), (ErrorCode::Unauthorized, Some(Hint::CheckClock)));
    assert_eq!(client.service_time().await.unwrap_err().code(), ErrorCode::Connect);
}

#[tokio::test]
async fn mqtt_clock_two_hours_off_is_refused_with_a_hint() {
    const TWO_HOURS: Duration = Duration::from_secs(7200);
    for transport in BOTH {
        let emulator = service().await;
        let late = || Some(SystemTime::now() - TWO_HOURS);
        let client = builder_over(transport, &emulator).symmetric_key(device_key()).clock(late).build().unwrap();
        let error = client.register().await.unwrap_err();
        assert_eq!(what(&error), (ErrorCode::Unauthorized, Some(Hint::CheckClock)), "{error}");
        let early = || Some(SystemTime::now() + TWO_HOURS);
        let client = builder_over(transport, &emulator).symmetric_key(device_key()).clock(early).build().unwrap();
        assert_eq!(client.register().await.unwrap().hub(), "hub-a.test");
    }
}

#[tokio::test]
async fn mqtt_disabled_unlinked_and_throttled_devices_have_their_errors() {
    for transport in BOTH {
        let client = |emulator: &Emulator| builder_over(transport, emulator).symmetric_key(device_key());
        let emulator = service().await;
        let key = dps_emulator::SymmetricKey::from_base64(crate::common::DEVICE_KEY).unwrap();
        let (now, disabled) = (emulator.now(), IndividualEnrollment::new("dev-01").primary_key(key).enabled(false));
        emulator.with_service(|service| service.put_enrollment(now, disabled).unwrap());
        let error = client(&emulator).build().unwrap().register().await.unwrap_err();
        assert_eq!(what(&error), (ErrorCode::EnrollmentDisabled, Some(Hint::EnableEnrollment)));

        let emulator = service().await;
        emulator.with_service(|service| service.unlink_hub("hub-a.test"));
        let error = client(&emulator).build().unwrap().register().await.unwrap_err();
        assert_eq!(what(&error), (ErrorCode::RegistrationFailed, Some(Hint::CheckLinkedHubs)));

        let emulator = service().await;
        let busy = Fault::Throttle { retry_after: Some(RetryAfter::Seconds(3600)) };
        emulator.with_service(|service| service.inject(Scope::All, At::Any, busy, u32::MAX));
        let error = client(&emulator).build().unwrap().register().await.unwrap_err();
        assert_eq!(what(&error), (ErrorCode::Throttled, Some(Hint::SpreadStart)));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    }
}

#[tokio::test]
async fn mqtt_network_failures_have_their_errors() {
    tokio::join!(what_the_network_does_over(Transport::Mqtt), what_the_network_does_over(Transport::MqttWebSocket));
}

async fn what_the_network_does_over(transport: Transport) {
    let emulator = service().await;
    let other = service().await;
    let over = || builder_over(transport, &emulator).symmetric_key(device_key());
    let error = fails_within(LONG, over().roots(Roots::replace_pem(other.ca_pem().as_bytes()).unwrap())).await;
    assert_eq!(what(&error), (ErrorCode::UnknownCa, Some(Hint::TrustCa)));
    let counted = Counted::to_port("127.0.0.2", port_of(transport, &emulator)).await;
    let error = fails_within(LONG, over().endpoint(format!("127.0.0.2:{}", counted.port))).await;
    assert_eq!(what(&error), (ErrorCode::NameMismatch, Some(Hint::CheckEndpoint)));
    let error = fails_within(LONG, over().endpoint("no-such-host.invalid")).await;
    assert_eq!(what(&error), (ErrorCode::Dns, Some(Hint::CheckDns)));
    let closed = crate::common::CLOSED;
    let error = fails_within(LONG, over().endpoint(closed.to_string())).await;
    assert_eq!(what(&error), (ErrorCode::Connect, Some(Hint::CheckNetwork)));
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = fails(over().endpoint(silent.local_addr().unwrap().to_string())).await;
    assert_eq!((error.code(), error.family()), (ErrorCode::Timeout, Family::Link));
}

#[tokio::test]
async fn mqtt_register_recovers_from_faults() {
    let table = [
        (At::Any, Fault::Garbage, ErrorCode::InvalidReply),
        (At::Any, Fault::Noise, ErrorCode::InvalidReply),
        (At::Any, Fault::DropBefore, ErrorCode::ConnectionCut),
        (At::Any, Fault::DropAfter, ErrorCode::ConnectionCut),
        (At::Any, Fault::Silent, ErrorCode::Timeout),
        (At::Any, Fault::WrongRequestId, ErrorCode::Timeout),
        (At::Any, Fault::MissingRequestId, ErrorCode::Timeout),
        (At::Any, Fault::ServerError { status: 503, retry_after: None }, ErrorCode::ServiceUnavailable),
        (At::Connect, Fault::DropBefore, ErrorCode::ConnectionCut),
        (At::Subscribe, Fault::DropBefore, ErrorCode::ConnectionCut),
        (At::Connect, Fault::Silent, ErrorCode::Timeout),
        (At::Subscribe, Fault::Silent, ErrorCode::Timeout),
        (At::Connect, Fault::RefuseConnect { code: 3 }, ErrorCode::ServiceUnavailable),
    ];
    let mut running = JoinSet::new();
    for transport in BOTH {
        for (at, fault, code) in &table {
            running.spawn(stays_and_passes(transport, *at, fault.clone(), *code));
        }
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

/// A fault that stays has its name; one that passes is got over.
async fn stays_and_passes(transport: Transport, at: At, fault: Fault, code: ErrorCode) {
    let emulator = service().await;
    emulator.with_service(|service| service.inject(Scope::All, at, fault.clone(), u32::MAX));
    let limit = if code == ErrorCode::Timeout { SHORT } else { LONG };
    let error = fails_within(limit, builder_over(transport, &emulator).symmetric_key(device_key())).await;
    assert_eq!(error.code(), code, "{transport:?} {at:?} {fault:?}: {error}");
    assert!(error.retry_after().is_some(), "{fault:?}: trying later may work");
    let emulator = service().await;
    let once = if at == At::Any { At::Register } else { at };
    emulator.with_service(|service| service.inject(Scope::All, once, fault.clone(), 1));
    let client = builder_over(transport, &emulator).symmetric_key(device_key());
    let client = client.request_timeout(Duration::from_secs(2)).build().unwrap();
    assert_eq!(client.register().await.unwrap().hub(), "hub-a.test", "{transport:?} {at:?} {fault:?}");
}

#[tokio::test]
async fn mqtt_protocol_refusals_end_the_registration() {
    let table = [
        (At::Connect, Fault::RefuseConnect { code: 1 }, ErrorCode::MqttRefused),
        (At::Connect, Fault::RefuseConnect { code: 2 }, ErrorCode::MqttRefused),
        (At::Connect, Fault::RefuseConnect { code: 4 }, ErrorCode::Unauthorized),
        (At::Connect, Fault::RefuseConnect { code: 5 }, ErrorCode::Unauthorized),
        (At::Subscribe, Fault::RefuseSubscribe, ErrorCode::SubscribeRefused),
    ];
    for transport in BOTH {
        for (at, fault, code) in &table {
            let emulator = service().await;
            emulator.with_service(|service| service.inject(Scope::All, *at, fault.clone(), u32::MAX));
            let error = fails_within(LONG, builder_over(transport, &emulator).symmetric_key(device_key())).await;
            assert_eq!((error.code(), error.verdict()), (*code, Verdict::Never), "{fault:?}: {error}");
        }
        let emulator = service().await;
        let oversize = Fault::OversizeReply { bytes: 97 * 1024 };
        emulator.with_service(|service| service.inject(Scope::All, At::Any, oversize, u32::MAX));
        let error = fails_within(LONG, builder_over(transport, &emulator).symmetric_key(device_key())).await;
        assert_eq!(what(&error), (ErrorCode::ReplyTooLarge, Some(Hint::EnlargeBuffer)));
    }
}

#[tokio::test]
async fn lookup_over_mqtt_is_refused() {
    for transport in BOTH {
        let emulator = service().await;
        let client = builder_over(transport, &emulator).symmetric_key(device_key()).build().unwrap();
        let error = client.lookup().await.unwrap_err();
        assert_eq!((error.code(), error.family()), (ErrorCode::UnsupportedByTransport, Family::Configuration));
        assert_eq!(emulator.with_service(|service| service.counters()).connects, 0);
    }
}
