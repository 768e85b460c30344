//! The private key of a certificate: PKCS#8, SEC1 or PKCS#1 from PEM or DER, and encrypted PKCS#8 with a passphrase.
//!
//! The bytes of a key are wiped as soon as the crypto provider has loaded it. What is wrong is said without repeating any
//! of them.

use std::env::VarError;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use dps_core::{ErrorCode, Hint};
use dps_files::SecretString;
use dps_net::ClientIdentity;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::Kdf;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use zeroize::Zeroizing;

use super::files::Refused;
use super::pem::{self, Section};
use crate::error::DpsError;
use crate::key::on_wiped_stack;

/// No passphrase file is longer, in bytes.
const PASSPHRASE_MAX: u64 = 4096;
/// How much deriving a key from a passphrase may cost: iterations of PBKDF2, and bytes of memory of scrypt. OpenSSL's defaults are
/// 2048 and 16 MiB.
const ITERATIONS_MAX: u32 = 10_000_000;
const SCRYPT_MAX: u64 = 256 * 1024 * 1024;

/// The passphrase of an encrypted private key. A clone is a copy; each is wiped when it is dropped.
#[derive(Clone)]
pub struct Passphrase(SecretString);

impl Passphrase {
    /// Takes a passphrase as it is.
    #[must_use]
    pub fn new(passphrase: SecretString) -> Self {
        Self(passphrase)
    }

    /// Reads a file; a line break at its end is not part of the passphrase. Of a FIFO, what was written into it within 30 s.
    ///
    /// # Errors
    /// `wrong-passphrase` when the file is empty or not text, `file` when it cannot be read or has more than 4 KiB.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, DpsError> {
        let path = path.as_ref();
        let bytes = dps_files::read_secret(path, PASSPHRASE_MAX);
        let bytes = bytes.map_err(|error| DpsError::file(path, "cannot be read", error))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| no_passphrase("the passphrase file is not text"));
        let text = text.map(|text| text.strip_suffix('\n').unwrap_or(text));
        let text = text.map(|text| text.strip_suffix('\r').unwrap_or(text));
        match text {
            Ok("") => Err(no_passphrase("the passphrase file is empty").into_error(Some(path))),
            Ok(text) => Ok(Self(SecretString::from(text))),
            Err(refused) => Err(refused.into_error(Some(path))),
        }
    }

    /// Reads an environment variable. Other processes of the same user can read it too; prefer a file.
    ///
    /// # Errors
    /// `wrong-passphrase` when the variable is not set, empty, or not text.
    pub fn from_env(name: &str) -> Result<Self, DpsError> {
        match std::env::var(name).map(Zeroizing::new) {
            Ok(text) if !text.is_empty() => Ok(Self(SecretString::from(text))),
            Ok(_) => Err(no_passphrase(&format!("the environment variable {name} is empty")).into_error(None)),
            Err(VarError::NotPresent) => {
                Err(no_passphrase(&format!("the environment variable {name} is not set")).into_error(None))
            }
            Err(VarError::NotUnicode(_)) => {
                Err(no_passphrase(&format!("the environment variable {name} is not text")).into_error(None))
            }
        }
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Loads a private key.
pub(crate) fn read(bytes: &[u8], passphrase: Option<&Passphrase>) -> Result<Arc<dyn SigningKey>, Refused> {
    let sections = pem::sections(bytes).map_err(|label| invalid(&format!("the section {label:?} has no end")))?;
    let Some(section) = key_section(&sections) else {
        return if sections.is_empty() { from_der(bytes, passphrase) } else { Err(no_key(&sections)) };
    };
    if section.label == "OPENSSH PRIVATE KEY" {
        return Err(invalid("it is a key of OpenSSH; convert it: ssh-keygen -p -m PKCS8 -f FILE"));
    }
    if section.has_headers() {
        let words = "it is encrypted in OpenSSL's old format; convert it: openssl pkcs8 -topk8 -in FILE -out key.pem";
        return Err(invalid(words));
    }
    let der = section.decode().ok_or_else(|| invalid("the PEM is damaged: it is not base64"))?;
    from_der(&der, passphrase)
}

/// The section with the key. A file may hold the curve's parameters before it, and certificates.
fn key_section<'s, 't>(sections: &'s [Section<'t>]) -> Option<&'s Section<'t>> {
    sections.iter().find(|section| section.label.ends_with("PRIVATE KEY"))
}

