//! Values that can never work are errors of `build`: what is wrong, where, what to do, and nothing was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dps_client::{
    DpsError, Endpoint, GroupKey, IdScope, ProvisioningClient, ProvisioningClientBuilder, RegistrationId, Roots,
    SymmetricKey, Transport,
};
use dps_core::{ErrorCode, Family, Verdict};

const KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";

fn good() -> ProvisioningClientBuilder {
    let ca = rcgen::generate_simple_self_signed(vec!["dps.test".into()]).unwrap().cert.pem();
    ProvisioningClient::builder()
        .id_scope("0ne00A1B2C3")
        .registration_id("dev-01")
        .roots(Roots::replace_pem(ca.as_bytes()).unwrap())
}

fn with_key() -> ProvisioningClientBuilder {
    good().symmetric_key(SymmetricKey::from_base64(KEY).unwrap())
}

#[track_caller]
fn refused(builder: ProvisioningClientBuilder, code: ErrorCode, says: &str) -> DpsError {
    let error = builder.build().unwrap_err();
    assert_eq!((error.code(), error.verdict()), (code, Verdict::Reconfigure), "{error}");
    assert!(error.to_string().contains(says), "{error}");
    error
}

#[test]
fn build_names_options_that_are_missing_or_invalid() {
    with_key().build().unwrap();
    let builder = ProvisioningClient::builder;
    refused(builder(), ErrorCode::InvalidOption, "the id scope is missing");
    refused(builder().id_scope("0ne00A1B2C3"), ErrorCode::InvalidOption, "the registration id is missing");
    refused(good(), ErrorCode::InvalidOption, "a credential");
    refused(with_key().group_key(GroupKey::from_base64(KEY).unwrap()), ErrorCode::InvalidOption, "two credentials");
    refused(with_key().id_scope("0ne/x"), ErrorCode::InvalidIdScope, "offset 3");
    refused(with_key().registration_id("a b"), ErrorCode::InvalidRegistrationId, "offset 1");
    refused(with_key().registration_id("a".repeat(129)), ErrorCode::InvalidRegistrationId, "129 characters");
    refused(with_key().endpoint("http://dps.test"), ErrorCode::InvalidEndpoint, "https://HOST");
    refused(with_key().endpoint("dps.test:99999"), ErrorCode::InvalidEndpoint, "1 to 65535");
    refused(with_key().payload("[1]"), ErrorCode::InvalidPayload, "not a JSON object");
    refused(with_key().payload("{\"a\":"), ErrorCode::InvalidPayload, "not JSON");
    refused(with_key().api_version("latest"), ErrorCode::InvalidOption, "2021-06-01");
    refused(with_key().user_agent("a\nb"), ErrorCode::InvalidOption, "user agent");
    refused(with_key().timeout(Duration::ZERO), ErrorCode::InvalidOption, "timeout");
    refused(with_key().poll_interval(Duration::ZERO), ErrorCode::InvalidOption, "the poll interval must be");
    refused(with_key().poll_interval(Duration::from_micros(900)), ErrorCode::InvalidOption, "one millisecond");
    refused(with_key().reply_limit(0), ErrorCode::InvalidOption, "reply limit");
    let mqtt = || with_key().transport(Transport::Mqtt);
    refused(mqtt().service_time_port(0), ErrorCode::InvalidOption, "cannot be zero");
    refused(with_key().pipelined(true), ErrorCode::InvalidOption, "only MQTT");
    refused(with_key().keep_alive(Duration::from_secs(10)), ErrorCode::InvalidOption, "only MQTT");
    let family = refused(with_key().endpoint(""), ErrorCode::InvalidEndpoint, "empty").family();
    assert_eq!(family, Family::Configuration);
}

#[test]
fn build_reports_the_first_option_that_cannot_be_parsed() {
    let builder = with_key().registration_id("a b").id_scope("0ne/x").registration_id("dev-01");
    refused(builder, ErrorCode::InvalidRegistrationId, "offset 1");
}

