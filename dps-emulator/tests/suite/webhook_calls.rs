//! Calls of webhooks over real sockets: which are allowed, what is sent, and how a call ends whatever the webhook does.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::Site;
use dps_emulator::test_servers::SelfSigned;
use dps_emulator::{
    EmulatorOptions, IndividualEnrollment, WEBHOOK_REPLY_MAX, WebhookClient, WebhookError, WebhookOptions,
    WebhookReply, WebhookUrl,
};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// No test waits for it.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

/// What a webhook of a test does once it has read a request.
#[derive(Clone)]
enum Does {
    Replies(Vec<u8>),
    /// Sends the head, then one byte after the other.
    Drips,
    Hangs,
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A webhook on loopback, and the requests that arrive.
struct Webhook {
    address: SocketAddr,
    requests: UnboundedReceiver<String>,
}

impl Webhook {
    async fn start(does: Does) -> Self {
        Self::with_tls(does, None).await
    }

    async fn with_tls(does: Does, tls: Option<SelfSigned>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (sender, requests) = unbounded_channel();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (does, tls, sender) = (does.clone(), tls.clone(), sender.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => serve(tls.accept(tcp).await.ok()?, does, |request| sender.send(request)).await,
                        None => serve(tcp, does, |request| sender.send(request)).await,
                    }
                });
            }
        });
        Self { address, requests }
    }

    fn url(&self) -> WebhookUrl {
        url(&format!("http://{}/api/choose?code=c2VjcmV0", self.address))
    }

    fn https_url(&self) -> WebhookUrl {
        url(&format!("https://localhost:{}/api/choose?code=c2VjcmV0", self.address.port()))
    }
}

async fn serve<E>(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    does: Does,
    note: impl FnOnce(String) -> Result<(), E>,
) -> Option<()> {
    let mut read = Vec::new();
    let text = loop {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break text;
        }
    };
    note(text).ok()?;
    match does {
        Does::Replies(bytes) => stream.write_all(&bytes).await.ok()?,
        Does::Drips => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n").await.ok()?;
            loop {
                stream.write_all(b" ").await.ok()?;
                stream.flush().await.ok()?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Does::Hangs => std::future::pending().await,
    }
    stream.shutdown().await.ok()
}

fn url(text: &str) -> WebhookUrl {
    WebhookUrl::parse(text).unwrap()
}

fn client(options: WebhookOptions) -> WebhookClient {
    WebhookClient::new(options).unwrap()
}

async fn post(url: &WebhookUrl, limit: Duration) -> Result<WebhookReply, WebhookError> {
    client(WebhookOptions::new()).post(url, b"{}".to_vec(), limit).await
}

#[tokio::test]
async fn webhook_on_loopback_assigns_a_device_over_plain_http() {
    let mut webhook = Webhook::start(Does::Replies(ok(r#"{"iotHubHostName":"hub-b.test","payload":{"n":1}}"#))).await;
    let options = EmulatorOptions::new().hub("hub-a.test", 1).hub("hub-b.test", 1);
    let site = Site::start(options.default_retry_after_s(0).service(|service| service.assigning_ms(0))).await;
    let now = site.emulator.now();
    let enrollment = IndividualEnrollment::new("dev-01").custom_allocation(webhook.url());
    let stored = site.emulator.with_service(|service| service.put_enrollment(now, enrollment)).unwrap();
    let key = stored.settings.attestation.primary.unwrap();
    let first = site.register("dev-01", key.expose()).await.unwrap();
    assert_eq!(first.status, 202);
    let request = webhook.requests.recv().await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /api/choose?code=c2VjcmV0 HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains(&format!("host: {}", webhook.address)), "{head}");
    assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["deviceRuntimeContext"], json!({ "registrationId": "dev-01", "symmetricKey": {} }));
    let operation = first.json()["operationId"].as_str().unwrap().to_owned();
    let state = loop {
        let polled = site.poll("dev-01", key.expose(), &operation).await.unwrap();
        if polled.status == 200 {
            break polled.json()["registrationState"].take();
        }
        assert_eq!(polled.status, 202, "{polled:?}");
        tokio::task::yield_now().await;
    };
    assert_eq!((&state["assignedHub"], &state["payload"]["n"]), (&json!("hub-b.test"), &json!(1)));
    site.emulator.shutdown().await;
}

#[tokio::test]
async fn webhook_over_https_is_called_only_if_its_authority_is_trusted() {
    let tls = SelfSigned::new();
    let webhook = Webhook::with_tls(Does::Replies(ok("{}")), Some(tls.clone())).await;
    let trusting = client(WebhookOptions::new().roots_pem(tls.pem()));
    assert_eq!(trusting.post(&webhook.https_url(), Vec::new(), LONG).await.unwrap().status, 200);
    let other = client(WebhookOptions::new().roots_pem(SelfSigned::new().pem()));
    let refused = other.post(&webhook.https_url(), Vec::new(), LONG).await.unwrap_err();
    assert!(matches!(refused, WebhookError::Tls { .. }), "{refused:?}");
}

#[tokio::test]
async fn webhook_with_a_certificate_for_another_name_is_not_called() {
    let tls = SelfSigned::new();
    let webhook = Webhook::with_tls(Does::Replies(ok("{}")), Some(tls.clone())).await;
    let address = url(&format!("https://{}/", webhook.address));
    let refused =
        client(WebhookOptions::new().roots_pem(tls.pem())).post(&address, Vec::new(), LONG).await.unwrap_err();
    assert!(matches!(refused, WebhookError::Tls { .. }), "{refused:?}");
}

#[tokio::test]
async fn host_that_is_not_on_loopback_is_not_called_unless_it_was_named() {
    for (text, host) in [
        ("http://10.0.0.7/", "10.0.0.7"),
        ("https://169.254.169.254/latest", "169.254.169.254"),
        ("http://0.0.0.0:1/", "0.0.0.0"),
        ("http://[::ffff:10.0.0.7]/", "::ffff:10.0.0.7"),
        ("https://webhook.invalid/", "webhook.invalid"),
        ("http://127.1/", "127.1"),
        ("http://2130706433/", "2130706433"),
        ("http://localhost.invalid/", "localhost.invalid"),
    ] {
        let expected = WebhookError::HostNotAllowed { host: host.into() };
        assert_eq!(post(&url(text), LONG).await.unwrap_err(), expected, "{text}");
    }
    // A name that was named is resolved; this one never can be (RFC 6761).
    let named = client(WebhookOptions::new().host("webhook.invalid"));
    let problem = named.post(&url("http://webhook.invalid/"), Vec::new(), LONG).await.unwrap_err();
    assert!(matches!(problem, WebhookError::Unresolved { .. }), "{problem:?}");
}

#[tokio::test]
async fn url_of_the_user_may_have_any_host_over_https_only() {
    let client = client(WebhookOptions::new().any_https_host());
    let problem = client.post(&url("https://webhook.invalid/"), Vec::new(), LONG).await.unwrap_err();
    assert!(matches!(problem, WebhookError::Unresolved { .. }), "{problem:?}");
    let problem = client.post(&url("http://webhook.invalid/"), Vec::new(), LONG).await.unwrap_err();
    assert!(matches!(problem, WebhookError::HostNotAllowed { .. }), "{problem:?}");
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let mut target = Webhook::start(Does::Replies(ok("{}"))).await;
    let reply =
        format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n", target.address);
    let webhook = Webhook::start(Does::Replies(reply.into_bytes())).await;
    let reply = post(&webhook.url(), LONG).await.unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (307, &b""[..]));
    assert!(target.requests.try_recv().is_err(), "the redirect was followed");
}

