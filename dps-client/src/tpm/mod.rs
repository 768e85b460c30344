//! A TPM 2.0 that proves who the device is: how to reach it, its identity, and its state.
//!
//! Commands of a TPM may take long, so that they are sent from a thread of their own, and everyone who waits for one stops waiting at
//! a deadline.

mod failure;
mod password;
mod signer;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use dps_core::{ErrorCode, Signature};
use dps_files::SecretString;
use dps_tpm::{Access, Tcti, registration_id};

use crate::error::DpsError;
use crate::names::RegistrationId;
use failure::Failure;
pub(crate) use signer::TpmSigner;
use signer::{TpmWorker, deadline};

/// A TPM 2.0, by which the device registers: an individual enrollment has its endorsement key.
///
/// Making a `Tpm` opens nothing. A registration ([`ProvisioningClientBuilder::tpm`](crate::ProvisioningClientBuilder::tpm)) connects
/// with the TPM for each of its steps, on a thread of its own, and leaves in it the endorsement key (0x81010001), the storage
/// root key (0x81000001), both made where they are missing, and the key for the hub (0x81000100, unless
/// [`key_offset`](Self::key_offset) is set). Each registration replaces the key for the hub; without one at its handle, hub
/// passwords fail as `tpm-key-missing`, and the device has to register again.
///
/// A password that the TPM refused is not tried again in this process until the TPM has accepted another one
/// (`tpm-wrong-password`).
///
/// ```no_run
/// use dps_client::{ProvisioningClient, Tpm};
///
/// # async fn example() -> Result<(), dps_client::DpsError> {
/// let client = ProvisioningClient::builder()
///     .id_scope("0ne00A1B2C3")
///     .registration_id("dev-01")
///     .tpm(Tpm::new("device:/dev/tpmrm0")?)
///     .build()?;
/// let assignment = client.register().await?;
/// let mut credentials = assignment.hub_credentials()?;
/// let password = credentials.password().await?; // signed in the TPM
/// # let _ = password;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Tpm(Access);

impl Tpm {
    /// Parses a TCTI string:
    ///
    /// | string | TPM |
    /// |---|---|
    /// | `device` | `/dev/tpmrm0`, or `/dev/tpm0` where that does not exist |
    /// | `device:FILE` | a device file |
    /// | `swtpm:host=HOST,port=PORT` | swtpm, over TCP; default `localhost` and 2321 |
    /// | `swtpm:path=FILE` | swtpm, over a Unix socket |
    ///
    /// ```
    /// use dps_client::{ErrorCode, Tpm};
    /// assert!(Tpm::new("swtpm:path=/run/swtpm.sock").is_ok());
    /// assert_eq!(Tpm::new("tabrmd").unwrap_err().code(), ErrorCode::InvalidTcti);
    /// ```
    ///
    /// # Errors
    /// `invalid-tcti`, also for a transport that is not built in: libraries of TCTIs are not loaded.
    pub fn new(tcti: &str) -> Result<Self, DpsError> {
        let tcti: Tcti = tcti.parse().map_err(|error: dps_tpm::TctiError| {
            let code = ErrorCode::InvalidTcti;
            DpsError::config(code, format!("{}: {error}", code.text())).hinted(code.hints().iter())
        })?;
        Ok(Self(Access::new(tcti)))
    }

    /// Sets the password of the endorsement hierarchy. Default: empty.
    #[must_use]
    pub fn endorsement_password(self, password: &SecretString) -> Self {
        Self(self.0.endorsement_password(password.expose().as_bytes()))
    }

    /// Sets the password of the owner hierarchy, which is also called the storage hierarchy. Default: empty.
    #[must_use]
    pub fn owner_password(self, password: &SecretString) -> Self {
        Self(self.0.owner_password(password.expose().as_bytes()))
    }

    /// Reads the password of the endorsement hierarchy from a file; a line break at its end is not part of it.
    ///
    /// # Errors
    /// `file` when it cannot be read, `invalid-option` when it is empty or not text.
    pub fn endorsement_password_file(self, path: impl AsRef<Path>) -> Result<Self, DpsError> {
        let password = password::read(path.as_ref(), "the endorsement hierarchy's")?;
        Ok(self.endorsement_password(&password))
    }

    /// The same for the owner hierarchy.
    ///
    /// # Errors
    /// As [`endorsement_password_file`](Self::endorsement_password_file).
    pub fn owner_password_file(self, path: impl AsRef<Path>) -> Result<Self, DpsError> {
        let password = password::read(path.as_ref(), "the owner hierarchy's")?;
        Ok(self.owner_password(&password))
    }

    /// Sets where the TPM keeps the key for the hub: an offset to 0x81000000, not a handle, as IoT Edge's `auth_key_index`.
    /// Default: 0x100.
    ///
    /// # Errors
    /// `invalid-option` when it is above 0x7FFFFF, or that of the endorsement key or the storage root key.
    pub fn key_offset(self, offset: u32) -> Result<Self, DpsError> {
        self.0.key_offset(offset).map(Self).ok_or_else(|| {
            let message = format!(
                "the offset {offset:#x} of the TPM's key cannot be used: it must be at most 0x7FFFFF, and neither 0x1 \
                 (storage root key) nor 0x10001 (endorsement key)"
            );
            DpsError::config(ErrorCode::InvalidOption, message)
        })
    }

