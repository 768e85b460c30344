//! What a device sees of each reply of an allocation webhook, over real sockets; and that `docs/webhooks.md` says so.
//!
//! With the environment variable `DPS_WRITE_TABLES`, the table in that page is written instead of compared.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dps_client::{Assignment, DpsError, Payload, ProvisioningClient, ProxyChoice, Roots, SymmetricKey};
use dps_emulator::{Emulator, EmulatorOptions, EnrollmentGroup, IndividualEnrollment, ReprovisionPolicy, WebhookUrl};
use pair::scene::{DEVICE_KEY, GROUP_KEY};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/webhooks.md");
const BEGIN: &str = "<!-- The test tests/faults/tests/webhooks.rs writes this table. -->\n";
const END: &str = "<!-- The end of the table. -->\n";
/// The key in the webhook's URL, which nothing may show.
const FUNCTION_KEY: &str = "c2VjcmV0LWZ1bmN0aW9uLWtleQ";
const INDIVIDUAL: &str = "dev-01";
const OF_GROUP: &str = "dev-07";

const MIGRATE: ReprovisionPolicy = ReprovisionPolicy { update_hub_assignment: true, migrate_device_data: true };
const RESET: ReprovisionPolicy = ReprovisionPolicy { update_hub_assignment: true, migrate_device_data: false };
const NEVER: ReprovisionPolicy = ReprovisionPolicy { update_hub_assignment: false, migrate_device_data: false };

/// One registration.
struct Row {
    case: &'static str,
    device: &'static str,
    reprovision: ReprovisionPolicy,
    payload: Option<&'static str>,
    webhook: Does,
}

