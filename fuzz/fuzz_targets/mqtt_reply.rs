//! MQTT replies: a topic up to the first line feed, followed by the payload. Topics are compared with what was written,
//! replies with the result of the HTTP codec for the same parts.
#![no_main]

use dps_core::codec::http::{self, Head};
use dps_core::codec::mqtt::{Topic, parse_topic, read_reply};
use dps_core::{ByteStr, Millis, RequestId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (bytes, payload) = data.split_at(end);
    let payload = payload.get(1..).unwrap_or(&[]);
    let Some(topic) = parse_topic(bytes) else { return };
    assert_eq!(told_by(bytes), Some((topic.status, topic.request_id, topic.retry_after)));
    is_written_as_it_is_read(&topic);

    let (mut over_mqtt, mut over_http) = (payload.to_vec(), payload.to_vec());
    let hint = topic.retry_after.map(|hint| hint.secs_rounded_up().to_string());
    let head = Head { status: topic.status, retry_after: hint.as_deref().map(ByteStr::from), date: None };
    assert_eq!(read_reply(&topic, &mut over_mqtt), http::read_reply(head, &mut over_http));
    assert_eq!(over_mqtt, over_http);
});

/// The last of each property, split by the standard library.
fn told_by(bytes: &[u8]) -> Option<(u16, Option<u32>, Option<Millis>)> {
    let topic = bytes.strip_prefix(b"$dps/registrations/res/")?;
    let status = std::str::from_utf8(topic.get(..3)?).ok()?.parse().ok()?;
    let text = String::from_utf8_lossy(topic.get(5..)?);
    let last =
        |name: &str| text.split('&').filter_map(|property| property.strip_prefix(name)).next_back().map(str::to_owned);
    let number = |text: String| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok())?;
    let hint = last("retry-after=").and_then(number);
    let retry_after = hint.filter(|hint| *hint <= 86_400).map(Millis::from_secs);
    Some((status, last("$rid=").and_then(number), retry_after))
}

fn is_written_as_it_is_read(topic: &Topic) {
    let mut text = format!("$dps/registrations/res/{}/?", topic.status);
    text.extend(topic.request_id.map(|id| format!("&$rid={id}")));
    text.extend(topic.retry_after.map(|hint| format!("&retry-after={}", hint.secs_rounded_up())));
    assert_eq!(parse_topic(&text), Some(*topic));
    let id = topic.request_id.unwrap_or(7);
    assert_eq!(topic.answers(RequestId::new(id)), topic.request_id.is_some());
    assert!(!topic.answers(RequestId::new(id.wrapping_add(1))));
}
