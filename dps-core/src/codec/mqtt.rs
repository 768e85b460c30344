//! The device API over MQTT 3.1.1 (Azure IoT DPS documentation, "Communicate with DPS using the MQTT protocol"): what
//! goes into CONNECT, the topics, and the reading of replies.
//!
//! Packets are left to an MQTT library; this file knows user names, topics and payloads. A password is the
//! token as it is, a client id the registration id.

use crate::codec;
use crate::ids::{IdScope, Identity, RegistrationId};
use crate::message::{Call, LinkError, Reply, Request, RequestId};
use crate::schema;
use crate::text::{Text, parse_decimal};
use crate::time::Millis;

/// The API version that is asked for unless the caller names another.
pub const DEFAULT_API_VERSION: &str = "2019-03-31";
/// The port of MQTT over TLS.
pub const DEFAULT_PORT: u16 = 8883;
/// The port of MQTT over WebSocket, which is that of HTTPS.
pub const WEBSOCKET_PORT: u16 = 443;
/// Where a WebSocket is opened.
pub const WEBSOCKET_PATH: &str = "/$iothub/websocket";
/// The subprotocol to ask for (MQTT 3.1.1, section 6).
pub const WEBSOCKET_PROTOCOL: &str = "mqtt";
/// What to subscribe to before the first request.
pub const SUBSCRIBE_FILTER: &str = "$dps/registrations/res/#";

const REPLY_PREFIX: &[u8] = b"$dps/registrations/res/";

/// Writes the user name of CONNECT. An empty `user_agent` is left out.
#[inline(always)] // Once in firmware for each type of the version.
pub fn write_user_name(
    text: &mut Text<'_>,
    identity: &Identity<'_>,
    api_version: impl AsRef<[u8]>,
    user_agent: impl AsRef<[u8]>,
) {
    write_user_name_parts(text, identity.id_scope, identity.registration_id, api_version, user_agent.as_ref());
}

/// [`write_user_name`] by its parts.
#[doc(hidden)]
pub fn write_user_name_parts(
    text: &mut Text<'_>,
    id_scope: IdScope<'_>,
    registration_id: RegistrationId<'_>,
    api_version: impl AsRef<[u8]>,
    user_agent: &[u8],
) {
    // The service expects the id scope and the registration id as they are, and the rest percent-encoded.
    text.push(id_scope.as_bytes());
    text.push("/registrations/");
    text.push(registration_id.as_bytes());
    text.push("/api-version=");
    text.push_percent(api_version);
    if !user_agent.is_empty() {
        text.push("&ClientVersion=");
        text.push_percent(user_agent);
    }
}

/// Writes the topic to publish a request to. [`Call::Lookup`] and [`Call::Time`] have none: a link answers
/// [`LinkError::Unsupported`] to them.
pub fn write_topic(text: &mut Text<'_>, request: &Request<'_>) {
    write_call_topic(text, request.id, &request.call);
}

/// Writes the topic for a call by its parts, for a program without a [`Registration`](crate::Registration).
pub fn write_call_topic(text: &mut Text<'_>, id: RequestId, call: &Call<'_>) {
    match call {
        Call::Register { .. } => write_operation_topic(text, id, b""),
        Call::Status { operation_id } => write_operation_topic(text, id, operation_id.as_bytes()),
        Call::Lookup | Call::LookupWithMembers { .. } | Call::Time => {}
    }
}

/// Writes the topic to ask about an operation, or to register where its id is empty.
#[doc(hidden)]
pub fn write_operation_topic(text: &mut Text<'_>, id: RequestId, operation_id: &[u8]) {
    let is_status = !operation_id.is_empty();
    text.push("$dps/registrations/");
    text.push(if is_status { "GET/iotdps-get-operationstatus" } else { "PUT/iotdps-register" });
    text.push("/?$rid=");
    text.push_decimal(u64::from(id.get()));
    if is_status {
        text.push("&operationId=");
        text.push(operation_id);
    }
}

