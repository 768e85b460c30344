//! What a webhook's reply means: an allocation, or why there is none. Every member is judged, so that its developer sees
//! all that is wrong at once.

use std::fmt::Write as _;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Map, Value};

use super::WEBHOOK_REPLY_MAX;
use crate::enrollment::{InitialTwin, TwinProperties};

/// How much of a string of a webhook is repeated in a message, in characters.
const QUOTED_MAX: usize = 100;
/// How many hubs a message lists.
const OFFERED_MAX: usize = 4;
const STATUS: &str = "status";
const BODY: &str = "body";
const HUB: &str = "iotHubHostName";
const TWIN: &str = "initialTwin";
const PAYLOAD: &str = "payload";

/// The reply of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookReply {
    /// The HTTP status.
    pub status: u16,
    /// The body; more than 64 KiB are refused.
    pub body: Vec<u8>,
}

/// Why a webhook was not called, or did not reply. No message contains the URL's query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// The URL's host is neither loopback nor named as a webhook's host.
    #[error("the webhook was not called: its host {host} is not on loopback, and was not named as a webhook's host")]
    HostNotAllowed {
        /// The host.
        host: String,
    },
    /// The host has an address that must not be called.
    #[error(
        "the webhook was not called: its host {host} has the address {address}, which is never called by a name: if it \
         is meant, write the address into the URL, and name it as a webhook's host"
    )]
    AddressNotAllowed {
        /// The host.
        host: String,
        /// The address: not loopback for `localhost`, or one that is unspecified, link-local or multicast.
        address: IpAddr,
    },
    /// The host's name cannot be resolved.
    #[error("the webhook was not called: its host {host} cannot be resolved: {problem}")]
    Unresolved {
        /// The host.
        host: String,
        /// Why, in the operating system's words.
        problem: String,
    },
    /// No connection, or it ended before the reply was complete.
    #[error("the webhook did not reply: {problem}")]
    Connection {
        /// Why, in the operating system's words.
        problem: String,
    },
    /// TLS failed, such as by a certificate that is not trusted.
    #[error("the webhook did not reply: no TLS connection: {problem}")]
    Tls {
        /// Why.
        problem: String,
    },
    /// What the webhook sent is not HTTP.
    #[error("the webhook's reply is not valid HTTP")]
    InvalidReply,
    /// The reply has more than 64 KiB.
    #[error("the webhook's reply has more than 64 KiB")]
    ReplyTooLarge,
    /// No complete reply within the time limit.
    #[error("the webhook did not reply completely within {limit_ms} ms")]
    TimedOut {
        /// The time limit, in milliseconds.
        limit_ms: u64,
    },
    /// Too many registrations wait for their webhooks.
    #[error("the webhook was not called: too many registrations wait for their webhooks")]
    TooManyWaiting,
}

/// How a member of a webhook's reply was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MemberVerdict {
    /// It is valid.
    Accepted,
    /// It is optional and missing, or null.
    Absent,
    /// The service does not know it.
    Ignored,
    /// It is invalid or missing, and the registration fails.
    Rejected,
}

/// One member of a webhook's reply, and how it was judged.
///
/// As JSON: `{"member":"iotHubHostName","verdict":"accepted","detail":"hub-a.test"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JudgedMember {
    /// `status`, `body`, or the member's name, such as `initialTwin.properties.desired`.
    pub member: String,
    /// How it was judged.
    pub verdict: MemberVerdict,
    /// Its value, or what is wrong with it and what to do.
    pub detail: String,
}

/// The hub and the rest of a valid reply.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Allocation {
    pub(crate) hub: String,
    pub(crate) twin: Option<InitialTwin>,
    pub(crate) payload: Option<Value>,
}

/// What a service makes of a webhook's reply.
///
/// ```
/// use dps_emulator::{Judgment, WebhookReply};
///
/// let reply = WebhookReply { status: 200, body: br#"{"iotHubHostName":"hub-x.test"}"#.to_vec() };
/// let judgment = Judgment::new(&reply, &["hub-a.test".to_owned()]);
/// assert_eq!(
///     judgment.failure().as_deref(),
///     Some("Custom allocation failed: 'iotHubHostName': \"hub-x.test\" is not in linkedHubs (hub-a.test).")
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Judgment {
    members: Vec<JudgedMember>,
    allocation: Result<Allocation, String>,
}

