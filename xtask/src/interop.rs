//! Published clients of other makers against the emulator, in the versions that `interop` pins.
//!
//! Their ports are fixed and they verify host names, so that this needs the ports themselves, and what the clients run
//! on. Where that cannot be had it says so and how to get it.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::run::{Outcome, cargo, command, exists, output, root, run, target_dir};

/// The ports that the clients know.
const PORTS: [u16; 2] = [443, 8883];
const GROUP_DEVICE: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";

/// A client and its transport.
struct Peer {
    language: Language,
    package: &'static str,
    transport: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Node,
    Python,
}

const PEERS: [Peer; 5] = [
    Peer { language: Language::Node, package: "azure-iot-provisioning-device-http", transport: "http" },
    Peer { language: Language::Node, package: "azure-iot-provisioning-device-mqtt", transport: "mqtt" },
    Peer { language: Language::Node, package: "azure-iot-provisioning-device-mqtt", transport: "mqtt-ws" },
    Peer { language: Language::Python, package: "azure-iot-device", transport: "mqtt" },
    Peer { language: Language::Python, package: "azure-iot-device", transport: "mqtt-ws" },
];

pub(crate) fn check() -> Outcome {
    let folder = target_dir().join("interop");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    install_node(&folder)?;
    install_python(&folder)?;
    run(&mut cargo(["build", "--locked", "--quiet", "-p", "dps-cli"]))?;
    let service = Emulator::start(&folder)?;
    let enrollments = [("individual", "dev-01", service.enroll()?), ("group", GROUP_DEVICE, service.enroll_group()?)];
    println!("{:<36} {:<8} {:<8} {:<11} result", "client", "version", "over", "attestation");
    let mut failed = 0;
    for peer in &PEERS {
        for (attestation, id, key) in &enrollments {
            let result = service.register(peer, &folder, id, key);
            failed += usize::from(result.is_err());
            let version = version(peer)?;
            let result = result.unwrap_or_else(|problem| format!("FAILED: {problem}"));
            println!("{:<36} {version:<8} {:<8} {attestation:<11} {result}", peer.package, peer.transport);
        }
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} registrations failed")) }
}

/// Why it cannot be done here, and what to do about it.
pub(crate) fn missing() -> Option<String> {
    let program = ["npm", "python3"].into_iter().find(|program| !exists(program));
    program.map(|program| format!("{program} is missing")).or_else(ports_are_missing)
}

/// Why the ports cannot be had, and what to do about it.
fn ports_are_missing() -> Option<String> {
    PORTS.into_iter().find_map(|port| match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Some(format!(
            "port {port} needs a privilege; be root, or once: sudo sysctl net.ipv4.ip_unprivileged_port_start={port}"
        )),
        Err(error) => Some(format!("port {port} of 127.0.0.1 cannot be used: {error}")),
    })
}

fn install_node(folder: &Path) -> Outcome {
    for file in ["package.json", "register.js"] {
        let from = root().join("interop/node").join(file);
        std::fs::copy(&from, folder.join(file)).map_err(|error| format!("{}: {error}", from.display()))?;
    }
    run(command("npm", ["install", "--no-audit", "--no-fund", "--no-package-lock", "--silent"]).current_dir(folder))
}

fn install_python(folder: &Path) -> Outcome {
    let venv = folder.join("venv");
    if !python(folder).exists() {
        run(command("python3", ["-m", "venv"]).arg(venv))?;
    }
    let install =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "interop/python/requirements.txt"];
    run(&mut command(python(folder), install))
}

fn python(folder: &Path) -> PathBuf {
    folder.join("venv/bin/python")
}

/// The version that is pinned.
fn version(peer: &Peer) -> Result<String, String> {
    match peer.language {
        Language::Node => {
            let text = crate::run::read("interop/node/package.json")?;
            let package: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            Ok(package["dependencies"][peer.package].as_str().unwrap_or_default().to_owned())
        }
        Language::Python => {
            let text = crate::run::read("interop/python/requirements.txt")?;
            let pinned = text.lines().find_map(|line| line.strip_prefix(peer.package)?.strip_prefix("=="));
            Ok(pinned.unwrap_or_default().to_owned())
        }
    }
}

