//! What a token can fail with: each failure is an error of its own, over both uses of a key.

use std::fs;

use crate::common::{service, what};
use crate::symmetric::{LIMIT, URI, client, token};
use crate::tls;
use crate::token::Token;
use cryptoki::object::Attribute;
use dps_client::{ErrorCode, Family, Hint, Pkcs11Key, X509};

fn code(key: Pkcs11Key) -> ErrorCode {
    key.sign(b"to sign", LIMIT).map(drop).unwrap_err().code()
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn wrong_pin_is_tried_once_and_another_one_is_tried() {
    let token = token();
    let wrong = || token.key_with_pin(URI, "wrong-pin");
    let refused = wrong().sign(b"to sign", LIMIT).unwrap_err();
    assert_eq!(what(&refused), (ErrorCode::Pkcs11WrongPin, Some(Hint::CheckPin)));
    let again = wrong().sign(b"to sign", LIMIT).unwrap_err();
    assert_eq!(again.code(), ErrorCode::Pkcs11WrongPin);
    assert!(again.message().contains("not tried again"), "{again}");
    assert_eq!(token.count("logins"), 1);
    token.key(URI).sign(b"to sign", LIMIT).unwrap();
    assert_eq!(token.count("logins"), 2);
}

#[tokio::test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
async fn wrong_pin_ends_registrations_and_is_tried_once_for_all_of_them() {
    let (emulator, token) = (service().await, token());
    let clients: Vec<_> = (0..4).map(|_| client(&emulator, token.key_with_pin(URI, "wrong-pin"))).collect();
    for client in clients.iter().chain(&clients) {
        let failed = client.register().await.unwrap_err();
        assert_eq!(
            (what(&failed), failed.family()),
            ((ErrorCode::Pkcs11WrongPin, Some(Hint::CheckPin)), Family::Local)
        );
        assert_eq!(client.probe().await.unwrap_err().code(), ErrorCode::Pkcs11WrongPin);
    }
    assert_eq!(token.count("logins"), 1);
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn threads_with_the_same_wrong_pin_try_it_once() {
    let token = token();
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| assert_eq!(code(token.key_with_pin(URI, "wrong-pin")), ErrorCode::Pkcs11WrongPin));
        }
    });
    assert_eq!(token.count("logins"), 1);
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn token_that_could_lock_is_not_logged_in_to() {
    let token = token();
    for (fault, expected) in [("final-try", ErrorCode::Pkcs11LastTry), ("locked", ErrorCode::Pkcs11PinLocked)] {
        token.inject(fault);
        let refused = token.key(URI).sign(b"to sign", LIMIT).unwrap_err();
        assert_eq!(what(&refused), (expected, Some(Hint::UnlockPin)));
        token.clear(fault);
    }
    assert_eq!(token.count("logins"), 0);
    for (fault, expected) in [("login-locked", ErrorCode::Pkcs11PinLocked), ("no-user-pin", ErrorCode::Pkcs11Login)] {
        token.inject(fault);
        assert_eq!(code(token.key(URI)), expected);
        token.clear(fault);
    }
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn login_without_a_pin_is_refused_with_what_is_missing() {
    let token = token();
    let none = Pkcs11Key::from_uri(URI).unwrap().module(token.module());
    let refused = none.clone().sign(b"to sign", LIMIT).unwrap_err();
    assert_eq!(what(&refused), (ErrorCode::Pkcs11Login, Some(Hint::CheckPin)));
    let file = token.folder().join("pin");
    let missing = none.clone().pin_file(&file).sign(b"to sign", LIMIT).unwrap_err();
    assert_eq!(missing.code(), ErrorCode::File);
    assert!(missing.message().contains(file.to_str().unwrap()), "{missing}");
    fs::write(&file, "\n").unwrap();
    assert_eq!(code(none.pin_file(&file)), ErrorCode::Pkcs11Login);
    assert_eq!(token.count("logins"), 0);
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn uri_must_match_one_token_and_one_key() {
    let token = token();
    token.add_secret("twice", &[1; 32]);
    token.add_secret("twice", &[2; 32]);
    for (uri, expected, words) in [
        ("pkcs11:token=dps;object=other", ErrorCode::Pkcs11NoObject, "object=other"),
        ("pkcs11:token=dps;object=twice", ErrorCode::Pkcs11SeveralObjects, "2 objects"),
        ("pkcs11:token=dps", ErrorCode::Pkcs11SeveralObjects, "3 objects"),
        ("pkcs11:token=other", ErrorCode::Pkcs11NoToken, "\"dps\""),
        ("pkcs11:token=dps;slot-id=0", ErrorCode::Pkcs11NoToken, "slot-id=0"),
        ("pkcs11:token=dps;serial=0", ErrorCode::Pkcs11NoToken, "serial=0"),
        ("pkcs11:token=dps;library-manufacturer=other", ErrorCode::Pkcs11NoToken, "another library"),
    ] {
        let refused = token.key(uri).sign(b"to sign", LIMIT).unwrap_err();
        assert_eq!(refused.code(), expected, "{uri}");
        assert!(refused.message().contains(words), "{refused}");
    }
    token.key("pkcs11:manufacturer=SoftHSM%20project;object=device-key").sign(b"to sign", LIMIT).unwrap();
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn several_tokens_of_the_same_name_are_named() {
    let token = token();
    token.add_token("dps");
    let refused = token.key(URI).sign(b"to sign", LIMIT).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Pkcs11SeveralObjects);
    assert!(refused.message().contains("2 tokens"), "{refused}");
}

#[tokio::test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
async fn registration_names_what_the_token_failed_with() {
    let (emulator, token) = (service().await, token());
    let client = client(&emulator, token.key(URI));
    let mut credentials = client.register().await.unwrap().hub_credentials().unwrap();
    for (fault, expected, words) in [
        ("removed", ErrorCode::Pkcs11NoToken, "DeviceRemoved"),
        ("mechanism-invalid", ErrorCode::Pkcs11Mechanism, "CKM_SHA256_HMAC"),
    ] {
        token.inject(fault);
        for failed in [client.register().await.unwrap_err(), credentials.password().await.map(drop).unwrap_err()] {
            assert_eq!(failed.code(), expected, "{failed:?}");
            assert!(failed.message().contains(words), "{failed}");
        }
        token.clear(fault);
    }
    client.register().await.unwrap();
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn key_that_may_not_sign_is_named() {
    let token = Token::new();
    token.add_secret_with("device-key", &[1; 32], &[Attribute::Sign(false)]);
    let refused = token.key(URI).sign(b"to sign", LIMIT).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Pkcs11Mechanism);
    assert!(refused.message().contains("KeyFunctionNotPermitted"), "{refused}");
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn key_that_requires_a_login_for_each_signature_is_refused() {
    let (token, [chain, ..]) = tls::token();
    token.make_pair_with_login_for_each_signature("always");
    let refused = X509::from_pkcs11(chain, &token.key(&tls::uri("always"))).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Pkcs11Login);
    assert!(refused.message().contains("login for each signature"), "{refused}");
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn module_that_cannot_be_used_is_named() {
    let token = token();
    let key = || Pkcs11Key::from_uri(URI).unwrap();
    let text = token.folder().join("softhsm2.conf");
    for module in ["/nonexistent/module.so".into(), text, "libm.so.6".into()] {
        let refused = key().module(&module).sign(b"to sign", LIMIT).unwrap_err();
        assert_eq!(what(&refused), (ErrorCode::Pkcs11Module, Some(Hint::CheckPkcs11Module)));
        assert!(refused.message().contains(module.to_str().unwrap()), "{refused}");
    }
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn key_of_a_certificate_fails_as_a_symmetric_one() {
    let (token, [chain, ..]) = tls::token();
    let code = |key: &Pkcs11Key| X509::from_pkcs11(chain.clone(), key).map(drop).unwrap_err().code();
    let uri = tls::uri("P-256");
    let wrong = token.key_with_pin(&uri, "wrong-pin");
    assert_eq!([code(&wrong), code(&wrong)], [ErrorCode::Pkcs11WrongPin; 2]);
    assert_eq!(token.count("logins"), 1);
    token.inject("final-try");
    assert_eq!(code(&token.key(&uri)), ErrorCode::Pkcs11LastTry);
    token.clear("final-try");
    assert_eq!(code(&token.key(&tls::uri("missing"))), ErrorCode::Pkcs11NoObject);
    assert_eq!(code(&token.key("pkcs11:token=dps")), ErrorCode::Pkcs11SeveralObjects);
    assert_eq!(code(&token.key("pkcs11:token=other")), ErrorCode::Pkcs11NoToken);
}