fn no_key(sections: &[Section<'_>]) -> Refused {
    let labels: Vec<&str> = sections.iter().map(|section| section.label).collect();
    invalid(&format!("there is no private key, only {}", labels.join(", ")))
}

fn from_der(der: &[u8], passphrase: Option<&Passphrase>) -> Result<Arc<dyn SigningKey>, Refused> {
    if let Ok(encrypted) = EncryptedPrivateKeyInfoRef::try_from(der) {
        return decrypted(&encrypted, passphrase);
    }
    if is_encrypted(der) {
        return Err(old_encryption());
    }
    if is_pkcs12(der) {
        return Err(invalid("it is a PKCS#12 file; export its key: openssl pkcs12 -in FILE -nocerts -out key.pem"));
    }
    let key = PrivateKeyDer::try_from(der).map_err(|_| invalid(what_it_is(der)))?;
    // What the provider leaves on the stack is wiped.
    on_wiped_stack(|| ClientIdentity::load_key(&key)).map_err(|_| {
        invalid("it is damaged, or of a kind that is not supported: EC P-256, EC P-384 and RSA from 2048 bits are")
    })
}

fn decrypted(
    encrypted: &EncryptedPrivateKeyInfoRef<'_>,
    passphrase: Option<&Passphrase>,
) -> Result<Arc<dyn SigningKey>, Refused> {
    let passphrase = passphrase.ok_or_else(|| no_passphrase("the key is encrypted, and there is no passphrase"))?;
    let EncryptionScheme::Pbes2(scheme) = &encrypted.encryption_algorithm else { return Err(old_encryption()) };
    check_cost(&scheme.kdf)?;
    let mut bytes = Zeroizing::new(encrypted.encrypted_data.as_bytes().to_vec());
    let decrypted = on_wiped_stack(|| scheme.decrypt_in_place(passphrase.0.expose(), &mut bytes).map(<[u8]>::len));
    let length = decrypted.map_err(|error| match error {
        pkcs8::pkcs5::Error::DecryptFailed => wrong_passphrase(),
        _ => old_encryption(),
    })?;
    // A wrong passphrase passes the check of the padding once in 256 times.
    let key = bytes.get(..length).and_then(|der| PrivateKeyDer::try_from(der).ok()).ok_or_else(wrong_passphrase)?;
    on_wiped_stack(|| ClientIdentity::load_key(&key)).map_err(|_| wrong_passphrase())
}

/// Refuses a file whose passphrase would keep this device busy for long, or need much of its memory.
fn check_cost(kdf: &Kdf) -> Result<(), Refused> {
    let affordable = match kdf {
        Kdf::Pbkdf2(params) => params.iteration_count <= ITERATIONS_MAX,
        Kdf::Scrypt(params) => {
            let blocks = u64::from(params.block_size) * u64::from(params.parallelization);
            params.cost_parameter.checked_mul(128 * blocks).is_some_and(|memory| memory <= SCRYPT_MAX)
        }
        _ => false,
    };
    affordable.then_some(()).ok_or_else(|| {
        invalid("deriving its key from the passphrase needs too much time or memory; encrypt it with fewer iterations")
    })
}

/// Returns whether bytes are an EncryptedPrivateKeyInfo, by whatever method: SEQUENCE { SEQUENCE { OBJECT IDENTIFIER, … }, …
/// } (RFC 5958, section 3).
fn is_encrypted(der: &[u8]) -> bool {
    let inner = match der {
        [0x30, 0x82, _, _, inner @ ..] | [0x30, 0x81, _, inner @ ..] | [0x30, _, inner @ ..] => inner,
        _ => return false,
    };
    matches!(inner, [0x30, 0x81, _, 6, ..] | [0x30, _, 6, ..])
}

/// Returns whether bytes are a PKCS#12 file: SEQUENCE { INTEGER 3, … } (RFC 7292, section 4).
fn is_pkcs12(der: &[u8]) -> bool {
    matches!(der, [0x30, 0x82, _, _, 2, 1, 3, ..])
}

/// Names what bytes are instead, without repeating any of them.
fn what_it_is(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "it is empty",
        [0x30, ..] => "it is DER, but not a private key in PKCS#8, SEC1 or PKCS#1",
        _ => "there is no private key: it is neither PEM, with `-----BEGIN PRIVATE KEY-----`, nor DER",
    }
}

fn invalid(words: &str) -> Refused {
    let hint = Some(Hint::CertificateFormat);
    Refused { code: ErrorCode::InvalidClientKey, hint, words: words.to_owned() }
}

fn old_encryption() -> Refused {
    invalid(
        "it is encrypted by a method that is not supported; convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf \
         hmacWithSHA256 -in FILE -out key.pem",
    )
}

fn wrong_passphrase() -> Refused {
    no_passphrase("the key cannot be decrypted with this passphrase")
}

fn no_passphrase(words: &str) -> Refused {
    Refused { code: ErrorCode::WrongPassphrase, hint: None, words: words.to_owned() }
}
