//! The parts of a certificate that are shown, as text and as JSON. Nothing is judged here.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};

/// A certificate.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Certificate {
    /// None when the certificate cannot be read.
    #[serde(flatten)]
    pub(crate) content: Option<Content>,
    /// The fingerprint, in hex.
    pub(crate) sha256: String,
}

/// The content of a certificate.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Content {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) not_before: String,
    not_after: String,
    pub(crate) names: Vec<String>,
    /// The beginning of its validity, in seconds since 1970.
    #[serde(skip)]
    pub(crate) valid_from: i64,
}

impl Certificate {
    /// Parses a certificate, as far as possible.
    pub(crate) fn from_der(der: &[u8]) -> Self {
        let content = X509Certificate::from_der(der).ok().map(|(_, certificate)| Content::new(&certificate));
        let sha256 = Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { content, sha256 }
    }

    /// Returns the subject.
    pub(crate) fn subject(&self) -> &str {
        self.content.as_ref().map_or("an unreadable certificate", |content| &content.subject)
    }

    /// Returns two lines of text.
    pub(crate) fn lines(&self) -> [String; 2] {
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
    fn new(certificate: &X509Certificate<'_>) -> Self {
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

/// Returns a time in seconds since 1970 as text.
pub(crate) fn moment_at(unix: i64) -> String {
    ASN1Time::from_timestamp(unix).map_or_else(|_| format!("{unix} s after 1970"), moment)
}

/// Returns a time as RFC 3339, in UTC.
fn moment(time: ASN1Time) -> String {
    let time = time.to_datetime();
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Returns a name of a server, if it is one.
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
    fn invalid_certificate_has_a_fingerprint() {
        let nothing = Certificate::from_der(b"");
        assert!(nothing.content.is_none());
        assert_eq!(nothing.sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(nothing.lines()[0], "an unreadable certificate");
    }

    #[test]
    fn certificate_addresses_have_four_or_sixteen_bytes() {
        assert_eq!(address(&[127, 0, 0, 1]).as_deref(), Some("127.0.0.1"));
        assert_eq!(address(&[0; 16]).as_deref(), Some("::"));
        assert_eq!(address(&[1, 2, 3]), None);
    }
}
