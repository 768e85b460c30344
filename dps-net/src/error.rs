//! Failures of the network: the kind that a registration acts on, and the typed cause.
//!
//! Errors of every library are classified here, in one walk through the chain of causes. The detail is for people: short,
//! without URLs, and without anything that was sent.

use std::error::Error;
use std::sync::Arc;
use std::{fmt, io};

use dps_core::{ErrorCode, Hint, LinkError};
use rustls::{CertificateError, OtherError};

use crate::phase::Phase;

/// The longest detail, in bytes.
const DETAIL_MAX: usize = 300;

/// A failure of the network.
///
/// [`kind`](Self::kind) is what a registration acts on. `Display` is one sentence for a person.
/// [`source`](Error::source) leads to the typed cause where there is one: an [`io::Error`], a [`rustls::Error`], or an
/// error of the library that carried the request.
///
/// ```
/// use std::error::Error;
/// use std::io;
///
/// use dps_core::LinkError;
/// use dps_net::NetError;
///
/// let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
/// let error = NetError::from_error(refused, LinkError::Cut);
/// assert_eq!(error.kind(), LinkError::Connect);
/// let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
/// assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::ConnectionRefused));
/// ```
#[derive(Clone, Debug)]
pub struct NetError {
    kind: LinkError,
    detail: String,
    hint: Option<Hint>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl NetError {
    /// Returns a failure without a source. The first 300 bytes of `detail` are kept.
    #[must_use]
    pub fn new(kind: LinkError, detail: impl AsRef<str>) -> Self {
        Self { kind, detail: bounded(detail.as_ref()), hint: None, source: None }
    }

    /// Classifies `error` by the deepest cause whose meaning is known; where there is none, the kind is `otherwise`. A
    /// `NetError` anywhere in the chain is returned as it is.
    #[must_use]
    pub fn from_error(error: impl Error + Send + Sync + 'static, otherwise: LinkError) -> Self {
        let mut failure = Self::new(otherwise, "");
        let mut known = false;
        let mut tls = None;
        for cause in causes(&error) {
            if let Some(whole) = cause.downcast_ref::<Self>() {
                return whole.clone();
            }
            let kind = kind_of(cause);
            if kind.is_some() || !known {
                known |= kind.is_some();
                failure = Self::new(kind.unwrap_or(otherwise), cause.to_string());
            }
            tls = cause.downcast_ref::<rustls::Error>().or(tls);
        }
        if let Some(refused) = tls.and_then(signing_failure) {
            failure = failure.with_detail(&refused.detail);
        }
        match tls.cloned() {
            // An `io::Error` hides the error that it was made from.
            Some(tls) => failure.with_source(tls),
            None => failure.with_source(error),
        }
    }

    /// Returns a timeout in this phase of an exchange.
    #[must_use]
    pub fn timeout(phase: Phase) -> Self {
        Self { hint: phase.hint(), ..Self::new(LinkError::Timeout, phase.stalled()) }
    }

    /// Replaces the kind.
    #[must_use]
    pub fn with_kind(self, kind: LinkError) -> Self {
        Self { kind, ..self }
    }

    /// Replaces the detail; the first 300 bytes are kept.
    #[must_use]
    pub fn with_detail(self, detail: impl AsRef<str>) -> Self {
        Self { detail: bounded(detail.as_ref()), ..self }
    }

    /// Sets a hint, where it can be more precise than the kind.
    #[must_use]
    pub fn with_hint(self, hint: Hint) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// Sets the typed cause.
    #[must_use]
    pub fn with_source(self, source: impl Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Returns the kind of failure, which a registration acts on.
    #[must_use]
    pub fn kind(&self) -> LinkError {
        self.kind
    }

    /// Returns the cause in words, at most 300 bytes, without URLs and secrets.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns a hint, where it can be more precise than the kind.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        self.hint
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Error for NetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Why a key that is held elsewhere, such as in a token, could not sign in TLS.
///
/// A custom [`Signer`](rustls::sign::Signer) returns it as a [`rustls::Error`]. The failure of the connection then has the kind
/// [`LinkError::Signer`] with its code.
///
/// ```
/// use dps_core::{ErrorCode, LinkError};
/// use dps_net::{NetError, SigningFailed};
///
/// let removed = SigningFailed::new(ErrorCode::Pkcs11NoToken, "the token was removed");
/// let failure = NetError::from_error(rustls::Error::from(removed), LinkError::Tls);
/// assert_eq!(failure.kind(), LinkError::Signer { code: ErrorCode::Pkcs11NoToken });
/// assert_eq!(failure.detail(), "the token was removed");
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct SigningFailed {
    code: ErrorCode,
    detail: String,
}

impl SigningFailed {
    /// Returns the failure with its entry in the error catalog and its cause in words, without secrets.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// Returns the entry in the error catalog.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }
}

impl From<SigningFailed> for rustls::Error {
    fn from(failed: SigningFailed) -> Self {
        Self::Other(OtherError(Arc::new(failed)))
    }
}

fn signing_failure(error: &rustls::Error) -> Option<&SigningFailed> {
    let rustls::Error::Other(OtherError(inner)) = error else { return None };
    inner.downcast_ref()
}

/// Returns the kind of the deepest cause whose meaning is known, or `None` where there is none.
/// [`NetError::from_error`] also keeps the cause.
///
/// ```
/// use dps_core::LinkError;
/// let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// assert_eq!(dps_net::classify(&refused), Some(LinkError::Connect));
/// ```
#[must_use]
pub fn classify(error: &(dyn Error + 'static)) -> Option<LinkError> {
    causes(error).filter_map(kind_of).last()
}

/// The error and its chain of causes.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| cause(error))
}

/// The cause of an error. An `io::Error` does not return the error that it was made from as its source.
fn cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn kind_of(cause: &(dyn Error + 'static)) -> Option<LinkError> {
    if let Some(error) = cause.downcast_ref::<NetError>() {
        return Some(error.kind);
    }
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some(classify_tls(error));
    }
    classify_io(cause.downcast_ref::<io::Error>()?.kind())
}

fn classify_tls(error: &rustls::Error) -> LinkError {
    if let Some(failed) = signing_failure(error) {
        return LinkError::Signer { code: failed.code };
    }
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

fn classify_io(kind: io::ErrorKind) -> Option<LinkError> {
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

    /// Some source in the chain, as a caller finds it.
    fn source<E: Error + 'static>(error: &NetError) -> Option<&E> {
        std::iter::successors(error.source(), |&cause| cause.source()).find_map(|cause| cause.downcast_ref())
    }

    #[test]
    fn classify_looks_through_wrapped_errors() {
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
            (io::Error::other(NetError::new(LinkError::Dns, "no such name")), LinkError::Dns),
        ];
        for (error, expected) in table {
            let wrapped = io::Error::other(error);
            assert_eq!(classify(&wrapped), Some(expected), "{wrapped:?}");
            assert_eq!(NetError::from_error(wrapped, LinkError::Unsupported).kind(), expected);
        }
        assert_eq!(classify(&io::Error::other("what is this")), None);
    }

    #[test]
    fn net_error_source_reaches_the_typed_cause() {
        let expired = NetError::from_error(io::Error::other(tls(CertificateError::Expired)), LinkError::Tls);
        let certificate = rustls::Error::InvalidCertificate(CertificateError::Expired);
        assert_eq!(source::<rustls::Error>(&expired), Some(&certificate));
        let reset = NetError::from_error(io::Error::from(io::ErrorKind::ConnectionReset), LinkError::Tls);
        assert_eq!(source::<io::Error>(&reset).map(io::Error::kind), Some(io::ErrorKind::ConnectionReset));
        let explained = reset.with_kind(LinkError::ProxyUnreachable).with_detail("the proxy closed the connection");
        assert!(source::<io::Error>(&explained).is_some());
        // The failure that was wrapped is returned with its own source.
        let rewrapped = NetError::from_error(io::Error::other(explained), LinkError::Tls);
        assert_eq!((rewrapped.kind(), rewrapped.detail().len()), (LinkError::ProxyUnreachable, 31));
        assert!(source::<io::Error>(&rewrapped).is_some());
        assert!(NetError::timeout(Phase::Proxy).source().is_none());
    }

    #[test]
    fn unknown_error_has_the_kind_of_the_caller_and_the_deepest_text() {
        let unknown = NetError::from_error(io::Error::other(io::Error::other("what is this")), LinkError::InvalidReply);
        assert_eq!((unknown.kind(), unknown.detail()), (LinkError::InvalidReply, "what is this"));
    }

    #[test]
    fn detail_is_cut_at_a_character_boundary() {
        let long = io::Error::new(io::ErrorKind::TimedOut, "üü".repeat(200));
        assert_eq!(NetError::from_error(long, LinkError::Tls).detail().len(), 300);
        assert_eq!(NetError::new(LinkError::Tls, format!("a{}", "ü".repeat(200))).detail().len(), 299);
    }
}
