//! The operational key of a device: made here, read, or in a PKCS#11 token; and the certificate request for it.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use dps_core::{ErrorCode, Verdict};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData};
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{Signer, SigningKey};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::DpsError;
use crate::key::on_wiped_stack;
use crate::names::RegistrationId;
#[cfg(feature = "pkcs11")]
use crate::pkcs11::{Pkcs11Key, Worker};
use crate::x509::certificate::KeyKind;
use crate::x509::{CertificateChain, X509, files, key, pem};

/// The kind of an operational key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// EC P-256 with SHA-256: small and quick, and what examples of the service use.
    #[default]
    EcP256,
    /// EC P-384 with SHA-384, which the service's documentation names for issued certificates.
    EcP384,
    /// RSA with 2048 bits and SHA-256. Made with the feature `aws-lc-rs` only.
    Rsa2048,
}

/// The private key that a device uses with an issued certificate. A clone shares it.
///
/// It is another key than the one that the device registers with: it is made on the device, and only a certificate request for
/// it leaves the device. Keys in memory are wiped when the last clone is dropped.
///
/// ```
/// use dps_client::{KeyAlgorithm, OperationalKey};
///
/// let key = OperationalKey::generate(KeyAlgorithm::EcP256)?;
/// // Pass it to the builder of a client, or to the hub.
/// let request = key.certificate_request(&"dev-01".parse()?)?;
/// assert!(!request.is_empty());
/// # Ok::<(), dps_client::DpsError>(())
/// ```
#[derive(Clone)]
pub struct OperationalKey {
    signing: Arc<dyn SigningKey>,
    place: Place,
}

