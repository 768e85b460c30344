//! Registering through a proxy that wants a password, and through proxies that do not let anybody through.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{builder_over, device_key, service, what};
use dps_client::{DpsError, Proxy, ProxyChoice, Transport};
use dps_core::{ErrorCode, Family, Hint, Verdict};
use dps_emulator::test_servers::proxy_server::{FORBIDDEN, Manner, counted, proxy};

/// me:open sesame
const WANTS_PASSWORD: Manner = Manner::Wants("Basic bWU6b3BlbiBzZXNhbWU=");

const ALL: [Transport; 3] = [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket];

async fn through(transport: Transport, proxy: ProxyChoice) -> Result<(), DpsError> {
    let emulator = service().await;
    let client =
        builder_over(transport, &emulator).symmetric_key(device_key()).timeout(Duration::from_secs(2)).proxy(proxy);
    client.build().unwrap().register().await.map(|assignment| assert_eq!(assignment.hub(), "hub-a.test"))
}

async fn at(manner: Manner, password: &str) -> ProxyChoice {
    let proxy = Proxy::parse(&format!("http://me@127.0.0.1:{}", proxy(manner).await)).unwrap();
    ProxyChoice::Fixed(proxy.with_password(password).unwrap())
}

#[tokio::test]
async fn register_goes_through_proxy_with_password() {
    for transport in ALL {
        through(transport, at(WANTS_PASSWORD, "open sesame").await).await.unwrap();
    }
}

#[tokio::test]
async fn proxy_that_forbids_hangs_or_is_missing_has_its_own_error() {
    for transport in ALL {
        let error = through(transport, at(FORBIDDEN, "open sesame").await).await.unwrap_err();
        assert_eq!(what(&error), (ErrorCode::ProxyRefused, Some(Hint::CheckProxy)), "{transport:?}");
        assert_eq!(error.http_status(), Some(403), "{transport:?}");
        let error = through(transport, at(Manner::Hangs, "open sesame").await).await.unwrap_err();
        assert_eq!((error.code(), error.family()), (ErrorCode::Timeout, Family::Link), "{transport:?}");
        assert!(error.message().contains("stalled at the proxy"), "{transport:?}: {error}");
        assert_eq!(error.hints().first(), Some(&Hint::CheckProxy), "{transport:?}");
        let closed = crate::common::CLOSED;
        let error =
            through(transport, ProxyChoice::Fixed(Proxy::parse(&closed.to_string()).unwrap())).await.unwrap_err();
        assert_eq!(what(&error), (ErrorCode::ProxyUnreachable, Some(Hint::CheckProxy)), "{transport:?}");
        assert!(error.message().contains(&closed.to_string()), "{error}");
    }
}

async fn counted_at(manner: Manner, password: &str) -> (ProxyChoice, std::sync::Arc<AtomicUsize>) {
    let (port, count) = counted(manner).await;
    let proxy = Proxy::parse(&format!("http://me@127.0.0.1:{port}")).unwrap();
    let proxy =
        if password.is_empty() { Proxy::parse(&format!("127.0.0.1:{port}")) } else { proxy.with_password(password) };
    (ProxyChoice::Fixed(proxy.unwrap().named_by("HTTPS_PROXY")), count)
}

/// Accounts are locked after a few wrong passwords.
#[tokio::test]
async fn wrong_proxy_password_is_sent_once_and_its_source_named() {
    for transport in ALL {
        let (proxy, count) = counted_at(WANTS_PASSWORD, "open barley").await;
        let error = through(transport, proxy).await.unwrap_err();
        assert_eq!(what(&error), (ErrorCode::ProxyRefused, Some(Hint::CheckProxyCredentials)), "{transport:?}");
        assert_eq!(
            (error.family(), error.verdict(), error.http_status()),
            (Family::Link, Verdict::Reconfigure, Some(407))
        );
        assert!(error.message().contains("the user name or the password of HTTPS_PROXY"), "{transport:?}: {error}");
        assert!(!format!("{error} {error:?}").contains("barley"));
        assert_eq!(count.load(Ordering::SeqCst), 1, "{transport:?}: one CONNECT");
    }
}

#[tokio::test]
async fn connect_is_not_repeated_after_407_without_basic_authentication() {
    const NTLM: &str =
        "HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n";
    for transport in ALL {
        for password in ["", "open sesame"] {
            let (proxy, count) = counted_at(Manner::Says(NTLM), password).await;
            let error = through(transport, proxy).await.unwrap_err();
            assert_eq!((error.code(), error.http_status()), (ErrorCode::ProxyRefused, Some(407)), "{transport:?}");
            let message = error.message();
            // The library that carries HTTPS does not show what the proxy offers.
            if transport == Transport::Https {
                let unknown = if password.is_empty() { "is unknown" } else { "does not accept Basic authentication" };
                assert!(message.contains(unknown), "{message}");
                assert_eq!(error.hints().first(), Some(&Hint::CheckProxyCredentials));
            } else {
                assert!(message.contains("accepts only NTLM and Negotiate"), "{transport:?}: {message}");
                assert_eq!(error.hints().first(), Some(&Hint::ProxyScheme), "{transport:?}");
            }
            assert_eq!(count.load(Ordering::SeqCst), 1, "{transport:?}: one CONNECT");
        }
    }
}

#[tokio::test]
async fn proxy_status_is_told_by_number_over_every_transport() {
    const STATUSES: [(u16, &str); 6] = [
        (429, "HTTP/1.1 429 x\r\nContent-Length: 0\r\n\r\n"),
        (502, "HTTP/1.1 502 x\r\nContent-Length: 0\r\n\r\n"),
        (503, "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n"),
        (504, "HTTP/1.1 504 x\r\nContent-Length: 0\r\n\r\n"),
        (404, "HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n"),
        (418, "HTTP/1.1 418 x\r\nContent-Length: 0\r\n\r\n"),
    ];
    for transport in ALL {
        for (status, answer) in STATUSES {
            let error = through(transport, at(Manner::Says(answer), "open sesame").await).await.unwrap_err();
            let expected = (ErrorCode::ProxyRefused, Some(status));
            assert_eq!((error.code(), error.http_status()), expected, "{transport:?}: {error}");
            assert!(error.message().contains(&format!("answered {status}")), "{transport:?}: {error}");
        }
    }
}

/// Over HTTPS the proxy is asked once more, since the library hides the status of the first answer.
#[tokio::test]
async fn register_retries_after_proxy_answered_503() {
    const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    for transport in ALL {
        for times in [1, 2] {
            let emulator = service().await;
            let (port, count) = counted(Manner::SaysFirst(BUSY, times)).await;
            let proxy = ProxyChoice::Fixed(Proxy::parse(&format!("127.0.0.1:{port}")).unwrap());
            let builder = builder_over(transport, &emulator).symmetric_key(device_key()).proxy(proxy);
            let client = builder.timeout(Duration::from_secs(60)).build().unwrap();
            let assignment = client.register().await.unwrap_or_else(|error| panic!("{transport:?}: {error}"));
            assert_eq!(assignment.hub(), "hub-a.test");
            assert!(count.load(Ordering::SeqCst) > times, "{transport:?}");
        }
    }
}
