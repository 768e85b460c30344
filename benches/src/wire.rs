//! Writing requests and reading replies, over both transports.

use std::hint::black_box;

use dps_core::codec::http::{self, wire};
use dps_core::codec::mqtt;
use dps_core::internal::schema;
use dps_core::{Authorization, Call, Instant, Reply, Request, RequestId, Text};
use serde::Deserialize;

use crate::token::identity;

const TOKEN: &str = "SharedAccessSignature sr=0ne00123ABC%2Fregistrations%2Fsn-000001&\
    sig=sL4rhIkkskrpxkpy7ywhLDZgoTDyCxVSuq%2BAoGTGCmA%3D&se=1767225600&skn=registration";

/// The service's answer to a device that it has assigned.
const BODY: &str = r#"{"operationId":"5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550","status":"assigned",
"registrationState":{"registrationId":"sn-000001","createdDateTimeUtc":"2026-01-01T00:00:00.0000000Z",
"assignedHub":"hub-a.test","deviceId":"sn-000001","status":"assigned","substatus":"initialAssignment",
"lastUpdatedDateTimeUtc":"2026-01-01T00:00:01.0000000Z","etag":"IjZhMDBhYTVhLTAwMDAtMDgwMC0wMDAwLTVlNGM0MDc0MDAwMCI="}}"#;
const TOPIC: &str = "$dps/registrations/res/200/?$rid=2&retry-after=3";

fn request() -> Request<'static> {
    let authorization = Some(Authorization::new(TOKEN, 1));
    Request::new(RequestId::new(1), Call::register(None), identity(), authorization, Instant::from_millis(0))
}

pub(crate) fn write_http() -> Box<dyn FnMut()> {
    let mut buffer = [0; 1024];
    Box::new(move || {
        let request = black_box(request());
        wire::write_request(&request, http::DEFAULT_API_VERSION, "bench", black_box(&mut buffer)).expect("it fits");
    })
}

pub(crate) fn write_mqtt() -> Box<dyn FnMut()> {
    let mut buffer = [0; 1024];
    Box::new(move || {
        let request = black_box(request());
        let mut text = Text::new(black_box(&mut buffer));
        mqtt::write_user_name(&mut text, &request.identity, mqtt::DEFAULT_API_VERSION, "bench");
        mqtt::write_topic(&mut text, &request);
        mqtt::write_payload(&mut text, &request);
        text.finish_len().expect("it fits");
    })
}

pub(crate) fn read_http() -> Box<dyn FnMut()> {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT";
    let reply = format!("{head}\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len()).into_bytes();
    let mut buffer = reply.clone();
    Box::new(move || {
        // A reply is read in place.
        buffer.copy_from_slice(black_box(&reply));
        let layout = wire::scan(&buffer, buffer.len(), false).expect("a reply").expect("all of it");
        black_box(layout.read(&mut buffer).expect("a reply"));
    })
}

pub(crate) fn read_mqtt() -> Box<dyn FnMut()> {
    let mut buffer = BODY.as_bytes().to_vec();
    Box::new(move || {
        buffer.copy_from_slice(black_box(BODY.as_bytes()));
        let topic = mqtt::parse_topic(black_box(TOPIC)).expect("a reply's topic");
        black_box(mqtt::read_reply(&topic, &mut buffer).expect("a reply"));
    })
}

pub(crate) fn read_json() -> Box<dyn FnMut()> {
    let mut buffer = BODY.as_bytes().to_vec();
    Box::new(move || {
        buffer.copy_from_slice(black_box(BODY.as_bytes()));
        let mut body = Reply::default().body;
        schema::read_body(&mut buffer, &mut body).expect("a body");
        black_box(body);
    })
}

/// The fields of a reply that the state machine needs, for serde.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "it is only parsed")]
struct Body {
    operation_id: Option<String>,
    status: Option<String>,
    registration_state: Option<State>,
    error_code: Option<u32>,
    message: Option<String>,
    tracking_id: Option<String>,
    timestamp_utc: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "it is only parsed")]
struct State {
    assigned_hub: Option<String>,
    device_id: Option<String>,
    status: Option<String>,
    substatus: Option<String>,
    error_code: Option<u32>,
    error_message: Option<String>,
    payload: Option<serde_json::Value>,
}

pub(crate) fn read_json_by_serde() -> Box<dyn FnMut()> {
    Box::new(|| {
        black_box(serde_json::from_slice::<Body>(black_box(BODY.as_bytes())).expect("a body"));
    })
}