/// Where the key is, as it is stored.
#[derive(Clone)]
pub(super) enum Place {
    /// The key itself, as DER, and the label of its PEM.
    Here { label: &'static str, der: Arc<Zeroizing<Vec<u8>>> },
    #[cfg(feature = "pkcs11")]
    Token { uri: String, worker: Arc<Worker> },
}

impl OperationalKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// `feature-missing` for RSA without the feature `aws-lc-rs`; `internal` when the system has no randomness.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, DpsError> {
        let kind = match algorithm {
            KeyAlgorithm::EcP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyAlgorithm::EcP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyAlgorithm::Rsa2048 if cfg!(feature = "aws-lc-rs") => &rcgen::PKCS_RSA_SHA256,
            KeyAlgorithm::Rsa2048 => {
                let message =
                    "this build cannot make an RSA key: turn on the feature `aws-lc-rs`, or use EC P-256 or P-384";
                return Err(DpsError::config(ErrorCode::FeatureMissing, message.to_owned()));
            }
        };
        let failed = |error: &dyn fmt::Display| {
            DpsError::new(ErrorCode::Internal, Verdict::Never, format!("no key can be made: {error}"))
        };
        // The pair stays on the stack that is wiped: some providers keep the key in it.
        let generated = on_wiped_stack(|| {
            KeyPair::generate_for(kind).map(|mut pair| {
                let der = Zeroizing::new(pair.serialized_der().to_vec());
                pair.zeroize();
                der
            })
        });
        let der = generated.map_err(|error| failed(&error))?;
        let parsed = PrivateKeyDer::try_from(der.as_slice()).map_err(|error| failed(&error))?;
        let signing = on_wiped_stack(|| dps_net::ClientIdentity::load_key(&parsed)).map_err(|error| failed(&error))?;
        let label = label_of(&parsed);
        Ok(Self { signing, place: Place::Here { label, der: Arc::new(der) } })
    }

    /// Reads a key: PKCS#8, SEC1 or PKCS#1 as PEM or DER, not encrypted. The caller wipes the bytes.
    ///
    /// # Errors
    /// `invalid-client-key`; `wrong-passphrase` when the key is encrypted.
    pub fn from_pem(bytes: &[u8]) -> Result<Self, DpsError> {
        Self::read(bytes).map_err(|refused| refused.into_error(None))
    }

    /// Reads a file with a key, as [`from_pem`](Self::from_pem).
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem), with the file's name; `file` when it cannot be read.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, DpsError> {
        let path = path.as_ref();
        let bytes = files::read_secret(path).map_err(|error| error.into_error(ErrorCode::InvalidClientKey, path))?;
        Self::read(&bytes).map_err(|refused| refused.into_error(Some(path)))
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, files::Refused> {
        let signing = key::read(bytes, None)?;
        // What was read as a key has one.
        let sections = pem::sections(bytes).unwrap_or_default();
        let section = sections.iter().find(|section| section.label.ends_with("PRIVATE KEY"));
        let der =
            section.map_or_else(|| Some(Zeroizing::new(bytes.to_vec())), pem::Section::decode).unwrap_or_default();
        let label = PrivateKeyDer::try_from(der.as_slice()).map_or(PKCS8, |parsed| label_of(&parsed));
        Ok(Self { signing, place: Place::Here { label, der: Arc::new(der) } })
    }

    /// Uses a private key that is in a PKCS#11 token already: EC P-256, EC P-384, or RSA from 2048 bits. Loads the module, logs
    /// in, and reads the public key. Blocks this thread meanwhile, for 30 s at most, and for each signature.
    ///
    /// # Errors
    /// As [`Pkcs11Key::sign`]; `pkcs11-no-object` when the token has no public key beside the private one, which a certificate
    /// request contains.
    #[cfg(feature = "pkcs11")]
    pub fn from_pkcs11(key: &Pkcs11Key) -> Result<Self, DpsError> {
        let (signing, worker) = crate::pkcs11::open_private_key(key)?;
        Ok(Self { signing, place: Place::Token { uri: key.to_string(), worker } })
    }

    /// Makes a certificate request (PKCS #10, RFC 2986) as DER, whose common name is the registration id, which the service
    /// requires. A key in a token signs it there.
    ///
    /// # Errors
    /// `invalid-client-key` for a kind of key that the service does not accept; that of the token when it cannot sign.
    pub fn certificate_request(&self, registration_id: &RegistrationId) -> Result<Vec<u8>, DpsError> {
        let public_key = self.public_key()?;
        let unusable = || {
            let words = "certificates are issued for EC P-256, EC P-384 and RSA from 2048 bits";
            DpsError::config(ErrorCode::InvalidClientKey, format!("{}: {words}", ErrorCode::InvalidClientKey.text()))
        };
        let (_, info) = SubjectPublicKeyInfo::from_der(&public_key).map_err(|_| unusable())?;
        let (algorithm, scheme) = match KeyKind::new(&info) {
            KeyKind::Ec(256) => (&rcgen::PKCS_ECDSA_P256_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256),
            KeyKind::Ec(384) => (&rcgen::PKCS_ECDSA_P384_SHA384, SignatureScheme::ECDSA_NISTP384_SHA384),
            KeyKind::Rsa(2048..) => (&rcgen::PKCS_RSA_SHA256, SignatureScheme::RSA_PKCS1_SHA256),
            _ => return Err(unusable()),
        };
        let signer = self.signing.choose_scheme(&[scheme]).ok_or_else(unusable)?;
        let public = &info.subject_public_key.data;
        let key = RequestKey { signer, public, algorithm, failure: RefCell::new(None) };
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, registration_id.as_str());
        params.serialize_request(&key).map(|request| request.der().to_vec()).map_err(|error| {
            match key.failure.borrow_mut().take() {
                Some(failure) => sign_error(failure),
                None => DpsError::new(ErrorCode::Internal, Verdict::Never, format!("no certificate request: {error}")),
            }
        })
    }

    /// Returns the public key, a SubjectPublicKeyInfo as DER.
    pub(super) fn public_key(&self) -> Result<Vec<u8>, DpsError> {
        self.signing.public_key().map(|key| key.to_vec()).ok_or_else(|| {
            let words = "its public key is not known";
            DpsError::config(ErrorCode::InvalidClientKey, format!("{}: {words}", ErrorCode::InvalidClientKey.text()))
        })
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The device with this key and a chain for it, which is not checked.
    pub(super) fn with_chain(&self, chain: CertificateChain) -> X509 {
        match &self.place {
            Place::Here { .. } => X509::from_signing_key(chain, Arc::clone(&self.signing)),
            #[cfg(feature = "pkcs11")]
            Place::Token { worker, .. } => X509::from_token(chain, Arc::clone(&self.signing), Arc::clone(worker)),
        }
    }
}

/// Where the key is, and nothing of it.
impl fmt::Debug for OperationalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("OperationalKey");
        match &self.place {
            Place::Here { .. } => {}
            #[cfg(feature = "pkcs11")]
            Place::Token { uri, .. } => {
                shown.field("uri", uri);
            }
        }
        shown.finish_non_exhaustive()
    }
}

const PKCS8: &str = "PRIVATE KEY";

fn label_of(key: &PrivateKeyDer<'_>) -> &'static str {
    match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => PKCS8,
    }
}

/// The key as a certificate request is signed with it.
struct RequestKey<'k> {
    signer: Box<dyn Signer>,
    /// The bits of the public key.
    public: &'k [u8],
    algorithm: &'static rcgen::SignatureAlgorithm,
    failure: RefCell<Option<rustls::Error>>,
}

impl PublicKeyData for RequestKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm
    }
}

impl rcgen::SigningKey for RequestKey<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signer.sign(message).map_err(|failed| {
            *self.failure.borrow_mut() = Some(failed);
            rcgen::Error::RemoteKeyError
        })
    }
}

/// Why a certificate request was not signed; a token says it by [`dps_net::SigningFailed`].
fn sign_error(failed: rustls::Error) -> DpsError {
    let of_token = match &failed {
        rustls::Error::Other(other) => other.0.downcast_ref::<dps_net::SigningFailed>().map(|failed| failed.code()),
        _ => None,
    };
    let code = of_token.unwrap_or(ErrorCode::SignerFailed);
    DpsError::new(code, Verdict::Never, format!("{}: {failed}", code.text())).caused_by(failed)
}
