//! A device's X.509 certificate with its chain and private key, and the check of it.

pub(crate) mod certificate;
mod chain;
mod check;
pub(crate) mod files;
mod finding;
pub(crate) mod key;
pub(crate) mod pem;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use dps_core::{ErrorCode, Hint};
use dps_net::ClientIdentity;
use rustls::client::ResolvesClientCert;
use rustls::sign::SigningKey;

pub use chain::CertificateChain;
pub use check::ChainCheck;
pub use finding::{ChainProblem, Finding, Severity};
pub use key::Passphrase;

use certificate::Certificate;

use crate::error::DpsError;
use crate::names::RegistrationId;
#[cfg(feature = "pkcs11")]
use crate::pkcs11::Worker;

/// A device's certificate, the intermediate certificates above it, and its private key.
///
/// The key is EC P-256, EC P-384, or RSA with 2048 to 4096 bits. A clone shares it.
///
/// An enrollment group requires every intermediate up to a certificate that is verified at the service (Azure IoT DPS
/// documentation, "X.509 certificate attestation"); an individual enrollment requires only the device's own certificate.
/// [`ProvisioningClientBuilder::x509`](crate::ProvisioningClientBuilder::x509) refuses what cannot work; a [`ChainCheck`] also
/// returns warnings, and can be told which root to expect.
///
/// ```
/// use dps_client::{ProvisioningClient, X509};
///
/// # let mut params = rcgen::CertificateParams::default();
/// # params.distinguished_name.push(rcgen::DnType::CommonName, "dev-01");
/// # let key = rcgen::KeyPair::generate()?;
/// # let (certificates, key) = (params.self_signed(&key)?.pem(), key.serialize_pem());
/// let device = X509::from_pem(certificates.as_bytes(), key.as_bytes())?;
/// let client = ProvisioningClient::builder()
///     .id_scope("0ne00A1B2C3")
///     .x509(device)
/// #   .roots(dps_client::Roots::replace_pem(certificates.as_bytes())?)
///     .build()?;
/// // The registration id is the certificate's common name.
/// assert_eq!(client.registration_id().as_str(), "dev-01");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct X509 {
    chain: CertificateChain,
    identity: ClientIdentity,
    /// What works with the key, if that is in a token.
    #[cfg(feature = "pkcs11")]
    token: Option<Arc<Worker>>,
}

