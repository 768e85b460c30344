//! Exactly as much as is allowed, and one more: sizes, times and numbers at their bounds.

use std::time::Duration;

use crate::common::{NOW, assigning, at, config, identity, sent};
use dps_core::codec::http::wire::scan;
use dps_core::credentials::{Resource, SasToken};
use dps_core::limits::MESSAGE_MAX;
use dps_core::{
    Action, ConfigError, Identity, Instant, LinkError, Millis, Outcome, Payload, PayloadProblem, Registration, Reply,
    Signature, Text, TooSmall, UnixSeconds, WallAnchor,
};

#[test]
fn longest_token_fits_the_stated_size_closely() {
    let Identity { id_scope, registration_id, .. } = identity();
    let resource = Resource::registration(id_scope, registration_id);
    let mut buffer = vec![0; resource.token_max()];
    let short = SasToken::prepare(&resource, UnixSeconds::new(u64::MAX), &mut buffer[1..]).map(|_| ());
    assert_eq!(short, Err(TooSmall { needed: resource.token_max() }));
    let token = SasToken::prepare(&resource, UnixSeconds::new(u64::MAX), &mut buffer).unwrap();
    // Every digit of this signature but the last needs an escape; that one never does.
    let token = token.finish(&Signature::new([0xFF; 32])).as_str();
    assert!(token.contains("%2F%2F8%3D&se=18446744073709551615&skn=registration"), "{token}");
    assert_eq!(token.len() + 2, resource.token_max());
}

#[test]
fn token_is_finished_from_its_buffer_alone_and_once() {
    let Identity { id_scope, registration_id, .. } = identity();
    let resource = Resource::registration(id_scope, registration_id);
    let signature = Signature::new([0xFB; 32]);
    // What an earlier, longer token left behind.
    let host = "h".repeat(99);
    let longer = Resource::hub_device(host.as_str(), "d");
    for size in [resource.token_max(), 512] {
        let mut expected = vec![0; size];
        let expected =
            SasToken::prepare(&resource, UnixSeconds::new(u64::MAX), &mut expected).unwrap().finish(&signature);
        let mut buffer = vec![b'-'; size];
        let _ = SasToken::prepare(&longer, UnixSeconds::new(1), &mut buffer);
        assert!(SasToken::prepare(&resource, UnixSeconds::new(u64::MAX), &mut buffer).is_ok());
        assert_eq!(SasToken::resume(&mut buffer).unwrap().finish(&signature), expected);
        assert!(SasToken::resume(&mut buffer).is_none(), "it is finished");
    }
}

#[test]
fn buffer_without_prepared_token_is_not_resumed() {
    let resource = Resource::hub_device("hub-a.test", "dev-01");
    let mut buffer = vec![0; resource.token_max()];
    assert!(SasToken::resume(&mut []).is_none() && SasToken::resume(&mut buffer).is_none());
    let prepared = SasToken::prepare(&resource, UnixSeconds::new(7), &mut buffer).unwrap();
    let signed = prepared.to_sign().len() + "SharedAccessSignature sr=".len();
    assert!(SasToken::resume(&mut buffer[..signed]).is_none(), "no room for a signature");
    buffer[3] = b'x';
    assert!(SasToken::resume(&mut buffer).is_none());
}

#[test]
fn largest_payload_fills_the_message_limit() {
    let of_length = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
    let most = MESSAGE_MAX - 256;
    assert_eq!(MESSAGE_MAX, 98_304);
    assert_eq!(Payload::new(&of_length(most)).map(|payload| payload.as_str().len()), Ok(most));
    let refused = ConfigError::Payload(PayloadProblem::TooLong { length: most + 1, most });
    assert_eq!(Payload::new(&of_length(most + 1)), Err(refused));
}

