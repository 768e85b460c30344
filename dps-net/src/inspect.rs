//! A TLS handshake for diagnosis: the certificates that the server presented, and whether links accept them.
//!
//! The certificates are also returned when they are rejected; nothing is sent inside of TLS.

use std::sync::{Arc, Mutex, PoisonError};

use dps_core::LinkError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ProtocolVersion, SignatureScheme};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::dial::server_name;
use crate::error::NetError;
use crate::tls::{TlsError, TlsOptions};

/// The result of a handshake.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// The certificates that the server presented, as DER, its own first. Empty when the handshake failed before.
    pub presented: Vec<Vec<u8>>,
    /// The negotiated version, such as `TLS 1.3`, or why the handshake failed.
    pub version: Result<&'static str, NetError>,
}

/// Does the handshake that a link to `host` with these options does, over `stream`, and closes the connection.
///
/// # Errors
/// [`TlsError`] when the platform's authorities cannot be used.
pub async fn inspect(stream: TcpStream, host: &str, tls: &TlsOptions) -> Result<Inspection, TlsError> {
    let recorder = Arc::new(Recorder { inner: tls.verifier()?, presented: Mutex::default() });
    let connector = TlsConnector::from(tls.client_config_with(recorder.clone())?);
    let version = match server_name(host) {
        Ok(name) => handshake(&connector, name, stream).await,
        Err(invalid) => Err(invalid),
    };
    let presented = std::mem::take(&mut *recorder.presented.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Inspection { presented, version })
}

async fn handshake(
    connector: &TlsConnector,
    name: ServerName<'static>,
    stream: TcpStream,
) -> Result<&'static str, NetError> {
    let mut stream =
        connector.connect(name, stream).await.map_err(|error| NetError::from_error(error, LinkError::Tls))?;
    let version = match stream.get_ref().1.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS",
    };
    // The result is known already.
    let _ = stream.shutdown().await;
    Ok(version)
}

/// Records the certificates, and verifies them by another verifier.
#[derive(Debug)]
struct Recorder {
    inner: Arc<dyn ServerCertVerifier>,
    presented: Mutex<Vec<Vec<u8>>>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let presented = std::iter::once(end_entity).chain(intermediates).map(|certificate| certificate.to_vec());
        *self.presented.lock().unwrap_or_else(PoisonError::into_inner) = presented.collect();
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.inner.root_hint_subjects()
    }
}
