//! The service over MQTT, byte by byte under virtual time: packets are built and parsed by hand.

use crate::common::{KEY, OTHER_KEY, SCOPE, World, device_token, key};
use dps_emulator::mqtt::{Effect, Session};
use dps_emulator::{At, Fault, Flood, IndividualEnrollment, RefusalReason, RetryAfter, Scope, ServiceOptions};

const FILTER: &str = "$dps/registrations/res/#";
const REGISTER: &str = "$dps/registrations/PUT/iotdps-register/?$rid=";

/// One device's connection.
struct Device {
    world: World,
    session: Session,
}

/// The contents of CONNECT.
pub(crate) struct Hello {
    pub(crate) level: u8,
    pub(crate) client_id: String,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = body.len();
    loop {
        let more = u8::from(left > 127) << 7;
        packet.push((left % 128) as u8 | more);
        left /= 128;
        if more == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

pub(crate) fn publish(first: u8, topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, topic);
    if first & 0x06 != 0 {
        body.extend_from_slice(&[0, 7]);
    }
    body.extend_from_slice(payload);
    packet(first, &body)
}

pub(crate) fn subscribe(filter: &str, qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    text(&mut body, filter);
    body.push(qos);
    packet(0x82, &body)
}

impl Hello {
    pub(crate) fn new(world: &World, id: &str, signed_with: &str) -> Self {
        Self {
            level: 4,
            client_id: id.into(),
            user: format!("{SCOPE}/registrations/{id}/api-version=2019-03-31&ClientVersion=test%2F1"),
            password: Some(device_token(signed_with, id, world.device_s() + 3600)),
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        text(&mut body, "MQTT");
        body.push(self.level);
        body.push(if self.password.is_some() { 0xc2 } else { 0x82 });
        body.extend_from_slice(&[0, 60]);
        text(&mut body, &self.client_id);
        text(&mut body, &self.user);
        if let Some(password) = &self.password {
            text(&mut body, password);
        }
        packet(0x10, &body)
    }
}

/// A PUBLISH of the service, parsed by hand: quality of service, topic, payload.
fn published(effects: &[Effect]) -> (u8, String, String) {
    let bytes = effects.iter().find_map(|effect| match effect {
        Effect::Send(bytes) if bytes[0] >> 4 == 3 => Some(bytes),
        _ => None,
    });
    let bytes = bytes.unwrap_or_else(|| panic!("no PUBLISH in {effects:?}"));
    let head = 1 + bytes[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
    let length = usize::from(u16::from_be_bytes([bytes[head], bytes[head + 1]]));
    let topic = String::from_utf8(bytes[head + 2..head + 2 + length].to_vec()).unwrap();
    let quality = bytes[0] >> 1 & 3;
    assert_eq!(bytes[0] & 1, 0, "never retained");
    let payload = head + 2 + length + if quality > 0 { 2 } else { 0 };
    (quality, topic, String::from_utf8_lossy(&bytes[payload..]).into_owned())
}

impl Device {
    fn new(options: ServiceOptions) -> Self {
        let mut world = World::new(options);
        world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)));
        Self { world, session: Session::new() }
    }

    fn says(&mut self, bytes: &[u8]) -> Vec<Effect> {
        let now = self.world.now();
        self.session.receive(&mut self.world.service, now, bytes)
    }

    fn connects(&mut self, change: impl FnOnce(&mut Hello)) -> Vec<Effect> {
        let mut hello = Hello::new(&self.world, "dev-01", KEY);
        change(&mut hello);
        self.says(&hello.bytes())
    }

    /// Connected and subscribed.
    fn ready(options: ServiceOptions, qos: u8) -> Self {
        let mut device = Self::new(options);
        assert_eq!(device.connects(|_| {}), [Effect::Send(vec![0x20, 2, 0, 0])], "session-present is 0");
        assert_eq!(device.says(&subscribe(FILTER, qos)), [Effect::Send(vec![0x90, 3, 0, 1, qos.min(1)])]);
        device
    }
}

