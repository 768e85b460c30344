//! `dps webhook try`, and an emulator whose enrollments have a webhook.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::emulator::stop;
use super::run::{CLOSED, Folder, Run as _, dps, dps_line};

const FUNCTION_KEY: &str = "c2VjcmV0LWZ1bmN0aW9uLWtleQ";

/// A webhook on loopback that gives every request the same reply, or none.
struct Webhook {
    port: u16,
    requests: Receiver<Value>,
}

impl Webhook {
    fn start(status: u16, body: &str) -> Self {
        let reply = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        Self::with(Some(reply))
    }

    fn with(reply: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for mut stream in listener.incoming().map_while(Result::ok) {
                let Some(request) = read_request(&mut stream) else { continue };
                match &reply {
                    Some(reply) => _ = stream.write_all(reply.as_bytes()),
                    None => open.push(stream),
                }
                if sender.send(request).is_err() {
                    return;
                }
            }
        });
        Self { port, requests }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/choose?code={FUNCTION_KEY}", self.port)
    }

    fn masked(&self) -> String {
        format!("http://127.0.0.1:{}/api/choose?****", self.port)
    }
}

fn read_request(stream: &mut TcpStream) -> Option<Value> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some(body) = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok()) {
            return Some(body);
        }
    }
}

const CHOSEN: &str = r#"{"iotHubHostName":"hub-b.test","payload":{"line":3}}"#;

#[test]
fn try_sends_the_services_request_and_judges_the_reply() {
    let folder = Folder::new();
    let webhook = Webhook::start(200, CHOSEN);
    let url = folder.write("url.txt", format!("{}\n", webhook.url()));
    let payload = folder.write("payload.json", r#"{"model":"press"}"#);
    let line =
        "webhook try --hub hub-a.test --hub hub-b.test --current-hub hub-a.test --rid dev-07 --show-request --json";
    let done = dps_line(line, &["--url-file", &url, "--payload-file", &payload]).run().code(0);
    let (tried, request) = (done.json(), webhook.requests.recv().unwrap());
    assert_eq!((&tried["accepted"], &tried["assignedHub"]), (&json!(true), &json!("hub-b.test")));
    assert_eq!((&tried["url"], &tried["plainHttp"]), (&json!(webhook.masked()), &json!(true)));
    assert_eq!(tried["request"], request);
    assert_eq!(
        request["deviceRuntimeContext"],
        json!({
            "registrationId": "dev-07", "symmetricKey": {}, "payload": { "model": "press" },
            "currentIotHubHostName": "hub-a.test", "currentDeviceId": "dev-07",
        })
    );
    assert_eq!(request["linkedHubs"], json!(["hub-a.test", "hub-b.test"]));
    let definition = &request["individualEnrollment"]["customAllocationDefinition"];
    assert_eq!(definition["webhookUrl"], webhook.masked());
    assert!(!done.stdout.contains(FUNCTION_KEY) && !done.stderr.contains(FUNCTION_KEY));
}

#[test]
fn try_accepts_a_group_and_its_hubs_from_a_file() {
    let folder = Folder::new();
    let webhook = Webhook::start(200, CHOSEN);
    let group = json!({ "enrollmentGroup": {
        "enrollmentGroupId": "line-1", "attestation": { "type": "symmetricKey" }, "iotHubs": ["hub-b.test"],
    }});
    let group = folder.write("group.json", group.to_string());
    let done = dps(["webhook", "try", "--enrollment", &group]).env("DPS_WEBHOOK_URL", webhook.url()).run().code(0);
    assert!(done.stdout.contains("the device is assigned to hub-b.test"), "{}", done.stdout);
    let request = webhook.requests.recv().unwrap();
    assert_eq!(request["enrollmentGroup"]["enrollmentGroupId"], "line-1");
    assert_eq!(
        (&request["linkedHubs"], &request["enrollmentGroup"]["allocationPolicy"]),
        (&json!(["hub-b.test"]), &json!("custom"))
    );
}

#[test]
fn reply_that_assigns_no_hub_is_a_finding_with_every_rejected_member() {
    let webhook = Webhook::start(200, r#"{"iotHubHostName":"\u001b[2Jhub-x.test","initialTwin":[],"more":1}"#);
    let done = dps(["webhook", "try", "--url-file", "-"]).run_with_input(webhook.url().as_bytes()).code(10);
    for part in [
        "http://127.0.0.1:",
        "?**** replied in",
        r#"rejected  "\u{1b}[2Jhub-x.test" is not in linkedHubs (hub-a.test)"#,
        "rejected  it must be an object, not an array",
        r#""more""#,
        "the registration fails: 400207 Custom allocation failed: 'iotHubHostName'",
    ] {
        assert!(done.stdout.contains(part), "{part}: {}", done.stdout);
    }
    assert!(!done.stdout.contains('\u{1b}') && !done.stdout.contains(FUNCTION_KEY));
    let refusing = Webhook::start(401, "no");
    let done = dps(["webhook", "try", "--json"]).env("DPS_WEBHOOK_URL", refusing.url()).run().code(10);
    let tried = done.json();
    assert_eq!((&tried["status"], &tried["errorCode"]), (&json!(401), &json!(400_207)));
    assert_eq!(tried["errorMessage"], "Custom allocation failed with status code: 401.");
}

#[test]
fn webhook_that_does_not_reply_is_a_failure_of_the_link() {
    let hanging = Webhook::with(None);
    let done = dps(["webhook", "try", "--timeout", "200ms", "--json"]).env("DPS_WEBHOOK_URL", hanging.url()).run();
    let error = done.code(5).error();
    assert_eq!(error["name"], "timeout");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("200 ms") && !message.contains(FUNCTION_KEY), "{message}");
    let closed = format!("http://{CLOSED}/?code={FUNCTION_KEY}");
    let error = dps(["webhook", "try", "--json"]).env("DPS_WEBHOOK_URL", closed).run().code(5).error();
    assert_eq!(error["name"], "connect");
    let babbling = Webhook::with(Some("SSH-2.0\r\n\r\n".into()));
    let error = dps(["webhook", "try", "--json"]).env("DPS_WEBHOOK_URL", babbling.url()).run().code(5).error();
    assert_eq!(error["name"], "invalid-reply");
}

#[test]
fn url_is_required_checked_and_not_repeated() {
    dps(["webhook", "try"]).run().code(2);
    dps(["webhook", "try", "http://127.0.0.1/"]).run().code(2);
    for (url, problem) in [
        (format!("ftp://f.test/?code={FUNCTION_KEY}"), "https:// or http://"),
        (format!("https://f.test/?code={FUNCTION_KEY} x"), "offset"),
        (format!("https://user:{FUNCTION_KEY}@f.test/"), "user information"),
        (format!("http://10.0.0.7/?code={FUNCTION_KEY}"), "--webhook-host 10.0.0.7"),
    ] {
        let error = dps(["webhook", "try", "--json"]).env("DPS_WEBHOOK_URL", &url).run().code(3).error();
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(problem) && !message.contains(FUNCTION_KEY), "{message}");
    }
    let two = dps(["webhook", "try", "--url-file", "-", "--payload-file", "-"]).run().code(2);
    assert!(two.stderr.contains("stdin"));
}

