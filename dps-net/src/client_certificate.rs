//! The device's own certificate in TLS: what is presented, and what became of it on a connection.
//!
//! A server refuses a client certificate in ways that look like other failures. Under TLS 1.3 the handshake is over for
//! the client before the server has seen the certificate, so that the refusal arrives with the first read (RFC 8446,
//! section 4.4.2.4), or is lost in a reset. [`CertificateUse`] records what happened, and explains a failure by it.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use dps_core::{Hint, LinkError};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{AlertDescription, ClientConfig, PeerMisbehaved, SignatureScheme};

use crate::error::NetError;

/// The certificates and the key with which a device authenticates in TLS.
///
/// The key may be anywhere: rustls asks it for signatures. A clone shares it.
#[derive(Clone)]
pub struct ClientIdentity(Arc<CertifiedKey>);

impl ClientIdentity {
    /// Loads a private key with this build's crypto provider: PKCS#8, SEC1 or PKCS#1.
    ///
    /// # Errors
    /// [`rustls::Error`] when the key is damaged, or of a kind that the provider does not support.
    pub fn load_key(key: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        // By reference: the function of the provider itself drops the bytes without wiping them.
        #[cfg(feature = "aws-lc-rs")]
        return rustls::crypto::aws_lc_rs::sign::any_supported_type(key);
        #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
        return rustls::crypto::ring::sign::any_supported_type(key);
        // `crypto_provider` refuses such a build.
        #[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
        return {
            let _ = key;
            Err(rustls::Error::General("this build has no TLS provider".into()))
        };
    }

    /// Returns an identity of these certificates, the device's own first, and the key of the device's own. Whether they fit
    /// is not checked here.
    #[must_use]
    pub fn new(chain: Vec<CertificateDer<'static>>, key: Arc<dyn SigningKey>) -> Self {
        Self(Arc::new(CertifiedKey::new(chain, key)))
    }

    /// Returns the certificates, the device's own first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.cert
    }

    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &Arc<dyn SigningKey> {
        &self.0.key
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientIdentity({} certificates, {:?} key)", self.0.cert.len(), self.0.key.algorithm())
    }
}

