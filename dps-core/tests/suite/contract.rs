//! The machine's promises to its driver: what it asks for, what it refuses, and what it never does.

use crate::common::{Did, NOW, Sent, assigned, assigning, at, config, error, failure, identity, key, sent, step};
use dps_core::{
    Action, Call, Config, ConfigError, ErrorCode, Hint, LinkError, Millis, Misuse, Operation, Outcome, Payload,
    Registration, Reply, RequestId, SignError, Signature, Status, UnixSeconds, Verdict, WallAnchor,
};

#[test]
fn action_is_returned_once_then_wait() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let Action::Sign { id, respond_by, .. } = machine.poll(at(0)) else { panic!() };
    for _ in 0..3 {
        assert!(matches!(machine.poll(at(5)), Action::Wait { until } if until == respond_by));
    }
    machine.handle_signature(at(5), id, &Signature::new([1; 32])).unwrap();
    let Action::Send { respond_by, .. } = machine.poll(at(5)) else { panic!() };
    assert_eq!(machine.request().unwrap().respond_by, respond_by);
    for _ in 0..3 {
        assert!(matches!(machine.poll(at(6)), Action::Wait { until } if until == respond_by));
    }
}

#[test]
fn poll_interval_of_zero_is_refused() {
    let mut storage = [0; 1024];
    let refused = Registration::new(identity(), config().poll_interval(Millis::ZERO), &mut storage).err();
    assert_eq!(refused, Some(ConfigError::PollInterval));
    let lookup = Registration::lookup(identity(), config().poll_interval(Millis::ZERO), &mut storage).err();
    assert_eq!(lookup, Some(ConfigError::PollInterval));
}

#[test]
fn pending_request_is_available_until_answered() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    assert!(machine.request().is_none());
    let (id, _) = sent(&mut machine, 0);
    let token = machine.request().map(|request| (request.id, request.authorization.map(|held| held.token.to_owned())));
    assert!(
        matches!(token, Some((pending, Some(text))) if pending == id && text.as_str().starts_with("SharedAccessSignature "))
    );
    machine.handle_reply(at(0), id, &assigned()).unwrap();
    assert!(machine.request().is_none());
}

#[test]
fn request_carries_the_signed_token() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let Action::Sign { id, .. } = machine.poll(at(0)) else { panic!() };
    let to_sign = machine.to_sign();
    // One hour from now.
    assert_eq!(to_sign, b"0ne00A1B2C3%2Fregistrations%2Fdev-01\n1767229200");
    let signature = key().sign(to_sign);
    machine.handle_signature(at(0), id, &signature).unwrap();
    assert!(matches!(machine.poll(at(0)), Action::Send { .. }) && machine.to_sign().is_empty());
    let request = machine.request().unwrap();
    let authorization = request.authorization.unwrap();
    assert!(
        authorization.token.as_str().starts_with("SharedAccessSignature sr=0ne00A1B2C3%2Fregistrations%2Fdev-01&sig=")
    );
    assert!(authorization.token.as_str().ends_with("&se=1767229200&skn=registration"));
    assert!(!format!("{request:?}").contains("SharedAccessSignature"));
}

#[test]
fn nothing_is_signed_or_sent_without_wall_time() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), Config::new(), &mut storage).unwrap();
    assert!(matches!(machine.poll(at(0)), Action::Finished));
    assert_eq!(failure(&machine), (ErrorCode::ClockNeeded, Verdict::Reconfigure));
    let Some(Outcome::Failed(failure)) = machine.outcome() else { panic!() };
    assert_eq!(failure.hints().first(), Some(Hint::SetClock));
}

