//! The listener of the page over real sockets: links and sessions, what a session may call, and what attacks on a local server
//! from a browser meet.

use std::time::Duration;

use crate::client::{Answer, Failure, Site};
use crate::common::{KEY, SCOPE};
use dps_emulator::{
    Emulator, EmulatorOptions, EnrollmentGroup, EventFilter, IndividualEnrollment, SymmetricKey, WebhookUrl,
};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(30);
const JSON: (&str, &str) = ("Content-Type", "application/json");
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// A browser that has opened the page.
struct Browser {
    site: Site,
    token: String,
}

impl Browser {
    async fn open(options: EmulatorOptions) -> Self {
        let site = Site::start(options.ui_port(0)).await;
        let token = session(&site.emulator, &code(&site.emulator)).await.json()["token"].as_str().unwrap().to_owned();
        Self { site, token }
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        let token = format!("Bearer {}", self.token);
        send(&self.site.emulator, method, path, &[host(&self.site.emulator), JSON, ("Authorization", &token)], body)
            .await
    }

    /// A call of the admin API.
    async fn admin(&self, method: &str, path: &str, body: &str) -> Answer {
        self.call(method, &format!("/api{path}?api-version=2021-10-01"), body).await
    }

    /// The reply, whose body was not read, to a call that goes on.
    async fn follow(&self) -> Response<hyper::body::Incoming> {
        let request = Request::get("/api/emulator/events?follow=true").header("Host", "localhost");
        let request = request.header("Authorization", format!("Bearer {}", self.token));
        let mut sender = connect(&self.site.emulator).await;
        let response = sender.send_request(request.body(Full::default()).unwrap()).await.unwrap();
        // The connection ends with its sender.
        std::mem::forget(sender);
        response
    }
}

fn host(_: &Emulator) -> (&'static str, &'static str) {
    ("Host", "localhost")
}