impl Judgment {
    /// Judges a reply to a request that offered these hubs.
    #[must_use]
    pub fn new(reply: &WebhookReply, linked_hubs: &[String]) -> Self {
        let mut members = Members::default();
        let allocation = members.allocation(reply, linked_hubs);
        let allocation = match (allocation, members.first_rejected()) {
            (Some(allocation), None) => Ok(allocation),
            _ if reply.status != 200 => Err(format!("Custom allocation failed with status code: {}.", reply.status)),
            (_, rejected) => {
                let (member, detail) = rejected.map_or((BODY, "invalid"), |member| (&member.member, &member.detail));
                Err(format!("Custom allocation failed: '{member}': {detail}."))
            }
        };
        Self { members: members.0, allocation }
    }

    /// The members in the order in which they were judged. After a status other than 200, only that.
    #[must_use]
    pub fn members(&self) -> &[JudgedMember] {
        &self.members
    }

    /// The message that the device receives with the error 400207; `None` if the reply is valid.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.allocation.as_ref().err().cloned()
    }

    /// The hub that the webhook chose, as the service spells it; `None` if the reply is invalid.
    #[must_use]
    pub fn hub(&self) -> Option<&str> {
        self.allocation.as_ref().ok().map(|allocation| allocation.hub.as_str())
    }

    pub(crate) fn into_allocation(self) -> Result<Allocation, String> {
        self.allocation
    }
}

#[derive(Default)]
struct Members(Vec<JudgedMember>);

impl Members {
    fn note(&mut self, member: impl Into<String>, verdict: MemberVerdict, detail: impl Into<String>) {
        self.0.push(JudgedMember { member: member.into(), verdict, detail: detail.into() });
    }

    fn accept(&mut self, member: &str, detail: impl Into<String>) {
        self.note(member, MemberVerdict::Accepted, detail);
    }

    fn reject(&mut self, member: &str, detail: impl Into<String>) {
        self.note(member, MemberVerdict::Rejected, detail);
    }

    fn first_rejected(&self) -> Option<&JudgedMember> {
        self.0.iter().find(|member| member.verdict == MemberVerdict::Rejected)
    }

    fn allocation(&mut self, reply: &WebhookReply, linked_hubs: &[String]) -> Option<Allocation> {
        if reply.status != 200 {
            self.reject(STATUS, format!("{}; it must be 200", reply.status));
            return None;
        }
        self.accept(STATUS, "200");
        let mut body = self.body(&reply.body)?;
        let hub = self.hub(&body, linked_hubs);
        let twin = self.twin(body.remove(TWIN));
        let payload = self.object(PAYLOAD, body.remove(PAYLOAD)).map(Value::Object);
        body.remove(HUB);
        self.ignore(None, &body, &[HUB, TWIN, PAYLOAD]);
        Some(Allocation { hub: hub?, twin, payload })
    }

    /// Notes what is left of an object once its known members were judged.
    fn ignore(&mut self, of: Option<&str>, left: &Map<String, Value>, known: &[&str]) {
        let object = of.unwrap_or("a reply");
        for name in left.keys() {
            let detail = match known.iter().find(|known| known.eq_ignore_ascii_case(name)) {
                Some(known) => format!("not a member of {object}; the service's spelling is {known}"),
                None => format!("not a member of {object}"),
            };
            let member = of.map_or_else(|| quoted(name), |of| format!("{of}.{}", quoted(name)));
            self.note(member, MemberVerdict::Ignored, detail);
        }
    }

