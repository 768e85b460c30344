//! What people and programs read of the core's values: names, failures, and nothing of a secret.

use crate::common::{assigned, at, config, error, identity, key, sent};
use dps_core::codec::http::{Head, read_reply};
use dps_core::credentials::{Resource, SasToken};
use dps_core::{
    Authorization, ConfigError, Endpoint, ErrorCode, Hint, IdProblem, IdScope, Key, KeyProblem, Outcome, Payload,
    PayloadProblem, Registration, RegistrationId, Signature, TooSmall, Tpm, UnixSeconds,
};

#[test]
fn names_are_displayed_as_given() {
    let (scope, id) = (IdScope::new("0ne00A1B2C3").unwrap(), RegistrationId::new("Dev-01").unwrap());
    assert_eq!(format!("{scope} {scope:?} {id} {id:?}"), "0ne00A1B2C3 0ne00A1B2C3 Dev-01 Dev-01");
    assert!(id.has_upper_case() && !RegistrationId::new("dev-01").unwrap().has_upper_case());
}

#[test]
fn longest_endpoint_can_be_displayed() {
    let longest = format!("[{}]:65535", "::".repeat(126) + ":");
    assert_eq!(Endpoint::new(&longest).unwrap().to_string(), longest);
}

#[test]
fn port_of_the_endpoint_overrides_the_default_port() {
    assert_eq!(Endpoint::new("dps.test").unwrap().port_or(8883), 8883);
    assert_eq!(Endpoint::new("dps.test:1443").unwrap().port_or(8883), 1443);
}

#[test]
fn debug_of_a_reply_has_neither_payload_nor_keys() {
    let mut body =
        *br#"{"status":"assigned","authenticationKey":"QUJD","registrationState":{"payload":{"a":"hidden"}}}"#;
    let reply = read_reply(Head { status: 200, ..Head::default() }, &mut body).unwrap();
    let shown = format!("{reply:?}");
    assert!(shown.contains("Assigned"), "{shown}");
    for hidden in ["hidden", "QUJD", "104, 105, 100"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[test]
fn every_code_and_hint_has_words_of_its_own() {
    let codes = ErrorCode::ALL.iter().map(|code| code.text());
    let hints = Hint::ALL.iter().flat_map(|hint| [hint.name(), hint.text()]);
    let mut words: Vec<&str> = codes.chain(hints).collect();
    words.sort_unstable();
    assert!(words.windows(2).all(|pair| pair[0] != pair[1]), "{words:?}");
    assert!(words[0].len() > 5, "{}", words[0]);
}

#[test]
fn error_numbers_are_grouped_by_family() {
    let families = ErrorCode::ALL.iter().map(|code| (code.number() / 1000, code.family().name()));
    let mut families: Vec<_> = families.collect();
    families.dedup();
    let expected = [(1, "misuse"), (2, "configuration"), (3, "local"), (4, "service"), (5, "link")];
    assert_eq!(families, expected);
}

#[test]
fn each_configuration_error_has_its_code() {
    let problem = IdProblem::Empty;
    for (error, code) in [
        (ConfigError::IdScope(problem), ErrorCode::InvalidIdScope),
        (ConfigError::RegistrationId(problem), ErrorCode::InvalidRegistrationId),
        (ConfigError::Endpoint(problem), ErrorCode::InvalidEndpoint),
        (ConfigError::Key(KeyProblem::Empty), ErrorCode::InvalidKey),
        (ConfigError::Payload(PayloadProblem::NotAnObject), ErrorCode::InvalidPayload),
        (ConfigError::Storage(TooSmall { needed: 1 }), ErrorCode::StorageTooSmall),
        (ConfigError::OperationUnreadable, ErrorCode::OperationUnreadable),
        (ConfigError::OperationMismatch, ErrorCode::OperationMismatch),
        (ConfigError::UnsupportedByTransport, ErrorCode::UnsupportedByTransport),
    ] {
        assert_eq!(error.code(), code, "{error}");
    }
}

#[test]
fn short_key_is_told_from_wrong_padding() {
    for (text, problem) in [
        ("QQ==", KeyProblem::Length { length: 1 }),
        ("QUJD", KeyProblem::Length { length: 3 }),
        ("QUJDQQ", KeyProblem::Length { length: 4 }),
        ("QQ=", KeyProblem::Truncated),
        ("QUJD====", KeyProblem::Truncated),
        ("QUJDQ", KeyProblem::Truncated),
    ] {
        assert_eq!(Key::from_base64(text).unwrap_err(), ConfigError::Key(problem), "{text}");
    }
}

#[test]
fn failure_is_shown_as_a_sentence_with_the_service_message() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_reply(at(0), id, &error(403, None)).unwrap();
    let Some(Outcome::Failed(failure)) = machine.outcome() else { panic!() };
    assert_eq!(failure.to_string(), "the service forbids it: the service's words (status 403, code 403002)");
    let shown = format!("{failure:?}");
    assert!(shown.contains("Forbidden") && shown.contains("403002") && shown.contains("Never"), "{shown}");
}

#[test]
fn debug_of_secrets_shows_only_their_type() {
    let authorization = Authorization::new("SharedAccessSignature sr=x&sig=secret", 7);
    assert_eq!(format!("{authorization:?}"), "Authorization { generation: 7, .. }");
    assert_eq!(format!("{:?}", Payload::new("{\"a\":1}").unwrap()), "Payload(7 bytes)");
    assert_eq!(format!("{:?}", Tpm::new(b"public", b"root")), "Tpm { endorsement_key_length: 6, .. }");
    assert_eq!((key().length(), key().expose()), (32, &[7; 32][..]));
    assert_eq!(format!("{:?} {:?}", key(), Signature::new([7; 32])), "Key(32 bytes) Signature(redacted)");
    let mut buffer = [0; 256];
    let resource = Resource::registration(identity().id_scope, identity().registration_id);
    let token = SasToken::prepare(&resource, UnixSeconds::new(99), &mut buffer).unwrap();
    let shown = format!("{token:?}");
    assert!(shown.starts_with("SasToken") && shown.contains("\\n99") && !shown.contains("sr="), "{shown}");

    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    let shown = format!("{machine:?}");
    assert!(shown.contains("dev-01") && shown.contains("Asked") && !shown.contains("sig="), "{shown}");
    machine.handle_reply(at(0), id, &assigned()).unwrap();
    assert!(format!("{machine:?}").contains("Finished"));
}
