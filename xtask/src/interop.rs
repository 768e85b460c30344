//! Runs published clients of other vendors against the emulator, in the versions that `interop` pins.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::emulator::Emulator;
use crate::peers::{Language, Peer, install, python, version};
use crate::run::{Outcome, command, limited, output, read};
use crate::{interop_service, interop_tpm};

const GROUP_DEVICE: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";

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

/// How a device proves who it is.
enum Credential {
    Key(String),
    /// The files of the certificate with the chain above it, and of the private key.
    Certificate([PathBuf; 2]),
}

/// Registers with each device client, prints a table, and returns how many registrations failed.
fn check_devices(folder: &Path) -> Result<usize, String> {
    let service = Emulator::start(folder, &["--https-port", "443", "--wss-port", "443", "--mqtt-port", "8883"])?;
    let individual = Credential::Key(read(service.enroll("dev-01")?)?.trim().to_owned());
    let group = Credential::Key(service.enroll_group(GROUP_DEVICE)?);
    let certificates = service.certificates(&["certified-01", "certified-02"])?;
    service.enroll_certificates(&certificates, "certified-01")?;
    let certificate = |id: &str| {
        Credential::Certificate([format!("{id}.pem"), format!("{id}.key.pem")].map(|name| certificates.join(name)))
    };
    let enrollments = [
        ("individual", "dev-01", individual),
        ("group", GROUP_DEVICE, group),
        ("individual X.509", "certified-01", certificate("certified-01")),
        ("group X.509", "certified-02", certificate("certified-02")),
    ];
    println!("{:<36} {:<8} {:<8} {:<16} result", "client", "version", "over", "attestation");
    let mut failed = 0;
    for peer in &PEERS {
        for (attestation, id, credential) in &enrollments {
            let result = register(&service, peer, folder, id, credential);
            failed += usize::from(result.is_err());
            print_row(peer, attestation, result)?;
        }
    }
    let by_tpm = interop_tpm::register(&service, folder);
    failed += usize::from(by_tpm.is_err());
    print_row(&interop_tpm::PEER, "individual TPM", by_tpm)?;
    Ok(failed)
}

fn print_row(peer: &Peer, attestation: &str, result: Result<String, String>) -> Outcome {
    let version = version(peer)?;
    let result = result.unwrap_or_else(|problem| format!("FAILED: {problem}"));
    println!("{:<36} {version:<8} {:<8} {attestation:<16} {result}", peer.package, peer.transport);
    Ok(())
}

/// A client that registers; its credential and the authority to trust are for the environment.
pub(crate) fn client(peer: &Peer, folder: &Path, id_scope: &str, id: &str) -> Command {
    let mut client = match peer.language {
        Language::Node => command("node", [folder.join("register.js")]),
        Language::Python => command(python(folder), ["interop/python/register.py"]),
    };
    client.args([peer.transport, "localhost", id_scope, id]);
    client
}

/// Registers with a client and returns its result.
fn register(
    service: &Emulator,
    peer: &Peer,
    folder: &Path,
    id: &str,
    credential: &Credential,
) -> Result<String, String> {
    let mut client = client(peer, folder, &service.id_scope, id);
    client.env("NODE_EXTRA_CA_CERTS", &service.ca).env("SSL_CERT_FILE", &service.ca);
    match credential {
        Credential::Key(key) => client.env("DPS_KEY", key),
        Credential::Certificate([certificate, key]) => {
            client.env("DPS_CERT_FILE", certificate).env("DPS_CERT_KEY_FILE", key)
        }
    };
    let said = output(&mut limited(&client))?;
    let last = said.lines().last().unwrap_or_default();
    let result: Value = serde_json::from_str(last).map_err(|_| format!("its output was {last}"))?;
    let (hub, device) = (result["assignedHub"].as_str(), result["deviceId"].as_str());
    match (hub, device) {
        (Some(hub), Some(device)) if device == id => Ok(format!("assigned to {hub}")),
        _ => Err(format!("its output was {last}")),
    }
}
