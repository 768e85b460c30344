//! A client in another language: a program that makes one call and prints the outcome in one line.
//!
//! [`environment`] describes the call by environment variables; of the device's key and its certificate with the key's file, one
//! is empty. The program prints `0` if it recovers, else the error's
//! number, `never`, `after` or `reconfigure`, the milliseconds of `after` or 0, and the name of the first hint or `none`.
#![allow(clippy::expect_used, reason = "a broken program should stop the run")]

use std::path::{Path, PathBuf};
use std::process::Stdio;

use dps_client::dps_core::{ErrorCode, Hint, Millis, Verdict};
use pair::matrix::{Call, DEVICE, Row, Transport};
use pair::scene::DEVICE_KEY;
use tokio::process::Command;

use crate::certificate::DeviceCertificate;
use crate::proxy::Proxy;
use crate::sockets::Scene;
use crate::{Failure, endpoint};

pub(crate) async fn ask(program: &Path, row: &Row, transport: Transport, scene: &Scene) -> Result<(), Failure> {
    let mut command = Command::new(program);
    command.envs(environment(row, transport, scene)).stdin(Stdio::null()).kill_on_drop(true);
    let said = command.stderr(Stdio::inherit()).output().await.expect("the program runs");
    assert!(said.status.success(), "{}: {}", row.id, said.status);
    let line = String::from_utf8(said.stdout).expect("the program prints text");
    ending(line.trim()).unwrap_or_else(|| panic!("{}: the program says {line:?}", row.id))
}

/// Returns the environment variables of the program.
fn environment(row: &Row, transport: Transport, scene: &Scene) -> [(&'static str, String); 17] {
    let Scene { emulator, proxy, certificate } = scene;
    let settings = &row.client;
    let file = |choose: fn(&DeviceCertificate) -> PathBuf| {
        certificate.as_ref().map(|device| choose(device).display().to_string()).unwrap_or_default()
    };
    let key = if certificate.is_none() { DEVICE_KEY } else { "" };
    [
        ("DPS_FAULT_CALL", if row.call == Call::Lookup { "lookup" } else { "register" }.to_owned()),
        ("DPS_FAULT_TRANSPORT", transport.name().to_owned()),
        ("DPS_FAULT_ENDPOINT", endpoint(transport, emulator)),
        ("DPS_FAULT_CA_PEM", emulator.ca_pem().to_owned()),
        ("DPS_FAULT_ID_SCOPE", emulator.id_scope().to_owned()),
        ("DPS_FAULT_REGISTRATION_ID", DEVICE.to_owned()),
        ("DPS_FAULT_DEVICE_KEY", key.to_owned()),
        ("DPS_FAULT_CERTIFICATE_FILE", file(DeviceCertificate::certificate_file)),
        ("DPS_FAULT_CERTIFICATE_KEY_FILE", file(DeviceCertificate::key_file)),
        ("DPS_FAULT_PROXY", proxy.as_ref().map(Proxy::url).unwrap_or_default().to_owned()),
        ("DPS_FAULT_SEED", settings.seed.to_string()),
        ("DPS_FAULT_TIMEOUT_MS", settings.deadline().as_millis().to_string()),
        ("DPS_FAULT_REQUEST_TIMEOUT_MS", settings.request_timeout().as_millis().to_string()),
        ("DPS_FAULT_POLL_INTERVAL_MS", settings.poll_interval().as_millis().to_string()),
        ("DPS_FAULT_MINIMUM_SPACING_MS", settings.minimum_spacing().as_millis().to_string()),
        ("DPS_FAULT_KEEP_ALIVE_S", settings.keep_alive_seconds.to_string()),
        ("DPS_FAULT_REPLY_LIMIT", settings.reply_limit_bytes.to_string()),
    ]
}

/// Parses the outcome in a line; `None` if the line is not valid.
fn ending(line: &str) -> Option<Result<(), Failure>> {
    if line == "0" {
        return Some(Ok(()));
    }
    let words: Vec<&str> = line.split(' ').collect();
    let [number, verdict, wait, hint] = words.as_slice() else { return None };
    let code = ErrorCode::ALL.iter().copied().find(|code| code.number().to_string() == *number)?;
    let verdict = match *verdict {
        "never" => Verdict::Never,
        "reconfigure" => Verdict::Reconfigure,
        "after" => Verdict::After(Millis::new(wait.parse().ok()?)),
        _ => return None,
    };
    let known = Hint::ALL.iter().copied().find(|known| known.name() == *hint);
    (known.is_some() || *hint == "none").then_some(Err((code, verdict, known)))
}
