//! Every reason for which the service refuses something is provoked here. The table in `docs/events.md` shows the line of
//! `dps emulator log` for each; `cargo xtask write-reasons` writes it. No event contains a key or a signature.

use std::collections::BTreeMap;
use std::path::Path;

use dps_emulator::mqtt::Session;
use dps_emulator::{
    AllocationPolicy, At, Caller, Certificate, ClientCertificates, ConnectionProfile, EmulatorOptions, EnrollmentGroup,
    Event, Fault, HttpRequest, IndividualEnrollment, Protocol, RefusalReason, Scope, Service, ServiceOptions,
    WebhookReply, WebhookUrl,
};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa};

use crate::client::Site;
use crate::common::{
    GROUP_KEY, KEY, OTHER_KEY, SCOPE, SIGNATURES, START_S, World, device_token, document, json, key, operation_id,
    token,
};
use crate::mqtt::{Hello, publish, subscribe};
use crate::pki::{Ca, Device, P256, valid};
use crate::soft_tpm::SoftTpm;
use crate::{hub, issuance, renewal, schema, tpm};

const NOBODYS_KEY: &str = "bm9ib2R5LW5vYm9keS1ub2JvZHk=";
const BEGIN: &str = "<!-- the reasons, written by `cargo xtask write-reasons` -->";
const END: &str = "<!-- the end of the reasons -->";

/// The events of all services, and the first line of each reason.
#[derive(Default)]
struct Seen {
    lines: BTreeMap<&'static str, String>,
    events: Vec<serde_json::Value>,
}

impl Seen {
    fn add(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            if let Some(reason) = event.reason() {
                self.lines.entry(reason.name()).or_insert_with(|| shown(&event));
            }
            self.events.push(serde_json::to_value(&event).unwrap());
        }
    }

    fn service(&mut self, service: &Service) {
        self.add(service.events().cloned());
    }
}

