//! What a URI can be.

use super::types::text;
use crate::finding::Problem;
use crate::tree::Value;
use crate::uri::{Pkcs11Uri, file_path};

/// A certificate: the certificate daemon reads files only.
pub(super) fn certificate(value: &Value) -> Option<Problem> {
    const WANTED: &str = "the URI of a file, such as file:///var/secrets/device-id.pem";
    text(value).or_else(|| {
        let uri = value.as_text().unwrap_or_default();
        file_path(uri).is_none().then_some(Problem::BadUri { wanted: WANTED })
    })
}

/// A private key: in a file or in a PKCS#11 token.
pub(super) fn private_key(value: &Value) -> Option<Problem> {
    const WANTED: &str = "the URI of a private key, such as file:///var/secrets/device-id.key.pem";
    text(value).or_else(|| {
        let uri = value.as_text().unwrap_or_default();
        let is_key = file_path(uri).is_some() || Pkcs11Uri::parse(uri).is_some();
        (!is_key).then_some(Problem::BadUri { wanted: WANTED })
    })
}

/// Anything with a scheme.
pub(super) fn any_url(value: &Value) -> Option<Problem> {
    const WANTED: &str = "a URL with its scheme, such as https://… or unix:///…";
    text(value).or_else(|| {
        let scheme = value.as_text().unwrap_or_default().split_once(':').map_or("", |(scheme, _)| scheme);
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        (!is_scheme).then_some(Problem::BadUri { wanted: WANTED })
    })
}
