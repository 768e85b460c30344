//! Certificates that the service issues, and the hub's protocol: read from the reply buffer after the end.

use crate::common::{assigning, at, config, identity};
use dps_core::codec::http::{self, Head, wire};
use dps_core::codec::{ISSUANCE_API_VERSION, PROFILE_API_VERSION, mqtt};
use dps_core::{
    Action, Attestation, ConnectionProfile, ErrorCode, LinkError, Misuse, Operation, Outcome, Registration,
    ReplyProblem, RequestId, Verdict, WithCertificateRequest, X509,
};

use base64::prelude::*;

/// A certificate request; the core does not look into it.
const REQUEST: &[u8] = b"a certificate request";

fn with_request() -> WithCertificateRequest<X509, &'static [u8]> {
    WithCertificateRequest::new(X509, REQUEST).unwrap()
}

fn registration<A: Attestation>(attestation: A, storage: &mut [u8]) -> Registration<'_, A> {
    Registration::with_attestation(identity(), attestation, config(), storage).unwrap()
}

fn send<A: Attestation>(machine: &mut Registration<'_, A>) -> RequestId {
    match machine.poll(at(0)) {
        Action::Send { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

/// Certificates of so many bytes, each different.
fn certificates(count: u8, length: usize) -> Vec<Vec<u8>> {
    (0..count).map(|which| (0..length).map(|at| (at as u8).wrapping_mul(31) ^ which).collect()).collect()
}

fn assigned(members: &str) -> String {
    format!(
        "{{\"operationId\":\"5.op\",\"status\":\"assigned\",\"registrationState\":{{\"registrationId\":\"dev-01\",\
         \"assignedHub\":\"hub-a.test\",\"deviceId\":\"dev-01\",\"payload\":{{\"line\":7}}{members}}}}}"
    )
}

fn chain_member(certificates: &[Vec<u8>]) -> String {
    let texts: Vec<String> =
        certificates.iter().map(|certificate| format!("\"{}\"", BASE64_STANDARD.encode(certificate))).collect();
    format!(",\"issuedCertificateChain\":[{}]", texts.join(","))
}

/// The whole chain.
fn issued<A: Attestation>(machine: &Registration<'_, A>, buffer: &mut [u8]) -> Vec<Vec<u8>> {
    let mut chain = Vec::new();
    while let Some(certificate) = machine.issued_certificate(buffer, chain.len()).unwrap() {
        chain.push(certificate.to_vec());
    }
    chain
}

#[test]
fn issued_chain_of_three_p384_fits_8_kib_and_of_five_rsa_2048_fits_16_kib_over_http() {
    for (count, length, size) in [(3, 800, 8 * 1024), (5, 1300, 16 * 1024)] {
        let expected = certificates(count, length);
        let body = assigned(&chain_member(&expected));
        let mut storage = [0; 1024];
        let mut machine = registration(with_request(), &mut storage);
        let id = send(&mut machine);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let mut buffer = vec![0xAA; size];
        buffer[..head.len()].copy_from_slice(head.as_bytes());
        buffer[head.len()..head.len() + body.len()].copy_from_slice(body.as_bytes());
        let layout = wire::scan(&buffer[..head.len() + body.len()], size, false).unwrap().expect("it is whole");
        let reply = layout.read(&mut buffer).unwrap();
        machine.handle_reply(at(0), id, &reply).unwrap();

        assert_eq!(issued(&machine, &mut buffer), expected);
        let root = machine.issued_certificate(&mut buffer, usize::from(count) - 1).unwrap();
        assert_eq!(root, Some(&expected[usize::from(count) - 1][..]), "again, and in any order");
        let Some(Outcome::Assigned(assignment)) = machine.outcome() else { panic!("it is assigned") };
        assert_eq!(&buffer[assignment.payload().unwrap()], b"{\"line\":7}", "the payload is where it was");
        assert_eq!(assignment.assigned_hub(), "hub-a.test");
    }
}

#[test]
fn issued_chain_is_read_over_mqtt_in_pieces_of_http_and_with_any_attestation() {
    let expected = certificates(3, 401);
    let member = format!("{},\"connectionProfile\":\"classic\"", chain_member(&expected));
    let body = assigned(&member);

    let mut storage = [0; 1024];
    let mut machine = registration(with_request(), &mut storage);
    let id = send(&mut machine);
    let mut buffer = body.clone().into_bytes();
    let topic = mqtt::parse_topic(format!("$dps/registrations/res/200/?$rid={id}")).unwrap();
    let reply = mqtt::read_reply(&topic, &mut buffer).unwrap();
    machine.handle_mqtt_reply(at(0), id, &reply).unwrap();
    assert_eq!(issued(&machine, &mut buffer), expected);
    assert_eq!(machine.connection_profile(&mut buffer, PROFILE_API_VERSION), Ok(ConnectionProfile::Classic));

    let attestation = with_request();
    let mut storage = [0; 1024];
    let mut machine = registration(&attestation as &dyn Attestation, &mut storage);
    let id = send(&mut machine);
    let pieces: Vec<String> = body
        .as_bytes()
        .chunks(100)
        .map(|piece| format!("{:x}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap()))
        .collect();
    let mut buffer =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", pieces.concat()).into_bytes();
    let layout = wire::scan(&buffer, 8192, false).unwrap().expect("it is whole");
    let reply = layout.read(&mut buffer).unwrap();
    machine.handle_reply(at(0), id, &reply).unwrap();
    assert_eq!(machine.connection_profile(&mut buffer, PROFILE_API_VERSION), Ok(ConnectionProfile::Classic));
    assert_eq!(issued(&machine, &mut buffer), expected);
}

#[test]
fn reply_buffer_too_small_for_the_chain_names_the_size_and_the_operation_goes_on_with_a_larger_one() {
    let expected = certificates(3, 800);
    let body = assigned(&chain_member(&expected));
    let message = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut storage = [0; 1024];
    let mut machine = registration(with_request(), &mut storage);
    let id = send(&mut machine);
    machine.handle_reply(at(0), id, &assigning(Some(0))).unwrap();
    let id = send(&mut machine);
    let error = wire::scan(&message.as_bytes()[..2048], 2048, false).unwrap_err();
    assert_eq!(error, LinkError::ReplyTooLarge { needed: Some(message.len()) });
    machine.handle_link_error(at(0), id, error).unwrap();
    let failure = machine.failure().expect("it is over");
    assert_eq!((failure.code(), failure.verdict()), (ErrorCode::ReplyTooLarge, Verdict::Reconfigure));
    assert_eq!(failure.needed(), Some(message.len()));
    let mut line = [0; 256];
    let line = machine.operation().expect("it can be exported").write(&mut line).unwrap();

    let mut storage = [0; 1024];
    let mut machine = registration(with_request(), &mut storage);
    machine.set_operation(&Operation::parse(line).unwrap()).unwrap();
    let id = send(&mut machine);
    let mut out = [0; 512];
    let length = wire::write_request(&machine.request().unwrap(), ISSUANCE_API_VERSION, "test", &mut out).unwrap();
    let request = std::str::from_utf8(&out[..length]).unwrap();
    assert!(request.starts_with("GET ") && request.contains("/operations/5.op.1?api-version=2026-11-01 "), "{request}");
    let mut buffer = message.clone().into_bytes();
    let layout = wire::scan(&buffer, message.len(), false).unwrap().expect("it fits now");
    let reply = layout.read(&mut buffer).unwrap();
    machine.handle_reply(at(0), id, &reply).unwrap();
    assert_eq!(issued(&machine, &mut buffer), expected);
}

#[test]
fn lookup_with_a_certificate_request_is_refused() {
    let mut storage = [0; 1024];
    let mut machine = registration(with_request(), &mut storage);
    assert_eq!(machine.set_lookup(), Err(Misuse));
    send(&mut machine);
    assert!(matches!(machine.call(), Some(dps_core::Call::Register { .. })), "nothing was changed");

    let attestation = with_request();
    let mut storage = [0; 1024];
    let mut machine = registration(&attestation as &dyn Attestation, &mut storage);
    assert!(machine.set_lookup().is_err(), "behind a reference too");
}

#[test]
fn nothing_is_read_before_the_device_is_assigned() {
    let mut buffer = assigned(&chain_member(&certificates(1, 100))).into_bytes();
    let mut storage = [0; 1024];
    let mut machine = registration(with_request(), &mut storage);
    send(&mut machine);
    assert_eq!(machine.issued_certificate(&mut buffer, 0), Ok(None));
    assert_eq!(machine.connection_profile(&mut buffer, PROFILE_API_VERSION), Ok(ConnectionProfile::NotReported));
    machine.cancel();
    assert_eq!(machine.issued_certificate(&mut buffer, 0), Ok(None));
    assert_eq!(machine.connection_profile(&mut buffer, PROFILE_API_VERSION), Ok(ConnectionProfile::NotReported));
}

#[test]
fn record_of_a_lookup_has_the_profile_and_no_chain() {
    for (members, expected) in [
        (r#","connectionProfile":"mqttV5""#, Ok(ConnectionProfile::MqttV5)),
        (r#","connectionProfile":"later""#, Ok(ConnectionProfile::Other("later".into()))),
        (r#","connectionProfile":null"#, Ok(ConnectionProfile::Classic)),
        ("", Ok(ConnectionProfile::Classic)),
        (r#","connectionProfile":"two words""#, Err(ReplyProblem::Profile)),
    ] {
        let mut storage = [0; 1024];
        let mut machine = registration(X509, &mut storage);
        machine.set_lookup().unwrap();
        let id = send(&mut machine);
        let mut buffer = format!(
            "{{\"registrationId\":\"dev-01\",\"status\":\"assigned\",\"assignedHub\":\"hub-a.test\",\"deviceId\":\"dev-01\"{members}}}"
        )
        .into_bytes();
        let reply = http::read_reply(Head { status: 200, ..Head::default() }, &mut buffer).unwrap();
        machine.handle_reply(at(0), id, &reply).unwrap();
        for _ in 0..2 {
            assert_eq!(machine.connection_profile(&mut buffer, PROFILE_API_VERSION), expected, "{members}");
        }
        assert_eq!(
            machine.connection_profile(&mut buffer, http::DEFAULT_API_VERSION),
            Ok(ConnectionProfile::NotReported)
        );
        assert_eq!(machine.issued_certificate(&mut buffer, 0), Ok(None));
    }
}

#[test]
fn only_api_versions_from_2026_11_02_on_report_the_profile() {
    for version in ["2026-11-02-preview", "2026-11-02", "2026-11-15-preview", "2026-12-01", "2027-01-01-preview"] {
        assert!(ConnectionProfile::is_reported_by(version), "{version}");
    }
    for version in ["2026-11-01", "2026-11-01-preview", "2025-07-01-preview", "2021-06-01", "2019-03-31", ""] {
        assert!(!ConnectionProfile::is_reported_by(version), "{version}");
    }
    assert!(ConnectionProfile::is_reported_by(PROFILE_API_VERSION));
    for version in [ISSUANCE_API_VERSION, http::DEFAULT_API_VERSION, mqtt::DEFAULT_API_VERSION] {
        assert!(!ConnectionProfile::is_reported_by(version), "{version}: a default asks for no preview");
    }
}

#[test]
fn profile_is_shown_by_the_word_of_the_service() {
    let other = ConnectionProfile::from_word("mqttV6").unwrap();
    let shown = [ConnectionProfile::Classic, ConnectionProfile::MqttV5, other, ConnectionProfile::NotReported]
        .map(|profile| (profile.to_string(), profile.require_classic().is_ok()));
    let expected = [("classic", true), ("mqttV5", false), ("mqttV6", false), ("not reported", true)];
    assert_eq!(shown, expected.map(|(text, is_classic)| (text.to_owned(), is_classic)));
    assert_eq!(ConnectionProfile::from_word("\u{1b}[31m"), None);
}