#[test]
fn token_is_renewed_before_it_can_expire_during_a_request() {
    let mut storage = [0; 1024];
    // The life given is shorter than what the next requests need.
    let short = config().token_life(Millis::from_secs(125)).timeout(Millis::from_secs(600));
    let mut machine = Registration::new(identity(), short, &mut storage).unwrap();
    let generation = |did| match did {
        Did::Send { id, generation, .. } => (id, generation),
        other => panic!("{other:?}"),
    };
    let (id, first) = generation(step(&mut machine, 0));
    machine.handle_reply(at(0), id, &assigning(Some(35))).unwrap();
    let (id, second) = generation(step(&mut machine, 35_000));
    assert_eq!(second, first, "125 s are enough for 65 s and a margin of 60 s");
    machine.handle_reply(at(35_000), id, &assigning(Some(1))).unwrap();
    let (_, third) = generation(step(&mut machine, 36_000));
    assert_eq!(third, first + 1);
}

#[test]
fn token_outlives_a_slow_signature_and_its_request() {
    let mut storage = [0; 1024];
    let short = config().token_life(Millis::from_secs(1)).request_timeout(Millis::from_secs(30));
    let mut machine = Registration::new(identity(), short, &mut storage).unwrap();
    let Action::Sign { id, .. } = machine.poll(at(0)) else { panic!() };
    machine.handle_signature(at(29_999), id, &Signature::new([1; 32])).unwrap();
    assert!(matches!(machine.poll(at(29_999)), Action::Send { .. }));
}

#[test]
fn signer_error_or_timeout_ends_the_registration() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let Action::Sign { id, .. } = machine.poll(at(0)) else { panic!() };
    machine.handle_sign_error(at(1), id, SignError).unwrap();
    assert_eq!(failure(&machine), (ErrorCode::SignerFailed, Verdict::Never));

    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let Action::Sign { respond_by, .. } = machine.poll(at(0)) else { panic!() };
    assert!(matches!(machine.poll(respond_by), Action::Finished));
    assert_eq!(failure(&machine), (ErrorCode::SignerTimeout, Verdict::Never));
}

#[test]
fn misuse_is_refused_without_change() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    let other = RequestId::new(id.get() + 1);
    assert_eq!(machine.handle_reply(at(1), other, &assigned()), Err(Misuse));
    assert_eq!(machine.handle_link_error(at(1), other, LinkError::Dns), Err(Misuse));
    assert_eq!(machine.handle_signature(at(1), id, &Signature::new([0; 32])), Err(Misuse));
    assert_eq!(machine.handle_sign_error(at(1), id, SignError), Err(Misuse));
    assert!(machine.outcome().is_none());
    machine.handle_reply(at(1), id, &assigned()).unwrap();
    assert_eq!(machine.handle_reply(at(1), id, &error(401, None)), Err(Misuse), "an answer counts once");
    assert!(matches!(machine.outcome(), Some(Outcome::Assigned(_))));
}

#[test]
fn abandoned_action_is_returned_again_with_a_new_id() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    assert!(matches!(machine.poll(at(0)), Action::Sign { .. }));
    machine.abandon();
    let (first, _) = sent(&mut machine, 1);
    machine.abandon();
    let (second, kind) = sent(&mut machine, 2);
    assert_eq!(kind, Sent::Register);
    assert_ne!(first, second);
    assert_eq!(machine.handle_reply(at(3), first, &assigned()), Err(Misuse), "a late answer to the lost request");
    machine.handle_reply(at(3), second, &assigned()).unwrap();
    assert!(matches!(machine.outcome(), Some(Outcome::Assigned(_))));
}

#[test]
fn cancel_ends_the_registration_and_keeps_the_operation() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_reply(at(0), id, &assigning(Some(3))).unwrap();
    machine.cancel();
    assert_eq!(step(&mut machine, 1), Did::Finish);
    assert_eq!(failure(&machine).0, ErrorCode::Cancelled);
    assert_eq!(machine.operation().unwrap().id(), "5.op.1");
}

