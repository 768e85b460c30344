//! What the network does to a registration, over real sockets: each ends in its family, with its cause, in time.

use std::error::Error as _;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use crate::common::{CLOSED, Counted, builder, builder_over, device_key, service, service_with, what};
use dps_client::{DpsError, ProvisioningClient, ProvisioningClientBuilder, Resolver, Roots, Transport};
use dps_core::{ErrorCode, Family, Hint, Verdict};
use dps_emulator::{At, Emulator, EmulatorOptions, Fault, Scope};
use tokio::net::TcpListener;
#[cfg(target_os = "linux")]
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// What has to happen before the deadline happens within this on a busy machine too.
const DEADLINE: Duration = Duration::from_secs(6);

/// Registers with a short deadline and gives the error; the deadline itself is checked with room for a busy machine.
async fn fails(builder: ProvisioningClientBuilder) -> DpsError {
    let client: ProvisioningClient = builder.symmetric_key(device_key()).timeout(DEADLINE).build().unwrap();
    let ended = tokio::time::timeout(DEADLINE * 20, client.register()).await;
    ended.expect("it ends by its deadline").unwrap_err()
}

#[tokio::test]
async fn unknown_authority_is_refused_before_anything_is_sent() {
    let emulator = service().await;
    let other = service().await;
    let error = fails(builder(&emulator).roots(Roots::replace_pem(other.ca_pem().as_bytes()).unwrap())).await;
    assert_eq!(what(&error), (ErrorCode::UnknownCa, Some(Hint::TrustCa)));
    assert_eq!((error.family(), error.verdict()), (Family::Link, Verdict::Never));
    assert_eq!(emulator.with_service(|service| service.counters()).registers, 0, "nothing was sent");
}

#[tokio::test]
async fn certificate_for_another_name_is_refused() {
    let emulator = service().await;
    // 127.0.0.2 is this machine too, and not in the certificate.
    let counted = Counted::listening_on("127.0.0.2", &emulator).await;
    let error = fails(builder(&emulator).endpoint(format!("127.0.0.2:{}", counted.port))).await;
    assert_eq!(what(&error), (ErrorCode::NameMismatch, Some(Hint::CheckEndpoint)));
    assert_eq!(error.verdict(), Verdict::Never);
}

#[tokio::test]
async fn unresolvable_name_is_reported() {
    let emulator = service().await;
    let error = fails(builder(&emulator).endpoint("no-such-host.invalid")).await;
    assert_eq!(what(&error), (ErrorCode::Dns, Some(Hint::CheckDns)));
    assert!(error.message().contains("no-such-host.invalid"), "{error}");
    assert!(matches!(error.verdict(), Verdict::After(_)));
}

#[tokio::test]
async fn resolver_override_is_used() {
    let emulator = service_with(EmulatorOptions::new().host_name("dps.test")).await;
    for transport in [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket] {
        let endpoint = match transport {
            Transport::Mqtt => emulator.mqtt_endpoint(),
            Transport::MqttWebSocket => emulator.wss_endpoint(),
            _ => Some(emulator.endpoint()),
        };
        let told = |name: String| Resolver::new([format!("{name}:127.0.0.1").parse().unwrap()]);
        let endpoint = endpoint.unwrap();
        let client = builder_over(transport, &emulator).symmetric_key(device_key()).resolver(told(endpoint));
        client.build().unwrap().register().await.unwrap_or_else(|error| panic!("{transport:?}: {error}"));
    }
    let elsewhere = |transport| {
        let told = Resolver::new(["dps.test:1:127.0.0.1".parse().unwrap()]);
        fails(builder_over(transport, &emulator).resolver(told))
    };
    let (https, mqtt, ws) =
        tokio::join!(elsewhere(Transport::Https), elsewhere(Transport::Mqtt), elsewhere(Transport::MqttWebSocket));
    assert_eq!([https, mqtt, ws].map(|error| error.code()), [ErrorCode::Dns; 3]);
}

#[tokio::test]
async fn refused_connection_is_reported() {
    let emulator = service().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = fails(builder(&emulator).endpoint(format!("127.0.0.1:{port}"))).await;
    assert_eq!(what(&error), (ErrorCode::Connect, Some(Hint::CheckNetwork)));
}

