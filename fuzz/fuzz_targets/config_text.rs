//! Text that people type or paste: ids, keys, endpoints, proxies, address overrides, PKCS#11 URIs, a saved operation. Keys are compared
//! with the `base64` crate, ids with the emulator's rules, the others are written and read back.
#![no_main]

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine};
use dps_client::Pkcs11Key;
use dps_core::{ConfigError, Endpoint, IdProblem, IdScope, Key, KeyProblem, Operation, RegistrationId};
use dps_emulator::{IndividualEnrollment, Now, Service, ServiceOptions};
use dps_net::{AddressOverride, Proxy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    id_scope(text);
    registration_id(text);
    endpoint(text);
    key(text);
    operation(text);
    proxy_url(text);
    where_a_name_is(text);
    pkcs11_uri(text);
});

fn id_scope(text: &str) {
    let taken_there = Service::new(ServiceOptions::new().id_scope(text)).is_ok();
    match IdScope::new(text) {
        Ok(scope) => {
            assert_eq!(scope.as_str(), text);
            // Scopes are opaque to a device; those of the emulator have no hyphen.
            assert!(taken_there || text.contains('-'));
        }
        Err(ConfigError::IdScope(problem)) => is_in_the_text(problem, text, taken_there),
        Err(other) => panic!("{other:?}"),
    }
}

fn registration_id(text: &str) {
    let mut service = Service::new(ServiceOptions::new()).unwrap();
    let taken_there = service.put_enrollment(Now::default(), IndividualEnrollment::new(text)).is_ok();
    match RegistrationId::new(text) {
        Ok(id) => assert!(taken_there && id.as_str() == text),
        // The emulator lets a leading special character through, as the service was seen to.
        Err(ConfigError::RegistrationId(IdProblem::Character { offset: 0 })) if taken_there => {}
        Err(ConfigError::RegistrationId(problem)) => is_in_the_text(problem, text, taken_there),
        Err(other) => panic!("{other:?}"),
    }
}

fn endpoint(text: &str) {
    match Endpoint::new(text) {
        Ok(endpoint) => assert_eq!(Endpoint::new(&endpoint.to_string()), Ok(endpoint)),
        Err(ConfigError::Endpoint(problem)) => is_in_the_text(problem, text, false),
        Err(other) => panic!("{other:?}"),
    }
}

fn is_in_the_text(problem: IdProblem, text: &str, taken_there: bool) {
    assert!(!taken_there, "{text:?}: {problem:?}");
    match problem {
        IdProblem::Character { offset } => assert!(text.is_char_boundary(offset) && offset < text.len()),
        IdProblem::TooLong { length, most } => assert!(most < length && length <= text.len()),
        _ => {}
    }
}

fn key(text: &str) {
    let decoded = decoded(text);
    match Key::from_base64(text) {
        Ok(key) => {
            assert_eq!(Ok(key.expose()), decoded.as_deref());
            let mut written = [0; 88];
            let again = Key::from_base64(key.write_base64(&mut written).unwrap()).unwrap();
            assert_eq!(again.expose(), key.expose());
        }
        Err(ConfigError::Key(KeyProblem::NotBase64 { offset } | KeyProblem::LineBreak { offset })) => {
            assert!(decoded.is_err() && text.is_char_boundary(offset) && offset < text.len());
        }
        Err(ConfigError::Key(KeyProblem::Truncated)) => assert!(decoded.is_err()),
        Err(ConfigError::Key(KeyProblem::Length { length })) => {
            assert_eq!(decoded.map(|bytes| bytes.len()), Ok(length));
            assert!(!(16..=64).contains(&length));
        }
        Err(ConfigError::Key(KeyProblem::Empty)) => assert!(text.is_empty()),
        Err(ConfigError::Key(_)) => assert!(text.len() > 8, "{text:?} is mistaken for something else"),
        Err(other) => panic!("{other:?}"),
    }
}

/// Padding is complete or missing; the spare bits of the last digit do not matter.
fn decoded(text: &str) -> Result<Vec<u8>, DecodeError> {
    let decode = |padding| {
        let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
        GeneralPurpose::new(&STANDARD, config.with_decode_padding_mode(padding)).decode(text)
    };
    decode(DecodePaddingMode::RequireCanonical).or_else(|_| decode(DecodePaddingMode::RequireNone))
}

fn operation(text: &str) {
    let Ok(operation) = Operation::parse(text) else { return };
    assert!(
        operation.id().as_bytes().iter().all(|byte| byte.is_ascii_graphic()),
        "{:?} goes into a topic",
        operation.id()
    );
    let mut line = vec![0; text.len() + 16];
    assert_eq!(Operation::parse(operation.write(&mut line).unwrap()), Ok(operation));
}

fn where_a_name_is(text: &str) {
    let Ok(given) = text.parse::<AddressOverride>() else { return };
    let shown = given.to_string();
    assert_eq!(shown.parse(), Ok(given));
    let [name, port, addresses] = shown.splitn(3, ':').collect::<Vec<_>>()[..] else { panic!("{shown:?}") };
    assert!(!name.is_empty() && port.parse().is_ok_and(|port: u16| port != 0), "{shown:?}");
    assert_eq!(addresses.split(',').count(), text.split(',').count(), "{text:?}");
}

fn pkcs11_uri(text: &str) {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let anywhere = Pkcs11Key::from_uri(text);
    let Ok(configured) = Pkcs11Key::from_configuration(text) else {
        assert!(anywhere.is_err());
        return;
    };
    assert_eq!(anywhere.is_err(), query.split('&').any(|attribute| attribute.starts_with("pin-value")));
    assert_eq!(configured.has_pin(), !query.trim_matches('&').is_empty(), "{text:?}");
    assert!(!text.contains(char::is_control) && !text.contains("module-path="));
    let shown = configured.to_string();
    assert!(shown.get(7..) == path.get(7..) && !format!("{configured:?}").contains("pin-"));
    let valid = path.split(';').flat_map(|attribute| attribute.split('%').skip(1));
    assert!(valid.into_iter().all(|rest| rest.get(..2).is_some_and(|hex| u8::from_str_radix(hex, 16).is_ok())));
    assert!(Pkcs11Key::from_uri(&shown).is_ok_and(|again| again.to_string() == shown));
}

fn proxy_url(text: &str) {
    let Ok(proxy) = Proxy::parse(text) else { return };
    let again = Proxy::parse(&proxy.to_string()).unwrap();
    assert_eq!((again.host(), again.port()), (proxy.host(), proxy.port()));
    // The port in the URL, or the default port of a proxy.
    let rest = text.trim().rsplit("://").next().unwrap_or_default().trim_start_matches(['/', '\\']);
    let authority = rest.split(['/', '\\']).next().unwrap_or_default().rsplit('@').next().unwrap_or_default();
    let named = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    if text.bytes().all(|byte| byte.is_ascii_graphic()) && !authority.ends_with(']') {
        assert_eq!(proxy.port(), named.unwrap_or(1080), "{text:?}");
    }
    assert_ne!(proxy.port(), 0, "{text:?}");
    if let Some((user, password)) = proxy.credentials() {
        let shown = format!("{proxy} {proxy:?}");
        assert!(
            password.len() < 8
                || user.contains(password)
                || proxy.host().contains(password)
                || !shown.contains(password)
        );
    }
}
