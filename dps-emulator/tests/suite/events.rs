//! Events in the pure service, under virtual time: what they tell about a device's calls, its credential and its waits.

use dps_emulator::{
    At, Event, EventFilter, EventKind, Exchange, Fault, IndividualEnrollment, RetryAfter, Scope, ServiceOptions,
    SignedBy, WaitKept,
};
use serde_json::Value;

use crate::common::{KEY, OTHER_KEY, SCOPE, START_S, World, device_token, json, key, operation_id, token};

fn events(world: &World) -> Vec<Event> {
    world.service.events().cloned().collect()
}

fn last(world: &World) -> Exchange {
    let event = world.service.events().last().unwrap().clone();
    event.exchange().cloned().unwrap_or_else(|| panic!("not an exchange: {event}"))
}

fn as_json(event: &Event) -> Value {
    serde_json::to_value(event).unwrap()
}

#[test]
fn registration_is_told_by_its_exchanges() {
    let mut world = World::with_device();
    let path = format!("/{SCOPE}/registrations/dev-01/register?api-version=2021-06-01");
    let token = device_token(KEY, "dev-01", world.device_s() + 3600);
    let headers = [("Authorization", token.as_str()), ("User-Agent", "fw/1.2")];
    let reply = world.send("PUT", &path, &headers, br#"{"registrationId":"dev-01","payload":{"line":7}}"#);
    let operation = operation_id(&reply);
    world.wait(1000);
    world.poll("dev-01", KEY, &operation);

    let [register, poll] = &events(&world)[..] else { panic!("{:?}", events(&world)) };
    let event = as_json(register);
    for (member, value) in [
        ("seq", 1.into()),
        ("timestampUtc", "2026-01-01T00:00:00.0000000Z".into()),
        ("kind", "exchange".into()),
        ("transport", "https".into()),
        ("registrationId", "dev-01".into()),
        ("call", "register".into()),
        ("status", 202.into()),
        ("userAgent", "fw/1.2".into()),
        ("apiVersion", "2021-06-01".into()),
        ("operationId", Value::from(operation.as_str())),
        ("trackingId", reply.header("x-ms-request-id").unwrap().into()),
        ("waitToldSeconds", 1.into()),
        ("request", serde_json::json!({ "registrationId": "dev-01", "payload": { "line": 7 } })),
        ("reply", json(&reply)),
    ] {
        assert_eq!(event[member], value, "{member}");
    }
    assert_eq!(
        event["token"],
        serde_json::json!({
            "resource": format!("{SCOPE}/registrations/dev-01"), "expiresUtc": "2026-01-01T01:00:00.0000000Z",
            "expiresInSeconds": 3600, "keyName": "registration", "signedBy": "primary-key",
        })
    );
    assert_eq!(register.to_string(), "00:00:00.000 https dev-01 register: 202 assigning, told to wait 1 s");
    assert_eq!(poll.to_string(), "00:00:01.000 https dev-01 poll: 200 assigned to hub-a.test");
}

#[test]
fn waits_are_told_and_kept() {
    let mut world = World::with_device();
    let operation = operation_id(&world.register("dev-01", KEY));
    world.wait(300);
    world.poll("dev-01", KEY, &operation);
    let early = last(&world);
    assert_eq!(
        (early.wait_told, early.wait_kept.map(|kept| kept.early_by_ms)),
        (Some(RetryAfter::Seconds(1)), Some(700))
    );
    world.wait(1500);
    world.poll("dev-01", KEY, &operation);
    let late = last(&world);
    assert_eq!(late.wait_kept.map(|kept| (kept.waited_ms, kept.early_by_ms)), Some((1500, 0)));
    // After a final reply the device may call at any time.
    world.poll("dev-01", KEY, &operation);
    assert_eq!(last(&world).wait_kept, None::<WaitKept>);
}

#[test]
fn reply_that_does_not_arrive_asks_for_no_wait() {
    let mut world = World::with_device();
    world.service.inject(Scope::All, At::Register, Fault::DropAfter, 1);
    world.register("dev-01", KEY);
    world.wait(100);
    world.register("dev-01", KEY);
    assert_eq!(last(&world).wait_kept, None);
    let kinds: Vec<&str> = world.service.events().map(Event::name).collect();
    assert_eq!(kinds, ["fault", "exchange", "exchange"]);
    assert_eq!(as_json(&events(&world)[0])["fault"], "drop-after");
}

#[test]
fn token_is_told_by_whose_key_signed_it() {
    let mut world = World::with_device();
    let now = world.now();
    world.enroll(IndividualEnrollment::new("dev-02").primary_key(key(OTHER_KEY)));
    let group = dps_emulator::EnrollmentGroup::new("line-1");
    let group = world.service.put_group(now, group).unwrap();
    let both = |key: &Option<dps_emulator::SymmetricKey>| key.clone().unwrap();
    let (primary, secondary) = (both(&group.settings.attestation.primary), both(&group.settings.attestation.secondary));
    let second = world.service.enrollment("dev-01").unwrap().settings.attestation.secondary.clone().unwrap();
    assert_eq!(world.register("dev-07", primary.derive("dev-07").expose()).status, 202);
    let line = || Some("line-1".to_owned());
    let other = |id: &str| SignedBy::OtherDevice { registration_id: id.into() };
    for (id, key, signed_by) in [
        ("dev-01", KEY, SignedBy::PrimaryKey { group: None }),
        ("dev-01", second.expose(), SignedBy::SecondaryKey { group: None }),
        ("dev-03", primary.derive("dev-03").expose(), SignedBy::PrimaryKey { group: line() }),
        ("dev-03", secondary.derive("dev-03").expose(), SignedBy::SecondaryKey { group: line() }),
        ("dev-03", primary.expose(), SignedBy::GroupKey { group: "line-1".into() }),
        ("dev-01", OTHER_KEY, other("dev-02")),
        ("dev-03", primary.derive("dev-07").expose(), other("dev-07")),
        ("dev-03", "bm9ib2R5LW5vYm9keS1ub2JvZHk=", SignedBy::Nobody),
    ] {
        world.wait(100);
        world.register(id, key);
        assert_eq!(last(&world).token.unwrap().signed_by, signed_by, "{id}");
    }
    // The resource of a copied token names the device whose key it is, even if it never registered.
    let copied = device_token(primary.derive("dev-99").expose(), "dev-99", world.device_s() + 60);
    world.register_with("dev-03", &copied, "{}");
    assert_eq!(last(&world).token.unwrap().signed_by, other("dev-99"));
    world.admin("GET", "/enrollments/dev-01", "");
    assert_eq!(last(&world).token.unwrap().signed_by, SignedBy::PolicyKey);
}

#[test]
fn search_for_the_signer_is_bounded() {
    let mut world = World::with_device();
    for number in 0..2000 {
        world.enroll(IndividualEnrollment::new(format!("other-{number:04}")).primary_key(key(OTHER_KEY)));
    }
    // The last of them has a key of its own, which is too far away to be found.
    let mine = world.enroll(IndividualEnrollment::new("zz-last")).settings.attestation.primary.unwrap();
    world.register("dev-01", mine.expose());
    assert_eq!(last(&world).token.unwrap().signed_by, SignedBy::Nobody);
    world.register("dev-01", OTHER_KEY);
    assert_eq!(last(&world).token.unwrap().signed_by.name(), "other-device-key");
}

#[test]
fn keys_that_a_device_sends_are_masked_and_the_place_is_told() {
    let mut world = World::with_device();
    let path = format!("/{SCOPE}/registrations/dev-01/register?api-version=2021-06-01");
    let token = device_token(KEY, "dev-01", world.device_s() + 3600);
    let agent = format!("fw key={KEY}");
    let headers = [("Authorization", token.as_str()), ("User-Agent", agent.as_str())];
    let body = format!(r#"{{"payload":{{"a":"{KEY}","url":"https://f.test/api?code=topsecret"}}}}"#);
    assert_eq!(world.send("PUT", &path, &headers, body.as_bytes()).status, 202);
    // A body that is not recorded is searched too.
    let large = format!(r#"{{"payload":{{"a":"{KEY}{}"}}}}"#, "x".repeat(60_000));
    assert_eq!(world.send("PUT", &path, &[("Authorization", &token)], large.as_bytes()).status, 409);
    let events = events(&world);
    let exposed: Vec<_> = events.iter().map(|event| event.exchange().unwrap().exposed.clone()).collect();
    assert_eq!(exposed, [vec!["user-agent", "body"], vec!["body"]]);
    for event in &events {
        let text = serde_json::to_string(event).unwrap();
        for secret in [KEY.trim_end_matches('='), "topsecret", "SharedAccessSignature"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn key_in_the_place_of_a_key_name_is_masked() {
    let mut world = World::with_device();
    let token = device_token(KEY, "dev-01", world.device_s() + 3600);
    let token = token.replace("skn=registration", &format!("skn={}", crate::common::encode(KEY)));
    assert!(token.contains("skn=Jsm0"), "{token}");
    let path = format!("/{SCOPE}/registrations/dev-01/register?api-version=2021-06-01");
    assert_eq!(world.send("PUT", &path, &[("Authorization", &token)], b"").status, 401);
    let refusal = last(&world);
    assert_eq!((refusal.exposed, refusal.token.unwrap().key_name), (vec!["token"], "[masked]=".to_owned()));
}

#[test]
fn key_in_the_place_of_an_id_is_masked() {
    let mut world = World::with_device();
    let encoded = crate::common::encode(OTHER_KEY);
    let token = device_token(KEY, "dev-01", world.device_s() + 3600);
    for path in [
        format!("/{SCOPE}/registrations/{encoded}/register?api-version=2021-06-01"),
        format!("/{SCOPE}/registrations/{encoded}/register"),
        format!("/{SCOPE}/registrations/dev-01/operations/{encoded}?api-version=2021-06-01"),
        format!("/{encoded}/nothing"),
    ] {
        world.send("PUT", &path, &[("Authorization", &token)], b"");
        world.send("GET", &path, &[("Authorization", &token)], b"");
    }
    for event in &events(&world) {
        let text = serde_json::to_string(event).unwrap();
        assert!(!text.contains(OTHER_KEY.trim_end_matches('=')), "{text}");
    }
}

#[test]
fn owners_bodies_are_not_recorded() {
    let mut world = World::with_device();
    let body = format!(
        r#"{{"registrationId":"dev-02","attestation":{{"type":"symmetricKey","symmetricKey":{{"primaryKey":"{OTHER_KEY}"}}}}}}"#
    );
    assert_eq!(world.admin("PUT", "/enrollments/dev-02", &body).status, 200);
    let event = as_json(&events(&world)[0]);
    assert_eq!((&event["call"], &event["status"]), (&"PUT /enrollments/dev-02".into(), &200.into()));
    assert_eq!((event.get("request"), event.get("reply"), &event["requestBytes"]), (None, None, &body.len().into()));
}

#[test]
fn calls_that_read_events_are_not_events() {
    let mut world = World::with_device();
    world.register("dev-01", KEY);
    for _ in 0..3 {
        assert_eq!(world.as_owner("GET", "/emulator/events", &[], "").status, 200);
    }
    assert_eq!(events(&world).len(), 1);
    world.send("GET", "/emulator/events", &[], b"");
    assert_eq!(events(&world)[1].reason().unwrap().name(), "no-token");
}

#[test]
fn filters_select_events() {
    let mut world = World::with_device();
    world.register("dev-01", KEY);
    world.register("dev-02", KEY);
    world.wait(100);
    world.register("DEV-01", OTHER_KEY);
    let count = |filter: EventFilter| world.service.events().filter(|event| filter.matches(event)).count();
    let all = EventFilter::new;
    assert_eq!(count(all()), 3);
    assert_eq!(count(all().registration_id("dev-01")), 2);
    assert_eq!(count(all().kind("refusal")), 2);
    assert_eq!(count(all().kind("refusal").registration_id("dev-01").reason("bad-signature")), 1);
    assert_eq!(count(all().call("register").status(202)), 1);
    assert_eq!(count(all().after(2)), 1);
}

#[test]
fn list_of_events_is_filtered_and_paged() {
    let mut world = World::new(ServiceOptions::new().events_kept(5));
    for number in 0..8 {
        world.register(&format!("dev-{number}"), KEY);
    }
    let mut get = |query: &str| world.as_owner("GET", &format!("/emulator/events{query}"), &[], "");
    let page = json(&get("?limit=2"));
    let seqs = |page: &Value| {
        page["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((seqs(&page), &page["lastSeq"], &page["dropped"]), (vec![4, 5], &5.into(), &3.into()));
    let page = json(&get("?after=5&registrationId=DEV-6&kind=refusal&reason=unknown-registration&status=401"));
    assert_eq!((seqs(&page), &page["lastSeq"], &page["dropped"]), (vec![7], &8.into(), &0.into()));
    for wrong in ["?kind=all", "?reason=x", "?limit=0", "?limit=1001", "?after=x", "?follow=1", "?name=x", "?status=x"]
    {
        assert_eq!(get(wrong).status, 400, "{wrong}");
    }
    let kinds: Vec<&str> = world.service.events().map(Event::name).collect();
    assert!(kinds.iter().all(|kind| *kind == "refusal"), "{kinds:?}");
}

#[test]
fn client_cannot_write_control_characters_into_the_log() {
    let mut world = World::with_device();
    let path = format!("/{SCOPE}/registrations/a%1b%5b2J/register?api-version=2021-06-01");
    world.send("PUT", &path, &[("Authorization", "\u{1b}]0;x\u{7}")], b"");
    let line = events(&world)[0].to_string();
    assert!(!line.contains(char::is_control) && line.contains(r"a\u{1b}[2J"), "{line}");
}

#[test]
fn token_of_another_resource_is_told() {
    let mut world = World::with_device();
    world.register_with("dev-01", &token(KEY, "hub-a.test%2Fdevices%2Fdev-01", START_S + 60, ""), "{}");
    let line = events(&world)[0].to_string();
    assert!(line.ends_with("(wrong-resource), it is for hub-a.test/devices/dev-01"), "{line}");
    assert!(matches!(events(&world)[0].kind, EventKind::Exchange(_)));
}