#[test]
fn operation_is_resumed_after_a_restart() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_reply(at(0), id, &assigning(Some(3))).unwrap();
    let mut line = [0; 512];
    let line = machine.operation().unwrap().write(&mut line).unwrap().to_owned() + "\n";
    assert_eq!(line, "dps-operation/1 dps.test 0ne00A1B2C3 dev-01 5.op.1\n");

    let mut storage = [0; 1024];
    let operation = Operation::parse(&line).unwrap();
    let mut resumed = Registration::resume(identity(), config(), &mut storage, &operation).unwrap();
    let (id, kind) = sent(&mut resumed, 0);
    assert_eq!(kind, Sent::Status("5.op.1".into()));
    resumed.handle_reply(at(1), id, &assigned()).unwrap();
    assert!(matches!(resumed.outcome(), Some(Outcome::Assigned(_))));
}

#[test]
fn operation_of_another_device_is_refused() {
    for line in [
        "dps-operation/1 dps.test 0ne00A1B2C3 dev-02 5.op.1",
        "dps-operation/1 other.test 0ne00A1B2C3 dev-01 5.op.1",
        "dps-operation/1 dps.test 0ne00FFFFFF dev-01 5.op.1",
    ] {
        let mut storage = [0; 1024];
        let operation = Operation::parse(line).unwrap();
        let refused = Registration::resume(identity(), config(), &mut storage, &operation).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::OperationMismatch);
    }
    for line in [
        "",
        "dps-operation/2 a b c d",
        "dps-operation/1 dps.test 0ne00A1B2C3 dev-01",
        "dps-operation/1 a b c d e",
        "dps-operation/1 dps.test 0ne00A1B2C3 dev-01 5.op\n1",
        "dps-operation/1 dps.test 0ne00A1B2C3 dev-01 5.öp",
    ] {
        assert_eq!(Operation::parse(line).unwrap_err().code(), ErrorCode::OperationUnreadable, "{line:?}");
    }
}

#[test]
fn assignment_without_payload_has_no_range_for_one() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_reply(at(0), id, &assigned()).unwrap();
    let Some(Outcome::Assigned(assignment)) = machine.outcome() else { panic!() };
    assert_eq!(assignment.payload(), None);
    assert_eq!(machine.record().unwrap().payload(), None);
}

#[test]
fn operation_id_that_cannot_be_stored_as_a_word_is_dropped() {
    for strange in ["5 op", "5.op\n", "5.öp"] {
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
        let (id, _) = sent(&mut machine, 0);
        let mut reply = assigned();
        reply.body.operation_id = Some(strange.into());
        machine.handle_reply(at(0), id, &reply).unwrap();
        assert!(matches!(machine.outcome(), Some(Outcome::Assigned(_))) && machine.operation().is_none());
    }
}

#[test]
fn nothing_is_polled_without_a_usable_operation_id() {
    for useless in [None, Some(""), Some("5 op"), Some("5.öp")] {
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
        let (id, _) = sent(&mut machine, 0);
        let mut reply = assigning(None);
        reply.body.operation_id = useless.map(Into::into);
        machine.handle_reply(at(0), id, &reply).unwrap();
        let Did::Wait(until) = step(&mut machine, 0) else { panic!("{useless:?}") };
        assert_eq!(sent(&mut machine, until).1, Sent::Register, "{useless:?}");
    }
}

#[test]
fn longest_operation_id_fills_its_storage() {
    let poll_of = |length: usize| {
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
        let (id, _) = sent(&mut machine, 0);
        let long = "5".repeat(length);
        let mut reply = assigning(Some(0));
        reply.body.operation_id = Some(long.as_str().into());
        machine.handle_reply(at(0), id, &reply).unwrap();
        match step(&mut machine, 0) {
            Did::Send { sent: Sent::Status(id), .. } => id.len(),
            _ => 0,
        }
    };
    assert_eq!([127, 128, 129].map(poll_of), [127, 128, 0]);
}

#[test]
fn too_small_buffer_returns_the_needed_size() {
    for error in [LinkError::ReplyTooLarge { needed: Some(700) }, LinkError::RequestTooLarge { needed: 700 }] {
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
        let (id, _) = sent(&mut machine, 0);
        machine.handle_link_error(at(0), id, error).unwrap();
        let Some(Outcome::Failed(failure)) = machine.outcome() else { panic!("{error:?}") };
        assert_eq!(failure.needed(), Some(700), "{error:?}");
    }
}

