//! The data in `vectors/`, through the core's own types.

use dps_core::credentials::{Resource, SasToken, derive_device_key};
use dps_core::{ConfigError, IdProblem, IdScope, Key, KeyProblem, RegistrationId, Signature, UnixSeconds};

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
