//! The file `identity.pem`: a key, or where it is, and the chain that was issued for it.
//!
//! It is PEM (RFC 7468), with the key before the certificates, as programs expect that read both from one file. Where a token holds
//! the key, two lines before the certificates name it: its URI (RFC 7512), without a PIN, and the SHA-256 of its public key.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::key::{OperationalKey, Place};
use crate::error::DpsError;
use crate::x509::{CertificateChain, pem};

const CERTIFICATE: &str = "CERTIFICATE";
const URI: &str = "Key-URI: ";
const HASH: &str = "Public-Key-SHA256: ";

/// What a file contains.
pub(crate) struct Document {
    pub(crate) key: StoredKey,
    pub(crate) chain: CertificateChain,
}

/// The key of a file.
pub(crate) enum StoredKey {
    Here(OperationalKey),
    /// In a token; the hash of the public key is in hexadecimal digits.
    Token {
        uri: String,
        hash: String,
    },
}

impl Document {
    /// Parses a file.
    ///
    /// # Errors
    /// What is wrong with it, without anything of the key.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let chain = CertificateChain::from_pem(text).map_err(|error| error.to_string())?;
        if let Some(uri) = value(text, URI) {
            let hash = value(text, HASH).ok_or("it names a key in a token, and not the hash of its public key")?;
            return Ok(Self { key: StoredKey::Token { uri, hash }, chain });
        }
        let key = OperationalKey::read(text).map_err(|refused| refused.into_error(None).to_string())?;
        Ok(Self { key: StoredKey::Here(key), chain })
    }
}

/// The value of a line that begins with `name`.
fn value(text: &[u8], name: &str) -> Option<String> {
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name.as_bytes()))?;
    std::str::from_utf8(line.trim_ascii()).ok().map(str::to_owned)
}

/// Returns the hash of a public key as it is stored.
pub(super) fn hash_of(public_key: &[u8]) -> String {
    Sha256::digest(public_key).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the whole file.
///
/// # Errors
/// When the public key of a key in a token is not known.
pub(crate) fn identity_file(key: &OperationalKey, chain: &CertificateChain) -> Result<Zeroizing<Vec<u8>>, DpsError> {
    let head = match key_file(key) {
        Some(file) => file,
        #[cfg(feature = "pkcs11")]
        None => head_of_token(key)?,
        #[cfg(not(feature = "pkcs11"))]
        None => Zeroizing::default(),
    };
    let certificates = chain_file(chain);
    // Allocated whole: a vector that grew would leave a copy of the key behind.
    let mut text = Zeroizing::new(Vec::with_capacity(head.len() + certificates.len()));
    text.extend_from_slice(&head);
    text.extend_from_slice(&certificates);
    Ok(text)
}

#[cfg(feature = "pkcs11")]
fn head_of_token(key: &OperationalKey) -> Result<Zeroizing<Vec<u8>>, DpsError> {
    let hash = hash_of(&key.public_key()?);
    let Place::Token { uri, .. } = key.place() else { return Ok(Zeroizing::default()) };
    Ok(Zeroizing::new(format!("{URI}{uri}\n{HASH}{hash}\n").into_bytes()))
}

/// Returns the key as PEM; `None` where it is in a token.
pub(super) fn key_file(key: &OperationalKey) -> Option<Zeroizing<Vec<u8>>> {
    match key.place() {
        Place::Here { label, der } => {
            let mut text = Zeroizing::new(Vec::with_capacity(pem::section_size(label, der)));
            pem::write_section(&mut text, label, der);
            Some(text)
        }
        #[cfg(feature = "pkcs11")]
        Place::Token { .. } => None,
    }
}

/// Returns the chain as PEM.
pub(super) fn chain_file(chain: &CertificateChain) -> Vec<u8> {
    let mut text = Vec::new();
    for der in chain.iter() {
        pem::write_section(&mut text, CERTIFICATE, der);
    }
    text
}
