//! Registering through a proxy that wants a password, and through proxies that do not let anybody through.

mod common;
#[path = "../../dps-net/tests/proxy_server/mod.rs"]
mod proxy_server;

use std::time::Duration;

use common::{builder_over, device_key, service, what};
use dps_client::core::{ErrorCode, Family, Hint, Verdict};
use dps_client::{DpsError, Proxy, ProxyChoice, Transport};
use proxy_server::{FORBIDDEN, Manner, proxy};
use tokio::net::TcpListener;

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
async fn the_right_password_opens_the_way() {
    for transport in ALL {
        through(transport, at(WANTS_PASSWORD, "open sesame").await).await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_password_is_named_and_not_repeated() {
    for transport in ALL {
        let error = through(transport, at(WANTS_PASSWORD, "open barley").await).await.unwrap_err();
        assert_eq!(what(&error), (ErrorCode::ProxyRefused, Some(Hint::CheckProxyCredentials)), "{transport:?}");
        assert_eq!(
            (error.family(), error.verdict(), error.http_status()),
            (Family::Link, Verdict::Reconfigure, Some(407))
        );
        assert!(!format!("{error} {error:?}").contains("barley"));
    }
}

#[tokio::test]
async fn a_proxy_that_forbids_hangs_or_is_not_there() {
    for transport in ALL {
        let error = through(transport, at(FORBIDDEN, "open sesame").await).await.unwrap_err();
        assert_eq!(what(&error), (ErrorCode::ProxyRefused, Some(Hint::CheckProxy)), "{transport:?}");
        // The HTTP library keeps no status but 407.
        let kept = if transport == Transport::Https { None } else { Some(403) };
        assert_eq!(error.http_status(), kept);
        let error = through(transport, at(Manner::Hangs, "open sesame").await).await.unwrap_err();
        assert_eq!((error.code(), error.family()), (ErrorCode::Timeout, Family::Link), "{transport:?}");
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error =
            through(transport, ProxyChoice::Fixed(Proxy::parse(&closed.to_string()).unwrap())).await.unwrap_err();
        assert_eq!(what(&error), (ErrorCode::ProxyUnreachable, Some(Hint::CheckProxy)), "{transport:?}");
        assert!(error.message().contains(&closed.to_string()), "{error}");
    }
}
