//! The published Node.js client registers with a TPM, swtpm, and signs in to the hub with the key that it stored there.

use std::path::Path;

use serde_json::Value;

use crate::emulator::Emulator;
use crate::peers::{Language, Peer};
use crate::run::{command, limited, output};
use crate::swtpm::Swtpm;

pub(crate) const PEER: Peer = Peer { language: Language::Node, package: "azure-iot-security-tpm", transport: "http" };

/// Enrolls the TPM and registers; returns the result.
pub(crate) fn register(service: &Emulator, folder: &Path) -> Result<String, String> {
    let tpm = Swtpm::start(&folder.join("tpm"))?;
    let client = |words: &[&str]| -> Result<Value, String> {
        let mut client = command("node", [folder.join("tpm.js")]);
        client.args(words).env("DPS_SWTPM_SOCKET", &tpm.socket).env("NODE_EXTRA_CA_CERTS", &service.ca);
        let said = output(&mut limited(&client))?;
        serde_json::from_str(said.trim()).map_err(|_| format!("its output was {said}"))
    };
    let identity = client(&["identity"])?;
    let text = |member: &str| identity[member].as_str().unwrap_or_default();
    let id = text("registrationId");
    let enroll = ["enrollment", "create", "--registration-id", id, "--endorsement-key", text("endorsementKey")];
    service.administer(&enroll)?;
    let result = client(&["register", "localhost", &service.id_scope, "8883"])?;
    match result["assignedHub"].as_str() {
        Some(hub) if result["deviceId"] == id => Ok(format!("assigned to {hub}, signed in there")),
        _ => Err(format!("its output was {result}")),
    }
}
