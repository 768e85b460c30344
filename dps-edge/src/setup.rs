//! What a configuration is turned into: a client for its device, or PowerShell commands for Windows. Reads the key file
//! and the payload; sends nothing.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use dps_client::{DpsError, ProvisioningClientBuilder};
use dps_core::ErrorCode;
use dps_core::limits::MESSAGE_MAX;

use crate::model::{Attestation, KeySource, Provisioning};

/// Why a configuration cannot be turned into a client.
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
    pub(crate) fn unsupported(message: &str) -> Self {
        Self { code: ErrorCode::InvalidOption, message: message.to_owned() }
    }

    fn other_source() -> Self {
        Self::unsupported("the configuration's source is not `dps`: there is nothing to register")
    }

    #[cfg(not(feature = "pkcs11"))]
    pub(crate) fn without_pkcs11() -> Self {
        Self::unsupported(
            "the key is in a PKCS#11 token, which this build cannot use: build dps-edge with its feature `pkcs11`",
        )
    }

    #[cfg(not(feature = "tpm"))]
    pub(crate) fn without_tpm() -> Self {
        let message = "the attestation is by a TPM, which this build cannot use: build dps-edge with its feature `tpm`";
        Self { code: ErrorCode::FeatureMissing, message: message.to_owned() }
    }

    pub(crate) fn file(path: &Path, error: impl fmt::Display) -> Self {
        Self { code: ErrorCode::File, message: format!("{}: {error}", path.display()) }
    }
}

impl From<DpsError> for SetupError {
    fn from(error: DpsError) -> Self {
        Self { code: error.code(), message: error.message().to_owned() }
    }
}

impl Provisioning {
    /// Sets what the configuration contains on the builder: endpoint, id scope, registration id, credential, payload and
    /// timeout. Roots and proxy are up to the caller: the trust bundle is for modules, and a configuration has no
    /// proxy.
    ///
    /// A certificate needs the feature `http` or `mqtt`, a key in a PKCS#11 token the feature `pkcs11` and the library in
    /// `[aziot_keys]`. The key of a certificate in a token is compared with the certificate, which blocks this thread for 30 s
    /// at most. A key without a PIN of its own has that of `pkcs11_base_slot`, if both name the same token.
    ///
    /// A TPM needs the feature `tpm`, and HTTPS; it is the one of `[tpm]`, or `device`, the daemon's default, and is not
    /// connected with before the device registers. The registration leaves the key for the hub where the daemon keeps it, at
    /// `auth_key_index`.
    ///
    /// # Errors
    /// [`SetupError`] for sources and attestations that are not supported, and for files that cannot be read.
    pub fn configure(&self, builder: ProvisioningClientBuilder) -> Result<ProvisioningClientBuilder, SetupError> {
        let builder = self.configure_without_credential(builder)?;
        let dps = self.dps().ok_or_else(SetupError::other_source)?;
        self.set_credential(builder, &dps.attestation)
    }

    /// Sets the same without the key or certificate, for callers that set the credential themselves: the files that a
    /// configuration names are those of the gateway.
    ///
    /// # Errors
    /// [`SetupError`] for other sources than `dps`, and for a payload that cannot be read.
    pub fn configure_without_credential(
        &self,
        builder: ProvisioningClientBuilder,
    ) -> Result<ProvisioningClientBuilder, SetupError> {
        let dps = self.dps().ok_or_else(SetupError::other_source)?;
        let mut builder = builder.id_scope(dps.id_scope.as_str());
        if let Some(registration_id) = dps.attestation.registration_id() {
            builder = builder.registration_id(registration_id);
        }
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

fn payload(path: &Path) -> Result<String, SetupError> {
    let bytes = dps_files::read(path, MESSAGE_MAX as u64).map_err(|error| SetupError::file(path, error))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| SetupError::file(path, error))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// There are no Windows commands for this configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotForWindows;

impl fmt::Display for NotForWindows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Windows commands exist only for the source `dps` with a symmetric key")
    }
}

impl std::error::Error for NotForWindows {}

/// Returns PowerShell commands for this provisioning. `key_file` is the path of the key on the Windows machine: a file
/// with base64 text, or with raw bytes if the configuration has the key in a file. The commands do not contain the key:
/// they read it into a variable.
///
/// # Errors
/// [`NotForWindows`] for other sources and attestations.
pub fn windows_commands(provisioning: &Provisioning, key_file: &str) -> Result<String, NotForWindows> {
    let dps = provisioning.dps().ok_or(NotForWindows)?;
    let Attestation::SymmetricKey { registration_id, key } = &dps.attestation else { return Err(NotForWindows) };
    let file = quoted(key_file);
    let (what, reading) = match key {
        KeySource::Inline(_) | KeySource::UnusualLength { .. } => {
            ("the key as base64 text", format!("(Get-Content -Raw -LiteralPath {file}).Trim()"))
        }
        KeySource::File(_) => (
            "the key's raw bytes",
            format!("[Convert]::ToBase64String([IO.File]::ReadAllBytes((Resolve-Path -LiteralPath {file})))"),
        ),
        // These commands cannot access a token of the gateway.
        KeySource::Pkcs11(_) => return Err(NotForWindows),
    };
    let (scope, id) = (quoted(&dps.id_scope), quoted(registration_id));
    let default = dps_core::Endpoint::GLOBAL.host();
    let endpoint = dps.global_endpoint.as_deref().filter(|endpoint| !endpoint.trim_end_matches('/').ends_with(default));
    let (eflow, containers) = match endpoint {
        Some(endpoint) => (
            format!(" -globalEndpoint {}", quoted(endpoint)),
            "# Initialize-IoTEdge has no option for another endpoint: set global_endpoint in config.yaml afterwards.\n"
                .to_owned(),
        ),
        None => (String::new(), String::new()),
    };
    Ok(format!(
        "# {file} holds {what}; make it readable for administrators only, and remove it afterwards.\n\
         $key = {reading}\n\
         \n\
         # IoT Edge for Linux on Windows, in an elevated PowerShell:\n\
         Provision-EflowVm -provisioningType DpsSymmetricKey -scopeId {scope} -registrationId {id} -symmKey $key{eflow}\n\
         \n\
         # or IoT Edge 1.1 with Windows containers (with Linux containers: -ContainerOs Linux):\n\
         {containers}\
         . {{Invoke-WebRequest -useb https://aka.ms/iotedge-win}} | Invoke-Expression; `\n\
         Initialize-IoTEdge -DpsSymmetricKey -ScopeId {scope} -RegistrationId {id} -SymmetricKey $key\n\
         \n\
         Remove-Variable key\n"
    ))
}

/// A PowerShell string literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
