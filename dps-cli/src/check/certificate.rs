//! A certificate as a person wants to see it. Judges nothing: that is the verifier's business.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};

/// What is shown of a certificate.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Certificate {
    /// None when the certificate cannot be read.
    #[serde(flatten)]
    pub(super) content: Option<Content>,
    /// The fingerprint, in hex.
    pub(super) sha256: String,
}

/// What a certificate says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Content {
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) not_before: String,
    pub(super) not_after: String,
    pub(super) names: Vec<String>,
    /// When it begins to be valid, in seconds since 1970.
    #[serde(skip)]
    pub(super) valid_from: i64,
}

impl Certificate {
    /// Reads what can be read.
    pub(super) fn of(der: &[u8]) -> Self {
        let content = X509Certificate::from_der(der).ok().map(|(_, certificate)| Content::of(&certificate));
        let sha256 = Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { content, sha256 }
    }

    /// Whose it is.
    pub(super) fn subject(&self) -> &str {
        self.content.as_ref().map_or("a certificate that cannot be read", |content| &content.subject)
    }

    /// Two lines.
    pub(super) fn lines(&self) -> [String; 2] {
        let Some(content) = &self.content else {
            return [self.subject().to_owned(), format!("  SHA-256 {}", self.sha256)];
        };
        let names =
            if content.names.is_empty() { String::new() } else { format!(", for {}", content.names.join(", ")) };
        [
            format!(
                "{} by {}, {} to {}{names}",
                content.subject, content.issuer, content.not_before, content.not_after
            ),
            format!("  SHA-256 {}", self.sha256),
        ]
    }
}

impl Content {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        let extension = certificate.subject_alternative_name().ok().flatten();
        let names = extension.iter().flat_map(|names| &names.value.general_names);
        Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            not_before: moment(validity.not_before),
            not_after: moment(validity.not_after),
            names: names.filter_map(name).collect(),
            valid_from: validity.not_before.timestamp(),
        }
    }
}

/// The time of this device, as validities are shown.
pub(super) fn now() -> String {
    moment(ASN1Time::now())
}

/// RFC 3339, in UTC.
fn moment(time: ASN1Time) -> String {
    let time = time.to_datetime();
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A name that a server can be known by.
fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(|octets| Ipv4Addr::from(octets).to_string());
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_has_a_fingerprint_all_the_same() {
        let nothing = Certificate::of(b"");
        assert!(nothing.content.is_none());
        assert_eq!(nothing.sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(nothing.lines()[0], "a certificate that cannot be read");
    }

    #[test]
    fn addresses_are_of_four_or_sixteen_bytes() {
        assert_eq!(address(&[127, 0, 0, 1]).as_deref(), Some("127.0.0.1"));
        assert_eq!(address(&[0; 16]).as_deref(), Some("::"));
        assert_eq!(address(&[1, 2, 3]), None);
    }
}
