//! Runs published clients of other vendors against the emulator, in the versions that `interop` pins.
//!
//! These clients use fixed ports and verify host names, so that this needs the ports 443 and 8883, Node.js and Python. If
//! something is missing, it prints how to get it.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::emulator::Emulator;
use crate::interop_service;
use crate::run::{Outcome, command, exists, limited, output, read, root, run, target_dir};
use crate::venv::Venv;

/// The ports that the clients use.
const PORTS: [u16; 2] = [443, 8883];
const GROUP_DEVICE: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";

/// A client and its transport.
pub(crate) struct Peer {
    pub(crate) language: Language,
    pub(crate) package: &'static str,
    pub(crate) transport: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Node,
    Python,
}

pub(crate) const PEERS: [Peer; 5] = [
    Peer { language: Language::Node, package: "azure-iot-provisioning-device-http", transport: "http" },
    Peer { language: Language::Node, package: "azure-iot-provisioning-device-mqtt", transport: "mqtt" },
    Peer { language: Language::Node, package: "azure-iot-provisioning-device-mqtt", transport: "mqtt-ws" },
    Peer { language: Language::Python, package: "azure-iot-device", transport: "mqtt" },
    Peer { language: Language::Python, package: "azure-iot-device", transport: "mqtt-ws" },
];

pub(crate) fn check() -> Outcome {
    let folder = install()?;
    let failed = check_devices(&folder)? + interop_service::check(&folder)?;
    if failed == 0 { Ok(()) } else { Err(format!("{failed} registrations or operations failed")) }
}

/// Registers with each device client, prints a table, and returns how many registrations failed.
fn check_devices(folder: &Path) -> Result<usize, String> {
    let service = Emulator::start(folder, &["--https-port", "443", "--wss-port", "443", "--mqtt-port", "8883"])?;
    let individual = service.enroll("dev-01")?;
    let key = read(&individual)?.trim().to_owned();
    let enrollments = [("individual", "dev-01", key), ("group", GROUP_DEVICE, service.enroll_group(GROUP_DEVICE)?)];
    println!("{:<36} {:<8} {:<8} {:<11} result", "client", "version", "over", "attestation");
    let mut failed = 0;
    for peer in &PEERS {
        for (attestation, id, key) in &enrollments {
            let result = register(&service, peer, folder, id, key);
            failed += usize::from(result.is_err());
            let version = version(peer)?;
            let result = result.unwrap_or_else(|problem| format!("FAILED: {problem}"));
            println!("{:<36} {version:<8} {:<8} {attestation:<11} {result}", peer.package, peer.transport);
        }
    }
    Ok(failed)
}

/// Returns why this cannot run here, and what to do about it.
pub(crate) fn missing() -> Option<String> {
    let program = ["npm", "python3"].into_iter().find(|program| !exists(program));
    program.map(|program| format!("{program} is missing")).or_else(ports_are_missing)
}

/// Returns why the ports are not available, and what to do about it.
fn ports_are_missing() -> Option<String> {
    PORTS.into_iter().find_map(|port| match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Some(format!(
            "port {port} needs a privilege; be root, or once: sudo sysctl net.ipv4.ip_unprivileged_port_start={port}"
        )),
        Err(error) => Some(format!("port {port} of 127.0.0.1 cannot be used: {error}")),
    })
}

/// Installs the clients and returns their directory.
pub(crate) fn install() -> Result<PathBuf, String> {
    let folder = target_dir().join("interop");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    install_node(&folder)?;
    install_python(&folder)?;
    Ok(folder)
}

fn install_node(folder: &Path) -> Outcome {
    for file in ["package.json", "register.js", "service.js"] {
        let from = root().join("interop/node").join(file);
        std::fs::copy(&from, folder.join(file)).map_err(|error| format!("{}: {error}", from.display()))?;
    }
    run(command("npm", ["install", "--no-audit", "--no-fund", "--no-package-lock", "--silent"]).current_dir(folder))
}

fn install_python(folder: &Path) -> Outcome {
    Venv::at(&folder.join("venv"))?.install(["-r", "interop/python/requirements.txt"])
}

pub(crate) fn python(folder: &Path) -> PathBuf {
    folder.join("venv/bin/python")
}

/// The version that is pinned.
pub(crate) fn version(peer: &Peer) -> Result<String, String> {
    match peer.language {
        Language::Node => {
            let text = read("interop/node/package.json")?;
            let package: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            Ok(package["dependencies"][peer.package].as_str().unwrap_or_default().to_owned())
        }
        Language::Python => {
            let text = read("interop/python/requirements.txt")?;
            let pinned = text.lines().find_map(|line| line.strip_prefix(peer.package)?.strip_prefix("=="));
            Ok(pinned.unwrap_or_default().to_owned())
        }
    }
}

/// A client that registers; its key and the authority to trust are for the environment.
pub(crate) fn client(peer: &Peer, folder: &Path, id_scope: &str, id: &str) -> Command {
    let mut client = match peer.language {
        Language::Node => command("node", [folder.join("register.js")]),
        Language::Python => command(python(folder), ["interop/python/register.py"]),
    };
    client.args([peer.transport, "localhost", id_scope, id]);
    client
}

/// Registers with a client and returns its result.
fn register(service: &Emulator, peer: &Peer, folder: &Path, id: &str, key: &str) -> Result<String, String> {
    let mut client = client(peer, folder, &service.id_scope, id);
    client.env("DPS_KEY", key).env("NODE_EXTRA_CA_CERTS", &service.ca).env("SSL_CERT_FILE", &service.ca);
    let said = output(&mut limited(&client))?;
    let last = said.lines().last().unwrap_or_default();
    let result: Value = serde_json::from_str(last).map_err(|_| format!("its output was {last}"))?;
    let (hub, device) = (result["assignedHub"].as_str(), result["deviceId"].as_str());
    match (hub, device) {
        (Some(hub), Some(device)) if device == id => Ok(format!("assigned to {hub}")),
        _ => Err(format!("its output was {last}")),
    }
}
