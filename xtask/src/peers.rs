//! Published clients of other vendors, in the versions that `interop` pins: which, and how they are installed.
//!
//! These clients use fixed ports and verify host names, so that they need the ports 443 and 8883, Node.js and Python. If
//! something is missing, it prints how to get it.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run::{Outcome, command, exists, read, root, run, target_dir};
use crate::venv::Venv;

/// The ports that the clients use.
const PORTS: [u16; 2] = [443, 8883];

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
    for file in ["package.json", "register.js", "service.js", "swtpm.js", "tpm.js"] {
        let from = root().join("interop/node").join(file);
        std::fs::copy(&from, folder.join(file)).map_err(|error| format!("{}: {error}", from.display()))?;
    }
    // Without scripts: a dependency of tss.js, which only Windows needs, does not compile with current versions of Node.js.
    let install = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--silent"];
    run(command("npm", install).current_dir(folder))
}

pub(crate) fn install_python(folder: &Path) -> Outcome {
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