#[test]
fn unknown_operation_leads_to_one_new_registration() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_reply(at(0), id, &assigning(Some(0))).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_reply(at(0), id, &error(404, None)).unwrap();
    assert!(machine.operation().is_none(), "a restarted device has nothing to go on from");
    let (id, kind) = sent(&mut machine, 0);
    assert_eq!(kind, Sent::Register);
    machine.handle_reply(at(0), id, &assigning(Some(0))).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_reply(at(0), id, &error(404, None)).unwrap();
    assert_eq!(failure(&machine), (ErrorCode::NotFound, Verdict::Never));
}

#[test]
fn poll_reply_without_operation_id_keeps_the_known_one() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_reply(at(0), id, &assigning(Some(0))).unwrap();
    let (id, _) = sent(&mut machine, 0);
    let mut nameless = assigning(Some(0));
    nameless.body.operation_id = None;
    machine.handle_reply(at(0), id, &nameless).unwrap();
    assert_eq!(sent(&mut machine, 0).1, Sent::Status("5.op.1".into()));
}

#[test]
fn each_status_has_its_verdict() {
    for (status, code) in [
        (400, ErrorCode::BadRequest),
        (401, ErrorCode::Unauthorized),
        (403, ErrorCode::Forbidden),
        (404, ErrorCode::NotFound),
        (405, ErrorCode::MethodNotAllowed),
        (415, ErrorCode::UnsupportedMediaType),
        (418, ErrorCode::UnexpectedStatus),
    ] {
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
        let (id, _) = sent(&mut machine, 0);
        machine.handle_reply(at(0), id, &error(status, Some(1))).unwrap();
        assert_eq!(failure(&machine), (code, Verdict::Never), "{status}");
    }
    for status in [408, 409, 429, 500, 502, 503, 504] {
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
        let (id, _) = sent(&mut machine, 0);
        machine.handle_reply(at(0), id, &error(status, Some(1))).unwrap();
        assert!(matches!(step(&mut machine, 0), Did::Wait(_)), "{status}");
    }
}

#[test]
fn each_link_error_has_its_verdict() {
    let after = |error| {
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config().seed(3), &mut storage).unwrap();
        let (id, _) = sent(&mut machine, 0);
        machine.handle_link_error(at(0), id, error).unwrap();
        machine.outcome().is_some().then(|| failure(&machine))
    };
    for error in [
        LinkError::Dns,
        LinkError::Connect,
        LinkError::Cut,
        LinkError::Timeout,
        LinkError::InvalidReply,
        LinkError::ProxyUnreachable,
        LinkError::MqttRefused { code: 3 },
        LinkError::ProxyRefused { status: Some(429) },
        LinkError::ProxyRefused { status: Some(502) },
        LinkError::ProxyRefused { status: Some(503) },
        LinkError::ProxyRefused { status: Some(504) },
    ] {
        assert_eq!(after(error), None, "{error:?} is tried again");
    }
    for (error, code) in [
        (LinkError::UnknownCa, ErrorCode::UnknownCa),
        (LinkError::NameMismatch, ErrorCode::NameMismatch),
        (LinkError::CertificateExpired, ErrorCode::CertificateExpired),
        (LinkError::Tls, ErrorCode::Tls),
        (LinkError::ProxyRefused { status: Some(400) }, ErrorCode::ProxyRefused),
        (LinkError::ProxyRefused { status: None }, ErrorCode::ProxyRefused),
        (LinkError::MqttRefused { code: 1 }, ErrorCode::MqttRefused),
        (LinkError::MqttRefused { code: 2 }, ErrorCode::MqttRefused),
        (LinkError::MqttRefused { code: 4 }, ErrorCode::Unauthorized),
        (LinkError::MqttRefused { code: 5 }, ErrorCode::Unauthorized),
        (LinkError::SubscribeRefused, ErrorCode::SubscribeRefused),
        (LinkError::ClientCertificateRefused, ErrorCode::ClientCertificateRefused),
        (LinkError::Signer { code: ErrorCode::SignerFailed }, ErrorCode::SignerFailed),
        (LinkError::Signer { code: ErrorCode::Pkcs11NoToken }, ErrorCode::Pkcs11NoToken),
    ] {
        assert_eq!(after(error), Some((code, Verdict::Never)), "{error:?}");
    }
    for (error, code) in [
        (LinkError::ProxyRefused { status: Some(403) }, ErrorCode::ProxyRefused),
        (LinkError::ProxyRefused { status: Some(407) }, ErrorCode::ProxyRefused),
        (LinkError::ReplyTooLarge { needed: Some(99_000) }, ErrorCode::ReplyTooLarge),
        (LinkError::RequestTooLarge { needed: 900 }, ErrorCode::RequestTooLarge),
        (LinkError::Unsupported, ErrorCode::UnsupportedByTransport),
        (LinkError::RenegotiationUnsupported, ErrorCode::RenegotiationUnsupported),
    ] {
        assert_eq!(after(error), Some((code, Verdict::Reconfigure)), "{error:?}");
    }
}

