//! Servers that refuse the device's certificate in TLS, lose the refusal in a reset, or ask for the certificate too late or
//! not at all.

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use crate::common::what;
use crate::pki::Device;
use dps_client::{
    DpsError, ErrorCode, Family, Hint, Probe, ProvisioningClient, ProvisioningClientBuilder, ProxyChoice, Roots,
    SigningFailed, Transport, Verdict, X509,
};
use dps_core::LinkError;
use dps_emulator::test_servers::SelfSigned;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{Signer, SigningKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, ServerConfig, SignatureAlgorithm,
    SignatureScheme, SupportedProtocolVersion,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const TRANSPORTS: [Transport; 3] = [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket];

/// Judges every client certificate alike.
#[derive(Debug)]
struct Judge {
    provider: Arc<CryptoProvider>,
    refusal: Option<CertificateError>,
}

impl ClientCertVerifier for Judge {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let refused = self.refusal.clone().map(rustls::Error::InvalidCertificate);
        refused.map_or_else(|| Ok(ClientCertVerified::assertion()), Err)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A server that requires a certificate. It refuses each with an alert, or accepts it and resets the connection.
struct Server {
    port: u16,
    pem: String,
}

impl Server {
    async fn start(version: &'static SupportedProtocolVersion, refusal: Option<CertificateError>) -> Self {
        let identity = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::from_pem_slice(identity.signing_key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(Arc::new(Judge { provider, refusal }))
            .with_single_cert(vec![identity.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), tcp));
            }
        });
        Self { port, pem: identity.cert.pem() }
    }

    fn builder(&self, transport: Transport) -> ProvisioningClientBuilder {
        builder(transport, self.port, &self.pem, &device())
    }
}

async fn serve(acceptor: TlsAcceptor, tcp: TcpStream) -> io::Result<()> {
    match acceptor.accept(tcp).into_fallible().await {
        // The alert was sent. What the client sent meanwhile is read, since a close would reset the connection otherwise.
        Err((_, mut tcp)) => {
            tcp.shutdown().await?;
            tcp.read_to_end(&mut Vec::new()).await.map(drop)
        }
        Ok(tls) => tls.get_ref().0.set_zero_linger(),
    }
}

fn builder(transport: Transport, port: u16, pem: &str, device: &X509) -> ProvisioningClientBuilder {
    ProvisioningClient::builder()
        .id_scope("0ne00A1B2C3")
        .endpoint(format!("localhost:{port}"))
        .roots(Roots::replace_pem(pem.as_bytes()).unwrap())
        .transport(transport)
        .timeout(Duration::from_secs(20))
        .proxy(ProxyChoice::Direct)
        .seed(1)
        .x509(device.clone())
}

fn device() -> X509 {
    Device::self_signed("dev-01").x509()
}

async fn refused(builder: ProvisioningClientBuilder) -> DpsError {
    builder.build().unwrap().register().await.unwrap_err()
}

#[tokio::test]
async fn certificate_refused_by_an_alert_is_an_error_of_its_own() {
    let unknown_ca = Some(CertificateError::UnknownIssuer);
    for version in [&TLS12, &TLS13] {
        let server = Server::start(version, unknown_ca.clone()).await;
        for transport in TRANSPORTS {
            let refused = refused(server.builder(transport)).await;
            assert_eq!(refused.code(), ErrorCode::ClientCertificateRefused, "{transport:?} {version:?}: {refused:?}");
            assert_eq!((refused.family(), refused.verdict()), (Family::Link, Verdict::Never));
            assert!(refused.message().contains("unknown_ca (48)"), "{refused}");
            let client = server.builder(transport).build().unwrap();
            let probe = client.probe().await.unwrap();
            let Probe::NoAnswer { error, detail } = probe else { panic!("{probe:?}") };
            assert!(error == LinkError::ClientCertificateRefused && detail.contains("unknown_ca"), "{detail}");
        }
    }
}

