//! The link against a server that does exactly what the test says, over TLS and over WebSocket.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::server::{
    ASSIGNED, ASSIGNING, CONNECT, DISCONNECT, PINGREQ, PUBACK, PUBLISH, SUBSCRIBE, Seen, Step, connack, server,
    server_valid_in, suback, welcome,
};
use dps_core::{Call, Instant, Link, LinkError, Millis, Status};
use dps_mqtt::Framing;

const BOTH: [Framing; 2] = [Framing::Tcp, Framing::WebSocket];
const RES_202: &str = "$dps/registrations/res/202/?$rid={rid}&retry-after=3";
const RES_200: &str = "$dps/registrations/res/200/?$rid={rid}";

fn steps(more: &[Step]) -> Vec<Step> {
    [welcome(), more.to_vec()].concat()
}

/// A script that answers one register call.
fn one_answer() -> Vec<Step> {
    steps(&[Step::Receive(PUBLISH), Step::Reply(RES_202, ASSIGNING)])
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

/// What the link makes of a script, for its first request.
async fn error_of(framing: Framing, script: Vec<Step>) -> LinkError {
    error_and_detail(framing, script).await.0
}

/// The same, and what it says to people.
async fn error_and_detail(framing: Framing, script: Vec<Step>) -> (LinkError, String) {
    let server = server(framing, vec![script]).await;
    let mut link = server.link(server.options().packet_cap(4096));
    let mut buffer = [0; 1024];
    let request = server.register(1);
    let ended = tokio::time::timeout(Duration::from_secs(10), link.exchange(&request, &mut buffer)).await;
    let error = ended.expect("it ends by itself").unwrap_err();
    let detail = link.last_error_detail().unwrap_or_default().to_owned();
    assert!(!detail.is_empty(), "{error}");
    (error, detail)
}

#[tokio::test]
async fn certificate_validity_is_checked_by_the_supplied_clock() {
    let clock = |year| move || rcgen::date_time_ymd(year, 1, 1).into();
    for framing in BOTH {
        for (from, to, year, expected) in [
            (2001, 2003, None, Err(LinkError::CertificateExpired)),
            (2001, 2003, Some(2002), Ok(202)),
            (1975, 4096, None, Ok(202)),
            (1975, 4096, Some(1974), Err(LinkError::CertificateExpired)),
        ] {
            let server = server_valid_in(from, to, framing, vec![one_answer()]).await;
            let tls = year.into_iter().fold(server.tls(), |tls, year| tls.clock(clock(year)));
            let (mut link, mut buffer) = (server.link_with(tls, server.options()), [0; 1024]);
            let reply = link.exchange(&server.register(1), &mut buffer).await;
            assert_eq!(reply.map(|reply| reply.status), expected, "{framing:?}: {from} to {to} in {year:?}");
        }
    }
}

#[tokio::test]
async fn registration_uses_one_connection() {
    for framing in BOTH {
        let script = steps(&[
            Step::Receive(PUBLISH),
            Step::Send(vec![0x40, 2, 0, 2]),
            Step::Reply(RES_202, ASSIGNING),
            Step::Receive(PUBLISH),
            Step::Reply(RES_200, ASSIGNED),
        ]);
        let mut server = server(framing, vec![script]).await;
        let mut link = server.link(server.options());
        let mut buffer = [0; 1024];
        let reply = link.exchange(&server.register(1), &mut buffer).await.unwrap();
        assert_eq!((reply.status, reply.retry_after), (202, Some(Millis::from_secs(3))));
        assert_eq!((reply.body.operation_id, reply.body.status), (Some("5.0".into()), Some(Status::Assigning)));
        let reply = link.exchange(&server.status(2), &mut buffer).await.unwrap();
        assert_eq!((reply.body.assigned_hub, reply.body.device_id), (Some("hub-a.test".into()), Some("dev-01".into())));
        link.close().await;

        let Seen::Packet(1, CONNECT, body) = server.saw().await else { panic!() };
        // Protocol name and level, user name + password + clean session, keep-alive of a minute, client id.
        assert_eq!(body[..12], *b"\0\x04MQTT\x04\xc2\0\x3c\0\x06");
        let body = text(&body);
        assert!(body.contains("dev-01"), "{body}");
        let user = "0ne00A1B2C3/registrations/dev-01/api-version=2019-03-31&ClientVersion=test%2F1";
        assert!(body.contains(user) && body.ends_with("SharedAccessSignature sr=x"), "{body}");
        let Seen::Packet(1, SUBSCRIBE, body) = server.saw().await else { panic!() };
        assert!(text(&body[4..]).starts_with("$dps/registrations/res/#"));
        let Seen::Packet(1, PUBLISH, body) = server.saw().await else { panic!() };
        assert!(text(&body).contains("$dps/registrations/PUT/iotdps-register/?$rid=1"));
        assert!(text(&body).ends_with(r#"{"registrationId":"dev-01"}"#));
        assert_eq!(server.saw().await, Seen::Packet(1, PUBACK, vec![0, 9]), "replies are acknowledged");
        let Seen::Packet(1, PUBLISH, body) = server.saw().await else { panic!() };
        assert!(text(&body).contains("GET/iotdps-get-operationstatus/?$rid=2&operationId=5.0"));
        assert_eq!(server.until_end().await, (vec![PUBACK, DISCONNECT], true), "{framing:?}: the end is clean");
    }
}

#[tokio::test]
async fn connack_and_suback_refusals_are_classified() {
    for framing in BOTH {
        for code in 1..=5 {
            let refused = error_of(framing, vec![Step::Receive(CONNECT), Step::Send(connack(code))]).await;
            assert_eq!(refused, LinkError::MqttRefused { code });
        }
        let script =
            vec![Step::Receive(CONNECT), Step::Send(connack(0)), Step::Receive(SUBSCRIBE), Step::Send(suback(0x80))];
        assert_eq!(error_of(framing, script).await, LinkError::SubscribeRefused);
    }
}

#[tokio::test]
async fn connection_cut_at_any_step_is_a_cut() {
    for framing in BOTH {
        let whole = steps(&[Step::Receive(PUBLISH)]);
        for kept in 0..=whole.len() {
            let script = [&whole[..kept], &[Step::Close]].concat();
            assert_eq!(error_of(framing, script).await, LinkError::Cut, "{framing:?} after {kept} steps");
        }
    }
}

#[tokio::test]
async fn connection_cut_after_a_poll_is_replaced_by_the_next_request() {
    for framing in BOTH {
        let cut =
            steps(&[Step::Receive(PUBLISH), Step::Reply(RES_202, ASSIGNING), Step::Receive(PUBLISH), Step::Close]);
        let again = steps(&[Step::Receive(PUBLISH), Step::Reply(RES_200, ASSIGNED)]);
        let server = server(framing, vec![cut, again]).await;
        let mut link = server.link(server.options());
        let mut buffer = [0; 1024];
        link.exchange(&server.register(1), &mut buffer).await.unwrap();
        assert_eq!(link.exchange(&server.status(2), &mut buffer).await.unwrap_err(), LinkError::Cut);
        let reply = link.exchange(&server.status(3), &mut buffer).await.unwrap();
        assert_eq!(reply.body.assigned_hub, Some("hub-a.test".into()));
    }
}

#[tokio::test]
async fn invalid_and_oversized_packets_are_classified() {
    let page = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: 200\r\n\r\n{}", "x".repeat(200)).into_bytes();
    let big: &'static str = Box::leak("x".repeat(5000).into());
    let long: &'static str = Box::leak(format!(r#"{{"x":"{}"}}"#, "x".repeat(2000)).into());
    for framing in BOTH {
        let table = [
            (vec![Step::Receive(CONNECT), Step::Send(page.clone())], LinkError::InvalidReply),
            (vec![Step::Receive(CONNECT), Step::Send(vec![0x20, 2, 0, 9])], LinkError::InvalidReply),
            (vec![Step::Receive(CONNECT), Step::Send(suback(1))], LinkError::InvalidReply),
            (steps(&[Step::Receive(PUBLISH), Step::Reply(RES_200, "no JSON")]), LinkError::InvalidReply),
        ];
        for (script, expected) in table {
            assert_eq!(error_of(framing, script.clone()).await, expected, "{script:?}");
        }
        let over_cap = error_of(framing, steps(&[Step::Receive(PUBLISH), Step::Reply(RES_200, big)])).await;
        assert!(matches!(over_cap, LinkError::ReplyTooLarge { .. }), "{over_cap}");
        let over_buffer = error_of(framing, steps(&[Step::Receive(PUBLISH), Step::Reply(RES_200, long)])).await;
        assert_eq!(over_buffer, LinkError::ReplyTooLarge { needed: Some(long.len()) });
    }
}

#[tokio::test]
async fn replies_to_other_requests_are_ignored() {
    for framing in BOTH {
        let script = steps(&[
            Step::Receive(PUBLISH),
            Step::Reply("$dps/registrations/res/200/?$rid=77", ASSIGNED),
            Step::Reply("$dps/elsewhere", "{}"),
            Step::Send(vec![0xd0, 0]),
            Step::Reply("$dps/registrations/res/202/?retry-after=7&$rid={rid}", ASSIGNING),
        ]);
        let server = server(framing, vec![script]).await;
        let mut buffer = [0; 1024];
        let mut link = server.link(server.options());
        let request = server.register(3);
        let reply = link.exchange(&request, &mut buffer).await.unwrap();
        assert_eq!((reply.status, reply.retry_after), (202, Some(Millis::from_secs(7))));
    }
}

#[tokio::test]
async fn new_token_opens_a_new_connection() {
    for framing in BOTH {
        let mut server = server(framing, vec![one_answer(), one_answer()]).await;
        let mut link = server.link(server.options());
        let mut buffer = [0; 1024];
        link.exchange(&server.register(1), &mut buffer).await.unwrap();
        let renewed = server.request(2, 2, Call::Status { operation_id: "5.0".into() });
        link.exchange(&renewed, &mut buffer).await.unwrap();
        let (kinds, clean) = server.until_end().await;
        assert!(kinds.contains(&DISCONNECT) && clean, "the old one ends in good order: {kinds:?}");
    }
}

#[tokio::test]
async fn pipelined_link_sends_everything_in_one_flight() {
    for framing in BOTH {
        // The server says nothing before it has all three.
        let script = vec![
            Step::Receive(CONNECT),
            Step::Receive(SUBSCRIBE),
            Step::Receive(PUBLISH),
            Step::Send(connack(0)),
            Step::Send(suback(1)),
            Step::Reply(RES_202, ASSIGNING),
        ];
        let server = server(framing, vec![script]).await;
        let mut link = server.link(server.options().pipelined(true));
        let mut buffer = [0; 1024];
        let request = server.register(1);
        assert_eq!(link.exchange(&request, &mut buffer).await.unwrap().status, 202);
    }
}

#[tokio::test]
async fn pipelined_reply_before_suback_is_the_reply() {
    for framing in BOTH {
        // MQTT 3.1.1, section 3.8.4: the server may send publishes before SUBACK.
        let script = vec![
            Step::Receive(CONNECT),
            Step::Receive(SUBSCRIBE),
            Step::Receive(PUBLISH),
            Step::Send(connack(0)),
            Step::Reply("$dps/registrations/res/200/?$rid=77", ASSIGNED),
            Step::Reply(RES_202, ASSIGNING),
            Step::Send(suback(1)),
            Step::Receive(PUBLISH),
            Step::Reply(RES_200, ASSIGNED),
        ];
        let server = server(framing, vec![script]).await;
        let mut link = server.link(server.options().pipelined(true));
        let mut buffer = [0; 1024];
        let register = server.register(1);
        let asked = tokio::time::timeout(Duration::from_secs(10), link.exchange(&register, &mut buffer));
        assert_eq!(asked.await.expect("the reply is kept").unwrap().status, 202, "{framing:?}");
        let reply = link.exchange(&server.status(2), &mut buffer).await.unwrap();
        assert_eq!(reply.body.assigned_hub, Some("hub-a.test".into()));
    }
}

#[tokio::test]
async fn pipelined_reply_before_a_refused_subscription_is_not_accepted() {
    let script = vec![
        Step::Receive(CONNECT),
        Step::Receive(SUBSCRIBE),
        Step::Receive(PUBLISH),
        Step::Send(connack(0)),
        Step::Reply(RES_202, ASSIGNING),
        Step::Send(suback(0x80)),
    ];
    let server = server(Framing::Tcp, vec![script]).await;
    let mut link = server.link(server.options().pipelined(true));
    let refused = link.exchange(&server.register(1), &mut [0; 1024]).await.unwrap_err();
    assert_eq!(refused, LinkError::SubscribeRefused);
}

#[tokio::test]
async fn http_server_on_the_mqtt_port_is_named() {
    for answer in ["HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "HTTP/1.0 400 Bad Request\r\n\r\n"] {
        let script = vec![Step::Receive(CONNECT), Step::Send(answer.into()), Step::Close];
        let (error, detail) = error_and_detail(Framing::Tcp, script).await;
        assert_eq!(error, LinkError::InvalidReply);
        assert!(detail.contains("answers HTTP, not MQTT") && detail.contains("8883"), "{detail}");
    }
}

#[tokio::test]
async fn connection_closed_at_connect_hints_at_another_protocol() {
    for framing in BOTH {
        let (error, detail) = error_and_detail(framing, vec![Step::Receive(CONNECT), Step::Close]).await;
        assert_eq!(error, LinkError::Cut);
        assert!(detail.contains("instead of answering CONNECT") && detail.contains("443"), "{detail}");
    }
}

#[tokio::test]
async fn lookup_is_unsupported_and_opens_no_connection() {
    let server = server(Framing::Tcp, vec![]).await;
    let mut link = server.link(server.options());
    let error = link.exchange(&server.request(1, 1, Call::Lookup), &mut [0; 64]).await.unwrap_err();
    assert_eq!(error, LinkError::Unsupported);
}

#[tokio::test]
async fn sign_in_sends_no_request_and_disconnects() {
    for framing in BOTH {
        let refusal = vec![Step::Receive(CONNECT), Step::Send(connack(5))];
        let mut server = server(framing, vec![welcome(), refusal]).await;
        // Not even with everything in one flight.
        let mut link = server.link(server.options().pipelined(true));
        link.sign_in(&server.request(1, 1, Call::Lookup)).await.unwrap();
        assert_eq!(server.until_end().await, (vec![CONNECT, SUBSCRIBE, DISCONNECT], true), "{framing:?}");
        let refused = link.sign_in(&server.register(2)).await.unwrap_err();
        assert_eq!((refused, link.last_error_detail()), (LinkError::MqttRefused { code: 5 }, Some("CONNACK 5")));
    }
}

#[tokio::test]
async fn idle_connection_is_kept_alive() {
    for framing in BOTH {
        let script = steps(&[
            Step::Receive(PUBLISH),
            Step::Reply(RES_202, ASSIGNING),
            Step::Receive(PINGREQ),
            Step::Send(vec![0xd0, 0]),
            Step::Receive(PINGREQ),
            Step::Send(vec![0xd0, 0]),
            Step::Receive(PUBLISH),
            Step::Reply(RES_200, ASSIGNED),
        ]);
        let mut server = server(framing, vec![script]).await;
        let mut link = server.link(server.options().keep_alive(Duration::from_secs(1)));
        let mut buffer = [0; 1024];
        link.exchange(&server.register(1), &mut buffer).await.unwrap();
        let mut pings = 0;
        while pings < 2 {
            // Dropped and begun again, as the loop does with every wait.
            tokio::select! {
                () = link.idle(Instant::from_millis(0)) => panic!("the connection lives"),
                seen = server.saw() => pings += usize::from(matches!(seen, Seen::Packet(1, PINGREQ, _))),
            }
        }
        let reply = link.exchange(&server.status(2), &mut buffer).await.unwrap();
        assert_eq!(reply.body.assigned_hub, Some("hub-a.test".into()));
    }
}

#[tokio::test]
async fn server_that_does_not_answer_pings_is_replaced() {
    for framing in BOTH {
        let server = server(framing, vec![one_answer(), one_answer()]).await;
        let mut link = server.link(server.options().keep_alive(Duration::from_secs(1)));
        let mut buffer = [0; 1024];
        link.exchange(&server.register(1), &mut buffer).await.unwrap();
        let idle = tokio::time::timeout(Duration::from_secs(20), link.idle(Instant::from_millis(0)));
        idle.await.expect("it notices");
        link.exchange(&server.register(2), &mut buffer).await.expect("over a new connection");
    }
}

/// Polls a future so many times, then drops it; whether it was done by then.
async fn poll_times<F: Future>(future: F, times: usize) -> bool {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        if future.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        if left == 0 {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}

#[tokio::test]
async fn exchange_dropped_at_any_await_closes_its_connection() {
    for framing in BOTH {
        for times in 1.. {
            let mut server = server(framing, vec![one_answer(), one_answer()]).await;
            let mut link = server.link(server.options());
            let mut buffer = [0; 1024];
            let request = server.register(1);
            let done = poll_times(link.exchange(&request, &mut buffer), times).await;
            if done {
                assert!(times > 4, "an exchange waits more often than {times} times");
                break;
            }
            // The link works on, over another connection.
            link.exchange(&request, &mut buffer).await.unwrap();
            link.close().await;
            server.all_closed().await;
        }
    }
}