#[test]
fn failed_and_disabled_are_final_with_status_200() {
    for (status, code) in [
        (Status::Failed, ErrorCode::RegistrationFailed),
        (Status::Disabled, ErrorCode::EnrollmentDisabled),
        (Status::Unknown, ErrorCode::UnexpectedStatus),
    ] {
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
        let (id, _) = sent(&mut machine, 0);
        let mut reply = Reply::new(200);
        reply.body.status = Some(status);
        reply.body.error_code = Some(400_208);
        reply.body.message = Some("no hub".into());
        machine.handle_reply(at(0), id, &reply).unwrap();
        assert_eq!(failure(&machine), (code, Verdict::Never));
        let Some(Outcome::Failed(failure)) = machine.outcome() else { panic!() };
        assert_eq!((failure.error_code(), failure.message()), (Some(400_208), Some("no hub".into())));
    }
}

#[test]
fn status_200_with_assigning_is_polled_again() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    let mut reply = assigning(None);
    reply.status = 200;
    machine.handle_reply(at(0), id, &reply).unwrap();
    assert_eq!(step(&mut machine, 0), Did::Wait(2000));
}

#[test]
fn unauthorized_reports_clock_skew() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    let mut reply = error(401, None);
    reply.date = Some(NOW.plus(7200));
    machine.handle_reply(at(0), id, &reply).unwrap();
    let Some(Outcome::Failed(failure)) = machine.outcome() else { panic!() };
    assert_eq!((failure.code(), failure.clock_skew()), (ErrorCode::Unauthorized, Some(7200)));
    assert_eq!(failure.hints().first(), Some(Hint::ClockBehind));
}

#[test]
fn clock_skew_is_not_named_for_a_reply_that_cannot_be_used() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    let mut reply = assigned();
    reply.date = Some(NOW.plus(7200));
    reply.body.assigned_hub = Some("-".into());
    machine.handle_reply(at(0), id, &reply).unwrap();
    assert_eq!(step(&mut machine, 120_000), Did::Finish);
    let Some(Outcome::Failed(failure)) = machine.outcome() else { panic!() };
    assert_eq!((failure.code(), failure.clock_skew()), (ErrorCode::InvalidReply, None));
}

#[test]
fn slow_clock_is_corrected_once_if_allowed() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config().correct_clock(true), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    let mut reply = error(401, None);
    reply.date = Some(NOW.plus(7200));
    machine.handle_reply(at(1000), id, &reply).unwrap();
    let Action::Sign { id, .. } = machine.poll(at(2000)) else { panic!() };
    let expected = format!("0ne00A1B2C3%2Fregistrations%2Fdev-01\n{}", NOW.get() + 7200 + 1 + 3600);
    assert_eq!(machine.to_sign(), expected.as_bytes());
    machine.handle_signature(at(2000), id, &Signature::new([1; 32])).unwrap();
    let (id, kind) = sent(&mut machine, 2000);
    assert_eq!(kind, Sent::Register);
    reply.date = Some(UnixSeconds::new(NOW.get() + 90_000));
    machine.handle_reply(at(2000), id, &reply).unwrap();
    assert_eq!(failure(&machine).0, ErrorCode::Unauthorized, "once is enough");
}