#[tokio::test]
async fn each_alert_about_a_certificate_is_named() {
    let table = [
        (CertificateError::BadEncoding, "bad_certificate (42)"),
        (CertificateError::InvalidPurpose, "unsupported_certificate (43)"),
        (CertificateError::Revoked, "certificate_revoked (44)"),
        (CertificateError::Expired, "certificate_expired (45)"),
        (CertificateError::Other(OtherError(Arc::new(io::Error::other("unspecified")))), "certificate_unknown (46)"),
        (CertificateError::ApplicationVerificationFailure, "access_denied (49)"),
    ];
    for (refusal, words) in table {
        let server = Server::start(&TLS13, Some(refusal)).await;
        let refused = refused(server.builder(Transport::Mqtt)).await;
        assert_eq!(refused.code(), ErrorCode::ClientCertificateRefused);
        assert!(refused.message().contains(words), "{refused}");
    }
}

#[tokio::test]
async fn connection_reset_twice_after_the_certificate_names_it_first() {
    let mut runs = JoinSet::new();
    for version in [&TLS12, &TLS13] {
        let server = Server::start(version, None).await;
        for transport in TRANSPORTS {
            // Long enough for a second connection, which follows within a second.
            runs.spawn(refused(server.builder(transport).timeout(Duration::from_secs(3))));
        }
    }
    for reset in runs.join_all().await {
        assert_eq!(what(&reset), (ErrorCode::ConnectionCut, Some(Hint::CertificateAtCut)), "{reset:?}");
        assert!(reset.message().contains("in a row after this device's certificate"), "{reset}");
    }
}

#[tokio::test]
async fn connection_reset_after_the_certificate_is_not_followed_by_the_next_credential() {
    let mut runs = JoinSet::new();
    for version in [&TLS12, &TLS13] {
        let server = Server::start(version, None).await;
        for transport in TRANSPORTS {
            let builder = server.builder(transport).fallback(crate::common::device_key());
            runs.spawn(refused(builder.timeout(Duration::from_secs(3))));
        }
    }
    for reset in runs.join_all().await {
        assert_eq!(reset.code(), ErrorCode::ConnectionCut, "{reset:?}");
        assert_eq!(
            reset.refused_credentials(),
            [],
            "the refusal may be lost, or somebody on the way cut the connection"
        );
    }
}

/// A server that does not ask for a certificate, and resets every connection.
async fn resetting() -> (u16, String) {
    let tls = SelfSigned::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, pem) = (listener.local_addr().unwrap().port(), tls.pem().to_owned());
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            if let Ok(stream) = tls.accept(tcp).await {
                stream.get_ref().0.set_zero_linger().unwrap();
            }
        }
    });
    (port, pem)
}

#[tokio::test]
async fn connection_reset_without_a_certificate_does_not_name_one() {
    let (port, pem) = resetting().await;
    let reset = refused(builder(Transport::Mqtt, port, &pem, &device()).timeout(Duration::from_secs(3))).await;
    assert_eq!(reset.code(), ErrorCode::ConnectionCut);
    assert!(!reset.hints().contains(&Hint::CertificateAtCut), "{reset:?}");
}

/// A server that does not ask for a certificate, and answers as the service does to a request without a credential.
async fn without_request() -> (u16, String) {
    let tls = SelfSigned::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, pem) = (listener.local_addr().unwrap().port(), tls.pem().to_owned());
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut stream) = tls.accept(tcp).await else { continue };
            let body = r#"{"errorCode":401002,"trackingId":"t-1","message":"Invalid certificate."}"#;
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let head = format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all((head + body).as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, pem)
}

#[tokio::test]
async fn server_that_asks_for_no_certificate_is_named_when_it_refuses_the_device() {
    let (port, pem) = without_request().await;
    let refused = refused(builder(Transport::Https, port, &pem, &device())).await;
    assert_eq!(what(&refused), (ErrorCode::Unauthorized, Some(Hint::UseMqtt)));
    assert!(refused.message().contains("did not ask for the device's certificate"), "{refused}");
    assert_eq!(refused.error_code(), Some(401_002));
}