#[tokio::test]
async fn time_limit_holds_when_the_webhook_hangs_or_drips() {
    for does in [Does::Hangs, Does::Drips] {
        let webhook = Webhook::start(does).await;
        let began = Instant::now();
        let expected = WebhookError::TimedOut { limit_ms: 300 };
        assert_eq!(post(&webhook.url(), SHORT).await.unwrap_err(), expected);
        assert!(began.elapsed() < LONG);
    }
}

#[tokio::test]
async fn reply_of_more_than_64_kib_is_refused() {
    let largest = ok(&"x".repeat(WEBHOOK_REPLY_MAX));
    let webhook = Webhook::start(Does::Replies(largest)).await;
    assert_eq!(post(&webhook.url(), LONG).await.unwrap().body.len(), WEBHOOK_REPLY_MAX);
    let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..65 {
        chunked.extend_from_slice(format!("400\r\n{}\r\n", "x".repeat(1024)).as_bytes());
    }
    for reply in [ok(&"x".repeat(WEBHOOK_REPLY_MAX + 1)), chunked] {
        let webhook = Webhook::start(Does::Replies(reply)).await;
        assert_eq!(post(&webhook.url(), LONG).await.unwrap_err(), WebhookError::ReplyTooLarge);
    }
}

#[tokio::test]
async fn reply_that_is_not_http_or_ends_early_is_refused() {
    let webhook = Webhook::start(Does::Replies(b"\x16\x03\x01 not HTTP\r\n\r\n".to_vec())).await;
    assert_eq!(post(&webhook.url(), LONG).await.unwrap_err(), WebhookError::InvalidReply);
    for cut in [&b""[..], b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"] {
        let webhook = Webhook::start(Does::Replies(cut.to_vec())).await;
        let problem = post(&webhook.url(), LONG).await.unwrap_err();
        assert!(matches!(problem, WebhookError::Connection { .. }), "{problem:?}");
    }
    // A port that nobody listens on.
    let problem = post(&url("http://127.0.0.1:1/?code=c2VjcmV0"), LONG).await.unwrap_err();
    assert!(problem.to_string().contains("cannot connect") && !problem.to_string().contains("c2VjcmV0"), "{problem}");
}

#[test]
fn roots_without_a_certificate_are_refused() {
    for pem in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let refused = WebhookClient::new(WebhookOptions::new().roots_pem(pem)).unwrap_err();
        assert!(refused.to_string().starts_with("the certificate authorities for webhooks cannot be used: "));
    }
}

#[tokio::test]
async fn emulator_shuts_down_while_a_webhook_hangs() {
    let mut webhook = Webhook::start(Does::Hangs).await;
    let site = Site::start(EmulatorOptions::new().service(|service| service.webhook_limit_ms(600_000))).await;
    let now = site.emulator.now();
    let enrollment = IndividualEnrollment::new("dev-01").custom_allocation(webhook.url());
    let stored = site.emulator.with_service(|service| service.put_enrollment(now, enrollment)).unwrap();
    let key = stored.settings.attestation.primary.unwrap();
    assert_eq!(site.register("dev-01", key.expose()).await.unwrap().status, 202);
    webhook.requests.recv().await.unwrap();
    tokio::time::timeout(LONG, site.emulator.shutdown()).await.unwrap();
}
