//! Registration with a certificate: no token, no time, and hints about the certificate.

use crate::common::{NOW, assigned, assigning, at, config, error, identity};
use dps_core::codec::http::{self, Head, wire};
use dps_core::codec::mqtt;
use dps_core::{
    Action, Attestation, Call, Config, ErrorCode, Hint, LinkError, Millis, Operation, Outcome, Payload, Registration,
    Reply, RequestId, UnixSeconds, Verdict, WallAnchor, WithCertificateRequest, X509,
};

const CERTIFICATE_HINTS: [Hint; 8] = [
    Hint::MissingIntermediate,
    Hint::UnverifiedRoot,
    Hint::WrongThumbprint,
    Hint::CertificateName,
    Hint::NoEnrollment,
    Hint::DisabledGroup,
    Hint::WrongIdScope,
    Hint::NetworkRules,
];

/// A registration without a wall time.
fn registration<A: Attestation>(attestation: A, storage: &mut [u8]) -> Registration<'_, A> {
    let config = Config::new().minimum_spacing(Millis::ZERO);
    Registration::with_attestation(identity(), attestation, config, storage).unwrap()
}

fn send<A: Attestation>(machine: &mut Registration<'_, A>, now: u64) -> RequestId {
    match machine.poll(at(now)) {
        Action::Send { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

fn failure<A: Attestation>(machine: &Registration<'_, A>) -> (ErrorCode, Verdict, Vec<Hint>) {
    let failure = machine.failure().expect("it failed");
    (failure.code(), failure.verdict(), failure.hints().iter().collect())
}

#[test]
fn certificate_registers_over_http_without_clock_and_authorization() {
    let mut storage = [0; 1024];
    let mut machine = registration(X509, &mut storage).with_payload(Payload::new("{\"line\":7}").unwrap());
    let written = |machine: &Registration<'_, X509>| {
        let mut out = [0; 1024];
        let request = machine.request().unwrap();
        assert!(request.authorization.is_none());
        let length = wire::write_request(&request, http::DEFAULT_API_VERSION, "test", &mut out).unwrap();
        String::from_utf8(out[..length].to_vec()).unwrap()
    };

    let id = send(&mut machine, 0);
    assert!(machine.to_sign().is_empty());
    assert_eq!(
        written(&machine),
        "PUT /0ne00A1B2C3/registrations/dev-01/register?api-version=2021-06-01 HTTP/1.1\r\nHost: dps.test\r\n\
         User-Agent: test\r\nAccept: application/json\r\nContent-Type: application/json; charset=utf-8\r\n\
         Content-Length: 48\r\n\r\n{\"registrationId\":\"dev-01\",\"payload\":{\"line\":7}}"
    );
    machine.handle_reply(at(0), id, &assigning(Some(3))).unwrap();
    let id = send(&mut machine, 3000);
    assert_eq!(
        written(&machine),
        "GET /0ne00A1B2C3/registrations/dev-01/operations/5.op.1?api-version=2021-06-01 HTTP/1.1\r\nHost: dps.test\r\n\
         User-Agent: test\r\nAccept: application/json\r\n\r\n"
    );
    machine.handle_reply(at(3000), id, &assigned()).unwrap();
    assert!(matches!(machine.outcome(), Some(Outcome::Assigned(_))));
    assert_eq!((machine.wall_anchor(), machine.is_time_learned()), (None, false));
}

#[test]
fn certificate_registers_over_mqtt_without_clock_and_password() {
    let mut storage = [0; 1024];
    let mut machine = registration(X509, &mut storage);
    let written = |write: &dyn Fn(&mut dps_core::Text<'_>)| {
        let mut out = [0; 256];
        let mut text = dps_core::Text::new(&mut out);
        write(&mut text);
        String::from(text.finish().unwrap())
    };
    for (now, topic, payload, reply) in [
        (
            0,
            "$dps/registrations/PUT/iotdps-register/?$rid=1",
            "{\"registrationId\":\"dev-01\"}",
            ("$dps/registrations/res/202/?$rid=1&retry-after=3", r#"{"operationId":"5.op","status":"assigning"}"#),
        ),
        (
            3000,
            "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId=5.op",
            "",
            (
                "$dps/registrations/res/200/?$rid=2",
                r#"{"operationId":"5.op","status":"assigned","registrationState":{"x509":{},"assignedHub":"hub-a.test",
                "deviceId":"dev-01"}}"#,
            ),
        ),
    ] {
        let id = send(&mut machine, now);
        let request = machine.request().unwrap();
        assert!(request.authorization.is_none(), "the password is left out");
        let user = written(&|text| mqtt::write_user_name(text, &request.identity, mqtt::DEFAULT_API_VERSION, ""));
        assert_eq!(user, "0ne00A1B2C3/registrations/dev-01/api-version=2019-03-31");
        assert_eq!(written(&|text| mqtt::write_topic(text, &request)), topic);
        assert_eq!(written(&|text| mqtt::write_payload(text, &request)), payload);
        let mut received = Vec::from(reply.1);
        let reply = mqtt::read_reply(&mqtt::parse_topic(reply.0).unwrap(), &mut received).unwrap();
        machine.handle_reply(at(now), id, &reply).unwrap();
    }
    let Some(Outcome::Assigned(assignment)) = machine.outcome() else { panic!("it is assigned") };
    assert_eq!(assignment.assigned_hub(), "hub-a.test");
}

#[test]
fn certificate_is_accepted_for_lookup_and_resume() {
    let mut storage = [0; 1024];
    let mut machine = registration(X509, &mut storage);
    machine.set_lookup().unwrap();
    send(&mut machine, 0);
    let request = machine.request().unwrap();
    assert!(matches!(request.call, Call::Lookup) && request.authorization.is_none());

    let mut storage = [0; 1024];
    let mut machine = registration(X509, &mut storage);
    let operation = Operation::parse("dps-operation/1 dps.test 0ne00A1B2C3 dev-01 5.op").unwrap();
    machine.set_operation(&operation).unwrap();
    let id = send(&mut machine, 0);
    assert!(matches!(machine.call(), Some(Call::Status { .. })));
    machine.handle_reply(at(0), id, &Reply::new(404)).unwrap();
    send(&mut machine, 0);
    let request = machine.request().unwrap();
    assert!(matches!(request.call, Call::Register { .. }) && request.authorization.is_none());
}

#[test]
fn certificate_request_is_sent_with_certificate() {
    let attestation = WithCertificateRequest::new(X509, b"request".as_slice()).unwrap();
    let mut storage = [0; 1024];
    let mut machine = registration(&attestation as &dyn Attestation, &mut storage);
    send(&mut machine, 0);
    let request = machine.request().unwrap();
    let mut out = [0; 256];
    let mut text = dps_core::Text::new(&mut out);
    http::write_body(&mut text, &request);
    assert_eq!(text.finish().unwrap(), "{\"registrationId\":\"dev-01\",\"csr\":\"cmVxdWVzdA==\"}");
    assert!(request.authorization.is_none());
}

#[test]
fn challenge_to_certificate_is_a_refusal() {
    let mut storage = [0; 1024];
    let mut machine = registration(X509, &mut storage);
    let id = send(&mut machine, 0);
    let mut buffer = Vec::from(r#"{"message":"TPM","authenticationKey":"AAEC"}"#);
    let reply = http::read_reply(Head { status: 401, ..Head::default() }, &mut buffer).unwrap();
    machine.handle_reply(at(0), id, &reply).unwrap();
    assert_eq!(machine.poll(at(0)), Action::Finished);
    assert_eq!(failure(&machine), (ErrorCode::Unauthorized, Verdict::Never, CERTIFICATE_HINTS.to_vec()));
    assert_eq!(machine.challenge(&mut buffer), None);
    assert_eq!(machine.hub_key(&mut buffer), None);
}

#[test]
fn clock_does_not_matter_to_a_refused_certificate() {
    let mut refused = error(401, None);
    refused.date = Some(UnixSeconds::new(NOW.get() + 86_400));
    let off = config().correct_clock(true).learn_time(NOW);
    let unknown = Config::new().correct_clock(true).learn_time(NOW);
    for config in [off, unknown] {
        let mut storage = [0; 1024];
        let mut machine = Registration::with_attestation(identity(), X509, config, &mut storage).unwrap();
        let before = machine.wall_anchor();
        let id = send(&mut machine, 0);
        assert!(matches!(machine.call(), Some(Call::Register { .. })), "the time is not asked for");
        machine.handle_reply(at(0), id, &refused).unwrap();
        assert_eq!(machine.poll(at(0)), Action::Finished, "it is not tried again with another time");
        assert_eq!(failure(&machine), (ErrorCode::Unauthorized, Verdict::Never, CERTIFICATE_HINTS.to_vec()));
        assert_eq!((machine.wall_anchor(), machine.is_time_learned()), (before, false));
        assert_eq!(machine.failure().unwrap().clock_skew(), None);

        assert!(!machine.correct_clock(WallAnchor { at: at(0), unix: UnixSeconds::new(NOW.get() + 86_400) }));
        assert_eq!(failure(&machine), (ErrorCode::Unauthorized, Verdict::Never, CERTIFICATE_HINTS.to_vec()));
        assert_eq!(machine.failure().unwrap().clock_skew(), None);
    }
}

#[test]
fn refused_connect_hints_at_certificate_and_never_at_the_clock() {
    for code in [4, 5] {
        let mut storage = [0; 1024];
        let mut machine = registration(X509, &mut storage);
        let id = send(&mut machine, 0);
        machine.handle_link_error(at(0), id, LinkError::MqttRefused { code }).unwrap();
        assert_eq!(failure(&machine), (ErrorCode::Unauthorized, Verdict::Never, CERTIFICATE_HINTS.to_vec()));
    }
}

#[test]
fn connection_cut_after_certificate_is_retried() {
    let mut storage = [0; 1024];
    let mut machine = registration(X509, &mut storage);
    let id = send(&mut machine, 0);
    machine.handle_link_error(at(0), id, LinkError::Cut).unwrap();
    let Action::Wait { until } = machine.poll(at(0)) else { panic!("it is tried again") };
    send(&mut machine, until.as_millis());
    assert!(machine.authorization().is_none());
}