#[tokio::test]
async fn connection_closed_without_a_request_for_the_certificate_advises_mqtt() {
    let (port, pem) = resetting().await;
    for transport in [Transport::Https, Transport::MqttWebSocket] {
        let reset = refused(builder(transport, port, &pem, &device()).timeout(Duration::from_secs(1))).await;
        assert_eq!(what(&reset), (ErrorCode::ConnectionCut, Some(Hint::UseMqtt)), "{transport:?}: {reset:?}");
        assert!(reset.message().contains("it may ask by renegotiation"), "{reset}");
    }
}

/// A key whose token was removed.
#[derive(Debug)]
struct RemovedKey(Arc<dyn SigningKey>);

impl SigningKey for RemovedKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = self.0.choose_scheme(offered)?.scheme();
        Some(Box::new(RemovedSigner(scheme)))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

#[derive(Debug)]
struct RemovedSigner(SignatureScheme);

impl Signer for RemovedSigner {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Err(SigningFailed::new(ErrorCode::Pkcs11NoToken, "the token was removed").into())
    }

    fn scheme(&self) -> SignatureScheme {
        self.0
    }
}

#[tokio::test]
async fn key_that_cannot_sign_ends_the_registration_with_its_own_code() {
    let device = Device::self_signed("dev-01");
    let key = PrivateKeyDer::from_pem_slice(device.key.as_bytes()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let device = X509::from_signing_key(device.x509().chain().clone(), Arc::new(RemovedKey(key)));
    for version in [&TLS12, &TLS13] {
        let server = Server::start(version, None).await;
        for transport in TRANSPORTS {
            let failed = refused(builder(transport, server.port, &server.pem, &device)).await;
            assert_eq!(failed.code(), ErrorCode::Pkcs11NoToken, "{transport:?}: {failed:?}");
            assert!(failed.message().contains("the token was removed"), "{failed}");
        }
    }
}

/// OpenSSL's server over TLS 1.2, which asks for a certificate by renegotiation once it has read a request.
struct Renegotiating {
    process: tokio::process::Child,
    port: u16,
    pem: String,
    _folder: tempfile::TempDir,
}

impl Renegotiating {
    /// `None` where there is no OpenSSL.
    async fn start() -> Option<Self> {
        let identity = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let (folder, pem) = (tempfile::tempdir().unwrap(), identity.cert.pem());
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, &pem).unwrap();
        std::fs::write(&key, identity.signing_key.serialize_pem()).unwrap();
        let spawned = tokio::process::Command::new("openssl")
            .args(["s_server", "-4", "-accept", "127.0.0.1:0", "-tls1_2", "-cert"])
            .arg(&certificate)
            .arg("-key")
            .arg(&key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let mut process = match spawned {
            Ok(process) => process,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => panic!("openssl s_server: {error}"),
        };
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut input = process.stdin.take().unwrap();
        let port = loop {
            let mut line = String::new();
            assert!(output.read_line(&mut line).await.unwrap() > 0, "openssl s_server ended");
            if let Some(port) = line.trim().strip_prefix("ACCEPT 127.0.0.1:") {
                break port.parse().unwrap();
            }
        };
        tokio::spawn(async move {
            let mut line = String::new();
            while output.read_line(&mut line).await.is_ok_and(|length| length > 0) {
                // The first line of a request.
                if line.contains(" HTTP/1.1") {
                    input.write_all(b"R\n").await.unwrap();
                }
                line.clear();
            }
        });
        Some(Self { process, port, pem, _folder: folder })
    }
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the reason for skipping is printed")]
async fn server_that_asks_for_the_certificate_by_renegotiation_is_an_error_that_advises_mqtt() {
    let Some(mut server) = Renegotiating::start().await else {
        println!("skipped: there is no openssl, whose s_server renegotiates");
        return;
    };
    for transport in [Transport::Https, Transport::MqttWebSocket] {
        let refused = refused(builder(transport, server.port, &server.pem, &device())).await;
        assert_eq!(
            what(&refused),
            (ErrorCode::RenegotiationUnsupported, Some(Hint::UseMqtt)),
            "{transport:?}: {refused:?}"
        );
        assert_eq!(refused.verdict(), Verdict::Reconfigure);
    }
    server.process.kill().await.unwrap();
}