#[test]
fn options_accept_strings_and_parsed_values() {
    let (id_scope, id): (IdScope, RegistrationId) = ("0ne00A1B2C3".parse().unwrap(), "dev-02".parse().unwrap());
    let endpoint = Endpoint::try_from("https://dps.test:8443".to_owned()).unwrap();
    let client = with_key().id_scope(&id_scope).registration_id(id.clone()).endpoint(endpoint).build().unwrap();
    assert_eq!((client.id_scope(), client.registration_id()), (&id_scope, &id));
    assert_eq!(client.endpoint().as_str(), "dps.test:8443");
    let of_core = dps_core::RegistrationId::new("dev-03").unwrap();
    let client = with_key().registration_id(of_core).build().unwrap();
    assert_eq!(client.registration_id().as_str(), "dev-03");
}

#[test]
fn keys_convert_from_and_to_those_of_the_core() {
    let bytes = [7; 32];
    let key = SymmetricKey::from(dps_core::Key::from_bytes(&bytes).unwrap());
    assert_eq!(key.as_ref().expose(), bytes);
    assert_eq!(key.clone().to_base64().expose(), key.to_base64().expose());
    let group = GroupKey::from(dps_core::Key::from_bytes(&bytes).unwrap());
    let id: RegistrationId = "dev-01".parse().unwrap();
    let derived = dps_core::credentials::derive_device_key(group.as_ref(), (&id).into());
    assert_eq!(group.derive(&id).as_ref().expose(), derived.expose());
}

#[test]
fn invalid_key_error_names_what_the_text_looks_like() {
    let hex = "8f".repeat(32);
    let table = [
        ("-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----", "PEM"),
        ("HostName=h.test;DeviceId=d;SharedAccessKey=Jsm0lyGp", "connection string"),
        (hex.as_str(), "hex"),
        ("AAAAAAAAAAAAAAAAAAAA", "15 bytes"),
        ("Jsm0 lyGp jaVY", "offset 4"),
    ];
    for (text, says) in table {
        let error = SymmetricKey::from_base64(text).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert_eq!(GroupKey::from_base64(text).unwrap_err().to_string(), error);
        assert!(!error.contains(&text[..8]), "the text itself is not repeated: {error}");
    }
    assert!(SymmetricKey::from_base64(KEY.trim_end_matches('=')).is_ok(), "padding is optional");
    assert!(SymmetricKey::from_bytes(&[1; 65]).unwrap_err().to_string().contains("65 bytes"));
}

#[test]
fn key_file_may_have_bom_and_line_break_and_its_error_has_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    for (name, text) in [("plain", KEY.to_owned()), ("crlf", format!("{KEY}\r\n")), ("bom", format!("\u{feff}{KEY}\n"))]
    {
        let path = file(name, text.as_bytes());
        good().key_file(&path).build().unwrap();
        good().group_key_file(&path).build().unwrap();
    }
    for (name, bytes, says) in [
        ("empty.key", &b"\n"[..], "empty"),
        ("long.key", &[b'A'; 5000], "4 KiB"),
        ("raw.key", &[0xff; 32], "not text"),
        ("pem.key", b"-----BEGIN X-----", "PEM"),
    ] {
        let path = file(name, bytes);
        let error = refused(good().key_file(&path), ErrorCode::InvalidKey, says);
        assert!(error.to_string().contains(name), "{error}");
    }
    let error = good().key_file(folder.path().join("gone")).build().unwrap_err();
    assert_eq!((error.code(), error.family()), (ErrorCode::File, Family::Local));
    assert!(error.to_string().contains("gone"), "{error}");
}

#[test]
fn blocking_call_inside_a_runtime_returns_an_error() {
    let client = with_key().build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(async { client.blocking().register().unwrap_err() });
    assert_eq!(error.code(), ErrorCode::Misuse);
    assert!(error.to_string().contains("register().await"), "{error}");
}

#[test]
fn futures_move_between_threads() {
    fn sends<T: Send>(_: &T) {}
    let client = with_key().build().unwrap();
    sends(&client.register());
    sends(&client.lookup());
    sends(&client);
}

#[test]
fn build_with_a_key_does_not_read_the_clock() {
    let reads = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&reads);
    let clock = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        None
    };
    with_key().clock(clock).build().unwrap();
    assert_eq!(reads.load(Ordering::SeqCst), 0);
}
