//! The data in `vectors/`, through the core's own types.

use dps_core::codec::http::{self, Head};
use dps_core::credentials::{Resource, SasToken, derive_device_key};
use dps_core::{
    Action, Attestation, Config, ConfigError, Endpoint, IdProblem, IdScope, Identity, Instant, Key, KeyProblem,
    Outcome, Payload, Registration, RegistrationId, ReplyProblem, RequestId, Signature, Text, UnixSeconds,
    WithCertificateRequest, X509,
};

use base64::prelude::*;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

fn data(name: &str) -> Value {
    let path = format!("{}/../vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'v>(entry: &'v Value, member: &str) -> &'v str {
    entry[member].as_str().unwrap_or_else(|| panic!("{member} of {entry}"))
}

fn entries<'v>(data: &'v Value, list: &str) -> &'v Vec<Value> {
    let entries = data[list].as_array().unwrap();
    assert!(!entries.is_empty());
    entries
}

/// The base64 text of an HMAC: by the core, unless the key has a length that the service does not take.
fn hmac_text(key: &[u8], message: &str) -> String {
    match Key::from_bytes(key) {
        Ok(key) => {
            let mut text = [0; dps_core::limits::SIGNATURE_TEXT];
            key.sign(message.as_bytes()).write_base64(&mut text);
            String::from_utf8(text.to_vec()).unwrap()
        }
        Err(_) => {
            let hmac = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message);
            BASE64_STANDARD.encode(hmac.finalize().into_bytes())
        }
    }
}

fn decoded(key: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(key).unwrap()
}

fn key_text(key: &Key) -> String {
    let mut text = [0; dps_core::limits::KEY_TEXT_MAX];
    key.write_base64(&mut text).unwrap().into()
}

#[test]
fn derived_keys() {
    let data = data("keys");
    for entry in entries(&data, "positive") {
        let (group, id, expected) = (text(entry, "groupKey"), text(entry, "registrationId"), text(entry, "deviceKey"));
        match text(entry, "layer") {
            "key" => {
                let (group, id) = (Key::from_base64(group).unwrap(), RegistrationId::new(id).unwrap());
                assert_eq!(key_text(&derive_device_key(&group, id)), expected, "{entry}");
            }
            "hmac" => {
                assert!(Key::from_base64(group).is_err(), "{entry}");
                assert_eq!(hmac_text(&decoded(group), id), expected, "{entry}");
            }
            layer => panic!("unknown layer {layer}"),
        }
    }
}

#[test]
fn misspelled_registration_ids_derive_other_keys() {
    let data = data("keys");
    for entry in entries(&data, "negative") {
        let (group, message, wrong) = (text(entry, "groupKey"), text(entry, "message"), text(entry, "mustNotBe"));
        let mistaken = if entry["keyAsText"] == true {
            hmac_text(group.as_bytes(), message)
        } else {
            assert!(RegistrationId::new(message).is_err(), "{entry}");
            hmac_text(&decoded(group), message)
        };
        assert_eq!(mistaken, wrong, "the vector itself is off: {entry}");
        let right = derive_device_key(
            &Key::from_base64(group).unwrap(),
            RegistrationId::new(text(entry, "registrationId")).unwrap(),
        );
        assert_ne!(key_text(&right), wrong, "{entry}");
    }
}

#[test]
fn tokens_and_signatures() {
    let data = data("tokens");
    for entry in entries(&data, "signatures") {
        let (key, sr, se) = (text(entry, "key"), text(entry, "sr"), entry["se"].as_u64().unwrap());
        assert_eq!(hmac_text(&decoded(key), &format!("{sr}\n{se}")), text(entry, "signature"), "{entry}");
        match text(entry, "layer") {
            "token" => assert_token(entry, key, sr, se),
            "signature" | "hmac" => assert!(entry.get("token").is_none(), "{entry}"),
            layer => panic!("unknown layer {layer}"),
        }
    }
    for entry in entries(&data, "hmac") {
        assert_eq!(
            hmac_text(&decoded(text(entry, "key")), text(entry, "message")),
            text(entry, "signature"),
            "{entry}"
        );
    }
}

fn assert_token(entry: &Value, key: &str, sr: &str, se: u64) {
    let names = &entry["resource"];
    let resource = if names.get("registrationId").is_some() {
        let id_scope = IdScope::new(text(names, "idScope")).unwrap();
        Resource::registration(id_scope, RegistrationId::new(text(names, "registrationId")).unwrap())
    } else if names.get("hub").is_some() {
        Resource::hub_device(text(names, "hub"), text(names, "deviceId"))
    } else {
        Resource::service(text(names, "service"), text(names, "policy"))
    };
    let mut buffer = vec![0; resource.token_max()];
    let token = SasToken::prepare(&resource, UnixSeconds::new(se), &mut buffer).unwrap();
    assert_eq!(token.to_sign(), format!("{sr}\n{se}").as_bytes(), "{entry}");
    let signature = Key::from_base64(key).unwrap().sign(token.to_sign());
    assert_eq!(token.finish(&signature), text(entry, "token"), "{entry}");
}