#[tokio::test]
async fn source_of_an_error_leads_to_that_of_the_socket_or_of_tls() {
    fn source<E: std::error::Error + 'static>(error: &DpsError) -> Option<&E> {
        let mut chain = std::iter::successors(error.source(), |&error| error.source());
        chain.find_map(|error| error.downcast_ref())
    }
    let (emulator, other) = (service().await, service().await);
    for transport in [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket] {
        let error = fails(builder(&emulator).transport(transport).endpoint(CLOSED.to_string())).await;
        let kind = source::<std::io::Error>(&error).map(std::io::Error::kind);
        assert_eq!(kind, Some(std::io::ErrorKind::ConnectionRefused), "{transport:?}: {error:?}");

        let roots = Roots::replace_pem(other.ca_pem().as_bytes()).unwrap();
        let error = fails(builder_over(transport, &emulator).roots(roots)).await;
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert_eq!(source(&error), Some(&unknown), "{transport:?}: {error:?}");
    }
}

#[tokio::test]
async fn silent_server_ends_the_registration_by_its_timeout() {
    let emulator = service().await;
    // It takes the connection and never speaks, not even TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    for transport in [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket] {
        let error = fails(builder(&emulator).transport(transport).endpoint(endpoint.as_str())).await;
        assert_eq!((error.code(), error.family()), (ErrorCode::Timeout, Family::Link));
        assert!(error.message().contains("stalled during the TLS handshake"), "{transport:?}: {error}");
    }
    // It takes the request and never answers.
    emulator.with_service(|service| service.inject(Scope::All, At::Any, Fault::Silent, u32::MAX));
    for transport in [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket] {
        let error = fails(builder_over(transport, &emulator)).await;
        assert_eq!((error.code(), error.family()), (ErrorCode::Timeout, Family::Link));
        assert!(error.message().contains("stalled while waiting for the server's reply"), "{transport:?}: {error}");
    }
}