    /// Reads what an enrollment needs: the registration id and the endorsement key. The TPM is not changed. Blocks this thread
    /// for `timeout` at most; a TPM without a persistent endorsement key makes it, which can take a minute.
    ///
    /// # Errors
    /// `tpm-unavailable`, `tpm-lost`, `tpm-wrong-password`, `tpm-lockout`, `tpm-failed`, `signer-timeout`.
    pub fn identity(&self, timeout: Duration) -> Result<TpmIdentity, DpsError> {
        self.read(timeout, dps_tpm::Tpm::endorsement_key).and_then(TpmIdentity::new)
    }

    /// Reads the state of the TPM, for a diagnosis. The TPM is not changed. Blocks this thread for `timeout` at most.
    ///
    /// # Errors
    /// As [`identity`](Self::identity).
    pub fn status(&self, timeout: Duration) -> Result<TpmStatus, DpsError> {
        self.read(timeout, dps_tpm::Tpm::status).map(TpmStatus)
    }

    /// Signs with the key for the hub, HMAC-SHA256, as [`hub_credentials`](crate::Assignment::hub_credentials) do. Blocks this
    /// thread for `timeout` at most.
    ///
    /// # Errors
    /// `tpm-key-missing` before the first registration; as [`identity`](Self::identity) otherwise.
    pub fn sign(&self, to_sign: &[u8], timeout: Duration) -> Result<Signature, DpsError> {
        let to_sign = to_sign.to_vec();
        self.read(timeout, move |tpm| tpm.sign(&to_sign)).map(|signature| Signature::new(*signature))
    }

    fn read<T: Send + 'static>(
        &self,
        timeout: Duration,
        read: impl FnOnce(&mut dps_tpm::Tpm) -> Result<T, dps_tpm::Error> + Send + 'static,
    ) -> Result<T, DpsError> {
        let worker = self.worker().map_err(Failure::into_error)?;
        let deadline = deadline(timeout);
        let read = worker.ask_within(timeout, move |access: &mut Access| {
            read(&mut access.connect(deadline)?).map_err(Failure::from)
        });
        read.map_err(Failure::into_error)
    }

    fn worker(&self) -> Result<TpmWorker, Failure> {
        TpmWorker::start("dps-tpm", self.0.clone())
            .map_err(|error| Failure::new(ErrorCode::Internal, format!("a thread cannot be started: {error}")))
    }
}

/// The TCTI string, with its defaults written out.
impl fmt::Display for Tpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.tcti().fmt(f)
    }
}

impl fmt::Debug for Tpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tpm").field("tcti", &self.to_string()).finish_non_exhaustive()
    }
}

/// What an enrollment of a TPM needs; made by [`Tpm::identity`]. Nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TpmIdentity {
    registration_id: RegistrationId,
    endorsement_key: String,
}

impl TpmIdentity {
    fn new(endorsement_key: Vec<u8>) -> Result<Self, DpsError> {
        let mut buffer = vec![0; endorsement_key.len().div_ceil(3) * 4];
        let mut text = dps_core::Text::new(&mut buffer);
        text.push_base64(&endorsement_key);
        let text = text.finish().map_err(|short| crate::client::internal(&short.to_string()))?;
        Ok(Self {
            registration_id: RegistrationId::try_from(registration_id(&endorsement_key))?,
            endorsement_key: text.to_owned(),
        })
    }

    /// Returns the registration id of a device that sets none: the SHA-256 of the endorsement key in base32, lower case, 52
    /// characters, as the SDKs of Azure IoT derive it.
    #[must_use]
    pub fn registration_id(&self) -> &RegistrationId {
        &self.registration_id
    }

    /// Returns the public endorsement key (`TPM2B_PUBLIC`) as base64, as an enrollment has it.
    #[must_use]
    pub fn endorsement_key(&self) -> &str {
        &self.endorsement_key
    }
}

/// The state of a TPM; made by [`Tpm::status`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TpmStatus(dps_tpm::Status);

impl TpmStatus {
    /// Returns the manufacturer's abbreviation, such as `IFX`.
    #[must_use]
    pub fn manufacturer(&self) -> &str {
        &self.0.manufacturer
    }

    /// Returns whether the TPM is in lockout: it refuses what a password protects.
    #[must_use]
    pub fn is_in_lockout(&self) -> bool {
        self.0.in_lockout
    }

    /// Returns how many failed authorizations count at present.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.0.failures
    }

    /// Returns at how many failed authorizations the TPM goes into lockout.
    #[must_use]
    pub fn failures_max(&self) -> u32 {
        self.0.failures_max
    }

    /// Returns after which time a failed authorization is forgotten; `None` if it never is.
    #[must_use]
    pub fn failure_forgotten_after(&self) -> Option<Duration> {
        Some(self.0.failure_forgotten_after)
            .filter(|seconds| *seconds > 0)
            .map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// Returns whether an endorsement key is at its handle. Where it is not, a registration makes it.
    #[must_use]
    pub fn has_endorsement_key(&self) -> bool {
        self.0.has_endorsement_key
    }

    /// Returns whether a storage root key is at its handle. Where it is not, a registration makes it.
    #[must_use]
    pub fn has_storage_root_key(&self) -> bool {
        self.0.has_storage_root_key
    }

    /// Returns whether something is at the handle of the key for the hub, as after a registration.
    #[must_use]
    pub fn has_hub_key(&self) -> bool {
        self.0.has_device_key
    }

    /// Returns whether the manufacturer's certificate of an RSA endorsement key is there.
    #[must_use]
    pub fn has_endorsement_certificate(&self) -> bool {
        self.0.has_endorsement_certificate
    }
}
