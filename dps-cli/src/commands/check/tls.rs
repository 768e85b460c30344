//! The TLS handshake: what the server presented, what is trusted here, and what does not match.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;

use dps_client::Roots;
use dps_core::{ErrorCode, LinkError};
use dps_net::{Inspection, NetError, TlsOptions, inspect, platform_root_count};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};

use super::network::{Budget, StepTimeout};
use super::report::{Check, CheckId};
use super::service::SET_CLOCK;
use crate::connection::Connection;

const ID: CheckId = CheckId::Tls;
/// How many authorities are named; of more, only the number is shown.
const NAMED_MAX: usize = 3;

/// Runs the handshake on the connection. Returns a check of the clock too, if the clock is the cause.
pub(super) async fn examine(stream: TcpStream, connection: &Connection, budget: &Budget) -> (Check, Option<Check>) {
    let clock = connection.clock;
    let tls = TlsOptions::new(connection.roots.clone()).clock(move || clock.now().unwrap_or_else(SystemTime::now));
    let inspection = match budget.bounded(inspect(stream, connection.host(), &tls)).await {
        Ok(Ok(inspection)) => inspection,
        Ok(Err(error)) => {
            let check = Check::error(ID, error.to_string());
            return (check.advise("install the system's certificate authorities, or use --ca-file"), None);
        }
        Err(timeout) => return (handshake_timeout(timeout, connection), None),
    };
    let presented: Vec<Certificate> = inspection.presented.iter().map(|der| Certificate::from_der(der)).collect();
    let (check, clock) = judge(&inspection, &presented, connection);
    let check = presented.iter().enumerate().fold(check, |check, (index, certificate)| {
        let [first, second] = certificate.lines();
        check.seen(format!("presented {}: {first}", index + 1)).seen(second)
    });
    let trust = Trust::new(&connection.roots);
    let facts = json!({
        "version": inspection.version.as_ref().ok(),
        "error": inspection.version.as_ref().err().map(|found| found.kind().code().name()),
        "presented": presented,
        "trusted": trust,
        "clock": moment_at(connection.clock.unix_now()),
    });
    (check.seen(format!("trusted: {}", trust.describe())).facts(facts), clock)
}

fn handshake_timeout(timeout: StepTimeout, connection: &Connection) -> Check {
    let (host, port) = (connection.host(), connection.port());
    Check::error(ID, format!("port {port} of {host} accepts the connection and sends nothing"))
        .seen(format!("TLS handshake: {timeout}"))
        .advise(format!("check that the service listens on port {port} of {host}"))
        .advise_for(ErrorCode::Timeout)
}

fn judge(inspection: &Inspection, presented: &[Certificate], connection: &Connection) -> (Check, Option<Check>) {
    let host = connection.host();
    let found = match &inspection.version {
        Ok(version) => return (Check::ok(ID, format!("{version}, and the certificate of {host} is trusted")), None),
        Err(found) => found,
    };
    let leaf = presented.first().and_then(|certificate| certificate.content.as_ref());
    let summary = match (found.kind(), leaf) {
        (LinkError::NameMismatch, Some(leaf)) if !leaf.names.is_empty() => {
            format!("the server's certificate is for {} and not for {host}", leaf.names.join(", "))
        }
        (error, _) => error.code().text().to_owned(),
    };
    let check = Check::error(ID, summary).seen(found.detail()).advise_for(found.kind().code());
    let clock =
        leaf.and_then(|leaf| clock_before(found, leaf.valid_from, &leaf.not_before, connection.clock.unix_now()));
    (check, clock)
}

/// Reports the clock if the certificate is not valid yet: then the clock is more likely wrong than the certificate.
fn clock_before(found: &NetError, valid_from: i64, not_before: &str, now: i64) -> Option<Check> {
    let early = found.kind() == LinkError::CertificateExpired && now < valid_from;
    let summary = "this device's clock is behind: the server's certificate is not valid yet";
    early.then(|| {
        Check::error(CheckId::Clock, summary)
            .seen(format!("this device's clock: {}; valid from {not_before}", moment_at(now)))
            .advise(SET_CLOCK)
            .advise("--correct-clock cannot help here: certificates are checked before the service sends its time")
    })
}

/// The certificate authorities that this device trusts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Trust {
    /// Whether the authorities of this system are trusted.
    platform: bool,
    /// The number of the system's authorities, where known.
    platform_count: Option<usize>,
    /// The authorities of the options.
    given: Vec<Certificate>,
}

impl Trust {
    fn new(roots: &Roots) -> Self {
        let platform = roots.trusts_platform();
        Self {
            platform,
            platform_count: platform.then(platform_root_count).flatten(),
            given: roots.given().map(Certificate::from_der).collect(),
        }
    }

    fn describe(&self) -> String {
        let given = if self.given.len() <= NAMED_MAX {
            self.given.iter().map(Certificate::subject).collect::<Vec<_>>().join("; ")
        } else {
            format!("{} authorities", self.given.len())
        };
        let count = self.platform_count.map(|count| format!("{count} ")).unwrap_or_default();
        match (self.platform, self.given.is_empty()) {
            (true, true) => format!("the {count}authorities of this system"),
            (true, false) => format!("the {count}authorities of this system, and from --add-ca-file {given}"),
            (false, _) => format!("instead of this system's authorities, from --ca-file {given}"),
        }
    }
}

/// The parts of a certificate that are shown. Nothing is judged here: that is the verifier's task.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Certificate {
    /// None when the certificate cannot be read.
    #[serde(flatten)]
    content: Option<Content>,
    /// The fingerprint, in hex.
    sha256: String,
}

/// The content of a certificate.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    subject: String,
    issuer: String,
    not_before: String,
    not_after: String,
    names: Vec<String>,
    /// The beginning of its validity, in seconds since 1970.
    #[serde(skip)]
    valid_from: i64,
}

impl Certificate {
    /// Parses a certificate, as far as possible.
    fn from_der(der: &[u8]) -> Self {
        let content = X509Certificate::from_der(der).ok().map(|(_, certificate)| Content::new(&certificate));
        let sha256 = Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { content, sha256 }
    }

    /// Returns the subject.
    fn subject(&self) -> &str {
        self.content.as_ref().map_or("an unreadable certificate", |content| &content.subject)
    }

    /// Returns two lines of text.
    fn lines(&self) -> [String; 2] {
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
fn moment_at(unix: i64) -> String {
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
    fn certificate_that_is_not_valid_yet_is_reported_as_clock_error() {
        let found = |error| NetError::new(error, "");
        let (expired, future) = (found(LinkError::CertificateExpired), i64::MAX);
        let now = 1_800_000_000;
        let clock = clock_before(&expired, future, "some day", now).unwrap();
        assert_eq!(clock.id, CheckId::Clock);
        assert!(!clock.is_ok() && clock.evidence[0].contains("some day"), "{clock:?}");
        assert!(clock_before(&expired, 0, "1970", now).is_none(), "expired, not early");
        assert!(clock_before(&found(LinkError::UnknownCa), future, "some day", now).is_none());
    }

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