/// A listener whose queue is full, so that nothing answers the first packet of another connection.
#[cfg(target_os = "linux")]
async fn full_listener() -> (TcpListener, JoinSet<std::io::Result<TcpStream>>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    // A queue of one connection.
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = JoinSet::new();
    waiting.spawn(TcpStream::connect(address));
    let first = waiting.join_next().await.unwrap().unwrap();
    waiting.spawn(std::future::ready(first));
    // The kernel may accept a few more: these fill the queue.
    for _ in 0..4 {
        waiting.spawn(TcpStream::connect(address));
    }
    (listener, waiting)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn timeout_names_the_tcp_connection_that_is_not_answered() {
    let emulator = service().await;
    let (listener, _waiting) = full_listener().await;
    let endpoint = listener.local_addr().unwrap().to_string();
    let over = |transport| fails(builder(&emulator).transport(transport).endpoint(endpoint.as_str()));
    let (https, mqtt, ws) = tokio::join!(over(Transport::Https), over(Transport::Mqtt), over(Transport::MqttWebSocket));
    for (name, error) in [("HTTPS", https), ("MQTT", mqtt), ("WebSocket", ws)] {
        assert_eq!((error.code(), error.family()), (ErrorCode::Timeout, Family::Link), "{name}");
        assert!(error.message().contains("stalled during the TCP connection"), "{name}: {error}");
    }
}

#[tokio::test]
async fn server_of_another_protocol_is_reported() {
    let table = [
        (Fault::Garbage, ErrorCode::InvalidReply),
        (Fault::Noise, ErrorCode::InvalidReply),
        (Fault::DropBefore, ErrorCode::ConnectionCut),
        (Fault::DropAfter, ErrorCode::ConnectionCut),
        (Fault::SlowBytes, ErrorCode::Timeout),
        (Fault::ServerError { status: 503, retry_after: None }, ErrorCode::ServiceUnavailable),
    ];
    let mut running = JoinSet::new();
    for (fault, code) in table {
        running.spawn(stays_and_passes(fault, code));
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

/// A fault that stays has its name; one that passes is got over.
async fn stays_and_passes(fault: Fault, code: ErrorCode) {
    let emulator = service().await;
    emulator.with_service(|service| service.inject(Scope::All, At::Any, fault.clone(), u32::MAX));
    let error = fails(builder(&emulator)).await;
    assert_eq!(error.code(), code, "{fault:?}: {error}");
    assert!(error.retry_after().is_some(), "{fault:?}: trying later may work");
    let emulator = service().await;
    emulator.with_service(|service| service.inject(Scope::All, At::Register, fault.clone(), 1));
    let client = builder(&emulator).symmetric_key(device_key()).request_timeout(Duration::from_secs(2));
    assert_eq!(client.build().unwrap().register().await.unwrap().hub(), "hub-a.test", "{fault:?}");
}

#[tokio::test]
async fn reply_beyond_the_limit_is_refused() {
    let emulator = service().await;
    let oversize = Fault::OversizeReply { bytes: 97 * 1024 };
    emulator.with_service(|service| service.inject(Scope::All, At::Any, oversize, u32::MAX));
    let error = fails(builder(&emulator)).await;
    assert_eq!(what(&error), (ErrorCode::ReplyTooLarge, Some(Hint::EnlargeBuffer)));
    assert_eq!((error.family(), error.verdict()), (Family::Local, Verdict::Reconfigure));

    let emulator = service().await;
    let error = fails(builder(&emulator).reply_limit(64)).await;
    assert_eq!(error.code(), ErrorCode::ReplyTooLarge);
    assert!(error.needed_bytes().is_none_or(|needed| needed > 64), "{error}");
}

async fn hold(fault: Fault) -> (Emulator, Counted) {
    let emulator = service().await;
    emulator.with_service(|service| service.inject(Scope::All, At::Any, fault, u32::MAX));
    let counted = Counted::before(&emulator).await;
    (emulator, counted)
}

#[tokio::test]
async fn dropped_future_closes_its_connection() {
    for fault in [Fault::Silent, Fault::SlowBytes] {
        let (emulator, mut counted) = hold(fault.clone()).await;
        let client = builder(&emulator).endpoint(counted.endpoint()).symmetric_key(device_key()).build().unwrap();
        tokio::select! {
            _ = client.register() => panic!("nothing answers"),
            () = async {
                counted.one_open().await;
                // The request has arrived: the service has counted it.
                while emulator.with_service(|service| service.counters()).registers == 0 {
                    tokio::task::yield_now().await;
                }
            } => {}
        }
        let closed = tokio::time::timeout(Duration::from_secs(10), counted.all_closed()).await;
        assert!(closed.is_ok(), "{fault:?}: the connection outlives its future");
    }
}

/// Polls a future so many times, then drops it; `None` when it was not done by then.
async fn poll_times<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => {
                // Polled again when there is reason to, and once more after the last, to be dropped.
                if left == 0 {
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    })
    .await
}

#[tokio::test]
async fn future_dropped_at_any_await_closes_its_connection() {
    for transport in [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket] {
        let emulator = service().await;
        let port = match transport {
            Transport::Mqtt => emulator.mqtt_addr().unwrap().port(),
            Transport::MqttWebSocket => emulator.wss_addr().unwrap().port(),
            _ => emulator.https_addr().port(),
        };
        let mut counted = Counted::to_port("127.0.0.1", port).await;
        for times in 1.. {
            let over = builder_over(transport, &emulator).endpoint(counted.endpoint());
            let client = over.symmetric_key(device_key()).build().unwrap();
            let ended = poll_times(client.register(), times).await;
            let closed = tokio::time::timeout(Duration::from_secs(10), counted.all_closed()).await;
            assert!(closed.is_ok(), "{transport:?}, dropped after {times} polls: the connection outlives its future");
            if let Some(ended) = ended {
                assert_eq!(ended.unwrap().hub(), "hub-a.test");
                assert!(times > 5, "a registration waits more often than {times} times");
                break;
            }
        }
    }
}

#[tokio::test]
async fn no_connection_is_left_open_after_a_registration() {
    let emulator = service().await;
    let mut counted = Counted::before(&emulator).await;
    let client = builder(&emulator).endpoint(counted.endpoint()).symmetric_key(device_key()).build().unwrap();
    client.register().await.unwrap();
    client.register().await.unwrap();
    assert_eq!(counted.accepted(), 2, "one connection a registration");
    let closed = tokio::time::timeout(Duration::from_secs(10), counted.all_closed()).await;
    assert!(closed.is_ok());
}

/// The emulator's certificate is valid for less than 40 years.
#[tokio::test]
async fn certificate_is_checked_by_the_supplied_clock() {
    let emulator = service().await;
    for transport in [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket] {
        let later = || Some(SystemTime::now() + Duration::from_secs(40 * 366 * 86_400));
        let client = builder_over(transport, &emulator).symmetric_key(device_key()).clock(later).build().unwrap();
        let error = client.register().await.unwrap_err();
        assert_eq!(what(&error), (ErrorCode::CertificateExpired, Some(Hint::ClockOutsideCertificate)), "{error}");
    }
}

#[tokio::test]
async fn certificate_is_checked_by_the_system_clock_while_the_supplied_one_does_not_know_the_time() {
    let emulator = service().await;
    let client = builder(&emulator).symmetric_key(device_key()).clock(|| None).build().unwrap();
    let time = client.service_time().await.unwrap();
    assert!(time > SystemTime::UNIX_EPOCH);
}
