//! What an error of the network means to a registration: one place that looks through the chain of causes.
//!
//! The detail is for people: short, without URLs, and never with anything that was sent.

use std::error::Error;
use std::io;

use dps_core::{Hint, LinkError};
use rustls::CertificateError;

use crate::dns::DnsError;
use crate::phase::Phase;

/// The longest detail, in bytes.
const DETAIL_MAX: usize = 300;

/// A link error, and in words what was behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classified {
    /// What the machine goes by.
    pub error: LinkError,
    /// What a person may want to know, at most 300 bytes.
    pub detail: String,
    /// What to look at first, where more is known than the error alone tells.
    pub hint: Option<Hint>,
}

impl Classified {
    /// An error and what was behind it, without a hint of its own.
    #[must_use]
    pub fn new(error: LinkError, detail: impl Into<String>) -> Self {
        Self { error, detail: detail.into(), hint: None }
    }

    /// The same, with what to look at first.
    #[must_use]
    pub fn hint(mut self, hint: Hint) -> Self {
        self.hint = Some(hint);
        self
    }

    /// A timeout in this phase.
    #[must_use]
    pub fn stalled(phase: Phase) -> Self {
        Self { error: LinkError::Timeout, detail: phase.stalled().to_owned(), hint: phase.hint() }
    }
}

/// Looks for the deepest cause that means something. `None` when nothing in the chain is known.
///
/// ```
/// use dps_core::{Hint, LinkError};
/// let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// assert_eq!(dps_net::classify(&refused).map(|found| found.error), Some(LinkError::Connect));
/// ```
#[must_use]
pub fn classify(error: &(dyn Error + 'static)) -> Option<Classified> {
    let mut found = None;
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(error) = one(cause) {
            found = Some(Classified::new(error, bounded(&cause.to_string())));
        }
        next = inner(cause);
    }
    found
}

/// The next cause. An `io::Error` hides the error it was made of from `source`.
fn inner<'e>(cause: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}

fn one(cause: &(dyn Error + 'static)) -> Option<LinkError> {
    if cause.is::<DnsError>() {
        return Some(LinkError::Dns);
    }
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some(of_tls(error));
    }
    let error = cause.downcast_ref::<io::Error>()?;
    of_io(error.kind())
}

fn of_tls(error: &rustls::Error) -> LinkError {
    let rustls::Error::InvalidCertificate(problem) = error else { return LinkError::Tls };
    match problem {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => LinkError::UnknownCa,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => LinkError::NameMismatch,
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => LinkError::CertificateExpired,
        _ => LinkError::Tls,
    }
}

fn of_io(kind: io::ErrorKind) -> Option<LinkError> {
    use io::ErrorKind as Kind;
    Some(match kind {
        Kind::ConnectionRefused
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::AddrNotAvailable
        | Kind::PermissionDenied => LinkError::Connect,
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::UnexpectedEof
        | Kind::NotConnected => LinkError::Cut,
        Kind::TimedOut => LinkError::Timeout,
        _ => return None,
    })
}

fn bounded(text: &str) -> String {
    let mut end = text.len().min(DETAIL_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(problem: CertificateError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, rustls::Error::InvalidCertificate(problem))
    }

    #[test]
    fn causes_are_found_through_every_wrapping() {
        let table = [
            (tls(CertificateError::UnknownIssuer), LinkError::UnknownCa),
            (tls(CertificateError::NotValidForName), LinkError::NameMismatch),
            (tls(CertificateError::Expired), LinkError::CertificateExpired),
            (tls(CertificateError::NotValidYet), LinkError::CertificateExpired),
            (tls(CertificateError::Revoked), LinkError::Tls),
            (io::ErrorKind::ConnectionReset.into(), LinkError::Cut),
            (io::ErrorKind::UnexpectedEof.into(), LinkError::Cut),
            (io::ErrorKind::TimedOut.into(), LinkError::Timeout),
            (io::ErrorKind::NetworkUnreachable.into(), LinkError::Connect),
            (io::Error::other(io::Error::from(io::ErrorKind::ConnectionRefused)), LinkError::Connect),
        ];
        for (error, expected) in table {
            let wrapped = io::Error::other(error);
            assert_eq!(classify(&wrapped).map(|found| found.error), Some(expected), "{wrapped:?}");
        }
        assert_eq!(classify(&io::Error::other("what is this")), None);
    }

    #[test]
    fn a_detail_is_bounded_at_a_letters_edge() {
        let long = io::Error::new(io::ErrorKind::TimedOut, "ü".repeat(400));
        let detail = classify(&long).unwrap().detail;
        assert_eq!(detail.len(), 300);
    }
}
