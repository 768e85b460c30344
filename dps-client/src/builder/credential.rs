//! The credentials of a client, as they are set in its builder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dps_core::{ErrorCode, KeyEvidence};
use tokio::sync::Mutex;

use super::ProvisioningClientBuilder;
use crate::credentials::CredentialKind;
use crate::error::DpsError;
#[cfg(any(feature = "http", feature = "mqtt"))]
use crate::issued::IssuedIdentity;
use crate::key::{GroupKey, SymmetricKey};
use crate::names::RegistrationId;
#[cfg(feature = "pkcs11")]
use crate::pkcs11::{Pkcs11Key, TokenSigner};
use crate::signer::{Credential, SendSigner};
#[cfg(feature = "tpm")]
use crate::tpm::{Tpm, TpmSigner};
#[cfg(any(feature = "http", feature = "mqtt"))]
use crate::x509::X509;

/// How many credentials a client may have.
const CREDENTIALS_MAX: usize = 8;

/// A credential of a device, of whatever kind, for [`credential`](ProvisioningClientBuilder::credential) and
/// [`fallback`](ProvisioningClientBuilder::fallback). Keys, certificates and TPMs convert to it.
///
/// ```
/// use dps_client::{DeviceCredential, SymmetricKey};
///
/// let secondary = SymmetricKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")?;
/// let credentials: [DeviceCredential; 2] = [DeviceCredential::key_file("/etc/device/primary.key"), secondary.into()];
/// # Ok::<(), dps_client::DpsError>(())
/// ```
pub struct DeviceCredential(pub(super) Source);

pub(super) enum Source {
    Key(SymmetricKey),
    Group(GroupKey),
    KeyFile(PathBuf),
    GroupKeyFile(PathBuf),
    Own(Credential),
    #[cfg(feature = "pkcs11")]
    Token(Pkcs11Key),
    #[cfg(feature = "tpm")]
    Tpm(Tpm),
    #[cfg(any(feature = "http", feature = "mqtt"))]
    Certificate(X509),
    /// The place of an issued certificate, which may not be there yet.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    Issued(Option<Box<IssuedIdentity>>),
}

impl DeviceCredential {
    /// Returns the device's own key that this file has as base64. The file is read when the client is built.
    #[must_use]
    pub fn key_file(path: impl AsRef<Path>) -> Self {
        Self(Source::KeyFile(path.as_ref().to_owned()))
    }

    /// Returns the device's key that is derived from the group's, which this file has as base64. The file is read when the client
    /// is built.
    #[must_use]
    pub fn group_key_file(path: impl AsRef<Path>) -> Self {
        Self(Source::GroupKeyFile(path.as_ref().to_owned()))
    }

    /// Returns a key that this signer holds.
    #[must_use]
    pub fn signer(signer: impl SendSigner + 'static) -> Self {
        Self(Source::Own(Credential::Own(Arc::new(Mutex::new(Box::new(signer))))))
    }
}

/// The device's own key.
impl From<SymmetricKey> for DeviceCredential {
    fn from(key: SymmetricKey) -> Self {
        Self(Source::Key(key))
    }
}

/// The group's key, from which the device's is derived.
impl From<GroupKey> for DeviceCredential {
    fn from(key: GroupKey) -> Self {
        Self(Source::Group(key))
    }
}

/// The device's symmetric key in a PKCS#11 token.
#[cfg(feature = "pkcs11")]
impl From<Pkcs11Key> for DeviceCredential {
    fn from(key: Pkcs11Key) -> Self {
        Self(Source::Token(key))
    }
}

#[cfg(feature = "tpm")]
impl From<Tpm> for DeviceCredential {
    fn from(tpm: Tpm) -> Self {
        Self(Source::Tpm(tpm))
    }
}

#[cfg(any(feature = "http", feature = "mqtt"))]
impl From<X509> for DeviceCredential {
    fn from(device: X509) -> Self {
        Self(Source::Certificate(device))
    }
}

/// The place of an issued certificate, as with [`issued`](ProvisioningClientBuilder::issued).
#[cfg(any(feature = "http", feature = "mqtt"))]
impl From<Option<IssuedIdentity>> for DeviceCredential {
    fn from(identity: Option<IssuedIdentity>) -> Self {
        Self(Source::Issued(identity.map(Box::new)))
    }
}

impl std::fmt::Debug for DeviceCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceCredential(..)")
    }
}

/// The device's credentials.
impl ProvisioningClientBuilder {
    /// Sets the device's credential, of whatever kind; the options below are for one kind each. A second one is refused: to try
    /// another when the first is refused, add it as a [fallback](Self::fallback).
    pub fn credential(mut self, credential: impl Into<DeviceCredential>) -> Self {
        self.second_source |= self.source.is_some();
        self.source = Some(credential.into());
        self
    }