async fn connect(emulator: &Emulator) -> SendRequest<Full<Bytes>> {
    let tcp = TcpStream::connect(emulator.page_addr().unwrap()).await.unwrap();
    let (sender, connection) = handshake(TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn send_on(
    sender: &mut SendRequest<Full<Bytes>>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer, Failure> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    sender.ready().await?;
    let (head, body) = sender.send_request(request.body(Full::new(Bytes::from(body.to_owned())))?).await?.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}

async fn send(emulator: &Emulator, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    send_on(&mut connect(emulator).await, method, path, headers, body).await.unwrap()
}

async fn get(emulator: &Emulator, path: &str) -> Answer {
    send(emulator, "GET", path, &[host(emulator)], "").await
}

/// The code of a new link.
fn code(emulator: &Emulator) -> String {
    emulator.page_link().unwrap().expose().split_once("/#").unwrap().1.to_owned()
}

async fn session(emulator: &Emulator, code: &str) -> Answer {
    send(emulator, "POST", "/session", &[host(emulator), JSON], &json!({ "code": code }).to_string()).await
}

#[tokio::test]
async fn page_is_opened_by_a_link_that_works_once() {
    let site = Site::start(EmulatorOptions::new().ui_port(0)).await;
    let emulator = &site.emulator;
    let link = emulator.page_link().unwrap();
    assert!(link.expose().starts_with(&format!("http://127.0.0.1:{}/#", emulator.page_addr().unwrap().port())));
    assert!(!format!("{link:?}").contains('#'), "a link is a secret");
    let page = get(emulator, "/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let again =
        send(emulator, "GET", "/", &[host(emulator), ("If-None-Match", page.header("etag").unwrap())], "").await;
    assert_eq!((again.status, again.body.len()), (304, 0));

    let code = code(emulator);
    let first = session(emulator, &code).await;
    assert_eq!((first.status, &first.json()["expiresInSeconds"]), (200, &43_200.into()));
    let second = session(emulator, &code).await;
    assert_eq!((second.status, second.header("www-authenticate")), (401, Some("Bearer")));
    assert!(second.json()["message"].as_str().unwrap().contains("dps emulator ui"));
    assert_eq!(session(emulator, "").await.status, 401);
}

#[tokio::test]
async fn emulator_has_no_page_unless_asked() {
    let site = Site::start(EmulatorOptions::new()).await;
    assert!(site.emulator.page_addr().is_none() && site.emulator.page_link().is_none());
    let reply = site.as_owner("POST", "/emulator/page-links", "").await;
    assert_eq!(reply.status, 404);
    assert!(reply.json()["message"].as_str().unwrap().contains("--no-ui"));
}

#[tokio::test]
async fn owner_makes_another_link_and_others_do_not() {
    let site = Site::start(EmulatorOptions::new().ui_port(0)).await;
    let reply = site.as_owner("POST", "/emulator/page-links", "").await;
    let code = reply.json()["url"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
    assert_eq!(session(&site.emulator, &code).await.status, 200);
    assert_eq!(site.client.send("POST", "/emulator/page-links", "", "").await.unwrap().status, 401);
    let browser = Browser::open(EmulatorOptions::new()).await;
    assert_eq!(browser.call("POST", "/api/emulator/page-links", "{}").await.status, 404);
}

#[tokio::test]
async fn session_of_another_emulator_is_refused() {
    let (one, other) = (Browser::open(EmulatorOptions::new()).await, Browser::open(EmulatorOptions::new()).await);
    let instance = |overview: Answer| overview.json()["instance"].as_str().unwrap().to_owned();
    let instances =
        [instance(one.call("GET", "/api/overview", "").await), instance(other.call("GET", "/api/overview", "").await)];
    assert_ne!(instances[0], instances[1]);
    let stranger = Browser { site: one.site, token: other.token };
    for path in ["/api/overview", "/api/devices", "/api/emulator/events", "/api/nothing"] {
        let refused = stranger.call("GET", path, "").await;
        assert_eq!(refused.status, 401, "{path}");
        assert!(refused.json()["message"].as_str().unwrap().contains("new link"));
    }
    for header in ["Bearer", "Bearer ", "bearer", "Basic abc", ""] {
        let headers = [host(&stranger.site.emulator), ("Authorization", header)];
        assert_eq!(send(&stranger.site.emulator, "GET", "/api/overview", &headers, "").await.status, 401, "{header}");
    }
}

#[tokio::test]
async fn overview_names_addresses_trust_and_counts() {
    let browser = Browser::open(EmulatorOptions::new().mqtt_port(0).host_name("board.test")).await;
    let emulator = &browser.site.emulator;
    emulator.with_service(|service| service.put_group(emulator.now(), EnrollmentGroup::new("line-1"))).unwrap();
    let overview = browser.call("GET", "/api/overview", "").await.json();
    assert_eq!(
        overview["endpoints"],
        json!({ "https": emulator.endpoint(), "mqtt": emulator.mqtt_endpoint(), "wss": null })
    );
    assert_eq!((&overview["idScope"], &overview["caPem"]), (&SCOPE.into(), &emulator.ca_pem().into()));
    assert_eq!(overview["caSha256"], emulator.ca_sha256());
    assert_eq!(overview["hostNames"], json!(["localhost", "127.0.0.1", "::1", "board.test"]));
    assert_eq!(overview["hubs"], json!([{ "name": "hub-a.test", "weight": 1, "devices": 0 }]));
    assert_eq!(overview["counts"]["enrollmentGroups"], 1);
    assert_eq!((&overview["clock"]["scale"], &overview["announced"]), (&1.into(), &false.into()));
}

#[tokio::test]
async fn foreign_host_name_is_refused_on_every_path() {
    let site = Site::start(EmulatorOptions::new().ui_port(0).ui_host("board.test")).await;
    for path in ["/", "/session", "/api/overview", "/healthz", "/readyz", "/ca.pem", "/assets/app.js", "/nothing"] {
        for name in ["attacker.test", "localhost.attacker.test:9080", "127.0.0.1.attacker.test"] {
            let refused = send(&site.emulator, "GET", path, &[("Host", name)], "").await;
            assert_eq!(refused.status, 421, "{path} {name}");
            let text = String::from_utf8(refused.body).unwrap();
            assert!(text.contains("--ui-host") && !text.contains("BEGIN CERTIFICATE"), "{text}");
        }
    }
    for name in ["localhost", "127.0.0.1:1", "[::1]:9080", "Board.test"] {
        assert_eq!(send(&site.emulator, "GET", "/healthz", &[("Host", name)], "").await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn cross_site_change_is_refused() {
    let browser = Browser::open(EmulatorOptions::new()).await;
    let emulator = &browser.site.emulator;
    let code = code(emulator);
    let (token, body) = (format!("Bearer {}", browser.token), json!({ "code": code }).to_string());
    for (header, status) in [
        (("Origin", "http://attacker.test"), 403),
        (("Origin", "null"), 403),
        (("Origin", "http://localhost:1"), 403),
        (("Origin", "https://localhost"), 403),
        (("Sec-Fetch-Site", "cross-site"), 403),
        (("Sec-Fetch-Site", "same-site"), 403),
    ] {
        let headers = [host(emulator), JSON, header, ("Authorization", token.as_str())];
        for (method, path) in
            [("POST", "/session"), ("POST", "/api/emulator/faults"), ("DELETE", "/api/emulator/faults")]
        {
            let refused = send(emulator, method, path, &headers, &body).await;
            assert_eq!(refused.status, status, "{method} {path} {header:?}");
            assert!(refused.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
        }
    }
    for form in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let headers = [host(emulator), ("Content-Type", form), ("Authorization", token.as_str())];
        assert_eq!(send(emulator, "POST", "/session", &headers, &body).await.status, 415, "{form}");
    }
    let preflight = [host(emulator), ("Origin", "http://attacker.test"), ("Access-Control-Request-Method", "PUT")];
    let refused = send(emulator, "OPTIONS", "/api/enrollments/dev-01", &preflight, "").await;
    assert!(refused.status == 403 && refused.header("access-control-allow-origin").is_none());
    assert_eq!(browser.call("DELETE", "/api/emulator/faults", "").await.status, 400, "a body is required");
    // The code was not used up by what was refused.
    assert_eq!(session(emulator, &code).await.status, 200);
}

#[tokio::test]
async fn every_reply_forbids_framing_sniffing_and_storing() {
    let browser = Browser::open(EmulatorOptions::new()).await;
    let emulator = &browser.site.emulator;
    let token = format!("Bearer {}", browser.token);
    let mut replies = Vec::new();
    for (method, path, name) in [
        ("GET", "/", "localhost"),
        ("HEAD", "/", "localhost"),
        ("GET", "/assets/app.js", "localhost"),
        ("GET", "/icon.svg", "localhost"),
        ("GET", "/nothing", "localhost"),
        ("GET", "/session", "localhost"),
        ("PUT", "/", "localhost"),
        ("POST", "/session", "localhost"),
        ("GET", "/", "attacker.test"),
        ("GET", "/healthz", "localhost"),
        ("GET", "/ca.pem", "localhost"),
        ("GET", "/api/overview", "localhost"),
        ("GET", "/api/enrollments/dev-01", "localhost"),
        ("GET", "/api/emulator/events", "localhost"),
        ("PUT", "/api/0ne00A1B2C3/registrations/dev-01/register", "localhost"),
        ("GET", "/api/%", "localhost"),
    ] {
        let headers = [("Host", name), JSON, ("Authorization", token.as_str())];
        replies.push((path, send(emulator, method, path, &headers, "{}").await));
    }
    replies.push(("without a session", get(emulator, "/api/overview").await));
    replies.push(("too long", browser.call("PUT", "/api/enrollments/dev-01", &" ".repeat(200_000)).await));
    let (head, _) = browser.follow().await.into_parts();
    replies.push(("events", Answer { status: head.status.as_u16(), headers: head.headers, body: Vec::new() }));
    for (path, reply) in &replies {
        assert_eq!(reply.header("content-security-policy"), Some(POLICY), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(reply.header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
        let is_file = reply.header("etag").is_some() && !path.starts_with("/api");
        assert_eq!(reply.header("cache-control"), Some(if is_file { "no-cache" } else { "no-store" }), "{path}");
        assert!(reply.header("set-cookie").is_none(), "{path}");
    }
    assert!(replies.iter().filter(|(_, reply)| reply.header("etag").is_some()).count() >= 4);
    assert!(
        [200, 400, 401, 404, 405, 413, 421].iter().all(|wanted| replies.iter().any(|(_, one)| one.status == *wanted))
    );
}

#[tokio::test]
async fn no_path_leads_out_of_the_embedded_files() {
    let emulator = Emulator::start(EmulatorOptions::new().ui_port(0)).await.unwrap();
    for target in [
        "/../Cargo.toml",
        "/assets/../../../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/assets/%2e%2e%2f%2e%2e%2fCargo.toml",
        "/assets/..%5c..%5cCargo.toml",
        "//etc/passwd",
        "/assets//app.js",
        "/index.html%00.js",
        "/etc/passwd",
        "/.git/config",
        "/assets/",
    ] {
        let mut tcp = TcpStream::connect(emulator.page_addr().unwrap()).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        timeout(LONG, tcp.read_to_string(&mut reply)).await.unwrap().unwrap();
        assert!(reply.starts_with("HTTP/1.1 404 "), "{target}: {reply}");
    }
}

#[tokio::test]
async fn no_reply_contains_a_key_but_the_one_that_was_asked_for() {
    let browser = Browser::open(EmulatorOptions::new().assign_at_once(true)).await;
    let emulator = &browser.site.emulator;
    let now = emulator.now();
    let group =
        EnrollmentGroup::new("line-1").custom_allocation(WebhookUrl::parse("https://f.test/?code=s3cret").unwrap());
    let group = emulator.with_service(|service| service.put_group(now, group)).unwrap();
    let group_key = |slot: &dyn Fn() -> Option<SymmetricKey>| slot().unwrap().expose().to_owned();
    let attestation = &group.settings.attestation;
    let put = browser.admin("PUT", "/enrollments/dev-01", &enrollment(Some(KEY))).await;
    assert_eq!(put.status, 200);
    let generated = browser.admin("PUT", "/enrollments/dev-02", &enrollment(None).replace("dev-01", "dev-02")).await;
    let bulk = json!({ "mode": "create", "enrollments": [{ "registrationId": "dev-03", "attestation": { "type": "symmetricKey" } }] });
    let mut replies = vec![put, generated, browser.admin("POST", "/enrollments", &bulk.to_string()).await];
    browser.site.register("dev-01", KEY).await.unwrap();
    let mut secrets: Vec<String> = vec![
        KEY.into(),
        "s3cret".into(),
        group_key(&|| attestation.primary.clone()),
        group_key(&|| attestation.secondary.clone()),
        emulator.connection_string().expose().split_once("SharedAccessKey=").unwrap().1.to_owned(),
    ];
    for id in ["dev-01", "dev-02", "dev-03"] {
        let kept = emulator.with_service(|service| service.enrollment(id).unwrap().settings.attestation.clone());
        secrets.extend([kept.primary, kept.secondary].map(|key| key.unwrap().expose().to_owned()));
    }
    for (method, path, body) in [
        ("GET", "/enrollments/dev-01", ""),
        ("GET", "/enrollmentGroups/line-1", ""),
        ("POST", "/enrollments/query", r#"{"query":"*"}"#),
        ("POST", "/enrollmentGroups/query", r#"{"query":"*"}"#),
        ("GET", "/registrations/dev-01", ""),
        ("POST", "/registrations/line-1/query", "{}"),
    ] {
        replies.push(browser.admin(method, path, body).await);
    }
    for path in [
        "overview",
        "devices",
        "devices/dev-01",
        "devices/dev-02",
        "emulator/events",
        "emulator/configuration",
        "emulator/counters",
        "emulator/refusals",
        "emulator/hubs",
        "emulator/hubs/hub-a.test/devices",
        "emulator/hubs/hub-a.test/devices/dev-01",
    ] {
        replies.push(browser.call("GET", &format!("/api/{path}"), "").await);
    }
    for reply in &replies {
        let text = String::from_utf8(reply.body.clone()).unwrap();
        assert_eq!(reply.status, 200, "{text}");
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
    }
    assert_eq!(browser.call("GET", "/api/emulator/configuration?showKeys=true", "").await.status, 400);
    let asked = browser.admin("POST", "/enrollments/dev-01/attestationmechanism", "{}").await;
    assert_eq!(asked.json()["symmetricKey"]["primaryKey"], KEY);
    assert_eq!(asked.header("cache-control"), Some("no-store"));
}

fn enrollment(key: Option<&str>) -> String {
    let keys = key.map(|key| json!({ "primaryKey": key }));
    json!({ "registrationId": "dev-01", "attestation": { "type": "symmetricKey", "symmetricKey": keys } }).to_string()
}

#[tokio::test]
async fn session_makes_owners_calls_and_no_device_calls() {
    let browser = Browser::open(EmulatorOptions::new()).await;
    let emulator = &browser.site.emulator;
    assert_eq!(browser.admin("PUT", "/enrollments/dev-01", &enrollment(Some(KEY))).await.status, 200);
    let fault = r#"{"registrationId":"dev-01","kind":"throttle","retryAfter":7}"#;
    assert_eq!(browser.call("POST", "/api/emulator/faults", fault).await.status, 200);
    assert_eq!(browser.site.register("dev-01", KEY).await.unwrap().status, 429);
    let before = browser.call("GET", "/api/emulator/clock", "").await.json()["offsetMs"].as_i64().unwrap();
    let moved = browser.call("PATCH", "/api/emulator/clock", r#"{"advanceMs":5184000000}"#).await;
    assert_eq!(moved.json()["offsetMs"].as_i64().unwrap() - before, 5_184_000_000);
    // Sixty days later the session and the service still know each other.
    assert_eq!(browser.admin("GET", "/enrollments/dev-01", "").await.status, 200);
    let counters = emulator.with_service(|service| service.counters());
    for (method, path) in [
        ("PUT", format!("/{SCOPE}/registrations/dev-01/register")),
        ("POST", format!("/{SCOPE}/registrations/dev-01")),
        ("GET", format!("/{SCOPE}/registrations/dev-01/operations/x")),
    ] {
        assert_eq!(browser.admin(method, &path, "{}").await.status, 404, "{path}");
    }
    assert_eq!(emulator.with_service(|service| service.counters()).registers, counters.registers);
    // Calls of the emulator's own API are not recorded as events.
    let calls = |events: &[std::sync::Arc<dps_emulator::Event>]| {
        events.iter().filter(|event| event.to_string().contains("/emulator/")).count()
    };
    assert_eq!(calls(&emulator.events(&EventFilter::new())), 0);
}

#[tokio::test]
async fn changes_and_shown_keys_of_the_page_are_events_and_its_reads_are_not() {
    let browser = Browser::open(EmulatorOptions::new()).await;
    let seen = || browser.site.emulator.events(&EventFilter::new()).len();
    assert_eq!(browser.admin("PUT", "/enrollments/dev-01", &enrollment(Some(KEY))).await.status, 200);
    let before = seen();
    assert!(before > 0);
    assert_eq!(browser.admin("GET", "/enrollments/dev-01", "").await.status, 200);
    assert_eq!(browser.admin("POST", "/enrollments/query", r#"{"query":"*"}"#).await.status, 200);
    assert_eq!(seen(), before);
    assert_eq!(browser.admin("POST", "/enrollments/dev-01/attestationmechanism", "{}").await.status, 200);
    assert_eq!(browser.admin("DELETE", "/enrollments/dev-01", "{}").await.status, 204);
    assert_eq!(seen(), before + 2);
}

#[tokio::test]
async fn change_by_the_page_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let options = || EmulatorOptions::new().state_dir(folder.path().join("state"));
    let browser = Browser::open(options()).await;
    assert_eq!(browser.admin("PUT", "/enrollments/dev-01", &enrollment(None)).await.status, 200);
    browser.site.emulator.shutdown().await;
    let again = Emulator::start(options()).await.unwrap();
    assert!(again.with_service(|service| service.enrollment("dev-01").is_some()));
}

#[tokio::test]
async fn tenth_wrong_code_closes_the_connection_and_uses_up_no_link() {
    let emulator = Emulator::start(EmulatorOptions::new().ui_port(0)).await.unwrap();
    let (code, mut sender) = (code(&emulator), connect(&emulator).await);
    for number in 1..=10 {
        let guess = json!({ "code": format!("{number:032x}") }).to_string();
        let reply = send_on(&mut sender, "POST", "/session", &[host(&emulator), JSON], &guess).await.unwrap();
        assert_eq!((reply.status, reply.header("connection").is_some()), (401, number == 10), "{number}");
    }
    assert!(send_on(&mut sender, "GET", "/", &[host(&emulator)], "").await.is_err());
    assert_eq!(session(&emulator, &code).await.status, 200);
}

#[tokio::test]
async fn seventeenth_follower_is_told_to_wait_and_one_that_does_not_read_delays_nobody() {
    let browser = Browser::open(EmulatorOptions::new()).await;
    let mut followers = Vec::new();
    for _ in 0..16 {
        let follower = browser.follow().await;
        assert_eq!(
            (follower.status(), follower.headers()["content-type"].as_bytes()),
            (hyper::StatusCode::OK, &b"text/event-stream"[..])
        );
        followers.push(follower);
    }
    assert_eq!(browser.follow().await.status(), 429);
    // No follower reads meanwhile.
    for number in 0..300 {
        let path = format!("/registrations/{}", "x".repeat(100 + number % 28));
        assert_eq!(timeout(LONG, browser.admin("GET", &path, "")).await.unwrap().status, 404);
    }
    let mut last = followers.pop().unwrap().into_body();
    let mut text = String::new();
    while !text.contains("\"seq\":300,") {
        let frame = timeout(LONG, last.frame()).await.unwrap().unwrap().unwrap();
        text.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
    }
}

#[tokio::test]
async fn hostile_names_agents_and_payloads_arrive_as_json_strings() {
    let browser = Browser::open(EmulatorOptions::new()).await;
    let emulator = &browser.site.emulator;
    let html = "<img src=x onerror=alert(1)>";
    let enrollment = IndividualEnrollment::new("dev-01").primary_key(crate::common::key(KEY));
    emulator.with_service(|service| service.put_enrollment(emulator.now(), enrollment)).unwrap();
    let mut sender = browser.site.client.connect().await.unwrap();
    let token = crate::common::device_token(KEY, "dev-01", emulator.now().unix_s() + 3600);
    let body = json!({ "registrationId": "dev-01", "payload": { "x": html } }).to_string();
    for id in ["dev-01", "%3Cscript%3Ealert(1)%3C%2Fscript%3E", "%22%7D%0A%0Adata%3A%20x"] {
        let request = Request::put(format!("/{SCOPE}/registrations/{id}/register?api-version=2021-06-01"))
            .header("Host", "localhost")
            .header("User-Agent", html)
            .header("Authorization", &token)
            .header("Content-Type", "application/json")
            .body(Full::new(Bytes::from(body.clone())))
            .unwrap();
        sender.ready().await.unwrap();
        sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
    }
    let reply = browser.call("GET", "/api/emulator/events", "").await;
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
    let events: Vec<Value> = reply.json()["events"].as_array().unwrap().clone();
    assert!(events.iter().any(|event| event["userAgent"] == html), "{events:?}");
    assert!(events.iter().any(|event| event["registrationId"] == "<script>alert(1)</script>"), "{events:?}");
    let devices = browser.call("GET", "/api/devices?search=%3Cscript", "").await;
    assert_eq!(devices.json()["devices"][0]["registrationId"], "<script>alert(1)</script>");
    // Server-sent events are lines: none may begin with what a device sent.
    let mut body = browser.follow().await.into_body();
    let mut text = String::new();
    while !text.contains("data: x\\\"") && !text.contains("data: x\"") {
        let frame = timeout(LONG, body.frame()).await.unwrap().unwrap().unwrap();
        text.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
    }
    assert!(!text.lines().any(|line| line == "data: x" || line.starts_with("data: x")), "{text}");
}

#[tokio::test]
async fn device_list_is_searched_and_paged_with_ten_thousand_devices() {
    let browser = Browser::open(EmulatorOptions::new()).await;
    let emulator = &browser.site.emulator;
    emulator.with_service(|service| {
        for number in 0..10_000 {
            let device = IndividualEnrollment::new(format!("dev-{number:05}")).primary_key(crate::common::key(KEY));
            service.put_enrollment(emulator.now(), device).unwrap();
        }
    });
    assert_eq!(browser.site.register("dev-00001", crate::common::OTHER_KEY).await.unwrap().status, 401);
    let list = browser.call("GET", "/api/devices?limit=2", "").await.json();
    let (first, second) = (&list["devices"][0], &list["devices"][1]);
    assert_eq!((&list["total"], list["devices"].as_array().unwrap().len()), (&10_000.into(), 2));
    assert_eq!((&first["registrationId"], &first["lastReason"]), (&"dev-00000".into(), &Value::Null));
    assert_eq!((&second["registrationId"], &second["lastReason"]), (&"dev-00001".into(), &"bad-signature".into()));
    let last = browser.call("GET", "/api/devices?offset=9999&limit=200", "").await.json();
    assert_eq!((&last["total"], &last["devices"][0]["registrationId"]), (&10_000.into(), &"dev-09999".into()));
    let found = browser.call("GET", "/api/devices?search=DEV-0999", "").await.json();
    assert_eq!((&found["total"], found["devices"].as_array().unwrap().len()), (&10.into(), 10));
    for wrong in ["limit=201", "limit=-1", "offset=x", "search=%", "other=1"] {
        assert_eq!(browser.call("GET", &format!("/api/devices?{wrong}"), "").await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn health_and_the_ca_are_answered_on_the_page_without_a_session() {
    let emulator = Emulator::start(EmulatorOptions::new().ui_port(0)).await.unwrap();
    assert_eq!(get(&emulator, "/healthz").await.json(), json!({ "status": "ok" }));
    assert_eq!(get(&emulator, "/readyz").await.json()["endpoints"]["https"], emulator.endpoint());
    assert_eq!(get(&emulator, "/ca.pem").await.body, emulator.ca_pem().as_bytes());
    emulator.shutdown().await;
}

#[tokio::test]
async fn announced_addresses_are_told_and_certified() {
    let options = EmulatorOptions::new().mqtt_port(0).wss_port(0).ui_port(0);
    let options = options.announce("192.0.2.7:9443").announce("mqtt=board.test:9883").announce("ui=localhost:19080");
    let site = Site::start(options).await;
    let emulator = &site.emulator;
    assert_eq!(emulator.endpoint(), "192.0.2.7:9443");
    assert_eq!(emulator.mqtt_endpoint().as_deref(), Some("board.test:9883"));
    let wss = emulator.wss_addr().unwrap().port();
    assert_eq!(emulator.wss_endpoint(), Some(format!("192.0.2.7:{wss}")), "it has a port of its own");
    assert!(emulator.connection_string().expose().starts_with("HostName=192.0.2.7:9443;"));
    assert!(emulator.page_link().unwrap().expose().starts_with("http://localhost:19080/#"));
    for name in ["192.0.2.7", "board.test", "localhost"] {
        site.client.tls(name).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let shown = site.client.send("GET", "/readyz", "", "").await.unwrap().json();
    assert_eq!(shown["endpoints"]["https"], "192.0.2.7:9443");
    assert_eq!(site.admin("GET", "/enrollments/dev-01", "").await.status, 404, "the owner's token is accepted");
    let error = Emulator::start(EmulatorOptions::new().announce("amqp=x")).await.unwrap_err();
    assert!(error.to_string().contains("'amqp=x'"), "{error}");
}