/// The line without what differs from run to run: the time, and the client's port.
fn shown(event: &Event) -> String {
    let line = event.to_string();
    let words = line.split(' ').skip(1).map(|word| match word {
        _ if word.starts_with("127.0.0.1:") => "127.0.0.1:50123;",
        _ if word.contains('#') => word.split('#').next().unwrap_or_default(),
        // The message of an error names the state directory.
        _ if word.starts_with('/') && word.contains("enrollments.json") => "/var/dps/enrollments.json",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn every_reason_has_a_line_in_the_log_and_no_event_has_a_secret() {
    let mut seen = Seen::default();
    tokens(&mut seen);
    requests(&mut seen);
    assignments(&mut seen);
    certificates(&mut seen);
    tpms(&mut seen);
    mqtt(&mut seen);
    hubs(&mut seen);
    connections(&mut seen).await;

    let missing: Vec<&str> =
        RefusalReason::ALL.iter().map(|reason| reason.name()).filter(|name| !seen.lines.contains_key(name)).collect();
    assert_eq!(missing, [""; 0], "not provoked");
    seen.events.iter().for_each(schema::check);
    no_secrets(&seen);
    compare(&table(&seen));
}

fn table(seen: &Seen) -> String {
    let escaped = |text: &str| text.replace('|', "\\|");
    let row = |reason: &RefusalReason| {
        let (name, line) = (reason.name(), escaped(&seen.lines[reason.name()]));
        format!("| `{name}` | `{line}` | {} |\n", escaped(reason.advice()))
    };
    let rows: String = RefusalReason::ALL.iter().map(row).collect();
    format!("| reason | line of `dps emulator log`, without the time | what to do |\n|---|---|---|\n{rows}")
}

/// Compares the table with the one of the page, or writes it.
fn compare(table: &str) {
    let Some(text) = document("events.md") else { return };
    let (before, rest) = text.split_once(BEGIN).expect("the page has no place for the reasons");
    let (written, after) = rest.split_once(END).expect("the reasons of the page have no end");
    if std::env::var_os("DPS_WRITE_REASONS").is_some() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
        std::fs::write(page, format!("{before}{BEGIN}\n\n{table}\n{END}{after}")).unwrap();
    } else {
        assert_eq!(written.trim(), table.trim(), "run `cargo xtask write-reasons` and review the change");
    }
}

fn no_secrets(seen: &Seen) {
    let mut secrets: Vec<String> = [KEY, OTHER_KEY, GROUP_KEY, NOBODYS_KEY].map(str::to_owned).into();
    secrets.push(key(GROUP_KEY).derive("dev-03").expose().to_owned());
    secrets.extend(SIGNATURES.take());
    assert!(secrets.len() > 50);
    let mut secrets: Vec<&str> = secrets.iter().map(|secret| secret.trim_end_matches('=')).collect();
    secrets.extend(["SharedAccessSignature", "sig=", "ZnVuY3Rpb24ta2V5"]);
    for event in &seen.events {
        let text = event.to_string();
        let found = secrets.iter().find(|secret| text.contains(**secret));
        assert_eq!(found, None, "in {text}");
    }
}

fn tokens(seen: &mut Seen) {
    let mut world = World::with_device();
    let (end, good) = (START_S + 3600, format!("{SCOPE}%2Fregistrations%2Fdev-01"));
    let path = format!("/{SCOPE}/registrations/dev-01/register?api-version=2021-06-01");
    world.send("PUT", &path, &[], b"{}");
    for wrong in [
        "Bearer abc".to_owned(),
        token(KEY, "hub-a.test%2Fdevices%2Fdev-01", end, ""),
        token(KEY, &good, end, "&skn=provisioningserviceowner"),
        token(KEY, &good, START_S - 90, ""),
        token(NOBODYS_KEY, &good, end, ""),
    ] {
        world.register_with("dev-01", &wrong, "{}");
    }
    let elsewhere = token(KEY, "0neFFFFFFFF%2Fregistrations%2Fdev-01", end, "");
    world.send("PUT", &path.replace(SCOPE, "0neFFFFFFFF"), &[("Authorization", &elsewhere)], b"{}");
    world.register("dev-99", KEY);
    world.enroll(IndividualEnrollment::new("dev-02").primary_key(key(OTHER_KEY)));
    world.register("dev-01", OTHER_KEY);
    let group = EnrollmentGroup::new("line-1").primary_key(key(GROUP_KEY));
    let now = world.now();
    world.service.put_group(now, group).unwrap();
    world.register("dev-03", GROUP_KEY);
    world.register("dev-03", key(GROUP_KEY).derive("dev-03").expose());
    world.admin("GET", "/enrollments/dev-01", "");
    seen.service(&world.service);
}

fn requests(seen: &mut Seen) {
    let mut world = World::with_device();
    let token = device_token(KEY, "dev-01", world.device_s() + 3600);
    let register = |world: &mut World, body: &str| drop(world.register_with("dev-01", &token, body));
    world.register("dev.", KEY);
    register(&mut world, r#"{"registrationId":"dev-02"}"#);
    register(&mut world, "[]");
    register(&mut world, &format!(r#"{{"payload":{{"a":"{}"}}}}"#, "x".repeat(97 * 1024)));
    let path = format!("/{SCOPE}/registrations/dev-01/register");
    let (token, version) = (("Authorization", token.as_str()), "?api-version=2021-06-01");
    world.send("PUT", &path, &[token], b"{}");
    world.send("PUT", &format!("{path}{version}"), &[token, ("Content-Type", "text/plain")], b"{}");
    world.send("POST", &format!("{path}{version}"), &[token], b"{}");
    world.send("GET", &format!("/{SCOPE}/registration/dev-01{version}"), &[token], b"");
    world.poll("dev-01", KEY, "5.0123456789abcdef.00000000-0000-4000-8000-000000000000");
    world.lookup("dev-01", KEY);
    let operation = operation_id(&world.register("dev-01", KEY));
    world.register("dev-01", KEY);
    for _ in 0..5 {
        world.poll("dev-01", KEY, &operation);
    }
    world.admin_with("DELETE", "/enrollments/dev-01", &[("If-Match", "\"old\"")], "");
    world.service.inject(Scope::All, At::Register, Fault::Throttle { retry_after: None }, 1);
    world.register("dev-01", KEY);
    seen.service(&world.service);
    certificate_requests(seen);
}

fn certificate_requests(seen: &mut Seen) {
    let versioned = |world: &mut World, method: &str, rest: &str, csr: String| {
        let token = device_token(KEY, "dev-01", world.device_s() + 3600);
        let path = format!("/{SCOPE}/registrations/dev-01{rest}?api-version=2026-11-01");
        world.send(
            method,
            &path,
            &[("Authorization", &token)],
            serde_json::json!({ "csr": csr }).to_string().as_bytes(),
        );
    };
    let good = issuance::request("dev-01", P256);
    let mut world = World::with_device();
    versioned(&mut world, "PUT", "/register", good.clone());
    seen.service(&world.service);
    let mut world = issuance::Site::new(ServiceOptions::new()).world;
    let mut forged = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, &good).unwrap();
    let at = forged.windows(6).position(|bytes| bytes == b"dev-01").unwrap();
    forged[at] = b'D';
    for csr in [
        "MIIB".to_owned(),
        issuance::request("dev-02", P256),
        issuance::request("dev-01", &rcgen::PKCS_ED25519),
        base64::Engine::encode(&base64::prelude::BASE64_STANDARD, forged),
    ] {
        versioned(&mut world, "PUT", "/register", csr);
    }
    versioned(&mut world, "POST", "", good);
    seen.service(&world.service);
}

fn assignments(seen: &mut Seen) {
    let mut world = World::with_device();
    world.enroll(IndividualEnrollment::new("dev-02").primary_key(key(OTHER_KEY)).enabled(false));
    world.provision("dev-02", OTHER_KEY);
    let only = IndividualEnrollment::new("dev-03").primary_key(key(OTHER_KEY));
    world.enroll(only.allocation(AllocationPolicy::Static, ["hub-gone.test"]));
    world.provision("dev-03", OTHER_KEY);
    // The group that a first call belongs to is deleted meanwhile, while the device has registered by another enrollment.
    let now = world.now();
    world.service.put_group(now, EnrollmentGroup::new("line-1").primary_key(key(GROUP_KEY))).unwrap();
    let operation = operation_id(&world.register("dev-04", key(GROUP_KEY).derive("dev-04").expose()));
    world.enroll(IndividualEnrollment::new("dev-04").primary_key(key(KEY)));
    world.wait(100);
    world.register("dev-04", KEY);
    assert!(world.service.delete_group("line-1"));
    world.wait(400);
    world.poll("dev-04", KEY, &operation);
    // A webhook that refuses the function key in its URL.
    let url = WebhookUrl::parse("https://allocate.test/api/choose?code=ZnVuY3Rpb24ta2V5").unwrap();
    world.enroll(IndividualEnrollment::new("dev-05").primary_key(key(OTHER_KEY)).custom_allocation(url));
    let operation = operation_id(&world.register("dev-05", OTHER_KEY));
    let call = world.service.take_webhook_calls().remove(0);
    world.wait(600);
    let refused = WebhookReply { status: 401, body: Vec::new() };
    let now = world.now();
    assert!(world.service.answer_webhook(now, call.id, Ok(refused)));
    world.poll("dev-05", OTHER_KEY, &operation);
    seen.service(&world.service);
}

/// A group whose devices are below two intermediates, of a verified root.
struct Factory {
    world: World,
    root: Ca,
    upper: Ca,
    lower: Ca,
}

impl Factory {
    fn new() -> Self {
        let root = Ca::root("Root");
        let upper = root.intermediate("Upper");
        let lower = upper.intermediate("Lower");
        let mut factory = Self { world: World::new(ServiceOptions::new()), root, upper, lower };
        factory.upload("root", factory.root.certificate(), true);
        factory.group("line-1", factory.lower.certificate(), true);
        factory
    }

    fn upload(&mut self, name: &str, certificate: Certificate, is_verified: bool) {
        let now = self.world.now();
        self.world.service.put_ca_certificate(now, name, certificate, is_verified).unwrap();
    }

    fn group(&mut self, id: &str, certificate: Certificate, enabled: bool) {
        let now = self.world.now();
        let group = EnrollmentGroup::new(id).signing_certificate(certificate).enabled(enabled);
        self.world.service.put_group(now, group).unwrap();
    }

    fn device(&self, change: impl FnOnce(&mut CertificateParams)) -> Device {
        self.lower.device_with("dev-01", P256, change)
    }

    fn register(&mut self, certificates: &ClientCertificates) {
        let path = format!("/{SCOPE}/registrations/dev-01/register?api-version=2021-06-01");
        let request = HttpRequest { method: "PUT", path_and_query: &path, headers: &[], body: b"" };
        let now = self.world.now();
        let reply = self.world.service.handle_with_certificates(now, &request, certificates);
        assert_eq!(reply.status, 401);
    }
}

fn certificates(seen: &mut Seen) {
    let mut factory = Factory::new();
    let good = factory.device(|_| {});
    factory.register(&ClientCertificates::from_der([vec![0; 21 * 1024].as_slice()]));
    factory.register(&ClientCertificates::from_der([b"no certificate".as_slice()]));
    factory.register(&factory.lower.device("dev-02").presented());
    let server = factory.device(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    factory.register(&server.presented());
    factory.register(&factory.device(|params| valid(params, 10, 20)).presented());
    factory.register(&good.in_order(&[0, 2, 1, 3]).presented());
    factory.register(&good.presenting(1).presented());
    // Another CA of the same name as the one that the device presents.
    let imposter = factory.upper.intermediate("Lower").device("dev-01");
    let imposter = Device { chain: [&imposter.chain[..1], &good.chain[1..]].concat(), key: imposter.key };
    factory.register(&imposter.presented());
    let no_ca = factory.upper.intermediate_with("Lower", P256, |params| params.is_ca = IsCa::ExplicitNoCa);
    factory.register(&no_ca.device("dev-01").presented());
    factory.register(&Ca::root("Other").device("dev-01").presented());
    factory.register(&factory.root.device("dev-01").presented());
    let line = factory.root.intermediate("Line 2");
    factory.group("line-2", line.certificate(), false);
    factory.register(&line.device("dev-01").presented());
    let old = factory.device(|params| valid(params, 0, 1));
    factory.world.wait(2 * 86_400_000);
    factory.register(&old.presented());
    let own = IndividualEnrollment::new("dev-01").client_certificate(Device::self_signed("dev-01").certificate());
    factory.world.enroll(own);
    factory.register(&good.presented());
    factory.world.register("dev-01", KEY);
    seen.service(&factory.world.service);
}

fn tpms(seen: &mut Seen) {
    let path = format!("/{SCOPE}/registrations/dev-01/register?api-version=2021-06-01");
    let ask = |world: &mut World, tpm: &SoftTpm| world.send("PUT", &path, &[], &tpm::body_of(tpm));
    let mut world = World::new(ServiceOptions::new());
    ask(&mut world, &SoftTpm::new());
    world.enroll(tpm::enrollment());
    world.register("dev-01", NOBODYS_KEY);
    ask(&mut world, &SoftTpm::other());
    let challenge = ask(&mut world, &SoftTpm::new());
    world.register("dev-01", NOBODYS_KEY);
    let (now, token) = (world.now(), device_token(NOBODYS_KEY, "dev-01", world.device_s() + 60));
    let caller = Caller {
        id_scope: SCOPE,
        registration_id: "dev-01",
        token: Some(&token),
        certificates: None,
        api_version: "2021-06-01",
        user_agent: None,
        protocol: Protocol::Mqtt,
    };
    world.service.register(now, &caller, b"{}");
    // A challenge is an exchange, and what only the TPM can read is masked.
    let key = json(&challenge)["authenticationKey"].as_str().unwrap().to_owned();
    let events: Vec<String> = world.service.events().map(|event| serde_json::to_string(event).unwrap()).collect();
    assert!(events.iter().all(|event| !event.contains(&key)));
    assert!(world.service.events().any(|event| event.name() == "exchange"));
    seen.service(&world.service);
}

fn mqtt(seen: &mut Seen) {
    const REGISTER: &str = "$dps/registrations/PUT/iotdps-register/?$rid=1";
    let mut world = World::with_device();
    let says = |world: &mut World, packets: &[Vec<u8>]| {
        let (now, mut session) = (world.now(), Session::new());
        for packet in packets {
            session.receive(&mut world.service, now, packet);
        }
        session.disconnected(&mut world.service, now, None);
    };
    let hello = |world: &World, change: fn(&mut Hello)| {
        let mut hello = Hello::new(world, "dev-01", KEY);
        change(&mut hello);
        hello.bytes()
    };
    let good = hello(&world, |_| {});
    let replies = subscribe("$dps/registrations/res/#", 1);
    for connect in [
        hello(&world, |hello| hello.level = 5),
        hello(&world, |hello| hello.user = "dev-01".into()),
        hello(&world, |hello| hello.client_id = "dev-02".into()),
        hello(&world, |hello| hello.user = format!("{SCOPE}/registrations/dev-01/api-version=1")),
        hello(&world, |hello| hello.password = None),
    ] {
        says(&mut world, &[connect]);
    }
    says(&mut world, &[good.clone(), subscribe("#", 1)]);
    says(&mut world, &[good.clone(), replies.clone(), publish(0x30, "devices/dev-01/messages/events/", b"{}")]);
    says(&mut world, &[good.clone(), replies.clone(), publish(0x31, REGISTER, b"{}")]);
    says(&mut world, &[good.clone(), vec![0xf0, 0]]);
    says(&mut world, std::slice::from_ref(&replies));
    let forged = Hello::new(&world, "dev-01", NOBODYS_KEY).bytes();
    let calls = vec![publish(0x30, REGISTER, b"{}"); 10];
    says(&mut world, &[vec![forged, replies], calls].concat());
    // What listeners close connections for; their own tests provoke it.
    for reason in [RefusalReason::Silent, RefusalReason::Unverified, RefusalReason::Superseded] {
        let (now, mut session) = (world.now(), Session::new());
        session.receive(&mut world.service, now, &good);
        world.wait(60_000);
        let now = world.now();
        session.disconnected(&mut world.service, now, Some(reason));
    }
    seen.service(&world.service);
}

fn hubs(seen: &mut Seen) {
    let mut world = hub::provisioned();
    hub::connect(&mut world, "hub-a.test", KEY);
    hub::connect(&mut world, "hub-b.test", KEY);
    hub::connect(&mut world, "hub-a.test", OTHER_KEY);
    hub::connect_with(&mut world, "hub-a.test", "gateway-7", "gateway-8", KEY, Session::new());
    let certificates = Device::self_signed("gateway-7").presented();
    let session = Session::with_certificates(certificates);
    hub::connect_with(&mut world, "hub-a.test", "gateway-7", "gateway-7", KEY, session);
    world.service.hub_device_mut("hub-a.test", "gateway-7").unwrap().enabled = false;
    hub::connect(&mut world, "hub-a.test", KEY);
    assert!(world.service.set_hub_profile("hub-a.test", ConnectionProfile::MqttV5));
    hub::connect(&mut world, "hub-a.test", KEY);
    seen.service(&world.service);
    seen.service(&renewal::refused_requests());
}

async fn connections(seen: &mut Seen) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(EmulatorOptions::new().wss_port(0).state_dir(folder.path())).await;
    let mut plain = tokio::net::TcpStream::connect(site.emulator.https_addr()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let _ = plain.read_to_end(&mut Vec::new()).await;
    let wss = crate::client::Client::new(site.emulator.wss_addr().unwrap(), site.emulator.ca_pem());
    let mut tls = wss.tls("localhost").await.unwrap();
    tls.write_all(b"GET /elsewhere HTTP/1.1\r\n\r\n").await.unwrap();
    let _ = tls.read_to_end(&mut Vec::new()).await;
    // A directory in the place of the file: no write can succeed.
    let path = folder.path().join("enrollments.json");
    let _ = std::fs::remove_file(&path);
    std::fs::create_dir(&path).unwrap();
    let body = r#"{"registrationId":"dev-02","attestation":{"type":"symmetricKey"}}"#;
    assert_eq!(site.admin("PUT", "/enrollments/dev-02", body).await.status, 500);
    for reason in ["handshake-failed", "websocket-refused", "internal"] {
        let filter = dps_emulator::EventFilter::new().reason(reason);
        site.emulator.wait_for(&filter, std::time::Duration::from_secs(30)).await.unwrap();
    }
    seen.add(site.emulator.events(&dps_emulator::EventFilter::new()).iter().map(|event| Event::clone(event)));
}