    /// Sets the device's own key.
    pub fn symmetric_key(self, key: SymmetricKey) -> Self {
        self.credential(key)
    }

    /// Sets the group's key, from which the device's is derived. For factories and tests: see [`GroupKey`].
    pub fn group_key(self, key: GroupKey) -> Self {
        self.credential(key)
    }

    /// Sets a file with the device's own key as base64.
    pub fn key_file(self, path: impl AsRef<Path>) -> Self {
        self.credential(DeviceCredential::key_file(path))
    }

    /// Sets a file with the group's key as base64.
    pub fn group_key_file(self, path: impl AsRef<Path>) -> Self {
        self.credential(DeviceCredential::group_key_file(path))
    }

    /// Sets a signer that holds the device's key; a [`BlockingSigner`](crate::BlockingSigner) wraps one that blocks.
    pub fn signer(self, signer: impl SendSigner + 'static) -> Self {
        self.credential(DeviceCredential::signer(signer))
    }

    /// Sets the device's symmetric key in a PKCS#11 token, which signs there. The token is opened when it first signs, on a
    /// thread of its own; a registration ends by its deadline also while the token blocks.
    #[cfg(feature = "pkcs11")]
    pub fn pkcs11_key(self, key: Pkcs11Key) -> Self {
        self.credential(key)
    }

    /// Sets the TPM that proves who the device is. HTTPS only.
    ///
    /// A registration reads the TPM before anything is sent, and ends by its deadline also while the TPM blocks. Without a
    /// registration id, [`build`](Self::build) reads the TPM for it, and blocks for as long as a registration may take:
    /// set it, or read [`Tpm::identity`] elsewhere, where that matters.
    #[cfg(feature = "tpm")]
    pub fn tpm(self, tpm: Tpm) -> Self {
        self.credential(tpm)
    }

    /// Sets the device's certificate with its chain and key, which is presented to the service in TLS. The registration id is
    /// the certificate's common name unless it is set; both must agree.
    ///
    /// [`build`](Self::build) checks it as a [`ChainCheck`](crate::ChainCheck) does, and refuses what cannot work; warnings are
    /// logged. A registration checks its validity again. A custom link has to present it by itself.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    pub fn x509(self, device: X509) -> Self {
        self.credential(device)
    }

    /// Sets the certificate that the service has issued, if there is one, such as
    /// [`IdentityStore`](crate::IdentityStore) has it; `None` keeps its place in the list for
    /// [`set_issued`](crate::ProvisioningClient::set_issued). Where there is none, or it is not valid at the time of a call, the
    /// [fallbacks](Self::fallback) alone are tried.
    ///
    /// ```
    /// use dps_client::{IssuedIdentity, ProvisioningClient, SymmetricKey};
    ///
    /// # let stored: Option<IssuedIdentity> = None;
    /// let client = ProvisioningClient::builder()
    ///     .id_scope("0ne00A1B2C3")
    ///     .registration_id("dev-01")
    ///     .issued(stored)
    ///     .fallback(SymmetricKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")?)
    ///     .build()?;
    /// # Ok::<(), dps_client::DpsError>(())
    /// ```
    #[cfg(any(feature = "http", feature = "mqtt"))]
    pub fn issued(self, identity: impl Into<Option<IssuedIdentity>>) -> Self {
        self.credential(identity.into())
    }

    /// Adds a credential that is tried when the service refuses the one before it; several are tried in the order of these calls,
    /// 8 credentials at most.
    ///
    /// The next one is tried at once, over a connection of its own, when the service refuses one:
    ///
    /// - by the status 401, over HTTPS or MQTT, unless its `Date` shows that this device's clock is far off;
    /// - by CONNACK 4 or 5;
    /// - by a TLS alert about the device's certificate: under TLS 1.2, where anybody on the way can send it, once a second
    ///   connection has met one too.
    ///
    /// It is never tried after another failure, such as a timeout, a closed connection, the alert `handshake_failure`, or the status
    /// 403 or 429, so that nobody on the way can make the device use the weaker one. All of them share one
    /// [timeout](Self::timeout), and one that follows goes on with an operation that is under way. An observer sees each change
    /// as [`Progress::Switching`](crate::Progress::Switching). When all are refused,
    /// [`DpsError::refused_credentials`] tells why each was.
    ///
    /// The one that the service accepted is tried first by the next calls of the client, until it is refused or a certificate
    /// is [issued](crate::ProvisioningClient::set_issued).
    ///
    /// ```
    /// use dps_client::{ProvisioningClient, SymmetricKey};
    ///
    /// let client = ProvisioningClient::builder()
    ///     .id_scope("0ne00A1B2C3")
    ///     .registration_id("dev-01")
    ///     .symmetric_key(SymmetricKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")?)
    ///     .fallback(SymmetricKey::from_base64("8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lE=")?)
    ///     .build()?;
    /// # Ok::<(), dps_client::DpsError>(())
    /// ```
    pub fn fallback(mut self, credential: impl Into<DeviceCredential>) -> Self {
        self.fallbacks.push(credential.into());
        self
    }

    /// Sets which credential is tried first, by its index in the order in which they are set, from 0: the
    /// [`credential_index`](crate::Assignment::credential_index) of the last assignment, so that a restarted device does not begin with one
    /// that is refused. The others follow in their order. Leave it out once a certificate was issued. [`build`](Self::build) refuses an
    /// index without a credential.
    pub fn first_credential(mut self, index: usize) -> Self {
        self.first_credential = Some(index);
        self
    }

    /// Takes out the credentials, in their order.
    pub(super) fn take_credentials(&mut self) -> Result<Vec<DeviceCredential>, DpsError> {
        let refused = |message: &str| Err(DpsError::config(ErrorCode::InvalidOption, message.to_owned()));
        if self.second_source {
            return refused("there are two credentials; set one, and add those to try when it is refused as fallbacks");
        }
        let first = self.source.take();
        let is_missing = match &first {
            None => true,
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Some(DeviceCredential(Source::Issued(None))) => self.fallbacks.is_empty(),
            Some(_) => false,
        };
        if is_missing {
            return refused("a credential (a key, a group key, a signer, a certificate or a TPM) is missing");
        }
        let credentials: Vec<_> = first.into_iter().chain(std::mem::take(&mut self.fallbacks)).collect();
        if credentials.len() > CREDENTIALS_MAX {
            return refused("there are too many credentials; a client tries 8 at most");
        }
        let issued = credentials.iter().filter(|credential| credential.kind() == CredentialKind::Issued).count();
        if issued > 1 {
            return refused("there are two places for an issued certificate; set one");
        }
        Ok(credentials)
    }
}

