//! MQTT replies: a topic up to the first line feed, the payload behind it. Topics are compared with what was written,
//! replies with what the HTTP codec makes of the same parts.
#![no_main]

use dps_core::codec::http::{self, Head};
use dps_core::codec::mqtt::{Topic, parse_topic, read_reply};
use dps_core::message::RequestId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (topic, payload) = data.split_at(end);
    let payload = payload.get(1..).unwrap_or(&[]);
    let Some(topic) = std::str::from_utf8(topic).ok().and_then(parse_topic) else { return };
    is_written_as_it_is_read(&topic);
    answers_one_request(&topic);

    let (mut over_mqtt, mut over_http) = (payload.to_vec(), payload.to_vec());
    let head = Head { status: topic.status, retry_after: topic.retry_after, date: None };
    assert_eq!(read_reply(&topic, &mut over_mqtt), http::read_reply(head, &mut over_http));
    assert_eq!(over_mqtt, over_http);
});

fn is_written_as_it_is_read(topic: &Topic<'_>) {
    let mut text = format!("$dps/registrations/res/{}/?", topic.status);
    for (name, value) in [("$rid", topic.request_id), ("retry-after", topic.retry_after)] {
        text.extend(value.map(|value| format!("&{name}={value}")));
    }
    assert_eq!(parse_topic(&text), Some(*topic));
}

fn answers_one_request(topic: &Topic<'_>) {
    let digits = topic.request_id.filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse::<u32>().ok());
    for id in [0, 1, number.unwrap_or(7), number.unwrap_or(7).wrapping_add(1)] {
        assert_eq!(topic.answers(RequestId::new(id)), number == Some(id));
    }
}
