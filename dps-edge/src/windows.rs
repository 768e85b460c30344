//! The same provisioning on Windows: the PowerShell commands of IoT Edge for Linux on Windows and of Windows containers.
//!
//! The key is in none of them: it is read from a file into a variable.

use crate::model::{Attestation, KeySource, Provisioning};

/// Why there are no commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotForWindows;

impl std::fmt::Display for NotForWindows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there are Windows forms for the source `dps` with a symmetric key only")
    }
}

impl std::error::Error for NotForWindows {}

/// PowerShell for this provisioning. `key_file` is where the key will be on the Windows machine: as base64 text, or as
/// raw bytes where the configuration keeps it in a file.
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
        // A token of the gateway is out of reach of these commands.
        KeySource::Pkcs11(_) => return Err(NotForWindows),
    };
    let (scope, id) = (quoted(&dps.id_scope), quoted(registration_id));
    let default = dps_core::Endpoint::GLOBAL.host();
    let endpoint = dps.global_endpoint.as_deref().filter(|endpoint| !endpoint.trim_end_matches('/').ends_with(default));
    let (eflow, containers) = match endpoint {
        Some(endpoint) => (
            format!(" -globalEndpoint {}", quoted(endpoint)),
            "# Initialize-IoTEdge takes no other endpoint: set global_endpoint in config.yaml afterwards.\n".to_owned(),
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

/// A literal of PowerShell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
