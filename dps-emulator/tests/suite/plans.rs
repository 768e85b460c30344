//! Fault plans as JSON: round trips of every kind, and the member that each error names.

use std::collections::BTreeSet;

use crate::common::{KEY, World};
use dps_emulator::{At, Fault, FaultPlan, Flood, RetryAfter};
use serde_json::{Value, json};

fn plan(value: Value) -> FaultPlan {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

fn error(value: Value) -> String {
    match serde_json::from_value::<FaultPlan>(value.clone()) {
        Ok(_) => panic!("{value} was taken"),
        Err(error) => error.to_string(),
    }
}

/// At least one complete plan of each kind, and its meaning.
fn every_kind() -> Vec<(Value, Fault)> {
    let seconds = |seconds| Some(RetryAfter::Seconds(seconds));
    vec![
        (json!({ "at": "any", "kind": "throttle" }), Fault::Throttle { retry_after: None }),
        (json!({ "at": "poll", "kind": "throttle", "retryAfter": 0 }), Fault::Throttle { retry_after: seconds(0) }),
        (
            json!({ "at": "register", "kind": "throttle", "retryAfter": { "dateOffset": -3 } }),
            Fault::Throttle { retry_after: Some(RetryAfter::Date(-3)) },
        ),
        (
            json!({ "at": "lookup", "kind": "server-error", "status": 503, "retryAfter": 7 }),
            Fault::ServerError { status: 503, retry_after: seconds(7) },
        ),
        (
            json!({ "at": "any", "kind": "server-error", "status": 400 }),
            Fault::ServerError { status: 400, retry_after: None },
        ),
        (json!({ "at": "connect", "kind": "drop-before" }), Fault::DropBefore),
        (json!({ "at": "subscribe", "kind": "drop-after" }), Fault::DropAfter),
        (json!({ "at": "any", "kind": "delay", "ms": 1500 }), Fault::Delay { ms: 1500 }),
        (json!({ "at": "poll", "kind": "garbage" }), Fault::Garbage),
        (json!({ "at": "lookup", "kind": "noise" }), Fault::Noise),
        (json!({ "at": "any", "kind": "slow-bytes" }), Fault::SlowBytes),
        (json!({ "at": "register", "kind": "wrong-request-id" }), Fault::WrongRequestId),
        (json!({ "at": "register", "kind": "missing-request-id" }), Fault::MissingRequestId),
        (json!({ "at": "poll", "kind": "forget-operation" }), Fault::ForgetOperation),
        (json!({ "at": "any", "kind": "oversize-reply", "bytes": 99328 }), Fault::OversizeReply { bytes: 99328 }),
        (
            json!({ "at": "poll", "kind": "patch-reply", "patch": { "status": null } }),
            Fault::PatchReply { patch: [("status".to_owned(), Value::Null)].into_iter().collect() },
        ),
        (json!({ "at": "connect", "kind": "silent" }), Fault::Silent),
        (json!({ "at": "connect", "kind": "refuse-connect", "code": 3 }), Fault::RefuseConnect { code: 3 }),
        (json!({ "at": "subscribe", "kind": "refuse-subscribe" }), Fault::RefuseSubscribe),
        (json!({ "at": "connect", "kind": "no-ping" }), Fault::NoPing),
        (json!({ "at": "handshake", "kind": "no-certificate-request" }), Fault::NoCertificateRequest),
        (json!({ "at": "handshake", "kind": "refuse-certificate" }), Fault::RefuseCertificate),
        (json!({ "at": "register", "kind": "replayed-challenge" }), Fault::ReplayedChallenge),
        (json!({ "at": "poll", "kind": "foreign-challenge" }), Fault::ForeignChallenge),
        (json!({ "at": "renew", "kind": "duplicate-reply" }), Fault::DuplicateReply),
        (json!({ "at": "issue", "kind": "foreign-certificate" }), Fault::ForeignCertificate),
        (
            json!({ "at": "poll", "kind": "flood", "of": "puback", "answered": true }),
            Fault::Flood { of: Flood::Puback, answered: true },
        ),
        (
            json!({ "at": "any", "kind": "flood", "of": "header-lines", "answered": false }),
            Fault::Flood { of: Flood::HeaderLines, answered: false },
        ),
    ]
}

#[test]
fn plan_of_every_kind_round_trips_as_json() {
    let mut seen = BTreeSet::new();
    for (mut value, fault) in every_kind() {
        let short = plan(value.clone());
        assert_eq!((short.fault(), short.times(), short.registration_id()), (&fault, 1, None), "{value}");
        value["times"] = 4_294_967_295_u32.into();
        let id = (fault != Fault::NoCertificateRequest).then_some("Dev-01");
        if let Some(id) = id {
            value["registrationId"] = id.into();
        }
        let whole = plan(value.clone());
        assert_eq!((whole.times(), whole.registration_id()), (u32::MAX, id));
        assert_eq!(serde_json::to_value(&whole).unwrap(), value);
        seen.insert(value["kind"].as_str().unwrap().to_owned());
    }
    let known: BTreeSet<_> = FaultPlan::kinds().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(seen, known);
    assert_eq!(plan(json!({ "kind": "silent" })).at(), At::Any);
}

#[test]
fn plan_rejects_requests_that_its_kind_cannot_meet() {
    let taken = |kind: &Value| -> Vec<&'static str> {
        let at = |at: &&str| {
            let mut value = kind.clone();
            value["at"] = (*at).into();
            serde_json::from_value::<FaultPlan>(value).is_ok()
        };
        FaultPlan::requests().filter(at).collect()
    };
    let calls = vec!["register", "poll", "lookup", "any"];
    let operations = vec!["register", "poll", "any"];
    for (kind, _) in every_kind() {
        let wanted = match kind["kind"].as_str().unwrap() {
            "drop-before" => &vec!["register", "poll", "lookup", "connect", "subscribe", "renew", "any"],
            "drop-after" | "silent" => {
                &vec!["register", "poll", "lookup", "connect", "subscribe", "renew", "issue", "any"]
            }
            "throttle" => &vec!["register", "poll", "lookup", "renew", "any"],
            "server-error" | "delay" | "garbage" | "noise" | "slow-bytes" | "oversize-reply" | "patch-reply" => {
                &vec!["register", "poll", "lookup", "renew", "issue", "any"]
            }
            "wrong-request-id" | "missing-request-id" => &vec!["register", "poll", "renew", "issue", "any"],
            "duplicate-reply" => &vec!["renew", "issue"],
            "foreign-certificate" => &vec!["issue"],
            "forget-operation" => &operations,
            "refuse-connect" | "no-ping" => &vec!["connect"],
            "refuse-subscribe" => &vec!["subscribe"],
            "no-certificate-request" | "refuse-certificate" => &vec!["handshake"],
            _ => &calls,
        };
        assert_eq!(&taken(&kind), wanted, "{kind}");
    }
}

