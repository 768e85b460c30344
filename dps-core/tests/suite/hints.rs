//! What a failure advises: the likely causes in order, by what the device knows.

use crate::common::{NOW, at, config, error, identity, sent};
use dps_core::{
    Config, ErrorCode, Hint, Identity, KeyEvidence, LinkError, Outcome, Registration, RegistrationId, Reply, Status,
    UnixSeconds,
};

fn names(hints: impl Iterator<Item = Hint>) -> String {
    hints.map(Hint::name).collect::<Vec<_>>().join(" ")
}

/// The hints of a registration that the reply ended.
fn hints_after(identity: Identity<'_>, config: Config, reply: &Reply<'_>) -> String {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity, config, &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_reply(at(0), id, reply).unwrap();
    match machine.outcome() {
        Some(Outcome::Failed(failure)) => names(failure.hints().iter()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_failure_that_a_user_can_fix_has_a_hint() {
    let expected = [
        ("invalid-client-certificate", "certificate-format"),
        ("invalid-client-key", "certificate-format"),
        ("common-name-mismatch", "certificate-name"),
        ("invalid-tcti", "check-tcti"),
        ("feature-missing", "build-with-feature"),
        ("clock-needed", "set-clock"),
        ("signer-failed", "check-signer"),
        ("signer-timeout", "check-signer"),
        ("assignment-too-large", "enlarge-buffer"),
        ("reply-too-large", "enlarge-buffer"),
        ("request-too-large", "enlarge-buffer"),
        ("activation-failed", "check-signer check-proxy update"),
        ("client-certificate-expired", "renew-certificate certificate-not-yet-valid"),
        ("pkcs11-module", "check-pkcs11-module"),
        ("pkcs11-no-token", "check-signer"),
        ("pkcs11-no-object", "check-pkcs11-uri"),
        ("pkcs11-several-objects", "check-pkcs11-uri"),
        ("pkcs11-login", "check-pin"),
        ("pkcs11-wrong-pin", "check-pin"),
        ("pkcs11-last-try", "unlock-pin"),
        ("pkcs11-pin-locked", "unlock-pin"),
        ("pkcs11-mechanism", "check-signer"),
        ("tpm-unavailable", "check-tpm"),
        ("tpm-lost", "check-tpm"),
        ("tpm-wrong-password", "check-tpm-password"),
        ("tpm-lockout", "wait-for-tpm-lockout"),
        ("tpm-foreign-challenge", "compare-endorsement-key"),
        ("tpm-no-slot", "free-tpm-slot"),
        ("tpm-key-missing", "register-again"),
        ("tpm-failed", "check-tpm"),
        ("unauthorized", "group-key-as-device-key wrong-key wrong-id-scope no-enrollment check-clock network-rules"),
        ("forbidden", "check-proxy keep-tracking-id"),
        ("not-found", "no-enrollment wrong-id-scope"),
        ("bad-request", "check-request keep-tracking-id"),
        ("method-not-allowed", "check-request keep-tracking-id"),
        ("unsupported-media-type", "check-request keep-tracking-id"),
        ("request-timeout", "use-cached-hub keep-tracking-id"),
        ("conflict", "keep-tracking-id"),
        ("throttled", "spread-start raise-timeout"),
        ("service-unavailable", "use-cached-hub keep-tracking-id"),
        ("registration-failed", "check-linked-hubs check-webhook"),
        ("enrollment-disabled", "enable-enrollment"),
        ("unexpected-status", "update check-proxy"),
        ("deadline-exceeded", "raise-timeout"),
        ("dns", "check-dns check-proxy"),
        ("connect", "check-network check-proxy"),
        ("connection-cut", "check-network check-proxy check-endpoint"),
        ("timeout", "check-network check-proxy"),
        ("unknown-ca", "trust-ca check-proxy"),
        ("name-mismatch", "check-endpoint check-proxy"),
        ("certificate-expired", "clock-outside-certificate"),
        ("tls", "trust-ca check-proxy"),
        ("proxy-refused", "check-proxy check-proxy-credentials"),
        ("proxy-unreachable", "check-proxy"),
        ("invalid-reply", "check-proxy not-the-service"),
        ("mqtt-refused", "not-the-service update"),
        ("subscribe-refused", "not-the-service update"),
        ("client-certificate-refused", "renew-certificate missing-intermediate check-proxy"),
        ("renegotiation-unsupported", "use-mqtt"),
    ];
    let advised = ErrorCode::ALL.iter().map(|code| (code.name(), names(code.hints().iter())));
    let advised: Vec<_> = advised.filter(|(_, hints)| !hints.is_empty()).collect();
    assert_eq!(advised, expected.map(|(name, hints)| (name, hints.to_owned())));
}

#[test]
fn hints_about_key_and_id_come_first() {
    let with = |length, derived_here| config().key_evidence(KeyEvidence { length, derived_here });
    let refused = error(401, None);
    let tail = "wrong-id-scope no-enrollment check-clock network-rules";
    for (length, derived_here, first) in [
        (None, false, "group-key-as-device-key wrong-key"),
        (Some(32), false, "wrong-key upper-case-id group-key-as-device-key"),
        (Some(64), false, "group-key-as-device-key wrong-key"),
        (Some(32), true, "device-key-as-group-key upper-case-id wrong-key"),
        (Some(64), true, "wrong-key upper-case-id device-key-as-group-key"),
        (Some(40), false, "key-length group-key-as-device-key wrong-key"),
    ] {
        let hints = hints_after(identity(), with(length, derived_here), &refused);
        assert_eq!(hints, format!("{first} {tail}"), "{length:?} {derived_here}");
    }
    let upper = Identity { registration_id: RegistrationId::new("Dev-01").unwrap(), ..identity() };
    let hints = hints_after(upper, with(Some(32), false), &refused);
    assert_eq!(hints, format!("upper-case-id wrong-key group-key-as-device-key {tail}"));
}

#[test]
fn hint_for_slow_clock_comes_first_and_for_fast_clock_last() {
    let refused_at = |unix: u64| {
        let mut refused = error(401, None);
        refused.date = Some(UnixSeconds::new(unix));
        hints_after(identity(), config(), &refused)
    };
    let others = "group-key-as-device-key wrong-key wrong-id-scope no-enrollment";
    assert_eq!(refused_at(NOW.get() + 301), format!("clock-behind {others} network-rules"));
    assert_eq!(refused_at(NOW.get() - 301), format!("{others} clock-ahead network-rules"));
    // Near enough, and known to be.
    assert_eq!(refused_at(NOW.get() + 300), format!("{others} network-rules"));
    assert_eq!(refused_at(NOW.get() - 300), format!("{others} network-rules"));
}

#[test]
fn hints_depend_on_service_code_and_proxy_status() {
    let mut failed = Reply::new(200);
    failed.body.status = Some(Status::Failed);
    failed.body.error_code = Some(400_207);
    assert_eq!(hints_after(identity(), config(), &failed), "check-webhook");
    failed.body.error_code = Some(400_208);
    assert_eq!(hints_after(identity(), config(), &failed), "check-linked-hubs check-webhook");

    for (status, expected) in
        [(407, "check-proxy-credentials"), (403, "check-proxy check-proxy-credentials"), (400, "check-proxy")]
    {
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
        let (id, _) = sent(&mut machine, 0);
        machine.handle_link_error(at(0), id, LinkError::ProxyRefused { status: Some(status) }).unwrap();
        let Some(Outcome::Failed(failure)) = machine.outcome() else { panic!() };
        assert_eq!((failure.http_status(), names(failure.hints().iter()).as_str()), (Some(status), expected));
    }
}

#[test]
fn refused_connect_hints_at_the_clock_first() {
    let mut storage = [0; 1024];
    let known = config().key_evidence(KeyEvidence { length: Some(32), derived_here: false });
    let mut machine = Registration::new(identity(), known, &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_link_error(at(0), id, LinkError::MqttRefused { code: 5 }).unwrap();
    let Some(Outcome::Failed(failure)) = machine.outcome() else { panic!() };
    let expected =
        "check-clock wrong-key upper-case-id group-key-as-device-key wrong-id-scope no-enrollment network-rules";
    assert_eq!(names(failure.hints().iter()), expected);
}

#[test]
fn hint_keep_tracking_id_requires_a_tracking_id() {
    for status in [400, 403, 409, 415, 503] {
        let mut refused = error(status, Some(500));
        assert!(hints_after(identity(), config(), &refused).contains("keep-tracking-id"), "{status}");
        refused.body.tracking_id = None;
        assert!(!hints_after(identity(), config(), &refused).contains("keep-tracking-id"), "{status}");
    }
}
