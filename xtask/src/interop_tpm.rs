//! The published Node.js client registers with a TPM, swtpm, and signs in to the hub with the key that it stored there.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::emulator::Emulator;
use crate::peers::{Language, Peer};
use crate::run::{command, exists, limited, output};

pub(crate) const PEER: Peer = Peer { language: Language::Node, package: "azure-iot-security-tpm", transport: "http" };

/// How long swtpm has to start.
const START: Duration = Duration::from_secs(30);

/// Enrolls the TPM and registers; returns the result.
pub(crate) fn register(service: &Emulator, folder: &Path) -> Result<String, String> {
    let tpm = Swtpm::start(folder)?;
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

/// A TPM in software, which is stopped when this is dropped.
struct Swtpm {
    process: Child,
    socket: PathBuf,
}

impl Swtpm {
    fn start(folder: &Path) -> Result<Self, String> {
        if !exists("swtpm") {
            return Err("swtpm is not installed: cargo xtask setup".into());
        }
        let state = folder.join("tpm");
        // A new TPM each time.
        let _ = std::fs::remove_dir_all(&state);
        std::fs::create_dir_all(&state).map_err(|error| format!("{}: {error}", state.display()))?;
        let socket = state.join("socket");
        let unix = |socket: &Path| format!("type=unixio,path={}", socket.display());
        let process = command("swtpm", ["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={}", state.display()), "--server", &unix(&socket)])
            .args(["--ctrl", &unix(&state.join("control")), "--log", &format!("file={}", state.join("log").display())])
            .spawn()
            .map_err(|error| format!("swtpm: {error}"))?;
        let started = Self { process, socket };
        let end = Instant::now() + START;
        while !started.socket.exists() {
            if Instant::now() > end {
                return Err(format!("swtpm made no socket in {START:?}"));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(started)
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