/// A registration whose first request the service refused over a transport without a clock.
fn refused_without_a_date<'m>(config: Config, storage: &'m mut [u8], at_connect: bool) -> Registration<'m> {
    let mut machine = Registration::new(identity(), config, storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    match at_connect {
        true => machine.handle_link_error(at(0), id, LinkError::MqttRefused { code: 5 }).unwrap(),
        false => machine.handle_reply(at(0), id, &error(401, None)).unwrap(),
    }
    machine
}

#[test]
fn clock_is_corrected_once_by_time_from_another_source() {
    let two_hours_on = |millis| WallAnchor { at: at(millis), unix: NOW.plus(7200) };
    for at_connect in [true, false] {
        let mut storage = [0; 1024];
        let mut machine = refused_without_a_date(config().correct_clock(true), &mut storage, at_connect);
        assert!(machine.correct_clock(two_hours_on(10)));
        assert!(machine.outcome().is_none());
        let Action::Sign { id, .. } = machine.poll(at(20)) else { panic!() };
        let to_sign = machine.to_sign();
        assert!(to_sign.ends_with(b"\n1767236400"), "an hour from the service's time");
        let signature = key().sign(to_sign);
        machine.handle_signature(at(20), id, &signature).unwrap();
        let Action::Send { id, .. } = machine.poll(at(20)) else { panic!() };
        let request = machine.request().unwrap();
        assert!(matches!(request.call, Call::Register { payload: None, .. }));
        assert_eq!(request.authorization.unwrap().generation, 2);
        machine.handle_reply(at(20), id, &error(401, None)).unwrap();
        assert!(!machine.correct_clock(two_hours_on(30)), "once is enough");
        assert_eq!(failure(&machine), (ErrorCode::Unauthorized, Verdict::Never));
        let Some(Outcome::Failed(failure)) = machine.outcome() else { panic!() };
        assert!(!failure.hints().contains(Hint::CheckClock), "the time is known: {:?}", failure.hints());
    }
}

#[test]
fn time_from_another_source_is_reported_where_correction_is_off() {
    let mut storage = [0; 1024];
    let mut machine = refused_without_a_date(config(), &mut storage, true);
    assert!(!machine.correct_clock(WallAnchor { at: at(10), unix: NOW.plus(7200) }), "the policy forbids it");
    let Some(Outcome::Failed(failure)) = machine.outcome() else { panic!() };
    assert_eq!((failure.clock_skew(), failure.hints().first()), (Some(7200), Some(Hint::ClockBehind)));

    let mut storage = [0; 1024];
    let mut machine = refused_without_a_date(config().correct_clock(true), &mut storage, true);
    assert!(!machine.correct_clock(WallAnchor { at: at(10), unix: NOW.plus(60) }), "the clock is right");
    let Some(Outcome::Failed(failure)) = machine.outcome() else { panic!() };
    assert_eq!(failure.clock_skew(), None);
    assert!(!failure.hints().contains(Hint::CheckClock), "{:?}", failure.hints());

    // Nothing else is started again by a time.
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config().correct_clock(true), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_reply(at(0), id, &error(403, None)).unwrap();
    assert!(!machine.correct_clock(WallAnchor { at: at(10), unix: NOW.plus(7200) }));
    // Nor after the deadline.
    let mut storage = [0; 1024];
    let mut machine = refused_without_a_date(config().correct_clock(true), &mut storage, true);
    assert!(!machine.correct_clock(WallAnchor { at: at(120_000), unix: NOW.plus(7200) }));
}

