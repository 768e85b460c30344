//! The service and the device of an example: named by the caller, or a local service that is started for the example.
//!
//! A key is never an argument, since other users of the computer can read arguments.

use std::path::PathBuf;

use clap::Parser;
use dps_client::{
    Endpoint, ProvisioningClient, ProvisioningClientBuilder, ProxyChoice, Roots, SymmetricKey, Transport, X509,
};
use dps_emulator::{Certificate, Emulator, EmulatorOptions, IndividualEnrollment};

use crate::AnyError;

/// The device of the local service.
pub(crate) const DEVICE: &str = "dev-01";

/// Without arguments it starts a local service. The device's key comes from `--key-file` or from `DPS_KEY`, its certificate from
/// `--cert-file` with the key in `--cert-key-file`.
#[derive(Parser)]
struct Arguments {
    /// The id scope of the service, such as 0ne00A1B2C3
    #[arg(long, value_name = "S", env = "DPS_ID_SCOPE", requires = "device")]
    id_scope: Option<String>,
    /// The device's registration id
    #[arg(long, value_name = "R", env = "DPS_REGISTRATION_ID", requires = "id_scope", group = "device")]
    registration_id: Option<String>,
    /// A file with the device's key in base64
    #[arg(long, value_name = "FILE", env = "DPS_KEY_FILE", requires = "id_scope")]
    key_file: Option<PathBuf>,
    /// The device's certificate, then the intermediate certificates; its common name is the registration id
    #[arg(long, value_name = "FILE", env = "DPS_CERT_FILE", requires = "cert_key_file", group = "device")]
    cert_file: Option<PathBuf>,
    /// The certificate's private key
    #[arg(long, value_name = "FILE", env = "DPS_CERT_KEY_FILE", requires = "cert_file")]
    cert_key_file: Option<PathBuf>,
    /// The endpoint of the service. Default: Azure's global endpoint
    #[arg(long, value_name = "HOST[:PORT]", env = "DPS_ENDPOINT", requires = "id_scope")]
    endpoint: Option<String>,
    /// Trust only the certificate authorities in this file, instead of the system's
    #[arg(long, value_name = "PEM", env = "DPS_CA_FILE", requires = "id_scope")]
    ca_file: Option<PathBuf>,
}

/// The service and the device of an example.
pub struct Setting {
    arguments: Arguments,
    local: Option<Emulator>,
    key: Option<String>,
}

impl Setting {
    /// Reads arguments and environment; starts a local service if they name no service.
    ///
    /// # Errors
    /// If the local service cannot be started.
    pub async fn read() -> Result<Self, AnyError> {
        let arguments = Arguments::parse();
        if arguments.id_scope.is_some() {
            return Ok(Self { arguments, local: None, key: std::env::var("DPS_KEY").ok() });
        }
        eprintln!("No service is set (see --help); starting a local one.");
        let options = EmulatorOptions::new().mqtt_port(0).service(|service| service.echo_payload(true));
        let local = Emulator::start(options).await?;
        let now = local.now();
        let enrolled = local.with_service(|service| service.put_enrollment(now, IndividualEnrollment::new(DEVICE)))?;
        let key = enrolled.settings.attestation.primary.map(|key| key.expose().to_owned());
        Ok(Self { arguments, local: Some(local), key })
    }

    /// Returns the id scope.
    #[must_use]
    pub fn id_scope(&self) -> &str {
        let local = self.local.as_ref().map(Emulator::id_scope);
        local.or(self.arguments.id_scope.as_deref()).unwrap_or_default()
    }

    /// Returns the registration id.
    #[must_use]
    pub fn registration_id(&self) -> &str {
        self.arguments.registration_id.as_deref().unwrap_or(DEVICE)
    }

    /// Returns the device's key.
    ///
    /// # Errors
    /// If the key is missing or not valid.
    pub fn key(&self) -> Result<SymmetricKey, AnyError> {
        match (&self.arguments.key_file, &self.key) {
            (Some(file), _) => Ok(SymmetricKey::from_file(file)?),
            (None, Some(text)) => Ok(SymmetricKey::from_base64(text)?),
            (None, None) => {
                Err("the device's key is missing: set --key-file FILE, or the key itself in DPS_KEY".into())
            }
        }
    }

    /// Returns the device's certificate with its key. For the local service it is made, and the device is enrolled by it.
    ///
    /// # Errors
    /// If a file is missing or not valid.
    pub fn certificate(&self) -> Result<X509, AnyError> {
        let Some(local) = &self.local else {
            return match (&self.arguments.cert_file, &self.arguments.cert_key_file) {
                (Some(certificate), Some(key)) => Ok(X509::from_files(certificate, key)?),
                _ => Err("the device's certificate is missing: set --cert-file FILE and --cert-key-file FILE".into()),
            };
        };
        let key = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, DEVICE);
        let pem = params.self_signed(&key)?.pem();
        let enrollment = IndividualEnrollment::new(DEVICE).client_certificate(Certificate::from_pem(&pem)?);
        let now = local.now();
        local.with_service(|service| service.put_enrollment(now, enrollment))?;
        Ok(X509::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes())?)
    }

    /// Returns the endpoint of the service for this transport.
    #[must_use]
    pub fn endpoint(&self, transport: Transport) -> String {
        match (&self.local, transport) {
            (Some(local), Transport::Mqtt) => local.mqtt_endpoint().unwrap_or_default(),
            (Some(local), _) => local.endpoint(),
            (None, _) => self.arguments.endpoint.clone().unwrap_or_else(|| Endpoint::default().to_string()),
        }
    }

    /// Returns the certificates to trust: the system's, those of a file, or the local service's.
    ///
    /// # Errors
    /// If the file cannot be read, or contains no certificates.
    pub fn roots(&self) -> Result<Roots, AnyError> {
        match (&self.local, &self.arguments.ca_file) {
            (Some(local), _) => Ok(Roots::replace_pem(local.ca_pem().as_bytes())?),
            (None, Some(file)) => {
                let pem = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
                Ok(Roots::replace_pem(&pem)?)
            }
            (None, None) => Ok(Roots::platform()),
        }
    }

    /// Returns the proxy: that of the environment, but none for the local service.
    #[must_use]
    pub fn proxy(&self) -> ProxyChoice {
        if self.local.is_some() { ProxyChoice::Direct } else { ProxyChoice::Environment }
    }

    /// Returns a client builder with all of the above except the credential, as in `register_https.rs`.
    ///
    /// # Errors
    /// As [`Setting::roots`].
    pub fn client(&self, transport: Transport) -> Result<ProvisioningClientBuilder, AnyError> {
        Ok(ProvisioningClient::builder()
            .id_scope(self.id_scope())
            .registration_id(self.registration_id())
            .endpoint(self.endpoint(transport))
            .transport(transport)
            .roots(self.roots()?)
            .proxy(self.proxy()))
    }

    /// Returns the local service, if it is used.
    #[must_use]
    pub fn local(&self) -> Option<&Emulator> {
        self.local.as_ref()
    }
}
