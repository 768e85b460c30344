//! Several credentials: which failures of one make the client try the next, and which never do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{builder_over, builder_to, device_key, service, service_with, what};
use crate::pki::Device;
use crate::x509_register::enroll;
use dps_client::{
    CredentialKind, DpsError, Progress, ProvisioningClientBuilder, SendSigner, SymmetricKey, Transport, X509,
};
use dps_core::{ErrorCode, Family, Hint, SignError, Signature, Verdict};
use dps_emulator::{At, Emulator, EmulatorOptions, EventKind, Fault, RetryAfter, Scope, TlsVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const TRANSPORTS: [Transport; 3] = [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket];
/// For a request that is not answered; long enough for one that is, on a busy machine too.
const REQUEST: Duration = Duration::from_secs(2);

fn wrong_key() -> SymmetricKey {
    SymmetricKey::from_bytes(&[9; 32]).unwrap()
}

/// A certificate that the enrollment of `dev-01` does not know.
fn certificate() -> X509 {
    Device::self_signed("dev-01").x509()
}

async fn strict() -> Emulator {
    service_with(EmulatorOptions::new().service(|service| service.strict_at_connect(true))).await
}

fn connections(emulator: &Emulator) -> usize {
    let is_connection = |kind: &EventKind| matches!(kind, EventKind::Connection(_));
    emulator.with_service(|service| service.events().filter(|event| is_connection(&event.kind)).count())
}

fn plan(emulator: &Emulator, at: At, fault: Fault, times: u32) {
    emulator.with_service(|service| service.inject(Scope::All, at, fault, times));
}

/// The switches of a client, as `(refused, next)` indices.
type Switches = Arc<Mutex<Vec<(usize, usize)>>>;

fn watched(builder: ProvisioningClientBuilder) -> (ProvisioningClientBuilder, Switches) {
    let switches = Switches::default();
    let seen = Arc::clone(&switches);
    let builder = builder.on_progress(move |progress| {
        if let Progress::Switching { refused, next } = progress {
            seen.lock().unwrap().push((refused.index(), next.index()));
        }
    });
    (builder, switches)
}

/// The second credential is accepted, after this many connections in all.
async fn goes_on(emulator: &Emulator, builder: ProvisioningClientBuilder, expected: usize, case: &str) {
    let before = connections(emulator);
    let (builder, switches) = watched(builder);
    let assignment = builder.build().unwrap().register().await.unwrap_or_else(|error| panic!("{case}: {error:?}"));
    assert_eq!(assignment.credential_index(), 1, "{case}");
    assert_eq!(connections(emulator) - before, expected, "{case}");
    assert_eq!(*switches.lock().unwrap(), [(0, 1)], "{case}");
}

#[tokio::test]
async fn credential_refused_with_401_is_followed_by_the_next_over_one_more_connection() {
    let emulator = service().await;
    for transport in TRANSPORTS {
        let over = || builder_over(transport, &emulator).fallback(device_key());
        goes_on(&emulator, over().symmetric_key(wrong_key()), 2, &format!("key over {transport:?}")).await;
        goes_on(&emulator, over().x509(certificate()), 2, &format!("certificate over {transport:?}")).await;
    }
}

#[tokio::test]
async fn credential_refused_at_connect_is_followed_by_the_next_over_one_more_connection() {
    let emulator = strict().await;
    for transport in [Transport::Mqtt, Transport::MqttWebSocket] {
        let over = || builder_over(transport, &emulator).fallback(device_key());
        goes_on(&emulator, over().symmetric_key(wrong_key()), 2, &format!("CONNACK 5 over {transport:?}")).await;
        for code in [4, 5] {
            plan(&emulator, At::Connect, Fault::RefuseConnect { code }, 1);
            goes_on(&emulator, over().symmetric_key(device_key()), 2, &format!("CONNACK {code} over {transport:?}"))
                .await;
        }
    }
}

#[tokio::test]
async fn certificate_refused_by_an_encrypted_alert_is_followed_by_the_next_over_one_more_connection() {
    let emulator = service_with(EmulatorOptions::new().tls_version(TlsVersion::Tls13)).await;
    for transport in TRANSPORTS {
        plan(&emulator, At::Handshake, Fault::RefuseCertificate, 1);
        let builder = builder_over(transport, &emulator).x509(certificate()).fallback(device_key());
        goes_on(&emulator, builder, 2, &format!("{transport:?}")).await;
    }
}

#[tokio::test]
async fn certificate_refused_under_tls_1_2_is_followed_by_the_next_once_a_second_connection_was_refused() {
    let emulator = service_with(EmulatorOptions::new().tls_version(TlsVersion::Tls12)).await;
    let device = certificate();
    for transport in TRANSPORTS {
        let builder = || builder_over(transport, &emulator).x509(device.clone()).fallback(device_key());
        plan(&emulator, At::Handshake, Fault::RefuseCertificate, 2);
        goes_on(&emulator, builder(), 3, &format!("{transport:?}")).await;
    }
    // An alert that comes once may be anybody's: the certificate is accepted by the second connection.
    enroll(&emulator, &device);
    for transport in TRANSPORTS {
        let before = connections(&emulator);
        plan(&emulator, At::Handshake, Fault::RefuseCertificate, 1);
        let builder = builder_over(transport, &emulator).x509(device.clone()).fallback(device_key());
        let assignment = builder.build().unwrap().register().await.unwrap();
        assert_eq!((assignment.credential_index(), connections(&emulator) - before), (0, 2), "{transport:?}");
    }
}

/// The first credential fails or is accepted in the end, and the second, which is valid too, is never tried.
async fn stays(builder: ProvisioningClientBuilder, case: &str) -> Option<DpsError> {
    let builder = builder.symmetric_key(device_key()).fallback(device_key());
    let (builder, switches) = watched(builder);
    let registered = builder.build().unwrap().register().await;
    assert_eq!(*switches.lock().unwrap(), [], "{case}");
    match registered {
        Ok(assignment) => {
            assert_eq!(assignment.credential_index(), 0, "{case}");
            None
        }
        Err(error) => {
            assert_eq!(error.refused_credentials(), [], "{case}");
            Some(error)
        }
    }
}

#[tokio::test]
async fn failure_that_is_not_a_refusal_of_the_credential_is_not_followed_by_the_next() {
    let status = |status| Fault::ServerError { status, retry_after: None };
    let hint = Some(RetryAfter::Seconds(0));
    let table = [
        (At::Register, Fault::Silent),
        (At::Register, Fault::DropBefore),
        (At::Register, Fault::DropAfter),
        (At::Register, Fault::Garbage),
        (At::Register, Fault::Noise),
        (At::Register, Fault::Throttle { retry_after: hint }),
        (At::Register, status(400)),
        (At::Register, status(403)),
        (At::Register, status(404)),
        (At::Register, status(500)),
        (At::Poll, Fault::DropBefore),
        (At::Poll, status(403)),
    ];
    let of_mqtt = [
        (At::Connect, Fault::RefuseConnect { code: 1 }),
        (At::Connect, Fault::RefuseConnect { code: 2 }),
        (At::Connect, Fault::RefuseConnect { code: 3 }),
        (At::Connect, Fault::DropBefore),
        (At::Connect, Fault::Silent),
        (At::Subscribe, Fault::RefuseSubscribe),
    ];
    let mut cases = JoinSet::new();
    for transport in TRANSPORTS {
        let is_mqtt = transport != Transport::Https;
        for (at, fault) in table.iter().chain(of_mqtt.iter().filter(|_| is_mqtt)).cloned() {
            cases.spawn(async move {
                let emulator = service().await;
                let case = format!("{fault:?} at {at:?} over {transport:?}");
                let builder = builder_over(transport, &emulator);
                let builder = if fault == Fault::Silent { builder.request_timeout(REQUEST) } else { builder };
                plan(&emulator, at, fault, 1);
                stays(builder, &case).await;
                assert_eq!(emulator.with_service(|service| service.pending_faults()), 0, "{case} was met");
            });
        }
    }
    cases.join_all().await;
}

#[tokio::test]
async fn timeout_and_cut_that_last_until_the_deadline_are_not_followed_by_the_next() {
    let mut cases = JoinSet::new();
    for transport in TRANSPORTS {
        for fault in [Fault::Silent, Fault::DropBefore, Fault::DropAfter] {
            cases.spawn(async move {
                let emulator = service().await;
                plan(&emulator, At::Any, fault.clone(), u32::MAX);
                let builder = builder_over(transport, &emulator).timeout(REQUEST);
                let error = stays(builder, &format!("{fault:?} over {transport:?}")).await.unwrap();
                assert_eq!(error.family(), Family::Link, "{fault:?} over {transport:?}: {error:?}");
            });
        }
    }
    cases.join_all().await;
}

#[tokio::test]
async fn refusal_with_a_clock_that_is_far_off_is_not_followed_by_the_next() {
    let emulator = service_with(EmulatorOptions::new().clock_offset_ms(7_200_000)).await;
    let error = stays(builder_over(Transport::Https, &emulator), "skew").await.unwrap();
    assert_eq!(what(&error), (ErrorCode::Unauthorized, Some(Hint::ClockBehind)));
    assert_eq!((emulator.with_service(|service| service.counters().registers), connections(&emulator)), (1, 1));
}

/// A server that answers each ClientHello with this fatal alert.
async fn alerting(alert: u8) -> (u16, tokio::sync::watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (count, counted) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            count.send_modify(|count| *count += 1);
            let _ = tcp.read(&mut [0; 4096]).await;
            let _ = tcp.write_all(&[21, 3, 3, 0, 2, 2, alert]).await;
            let _ = tcp.shutdown().await;
            let _ = tcp.read_to_end(&mut Vec::new()).await;
        }
    });
    (port, counted)
}

