//! Client certificates in the TLS handshake: asked for and not required. The handshake proves that the client has the
//! key of its certificate, and nothing else; the service decides whether it accepts the certificate, and answers in its
//! own protocol, as Azure's does.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::shared::Shared;
use crate::fault::Fault;
use crate::x509::{Certificate, ClientCertificates};

/// Accepts every client that has the key of the certificate that it presents, unless a fault is planned.
pub(super) struct AnyClient {
    algorithms: WebPkiSupportedAlgorithms,
    shared: Arc<Shared>,
}

impl AnyClient {
    pub(super) fn new(provider: &CryptoProvider, shared: Arc<Shared>) -> Self {
        Self { algorithms: provider.signature_verification_algorithms, shared }
    }
}

impl std::fmt::Debug for AnyClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnyClient").finish_non_exhaustive()
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No names of CAs: the client sends whatever certificate it has.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let certificate = Certificate::from_der(end_entity).ok();
        let name = certificate.as_ref().and_then(Certificate::common_name).unwrap_or_default();
        if self.shared.ask(None, |service, now| service.handshake_meets(now, &Fault::RefuseCertificate, name)) {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The certificates that the client presented. On a resumed connection they are those of the first one.
pub(super) fn presented(stream: &TlsStream<TcpStream>) -> ClientCertificates {
    let (_, connection) = stream.get_ref();
    let certificates = connection.peer_certificates().unwrap_or_default();
    ClientCertificates::from_der(certificates.iter().map(AsRef::as_ref))
}