/// Writes the payload to publish; nothing for a poll.
pub fn write_payload(text: &mut Text<'_>, request: &Request<'_>) {
    write_call_payload(text, request.identity.registration_id, &request.call);
}

/// Writes the payload for a call by its parts.
pub fn write_call_payload(text: &mut Text<'_>, registration_id: RegistrationId<'_>, call: &Call<'_>) {
    schema::write_body(text, registration_id, call);
}

/// What the topic of a reply tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Topic {
    /// The status, as HTTP's.
    pub status: u16,
    /// The number of the request that is answered.
    pub request_id: Option<u32>,
    /// The hint when to ask again; `None` where it is missing, or not a number of seconds up to a day.
    pub retry_after: Option<Millis>,
}

impl Topic {
    /// Whether this request is answered.
    #[must_use]
    pub fn answers(&self, id: RequestId) -> bool {
        self.request_id == Some(id.get())
    }
}

/// Reads the topic of a reply; its properties can come in any order. `None` for every other topic.
#[must_use]
pub fn parse_topic(topic: impl AsRef<[u8]>) -> Option<Topic> {
    parse_topic_bytes(topic.as_ref())
}

fn parse_topic_bytes(topic: &[u8]) -> Option<Topic> {
    let (status, rest) = topic.strip_prefix(REPLY_PREFIX)?.split_at_checked(3)?;
    let status = parse_decimal(status).filter(|status| (100..600).contains(status))? as u16;
    let mut parsed = Topic { status, request_id: None, retry_after: None };
    for property in rest.strip_prefix(b"/?")?.split(|byte| *byte == b'&') {
        if let Some(id) = property.strip_prefix(b"$rid=") {
            parsed.request_id = parse_decimal(id);
        } else if let Some(hint) = property.strip_prefix(b"retry-after=") {
            parsed.retry_after = parse_decimal(hint).and_then(codec::hint);
        }
    }
    Some(parsed)
}

/// Reads a reply. The payload is unescaped in place. MQTT carries no date.
///
/// # Errors
/// [`LinkError::InvalidReply`] when the status promises a body that is missing (2xx), or is not one of an API. An error
/// status with an unreadable payload is still a reply.
pub fn read_reply<'b>(topic: &Topic, payload: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
    let mut reply = Reply::default();
    read_reply_into(&mut reply, topic, payload)?;
    Ok(reply)
}