    fn body(&mut self, bytes: &[u8]) -> Option<Map<String, Value>> {
        if bytes.len() > WEBHOOK_REPLY_MAX {
            self.reject(BODY, format!("{} bytes; at most {WEBHOOK_REPLY_MAX} are read", bytes.len()));
            return None;
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(body)) => {
                self.accept(BODY, format!("a JSON object of {} bytes", bytes.len()));
                Some(body)
            }
            Ok(other) => {
                self.reject(BODY, format!("it must be a JSON object, not {}", kind(&other)));
                None
            }
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                self.reject(BODY, format!("not valid JSON, at line {line}, column {column}"));
                None
            }
        }
    }

    fn hub(&mut self, body: &Map<String, Value>, linked_hubs: &[String]) -> Option<String> {
        let offered = offered(linked_hubs);
        let hub = match body.get(HUB) {
            Some(Value::String(hub)) => hub,
            None | Some(Value::Null) => {
                self.reject(HUB, format!("missing; it must be one of linkedHubs ({offered})"));
                return None;
            }
            Some(other) => {
                self.reject(HUB, format!("it must be a string, not {}", kind(other)));
                return None;
            }
        };
        let linked = linked_hubs.iter().find(|linked| linked.eq_ignore_ascii_case(hub));
        match linked {
            Some(hub) => self.accept(HUB, hub),
            None => self.reject(HUB, format!("{} is not in linkedHubs ({offered})", quoted(hub))),
        }
        linked.cloned()
    }

    fn twin(&mut self, value: Option<Value>) -> Option<InitialTwin> {
        const TAGS: &str = "initialTwin.tags";
        const PROPERTIES: &str = "initialTwin.properties";
        const DESIRED: &str = "initialTwin.properties.desired";
        let mut twin = self.object(TWIN, value)?;
        let tags = self.object(TAGS, twin.remove("tags"));
        let properties = self.object(PROPERTIES, twin.remove("properties"));
        let desired = properties.and_then(|mut properties| {
            let desired = self.object(DESIRED, properties.remove("desired"));
            self.ignore(Some(PROPERTIES), &properties, &["desired"]);
            desired
        });
        self.ignore(Some(TWIN), &twin, &["tags", "properties"]);
        Some(InitialTwin { tags, properties: Some(TwinProperties { desired }) })
    }

    /// An optional member that must be an object.
    fn object(&mut self, member: &str, value: Option<Value>) -> Option<Map<String, Value>> {
        match value {
            None | Some(Value::Null) => {
                self.note(member, MemberVerdict::Absent, "optional");
                None
            }
            Some(Value::Object(object)) => {
                let count = object.len();
                self.accept(member, format!("an object with {count} member{}", if count == 1 { "" } else { "s" }));
                Some(object)
            }
            Some(other) => {
                self.reject(member, format!("it must be an object, not {}", kind(&other)));
                None
            }
        }
    }
}