#[test]
fn plan_error_names_the_member_and_its_valid_values() {
    for (value, words) in [
        (json!({}), "'kind' is missing; it must be one of throttle, server-error, "),
        (json!({ "kind": "throtle" }), "'kind' must be one of throttle, "),
        (json!({ "kind": 7 }), "'kind' must be one of throttle, "),
        (
            json!({ "kind": "silent", "Times": 2 }),
            "'Times' is not a member of a fault plan; known members: registrationId, at, ",
        ),
        (json!({ "kind": "silent", "ms": 2 }), "'ms' is not allowed for kind 'silent', only for delay"),
        (json!({ "kind": "delay", "ms": 2, "retryAfter": 1 }), "only for throttle, server-error"),
        (json!({ "kind": "delay" }), "'ms' is missing; it must be a whole number from 1 to 86400000"),
        (json!({ "kind": "server-error" }), "'status' is missing; it must be a whole number from 400 to 599"),
        (json!({ "kind": "patch-reply" }), "'patch' is missing; it must be a JSON object"),
        (json!({ "kind": "patch-reply", "patch": [1] }), "'patch' must be a JSON object"),
        (json!({ "kind": "refuse-subscribe", "at": "poll" }), "'at' must be subscribe for kind 'refuse-subscribe'"),
        (json!({ "kind": "flood" }), "'of' is missing; it must be one of pingresp, puback, publish, "),
        (json!({ "kind": "flood", "of": "frames" }), "'of' must be one of pingresp, puback, publish, "),
        (json!({ "kind": "flood", "of": "puback", "answered": 1 }), "'answered' must be true or false"),
        (
            json!({ "kind": "flood", "of": "chunks", "answered": true }),
            "'answered' must be false for a flood over HTTPS",
        ),
        (json!({ "kind": "no-ping" }), "'at' must be connect for kind 'no-ping'"),
        (json!({ "kind": "refuse-certificate" }), "'at' must be handshake for kind 'refuse-certificate'"),
        (
            json!({ "kind": "no-certificate-request", "at": "handshake", "registrationId": "dev-01" }),
            "'registrationId' is not allowed for kind 'no-certificate-request'",
        ),
        (
            json!({ "kind": "delay", "ms": 9, "at": "connect" }),
            "'at' must be one of register, poll, lookup, renew, issue, any",
        ),
        (json!({ "kind": "silent", "at": "Poll" }), "'at' must be one of register, "),
        (json!({ "kind": "silent", "at": null }), "'at' must be one of register, "),
        (json!({ "kind": "silent", "registrationId": null }), "'registrationId' must be a registration id"),
        (json!({ "kind": "silent", "registrationId": "a b" }), "'registrationId' must be a registration id: the char"),
    ] {
        let message = error(value.clone());
        assert!(message.contains(words), "{value}: {message}");
    }
    assert!(serde_json::from_str::<FaultPlan>("[]").is_err());
}