/// Presents the identity to every server that asks for one, whatever authorities the server names: it is the only one.
impl ResolvesClientCert for ClientIdentity {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes).map(|_| Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Presents nothing.
#[derive(Debug)]
struct Anonymous;

impl ResolvesClientCert for Anonymous {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Returns the same configuration with this identity. It resumes no session, as [`TlsOptions::identity`](crate::TlsOptions).
pub(crate) fn with_identity(config: &ClientConfig, identity: ClientIdentity) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.client_auth_cert_resolver = Arc::new(identity);
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// Returns the same configuration without an identity.
pub(crate) fn without_identity(config: &Arc<ClientConfig>) -> Arc<ClientConfig> {
    if !config.client_auth_cert_resolver.has_certs() {
        return Arc::clone(config);
    }
    let mut config = ClientConfig::clone(config);
    config.client_auth_cert_resolver = Arc::new(Anonymous);
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// There is an identity that can be presented.
const AVAILABLE: u8 = 1;
/// The server asked for a certificate.
const REQUESTED: u8 = 1 << 1;
/// The certificate was sent.
const PRESENTED: u8 = 1 << 2;
/// The handshake has ended.
const CONNECTED: u8 = 1 << 3;
/// The server has answered a request.
const ANSWERED: u8 = 1 << 4;

/// How many connections in a row may be cut after the certificate before the certificate is the likeliest cause.
const CUTS_SUSPICIOUS: u8 = 2;

/// A cell that records what became of the device's certificate on the last connection. Clones share the cell.
///
/// A link owns one and passes a clone to its [`Dialer`](crate::Dialer).
#[derive(Clone, Debug, Default)]
pub struct CertificateUse(Arc<Cell>);

#[derive(Debug, Default)]
struct Cell {
    flags: AtomicU8,
    /// How many connections in a row were cut after the certificate and before a reply.
    cuts: AtomicU8,
}

impl CertificateUse {
    /// Records in this cell what happens to the identity of `config`, if it has one. Call [`Self::begin`] before each
    /// connection.
    pub fn watch(&self, config: &mut ClientConfig) {
        if config.client_auth_cert_resolver.has_certs() {
            self.0.flags.store(AVAILABLE, Ordering::Relaxed);
            let inner = Arc::clone(&config.client_auth_cert_resolver);
            config.client_auth_cert_resolver = Arc::new(Watched { inner, seen: self.clone() });
        }
    }

    /// A connection is begun.
    pub fn begin(&self) {
        self.0.flags.fetch_and(AVAILABLE, Ordering::Relaxed);
    }

    /// The handshake of the connection has ended.
    pub fn connected(&self) {
        self.set(CONNECTED);
    }

    /// The server has answered: the certificate was not refused in TLS.
    pub fn answered(&self) {
        self.set(ANSWERED);
        self.0.cuts.store(0, Ordering::Relaxed);
    }

    /// Returns whether the server asked for a certificate in the handshake of the last connection that was made, or `None`
    /// when there is no identity or no connection.
    #[must_use]
    pub fn requested(&self) -> Option<bool> {
        (self.is(AVAILABLE) && self.is(CONNECTED)).then(|| self.is(REQUESTED))
    }

    /// Returns whether the certificate was sent on the last connection.
    #[must_use]
    pub fn presented(&self) -> bool {
        self.is(PRESENTED)
    }

    /// Returns whether the handshake of the last connection has ended for this side.
    ///
    /// An alert about the certificate that comes after it was encrypted, so that only the server can have sent it: that is when
    /// it comes under TLS 1.3 (RFC 8446, section 4.4.2.4). Under TLS 1.2 the server sends it within the handshake and without
    /// encryption (RFC 5246, section 7.4.6), so that anybody on the way can have sent it.
    #[must_use]
    pub fn handshake_ended(&self) -> bool {
        self.is(CONNECTED)
    }

    /// Explains the failure of a connection by what became of the certificate on it. Call it once for each connection that
    /// failed.
    #[must_use]
    pub fn explain(&self, failure: NetError) -> NetError {
        if !self.is(AVAILABLE) {
            return failure;
        }
        let tls = failure.source().and_then(|source| source.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::AlertReceived(alert)) if self.presented() && is_refusal(*alert) => {
                let detail = format!("the server answered with the TLS alert {} ({})", name(*alert), u8::from(*alert));
                failure.with_kind(LinkError::ClientCertificateRefused).with_detail(detail)
            }
            Some(tls) if self.requested() == Some(false) && is_renegotiation(tls) => {
                let detail = "the server did not ask for a certificate in the handshake, and ended the connection when a \
                              later request for one was declined";
                failure.with_kind(LinkError::RenegotiationUnsupported).with_detail(detail)
            }
            Some(rustls::Error::AlertReceived(_)) if self.is(REQUESTED) && !self.presented() => failure.with_detail(
                "the server requires a certificate, and accepts none of the signatures that this device's key can make",
            ),
            _ if failure.kind() == LinkError::Cut && self.presented() && !self.is(ANSWERED) => self.count_cut(failure),
            _ => failure,
        }
    }

    /// Explains a connection that was closed before any reply by a server that had not asked for a certificate: for links over
    /// HTTPS and WebSocket, where servers ask by renegotiation for a certificate that a path requires. Not every server sends
    /// an alert when that is declined. Call it after [`Self::explain`].
    #[must_use]
    pub fn suspect_renegotiation(&self, failure: NetError) -> NetError {
        if failure.kind() != LinkError::Cut || self.requested() != Some(false) || self.is(ANSWERED) {
            return failure;
        }
        let detail = "the server closed the connection before any reply, and had not asked for this device's certificate in \
                      the handshake: it may ask by renegotiation, which is not supported";
        failure.with_detail(detail).with_hint(Hint::UseMqtt)
    }

    /// A refusal may be lost: a server that closes a connection with a request unread resets it.
    fn count_cut(&self, failure: NetError) -> NetError {
        let cuts = self.0.cuts.load(Ordering::Relaxed).saturating_add(1);
        self.0.cuts.store(cuts, Ordering::Relaxed);
        let what = "after this device's certificate was sent and before any reply";
        if cuts < CUTS_SUSPICIOUS {
            return failure.with_detail(format!("the server closed the connection {what}"));
        }
        failure
            .with_detail(format!("the server closed {cuts} connections in a row {what}"))
            .with_hint(Hint::CertificateAtCut)
    }

    fn set(&self, flag: u8) {
        self.0.flags.fetch_or(flag, Ordering::Relaxed);
    }

    fn is(&self, flag: u8) -> bool {
        self.0.flags.load(Ordering::Relaxed) & flag != 0
    }
}

/// Records whether the server asks for a certificate, and whether there is one that it can use.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn ResolvesClientCert>,
    seen: CertificateUse,
}

impl ResolvesClientCert for Watched {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.seen.set(REQUESTED);
        let chosen = self.inner.resolve(authorities, schemes);
        if chosen.is_some() {
            self.seen.set(PRESENTED);
        }
        chosen
    }

    fn only_raw_public_keys(&self) -> bool {
        self.inner.only_raw_public_keys()
    }

    fn has_certs(&self) -> bool {
        self.inner.has_certs()
    }
}

