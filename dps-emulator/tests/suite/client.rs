//! A small HTTPS client: one CA, one address, HTTP/1.1.

#![allow(dead_code, unreachable_pub, reason = "which parts are used depends on the features")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use dps_emulator::Emulator;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, DEFAULT_VERSIONS, RootCertStore, SupportedProtocolVersion};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::pki::Device;

pub type Failure = Box<dyn Error + Send + Sync>;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

fn provider() -> rustls::crypto::CryptoProvider {
    #[cfg(feature = "aws-lc-rs")]
    return rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "aws-lc-rs"))]
    return rustls::crypto::ring::default_provider();
}

#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    tls: TlsConnector,
}

impl Client {
    pub fn for_emulator(emulator: &Emulator) -> Self {
        Self::new(emulator.https_addr(), emulator.ca_pem())
    }

    pub fn new(address: SocketAddr, ca_pem: &str) -> Self {
        Self::with_tls(address, ca_pem, DEFAULT_VERSIONS, None)
    }

    /// A client with these versions of TLS, and a certificate if there is one.
    pub fn with_tls(
        address: SocketAddr,
        ca_pem: &str,
        versions: &[&'static SupportedProtocolVersion],
        device: Option<&Device>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider())).with_protocol_versions(versions);
        let builder = builder.unwrap().with_root_certificates(roots);
        let config = match device {
            Some(device) => builder.with_client_auth_cert(device.chain.clone(), device.private_key()).unwrap(),
            None => builder.with_no_client_auth(),
        };
        Self { address, tls: TlsConnector::from(Arc::new(config)) }
    }

    pub async fn tls(&self, name: &str) -> Result<TlsStream<TcpStream>, Failure> {
        let tcp = TcpStream::connect(self.address).await?;
        Ok(self.tls.connect(ServerName::try_from(name.to_owned())?, tcp).await?)
    }

    pub async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        Self::on(self.tls("localhost").await?).await
    }

    /// HTTP on a connection whose handshake is done.
    pub async fn on(tls: TlsStream<TcpStream>) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let (sender, connection) = handshake(TokioIo::new(tls)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    pub async fn send(&self, method: &str, path: &str, token: &str, body: &str) -> Result<Answer, Failure> {
        send_on(&mut self.connect().await?, method, path, token, body).await
    }
}

pub async fn send_on(
    sender: &mut SendRequest<Full<Bytes>>,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> Result<Answer, Failure> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("Host", "localhost")
        .header("Authorization", token)
        .header("Content-Type", "application/json")
        .body(Full::new(Bytes::from(body.to_owned())))?;
    sender.ready().await?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}

/// A device and an owner of one emulator.
pub struct Site {
    pub emulator: Emulator,
    pub client: Client,
}

impl Site {
    pub async fn start(options: dps_emulator::EmulatorOptions) -> Self {
        let emulator = Emulator::start(options).await.unwrap();
        Self { client: Client::for_emulator(&emulator), emulator }
    }

    fn end_s(&self) -> u64 {
        self.emulator.now().unix_s() + 3600
    }

    pub async fn admin(&self, method: &str, path: &str, body: &str) -> Answer {
        self.as_owner(method, &format!("{path}?api-version=2021-10-01"), body).await
    }

    pub async fn as_owner(&self, method: &str, path: &str, body: &str) -> Answer {
        let connection = self.emulator.connection_string();
        let part = |name: &str| {
            let found = connection.expose().split(';').find_map(|part| part.strip_prefix(name));
            found.unwrap().to_owned()
        };
        let sr = crate::common::encode(&part("HostName="));
        let token = crate::common::token(&part("SharedAccessKey="), &sr, self.end_s(), "&skn=provisioningserviceowner");
        self.client.send(method, path, &token, body).await.unwrap()
    }

    pub async fn enroll(&self, id: &str) -> String {
        let body = format!("{{\"registrationId\":\"{id}\",\"attestation\":{{\"type\":\"symmetricKey\"}}}}");
        let made = self.admin("PUT", &format!("/enrollments/{id}"), &body).await;
        assert_eq!(made.status, 200);
        made.json()["attestation"]["symmetricKey"]["primaryKey"].as_str().unwrap().to_owned()
    }

    pub async fn register(&self, id: &str, key: &str) -> Result<Answer, Failure> {
        self.register_on(&mut self.client.connect().await?, id, key).await
    }

    pub async fn register_on(
        &self,
        connection: &mut SendRequest<Full<Bytes>>,
        id: &str,
        key: &str,
    ) -> Result<Answer, Failure> {
        let token = crate::common::device_token(key, id, self.end_s());
        let path = format!("/{}/registrations/{id}/register?api-version=2021-06-01", crate::common::SCOPE);
        send_on(connection, "PUT", &path, &token, &format!("{{\"registrationId\":\"{id}\"}}")).await
    }

    pub async fn poll(&self, id: &str, key: &str, operation: &str) -> Result<Answer, Failure> {
        let token = crate::common::device_token(key, id, self.end_s());
        let path =
            format!("/{}/registrations/{id}/operations/{operation}?api-version=2021-06-01", crate::common::SCOPE);
        self.client.send("GET", &path, &token, "").await
    }
}
