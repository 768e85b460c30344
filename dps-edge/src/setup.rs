//! A client for the device that a configuration describes. Reads the key file and the payload; sends nothing.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use dps_client::{DpsError, ProvisioningClientBuilder, SymmetricKey, file};
use dps_core::ErrorCode;
use dps_core::limits::MESSAGE_MAX;

use crate::files;
use crate::model::{Attestation, KeySource, Provisioning};

/// Why a configuration gives no client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetupError {
    /// The entry in the error catalogue.
    pub code: ErrorCode,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SetupError {}

impl SetupError {
    fn unsupported(message: &str) -> Self {
        Self { code: ErrorCode::InvalidOption, message: message.to_owned() }
    }

    fn file(path: &Path, error: impl fmt::Display) -> Self {
        Self { code: ErrorCode::File, message: format!("{}: {error}", path.display()) }
    }
}

impl From<DpsError> for SetupError {
    fn from(error: DpsError) -> Self {
        Self { code: error.code(), message: error.message().to_owned() }
    }
}

impl Provisioning {
    /// Gives the builder what the configuration says: endpoint, id scope, registration id, key, payload and time-out.
    /// Roots and proxy are the caller's: the trust bundle is for modules, and a proxy is in no configuration.
    ///
    /// # Errors
    /// [`SetupError`] for sources and attestations that are not handled, and for files that cannot be read.
    pub fn configure(&self, builder: ProvisioningClientBuilder) -> Result<ProvisioningClientBuilder, SetupError> {
        let dps = self.dps().ok_or_else(|| {
            SetupError::unsupported("the configuration's source is not `dps`: there is nothing to register")
        })?;
        let Attestation::SymmetricKey { registration_id, key } = &dps.attestation else {
            return Err(SetupError::unsupported("only attestation by a symmetric key can be acted on here"));
        };
        let mut builder = builder
            .id_scope(dps.id_scope.as_str())
            .registration_id(registration_id.as_str())
            .symmetric_key(symmetric_key(key)?);
        if let Some(endpoint) = &dps.global_endpoint {
            builder = builder.endpoint(endpoint.as_str());
        }
        if let Some(path) = &dps.payload {
            builder = builder.payload(payload(path)?);
        }
        if let Some(seconds) = self.cloud_timeout_s.filter(|seconds| *seconds > 0) {
            builder = builder.request_timeout(Duration::from_secs(seconds));
        }
        Ok(builder)
    }
}

fn symmetric_key(key: &KeySource) -> Result<SymmetricKey, SetupError> {
    let of_bytes = |bytes: &[u8]| SymmetricKey::from_bytes(bytes).map_err(DpsError::from);
    match key {
        KeySource::Inline(key) => Ok(of_bytes(key.expose())?),
        KeySource::File(path) => {
            let (bytes, _) = files::read(path).map_err(|error| SetupError::file(path, error))?;
            of_bytes(&bytes).map_err(|error| SetupError {
                code: error.code(),
                message: format!("{}: {}", path.display(), error.message()),
            })
        }
        KeySource::UnusualLength { .. } => Err(SetupError::unsupported("a symmetric key has 16 to 64 bytes")),
        KeySource::Pkcs11(_) => {
            Err(SetupError::unsupported("a key in a PKCS#11 token cannot be used here; the daemons can use it"))
        }
    }
}

fn payload(path: &Path) -> Result<String, SetupError> {
    let bytes = file::read(path, MESSAGE_MAX as u64).map_err(|error| SetupError::file(path, error))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| SetupError::file(path, error))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}
