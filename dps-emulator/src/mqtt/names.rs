//! Names in MQTT: the topics of requests and replies, and the user name of CONNECT,
//! `{idScope}/registrations/{registrationId}/api-version={version}[&ClientVersion=…]`.

use crate::encoding::percent_decode;
use crate::fault::RetryAfter;

/// The topic filter that clients subscribe to.
pub(super) const REPLY_FILTER: &str = "$dps/registrations/res/#";

/// A request, identified by the topic that it is published to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Call<'a> {
    Register,
    Status { operation_id: &'a str },
}

/// Parses the topic of a request: the call, and its request id, which is echoed as it was received.
pub(super) fn parse_topic(topic: &str) -> Option<(Call<'_>, &str)> {
    let (name, properties) = topic.strip_prefix("$dps/registrations/")?.split_once("/?")?;
    let property = |wanted: &str| {
        let mut pairs = properties.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value)
    };
    let request_id = property("$rid")?;
    let call = match name {
        "PUT/iotdps-register" => Call::Register,
        "GET/iotdps-get-operationstatus" => Call::Status { operation_id: property("operationId")? },
        _ => return None,
    };
    Some((call, request_id))
}

/// The topic of a reply. The order matters: clients split it in several ways.
pub(super) fn reply_topic(status: u16, request_id: &str, retry_after: Option<RetryAfter>) -> String {
    let hint = retry_after.map(|hint| format!("&retry-after={}", hint.seconds())).unwrap_or_default();
    format!("$dps/registrations/res/{status}/?$rid={request_id}{hint}")
}

/// The parts of a user name, not decoded: clients encode neither scope nor id. The api-version is unchecked, and empty
/// if it is missing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UserName<'a> {
    pub(super) id_scope: &'a str,
    pub(super) registration_id: &'a str,
    pub(super) api_version: &'a str,
    /// What the client calls itself.
    pub(super) client_version: Option<String>,
}

/// Parses a user name. The id ends at the last `/api-version=`, since it may contain anything that an id may.
pub(super) fn parse_user_name(text: &str) -> Option<UserName<'_>> {
    let (id_scope, rest) = text.split_once('/')?;
    let rest = rest.strip_prefix("registrations/")?;
    let (registration_id, parameters) = rest.rsplit_once("/api-version=").unwrap_or((rest, ""));
    let mut parameters = parameters.split('&');
    let api_version = parameters.next()?;
    let client_version = parameters.find_map(|pair| pair.strip_prefix("ClientVersion=")).and_then(percent_decode);
    let whole = !id_scope.is_empty() && !registration_id.is_empty();
    whole.then_some(UserName { id_scope, registration_id, api_version, client_version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_topic_reads_requests_and_rejects_other_topics() {
        assert_eq!(parse_topic("$dps/registrations/PUT/iotdps-register/?$rid=1"), Some((Call::Register, "1")));
        let uuid = "7d1c6f0e-0000-4000-8000-000000000001";
        let topic = format!("$dps/registrations/GET/iotdps-get-operationstatus/?$rid={uuid}&operationId=5.a.b");
        assert_eq!(parse_topic(&topic), Some((Call::Status { operation_id: "5.a.b" }, uuid)));
        for wrong in [
            "$dps/registrations/PUT/iotdps-register/",
            "$dps/registrations/PUT/iotdps-register/?x=1",
            "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1",
            "$dps/registrations/POST/iotdps-register/?$rid=1",
            "devices/a/messages/events/",
        ] {
            assert_eq!(parse_topic(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn reply_topic_starts_with_the_request_id() {
        assert_eq!(reply_topic(200, "1", None), "$dps/registrations/res/200/?$rid=1");
        let hint = Some(RetryAfter::Seconds(3));
        assert_eq!(reply_topic(202, "a-b", hint), "$dps/registrations/res/202/?$rid=a-b&retry-after=3");
        assert!(reply_topic(429, "1", Some(RetryAfter::Date(-5))).ends_with("&retry-after=0"));
    }

    #[test]
    fn parse_user_name_reads_the_forms_of_every_client() {
        let (registration_id, api_version) = ("dev-01", "2019-03-31");
        let plain = UserName { id_scope: "0ne1", registration_id, api_version, client_version: None };
        assert_eq!(parse_user_name("0ne1/registrations/dev-01/api-version=2019-03-31"), Some(plain));
        let named =
            parse_user_name("0ne1/registrations/a:b_c.d/api-version=2021-06-01&ClientVersion=c%2F1.2.3").unwrap();
        assert_eq!((named.registration_id, named.api_version), ("a:b_c.d", "2021-06-01"));
        assert_eq!(named.client_version.as_deref(), Some("c/1.2.3"));
        for missing in ["0ne1/registrations/dev-01", "0ne1/registrations/dev-01/api-version="] {
            let read = parse_user_name(missing).unwrap();
            assert_eq!((read.registration_id, read.api_version), ("dev-01", ""), "{missing}");
        }
        for wrong in [
            "",
            "0ne1",
            "0ne1/dev-01/api-version=2019-03-31",
            "/registrations/dev-01/api-version=2019-03-31",
            "0ne1/registrations//api-version=2019-03-31",
        ] {
            assert_eq!(parse_user_name(wrong), None, "{wrong}");
        }
    }
}
