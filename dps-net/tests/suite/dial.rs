//! Dialing over real sockets: directly, through a proxy that requires a password, and through proxies that refuse.

use std::time::{Duration, SystemTime};

use dps_core::LinkError;
use dps_emulator::test_servers::SelfSigned;
use dps_emulator::test_servers::proxy_server::{FORBIDDEN, Manner, proxy};
use dps_net::{Dialer, NetError, Proxy, Resolver, Roots, TlsOptions, inspect, open_tunnel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A port where nothing listens: the system gives it to no program, so that no other test listens there either.
const CLOSED: u16 = 1;

/// A TLS server on loopback that sends a greeting.
pub(crate) struct Server {
    pub(crate) port: u16,
    ca: String,
    certificate: Vec<u8>,
}

pub(crate) async fn server() -> Server {
    server_valid_in(1975, 4096).await
}

/// The same, with a certificate that is valid from the first day of the one year to the first day of the other.
async fn server_valid_in(from: i32, to: i32) -> Server {
    let tls = SelfSigned::valid_in(from, to);
    let (ca, certificate) = (tls.pem().to_owned(), tls.der().to_vec());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            if let Ok(mut stream) = tls.accept(tcp).await {
                let _ = stream.write_all(b"hello").await;
                let _ = stream.shutdown().await;
            }
        }
    });
    Server { port, ca, certificate }
}

fn tls(server: &Server) -> TlsOptions {
    TlsOptions::new(Roots::replace_pem(server.ca.as_bytes()).unwrap())
}

pub(crate) fn dialer(server: &Server, proxy: Option<Proxy>) -> Dialer {
    Dialer::new(tls(server).client_config().unwrap(), proxy)
}

async fn through(manner: Manner, user: &str) -> Result<String, NetError> {
    let server = server().await;
    let proxy = Proxy::parse(&format!("http://{user}127.0.0.1:{}", proxy(manner).await)).unwrap();
    let mut stream = dialer(&server, Some(proxy)).dial("localhost", server.port).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    Ok(text)
}

#[tokio::test]
async fn dial_connects_directly_and_through_proxy_with_password() {
    let server = server().await;
    let mut stream = dialer(&server, None).dial("localhost", server.port).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");
    // me:secret
    assert_eq!(through(Manner::Wants("Basic bWU6c2VjcmV0"), "me:secret@").await.unwrap(), "hello");
}

#[tokio::test]
async fn overridden_name_is_not_resolved_and_must_be_in_the_certificate() {
    let server = server().await;
    let overridden = |name: &str, port| Resolver::new([format!("{name}:{port}:127.0.0.1").parse().unwrap()]);
    let to = |resolver| dialer(&server, None).resolver(resolver);
    // TEST-NET-1 never answers: a connection shows that an override for another port is not used.
    let beside = Resolver::new(["localhost:1:192.0.2.1".parse().unwrap()]);
    for resolver in [overridden("LocalHost", server.port), beside] {
        assert!(to(resolver).dial("localhost", server.port).await.is_ok());
    }
    let other_name = to(overridden("dps.test", server.port)).dial("dps.test", server.port).await.unwrap_err();
    assert_eq!(other_name.kind(), LinkError::NameMismatch, "{other_name:?}");
    let other_port = to(overridden("dps.invalid", 1)).dial("dps.invalid", server.port).await.unwrap_err();
    assert_eq!(other_port.kind(), LinkError::Dns, "{other_port:?}");
}

#[tokio::test]
async fn proxy_refusal_has_its_status() {
    let table = [
        (Manner::Wants("Basic bWU6c2VjcmV0"), Some(407)),
        (FORBIDDEN, Some(403)),
        (Manner::Says("HTTP/1.0 502 Bad Gateway\r\n\r\n"), Some(502)),
        (Manner::Says("SSH-2.0-x\r\n\r\n"), None),
    ];
    for (manner, status) in table {
        let refused = through(manner, "me:wrong@").await.unwrap_err();
        assert_eq!(refused.kind(), LinkError::ProxyRefused { status }, "{refused:?}");
        assert!(refused.detail().contains("proxy 127.0.0.1:") && !refused.detail().contains("wrong"), "{refused:?}");
    }
}