/// Reads a reply into one of the caller's, which firmware does not have to move.
///
/// # Errors
/// As [`read_reply`]. Then `reply` has the status and the hint.
pub fn read_reply_into<'b>(reply: &mut Reply<'b>, topic: &Topic, payload: &'b mut [u8]) -> Result<(), LinkError> {
    reply.status = topic.status;
    reply.retry_after = topic.retry_after;
    codec::read_body(reply, payload)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::String;

    use super::*;
    use crate::ids::{Endpoint, IdScope, RegistrationId};
    use crate::message::{Payload, Status};
    use crate::time::Instant;

    fn identity() -> Identity<'static> {
        Identity {
            endpoint: Endpoint::GLOBAL,
            id_scope: IdScope::new("0neFEEDC0DE").unwrap(),
            registration_id: RegistrationId::new("myRegistrationId").unwrap(),
        }
    }

    fn written(write: impl FnOnce(&mut Text<'_>)) -> String {
        let mut buffer = [0; 512];
        let mut text = Text::new(&mut buffer);
        write(&mut text);
        text.finish().unwrap().into()
    }

    fn request(call: Call<'_>) -> Request<'_> {
        Request::new(RequestId::new(7), call, identity(), None, Instant::from_millis(0))
    }

    #[test]
    fn user_names_are_as_other_clients_send_them() {
        let plain = written(|text| write_user_name(text, &identity(), "2019-03-31", ""));
        assert_eq!(plain, "0neFEEDC0DE/registrations/myRegistrationId/api-version=2019-03-31");
        let named = written(|text| write_user_name(text, &identity(), "2019-03-31", "c/1.2.3"));
        assert_eq!(named, "0neFEEDC0DE/registrations/myRegistrationId/api-version=2019-03-31&ClientVersion=c%2F1.2.3");
    }

    #[test]
    fn requests_have_their_topics_and_payloads() {
        let payload = Payload::new("{\"a\":1}").unwrap();
        let register = request(Call::register(Some(payload)));
        assert_eq!(written(|text| write_topic(text, &register)), "$dps/registrations/PUT/iotdps-register/?$rid=7");
        let body = "{\"registrationId\":\"myRegistrationId\",\"payload\":{\"a\":1}}";
        assert_eq!(written(|text| write_payload(text, &register)), body);

        let status = request(Call::Status { operation_id: "5.31.b-1".into() });
        let topic = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=7&operationId=5.31.b-1";
        assert_eq!(written(|text| write_topic(text, &status)), topic);
        assert_eq!(written(|text| write_payload(text, &status)), "");
        assert_eq!(written(|text| write_topic(text, &request(Call::Lookup))), "");
    }

    #[test]
    fn reply_topic_properties_are_read_in_any_order() {
        let topic = parse_topic("$dps/registrations/res/202/?$rid=7&retry-after=3").unwrap();
        assert_eq!(topic, Topic { status: 202, request_id: Some(7), retry_after: Some(Millis::from_secs(3)) });
        assert!(topic.answers(RequestId::new(7)) && !topic.answers(RequestId::new(8)));
        assert_eq!(parse_topic("$dps/registrations/res/202/?retry-after=3&x=y&$rid=7"), Some(topic));
        let bare = parse_topic("$dps/registrations/res/401/?$rid=1").unwrap();
        assert_eq!((bare.status, bare.request_id, bare.retry_after), (401, Some(1), None));
        for strange in ["$rid=x", "$rid", "rid=7", "$rid=", "$rid=4294967296", ""] {
            let topic = parse_topic(std::format!("$dps/registrations/res/200/?{strange}")).unwrap();
            assert_eq!(topic, Topic { status: 200, request_id: None, retry_after: None }, "{strange}");
        }
        for other in [
            "$dps/registrations/res/",
            "$dps/registrations/res/202",
            "$dps/registrations/res/202/$rid=1",
            "$dps/registrations/res/20/?$rid=1",
            "$dps/registrations/res/2020/?$rid=1",
            "$dps/registrations/res/2x2/?$rid=1",
            "$dps/registrations/res/099/?$rid=1",
            "$dps/registrations/res/999/?$rid=1",
            "$iothub/twin/res/200/?$rid=1",
            "",
        ] {
            assert_eq!(parse_topic(other), None, "{other}");
        }
    }

    #[test]
    fn reply_hint_over_a_day_is_ignored() {
        for (hint, expected) in [
            ("3", Some(3)),
            (" 3", None),
            ("0", Some(0)),
            ("86400", Some(86_400)),
            ("86401", None),
            ("4294967299", None),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            let topic = parse_topic(std::format!("$dps/registrations/res/202/?$rid=1&retry-after={hint}")).unwrap();
            let mut payload = *b"{\"operationId\":\"5.0\",\"status\":\"assigning\"}";
            let reply = read_reply(&topic, &mut payload).unwrap();
            assert_eq!((reply.retry_after, reply.date), (expected.map(Millis::from_secs), None), "{hint}");
            assert_eq!((reply.body.operation_id, reply.body.status), (Some("5.0".into()), Some(Status::Assigning)));
        }
        let bare = Topic { status: 200, request_id: None, retry_after: None };
        assert_eq!(read_reply(&bare, &mut []), Err(LinkError::InvalidReply));
        let refused = Topic { status: 401, ..bare };
        assert_eq!(read_reply(&refused, &mut []).map(|reply| reply.status), Ok(401));
    }
}