/// No key was published with these, so that only the text around the signature can be compared.
#[test]
fn token_equals_that_of_another_client() {
    let data = data("tokens");
    for entry in entries(&data, "format") {
        let sr = text(entry, "sr");
        assert_eq!(text(entry, "stringToSign"), format!("{sr}\n{}", entry["se"]));
        let id_scope = IdScope::new("0neFEEDC0DE").unwrap();
        let resource = Resource::registration(id_scope, RegistrationId::new("myRegistrationId").unwrap());
        let mut buffer = vec![0; resource.token_max()];
        let token = SasToken::prepare(&resource, UnixSeconds::new(entry["se"].as_u64().unwrap()), &mut buffer).unwrap();
        let signature = BASE64_STANDARD_NO_PAD.decode(text(entry, "signature")).unwrap();
        let ours = token.finish(&Signature::new(signature.try_into().unwrap())).as_str();
        // That client writes lower-case escapes in `sr`, leaves the padding out and names no key.
        assert_eq!(
            ours.replace("%2Fregistrations%2F", "%2fregistrations%2f").replace("%3D&", "&"),
            format!("{}&skn=registration", text(entry, "token"))
        );
    }
}

#[test]
fn refused_input_is_explained() {
    let data = data("refused");
    for entry in entries(&data, "keys") {
        let problem = match Key::from_base64(text(entry, "text")).err() {
            Some(ConfigError::Key(problem)) => match problem {
                KeyProblem::Empty => "empty",
                KeyProblem::NotBase64 { .. } | KeyProblem::LineBreak { .. } => "not-base64",
                KeyProblem::Truncated => "truncated",
                KeyProblem::Length { .. } => "length",
                KeyProblem::LooksLikePem => "pem",
                KeyProblem::LooksLikeConnectionString => "connection-string",
                KeyProblem::LooksLikeToken => "token",
                KeyProblem::LooksLikeAssignment => "assignment",
                KeyProblem::LooksLikeHex => "hex",
                other => panic!("{entry}: {other:?}"),
            },
            other => panic!("{entry}: {other:?}"),
        };
        assert_eq!(problem, text(entry, "problem"), "{entry}");
    }
    for entry in entries(&data, "registrationIds") {
        let problem = match RegistrationId::new(text(entry, "text")).err() {
            Some(ConfigError::RegistrationId(IdProblem::Empty)) => "empty",
            Some(ConfigError::RegistrationId(IdProblem::TooLong { .. })) => "too-long",
            Some(ConfigError::RegistrationId(IdProblem::Character { .. })) => "character",
            other => panic!("{entry}: {other:?}"),
        };
        assert_eq!(problem, text(entry, "problem"), "{entry}");
    }
}

fn registered<'m, A: Attestation>(
    attestation: A,
    storage: &'m mut [u8],
    payload: Option<&'m str>,
) -> Registration<'m, A> {
    let identity = Identity {
        endpoint: Endpoint::GLOBAL,
        id_scope: IdScope::new("0ne00A1B2C3").unwrap(),
        registration_id: RegistrationId::new("dev-01").unwrap(),
    };
    let mut machine = Registration::with_attestation(identity, attestation, Config::new(), storage).unwrap();
    if let Some(payload) = payload {
        machine.set_payload(Payload::new(payload).unwrap());
    }
    assert!(matches!(machine.poll(Instant::from_millis(0)), Action::Send { .. }));
    machine
}

#[test]
fn certificate_requests_are_written() {
    let data = data("issuance");
    for entry in entries(&data, "requests") {
        let csr = decoded(text(entry, "csr"));
        assert_eq!(text(entry, "registrationId"), "dev-01");
        let attestation = WithCertificateRequest::new(X509, csr.as_slice()).unwrap();
        let mut storage = [0; 1024];
        let machine = registered(attestation, &mut storage, entry["payload"].as_str());
        let request = machine.request().unwrap();
        let mut out = [0; 2048];
        let mut body = Text::new(&mut out);
        http::write_body(&mut body, &request);
        assert_eq!(body.finish().unwrap(), text(entry, "body"), "{entry}");
    }
}

/// The machine after `body` was handed over, and the buffer that it is in.
fn assigned_by<'m>(body: &str, storage: &'m mut [u8]) -> (Registration<'m, X509>, Vec<u8>) {
    let mut machine = registered(X509, storage, None);
    let mut buffer = Vec::from(body);
    let reply = http::read_reply(Head { status: 200, ..Head::default() }, &mut buffer).unwrap();
    machine.handle_reply(Instant::from_millis(0), RequestId::new(1), &reply).unwrap();
    assert!(matches!(machine.outcome(), Some(Outcome::Assigned(_))), "{body}");
    (machine, buffer)
}

#[test]
fn issued_certificates_are_read() {
    let data = data("issuance");
    for entry in entries(&data, "issued") {
        let mut storage = [0; 1024];
        let (machine, mut buffer) = assigned_by(text(entry, "body"), &mut storage);
        let expected = match entry.get("problem") {
            Some(_) => Err(ReplyProblem::IssuedChain),
            None => Ok(entry["certificate"].as_str().map(decoded)),
        };
        let index = entry["index"].as_u64().unwrap() as usize;
        // The others are decoded before, or not.
        for decodes in [false, true] {
            for other in (0..4).filter(|_| decodes) {
                let _ = machine.issued_certificate(&mut buffer, other);
            }
            let found = machine.issued_certificate(&mut buffer, index).map(|found| found.map(<[u8]>::to_vec));
            assert_eq!(found, expected, "{entry}");
        }
    }
}

#[test]
fn connection_profiles_are_read() {
    let data = data("issuance");
    for entry in entries(&data, "profiles") {
        let mut storage = [0; 1024];
        let (machine, mut buffer) = assigned_by(text(entry, "body"), &mut storage);
        let found = machine.connection_profile(&mut buffer, text(entry, "apiVersion"));
        let expected = match entry.get("problem") {
            Some(_) => Err(ReplyProblem::Profile),
            None => Ok(text(entry, "profile").to_owned()),
        };
        assert_eq!(found.map(|profile| profile.to_string()), expected, "{entry}");
    }
}