#[tokio::test]
async fn alert_that_is_not_about_the_certificate_is_not_followed_by_the_next() {
    let pem = dps_emulator::test_servers::SelfSigned::new().pem().to_owned();
    // handshake_failure and protocol_version; bad_certificate before any was presented.
    for alert in [40, 70, 42] {
        for transport in TRANSPORTS {
            let (port, counted) = alerting(alert).await;
            let builder = builder_to(port, &pem).transport(transport).x509(certificate());
            let (builder, switches) = watched(builder.fallback(device_key()));
            let error = builder.build().unwrap().register().await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Tls, "{alert} over {transport:?}: {error:?}");
            assert_eq!((*counted.borrow(), switches.lock().unwrap().len()), (1, 0), "{alert} over {transport:?}");
        }
    }
}

#[tokio::test]
async fn operation_that_is_pending_is_resumed_with_the_next_credential() {
    for transport in TRANSPORTS {
        let emulator = service().await;
        plan(&emulator, At::Poll, Fault::ServerError { status: 401, retry_after: None }, 1);
        let client = builder_over(transport, &emulator).symmetric_key(device_key()).fallback(device_key());
        let assignment = client.build().unwrap().register().await.unwrap();
        assert_eq!(assignment.credential_index(), 1, "{transport:?}");
        let counters = emulator.with_service(|service| service.counters());
        assert_eq!((counters.registers, counters.polls), (1, 2), "{transport:?}: it is registered once");
    }
}