/// The hubs that a webhook can choose, or the first of them.
fn offered(linked_hubs: &[String]) -> String {
    let shown = linked_hubs[..linked_hubs.len().min(OFFERED_MAX)].join(", ");
    match linked_hubs.len().saturating_sub(OFFERED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A string of a webhook in a message: bounded, with control characters escaped.
fn quoted(text: &str) -> String {
    let start: String = text.chars().take(QUOTED_MAX).collect();
    let mut quoted = format!("{start:?}");
    if start.len() < text.len() {
        let _ = write!(quoted, " (the first {QUOTED_MAX} characters)");
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUBS: [&str; 2] = ["hub-a.test", "hub-b.test"];

    fn judge(status: u16, body: &str) -> Judgment {
        Judgment::new(&WebhookReply { status, body: body.into() }, &HUBS.map(str::to_owned))
    }

    fn rejected(judgment: &Judgment) -> Vec<String> {
        let rejected = judgment.members().iter().filter(|member| member.verdict == MemberVerdict::Rejected);
        rejected.map(|member| format!("{}: {}", member.member, member.detail)).collect()
    }

    #[test]
    fn valid_reply_is_an_allocation() {
        let judgment = judge(
            200,
            r#"{"iotHubHostName":"HUB-B.test","initialTwin":{"tags":{"a":1},"properties":{"desired":{"b":2}}},"payload":{"c":3}}"#,
        );
        assert_eq!((judgment.hub(), judgment.failure()), (Some("hub-b.test"), None));
        let allocation = judgment.into_allocation().unwrap();
        assert_eq!(serde_json::to_value(&allocation.twin).unwrap()["properties"]["desired"]["b"], 2);
        assert_eq!(allocation.payload.unwrap()["c"], 3);
        for minimal in [r#"{"iotHubHostName":"hub-a.test"}"#, r#"{"iotHubHostName":"hub-a.test","initialTwin":null}"#] {
            let allocation = judge(200, minimal).into_allocation().unwrap();
            assert_eq!((allocation.twin, allocation.payload), (None, None));
        }
    }

    #[test]
    fn status_other_than_200_is_in_the_message_and_nothing_else_is_judged() {
        for status in [201, 204, 302, 401, 500] {
            let judgment = judge(status, r#"{"iotHubHostName":"hub-a.test"}"#);
            assert_eq!(judgment.failure(), Some(format!("Custom allocation failed with status code: {status}.")));
            assert_eq!(judgment.members().len(), 1);
        }
    }

    #[test]
    fn every_invalid_member_is_listed_and_the_first_one_is_in_the_message() {
        let judgment = judge(200, r#"{"iotHubHostName":7,"initialTwin":{"tags":[],"properties":1},"payload":"x"}"#);
        assert_eq!(
            rejected(&judgment),
            [
                "iotHubHostName: it must be a string, not a number",
                "initialTwin.tags: it must be an object, not an array",
                "initialTwin.properties: it must be an object, not a number",
                "payload: it must be an object, not a string",
            ]
        );
        let message = "Custom allocation failed: 'iotHubHostName': it must be a string, not a number.";
        assert_eq!(judgment.failure().as_deref(), Some(message));
        let nested = judge(200, r#"{"iotHubHostName":"hub-a.test","initialTwin":{"properties":{"desired":0}}}"#);
        assert_eq!(rejected(&nested), ["initialTwin.properties.desired: it must be an object, not a number"]);
    }

    #[test]
    fn body_that_is_not_an_object_is_rejected_with_its_place() {
        assert_eq!(rejected(&judge(200, "{\n  oops")), ["body: not valid JSON, at line 2, column 3"]);
        assert_eq!(rejected(&judge(200, "")), ["body: not valid JSON, at line 1, column 0"]);
        assert_eq!(rejected(&judge(200, "[]")), ["body: it must be a JSON object, not an array"]);
        assert_eq!(rejected(&judge(200, &"[".repeat(1000))).len(), 1);
        let large = judge(200, &" ".repeat(WEBHOOK_REPLY_MAX + 1));
        assert_eq!(rejected(&large), ["body: 65537 bytes; at most 65536 are read"]);
    }

    #[test]
    fn text_of_a_webhook_is_bounded_and_printable_in_messages() {
        let name = format!("\\u001b[31m{}", "x".repeat(500));
        let message = judge(200, &format!(r#"{{"iotHubHostName":"{name}"}}"#)).failure().unwrap();
        assert!(message.contains("\\u{1b}") && message.chars().all(|c| !c.is_control()), "{message}");
        assert!(message.len() < 300, "{message}");
    }

    #[test]
    fn misspelled_member_is_ignored_with_the_right_spelling() {
        let judgment = judge(200, r#"{"iotHubHostname":"hub-a.test"}"#);
        assert_eq!(
            rejected(&judgment),
            ["iotHubHostName: missing; it must be one of linkedHubs (hub-a.test, hub-b.test)"]
        );
        let ignored = judgment.members().last().unwrap();
        assert_eq!((ignored.member.as_str(), ignored.verdict), ("\"iotHubHostname\"", MemberVerdict::Ignored));
        assert!(ignored.detail.ends_with("iotHubHostName"));
    }

    #[test]
    fn unknown_members_of_the_twin_are_ignored_visibly() {
        let reply =
            r#"{"iotHubHostName":"hub-a.test","initialTwin":{"Tags":{},"desired":{},"properties":{"reported":{}}}}"#;
        let judgment = judge(200, reply);
        assert_eq!(judgment.hub(), Some("hub-a.test"));
        let ignored = judgment.members().iter().filter(|member| member.verdict == MemberVerdict::Ignored);
        let ignored: Vec<String> = ignored.map(|member| format!("{}: {}", member.member, member.detail)).collect();
        assert_eq!(
            ignored,
            [
                "initialTwin.properties.\"reported\": not a member of initialTwin.properties",
                "initialTwin.\"Tags\": not a member of initialTwin; the service's spelling is tags",
                "initialTwin.\"desired\": not a member of initialTwin",
            ]
        );
    }
}