#[tokio::test]
async fn proxy_that_is_missing_or_cuts_is_unreachable() {
    let server = server().await;
    let gone = dialer(&server, Some(Proxy::parse(&format!("127.0.0.1:{CLOSED}")).unwrap()));
    assert_eq!(gone.dial("localhost", server.port).await.unwrap_err().kind(), LinkError::ProxyUnreachable);
    let cut = through(Manner::Says("HTTP/1.1 200"), "").await.unwrap_err();
    assert_eq!(cut.kind(), LinkError::ProxyUnreachable);
    let cut_in_tunnel = through(Manner::Says("HTTP/1.1 200 x\r\n\r\n"), "").await.unwrap_err();
    assert_eq!(cut_in_tunnel.kind(), LinkError::Cut);
    let hanging = tokio::time::timeout(Duration::from_millis(200), through(Manner::Hangs, "")).await;
    assert!(hanging.is_err(), "the caller's deadline ends it");
}

#[tokio::test]
async fn dial_errors_have_the_kind_of_their_step() {
    let (server, other) = (server().await, server().await);
    let dial =
        |dialer: Dialer, host: &'static str, port| async move { dialer.dial(host, port).await.unwrap_err().kind() };
    assert_eq!(dial(dialer(&server, None), "no-such-host.invalid", 1).await, LinkError::Dns);
    assert_eq!(dial(dialer(&server, None), "not a host", 1).await, LinkError::NameMismatch);
    assert_eq!(dial(dialer(&other, None), "localhost", server.port).await, LinkError::UnknownCa);
    assert_eq!(dial(dialer(&server, None), "127.0.0.1", server.port).await, LinkError::NameMismatch);
    assert_eq!(dial(dialer(&server, None), "127.0.0.1", CLOSED).await, LinkError::Connect);
}

#[tokio::test]
async fn inspect_returns_certificates_whether_trusted_or_not() {
    let (server, other) = (server().await, server().await);
    for (host, tls, expected) in [
        ("localhost", tls(&server), None),
        ("localhost", tls(&other), Some(LinkError::UnknownCa)),
        ("dps.test", tls(&server), Some(LinkError::NameMismatch)),
    ] {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
        let inspection = inspect(stream, host, &tls).await.unwrap();
        assert_eq!(inspection.presented, std::slice::from_ref(&server.certificate));
        assert_eq!(inspection.version.clone().err().map(|error| error.kind()), expected, "{inspection:?}");
        assert!(
            expected.is_some() || inspection.version.as_ref().is_ok_and(|version| *version == "TLS 1.3"),
            "{inspection:?}"
        );
    }
    let no_tls = proxy(Manner::Says("no TLS at all")).await;
    let mut stream = TcpStream::connect(("127.0.0.1", no_tls)).await.unwrap();
    stream.write_all(b"CONNECT a:1 HTTP/1.1\r\n\r\n").await.unwrap();
    let inspection = inspect(stream, "localhost", &tls(&server)).await.unwrap();
    assert!(inspection.presented.is_empty() && inspection.version.is_err(), "{inspection:?}");
}

/// The first day of a year.
fn clock(year: i32) -> impl Fn() -> SystemTime {
    move || rcgen::date_time_ymd(year, 1, 1).into()
}

#[tokio::test]
async fn certificate_validity_is_checked_by_the_supplied_clock() {
    let (expired, valid) = (server_valid_in(2001, 2003).await, server().await);
    let table = [
        (&expired, tls(&expired), Some(LinkError::CertificateExpired)),
        (&expired, tls(&expired).clock(clock(2002)), None),
        (&valid, tls(&valid), None),
        (&valid, tls(&valid).clock(clock(1974)), Some(LinkError::CertificateExpired)),
        (&valid, tls(&valid).clock(clock(4097)), Some(LinkError::CertificateExpired)),
        (&valid, tls(&valid).clock(clock(1969)), Some(LinkError::Tls)),
    ];
    for (server, tls, expected) in table {
        let dialed = Dialer::new(tls.client_config().unwrap(), None).dial("localhost", server.port).await;
        assert_eq!(dialed.err().map(|error| error.kind()), expected);
        let stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
        let inspection = inspect(stream, "localhost", &tls).await.unwrap();
        assert_eq!(inspection.version.err().map(|error| error.kind()), expected);
    }
}

#[tokio::test]
async fn open_tunnel_leads_to_the_server() {
    let server = server().await;
    let proxy =
        Proxy::parse(&format!("http://me:secret@127.0.0.1:{}", proxy(Manner::Wants("Basic bWU6c2VjcmV0")).await));
    let stream = open_tunnel(&proxy.unwrap(), "localhost", server.port).await.unwrap();
    let inspection = inspect(stream, "localhost", &tls(&server)).await.unwrap();
    assert!(inspection.version.is_ok());
}
