//! What the hub publishes about a certificate request: topics and bodies (Azure IoT Hub documentation, "Communicate with an IoT hub
//! using the MQTT protocol", certificate management; API version 2025-08-01-preview).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

/// The filter of the answers.
pub(super) const FILTER: &str = "$iothub/credentials/res/#";
const ANSWER: &str = "$iothub/credentials/res/";
/// No message of a hub is longer here, in characters.
const MESSAGE_MAX: usize = 300;
/// No chain has more certificates.
const CERTIFICATES_MAX: usize = 32;

/// The topic of a request.
pub(super) fn request_topic(request_id: &str) -> String {
    format!("$iothub/credentials/POST/issueCertificate/?$rid={request_id}")
}

/// The topic of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Topic<'t> {
    pub(super) status: u16,
    pub(super) request_id: &'t str,
}

impl<'t> Topic<'t> {
    /// Parses `$iothub/credentials/res/{status}/?$rid={request id}`, with other parameters in any order; `None` for anything else.
    pub(super) fn parse(topic: &'t str) -> Option<Self> {
        let (status, query) = topic.strip_prefix(ANSWER)?.split_once("/?")?;
        let digits = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
        let status = status.parse().ok().filter(|_| digits)?;
        let request_id = query.split('&').find_map(|parameter| parameter.strip_prefix("$rid="))?;
        is_request_id(request_id).then_some(Self { status, request_id })
    }
}

/// Whether a hub accepts it as a request id: 4 to 36 letters, digits and hyphens, with a hyphen neither first nor last.
pub(super) fn is_request_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (4..=36).contains(&id.len()) && id.bytes().all(allowed) && !id.starts_with('-') && !id.ends_with('-')
}

/// The body of an error. A member that is missing or of another type is not known.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    pub(super) error_code: Option<u32>,
    pub(super) message: Option<String>,
    pub(super) tracking_id: Option<String>,
    /// In seconds.
    pub(super) retry_after: Option<u64>,
    /// The request that is active, on a conflict.
    pub(super) active_request: Option<String>,
}

impl ErrorBody {
    pub(super) fn parse(body: &[u8]) -> Self {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return Self::default() };
        let text = |value: &Value| value.as_str().map(printable);
        // A number, or digits.
        let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let id = |value: &Value| value.as_str().filter(|id| is_request_id(id)).map(str::to_owned);
        Self {
            error_code: number(&body["errorCode"]).and_then(|code| u32::try_from(code).ok()),
            message: text(&body["message"]),
            tracking_id: text(&body["trackingId"]),
            retry_after: number(&body["retryAfter"]),
            active_request: id(&body["info"]["requestId"]),
        }
    }
}

/// Returns the certificates of a final answer as DER; `None` where the body has none, or what it has is not base64.
pub(super) fn certificates(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let list = body["certificates"].as_array().filter(|list| (1..=CERTIFICATES_MAX).contains(&list.len()))?;
    list.iter().map(|text| BASE64_STANDARD.decode(text.as_str()?).ok()).collect()
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MESSAGE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_is_parsed_with_parameters_in_any_order() {
        for (topic, expected) in [
            ("$iothub/credentials/res/202/?$rid=abc-1", Some((202, "abc-1"))),
            ("$iothub/credentials/res/200/?$rid=123456&$version=1", Some((200, "123456"))),
            ("$iothub/credentials/res/409/?$version=1&$rid=abcd", Some((409, "abcd"))),
            ("$iothub/credentials/res/200/", None),
            ("$iothub/credentials/res/200/?$version=1", None),
            ("$iothub/credentials/res/20/?$rid=abcd", None),
            ("$iothub/credentials/res/+20/?$rid=abcd", None),
            ("$iothub/credentials/res/2000/?$rid=abcd", None),
            ("$iothub/credentials/res/200/?$rid=abc", None),
            ("$iothub/credentials/res/200/?$rid=ab\u{1b}cd", None),
            ("$iothub/twin/res/200/?$rid=abcd", None),
        ] {
            let parsed = Topic::parse(topic).map(|topic| (topic.status, topic.request_id));
            assert_eq!(parsed, expected, "{topic}");
        }
    }

    #[test]
    fn members_of_other_types_are_not_known_and_text_is_printable() {
        let body =
            br#"{"errorCode":"x","message":"a\u001b[31mb","trackingId":7,"retryAfter":"9","info":{"requestId":"a b"}}"#;
        let parsed = ErrorBody::parse(body);
        assert_eq!((parsed.error_code, parsed.tracking_id, parsed.active_request), (None, None, None));
        assert_eq!((parsed.message.as_deref(), parsed.retry_after), (Some("a[31mb"), Some(9)));
        for body in [&b""[..], b"[1]", b"{\"errorCode\":4000000000000}", b"null"] {
            assert_eq!(ErrorBody::parse(body), ErrorBody::default());
        }
    }
}
