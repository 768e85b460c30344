//! A client in another language: a program that makes one call and prints the outcome in one line.
//!
//! [`environment`] describes the call by environment variables. The program prints `0` if it recovers, else the error's
//! number, `never`, `after` or `reconfigure`, the milliseconds of `after` or 0, and the name of the first hint or `none`.
#![allow(clippy::expect_used, reason = "a broken program should stop the run")]

use std::path::Path;
use std::process::Stdio;

use dps_client::dps_core::{ErrorCode, Hint, Millis, Verdict};
use dps_emulator::Emulator;
use pair::matrix::{Call, DEVICE, Row, Transport};
use pair::scene::DEVICE_KEY;
use tokio::process::Command;

use crate::{Failure, endpoint};

pub(crate) async fn ask(
    program: &Path,
    row: &Row,
    transport: Transport,
    emulator: &Emulator,
    proxy: Option<&str>,
) -> Result<(), Failure> {
    let mut command = Command::new(program);
    command.envs(environment(row, transport, emulator, proxy)).stdin(Stdio::null()).kill_on_drop(true);
    let said = command.stderr(Stdio::inherit()).output().await.expect("the program runs");
    assert!(said.status.success(), "{}: {}", row.id, said.status);
    let line = String::from_utf8(said.stdout).expect("the program prints text");
    ending(line.trim()).unwrap_or_else(|| panic!("{}: the program says {line:?}", row.id))
}

/// Returns the environment variables of the program.
fn environment(
    row: &Row,
    transport: Transport,
    emulator: &Emulator,
    proxy: Option<&str>,
) -> [(&'static str, String); 15] {
    let settings = &row.client;
    [
        ("DPS_FAULT_CALL", if row.call == Call::Lookup { "lookup" } else { "register" }.to_owned()),
        ("DPS_FAULT_TRANSPORT", transport.name().to_owned()),
        ("DPS_FAULT_ENDPOINT", endpoint(transport, emulator)),
        ("DPS_FAULT_CA_PEM", emulator.ca_pem().to_owned()),
        ("DPS_FAULT_ID_SCOPE", emulator.id_scope().to_owned()),
        ("DPS_FAULT_REGISTRATION_ID", DEVICE.to_owned()),
        ("DPS_FAULT_DEVICE_KEY", DEVICE_KEY.to_owned()),
        ("DPS_FAULT_PROXY", proxy.unwrap_or_default().to_owned()),
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
