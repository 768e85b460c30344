//! Topics of requests, and of the replies to them.

use crate::fault::RetryAfter;

/// What clients subscribe to.
pub(super) const REPLY_FILTER: &str = "$dps/registrations/res/#";

/// A request, named by the topic it is published to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Call<'a> {
    Register,
    Status { operation_id: &'a str },
}

/// The call and its request id, which is echoed as it was received.
pub(super) fn parse(topic: &str) -> Option<(Call<'_>, &str)> {
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
pub(super) fn reply(status: u16, request_id: &str, retry_after: Option<RetryAfter>) -> String {
    let hint = retry_after.map(|hint| format!("&retry-after={}", seconds(hint))).unwrap_or_default();
    format!("$dps/registrations/res/{status}/?$rid={request_id}{hint}")
}

/// A topic has no place for a date: it becomes the seconds until then.
fn seconds(hint: RetryAfter) -> u64 {
    match hint {
        RetryAfter::Seconds(seconds) => u64::from(seconds),
        RetryAfter::Date(offset) => u64::try_from(offset).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_known_by_their_topics() {
        assert_eq!(parse("$dps/registrations/PUT/iotdps-register/?$rid=1"), Some((Call::Register, "1")));
        let uuid = "7d1c6f0e-0000-4000-8000-000000000001";
        let topic = format!("$dps/registrations/GET/iotdps-get-operationstatus/?$rid={uuid}&operationId=5.a.b");
        assert_eq!(parse(&topic), Some((Call::Status { operation_id: "5.a.b" }, uuid)));
        for wrong in [
            "$dps/registrations/PUT/iotdps-register/",
            "$dps/registrations/PUT/iotdps-register/?x=1",
            "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1",
            "$dps/registrations/POST/iotdps-register/?$rid=1",
            "devices/a/messages/events/",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn replies_name_the_request_first() {
        assert_eq!(reply(200, "1", None), "$dps/registrations/res/200/?$rid=1");
        let hint = Some(RetryAfter::Seconds(3));
        assert_eq!(reply(202, "a-b", hint), "$dps/registrations/res/202/?$rid=a-b&retry-after=3");
        assert!(reply(429, "1", Some(RetryAfter::Date(-5))).ends_with("&retry-after=0"));
    }
}