/// A running `dps emulator`; it ends with this value.
struct Emulator {
    process: Child,
    program: PathBuf,
    folder: PathBuf,
    id_scope: String,
    ca: String,
    owner: String,
}

impl Emulator {
    fn start(folder: &Path) -> Result<Self, String> {
        let state = folder.join("state");
        // Of an earlier run: its enrollments would be in the way.
        let _ = std::fs::remove_dir_all(&state);
        let program = target_dir().join("debug/dps");
        let program = std::fs::canonicalize(&program).map_err(|error| format!("{}: {error}", program.display()))?;
        let ports = ["--https-port", "443", "--wss-port", "443", "--mqtt-port", "8883"];
        let mut process = command(&program, ["emulator", "--json", "--state"])
            .arg(&state)
            .args(ports)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let mut line = String::new();
        let read = process.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
        let (id_scope, ca, owner) = (text("idScope"), text("caFile"), text("connectionStringFile"));
        let emulator = Self { process, program, folder: folder.to_owned(), id_scope, ca, owner };
        if emulator.id_scope.is_empty() {
            return Err(format!("the emulator did not start: {line} {read:?}"));
        }
        Ok(emulator)
    }

    /// An individual enrollment; gives its key.
    fn enroll(&self) -> Result<String, String> {
        let key = self.new_file("device.key");
        self.dps(&["enrollment", "create", "--registration-id", "dev-01"], &key)?;
        crate::run::read(&key).map(|text| text.trim().to_owned())
    }

    /// A group; gives the key of one of its devices.
    fn enroll_group(&self) -> Result<String, String> {
        let key = self.new_file("group.key");
        self.dps(&["enrollment-group", "create", "--group-id", "line-7"], &key)?;
        let derive = ["derive-key", "--registration-id", GROUP_DEVICE, "--group-key-file"];
        output(command(&self.program, derive).arg(&key)).map(|text| text.trim().to_owned())
    }

    fn new_file(&self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        let _ = std::fs::remove_file(&path);
        path
    }

    fn dps(&self, words: &[&str], key_out: &Path) -> Outcome {
        let mut dps = command(&self.program, words);
        dps.args(["--connection-string-file", &self.owner, "--ca-file", &self.ca, "--key-out"]).arg(key_out);
        output(&mut dps).map(|_| ())
    }

    /// Registers with a client and gives what it says.
    fn register(&self, peer: &Peer, folder: &Path, id: &str, key: &str) -> Result<String, String> {
        let mut client = match peer.language {
            Language::Node => command("node", [folder.join("register.js")]),
            Language::Python => command(python(folder), ["interop/python/register.py"]),
        };
        client.args([peer.transport, "localhost", &self.id_scope, id]).env("DPS_KEY", key);
        client.env("NODE_EXTRA_CA_CERTS", &self.ca).env("SSL_CERT_FILE", &self.ca);
        let said = output(&mut limited(&client))?;
        let last = said.lines().last().unwrap_or_default();
        let result: Value = serde_json::from_str(last).map_err(|_| format!("it said {last}"))?;
        let (hub, device) = (result["assignedHub"].as_str(), result["deviceId"].as_str());
        match (hub, device) {
            (Some(hub), Some(device)) if device == id => Ok(format!("assigned to {hub}")),
            _ => Err(format!("it said {last}")),
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The same under a time limit of a minute.
fn limited(client: &Command) -> Command {
    let mut limited = command("timeout", ["60"]);
    limited.arg(client.get_program()).args(client.get_args());
    for (name, value) in client.get_envs() {
        limited.env(name, value.unwrap_or_default());
    }
    limited
}
