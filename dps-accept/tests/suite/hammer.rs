//! A client that is correct in everything but patience: it never waits, retries at once, and does not give up.

#![allow(unreachable_pub, reason = "a module of a test")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

type Failure = Box<dyn Error + Send + Sync>;

/// It is ended long before.
const LIFE: Duration = Duration::from_secs(300);
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// Registers with the settings in the environment until it is assigned.
pub async fn run() {
    let device = Device::from_environment();
    let began = Instant::now();
    while began.elapsed() < LIFE {
        if let Ok(true) = device.register().await {
            return;
        }
        // Lets the other tasks of the connection run, and does not wait.
        tokio::task::yield_now().await;
    }
}

struct Device {
    endpoint: String,
    host: String,
    id_scope: String,
    registration_id: String,
    token: String,
    tls: TlsConnector,
}

impl Device {
    fn from_environment() -> Self {
        let setting = |name: &str| std::env::var(name).unwrap();
        let key = std::fs::read_to_string(setting("DPS_KEY_FILE")).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(setting("DPS_CA_FILE")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider())).with_safe_default_protocol_versions();
        let config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
        let (id_scope, registration_id) = (setting("DPS_ID_SCOPE"), setting("DPS_REGISTRATION_ID"));
        let token = token(&format!("{id_scope}/registrations/{registration_id}"), &key);
        let tls = TlsConnector::from(Arc::new(config));
        Self { endpoint: setting("DPS_ENDPOINT"), host: setting("DPS_HOST"), id_scope, registration_id, token, tls }
    }

    /// Returns whether the device was assigned.
    async fn register(&self) -> Result<bool, Failure> {
        let tcp = TcpStream::connect(&self.endpoint).await?;
        let tls = self.tls.connect(ServerName::try_from(self.host.clone())?, tcp).await?;
        let (mut sender, connection) = handshake(TokioIo::new(tls)).await?;
        tokio::spawn(connection);
        let mut reply = self.send(&mut sender, "PUT", "register").await?;
        while reply["status"] == "assigning" {
            let operation = reply["operationId"].as_str().ok_or("no operation")?.to_owned();
            reply = self.send(&mut sender, "GET", &format!("operations/{operation}")).await?;
        }
        Ok(reply["status"] == "assigned")
    }

    async fn send(&self, to: &mut SendRequest<Full<Bytes>>, method: &str, call: &str) -> Result<Value, Failure> {
        let (id_scope, id) = (&self.id_scope, &self.registration_id);
        let request = Request::builder()
            .method(method)
            .uri(format!("/{id_scope}/registrations/{id}/{call}?api-version=2021-06-01"))
            .header("Host", &self.endpoint)
            .header("Authorization", &self.token)
            .header("Content-Type", "application/json")
            .body(Full::new(Bytes::new()))?;
        let exchange = async {
            let reply = to.send_request(request).await?;
            Ok::<_, Failure>(reply.into_body().collect().await?.to_bytes())
        };
        Ok(serde_json::from_slice(&tokio::time::timeout(REPLY_TIMEOUT, exchange).await??)?)
    }
}

fn token(resource: &str, key: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let expiry = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    let sr = encode(resource);
    let key = BASE64_STANDARD.decode(key.trim()).unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{sr}\n{expiry}").as_bytes());
    let sig = encode(&BASE64_STANDARD.encode(mac.finalize().into_bytes()));
    format!("SharedAccessSignature sr={sr}&sig={sig}&se={expiry}&skn=registration")
}

#[cfg(feature = "aws-lc-rs")]
fn provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

#[cfg(not(feature = "aws-lc-rs"))]
fn provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::ring::default_provider()
}
