//! Certificates that a hub issues to a device that is signed in, byte by byte under virtual time: requests and their two
//! answers, conflicts, refusals in both generations of codes, deliveries over another connection, and faults.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dps_emulator::mqtt::{Effect, Session};
use dps_emulator::{
    AllocationPolicy, At, Certificate, CertificatePolicy, ClientCertificates, EmulatorOptions, EventKind, Fault,
    HttpRequest, IndividualEnrollment, IssuanceCodes, RetryAfter, Scope, Service, ServiceOptions, Transport,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Client, Site};
use crate::common::{KEY, World, device_token, key};
use crate::hub;
use crate::issuance::{self, chain_of, policy, request};
use crate::pki::{P256, P384};

const FILTER: &str = "$iothub/credentials/res/#";
const DEVICE: &str = "gateway-7";
const RID: &str = "4c1e-0001";
const HOUR_MS: u64 = 3_600_000;

/// `gateway-7` at `hub-a.test`, which `dev-01` was assigned to, with a connection to the hub.
struct Device {
    world: World,
    session: Session,
    csr: String,
}

/// An answer on the topic of credentials.
#[derive(Debug)]
struct Answer {
    packet_id: u16,
    status: u16,
    request_id: String,
    body: Value,
}

impl Answer {
    fn code(&self) -> (u16, u64) {
        (self.status, self.body["errorCode"].as_u64().unwrap_or_default())
    }
}

