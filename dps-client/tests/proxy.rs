//! Registering through a proxy that wants a password, and through proxies that do not let anybody through.

mod common;

use std::time::Duration;

use common::{builder_over, device_key, service, what};
use dps_client::core::{ErrorCode, Family, Hint, Verdict};
use dps_client::{DpsError, Proxy, ProxyChoice, Transport};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// me:open sesame
const CREDENTIALS: &str = "Proxy-Authorization: Basic bWU6b3BlbiBzZXNhbWU=";

/// What the proxy does.
#[derive(Clone, Copy)]
enum Manner {
    /// Tunnels for whoever knows the password.
    WantsPassword,
    /// Answers 403.
    Forbids,
    /// Never answers.
    Hangs,
}

async fn proxy(manner: Manner) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, manner));
        }
    });
    port
}

async fn serve(stream: TcpStream, manner: Manner) {
    let mut stream = BufReader::new(stream);
    let mut lines: Vec<String> = Vec::new();
    while lines.last().is_none_or(|line| !line.is_empty()) {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        lines.push(line.trim_end().to_owned());
    }
    let knows = lines.iter().any(|line| line.eq_ignore_ascii_case(CREDENTIALS));
    let refusal = match manner {
        Manner::WantsPassword if knows => {
            let target = lines[0].split(' ').nth(1).unwrap().replace("localhost", "127.0.0.1");
            let mut to = TcpStream::connect(target).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut to).await;
            return;
        }
        Manner::WantsPassword => "HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n",
        Manner::Forbids => "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
        Manner::Hangs => return std::future::pending().await,
    };
    let _ = stream.write_all(refusal.as_bytes()).await;
}

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
        through(transport, at(Manner::WantsPassword, "open sesame").await).await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_password_is_named_and_not_repeated() {
    for transport in ALL {
        let error = through(transport, at(Manner::WantsPassword, "open barley").await).await.unwrap_err();
        assert_eq!(what(&error), (ErrorCode::ProxyRefused, Some(Hint::CheckProxyCredentials)), "{transport:?}");
        assert_eq!((error.family(), error.verdict(), error.http_status()), (Family::Link, Verdict::Never, Some(407)));
        assert!(!format!("{error} {error:?}").contains("barley"));
    }
}

#[tokio::test]
async fn a_proxy_that_forbids_hangs_or_is_not_there() {
    for transport in ALL {
        let error = through(transport, at(Manner::Forbids, "open sesame").await).await.unwrap_err();
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