impl DeviceCredential {
    /// Returns what kind of credential it is.
    pub(super) fn kind(&self) -> CredentialKind {
        match &self.0 {
            Source::Key(_) | Source::Group(_) | Source::KeyFile(_) | Source::GroupKeyFile(_) => {
                CredentialKind::SymmetricKey
            }
            Source::Own(_) => CredentialKind::Signer,
            #[cfg(feature = "pkcs11")]
            Source::Token(_) => CredentialKind::Pkcs11Key,
            #[cfg(feature = "tpm")]
            Source::Tpm(_) => CredentialKind::Tpm,
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Source::Certificate(_) => CredentialKind::X509,
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Source::Issued(_) => CredentialKind::Issued,
        }
    }

    /// Returns the registration id that the credential has in itself. A TPM is read for it, at most for `limit`.
    pub(super) fn registration_id(&self, limit: Duration) -> Result<Option<RegistrationId>, DpsError> {
        let _ = limit;
        match &self.0 {
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Source::Certificate(device) => device.registration_id().map(Some),
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Source::Issued(Some(identity)) => Ok(Some(identity.registration_id().clone())),
            #[cfg(feature = "tpm")]
            Source::Tpm(tpm) => Ok(Some(tpm.identity(limit)?.registration_id().clone())),
            _ => Ok(None),
        }
    }

    /// Returns what signs or is presented, and what is known of its key; `None` for an issued certificate that is not there yet.
    /// Key files are read here.
    pub(super) fn open(
        self,
        registration_id: &RegistrationId,
        limit: Duration,
    ) -> Result<Option<(Credential, KeyEvidence)>, DpsError> {
        let _ = limit;
        let of_key = |key: SymmetricKey| {
            let evidence = KeyEvidence { length: Some(key.0.length()), derived_here: false };
            (Credential::Key(key.0), evidence)
        };
        let of_group = |group: GroupKey| {
            let key = group.derive(registration_id);
            (Credential::Key(key.0), group.evidence())
        };
        let other = |credential| (credential, KeyEvidence::default());
        Ok(Some(match self.0 {
            Source::Key(key) => of_key(key),
            Source::KeyFile(path) => of_key(SymmetricKey::from_file(path)?),
            Source::Group(group) => of_group(group),
            Source::GroupKeyFile(path) => of_group(GroupKey::from_file(path)?),
            Source::Own(credential) => other(credential),
            #[cfg(feature = "pkcs11")]
            Source::Token(key) => other(Credential::Token(TokenSigner::start(&key)?)),
            #[cfg(feature = "tpm")]
            Source::Tpm(tpm) => other(Credential::Tpm(TpmSigner::start(&tpm, limit)?)),
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Source::Certificate(device) => other(Credential::Certificate(device)),
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Source::Issued(identity) => match identity {
                Some(identity) => other(Credential::Certificate(identity.x509().clone())),
                None => return Ok(None),
            },
        }))
    }
}
