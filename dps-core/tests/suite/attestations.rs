//! Attestations other than a symmetric key, and certificate requests: what goes over the wire, and in which order.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{NOW, assigning, at, config, identity, key};
use dps_core::codec::http::{self, Head, wire};
use dps_core::{
    Action, ActivateError, Call, Config, ErrorCode, Hint, LinkError, Millis, Misuse, Operation, Outcome, Registration,
    Reply, RequestId,
};
use dps_core::{
    Attestation, CertificateRequestError, CertificateSource, SymmetricKey, Tpm, WithCertificateRequest, X509,
};

const CHALLENGE: &str =
    r#"{"message":"TPM","keyName":"registration","authenticationKey":"AAECAwQFBgcICQoLDA0OD\u0078AREhM="}"#;
const ASSIGNED: &str = r#"{"operationId":"5.op","status":"assigned","registrationState":{"assignedHub":"hub-a.test",
    "deviceId":"dev-01","tpm":{"authenticationKey":"ExIREA8ODQwLCgkIBwYFBAMCAQA="},"payload":{"line":7}}}"#;

/// The challenge's bytes; the escape in its text is an `x`.
fn challenge() -> Vec<u8> {
    (0..=19).collect()
}

fn tpm() -> Tpm<'static> {
    Tpm::new(b"endorsement", b"storage root")
}

fn registration<A: Attestation>(attestation: A, storage: &mut [u8]) -> Registration<'_, A> {
    Registration::with_attestation(identity(), attestation, config(), storage).unwrap()
}

/// What the request says: its body, and whether it carries a token.
fn request<A: Attestation>(machine: &Registration<'_, A>) -> (String, bool) {
    let request = machine.request().expect("a reply is awaited");
    let mut out = [0; 2048];
    let length = wire::write_request(&request, http::DEFAULT_API_VERSION, "test", &mut out).unwrap();
    let text = std::str::from_utf8(&out[..length]).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(head.contains("Authorization: "), request.authorization.is_some());
    (body.into(), request.authorization.is_some())
}