/// Returns whether an alert after our certificate is about that certificate (RFC 8446, section 6.2).
fn is_refusal(alert: AlertDescription) -> bool {
    matches!(u8::from(alert), 42..=46 | 48 | 49 | 116)
}

/// The alert's name in RFC 8446, section 6.
fn name(alert: AlertDescription) -> &'static str {
    match u8::from(alert) {
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        48 => "unknown_ca",
        49 => "access_denied",
        116 => "certificate_required",
        _ => "unknown",
    }
}

/// Returns whether a failure after the handshake is how a connection ends on which the server asked for renegotiation. rustls
/// declines with the warning `no_renegotiation` (RFC 5246, section 7.2.2), which OpenSSL answers with `handshake_failure`; it
/// gives up when it is asked again.
fn is_renegotiation(tls: &rustls::Error) -> bool {
    use rustls::Error;
    matches!(
        tls,
        Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::NoRenegotiation)
            | Error::PeerMisbehaved(PeerMisbehaved::TooManyRenegotiationRequests)
    )
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn alert(number: u8) -> NetError {
        let alert = rustls::Error::AlertReceived(AlertDescription::from(number));
        NetError::from_error(io::Error::new(io::ErrorKind::InvalidData, alert), LinkError::Tls)
    }

    fn after(flags: u8) -> CertificateUse {
        let seen = CertificateUse::default();
        seen.set(AVAILABLE | flags);
        seen
    }

    #[test]
    fn alert_about_the_certificate_is_a_refusal_only_after_the_certificate_was_sent() {
        for number in [42, 43, 44, 45, 46, 48, 49, 116] {
            let refused = after(REQUESTED | PRESENTED).explain(alert(number));
            assert_eq!(refused.kind(), LinkError::ClientCertificateRefused);
            assert!(refused.detail().contains(&format!("({number})")) && !refused.detail().contains(" unknown ("));
            assert_eq!(CertificateUse::default().explain(alert(number)).kind(), LinkError::Tls);
            assert_eq!(after(REQUESTED).explain(alert(number)).kind(), LinkError::Tls);
        }
        assert_eq!(after(REQUESTED | PRESENTED).explain(alert(40)).kind(), LinkError::Tls);
    }

    #[test]
    fn renegotiation_is_named_only_after_a_handshake_without_a_request_for_the_certificate() {
        assert_eq!(after(CONNECTED).explain(alert(40)).kind(), LinkError::RenegotiationUnsupported);
        assert_eq!(after(CONNECTED).explain(alert(100)).kind(), LinkError::RenegotiationUnsupported);
        assert_eq!(after(0).explain(alert(40)).kind(), LinkError::Tls);
        assert_eq!(after(CONNECTED | REQUESTED).explain(alert(40)).kind(), LinkError::Tls);
        let repeated = rustls::Error::PeerMisbehaved(PeerMisbehaved::TooManyRenegotiationRequests);
        let repeated = NetError::from_error(repeated, LinkError::Tls);
        assert_eq!(after(CONNECTED).explain(repeated).kind(), LinkError::RenegotiationUnsupported);
    }

    #[test]
    fn second_cut_after_the_certificate_names_it() {
        let cut = || NetError::from_error(io::Error::from(io::ErrorKind::ConnectionReset), LinkError::Cut);
        let seen = after(REQUESTED | PRESENTED | CONNECTED);
        assert_eq!(seen.explain(cut()).hint(), None);
        let second = seen.explain(cut());
        assert_eq!((second.kind(), second.hint()), (LinkError::Cut, Some(Hint::CertificateAtCut)));
        seen.answered();
        assert_eq!(seen.explain(cut()).hint(), None);
        seen.begin();
        seen.set(PRESENTED);
        assert_eq!(seen.explain(cut()).hint(), None, "the reply between them has reset the count");
    }

    #[test]
    fn cut_without_a_request_for_the_certificate_may_be_renegotiation() {
        let cut = || NetError::from_error(io::Error::from(io::ErrorKind::ConnectionReset), LinkError::Cut);
        let suspected = after(CONNECTED).suspect_renegotiation(cut());
        assert_eq!((suspected.kind(), suspected.hint()), (LinkError::Cut, Some(Hint::UseMqtt)));
        for flags in [0, CONNECTED | REQUESTED, CONNECTED | ANSWERED] {
            assert_eq!(after(flags).suspect_renegotiation(cut()).hint(), None);
        }
        assert_eq!(CertificateUse::default().suspect_renegotiation(cut()).hint(), None);
    }
}