#[test]
fn invalid_files_of_a_try_are_named() {
    let folder = Folder::new();
    let webhook = Webhook::start(200, CHOSEN);
    let try_with = |option: &str, content: &str| {
        let file = folder.write("input.json", content);
        let done = dps(["webhook", "try", "--json", option, &file]).env("DPS_WEBHOOK_URL", webhook.url()).run();
        done.code(3).error()["message"].as_str().unwrap().to_owned()
    };
    assert!(try_with("--payload-file", "[]").contains("not an object"));
    assert!(try_with("--enrollment-file", "{\n  x").contains("line 2, column 3"));
    assert!(try_with("--enrollment-file", r#"{"registrationId":"dev-01"}"#).contains("attestation"));
    assert!(webhook.requests.try_recv().is_err(), "nothing is sent");
}

#[test]
fn emulator_calls_the_webhook_of_an_enrollment_and_shows_no_function_key() {
    let folder = Folder::new();
    let webhook = Webhook::start(200, CHOSEN);
    let state = folder.file("state");
    let mut child = dps(["emulator", "--json", "-v", "--state", &state, "--hub", "hub-a.test", "--hub", "hub-b.test"])
        .args(["--assigning-ms", "0", "--webhook-timeout", "1m"])
        .start();
    let mut line = String::new();
    let stdout = child.stdout.as_mut().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::with_capacity(1, stdout), &mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let text = |member: &str| ready[member].as_str().unwrap().to_owned();
    let (owner, ca, id_scope) = (text("connectionStringFile"), text("caFile"), text("idScope"));
    let endpoint = ready["endpoints"]["https"].as_str().unwrap();
    let service = ["--connection-string-file", &owner, "--ca-file", &ca];

    let (url, key) = (folder.write("url.txt", webhook.url()), folder.file("device.key"));
    let create = ["enrollment", "create", "--registration-id", "dev-01", "--key-out", &key, "--webhook-url-file", &url];
    let created = dps(create).args(service).run().code(0);
    assert!(created.stdout.contains(&webhook.masked()), "{}", created.stdout);
    let shown = dps(["enrollment", "show", "--registration-id", "dev-01", "--json"]).args(service).run().code(0);
    let definition = &shown.json()["enrollment"]["customAllocationDefinition"];
    assert_eq!(*definition, json!({ "webhookUrl": webhook.masked(), "apiVersion": "2021-10-01" }));

    let payload = folder.write("payload.json", r#"{"model":"press"}"#);
    let device = ["--registration-id", "dev-01", "--key-file", &key, "--id-scope", &id_scope];
    let registered = dps(["register", "--json", "--endpoint", endpoint, "--ca-file", &ca, "--payload-file", &payload])
        .args(device)
        .run()
        .code(0)
        .json();
    assert_eq!((&registered["assignedHub"], &registered["payload"]), (&json!("hub-b.test"), &json!({ "line": 3 })));
    assert_eq!(webhook.requests.recv().unwrap()["deviceRuntimeContext"]["payload"], json!({ "model": "press" }));

    let stopped = stop(child, Signal::TERM).code(0);
    let call = stopped.stderr.lines().find(|line| line.contains("webhook")).expect("the call is logged");
    assert!(
        call.contains(&webhook.masked()) && call.contains("plain_http=true") && call.contains("status=200"),
        "{call}"
    );
    for output in [&stopped.stderr, &stopped.stdout, &created.stdout, &shown.stdout] {
        assert!(!output.contains(FUNCTION_KEY), "{output}");
    }
    assert!(std::fs::read_to_string(folder.path().join("state/enrollments.json")).unwrap().contains(FUNCTION_KEY));
}