fn send<A: Attestation>(machine: &mut Registration<'_, A>, now: u64) -> RequestId {
    match machine.poll(at(now)) {
        Action::Send { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

fn sign<A: Attestation>(machine: &mut Registration<'_, A>, now: u64) {
    match machine.poll(at(now)) {
        Action::Sign { id, .. } => {
            let signature = key().sign(machine.to_sign());
            machine.handle_signature(at(now), id, &signature).unwrap();
        }
        other => panic!("{other:?}"),
    }
}

/// Answers the first request with a challenge, and activates that.
fn activate<A: Attestation>(machine: &mut Registration<'_, A>) {
    let id = send(machine, 0);
    answer(machine, id, 401, CHALLENGE);
    let Action::Activate { id, .. } = machine.poll(at(0)) else { panic!("a challenge is to be activated") };
    machine.handle_activation(at(0), id).unwrap();
}

/// Hands over a reply with this body and returns the buffer that it is in.
fn answer<A: Attestation>(machine: &mut Registration<'_, A>, id: RequestId, status: u16, body: &str) -> Vec<u8> {
    let mut buffer = Vec::from(body);
    let reply = http::read_reply(Head { status, ..Head::default() }, &mut buffer).unwrap();
    machine.handle_reply(at(0), id, &reply).unwrap();
    buffer
}

fn code<A: Attestation>(machine: &Registration<'_, A>) -> ErrorCode {
    machine.failure().expect("it failed").code()
}

#[test]
fn tpm_registers_with_the_key_of_its_challenge_and_gets_one_for_the_hub() {
    registers_with_challenge(tpm());
}

/// As the C library has it.
#[test]
fn reference_to_an_attestation_is_an_attestation() {
    registers_with_challenge(&tpm() as &dyn Attestation);

    let der = der();
    for (changes_at, action) in
        [(1, Action::Finished), (9, Action::Sign { id: RequestId::new(1), respond_by: at(30_000) })]
    {
        let source = Source::new(&der, changes_at, Change::Byte);
        let attestation = WithCertificateRequest::new(SymmetricKey, &source).unwrap();
        let mut storage = [0; 1024];
        let mut machine = registration(&attestation as &dyn Attestation, &mut storage);
        assert_eq!(machine.poll(at(0)), action);
    }
}

fn registers_with_challenge(attestation: impl Attestation) {
    let mut storage = [0; 1024];
    let mut machine = registration(attestation, &mut storage);
    let id = send(&mut machine, 0);
    let tpm = r#""tpm":{"endorsementKey":"ZW5kb3JzZW1lbnQ=","storageRootKey":"c3RvcmFnZSByb290"}"#;
    assert_eq!(request(&machine), (format!("{{\"registrationId\":\"dev-01\",{tpm}}}"), false));

    let mut buffer = answer(&mut machine, id, 401, CHALLENGE);
    let Action::Activate { id, respond_by } = machine.poll(at(0)) else { panic!("a challenge is to be activated") };
    assert_eq!(respond_by, at(30_000));
    assert_eq!(machine.poll(at(0)), Action::Wait { until: at(30_000) }, "it is asked once");
    for _ in 0..2 {
        assert_eq!(machine.challenge(&mut buffer).map(<[u8]>::to_vec), Some(challenge()));
    }
    assert_eq!(machine.handle_activation(at(0), RequestId::new(9)), Err(Misuse));
    machine.handle_activation(at(0), id).unwrap();
    assert_eq!(machine.challenge(&mut buffer), None);

    sign(&mut machine, 0);
    let id = send(&mut machine, 0);
    assert_eq!(request(&machine), (format!("{{\"registrationId\":\"dev-01\",{tpm}}}"), true));
    machine.handle_reply(at(0), id, &assigning(Some(3))).unwrap();
    let id = send(&mut machine, 3000);
    assert_eq!(request(&machine), (String::new(), true), "a poll is signed with the key that was activated");

    let mut buffer = answer(&mut machine, id, 200, ASSIGNED);
    for _ in 0..2 {
        assert_eq!(machine.hub_key(&mut buffer).map(<[u8]>::to_vec), Some((0..=19).rev().collect()));
    }
    let Some(Outcome::Assigned(assigned)) = machine.outcome() else { panic!("it is assigned") };
    assert_eq!(&buffer[assigned.payload().unwrap()], br#"{"line":7}"#, "it is still where it was");
}

#[test]
fn challenge_is_found_after_the_head_of_an_http_message() {
    let mut storage = [0; 1024];
    let mut machine = registration(tpm(), &mut storage);
    let id = send(&mut machine, 0);
    let mut buffer = format!(
        "HTTP/1.1 401 Unauthorized\r\nX-Trap: {{\"authenticationKey\":\"AAAA\"}}\r\nContent-Length: {}\r\n\r\n{CHALLENGE}",
        CHALLENGE.len()
    )
    .into_bytes();
    let layout = wire::scan(&buffer, 4096, false).unwrap().expect("it is whole");
    let reply = layout.read(&mut buffer).unwrap();
    machine.handle_reply(at(0), id, &reply).unwrap();
    assert!(matches!(machine.poll(at(0)), Action::Activate { .. }));
    assert_eq!(machine.challenge(&mut buffer).map(<[u8]>::to_vec), Some(challenge()));
}

#[test]
fn refusals_without_a_challenge_and_after_it_are_final() {
    let refused = r#"{"errorCode":401002,"message":"no"}"#;
    let mut storage = [0; 1024];
    let mut machine = registration(tpm(), &mut storage);
    let id = send(&mut machine, 0);
    answer(&mut machine, id, 401, refused);
    assert_eq!(code(&machine), ErrorCode::Unauthorized);

    // A challenge that was replayed leads to a token that is not accepted.
    for body in [CHALLENGE, refused] {
        let mut storage = [0; 1024];
        let mut machine = registration(tpm(), &mut storage);
        activate(&mut machine);
        sign(&mut machine, 0);
        let id = send(&mut machine, 0);
        answer(&mut machine, id, 401, body);
        assert_eq!(code(&machine), ErrorCode::Unauthorized, "a signed request has no second challenge: {body}");
        assert_eq!(machine.poll(at(0)), Action::Finished);
        let hints = machine.failure().unwrap().hints();
        assert!(hints.contains(Hint::StaleChallenge) && !hints.contains(Hint::WrongKey), "{hints:?}");
    }
}

#[test]
fn poll_that_is_refused_with_a_challenge_ends_the_registration() {
    let mut storage = [0; 1024];
    let mut machine = registration(tpm(), &mut storage);
    activate(&mut machine);
    sign(&mut machine, 0);
    let id = send(&mut machine, 0);
    machine.handle_reply(at(0), id, &assigning(Some(0))).unwrap();
    let id = send(&mut machine, 0);
    answer(&mut machine, id, 401, CHALLENGE);
    assert_eq!(code(&machine), ErrorCode::Unauthorized);
}

#[test]
fn token_of_a_tpm_that_runs_out_between_polls_is_signed_with_the_activated_key() {
    let mut storage = [0; 1024];
    let config = config().timeout(Millis::from_secs(3600)).token_life(Millis::from_secs(60));
    let mut machine = Registration::with_attestation(identity(), tpm(), config, &mut storage).unwrap();
    activate(&mut machine);
    sign(&mut machine, 0);
    let id = send(&mut machine, 0);
    machine.handle_reply(at(0), id, &assigning(Some(600))).unwrap();
    assert_eq!(machine.poll(at(0)), Action::Wait { until: at(600_000) });
    sign(&mut machine, 600_000);
    let id = send(&mut machine, 600_000);
    assert_eq!(request(&machine), (String::new(), true), "the operation is polled, without another challenge");
    let mut buffer = answer(&mut machine, id, 200, ASSIGNED);
    assert!(machine.hub_key(&mut buffer).is_some());
}

#[test]
fn challenge_tells_the_time_where_none_is_known() {
    let learns = Config::new().learn_time(NOW);
    let years = |years: u64| NOW.plus(years * 366 * 24 * 3600);
    // A date before the earliest possible one, or long after it, is ignored: the time is asked for then.
    for (date, is_learned) in [(Some(NOW.plus(90)), true), (Some(years(30)), false), (None, false)] {
        let mut storage = [0; 1024];
        let mut machine = Registration::with_attestation(identity(), tpm(), learns, &mut storage).unwrap();
        let id = send(&mut machine, 0);
        assert!(!request(&machine).1);
        let mut buffer = Vec::from(CHALLENGE);
        let mut reply = http::read_reply(Head { status: 401, ..Head::default() }, &mut buffer).unwrap();
        reply.date = date;
        machine.handle_reply(at(0), id, &reply).unwrap();
        let Action::Activate { id, .. } = machine.poll(at(0)) else { panic!("a challenge is to be activated") };
        machine.handle_activation(at(0), id).unwrap();
        match machine.poll(at(0)) {
            Action::Sign { .. } => assert!(is_learned && machine.is_time_learned(), "{date:?}"),
            Action::Send { .. } => assert!(!is_learned && request(&machine).0.len() < 40, "{date:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(machine.wall_anchor().map(|anchor| anchor.unix), date.filter(|_| is_learned));
    }
}

#[test]
fn tpm_without_time_signs_nothing() {
    let mut storage = [0; 1024];
    let mut machine = Registration::with_attestation(identity(), tpm(), Config::new(), &mut storage).unwrap();
    activate(&mut machine);
    assert_eq!(machine.poll(at(0)), Action::Finished);
    assert_eq!(code(&machine), ErrorCode::ClockNeeded);
}

#[test]
fn challenge_corrects_the_clock_for_the_first_token() {
    for corrects in [true, false] {
        let mut storage = [0; 1024];
        let config = config().correct_clock(corrects);
        let mut machine = Registration::with_attestation(identity(), tpm(), config, &mut storage).unwrap();
        let id = send(&mut machine, 0);
        let mut buffer = Vec::from(CHALLENGE);
        let mut reply = http::read_reply(Head { status: 401, ..Head::default() }, &mut buffer).unwrap();
        let service = NOW.plus(7200);
        reply.date = Some(service);
        machine.handle_reply(at(0), id, &reply).unwrap();
        let Action::Activate { id, .. } = machine.poll(at(0)) else { panic!("the challenge was dropped") };
        assert!(machine.challenge(&mut buffer).is_some());
        machine.handle_activation(at(0), id).unwrap();
        sign(&mut machine, 0);
        assert_eq!(machine.wall_anchor().unwrap().unix, if corrects { service } else { NOW });

        // Where the clock is left as it is, the refusal of the token names the skew.
        let id = send(&mut machine, 0);
        let mut buffer = Vec::from(r#"{"errorCode":401002}"#);
        let mut reply = http::read_reply(Head { status: 401, ..Head::default() }, &mut buffer).unwrap();
        reply.date = Some(service);
        machine.handle_reply(at(0), id, &reply).unwrap();
        let failure = machine.failure().expect("it is final");
        assert_eq!(failure.code(), ErrorCode::Unauthorized);
        assert_eq!(failure.hints().contains(Hint::ClockBehind), !corrects);
    }
}

#[test]
fn operation_of_a_tpm_is_not_resumed_but_registered_afresh() {
    let mut storage = [0; 1024];
    let mut first = registration(tpm(), &mut storage);
    activate(&mut first);
    sign(&mut first, 0);
    let id = send(&mut first, 0);
    first.handle_reply(at(0), id, &assigning(Some(3))).unwrap();
    let mut line = [0; 512];
    let line = first.operation().expect("it is under way").write(&mut line).unwrap();

    let mut storage = [0; 1024];
    let mut machine = registration(tpm(), &mut storage);
    machine.set_operation(&Operation::parse(line).unwrap()).unwrap();
    send(&mut machine, 0);
    let (body, signed) = request(&machine);
    assert!(body.contains("endorsementKey") && !signed, "{body}");
}

#[test]
fn lookup_with_a_tpm_starts_with_a_challenge() {
    let mut storage = [0; 1024];
    let mut machine = registration(tpm(), &mut storage);
    machine.set_lookup().unwrap();
    activate(&mut machine);
    sign(&mut machine, 0);
    let id = send(&mut machine, 0);
    let request = machine.request_with_members().expect("a reply is awaited");
    assert!(matches!(request.call, Call::LookupWithMembers { .. }) && request.authorization.is_some());
    let mut out = [0; 512];
    let mut text = dps_core::Text::new(&mut out);
    http::write_body_with_members(&mut text, &request);
    let body = text.finish().unwrap();
    let tpm = r#""tpm":{"endorsementKey":"ZW5kb3JzZW1lbnQ=","storageRootKey":"c3RvcmFnZSByb290"}"#;
    assert_eq!(body, format!("{{\"registrationId\":\"dev-01\",{tpm}}}"));
    answer(&mut machine, id, 200, ASSIGNED);
    assert!(matches!(machine.outcome(), Some(Outcome::Record(_))));
}

#[test]
fn unknown_endorsement_key_is_hinted_at() {
    let mut storage = [0; 1024];
    let mut machine = registration(tpm(), &mut storage);
    let id = send(&mut machine, 0);
    answer(&mut machine, id, 404, r#"{"errorCode":404201,"message":"Enrollment not found."}"#);
    assert_eq!(code(&machine), ErrorCode::NotFound);
    let hints: Vec<Hint> = machine.failure().unwrap().hints().iter().collect();
    assert_eq!(hints[..2], [Hint::NoEnrollment, Hint::CompareEndorsementKey]);
}

#[test]
fn certificate_is_not_asked_for_a_challenge() {
    let mut storage = [0; 1024];
    let mut machine = registration(X509, &mut storage);
    let id = send(&mut machine, 0);
    let mut buffer = answer(&mut machine, id, 401, CHALLENGE);
    assert_eq!(code(&machine), ErrorCode::Unauthorized);
    assert_eq!(machine.challenge(&mut buffer), None);
}

#[test]
fn symmetric_key_has_no_challenge() {
    let mut storage = [0; 1024];
    let mut machine = registration(SymmetricKey, &mut storage);
    sign(&mut machine, 0);
    let id = send(&mut machine, 0);
    let mut buffer = answer(&mut machine, id, 401, CHALLENGE);
    assert_eq!(code(&machine), ErrorCode::Unauthorized);
    assert_eq!(machine.challenge(&mut buffer), None);
    assert_eq!(machine.hub_key(&mut buffer), None);
}

#[test]
fn challenge_that_is_not_activated_ends_the_registration() {
    for late in [false, true] {
        let mut storage = [0; 1024];
        let mut machine = registration(tpm(), &mut storage);
        let id = send(&mut machine, 0);
        answer(&mut machine, id, 401, CHALLENGE);
        let Action::Activate { id, .. } = machine.poll(at(0)) else { panic!("a challenge is to be activated") };
        if !late {
            machine.handle_activate_error(at(0), id, ActivateError).unwrap();
        }
        assert_eq!(machine.poll(at(30_000)), Action::Finished);
        assert_eq!(code(&machine), if late { ErrorCode::SignerTimeout } else { ErrorCode::ActivationFailed });
    }
}

#[test]
fn lost_challenge_is_asked_for_again() {
    let mut storage = [0; 1024];
    let mut machine = registration(tpm(), &mut storage);
    let id = send(&mut machine, 0);
    answer(&mut machine, id, 401, CHALLENGE);
    assert!(matches!(machine.poll(at(0)), Action::Activate { .. }));
    machine.abandon();
    send(&mut machine, 0);
    assert!(!request(&machine).1);
}

#[test]
fn unknown_operation_of_a_tpm_is_registered_again_without_token() {
    let mut storage = [0; 1024];
    let mut machine = registration(tpm(), &mut storage);
    activate(&mut machine);
    sign(&mut machine, 0);
    let id = send(&mut machine, 0);
    machine.handle_reply(at(0), id, &assigning(Some(0))).unwrap();
    let id = send(&mut machine, 0);
    machine.handle_reply(at(0), id, &Reply::new(404)).unwrap();
    send(&mut machine, 0);
    let (body, signed) = request(&machine);
    assert!(body.contains("endorsementKey") && !signed, "{body}");
}

/// A certificate request that changes after so many readings of the whole.
struct Source<'a> {
    bytes: &'a [u8],
    reads: AtomicUsize,
    changes_at: usize,
    change: Change,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Byte,
    Length,
    Error,
}

/// In so many pieces the whole is read.
const PIECES: usize = 3;

impl<'a> Source<'a> {
    fn new(bytes: &'a [u8], changes_at: usize, change: Change) -> Self {
        Self { bytes, reads: AtomicUsize::new(0), changes_at, change }
    }

    fn is_changed(&self) -> bool {
        self.reads.load(Ordering::Relaxed) >= self.changes_at * PIECES
    }
}

impl CertificateSource for &Source<'_> {
    fn length(&self) -> usize {
        self.bytes.len() + usize::from(self.is_changed() && matches!(self.change, Change::Length))
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), CertificateRequestError> {
        let is_changed = self.is_changed();
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes.read(offset, buffer)?;
        match self.change {
            Change::Byte if is_changed => buffer[0] ^= 1,
            Change::Error if is_changed => return Err(CertificateRequestError),
            _ => {}
        }
        Ok(())
    }
}

fn der() -> Vec<u8> {
    (0..=129).collect()
}

#[test]
fn certificate_request_is_sent_with_each_register_and_with_no_poll() {
    let der = der();
    let attestation = WithCertificateRequest::new(SymmetricKey, der.as_slice()).unwrap();
    let mut storage = [0; 1024];
    let mut machine = registration(attestation, &mut storage);
    let mut expected = [0; 512];
    let mut text = dps_core::Text::new(&mut expected);
    text.push_base64(&der);
    let expected = format!("{{\"registrationId\":\"dev-01\",\"csr\":\"{}\"}}", text.finish().unwrap());
    sign(&mut machine, 0);
    let id = send(&mut machine, 0);
    assert_eq!(request(&machine).0, expected);
    machine.handle_reply(at(0), id, &assigning(Some(0))).unwrap();
    let id = send(&mut machine, 0);
    assert_eq!(request(&machine).0, "");
    machine.handle_reply(at(0), id, &Reply::new(404)).unwrap();
    send(&mut machine, 0);
    assert_eq!(request(&machine).0, expected, "the same bytes after the operation was forgotten");
}

#[test]
fn certificate_request_is_sent_with_tpm_attestation() {
    let attestation = WithCertificateRequest::new(tpm(), b"request".as_slice()).unwrap();
    let mut storage = [0; 1024];
    let mut machine = registration(attestation, &mut storage);
    send(&mut machine, 0);
    let (body, signed) = request(&machine);
    assert!(body.contains("\"storageRootKey\":\"c3RvcmFnZSByb290\"},\"csr\":\"cmVxdWVzdA==\"}") && !signed, "{body}");
}

#[test]
fn certificate_request_that_changes_ends_the_registration_before_anything_is_signed() {
    let der = der();
    for change in [Change::Byte, Change::Length, Change::Error] {
        let source = Source::new(&der, 1, change);
        let attestation = WithCertificateRequest::new(SymmetricKey, &source).unwrap();
        let mut storage = [0; 1024];
        let mut machine = registration(attestation, &mut storage);
        assert_eq!(machine.poll(at(0)), Action::Finished, "{change:?}");
        assert_eq!(code(&machine), ErrorCode::CertificateRequest, "{change:?}");
    }
}

#[test]
fn certificate_request_that_changes_while_it_is_written_is_not_sent() {
    let der = der();
    for change in [Change::Byte, Change::Length, Change::Error] {
        // Read when it is made, before it is signed, and before it is sent.
        let source = Source::new(&der, 3, change);
        let attestation = WithCertificateRequest::new(SymmetricKey, &source).unwrap();
        let mut storage = [0; 1024];
        let mut machine = registration(attestation, &mut storage);
        sign(&mut machine, 0);
        let id = send(&mut machine, 0);
        let request = machine.request().unwrap();
        let written = wire::write_request(&request, http::DEFAULT_API_VERSION, "test", &mut [0; 4096]);
        let needed = written.expect_err("it has changed").needed;
        machine.handle_link_error(at(0), id, LinkError::RequestTooLarge { needed }).unwrap();
        assert_eq!(code(&machine), ErrorCode::CertificateRequest, "{change:?}");
    }
}

#[test]
fn empty_and_unreadable_certificate_requests_are_refused() {
    assert!(WithCertificateRequest::new(SymmetricKey, b"".as_slice()).is_err());
    let source = Source::new(b"der", 0, Change::Error);
    assert!(WithCertificateRequest::new(SymmetricKey, &source).is_err());
}

#[test]
fn time_question_has_no_payload_and_no_members() {
    let attestation = WithCertificateRequest::new(SymmetricKey, b"request".as_slice()).unwrap();
    let mut storage = [0; 1024];
    let config = Config::new().learn_time(NOW);
    let mut machine = Registration::with_attestation(identity(), attestation, config, &mut storage).unwrap();
    let id = send(&mut machine, 0);
    assert_eq!(request(&machine), ("{\"registrationId\":\"dev-01\"}".into(), false));
    machine.handle_link_error(at(0), id, LinkError::Unsupported).unwrap();
    assert_eq!(code(&machine), ErrorCode::ClockNeeded);
}
