//! The TLS handshake: what the server presented, what is trusted here, and what does not match.

use std::error::Error as _;
use std::time::SystemTime;

use dps_client::{Roots, rustls};
use dps_core::{ErrorCode, LinkError};
use dps_net::{Inspection, NetError, TlsOptions, inspect, platform_root_count};
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpStream;

use super::network::{Budget, StepTimeout};
use super::report::{Check, CheckId};
use super::service::SET_CLOCK;
use crate::certificate::{Certificate, moment_at};
use crate::connection::Connection;

const ID: CheckId = CheckId::Tls;
/// How many authorities are named; of more, only the number is shown.
const NAMED_MAX: usize = 3;

/// Runs the handshake on the connection. Returns a check of the clock too, if the clock is the cause.
/// The device's certificate is not presented here.
pub(super) async fn examine(
    stream: TcpStream,
    connection: &Connection,
    has_certificate: bool,
    budget: &Budget,
) -> (Check, Option<Check>) {
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
    let (check, clock) = judge(&inspection, &presented, connection, has_certificate);
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

fn judge(
    inspection: &Inspection,
    presented: &[Certificate],
    connection: &Connection,
    has_certificate: bool,
) -> (Check, Option<Check>) {
    let host = connection.host();
    let found = match &inspection.version {
        Ok(version) => return (Check::ok(ID, format!("{version}, and the certificate of {host} is trusted")), None),
        Err(found) => found,
    };
    // The server's certificate was accepted before the server ended the handshake.
    if has_certificate && !presented.is_empty() && is_alert(found) {
        let summary = format!("the certificate of {host} is trusted, and the server requires this device's");
        return (Check::ok(ID, summary).seen(found.detail()), None);
    }
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

/// Whether the server ended the handshake.
fn is_alert(found: &NetError) -> bool {
    let tls = found.source().and_then(|source| source.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::AlertReceived(_)))
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
pub(super) struct Trust {
    /// Whether the authorities of this system are trusted.
    platform: bool,
    /// The number of the system's authorities, where known.
    platform_count: Option<usize>,
    /// The authorities of the options.
    given: Vec<Certificate>,
}

impl Trust {
    pub(super) fn new(roots: &Roots) -> Self {
        let platform = roots.trusts_platform();
        Self {
            platform,
            platform_count: platform.then(platform_root_count).flatten(),
            given: roots.given().map(Certificate::from_der).collect(),
        }
    }

    pub(super) fn describe(&self) -> String {
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
}