#[test]
fn plan_rejects_numbers_out_of_range() {
    for (kind, member, good, bad) in [
        ("silent", "times", vec![1_i64, 4_294_967_295], vec![0, -1, 4_294_967_296_i64]),
        ("throttle", "retryAfter", vec![0_i64, 4_294_967_295], vec![-1, 4_294_967_296_i64]),
        ("server-error", "status", vec![400, 599], vec![0, 399, 600, 65_536 + 500]),
        ("delay", "ms", vec![1, 86_400_000], vec![0, 86_400_001]),
        ("oversize-reply", "bytes", vec![1, 16 << 20], vec![0, (16 << 20) + 1]),
        ("refuse-connect", "code", vec![1, 5], vec![0, 6, 257]),
    ] {
        let at = if kind == "refuse-connect" { "connect" } else { "any" };
        let with = |number: Value| json!({ "kind": kind, "at": at, member: number });
        good.into_iter().for_each(|number| drop(plan(with(number.into()))));
        for number in bad.into_iter().map(Value::from).chain([json!(1.5), json!("1"), json!(null), json!([1])]) {
            assert!(error(with(number)).starts_with(&format!("'{member}' must be ")), "{kind}");
        }
    }
    for hint in [json!({}), json!({ "dateOffset": 1.5 }), json!({ "dateOffset": 1, "x": 1 }), json!({ "x": 1 })] {
        assert!(error(json!({ "kind": "throttle", "retryAfter": hint })).contains("whole seconds from 0"));
    }
    for (offset, taken) in [(315_360_000_i64, true), (-315_360_000, true), (315_360_001, false), (i64::MIN, false)] {
        let value = json!({ "kind": "throttle", "retryAfter": { "dateOffset": offset } });
        match serde_json::from_value::<FaultPlan>(value) {
            Ok(_) => assert!(taken, "{offset}"),
            Err(error) => assert!(!taken && error.to_string().contains("at most 315360000 seconds"), "{error}"),
        }
    }
}

#[test]
fn plan_error_repeats_no_value_and_shortens_names() {
    let long = "x".repeat(10_000);
    for value in
        [json!({ "kind": long }), json!({ "kind": "silent", &long: 1 }), json!({ "kind": "silent", "at": long })]
    {
        assert!(!error(value).contains(&"x".repeat(50)));
    }
}

#[test]
fn plan_from_json_takes_effect() {
    let mut world = World::with_device();
    let text = r#"{ "registrationId": "DEV-01", "at": "register", "kind": "throttle", "retryAfter": 7, "times": 2 }"#;
    world.service.inject_plan(&serde_json::from_str(text).unwrap());
    assert_eq!(world.service.pending_faults(), 2);
    for _ in 0..2 {
        let reply = world.register("dev-01", KEY);
        assert_eq!((reply.status, reply.header("Retry-After")), (429, Some("7")));
    }
    assert_eq!(world.register("dev-01", KEY).status, 202);
}
