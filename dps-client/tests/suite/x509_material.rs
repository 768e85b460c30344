//! Certificates and keys as people have them: every format is read, and what cannot be used is named without repeating it.

use std::path::Path;

use crate::pki::{Ca, data};
use dps_client::{CertificateChain, ChainCheck, DpsError, ErrorCode, Hint, Passphrase, SecretString, X509};

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(SecretString::from(text))
}

/// The bytes of the first section of a PEM.
fn der(pem: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let text: String = std::str::from_utf8(pem).unwrap().lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

/// The key is that of `ec.pem`.
#[track_caller]
fn assert_key(device: Result<X509, DpsError>) {
    assert_eq!(ChainCheck::new().device(&device.unwrap()), []);
}

#[track_caller]
fn assert_refused(device: Result<X509, DpsError>, code: ErrorCode, words: &str) {
    let error = device.unwrap_err();
    assert!(error.code() == code && error.message().contains(words), "{error:?}");
}

#[test]
fn keys_are_read_in_every_format() {
    let certificate = data!("ec.pem");
    for key in [data!("ec-sec1.pem"), data!("ec-pkcs8.pem")] {
        assert_key(X509::from_pem(certificate, key));
    }
    assert_key(X509::from_pem(certificate, &der(data!("ec-pkcs8.pem"))));
    assert_key(X509::from_pem(&der(certificate), data!("ec-sec1.pem")));
    assert_key(X509::from_pem(data!("rsa-2048.cert.pem"), data!("rsa-2048-pkcs1.pem")));
    assert_key(X509::from_pem(data!("rsa-2048.cert.pem"), &der(data!("rsa-2048-pkcs1.pem"))));
    assert_key(X509::from_pem(data!("rsa-4096.cert.pem"), data!("rsa-4096.pem")));
    // One file with both, in either order.
    let both = [data!("ec-sec1.pem"), certificate].concat();
    assert_key(X509::from_pem(&both, &both));
    let windows = String::from_utf8([certificate, data!("ec-pkcs8.pem")].concat()).unwrap().replace('\n', "\r\n");
    assert_key(X509::from_pem(windows.as_bytes(), windows.as_bytes()));
}

#[test]
fn certificates_are_read_in_every_format() {
    let device = Ca::root("Root").intermediate("Line").device("dev-01");
    let pem = device.chain.concat();
    let read = |bytes: &[u8]| CertificateChain::from_pem(bytes).unwrap();
    assert_eq!(read(pem.as_bytes()).len(), 3);
    let described = device.chain.iter().map(|pem| format!("subject=CN = ä\n{pem}\n")).collect::<String>();
    assert_eq!(read(described.as_bytes()), read(pem.as_bytes()));
    let concatenated: Vec<u8> = read(pem.as_bytes()).iter().flatten().copied().collect();
    assert_eq!(read(&concatenated), read(pem.as_bytes()));
    assert_eq!(device.x509().common_name().as_deref(), Some("dev-01"));
}

#[test]
fn encrypted_keys_need_their_passphrase() {
    let certificate = data!("ec.pem");
    for key in [data!("ec-pbkdf2.pem"), data!("ec-scrypt.pem")] {
        assert_key(X509::from_encrypted_pem(certificate, key, &passphrase("correct-horse")));
        let missing = X509::from_pem(certificate, key);
        assert_refused(missing, ErrorCode::WrongPassphrase, "the key is encrypted, and there is no passphrase");
    }
    let refused = X509::from_encrypted_pem(certificate, data!("ec-pbkdf2.pem"), &passphrase("Correct-horse"));
    assert_refused(refused, ErrorCode::WrongPassphrase, "cannot be decrypted with this passphrase");
    let der = der(data!("ec-pbkdf2.pem"));
    assert_key(X509::from_encrypted_pem(certificate, &der, &passphrase("correct-horse")));
    // A passphrase for a key that needs none does no harm.
    assert_key(X509::from_encrypted_pem(certificate, data!("ec-pkcs8.pem"), &passphrase("correct-horse")));
}

#[test]
fn wrong_passphrase_that_passes_the_check_of_the_padding_is_a_wrong_passphrase() {
    // What this one decrypts to ends as padding does, as that of one in 256 does.
    let refused = X509::from_encrypted_pem(data!("ec.pem"), data!("ec-pbkdf2.pem"), &passphrase("212"));
    assert_refused(refused, ErrorCode::WrongPassphrase, "cannot be decrypted with this passphrase");
}

#[test]
fn keys_that_cannot_be_read_are_told_how_to_convert() {
    let with_passphrase = |key: &[u8]| X509::from_encrypted_pem(data!("ec.pem"), key, &passphrase("correct-horse"));
    let table: [(&[u8], &str); 10] = [
        (data!("ec-old.pem"), "OpenSSL's old format; convert it: openssl pkcs8 -topk8"),
        (data!("ec-3des.pem"), "a method that is not supported; convert it: openssl pkcs8 -topk8"),
        (data!("ec-pbes1.pem"), "a method that is not supported; convert it: openssl pkcs8 -topk8"),
        (data!("ec-slow.pem"), "fewer iterations"),
        (data!("ec.pem"), "there is no private key, only CERTIFICATE"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAA\n-----END OPENSSH PRIVATE KEY-----", "ssh-keygen -p -m PKCS8"),
        (&[0x30, 0x82, 1, 0, 2, 1, 3, 0x30, 0], "it is a PKCS#12 file; export its key: openssl pkcs12"),
        (b"", "it is empty"),
        (b"Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=", "neither PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nMIIB\n", "has no end"),
    ];
    for (key, words) in table {
        assert_refused(with_passphrase(key), ErrorCode::InvalidClientKey, words);
    }
    let curve = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_der();
    assert_refused(X509::from_pem(data!("ec.pem"), &curve[..60]), ErrorCode::InvalidClientKey, "");
}

#[test]
fn certificates_that_cannot_be_read_are_named() {
    let refused = |bytes: &[u8], words: &str| {
        let error = CertificateChain::from_pem(bytes).unwrap_err();
        assert!(error.code() == ErrorCode::InvalidClientCertificate && error.message().contains(words), "{error:?}");
        assert_eq!(error.hints(), [Hint::CertificateFormat]);
    };
    refused(b"", "it is empty");
    refused(b"hello", "neither PEM");
    refused(data!("ec-sec1.pem"), "there is no certificate, only EC PARAMETERS, EC PRIVATE KEY");
    refused(&[0x30, 0x82, 1, 0, 2, 1, 3, 0x30, 0], "PKCS#12");
    refused(&der(data!("ec-pkcs8.pem")), "not a certificate");
    let damaged = String::from_utf8(data!("ec.pem").to_vec()).unwrap();
    let twice = format!("{damaged}{}", damaged.replacen("MII", "MIA", 1));
    refused(twice.as_bytes(), "certificate 2 is damaged");
    refused(damaged.repeat(33).as_bytes(), "more than 32 certificates");
    refused(&damaged.as_bytes()[..200], "has no end");
}

#[test]
fn files_and_passphrases_are_read_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let (certificate, key) = (write("device.pem", data!("ec.pem")), write("device.key", data!("ec-pbkdf2.pem")));
    let right = Passphrase::from_file(write("right", b"correct-horse\r\n")).unwrap();
    assert_key(X509::from_encrypted_files(&certificate, &key, &right));
    assert_refused(
        X509::from_files(&certificate, &key),
        ErrorCode::WrongPassphrase,
        "device.key: the key is encrypted",
    );
    assert_refused(
        X509::from_files(&key, &key),
        ErrorCode::InvalidClientCertificate,
        "device.key: there is no certificate",
    );
    let missing = Path::new("/nowhere/device.pem");
    assert_refused(X509::from_files(missing, &key), ErrorCode::File, "/nowhere/device.pem cannot be read");
    let long = write("long", &vec![b' '; 300 * 1024]);
    assert_refused(X509::from_files(&certificate, &long), ErrorCode::InvalidClientKey, "more than 262144 bytes");
    let empty = Passphrase::from_file(write("empty", b"\n")).unwrap_err();
    assert_eq!(empty.code(), ErrorCode::WrongPassphrase);
    let unset = Passphrase::from_env("DPS_TEST_NO_SUCH_PASSPHRASE").unwrap_err();
    assert!(unset.message().contains("DPS_TEST_NO_SUCH_PASSPHRASE is not set"), "{unset}");
    // Every test has this variable, set by cargo.
    let name = std::env::var("CARGO_PKG_NAME").unwrap();
    assert!(X509::from_encrypted_files(&certificate, &key, &Passphrase::from_env("CARGO_PKG_NAME").unwrap()).is_err());
    assert!(!format!("{right:?} {:?}", X509::from_pem(data!("ec.pem"), data!("ec-sec1.pem"))).contains(&name));
}