/// What the webhook does.
#[derive(Clone, Copy)]
enum Does {
    /// Replies with this status, and with this body.
    Replies(u16, &'static str),
    /// Replies with 200 and a body of this many bytes.
    RepliesWith(usize),
    /// Redirects to a webhook that would assign the device.
    Redirects,
    /// Sends something that is not HTTP.
    Babbles,
    /// Never replies; the emulator waits for 300 ms.
    Hangs,
    /// Has this host, which is not on loopback.
    IsAt(&'static str),
}

impl Does {
    fn described(self) -> String {
        match self {
            Self::Replies(200, body) => format!("200 `{body}`"),
            Self::Replies(status, _) => status.to_string(),
            Self::RepliesWith(bytes) => format!("200 and {bytes} bytes"),
            Self::Redirects => "307 with the `Location` of another webhook".into(),
            Self::Babbles => "bytes that are not HTTP".into(),
            Self::Hangs => "never (the time limit is 300 ms)".into(),
            Self::IsAt(host) => format!("not called: its URL has the host {host}"),
        }
    }
}

const TO_A: &str = r#"{"iotHubHostName":"hub-a.test"}"#;
const TO_B: &str = r#"{"iotHubHostName":"hub-b.test"}"#;
const WITH_TWIN: &str =
    r#"{"iotHubHostName":"hub-b.test","initialTwin":{"tags":{"by":"webhook"},"properties":{"desired":{"n":1}}}}"#;

fn rows() -> Vec<Row> {
    let row = |case, device, webhook| Row { case, device, reprovision: MIGRATE, payload: None, webhook };
    let individual = |case, webhook| row(case, INDIVIDUAL, webhook);
    let failing = |case, webhook| row(case, OF_GROUP, webhook);
    vec![
        individual("first registration, individual", Does::Replies(200, TO_A)),
        individual("later, the same hub", Does::Replies(200, TO_A)),
        individual("later, another hub", Does::Replies(200, TO_B)),
        Row { reprovision: NEVER, ..individual("later, policy *never*", Does::Replies(200, TO_B)) },
        Row { reprovision: NEVER, ..individual("later, policy *never*, another hub", Does::Replies(200, TO_A)) },
        Row {
            payload: Some(r#"{"model":"press"}"#),
            ..individual(
                "payload of the device and of the webhook",
                Does::Replies(200, r#"{"iotHubHostName":"hub-b.test","payload":{"line":3}}"#),
            )
        },
        row("first registration, group", OF_GROUP, Does::Replies(200, TO_A)),
        row("first registration, group, a twin", "dev-08", Does::Replies(200, WITH_TWIN)),
        Row { reprovision: RESET, ..row("later, group, a twin and *reset*", OF_GROUP, Does::Replies(200, WITH_TWIN)) },
        Row { reprovision: RESET, ..row("later, group, no twin and *reset*", OF_GROUP, Does::Replies(200, TO_A)) },
        row("later, group, a twin and *migrate*", OF_GROUP, Does::Replies(200, WITH_TWIN)),
        failing("a hub that is not linked", Does::Replies(200, r#"{"iotHubHostName":"hub-x.test"}"#)),
        failing("no hub", Does::Replies(200, "{}")),
        failing(
            "payload that is not an object",
            Does::Replies(200, r#"{"iotHubHostName":"hub-a.test","payload":"x"}"#),
        ),
        failing("invalid JSON", Does::Replies(200, r#"{"iotHubHostName""#)),
        failing("status 204", Does::Replies(204, "")),
        failing("status 401", Does::Replies(401, "")),
        failing("status 500", Does::Replies(500, "")),
        failing("a redirect", Does::Redirects),
        failing("too large", Does::RepliesWith(65_537)),
        failing("not HTTP", Does::Babbles),
        failing("no reply in time", Does::Hangs),
        failing("a private address", Does::IsAt("10.0.0.7")),
        failing("a name that was not allowed", Does::IsAt("webhook.example")),
    ]
}

/// A webhook on loopback whose behavior can be changed.
struct Webhook {
    port: u16,
    does: Arc<Mutex<Does>>,
    received: Arc<Mutex<Option<serde_json::Value>>>,
}

impl Webhook {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let webhook = Self {
            port: listener.local_addr().unwrap().port(),
            does: Arc::new(Mutex::new(Does::Hangs)),
            received: Arc::default(),
        };
        let (does, received, port) = (Arc::clone(&webhook.does), Arc::clone(&webhook.received), webhook.port);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let does = *does.lock().unwrap();
                tokio::spawn(serve(stream, does, port, Arc::clone(&received)));
            }
        });
        webhook
    }

    fn url(&self, does: Does) -> WebhookUrl {
        let host = if let Does::IsAt(host) = does { host } else { "127.0.0.1" };
        WebhookUrl::parse(&format!("http://{host}:{}/api/choose?code={FUNCTION_KEY}", self.port)).unwrap()
    }
}

async fn serve(mut stream: TcpStream, does: Does, port: u16, received: Arc<Mutex<Option<serde_json::Value>>>) {
    let mut bytes = Vec::new();
    let (body, is_here) = loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let is_here = head.starts_with(&format!("POST /api/choose?code={FUNCTION_KEY} "));
        if let Ok(body) = serde_json::from_str(body) {
            break (body, is_here);
        }
    };
    // Where a redirect leads, a device would be assigned.
    let does = if is_here { does } else { Does::Replies(200, TO_A) };
    *received.lock().unwrap() = Some(body);
    let with_body = |status: u16, body: &str| {
        format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    };
    let reply = match does {
        Does::Replies(204, _) => "HTTP/1.1 204 X\r\nConnection: close\r\n\r\n".to_owned(),
        Does::Replies(status, body) => with_body(status, body),
        Does::RepliesWith(bytes) => with_body(200, &" ".repeat(bytes)),
        Does::Redirects => {
            format!("HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:{port}/elsewhere\r\nContent-Length: 0\r\n\r\n")
        }
        Does::Babbles => "\u{16}\u{3} not HTTP\r\n\r\n".to_owned(),
        Does::Hangs | Does::IsAt(_) => return std::future::pending().await,
    };
    let _ = stream.write_all(reply.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// A service with two hubs, and devices that need not wait.
async fn service(limit_ms: u64) -> Emulator {
    let options = EmulatorOptions::new().hub("hub-a.test", 1).hub("hub-b.test", 1).default_retry_after_s(0);
    let options = options.service(|service| service.assigning_ms(0).webhook_limit_ms(limit_ms));
    Emulator::start(options).await.unwrap()
}

fn enroll(emulator: &Emulator, row: &Row, url: WebhookUrl) {
    let key = |text| dps_emulator::SymmetricKey::from_base64(text).unwrap();
    let tags = serde_json::from_str(r#"{"by":"enrollment"}"#).unwrap();
    let now = emulator.now();
    emulator.with_service(|service| match row.device {
        INDIVIDUAL => {
            let device = IndividualEnrollment::new(INDIVIDUAL).primary_key(key(DEVICE_KEY));
            let device = device.custom_allocation(url).reprovision(row.reprovision);
            service.put_enrollment(now, device.initial_twin(tags, serde_json::Map::new())).map(drop).unwrap();
        }
        _ => {
            let group = EnrollmentGroup::new("line-1").primary_key(key(GROUP_KEY));
            let group = group.custom_allocation(url).reprovision(row.reprovision);
            service.put_group(now, group.initial_twin(tags, serde_json::Map::new())).map(drop).unwrap();
        }
    });
}

async fn register(emulator: &Emulator, row: &Row) -> Result<Assignment, DpsError> {
    let key = match row.device {
        INDIVIDUAL => DEVICE_KEY.to_owned(),
        id => dps_emulator::SymmetricKey::from_base64(GROUP_KEY).unwrap().derive(id).expose().to_owned(),
    };
    let mut client = ProvisioningClient::builder()
        .symmetric_key(SymmetricKey::from_base64(&key).unwrap())
        .id_scope(emulator.id_scope())
        .registration_id(row.device)
        .endpoint(emulator.endpoint())
        .roots(Roots::replace_pem(emulator.ca_pem().as_bytes()).unwrap())
        .proxy(ProxyChoice::Direct)
        .minimum_spacing(Duration::from_millis(20))
        .timeout(Duration::from_secs(60));
    if let Some(payload) = row.payload {
        client = client.payload(payload.parse::<Payload>().unwrap());
    }
    client.build().unwrap().register().await
}

/// What the webhook received, in short.
fn received(body: Option<&serde_json::Value>) -> String {
    let Some(body) = body else { return "nothing".into() };
    let kind = ["individualEnrollment", "enrollmentGroup"].into_iter().find(|kind| body.get(kind).is_some()).unwrap();
    let context = &body["deviceRuntimeContext"];
    let mut received = kind.to_owned();
    for member in ["currentIotHubHostName", "payload"] {
        if let Some(value) = context.get(member) {
            received
                .push_str(&format!(", {member} `{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        }
    }
    let hubs: Vec<&str> = body["linkedHubs"].as_array().unwrap().iter().filter_map(|hub| hub.as_str()).collect();
    if hubs.len() == 1 {
        received.push_str(&format!(", linkedHubs `{}`", hubs[0]));
    }
    received
}

/// What the device sees, and the twin that it starts with.
fn seen(emulator: &Emulator, ended: Result<Assignment, DpsError>) -> String {
    match ended {
        Ok(assignment) => {
            let (hub, id) = (assignment.hub(), assignment.device_id());
            let twin = emulator.with_service(|service| service.hub_device(hub, id).unwrap().twin.clone());
            let mut seen = format!("assigned to {hub}, {}", assignment.substatus().unwrap());
            if let Some(payload) = assignment.payload() {
                seen.push_str(&format!(", payload `{payload}`"));
            }
            seen.push_str(&format!("; twin by {}", twin.tags["by"].as_str().unwrap()));
            seen
        }
        Err(error) => {
            let hints: Vec<&str> = error.hints().iter().map(|hint| hint.name()).collect();
            format!(
                "{} {}, {}: {}",
                error.code().name(),
                error.error_code().unwrap(),
                hints.join(", "),
                error.message()
            )
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reply_of_a_webhook_ends_as_documented() {
    let webhook = Webhook::start().await;
    let (patient, short) = (service(60_000).await, service(300).await);
    let mut table =
        String::from("| registration | the webhook receives | it replies | the device sees |\n|---|---|---|---|\n");
    for row in rows() {
        let emulator = if matches!(row.webhook, Does::Hangs) { &short } else { &patient };
        *webhook.does.lock().unwrap() = row.webhook;
        *webhook.received.lock().unwrap() = None;
        enroll(emulator, &row, webhook.url(row.webhook));
        let ended = register(emulator, &row).await;
        let body = webhook.received.lock().unwrap().take();
        assert!(!format!("{body:?}").contains(FUNCTION_KEY), "{}", row.case);
        let (got, saw) = (received(body.as_ref()), seen(emulator, ended));
        table.push_str(&format!("| {} | {got} | {} | {saw} |\n", row.case, row.webhook.described()));
    }
    assert!(!table.contains(FUNCTION_KEY), "the function key is shown");
    compare(&table);
}

/// Compares the table with that of the page, or writes it there.
fn compare(table: &str) {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page marks the table's begin");
    let (written, after) = rest.split_once(END).expect("the page marks the table's end");
    if std::env::var_os("DPS_WRITE_TABLES").is_some() {
        std::fs::write(PAGE, format!("{before}{BEGIN}\n{table}\n{END}{after}")).unwrap();
        return;
    }
    assert_eq!(written.trim(), table.trim(), "run this test with DPS_WRITE_TABLES=1 to write the table");
}
