//! The URL of an allocation webhook against the `url` crate, and the judgment of a webhook's reply.
#![no_main]

use std::net::IpAddr;

use dps_emulator::{Judgment, WebhookReply, WebhookUrl};
use libfuzzer_sys::fuzz_target;
use url::{Host, Url};

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    match first {
        b'u' => check_url(&String::from_utf8_lossy(rest)),
        _ => check_reply(rest),
    }
});

fn check_url(text: &str) {
    let Ok(ours) = WebhookUrl::parse(text) else { return };
    assert_eq!(ours.expose(), text);
    let shown = ours.to_string();
    match text.split_once('?') {
        Some((before, _)) => assert_eq!(shown, format!("{before}?****")),
        None => assert_eq!(shown, text),
    }
    // It refuses more names than DNS does, such as those that end in a number.
    let Ok(theirs) = Url::parse(text) else { return };
    assert_eq!((theirs.username(), theirs.password(), theirs.fragment()), ("", None, None));
    assert_eq!(theirs.scheme() == "https", ours.is_https());
    assert_eq!(theirs.port_or_known_default(), Some(ours.port()));
    match (theirs.host(), ours.host().parse::<IpAddr>()) {
        (Some(Host::Ipv4(theirs)), Ok(ours)) => assert_eq!(IpAddr::V4(theirs), ours),
        (Some(Host::Ipv6(theirs)), Ok(ours)) => assert_eq!(IpAddr::V6(theirs), ours),
        // Addresses such as 127.1: a name here, which is never taken for loopback.
        (Some(Host::Ipv4(_)), Err(_)) => {}
        (Some(Host::Domain(theirs)), Err(_)) => {
            assert!(
                theirs.eq_ignore_ascii_case(ours.host()) || theirs.contains("xn--") || ours.host().contains("xn--")
            );
        }
        other => panic!("{other:?}"),
    }
}

fn check_reply(body: &[u8]) {
    let hubs = ["hub-a.test".to_owned(), "hub-b.test".to_owned()];
    let judgment = Judgment::new(&WebhookReply { status: 200, body: body.to_vec() }, &hubs);
    assert_ne!(judgment.hub().is_some(), judgment.failure().is_some());
    assert!(judgment.hub().is_none_or(|hub| hubs.iter().any(|linked| linked == hub)));
    let printable = |text: &str| !text.chars().any(char::is_control);
    assert!(judgment.failure().is_none_or(|message| printable(&message) && message.len() < 2000));
    assert!(judgment.members().iter().all(|member| printable(&member.member) && printable(&member.detail)));
}