#[test]
fn assignment_that_does_not_fit_returns_the_needed_size_and_can_be_read_again() {
    let names = identity();
    let needed = dps_core::storage_size(&names);
    let (hub, device) = ("h".repeat(248) + ".test", "d".repeat(128));
    let mut storage = vec![0; needed];
    let mut machine = Registration::new(names, config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_reply(at(0), id, &assigning(Some(0))).unwrap();
    let (id, _) = sent(&mut machine, 0);
    let mut reply = assigned();
    reply.body.assigned_hub = Some(hub.as_str().into());
    reply.body.device_id = Some(device.as_str().into());
    machine.handle_reply(at(0), id, &reply).unwrap();
    let Some(Outcome::Failed(failure)) = machine.outcome() else { panic!() };
    assert_eq!((failure.code(), failure.verdict()), (ErrorCode::AssignmentTooLarge, Verdict::Reconfigure));
    let (more, mut line) = (failure.needed().unwrap(), [0; 512]);
    let line = machine.operation().unwrap().write(&mut line).unwrap().to_owned();
    drop(machine);

    let mut storage = vec![0; more];
    let operation = Operation::parse(&line).unwrap();
    let mut machine = Registration::resume(names, config(), &mut storage, &operation).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_reply(at(0), id, &reply).unwrap();
    let Some(Outcome::Assigned(assignment)) = machine.outcome() else { panic!() };
    assert_eq!((assignment.assigned_hub(), assignment.device_id()), (hub.as_str().into(), device.as_str().into()));
}

#[test]
fn storage_size_is_exact_and_storage_is_wiped_at_the_end() {
    let needed = dps_core::storage_size(&identity());
    let mut storage = vec![0xAA; needed - 1];
    let refused = Registration::new(identity(), config(), &mut storage).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::StorageTooSmall);
    assert!(refused.to_string().contains(&needed.to_string()), "{refused}");

    let mut storage = vec![0xAA; needed];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_reply(at(0), id, &assigned()).unwrap();
    drop(machine);
    assert!(storage.iter().all(|byte| *byte == 0));
}

#[test]
fn long_message_is_cut_at_a_character_boundary() {
    let mut storage = vec![0; dps_core::storage_size(&identity())];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    let long = "é".repeat(400);
    let mut reply = error(400, None);
    reply.body.message = Some(long.as_str().into());
    machine.handle_reply(at(0), id, &reply).unwrap();
    let Some(Outcome::Failed(failure)) = machine.outcome() else { panic!() };
    let kept = failure.message().unwrap();
    assert!(kept.len() > 150 && long.starts_with(kept.as_str()));
    assert_eq!(failure.tracking_id(), Some("6f1e0f0a-0000-4000-8000-000000000001".into()));
}

#[test]
fn lookup_returns_the_record_and_never_registers() {
    let mut storage = [0; 1024];
    let mut machine = Registration::lookup(identity(), config(), &mut storage).unwrap();
    let (id, kind) = sent(&mut machine, 0);
    assert_eq!(kind, Sent::Lookup);
    machine.handle_reply(at(0), id, &error(503, Some(1))).unwrap();
    let Did::Wait(until) = step(&mut machine, 0) else { panic!() };
    let (id, kind) = sent(&mut machine, until);
    assert_eq!(kind, Sent::Lookup);
    let mut reply = assigned();
    reply.body.status = Some(Status::Disabled);
    machine.handle_reply(at(until), id, &reply).unwrap();
    let Some(Outcome::Record(record)) = machine.outcome() else { panic!() };
    assert_eq!((record.status(), record.assigned_hub()), (Status::Disabled, Some("hub-a.test".into())));
    assert_eq!((record.error_code(), record.message()), (None, None));
}

#[test]
fn a_payload_is_an_object() {
    assert_eq!(Payload::new(" {\"a\": [1, {}]}\n").unwrap().as_str(), "{\"a\": [1, {}]}");
    for text in ["", "\"text\"", "[1]", "null", "7", "{", "{\"a\":}", "{} {}", "{'a':1}"] {
        assert_eq!(Payload::new(text).unwrap_err().code(), ErrorCode::InvalidPayload, "{text:?}");
    }
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(100_000));
    assert_eq!(Payload::new(&long).unwrap_err().code(), ErrorCode::InvalidPayload);
}
