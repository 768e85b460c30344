//! A symmetric key in a token signs there.

use std::time::{Duration, SystemTime};

use crate::common::{DEVICE_KEY, builder_over, device_key, service};
use crate::process::{Part, setting};
use crate::token::{PIN, Token};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dps_client::{
    CertificateChain, IssuedIdentity, KeyAlgorithm, OperationalKey, Pkcs11Key, ProvisioningClient, SecretString,
    Transport,
};
use dps_emulator::{CertificatePolicy, Emulator, IndividualEnrollment};

const TRANSPORTS: [Transport; 3] = [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket];
pub(crate) const URI: &str = "pkcs11:token=dps;object=device-key";
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A token with the key of `dev-01`.
pub(crate) fn token() -> Token {
    let token = Token::new();
    token.add_secret("device-key", &STANDARD.decode(DEVICE_KEY).unwrap());
    token
}

pub(crate) fn client(emulator: &Emulator, key: Pkcs11Key) -> ProvisioningClient {
    builder_over(Transport::Https, emulator).pkcs11_key(key).build().unwrap()
}

#[tokio::test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
async fn symmetric_key_in_a_token_registers_over_every_transport() {
    let (emulator, token) = (service().await, token());
    for transport in TRANSPORTS {
        let client = builder_over(transport, &emulator).pkcs11_key(token.key(URI)).build().unwrap();
        let assignment = client.register().await.unwrap();
        assert_eq!(assignment.device_id(), "dev-01", "{transport:?}");
        assert!(assignment.connection_string().unwrap().is_none(), "the key cannot be read");
        assert!(assignment.hub_credentials().unwrap().password().await.is_ok());
    }
}

#[tokio::test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
async fn certificate_is_issued_to_a_device_with_a_key_in_a_token() {
    let (emulator, token) = (service().await, token());
    let key = dps_emulator::SymmetricKey::from_base64(DEVICE_KEY).unwrap();
    let policy = CertificatePolicy::named("factory", "root", "devices");
    let enrollment = IndividualEnrollment::new("dev-01").primary_key(key).certificate_policy(policy);
    let now = emulator.now();
    emulator.with_service(|service| service.put_enrollment(now, enrollment)).unwrap();
    let (id, key) = ("dev-01".parse().unwrap(), OperationalKey::generate(KeyAlgorithm::EcP256).unwrap());
    for transport in TRANSPORTS {
        let request = key.certificate_request(&id).unwrap();
        let client = builder_over(transport, &emulator).pkcs11_key(token.key(URI)).certificate_request(request);
        let assignment = client.build().unwrap().register().await.unwrap();
        let chain = CertificateChain::from_der(assignment.issued_chain().to_vec()).unwrap();
        IssuedIdentity::accept(key.clone(), chain, &id, Some(SystemTime::now())).unwrap();
    }
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn signature_is_that_of_the_same_key_in_memory() {
    let token = token();
    let signature = token.key(URI).sign(b"to sign", LIMIT).unwrap();
    assert_eq!(signature.expose(), device_key().as_ref().sign(b"to sign").expose());
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn pin_comes_from_a_file_or_a_configuration() {
    let token = token();
    let file = token.folder().join("pin");
    std::fs::write(&file, format!("{PIN}\n")).unwrap();
    let source = format!("{URI}?pin-source=file:{}", file.display());
    let configured = format!("{URI}?pin-value={PIN}");
    for key in [
        Pkcs11Key::from_uri(URI).unwrap().pin_file(&file),
        Pkcs11Key::from_uri(&source).unwrap(),
        Pkcs11Key::from_configuration(&configured).unwrap(),
        Pkcs11Key::from_uri(URI).unwrap().or_pin_of(&Pkcs11Key::from_configuration(&configured).unwrap()),
    ] {
        assert!(key.has_pin() && !format!("{key} {key:?}").contains(PIN));
        key.module(token.module()).sign(b"to sign", LIMIT).unwrap();
    }
    let other = token.key_with_pin(URI, "wrong-pin");
    token.key(URI).or_pin_of(&other).sign(b"to sign", LIMIT).unwrap();
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn module_of_the_application_is_used_and_never_finalized() {
    let token = token();
    let module = token.initialized();
    token.key(URI).sign(b"to sign", LIMIT).unwrap();
    // A session that was opened before works after it.
    assert!(module.get_slots_with_initialized_token().is_ok());
    assert_eq!((token.count("finalized"), token.count("logins")), (0, 1));
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn login_of_the_application_is_used() {
    use cryptoki::session::UserType;

    let token = token();
    let module = token.initialized();
    let slot = module.get_slots_with_initialized_token().unwrap().remove(0);
    let session = module.open_ro_session(slot).unwrap();
    session.login(UserType::User, Some(&PIN.into())).unwrap();
    let without_pin = Pkcs11Key::from_uri(URI).unwrap().module(token.module());
    without_pin.sign(b"to sign", LIMIT).unwrap();
    assert_eq!(token.count("logins"), 1, "the application's own");
    drop(session);
}

#[tokio::test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
async fn session_is_opened_again_where_it_was_lost() {
    let (emulator, token) = (service().await, token());
    let client = client(&emulator, token.key(URI));
    client.register().await.unwrap();
    token.inject("session-lost");
    client.register().await.unwrap();
    assert_eq!(token.count("logins"), 2);
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn proxy_of_p11_kit_is_the_default_module() {
    let token = token();
    // SoftHSM's package configures p11-kit with its module.
    let configuration = token.folder().join("softhsm2.conf");
    let environment = [("SOFTHSM2_CONF", configuration.to_str().unwrap())];
    let settings = [("FOLDER", token.folder().to_str().unwrap())];
    let mut process = Part::start_with("symmetric::sign_by_the_default_module", &settings, &environment);
    assert!(process.end_within(LIMIT).success());
}

#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn sign_by_the_default_module() {
    if setting("FOLDER").is_some() {
        let key = Pkcs11Key::from_uri(URI).unwrap().pin(SecretString::from(PIN));
        let signature = key.sign(b"to sign", LIMIT).unwrap();
        assert_eq!(signature.expose(), device_key().as_ref().sign(b"to sign").expose());
    }
}