#[tokio::test]
async fn error_tells_why_each_credential_was_refused() {
    let emulator = service_with(EmulatorOptions::new().tls_version(TlsVersion::Tls13)).await;
    plan(&emulator, At::Handshake, Fault::RefuseCertificate, 1);
    let client = builder_over(Transport::Https, &emulator).x509(certificate()).fallback(wrong_key());
    let error = client.build().unwrap().register().await.unwrap_err();
    assert_eq!((error.code(), error.verdict()), (ErrorCode::Unauthorized, Verdict::Never));
    let refused = error.refused_credentials();
    let each: Vec<_> = refused.iter().map(|one| (one.place().index(), one.place().kind(), one.code())).collect();
    let expected = [
        (0, CredentialKind::X509, ErrorCode::ClientCertificateRefused),
        (1, CredentialKind::SymmetricKey, ErrorCode::Unauthorized),
    ];
    assert_eq!(each, expected);
    assert_eq!((refused[1].http_status(), refused[1].error_code()), (Some(401), Some(401_002)));
    assert!(error.message().starts_with("the service refused each of the 2 credentials"), "{error}");
    assert!(
        error.message().contains("credential 1 (certificate): ") && error.message().contains("unknown_ca"),
        "{error}"
    );
    assert!(error.message().contains("credential 2 (symmetric key): "), "{error}");
}

#[tokio::test]
async fn error_after_a_refusal_tells_which_credential_was_refused_before() {
    let emulator = service().await;
    let client = builder_over(Transport::Https, &emulator).symmetric_key(wrong_key()).fallback(device_key());
    let client = client.timeout(Duration::from_secs(10)).request_timeout(Duration::from_secs(10)).build().unwrap();
    // The first request is that of the wrong key.
    let status = |status| Fault::ServerError { status, retry_after: None };
    plan(&emulator, At::Register, status(401), 1);
    plan(&emulator, At::Register, status(403), 1);
    let error = client.register().await.unwrap_err();
    assert_eq!((error.code(), error.refused_credentials().len()), (ErrorCode::Forbidden, 1), "{error:?}");
    assert!(error.message().contains("; before, the service refused credential 1 (symmetric key): "), "{error}");
}

#[tokio::test]
async fn clock_is_named_first_when_tokens_were_refused_at_connect_and_it_was_not_compared() {
    let emulator = strict().await;
    let over = || builder_over(Transport::Mqtt, &emulator).symmetric_key(wrong_key());
    let error = over().fallback(wrong_key()).build().unwrap().register().await.unwrap_err();
    assert_eq!(what(&error), (ErrorCode::Unauthorized, Some(Hint::CheckClock)));
    assert_eq!(error.refused_credentials().len(), 2);
    // Also if the last one is a certificate, which does not depend on the time.
    let error = over().fallback(certificate()).build().unwrap().register().await.unwrap_err();
    assert_eq!(what(&error), (ErrorCode::Unauthorized, Some(Hint::CheckClock)));
}