#[test]
fn reply_may_fill_the_buffer_to_the_last_byte() {
    let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let (head, size) = (&reply[..reply.len() - 2], reply.len());
    assert_eq!(scan(head, size, false), Ok(None));
    assert_eq!(scan(head, size - 1, false), Err(LinkError::ReplyTooLarge { needed: Some(size) }));
    assert!(scan(reply, size, false).unwrap().is_some());
    // The head alone, not yet whole.
    let part = &reply[..20];
    assert_eq!(scan(part, 21, false), Ok(None));
    assert_eq!(scan(part, 20, false), Err(LinkError::ReplyTooLarge { needed: None }));
}

#[test]
fn chunk_size_has_at_most_seven_digits() {
    let chunked = |size: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n");
    let scanned = |size: &str| scan(chunked(size).as_bytes(), 4096, false);
    assert_eq!(scanned("fffffff"), Ok(None));
    for wrong in ["10000000", "", ";x", "5 x", "-5"] {
        assert_eq!(scanned(wrong), Err(LinkError::InvalidReply), "{wrong:?}");
    }
    assert_eq!(scanned("5 ; x=y"), Ok(None));
}

#[test]
fn lengths_of_time_are_converted_and_bounded() {
    assert_eq!(Millis::from(Duration::from_millis(1_234_567)), Millis::new(1_234_567));
    assert_eq!(Duration::from(Millis::new(1_234_567)), Duration::from_millis(1_234_567));
    assert_eq!(Millis::from(Duration::MAX), Millis::new(u64::MAX));
    assert_eq!((Millis::new(0).secs_rounded_up(), Millis::new(1000).secs_rounded_up()), (0, 1));
    assert_eq!(Millis::new(1001).secs_rounded_up(), 2);
    assert_eq!(at(7_000).since(at(4_000)), Millis::from_secs(3));
    assert_eq!(at(4_000).since(at(7_000)), Millis::ZERO);
    assert_eq!(at(u64::MAX).after(Millis::new(1)), at(u64::MAX));
}

#[test]
fn text_continues_after_the_given_length() {
    let mut buffer = *b"head      ";
    assert!(Text::new(&mut buffer).is_empty());
    let mut text = Text::after(&mut buffer, 4);
    text.push("-tail");
    assert!(!text.is_empty() && text.len() == 9);
    assert_eq!(text.finish_len(), Ok(9));
    assert_eq!(&buffer, b"head-tail ");
    let mut exact = [0; 3];
    let mut text = Text::new(&mut exact);
    text.push("abc");
    assert_eq!(text.finish_len(), Ok(3));
}

#[test]
fn wait_ends_at_the_deadline_at_the_latest() {
    for (hint, goes_on) in [(120, true), (121, false)] {
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
        let (id, _) = sent(&mut machine, 0);
        machine.handle_reply(at(0), id, &assigning(Some(hint))).unwrap();
        assert_eq!(machine.outcome().is_none(), goes_on, "{hint}");
    }
}

#[test]
fn wall_time_can_be_set_later() {
    let anchor = |seconds: u64| WallAnchor { at: Instant::from_millis(0), unix: UnixSeconds::new(seconds) };
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), dps_core::Config::new(), &mut storage).unwrap();
    assert_eq!(machine.wall_anchor(), None);
    machine.set_wall_anchor(anchor(NOW.get() + 60));
    assert_eq!(machine.wall_anchor(), Some(anchor(NOW.get() + 60)));
    assert!(matches!(machine.poll(at(0)), Action::Sign { .. }));
    assert!(machine.to_sign().ends_with(b"\n1767229260"), "an hour from what was set");
}

#[test]
fn failure_has_all_members_of_a_refusal() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    let mut reply = Reply::new(400);
    reply.body.message = Some("m".into());
    reply.body.tracking_id = Some("t".into());
    reply.body.timestamp = Some("2026-01-01T00:00:00Z".into());
    machine.handle_reply(at(0), id, &reply).unwrap();
    let Some(Outcome::Failed(failure)) = machine.outcome() else { panic!() };
    let told = (failure.message(), failure.tracking_id(), failure.timestamp(), failure.http_status());
    assert_eq!(told, (Some("m".into()), Some("t".into()), Some("2026-01-01T00:00:00Z".into()), Some(400)));
}
