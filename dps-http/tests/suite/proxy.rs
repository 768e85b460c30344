//! Proxies that refuse the link a tunnel: the status that is reported, and how often CONNECT is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dps_core::{Call, Endpoint, Hint, IdScope, Identity, Instant, Link, LinkError, RegistrationId, Request, RequestId};
use dps_http::{HttpLink, HttpOptions};
use dps_net::{Dialer, NetError, Proxy, Roots, TlsOptions};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// A proxy that sends one of these answers to each CONNECT, the last one again and again, and closes the connection. It
/// keeps silent instead of an empty answer.
struct Answering {
    port: u16,
    connects: Arc<AtomicUsize>,
}

impl Answering {
    async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connects = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connects);
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while stream.read_line(&mut line).await.unwrap_or(0) > 2 {
                    line.clear();
                }
                let earlier = counter.fetch_add(1, Ordering::SeqCst);
                let answer = answers.get(earlier).or(answers.last()).unwrap();
                let _ = stream.write_all(answer.as_bytes()).await;
                if answer.is_empty() {
                    silent.push(stream);
                }
            }
        });
        Self { port, connects }
    }

    /// The proxy of a link that sends `user`, such as `me:password@`.
    fn named(&self, user: &str) -> Proxy {
        Proxy::parse(&format!("http://{user}127.0.0.1:{}", self.port)).unwrap()
    }

    fn connects(&self) -> usize {
        self.connects.load(Ordering::SeqCst)
    }
}

fn status(number: u16) -> String {
    format!("HTTP/1.1 {number} x\r\nContent-Length: 0\r\n\r\n")
}

fn link(proxy: Proxy) -> HttpLink {
    link_within(proxy, Duration::from_secs(20))
}

fn link_within(proxy: Proxy, connect_timeout: Duration) -> HttpLink {
    let pem = rcgen::generate_simple_self_signed(vec!["dps.test".into()]).unwrap().cert.pem();
    let tls = TlsOptions::new(Roots::replace_pem(pem.as_bytes()).unwrap()).client_config().unwrap();
    HttpLink::new(Dialer::new(tls, Some(proxy)).connect_timeout(connect_timeout), HttpOptions::default()).unwrap()
}

async fn failure(link: &mut HttpLink) -> NetError {
    let identity = Identity {
        endpoint: Endpoint::new("dps.test").unwrap(),
        id_scope: IdScope::new("0ne00A1B2C3").unwrap(),
        registration_id: RegistrationId::new("dev-01").unwrap(),
    };
    let request = Request::new(RequestId::new(1), Call::register(None), identity, None, Instant::from_millis(30_000));
    let error = link.exchange(&request, &mut [0; 64]).await.unwrap_err();
    let failure = link.last_error().unwrap().clone();
    assert_eq!(failure.kind(), error);
    failure
}

/// The HTTP library reports a 407 by its words alone, which this test pins. A password is not sent twice: accounts are
/// locked after a few attempts.
#[tokio::test]
async fn proxy_answer_407_is_recognized_and_connect_not_repeated() {
    let offers = "HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n".to_owned();
    for (user, words) in [
        ("me:wrong@", "refuses the user name or the password"),
        (
            "",
            "requires a user name and a password, and the proxy's options has none; which schemes it accepts is unknown",
        ),
    ] {
        for answer in [status(407), offers.clone()] {
            let proxy = Answering::start(vec![answer]).await;
            let failure = failure(&mut link(proxy.named(user))).await;
            assert_eq!(failure.kind(), LinkError::ProxyRefused { status: Some(407) }, "{failure:?}");
            assert!(failure.detail().contains(words) && failure.hint().is_none(), "{failure:?}");
            assert_eq!(proxy.connects(), 1, "{user:?}");
        }
    }
}

#[tokio::test]
async fn proxy_is_asked_once_more_per_link_for_the_status_of_a_refusal() {
    for number in [403, 404, 429, 502, 503, 504] {
        let proxy = Answering::start(vec![status(number)]).await;
        let mut link = link(proxy.named(""));
        for connects in [2, 3] {
            let failure = failure(&mut link).await;
            assert_eq!(failure.kind(), LinkError::ProxyRefused { status: Some(number) }, "{failure:?}");
            assert!(failure.detail().ends_with(&format!("answered {number}")), "{failure:?}");
            assert_eq!(proxy.connects(), connects, "{number}");
        }
    }
}

#[tokio::test]
async fn refusal_without_status_after_a_second_connect_is_retryable() {
    for second in [status(200), String::new()] {
        let proxy = Answering::start(vec![status(503), second]).await;
        let failure = failure(&mut link_within(proxy.named(""), Duration::from_secs(1))).await;
        assert_eq!(failure.kind(), LinkError::ProxyUnreachable, "{failure:?}");
        assert_eq!(proxy.connects(), 2);
    }
}

#[tokio::test]
async fn password_refused_when_a_proxy_is_asked_again_is_a_407() {
    let proxy = Answering::start(vec![status(503), status(407)]).await;
    let failure = failure(&mut link(proxy.named("me:wrong@"))).await;
    assert_eq!(failure.kind(), LinkError::ProxyRefused { status: Some(407) }, "{failure:?}");
    assert_eq!(proxy.connects(), 2);
}

#[tokio::test]
async fn proxy_that_does_not_answer_in_http_is_refused_without_status() {
    let long = format!("HTTP/1.1 200 x\r\nx: {}\r\n\r\n", "y".repeat(10_000));
    for answer in ["SSH-2.0-x\r\n\r\n".to_owned(), long] {
        let proxy = Answering::start(vec![answer]).await;
        let failure = failure(&mut link(proxy.named(""))).await;
        assert_eq!(failure.kind(), LinkError::ProxyRefused { status: None }, "{failure:?}");
    }
}

/// A tunnel that ends during the TLS handshake is as a server that closes its connection.
#[tokio::test]
async fn failure_inside_the_tunnel_is_not_blamed_on_the_proxy() {
    let proxy = Answering::start(vec![status(200)]).await;
    let failure = failure(&mut link(proxy.named(""))).await;
    assert_eq!(failure.kind(), LinkError::Cut, "{failure:?}");
    let proxy = Answering::start(vec!["HTTP/1.1 200 x\r\n\r\nno TLS at all".to_owned()]).await;
    let failure = self::failure(&mut link(proxy.named(""))).await;
    assert!(matches!(failure.kind(), LinkError::Tls | LinkError::Cut), "{failure:?}");
}

#[tokio::test]
async fn missing_proxy_is_unreachable() {
    for (named, words) in [("127.0.0.1:1", "proxy 127.0.0.1:1: "), ("no-such-proxy.invalid:1", "cannot be resolved")] {
        let failure = failure(&mut link(Proxy::parse(named).unwrap())).await;
        assert_eq!(failure.kind(), LinkError::ProxyUnreachable, "{failure:?}");
        assert!(failure.detail().contains(words) && failure.hint() != Some(Hint::CheckDns), "{failure:?}");
    }
}

#[tokio::test]
async fn proxy_that_hangs_is_given_up_with_the_connect_timeout() {
    let proxy = Answering::start(vec![String::new()]).await;
    let failure = failure(&mut link_within(proxy.named(""), Duration::from_millis(200))).await;
    assert_eq!((failure.kind(), failure.detail()), (LinkError::Timeout, "stalled at the proxy"));
    assert_eq!(failure.hint(), Some(Hint::CheckProxy));
}