impl X509 {
    /// Reads a file of certificates, the device's own first, and a file of its private key. They may be the same file. Certificates
    /// are PEM or DER; the key is PKCS#8, SEC1 or PKCS#1 as PEM or DER.
    ///
    /// # Errors
    /// `file` when a file cannot be read, `invalid-client-certificate`, `invalid-client-key`, and `wrong-passphrase` when
    /// the key is encrypted; each with the file's name.
    pub fn from_files(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, DpsError> {
        Self::read_files(certificates.as_ref(), key.as_ref(), None)
    }

    /// The same for a key that is encrypted in PKCS#8 (`-----BEGIN ENCRYPTED PRIVATE KEY-----`). The passphrase is ignored when
    /// the key is not encrypted.
    ///
    /// # Errors
    /// As [`from_files`](Self::from_files), with `wrong-passphrase` when it is not the key's.
    pub fn from_encrypted_files(
        certificates: impl AsRef<Path>,
        key: impl AsRef<Path>,
        passphrase: &Passphrase,
    ) -> Result<Self, DpsError> {
        Self::read_files(certificates.as_ref(), key.as_ref(), Some(passphrase))
    }

    /// Reads certificates, the device's own first, and its private key, from PEM; DER is accepted too. The caller wipes
    /// the key's bytes.
    ///
    /// # Errors
    /// As [`from_files`](Self::from_files).
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, DpsError> {
        Self::read_pem(certificates, key, None)
    }

    /// The same for a key that is encrypted, as [`from_encrypted_files`](Self::from_encrypted_files).
    ///
    /// # Errors
    /// As [`from_encrypted_files`](Self::from_encrypted_files).
    pub fn from_encrypted_pem(certificates: &[u8], key: &[u8], passphrase: &Passphrase) -> Result<Self, DpsError> {
        Self::read_pem(certificates, key, Some(passphrase))
    }

    /// Uses a key that is held elsewhere, such as in a token: TLS asks it for signatures, on the thread that runs the connection.
    /// Where it cannot sign it returns a [`SigningFailed`](crate::SigningFailed), and the registration ends with that code. A
    /// [`ChainCheck`] compares it with the certificate if it returns its public key.
    #[must_use]
    pub fn from_signing_key(certificates: CertificateChain, key: Arc<dyn SigningKey>) -> Self {
        let identity = ClientIdentity::new(certificates.der().to_vec(), key);
        Self {
            chain: certificates,
            identity,
            #[cfg(feature = "pkcs11")]
            token: None,
        }
    }

    /// The same for a key in a token.
    #[cfg(feature = "pkcs11")]
    pub(crate) fn from_token(certificates: CertificateChain, key: Arc<dyn SigningKey>, token: Arc<Worker>) -> Self {
        Self { token: Some(token), ..Self::from_signing_key(certificates, key) }
    }

    /// Whether the key is in a token, which blocks the thread of a handshake while it signs.
    pub(crate) fn blocks(&self) -> bool {
        #[cfg(feature = "pkcs11")]
        return self.token.is_some();
        #[cfg(not(feature = "pkcs11"))]
        return false;
    }

    /// Whether a token is signing, or doing anything else.
    pub(crate) fn is_busy(&self) -> bool {
        #[cfg(feature = "pkcs11")]
        return self.token.as_ref().is_some_and(|token| token.is_busy());
        #[cfg(not(feature = "pkcs11"))]
        return false;
    }

    fn read_files(certificates: &Path, key: &Path, passphrase: Option<&Passphrase>) -> Result<Self, DpsError> {
        let chain = CertificateChain::from_file(certificates)?;
        let bytes = files::read_secret(key).map_err(|error| error.into_error(ErrorCode::InvalidClientKey, key))?;
        let loaded = key::read(&bytes, passphrase).map_err(|refused| refused.into_error(Some(key)))?;
        Ok(Self::from_signing_key(chain, loaded))
    }

    fn read_pem(certificates: &[u8], key: &[u8], passphrase: Option<&Passphrase>) -> Result<Self, DpsError> {
        let chain = CertificateChain::from_pem(certificates)?;
        let loaded = key::read(key, passphrase).map_err(|refused| refused.into_error(None))?;
        Ok(Self::from_signing_key(chain, loaded))
    }

    /// Returns the certificates.
    #[must_use]
    pub fn chain(&self) -> &CertificateChain {
        &self.chain
    }

    /// Returns what presents the certificate in a TLS configuration of rustls, such as that of the device's connection to its
    /// hub.
    #[must_use]
    pub fn resolver(&self) -> Arc<dyn ResolvesClientCert> {
        Arc::new(self.identity.clone())
    }

    /// Returns the common name of the device's certificate, if it has one.
    #[must_use]
    pub fn common_name(&self) -> Option<String> {
        let leaf = Certificate::parse(self.chain.iter().next()?)?;
        leaf.common_name()?.ok().map(str::to_owned)
    }

    /// Returns the common name as a registration id.
    ///
    /// # Errors
    /// `invalid-client-certificate` when there is no common name, or it is not a valid registration id.
    pub fn registration_id(&self) -> Result<RegistrationId, DpsError> {
        let refused = |words: String| {
            let refused =
                files::Refused { code: ErrorCode::InvalidClientCertificate, hint: Some(Hint::CertificateName), words };
            refused.into_error(None)
        };
        let name = self.common_name().ok_or_else(|| refused("it has no common name to register with".to_owned()))?;
        name.parse().map_err(|problem| refused(format!("its common name is not a valid registration id: {problem}")))
    }

    /// The likeliest causes of a refusal by the service, as far as the form of the chain tells them. Where its end is not a root,
    /// an intermediate may be missing, which is the first of the causes anyway.
    pub(crate) fn likely_causes(&self) -> &'static [Hint] {
        let is_root = |der| Certificate::parse(der).is_some_and(|certificate| certificate.is_self_issued());
        match (self.chain.len(), self.chain.iter().last().is_some_and(is_root)) {
            // Only an individual enrollment can have it.
            (1, true) => &[Hint::WrongThumbprint, Hint::NoEnrollment],
            (_, true) => &[Hint::UnverifiedRoot, Hint::NoEnrollment],
            (_, false) => &[],
        }
    }

    pub(crate) fn identity(&self) -> &ClientIdentity {
        &self.identity
    }

    pub(crate) fn key(&self) -> &Arc<dyn SigningKey> {
        self.identity.key()
    }

    /// Checks everything that can be known on the device. `now` is `None` where the time is not known. Returns the warnings.
    ///
    /// # Errors
    /// The first finding that cannot work, with the others in its words.
    pub(crate) fn judge(
        &self,
        registration_id: &RegistrationId,
        now: Option<SystemTime>,
    ) -> Result<Vec<Finding>, DpsError> {
        let check = ChainCheck::new().registration_id(registration_id);
        let findings = now.map_or(check.clone(), |now| check.at(now)).device(self);
        let (errors, warnings): (Vec<_>, Vec<_>) =
            findings.into_iter().partition(|finding| finding.severity() == Severity::Error);
        let Some((first, others)) = errors.split_first() else { return Ok(warnings) };
        let code = first.problem().code();
        let mut message = format!("{}: {first}", code.text());
        for other in others {
            message.push_str(". Also: ");
            message.push_str(&other.sentence());
        }
        Err(DpsError::config(code, message).hinted(first.problem().hint()))
    }
}

impl fmt::Debug for X509 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "X509({} certificates, {:?} key)", self.chain.len(), self.key().algorithm())
    }
}