/// The answers among these effects: PUBLISH with the quality of service 1.
fn answers(effects: &[Effect]) -> Vec<Answer> {
    let published = effects.iter().filter_map(|effect| match effect {
        Effect::Send(bytes) | Effect::Trickle(bytes) if bytes[0] >> 4 == 3 => Some(bytes),
        _ => None,
    });
    let read = |bytes: &Vec<u8>| {
        let head = 1 + bytes[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
        let number = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let end = head + 2 + usize::from(number(head));
        let topic = std::str::from_utf8(&bytes[head + 2..end]).unwrap();
        let rest = topic.strip_prefix("$iothub/credentials/res/").unwrap();
        let (status, request_id) = rest.split_once("/?$rid=").unwrap();
        let body = serde_json::from_slice(&bytes[end + 2..]).unwrap_or_default();
        Answer { packet_id: number(end), status: status.parse().unwrap(), request_id: request_id.into(), body }
    };
    published.map(read).collect()
}

fn statuses(effects: &[Effect]) -> Vec<u16> {
    answers(effects).iter().map(|answer| answer.status).collect()
}

fn puback(packet_id: u16) -> [u8; 4] {
    let [high, low] = packet_id.to_be_bytes();
    [0x40, 2, high, low]
}

impl Device {
    fn new(options: ServiceOptions) -> Self {
        Self::with_policy(options, policy())
    }

    fn with_policy(options: ServiceOptions, policy: CertificatePolicy) -> Self {
        let mut world = World::new(options.hub("hub-a.test", 1).hub("hub-b.test", 1));
        let enrollment = IndividualEnrollment::new("dev-01").device_id(DEVICE).primary_key(key(KEY));
        let enrollment = enrollment.allocation(AllocationPolicy::Static, ["hub-a.test"]);
        world.enroll(enrollment.certificate_policy(policy));
        assert_eq!(world.provision("dev-01", KEY).status, 200);
        let mut device = Self { world, session: Session::new(), csr: request("dev-01", P256) };
        device.connect();
        device.subscribe();
        device
    }

    /// Connects anew by a token, without subscribing.
    fn connect(&mut self) {
        let (session, connack) = hub::connect(&mut self.world, "hub-a.test", KEY);
        assert_eq!(connack, [0x20, 2, 0, 0]);
        self.session = session;
    }

    fn sends(&mut self, packet: &[u8]) -> Vec<Effect> {
        hub::says(&mut self.world, &mut self.session, packet)
    }

    fn subscribe(&mut self) -> Vec<Effect> {
        self.sends(&hub::subscribe(FILTER))
    }

    fn publishes(&mut self, request_id: &str, body: &Value) -> Vec<Effect> {
        self.publishes_bytes(request_id, body.to_string().as_bytes())
    }

    fn publishes_bytes(&mut self, request_id: &str, body: &[u8]) -> Vec<Effect> {
        self.sends(&hub::publish(&format!("$iothub/credentials/POST/issueCertificate/?$rid={request_id}"), body))
    }

    fn body(&self) -> Value {
        json!({ "id": DEVICE, "csr": self.csr })
    }

    /// Requests a certificate; returns what the device receives at once.
    fn requests(&mut self, request_id: &str) -> Vec<Effect> {
        let body = self.body();
        self.publishes(request_id, &body)
    }

    /// The only answer to a body.
    fn answer_to(&mut self, request_id: &str, body: &Value) -> Answer {
        let effects = self.publishes(request_id, body);
        let [answer] = <[Answer; 1]>::try_from(answers(&effects)).unwrap_or_else(|_| panic!("{effects:?}"));
        answer
    }

    /// Waits until the last answer is due; returns it.
    fn waits(&mut self) -> Vec<Effect> {
        let due_ms = self.session.due_in_ms(&self.world.service, self.world.now()).expect("nothing is due");
        self.world.wait(due_ms);
        let now = self.world.now();
        self.session.advance(&mut self.world.service, now)
    }

    /// Requests a certificate and acknowledges its delivery; returns the body of the 200.
    fn renews(&mut self, request_id: &str) -> Value {
        assert_eq!(statuses(&self.requests(request_id)), [202]);
        let [issued] = <[Answer; 1]>::try_from(answers(&self.waits())).unwrap();
        assert_eq!((issued.status, issued.request_id.as_str()), (200, request_id));
        self.sends(&puback(issued.packet_id));
        issued.body
    }

    fn has_nothing_due(&self) -> bool {
        self.session.due_in_ms(&self.world.service, self.world.now()).is_none()
    }
}

/// The chain of a 200, as a client presents it.
fn presented(body: &Value) -> ClientCertificates {
    let chain = body["certificates"].as_array().unwrap().iter();
    let chain: Vec<_> = chain.map(|der| Certificate::from_pem(der.as_str().unwrap()).unwrap()).collect();
    ClientCertificates::from_der(chain.iter().map(Certificate::der))
}

#[test]
fn device_receives_202_and_then_a_chain_with_which_it_signs_in() {
    let mut device = Device::new(ServiceOptions::new().certificate_days(7));
    let accepted = answers(&device.requests(RID)).remove(0);
    assert_eq!((accepted.status, accepted.request_id.as_str()), (202, RID));
    assert!(accepted.body["correlationId"].is_string(), "{accepted:?}");
    assert_eq!(accepted.body["operationExpires"], "2026-01-01T12:00:01.0000000Z");
    assert_eq!(device.session.due_in_ms(&device.world.service, device.world.now()), Some(500));
    let now = device.world.now();
    let early = device.session.advance(&mut device.world.service, now);
    assert_eq!(early, [], "not before it is due");

    let issued = answers(&device.waits()).remove(0);
    assert_eq!((issued.status, issued.request_id.as_str()), (200, RID));
    assert_eq!(issued.body["correlationId"], accepted.body["correlationId"]);
    assert_eq!(issued.body["certificates"].as_array().unwrap().len(), 3);
    assert!(device.has_nothing_due(), "a connection delivers it once");
    device.sends(&puback(issued.packet_id));

    // The next connection can use it, and renew by it; the one by a token stays open.
    let certified = Session::with_certificates(presented(&issued.body));
    let (session, connack) = hub::connect_with(&mut device.world, "hub-a.test", DEVICE, DEVICE, "", certified);
    assert_eq!(connack, [0x20, 2, 0, 0]);
    assert_eq!(device.sends(&[0xc0, 0]), [Effect::Send(vec![0xd0, 0])]);
    device.session = session;
    device.subscribe();
    device.csr = request("dev-01", P384);
    let renewed = device.renews("4c1e-0002");
    assert_ne!(renewed["certificates"][0], issued.body["certificates"][0]);
    assert_eq!(renewed["certificates"][2], issued.body["certificates"][2], "by the same authority");
}

#[test]
fn certificate_of_registration_and_that_of_the_hub_are_valid_until_each_expires() {
    let mut site =
        issuance::Site::new(ServiceOptions::new().hub("hub-a.test", 1).assign_at_once(true).certificate_days(7));
    let first = crate::common::json(&site.register("2026-11-01", &json!({ "csr": request("dev-01", P256) })));
    let chain = chain_of(&first);
    let first = ClientCertificates::from_der(chain.iter().map(Certificate::der));
    let connect = |world: &mut World, certificates: &ClientCertificates| {
        let session = Session::with_certificates(certificates.clone());
        hub::connect_with(world, "hub-a.test", "dev-01", "dev-01", "", session)
    };
    site.world.wait(6 * 24 * HOUR_MS);
    let (session, _) = connect(&mut site.world, &first);
    let mut device = Device { world: site.world, session, csr: request("dev-01", P256) };
    device.subscribe();
    let body = json!({ "id": "dev-01", "csr": device.csr });
    let effects = device.publishes(RID, &body);
    assert_eq!(statuses(&effects), [202, 200], "at once, as assignments are");
    let second = presented(&answers(&effects)[1].body);
    for (wait_ms, expected) in [(0, [0, 0]), (24 * HOUR_MS + 1000, [5, 0]), (6 * 24 * HOUR_MS, [5, 5])] {
        device.world.wait(wait_ms);
        let codes = [&first, &second].map(|certificates| connect(&mut device.world, certificates).1[3]);
        assert_eq!(codes, expected, "after {wait_ms} ms more");
    }
}

#[test]
fn body_that_is_not_a_request_is_refused_at_once() {
    for (codes, undecodable) in [(IssuanceCodes::Early, 400_004), (IssuanceCodes::Current, 400_040)] {
        let mut device = Device::new(ServiceOptions::new().issuance_codes(codes));
        let csr = device.csr.clone();
        for (body, code) in [
            (String::new(), 400_004),
            (r#"{"id":"gateway-7","csr":"#.into(), 400_006),
            (r#"["not","an","object"]"#.into(), 400_004),
            (json!({ "id": DEVICE }).to_string(), 400_004),
            (json!({ "id": DEVICE, "csr": "" }).to_string(), 400_004),
            (json!({ "id": DEVICE, "csr": 7 }).to_string(), 400_004),
            (json!({ "id": DEVICE, "csr": "A".repeat(8196) }).to_string(), undecodable),
            (json!({ "id": DEVICE, "csr": "no base64!" }).to_string(), undecodable),
            (json!({ "csr": csr }).to_string(), 400_004),
            (json!({ "id": "", "csr": csr }).to_string(), 400_004),
            (json!({ "id": "dev-01", "csr": csr }).to_string(), 400_004),
            (json!({ "id": "Gateway-7", "csr": csr }).to_string(), 400_004),
            (json!({ "id": DEVICE, "csr": csr, "unknownMember": 1 }).to_string(), 400_004),
            (json!({ "id": DEVICE, "csr": csr, "replace": "123" }).to_string(), 400_004),
            (json!({ "id": DEVICE, "csr": csr, "replace": "-1234" }).to_string(), 400_004),
            (json!({ "id": DEVICE, "csr": csr, "replace": true }).to_string(), 400_004),
        ] {
            let effects = device.publishes_bytes(RID, body.as_bytes());
            let answer = answers(&effects).remove(0);
            assert_eq!(answer.code(), (400, code), "{body}: {answer:?}");
            assert!(answer.body["trackingId"].is_string() && answer.body["message"].is_string(), "{answer:?}");
            assert!(device.has_nothing_due(), "{body}");
        }
        assert_eq!(statuses(&device.requests(RID)), [202], "none of them began an operation");
    }
}

#[test]
fn request_id_is_required_and_has_a_form() {
    let mut device = Device::new(ServiceOptions::new());
    let body = device.body().to_string();
    for topic in ["$iothub/credentials/POST/issueCertificate/", "$iothub/credentials/POST/issueCertificate/?$rid="] {
        let effects = device.sends(&hub::publish(topic, body.as_bytes()));
        assert_eq!(effects, [Effect::Send(puback(7).to_vec())], "no answer, and the connection stays open");
        assert_eq!(device.world.service.events().last().unwrap().reason().unwrap().name(), "request-id");
    }
    for wrong in ["abc", "-abcd", "abcd-", "ab cd", "ab.cd", &"a".repeat(37)] {
        let answer = device.answer_to(wrong, &device.body());
        assert_eq!((answer.code(), answer.request_id.as_str()), ((400, 400_004), wrong));
    }
    for good in ["abcd", &"9".repeat(36), "7D1c6f0e-0000-4000-8000-000000000001"] {
        assert_eq!(device.renews(good)["certificates"].as_array().unwrap().len(), 3, "{good}");
    }
}

#[test]
fn certificate_request_that_cannot_be_accepted_is_refused_after_the_202() {
    let cases = [
        (BASE64_STANDARD.encode(b"no request"), "certificate-request-malformed"),
        (request("dev-02", P256), "certificate-request-name"),
        (request(DEVICE, P256), "certificate-request-name"),
        (request("dev-01", &rcgen::PKCS_ED25519), "certificate-request-key"),
    ];
    for (codes, code) in [(IssuanceCodes::Early, 400_037), (IssuanceCodes::Current, 400_040)] {
        let mut device = Device::new(ServiceOptions::new().issuance_codes(codes));
        for (csr, reason) in &cases {
            device.csr = csr.clone();
            let accepted = answers(&device.requests(RID)).remove(0);
            assert_eq!(accepted.status, 202);
            let refused = answers(&device.waits()).remove(0);
            assert_eq!((refused.code(), refused.request_id.as_str()), ((400, code), RID), "{reason}");
            assert_eq!(refused.body["correlationId"], accepted.body["correlationId"]);
            assert_eq!(device.world.service.events().last().unwrap().reason().unwrap().name(), *reason);
            device.sends(&puback(refused.packet_id));
        }
    }
    let mut device = Device::with_policy(ServiceOptions::new(), CertificatePolicy::default());
    device.requests(RID);
    assert_eq!(answers(&device.waits()).remove(0).code(), (400, 400_040));
    assert_eq!(device.world.service.events().last().unwrap().reason().unwrap().name(), "certificate-request");
    let mut device = Device::new(ServiceOptions::new().p384_only(true));
    device.requests(RID);
    assert_eq!(answers(&device.waits()).remove(0).code(), (400, 400_040));
}

#[test]
fn second_request_conflicts_with_an_active_one_unless_it_replaces_it() {
    for (codes, code) in [(IssuanceCodes::Early, 409_004), (IssuanceCodes::Current, 409_005)] {
        let mut device = Device::new(ServiceOptions::new().issuance_codes(codes));
        let first = answers(&device.requests(RID)).remove(0);
        let conflict = device.answer_to("4c1e-0002", &device.body());
        assert_eq!((conflict.code(), conflict.request_id.as_str()), ((409, code), "4c1e-0002"));
        let info = &conflict.body["info"];
        assert_eq!(info["requestId"], RID);
        assert_eq!(info["operationExpires"], first.body["operationExpires"]);

        // The same request once more is the same operation; with another certificate request it is a conflict.
        let again = device.answer_to(RID, &device.body());
        assert_eq!((again.status, &again.body), (202, &first.body));
        let other = json!({ "id": DEVICE, "csr": request("dev-01", P256) });
        assert_eq!(device.answer_to(RID, &other).code(), (409, code));

        let replacing = |replace: &str| json!({ "id": DEVICE, "csr": request("dev-01", P256), "replace": replace });
        let nothing = device.answer_to("4c1e-0003", &replacing("db8c0f73"));
        assert_eq!((nothing.code(), &nothing.body["info"]["requestId"]), ((412, 412_001), &json!("db8c0f73")));
        let by_id = device.answer_to("4c1e-0004", &replacing(RID));
        assert_eq!(by_id.status, 202);
        assert_ne!(by_id.body["correlationId"], first.body["correlationId"]);
        assert_eq!(device.answer_to("4c1e-0005", &replacing("*")).status, 202);

        // Only the last one is answered.
        let issued = answers(&device.waits());
        let ids: Vec<_> = issued.iter().map(|answer| (answer.status, answer.request_id.as_str())).collect();
        assert_eq!(ids, [(200, "4c1e-0005")]);
        device.sends(&puback(issued[0].packet_id));
        assert_eq!(device.answer_to("4c1e-0006", &replacing("4c1e-0005")).code(), (412, 412_001), "it has ended");
        assert_eq!(device.answer_to("4c1e-0007", &replacing("*")).status, 202, "nothing to replace is no error");
    }
}

#[test]
fn last_answer_is_delivered_to_the_connection_that_is_subscribed() {
    let mut device = Device::new(ServiceOptions::new());
    assert_eq!(statuses(&device.requests(RID)), [202]);
    device.connect();
    device.world.wait(5000);
    assert!(device.has_nothing_due(), "not subscribed");
    let first = answers(&device.subscribe()).remove(0);
    assert_eq!((first.status, first.request_id.as_str()), (200, RID));
    // It was not acknowledged: the next connection receives the same chain.
    device.connect();
    let second = answers(&device.subscribe()).remove(0);
    assert_eq!((second.status, &second.body), (200, &first.body));
    device.sends(&puback(second.packet_id));
    device.connect();
    assert_eq!(statuses(&device.subscribe()), [0_u16; 0], "it was acknowledged");

    // A device that unsubscribes has to subscribe again.
    device.requests("4c1e-0002");
    device.sends(&[&[0xa2, 29, 0, 2, 0, 25][..], FILTER.as_bytes()].concat());
    device.world.wait(5000);
    assert!(device.has_nothing_due());
    assert_eq!(statuses(&device.subscribe()), [200]);
}

#[test]
fn request_without_a_subscription_has_no_answer_until_the_device_subscribes() {
    let mut device = Device::new(ServiceOptions::new());
    device.connect();
    assert_eq!(statuses(&device.requests(RID)), [0_u16; 0]);
    device.world.wait(1000);
    assert_eq!(statuses(&device.subscribe()), [200]);
}

#[test]
fn operation_that_is_not_delivered_expires() {
    let mut device = Device::new(ServiceOptions::new());
    device.requests(RID);
    for (wait_ms, expected) in [(12 * HOUR_MS - 1, vec![200]), (1, vec![])] {
        device.world.wait(wait_ms);
        // The token of the sign-in has expired by then.
        device.connect();
        assert_eq!(statuses(&device.subscribe()), expected);
    }
    assert_eq!(statuses(&device.requests("4c1e-0002")), [202], "it is not active any more");
}

#[test]
fn last_answer_that_is_due_closes_the_connection_of_a_device_that_is_refused_by_then() {
    // The token of the sign-in is valid for an hour.
    for (enabled, clock_moved_ms, reason) in [(false, 0, "hub-device-disabled"), (true, 2 * HOUR_MS, "expired")] {
        let mut device = Device::new(ServiceOptions::new());
        assert_eq!(statuses(&device.requests(RID)), [202]);
        device.world.service.hub_device_mut("hub-a.test", DEVICE).unwrap().enabled = enabled;
        device.world.wall_offset_ms = clock_moved_ms as i64;
        assert_eq!(device.waits(), [Effect::Close], "{reason}");
        assert_eq!(device.world.service.events().last().unwrap().reason().unwrap().name(), reason);
    }
}

#[test]
fn request_ends_with_the_entry_of_its_device() {
    let enrollment = |id: &str, hub: &str| {
        let enrollment = IndividualEnrollment::new(id).device_id(DEVICE).primary_key(key(KEY));
        enrollment.allocation(AllocationPolicy::Static, [hub]).certificate_policy(policy())
    };
    let provision = |world: &mut World, id: &str, hub: &str| {
        world.wait(2000);
        world.enroll(enrollment(id, hub));
        assert_eq!(world.provision(id, KEY).status, 200);
        assert!(world.service.hub_device(hub, DEVICE).is_some());
    };
    let ends = |case: &str, change: &dyn Fn(&mut World)| {
        let mut device = Device::new(ServiceOptions::new());
        assert_eq!(statuses(&device.requests(RID)), [202], "{case}");
        change(&mut device.world);
        device.connect();
        assert_eq!(statuses(&device.subscribe()), [0_u16; 0], "{case}");
        assert!(device.has_nothing_due(), "{case}");
        assert_eq!(statuses(&device.requests("4c1e-0002")), [202], "{case}");
    };
    ends("deleted", &|world| {
        assert!(world.service.delete_hub_device("hub-a.test", DEVICE));
        provision(world, "dev-01", "hub-a.test");
    });
    ends("moved there and back", &|world| {
        assert!(world.service.move_hub_device("hub-a.test", DEVICE, "hub-b.test"));
        assert!(world.service.move_hub_device("hub-b.test", DEVICE, "hub-a.test"));
    });
    ends("replaced by another device", &|world| {
        provision(world, "dev-02", "hub-b.test");
        assert!(world.service.move_hub_device("hub-b.test", DEVICE, "hub-a.test"));
    });
    ends("assigned to another hub and back", &|world| {
        provision(world, "dev-01", "hub-b.test");
        assert!(world.service.hub_device("hub-a.test", DEVICE).is_none());
        provision(world, "dev-01", "hub-a.test");
    });
}

#[test]
fn certificate_requests_of_a_device_are_throttled() {
    let mut device = Device::new(ServiceOptions::new());
    let body = json!({ "id": DEVICE, "csr": device.csr, "replace": "*" });
    for number in 0..10 {
        assert_eq!(device.answer_to(&format!("4c1e-{number}"), &body).status, 202);
        device.world.wait(100);
    }
    let throttled = device.answer_to("4c1e-0010", &body);
    assert_eq!((throttled.code(), &throttled.body["retryAfter"]), ((429, 429_002), &json!(59)));
    device.world.wait(59_000);
    let effects = device.publishes("4c1e-0011", &body);
    assert_eq!(statuses(&effects), [202]);
}

#[test]
fn faults_change_the_answers_of_a_hub() {
    let hint = Some(RetryAfter::Seconds(7));
    let garbled = |answer: &Answer| answer.body.is_null();
    // At the request: what the device receives at once, and whether the request began an operation.
    for (fault, expected, closed, began) in [
        (Fault::Throttle { retry_after: hint }, vec![429], false, false),
        (Fault::ServerError { status: 503, retry_after: hint }, vec![503], false, false),
        (Fault::DropBefore, vec![], true, false),
        (Fault::DropAfter, vec![], true, true),
        (Fault::Silent, vec![], false, true),
        (Fault::Garbage, vec![202], false, true),
        (Fault::DuplicateReply, vec![202, 202], false, true),
        (Fault::WrongRequestId, vec![202], false, true),
    ] {
        let mut device = Device::new(ServiceOptions::new());
        device.world.service.inject(Scope::Registration("dev-01"), At::Renew, fault.clone(), 1);
        let effects = device.requests(RID);
        assert_eq!((statuses(&effects), effects.contains(&Effect::Close)), (expected, closed), "{fault:?}");
        if let Fault::Throttle { .. } | Fault::ServerError { .. } = fault {
            let answer = answers(&effects).remove(0);
            assert_eq!(answer.body["retryAfter"], 7, "{answer:?}");
            assert!([429_002, 503_001].contains(&answer.code().1), "{answer:?}");
        }
        if fault == Fault::Garbage {
            assert!(answers(&effects).iter().all(garbled));
        }
        if fault == Fault::WrongRequestId {
            assert_ne!(answers(&effects)[0].request_id, RID);
        }
        device.connect();
        device.world.wait(1000);
        assert_eq!(statuses(&device.subscribe()) == [200], began, "{fault:?}");
        assert_eq!(device.world.service.pending_faults(), 0);
    }
    // At the last answer: what the device receives, and what the next connection does although it was acknowledged.
    for (fault, expected, closed, next) in [
        (Fault::Throttle { retry_after: hint }, vec![429], false, vec![]),
        (Fault::ServerError { status: 500, retry_after: None }, vec![500], false, vec![]),
        (Fault::DropBefore, vec![], true, vec![200]),
        (Fault::DropAfter, vec![], true, vec![200]),
        (Fault::Silent, vec![], false, vec![200]),
        (Fault::WrongRequestId, vec![200], false, vec![200]),
        (Fault::DuplicateReply, vec![200, 200], false, vec![]),
        (Fault::Garbage, vec![200], false, vec![]),
        (Fault::Delay { ms: 400 }, vec![200], false, vec![]),
    ] {
        let mut device = Device::new(ServiceOptions::new());
        device.world.service.inject(Scope::All, At::Issue, fault.clone(), 1);
        let accepted = answers(&device.requests(RID)).remove(0);
        assert_eq!(accepted.status, 202);
        let effects = device.waits();
        assert_eq!((statuses(&effects), effects.contains(&Effect::Close)), (expected, closed), "{fault:?}");
        for answer in answers(&effects).iter().filter(|answer| !garbled(answer)) {
            assert_eq!(answer.body["correlationId"], accepted.body["correlationId"], "{fault:?}");
        }
        assert_eq!(effects.contains(&Effect::Pause(400)), matches!(fault, Fault::Delay { .. }));
        for answer in answers(&effects) {
            device.sends(&puback(answer.packet_id));
        }
        device.connect();
        assert_eq!(statuses(&device.subscribe()), next, "{fault:?}");
    }
}

#[test]
fn fault_issues_a_certificate_for_another_key_by_the_hub_and_at_registration() {
    let key_of = |certificate: &Certificate| {
        use x509_parser::prelude::{FromDer as _, X509Certificate};
        X509Certificate::from_der(certificate.der()).unwrap().1.public_key().raw.to_vec()
    };
    let mut device = Device::new(ServiceOptions::new());
    let right = Certificate::from_pem(device.renews(RID)["certificates"][0].as_str().unwrap()).unwrap();
    device.world.service.inject(Scope::Registration("dev-01"), At::Issue, Fault::ForeignCertificate, 1);
    let wrong = Certificate::from_pem(device.renews("4c1e-0002")["certificates"][0].as_str().unwrap()).unwrap();
    assert_eq!(wrong.common_name(), Some("dev-01"));
    assert_ne!(key_of(&wrong), key_of(&right));

    let mut site = issuance::Site::new(ServiceOptions::new().assign_at_once(true));
    let body = json!({ "csr": request("dev-01", P256) });
    let mut issued = |fault: bool| {
        if fault {
            site.world.service.inject(Scope::All, At::Issue, Fault::ForeignCertificate, 1);
        }
        key_of(&chain_of(&crate::common::json(&site.register("2026-11-01", &body)))[0])
    };
    let (right, wrong, again) = (issued(false), issued(true), issued(false));
    assert!(right == again && right != wrong);
}

#[test]
fn event_of_a_foreign_certificate_has_the_transport_of_the_request() {
    let inject = |service: &mut Service| service.inject(Scope::All, At::Issue, Fault::ForeignCertificate, 1);
    let transports = |service: &Service| {
        let met = service.events().filter(|event| matches!(event.kind, EventKind::Fault(_)));
        met.map(|event| event.transport).collect::<Vec<_>>()
    };
    let mut device = Device::new(ServiceOptions::new());
    inject(&mut device.world.service);
    device.renews(RID);
    assert_eq!(transports(&device.world.service), [Transport::Mqtt]);

    let mut site = issuance::Site::new(ServiceOptions::new().assign_at_once(true));
    let body = json!({ "csr": request("dev-01", P256) });
    inject(&mut site.world.service);
    site.register_over_mqtt(&body);
    inject(&mut site.world.service);
    site.register("2026-11-01", &body);
    assert_eq!(transports(&site.world.service), [Transport::Mqtt, Transport::Https]);
}

#[test]
fn certificate_requests_are_not_counted_as_calls_of_the_service() {
    let mut device = Device::new(ServiceOptions::new());
    let before = device.world.service.counters();
    assert_eq!(device.answer_to(RID, &json!({})).status, 400);
    assert_eq!(device.answer_to(RID, &device.body()).status, 202);
    assert_eq!(device.answer_to("4c1e-0002", &device.body()).status, 409);
    let throttle = Fault::Throttle { retry_after: None };
    for (fault, status) in [(throttle, 429), (Fault::ServerError { status: 503, retry_after: None }, 503)] {
        device.world.service.inject(Scope::All, At::Renew, fault, 1);
        assert_eq!(device.answer_to("4c1e-0003", &device.body()).status, status);
    }
    let mut after = device.world.service.counters();
    assert_eq!(std::mem::take(&mut after.faults), 2, "faults are counted wherever they are met");
    assert_eq!(after, before);
}

/// A service sends the last answer by itself, as soon as its clock says so.
#[tokio::test]
async fn last_answer_arrives_when_the_clock_is_moved() {
    let options = EmulatorOptions::new().mqtt_port(0).service(|service| service.assigning_ms(30 * 60_000));
    let site = Site::start(options).await;
    site.emulator.with_service(|service| {
        let now = site.emulator.now();
        let enrollment = IndividualEnrollment::new("dev-01").primary_key(key(KEY)).certificate_policy(policy());
        service.put_enrollment(now, enrollment).unwrap();
        let token = device_token(KEY, "dev-01", now.unix_s() + 3600);
        let path = format!("/{}/registrations/dev-01/register?api-version=2026-11-01", service.id_scope());
        let headers = [("Authorization", token.as_str())];
        let call = HttpRequest { method: "PUT", path_and_query: &path, headers: &headers, body: b"{}" };
        assert_eq!(service.handle(now, &call).status, 202);
    });
    site.emulator.advance_clock(Duration::from_secs(30 * 60)).unwrap();
    let now = site.emulator.now();
    site.emulator.with_service(|service| service.advance(now));

    let client = Client::new(site.emulator.mqtt_addr().unwrap(), site.emulator.ca_pem());
    let mut tls = client.tls("localhost").await.unwrap();
    let body = json!({ "id": "dev-01", "csr": request("dev-01", P256) }).to_string();
    let topic = format!("$iothub/credentials/POST/issueCertificate/?$rid={RID}");
    for packet in [
        hub::hello("hub-a.test", "dev-01", "dev-01", KEY, now.unix_s()),
        hub::subscribe(FILTER),
        hub::publish(&topic, body.as_bytes()),
    ] {
        tls.write_all(&packet).await.unwrap();
    }
    let mut received = Vec::new();
    for status in ["202", "200"] {
        let part = format!("$iothub/credentials/res/{status}/?$rid={RID}");
        while !String::from_utf8_lossy(&received).contains(&part) {
            let read = tokio::time::timeout(Duration::from_secs(60), tls.read_buf(&mut received)).await;
            assert_ne!(read.expect("nothing arrived").unwrap(), 0, "closed before {status}");
        }
        // The client sends nothing more.
        site.emulator.advance_clock(Duration::from_secs(30 * 60)).unwrap();
    }
}

/// A service that refused a request for each reason that only a hub has.
pub(crate) fn refused_requests() -> Service {
    let mut device = Device::new(ServiceOptions::new());
    device.answer_to("abc", &device.body());
    device.requests(RID);
    device.answer_to("4c1e-0002", &device.body());
    device.answer_to("4c1e-0003", &json!({ "id": DEVICE, "csr": device.csr, "replace": "4c1e-0002" }));
    device.world.service
}