#[tokio::test]
async fn clock_is_compared_once_before_another_token_is_tried_if_the_policy_allows_it() {
    let emulator = strict().await;
    let port = emulator.https_addr().port();
    let over = || builder_over(Transport::Mqtt, &emulator).correct_clock(true).service_time_port(port);
    let two = over().symmetric_key(wrong_key()).fallback(wrong_key());
    let error = two.build().unwrap().register().await.unwrap_err();
    assert_eq!(what(&error), (ErrorCode::Unauthorized, Some(Hint::WrongKey)), "the clock is known to be right");
    assert_eq!(connections(&emulator), 3, "two for the tokens, one for the time");
    // A clock that is off is corrected for the first token, which is then accepted.
    let ahead = EmulatorOptions::new().clock_offset_ms(7_200_000);
    let emulator = service_with(ahead.service(|service| service.strict_at_connect(true))).await;
    let port = emulator.https_addr().port();
    let over = || builder_over(Transport::Mqtt, &emulator).correct_clock(true).service_time_port(port);
    let (builder, switches) = watched(over().symmetric_key(device_key()).fallback(device_key()));
    assert_eq!(builder.build().unwrap().register().await.unwrap().credential_index(), 0);
    assert_eq!(*switches.lock().unwrap(), []);
    // The next token is by the corrected time at once.
    let before = connections(&emulator);
    let (builder, switches) = watched(over().symmetric_key(wrong_key()).fallback(device_key()));
    assert_eq!(builder.build().unwrap().register().await.unwrap().credential_index(), 1);
    assert_eq!(*switches.lock().unwrap(), [(0, 1)]);
    assert_eq!(connections(&emulator) - before, 4, "the wrong key twice, the time, the right key");
}

#[tokio::test]
async fn observer_that_breaks_at_a_switch_ends_the_registration_before_the_next_credential() {
    let emulator = service().await;
    let client = builder_over(Transport::Https, &emulator).symmetric_key(wrong_key()).fallback(device_key());
    let client = client.on_progress(|progress| match progress {
        Progress::Switching { .. } => std::ops::ControlFlow::Break(()),
        _ => std::ops::ControlFlow::Continue(()),
    });
    let error = client.build().unwrap().register().await.unwrap_err();
    assert_eq!((error.code(), error.refused_credentials().len()), (ErrorCode::Cancelled, 1));
    assert_eq!((emulator.with_service(|service| service.counters().registers), connections(&emulator)), (1, 1));
}

/// Never signs.
struct Broken;

impl SendSigner for Broken {
    async fn sign(&mut self, _: &[u8]) -> Result<Signature, SignError> {
        Err(SignError)
    }
}

#[tokio::test]
async fn signer_that_fails_is_not_followed_by_the_next_credential() {
    let emulator = service().await;
    for transport in TRANSPORTS {
        let (builder, switches) = watched(builder_over(transport, &emulator).signer(Broken).fallback(device_key()));
        let error = builder.build().unwrap().register().await.unwrap_err();
        assert_eq!((error.code(), error.refused_credentials()), (ErrorCode::SignerFailed, &[][..]), "{transport:?}");
        assert_eq!(*switches.lock().unwrap(), [], "{transport:?}");
    }
    assert_eq!(emulator.with_service(|service| service.counters().registers), 0);
}

/// Somebody on the way can send the alert, but not prevent that the second connection tells it from a refusal.
#[tokio::test]
async fn certificate_alert_under_tls_1_2_is_not_confirmed_by_a_cut() {
    let emulator = service_with(EmulatorOptions::new().tls_version(TlsVersion::Tls12)).await;
    let device = certificate();
    enroll(&emulator, &device);
    for transport in TRANSPORTS {
        plan(&emulator, At::Handshake, Fault::RefuseCertificate, 1);
        plan(&emulator, At::Any, Fault::DropBefore, u32::MAX);
        let builder = builder_over(transport, &emulator).timeout(REQUEST).x509(device.clone()).fallback(device_key());
        let (builder, switches) = watched(builder);
        let error = builder.build().unwrap().register().await.unwrap_err();
        assert_eq!(error.family(), Family::Link, "{transport:?}: {error:?}");
        assert_eq!((error.refused_credentials(), &*switches.lock().unwrap()), (&[][..], &vec![]), "{transport:?}");
        emulator.with_service(|service| service.clear_faults());
    }
}

#[tokio::test]
async fn lookup_tries_the_credentials_too() {
    let emulator = service().await;
    builder_over(Transport::Https, &emulator).symmetric_key(device_key()).build().unwrap().register().await.unwrap();
    let client = builder_over(Transport::Https, &emulator).symmetric_key(wrong_key()).fallback(device_key());
    let record = client.build().unwrap().lookup().await.unwrap();
    assert_eq!(record.hub.as_deref(), Some("hub-a.test"));
}