/// Everything that the service sends in sessions of `dev-01`, whose key is [`KEY`], each as one string.
pub(crate) fn transcript(world: &mut World) -> Vec<String> {
    let mut sessions = Vec::new();
    for (qos, key) in [(0, KEY), (1, KEY), (1, OTHER_KEY)] {
        let (mut session, mut sent) = (Session::new(), Vec::new());
        let mut says = |world: &mut World, bytes: &[u8]| {
            let now = world.now();
            sent.extend(session.receive(&mut world.service, now, bytes));
            sent.clone()
        };
        says(world, &Hello::new(world, "dev-01", key).bytes());
        says(world, &subscribe(FILTER, qos));
        let effects = says(world, &publish(0x30 | qos << 1, &format!("{REGISTER}1"), b""));
        let (_, _, payload) = published(&effects);
        let reply: serde_json::Value = serde_json::from_str(&payload).unwrap();
        let operation = reply["operationId"].as_str().unwrap_or("none");
        world.wait(1000);
        let poll = format!("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId={operation}");
        says(world, &publish(0x30 | qos << 1, &poll, b""));
        sessions.push(format!("{:?}", says(world, &[0xe0, 0])));
    }
    sessions
}

fn refused(code: u8) -> Vec<Effect> {
    vec![Effect::Send(vec![0x20, 2, 0, code]), Effect::Close]
}

#[test]
fn device_registers_over_mqtt() {
    let mut device = Device::ready(ServiceOptions::new().hint(Some(RetryAfter::Seconds(3))), 1);
    let body = br#"{"registrationId":"dev-01"}"#;
    let effects = device.says(&publish(0x32, &format!("{REGISTER}a-b"), body));
    assert_eq!(effects[0], Effect::Send(vec![0x40, 2, 0, 7]), "quality 1 is acknowledged");
    let (quality, topic, payload) = published(&effects);
    assert_eq!((quality, topic.as_str()), (1, "$dps/registrations/res/202/?$rid=a-b&retry-after=3"));
    let reply: serde_json::Value = serde_json::from_str(&payload).unwrap();
    assert_eq!(reply["status"], "assigning");
    device.world.wait(3000);
    let operation = reply["operationId"].as_str().unwrap();
    let poll = format!("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId={operation}");
    let (_, topic, payload) = published(&device.says(&publish(0x30, &poll, b" ")));
    assert_eq!(topic, "$dps/registrations/res/200/?$rid=2");
    assert!(payload.contains("hub-a.test") && payload.contains(r#""status":"assigned""#), "{payload}");
    assert_eq!(device.says(&[0xc0, 0]), [Effect::Send(vec![0xd0, 0])], "PINGREQ is answered");
    assert_eq!(device.says(&[0xe0, 0]), [Effect::Close]);
}

#[test]
fn key_in_a_topic_is_masked_and_its_place_told() {
    let mut device = Device::ready(ServiceOptions::new(), 1);
    device.says(&publish(0x30, &format!("{REGISTER}{}", KEY.trim_end_matches('=')), b""));
    let event = device.world.service.events().last().unwrap();
    assert_eq!(event.exchange().unwrap().exposed, ["topic"]);
    let topic = event.exchange().unwrap().packets[0].topic.as_deref();
    assert_eq!(topic, Some("$dps/registrations/PUT/iotdps-register/?$rid=[masked]"));
}

#[test]
fn session_accepts_bytes_in_any_portions() {
    let mut device = Device::new(ServiceOptions::new());
    let hello = Hello::new(&device.world, "dev-01", KEY).bytes();
    let all = [hello, subscribe(FILTER, 0), publish(0x30, &format!("{REGISTER}1"), b"")].concat();
    let mut effects = Vec::new();
    for piece in all.chunks(1) {
        effects.extend(device.says(piece));
    }
    let (quality, topic, _) = published(&effects);
    assert_eq!(quality, 0, "as it was granted");
    assert!(topic.starts_with("$dps/registrations/res/202/?$rid=1"), "{topic}");
}

#[test]
fn other_mqtt_versions_are_refused_in_any_portions() {
    let mut device = Device::new(ServiceOptions::new());
    let mut hello = Hello::new(&device.world, "dev-01", KEY);
    hello.level = 5;
    let effects: Vec<Effect> = hello.bytes()[..10].chunks(1).flat_map(|piece| device.says(piece)).collect();
    assert_eq!(effects, refused(1));
    // Too short to contain a version: refused without waiting for more.
    let mut device = Device::new(ServiceOptions::new());
    assert_eq!(device.says(&[0x10]), []);
    assert_eq!(device.says(&[2, 0, 0]).last(), Some(&Effect::Close));
}

#[test]
fn invalid_publish_closes_the_connection_once() {
    let mut device = Device::ready(ServiceOptions::new(), 1);
    let mut register = publish(0x32, &format!("{REGISTER}1"), b"");
    let id = register.len() - 1;
    assert_eq!(register[id], 7);
    register[id] = 0;
    assert_eq!(device.says(&register), [Effect::Close]);
    assert_eq!(device.world.service.counters().registers, 0);
    // Also in PUBREL.
    let mut device = Device::ready(ServiceOptions::new(), 1);
    assert_eq!(device.says(&[0x62, 2, 0, 0]), [Effect::Close]);
    // A request before CONNECT.
    let mut device = Device::new(ServiceOptions::new());
    assert_eq!(device.says(&publish(0x32, &format!("{REGISTER}1"), b"")), [Effect::Close]);
}

#[test]
fn register_payload_of_every_client_is_accepted() {
    for payload in ["", " ", "{}", r#"{"payload":null,"registrationId":"dev-01"}"#, r#"{"registrationId" : "dev-01"}"#]
    {
        let mut device = Device::ready(ServiceOptions::new(), 1);
        let (_, topic, _) = published(&device.says(&publish(0x30, &format!("{REGISTER}1"), payload.as_bytes())));
        assert!(topic.contains("/res/202/"), "{payload}: {topic}");
    }
    let mut device = Device::ready(ServiceOptions::new(), 1);
    let other = br#"{"registrationId":"dev-02"}"#;
    let (_, topic, _) = published(&device.says(&publish(0x30, &format!("{REGISTER}1"), other)));
    assert_eq!(topic, "$dps/registrations/res/400/?$rid=1");
}

#[test]
fn bad_signature_is_refused_by_topic_or_connack() {
    let wrong = |device: &Device| Hello::new(&device.world, "dev-01", OTHER_KEY).bytes();
    let mut device = Device::new(ServiceOptions::new());
    let hello = wrong(&device);
    assert_eq!(device.says(&hello), [Effect::Send(vec![0x20, 2, 0, 0])]);
    device.says(&subscribe(FILTER, 1));
    let (_, topic, payload) = published(&device.says(&publish(0x30, &format!("{REGISTER}1"), b"")));
    assert_eq!(topic, "$dps/registrations/res/401/?$rid=1");
    assert!(payload.contains("401000"), "the code over MQTT: {payload}");

    let mut device = Device::new(ServiceOptions::new().strict_at_connect(true));
    let hello = wrong(&device);
    assert_eq!(device.says(&hello), refused(5));
}

#[test]
fn invalid_connect_gets_its_connack_code() {
    let connects = |change: fn(&mut Hello)| Device::new(ServiceOptions::new()).connects(change);
    assert_eq!(connects(|hello| hello.level = 3), refused(1));
    assert_eq!(connects(|hello| hello.level = 5), refused(1));
    assert_eq!(connects(|hello| hello.client_id = String::new()), refused(2));
    assert_eq!(connects(|hello| hello.password = None), refused(4));
    assert_eq!(connects(|hello| hello.password = Some("secret".into())), refused(4));
    assert_eq!(connects(|hello| hello.client_id = "dev-02".into()), refused(5));
    assert_eq!(connects(|hello| hello.user = "dev-01".into()), refused(5));
    let mut device = Device::new(ServiceOptions::new());
    let expired = device_token(KEY, "dev-01", device.world.device_s() - 1);
    assert_eq!(device.connects(|hello| hello.password = Some(expired)), refused(5));
    let other = device_token(KEY, "dev-02", device.world.device_s() + 60);
    let mut device = Device::new(ServiceOptions::new());
    assert_eq!(device.connects(|hello| hello.password = Some(other)), refused(5), "a token for another device");
}

#[test]
fn other_topics_are_not_brokered() {
    let ready = || Device::ready(ServiceOptions::new(), 1);
    assert_eq!(ready().says(&subscribe("#", 1)), [Effect::Send(vec![0x90, 3, 0, 1, 0x80])]);
    assert_eq!(ready().says(&publish(0x30, "devices/dev-01/messages/events/", b"x")), [Effect::Close]);
    assert_eq!(ready().says(&publish(0x31, &format!("{REGISTER}1"), b"")), [Effect::Close], "retain");
    assert!(ready().says(&publish(0x34, &format!("{REGISTER}1"), b"")).contains(&Effect::Close), "quality 2");
    assert_eq!(Device::new(ServiceOptions::new()).says(&subscribe(FILTER, 1)), [Effect::Close], "before CONNECT");
    let page = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100));
    assert_eq!(ready().says(page.as_bytes()).last(), Some(&Effect::Close));
    let mut deaf = Device::new(ServiceOptions::new());
    deaf.connects(|_| {});
    assert_eq!(deaf.says(&publish(0x30, &format!("{REGISTER}1"), b"")), [], "no reply without a subscription");
}

#[test]
fn client_can_unsubscribe_before_disconnect() {
    let mut device = Device::ready(ServiceOptions::new(), 1);
    let mut body = vec![0, 9];
    text(&mut body, FILTER);
    assert_eq!(device.says(&packet(0xa2, &body)), [Effect::Send(vec![0xb0, 2, 0, 9])]);
    assert_eq!(device.says(&publish(0x30, &format!("{REGISTER}1"), b"")), [], "and hears nothing more");
    assert_eq!(device.says(&[0xe0, 0]), [Effect::Close]);
}

#[test]
fn planned_faults_over_mqtt() {
    let with = |at, fault| {
        let mut device = Device::new(ServiceOptions::new());
        device.world.service.inject(Scope::Registration("DEV-01"), at, fault, 1);
        device
    };
    for code in 1..=5 {
        assert_eq!(with(At::Connect, Fault::RefuseConnect { code }).connects(|_| {}), refused(code));
    }
    assert_eq!(with(At::Connect, Fault::DropBefore).connects(|_| {}), [Effect::Close]);
    assert_eq!(with(At::Connect, Fault::Silent).connects(|_| {}), []);
    let mut device = with(At::Connect, Fault::NoPing);
    device.connects(|_| {});
    assert_eq!(device.says(&[0xc0, 0]), [], "pings stay unanswered");
    let mut device = with(At::Subscribe, Fault::RefuseSubscribe);
    device.connects(|_| {});
    assert_eq!(device.says(&subscribe(FILTER, 1)), [Effect::Send(vec![0x90, 3, 0, 1, 0x80])]);

    let register = |fault| {
        let mut device = Device::ready(ServiceOptions::new(), 0);
        device.world.service.inject(Scope::All, At::Register, fault, 1);
        device.says(&publish(0x30, &format!("{REGISTER}5"), b""))
    };
    assert_eq!(register(Fault::DropAfter), [Effect::Close]);
    assert_eq!(register(Fault::Silent), []);
    assert_eq!(register(Fault::Delay { ms: 70 })[0], Effect::Pause(70));
    assert!(matches!(register(Fault::SlowBytes)[..], [Effect::Trickle(_)]));
    let flood = |of, answered| register(Fault::Flood { of, answered });
    assert_eq!(flood(Flood::Puback, false).last(), Some(&Effect::Flood(Flood::Puback)));
    let (_, topic, _) = published(&flood(Flood::HeaderLines, false));
    assert!(topic.contains("$rid=5"), "what MQTT does not have leaves the answer as it is: {topic}");
    let after = flood(Flood::PingFrames, true);
    assert_eq!(after.last(), Some(&Effect::Flood(Flood::PingFrames)));
    assert!(published(&after[..after.len() - 1]).1.contains("$rid=5"), "the answer comes first");
    let (_, topic, _) = published(&register(Fault::WrongRequestId));
    assert!(topic.contains("$rid=50"), "{topic}");
    let (_, topic, _) = published(&register(Fault::MissingRequestId));
    assert!(topic.ends_with("/?") || topic.contains("/?&"), "{topic}");
    let throttle = Fault::Throttle { retry_after: Some(RetryAfter::Date(7)) };
    let (_, topic, _) = published(&register(throttle));
    assert_eq!(topic, "$dps/registrations/res/429/?$rid=5&retry-after=7", "a topic has no place for a date");
}

#[test]
fn mqtt_requests_are_counted_per_device() {
    let mut device = Device::ready(ServiceOptions::new(), 1);
    device.says(&publish(0x30, &format!("{REGISTER}1"), b""));
    let counted = |counters: dps_emulator::Counters| (counters.connects, counters.subscribes, counters.registers);
    assert_eq!(counted(device.world.service.counters()), (1, 1, 1));
    assert_eq!(counted(device.world.service.counters_of("DEV-01")), (1, 1, 1));

    let mut device = Device::new(ServiceOptions::new());
    device.connects(|hello| hello.password = None);
    assert_eq!(counted(device.world.service.counters_of("dev-01")), (1, 0, 0));
    assert_eq!(device.world.service.counters_of("dev-01").unauthorized, 1);
}

#[test]
fn connect_requires_a_well_formed_api_version() {
    for version in ["", "/api-version=", "/api-version=2021", "/api-version=2021-13-01", "/api-version=latest"] {
        let mut device = Device::new(ServiceOptions::new());
        let effects = device.connects(|hello| hello.user = format!("{SCOPE}/registrations/dev-01{version}"));
        assert_eq!(effects, refused(5), "{version}");
        assert_eq!(device.world.service.refusals().last().unwrap().reason, RefusalReason::ApiVersion, "{version}");
    }
    let mut device = Device::new(ServiceOptions::new());
    let unknown = format!("{SCOPE}/registrations/dev-01/api-version=2099-12-31-preview");
    assert_eq!(device.connects(|hello| hello.user = unknown), [Effect::Send(vec![0x20, 2, 0, 0])]);
}

#[test]
fn connect_refusals_have_a_reason() {
    let reason = |change: fn(&mut Hello)| {
        let mut device = Device::new(ServiceOptions::new());
        device.connects(change);
        device.world.service.refusals().last().unwrap().reason
    };
    assert_eq!(reason(|hello| hello.password = None), RefusalReason::NoToken);
    assert!(RefusalReason::NoToken.to_string().contains("neither a token nor a client certificate"));
    assert_eq!(reason(|hello| hello.client_id = "dev-02".into()), RefusalReason::ClientId);
    assert_eq!(reason(|hello| hello.user = "dev-01".into()), RefusalReason::UserName);
}

#[test]
fn polls_without_an_accepted_call_are_limited() {
    let poll = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId=5.none";
    let mut device = Device::ready(ServiceOptions::new(), 0);
    let mut answered = 0;
    while !device.says(&publish(0x30, poll, b"")).contains(&Effect::Close) {
        answered += 1;
        device.world.wait(10_000);
        assert!(answered < 100, "polls of an unknown operation go on without end");
    }
    assert!(answered >= 5, "a client that resumes an old operation may be wrong a few times");

    // Once a call was accepted, polls are limited only by the rate.
    let mut device = Device::ready(ServiceOptions::new(), 0);
    assert!(!device.session.is_verified());
    device.says(&publish(0x30, &format!("{REGISTER}1"), b""));
    assert!(device.session.is_verified());
    for _ in 0..20 {
        device.world.wait(10_000);
        assert!(!device.says(&publish(0x30, poll, b"")).contains(&Effect::Close));
    }
}
