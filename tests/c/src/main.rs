//! Runs a program beside a local service: `c-service PROGRAM [ARGUMENT...]`. The environment of the program has the
//! endpoints of the service. It exits with the program's status.
//!
//! The service assigns in its first reply and has no rate limits, so that a thousand registrations succeed. The tests of
//! the C library are such a program.
#![allow(clippy::print_stderr, reason = "a program for the terminal")]

mod certificates;
mod issuing;
mod profiles;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use dps_emulator::{
    AllocationPolicy, Emulator, EmulatorOptions, EnrollmentGroup, IndividualEnrollment, Limits, SymmetricKey,
    TpmPublicKey,
};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::profiles::CLASSIC_HUB;

/// The group that any device can register in.
const GROUP_KEY: &str = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
/// The device with an individual enrollment.
const DEVICE: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";
const DEVICE_KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";

/// A device whose device id has a semicolon, which a connection string cannot contain. It has the same key.
const SEMICOLON_DEVICE: &str = "dev-semicolon";
const SEMICOLON_DEVICE_ID: &str = "x;HostName=evil";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(status) => status,
        Err(error) => {
            eprintln!("c-service: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().ok_or("the program to run is missing: c-service PROGRAM [ARGUMENT...]")?;
    let emulator = service().await?;
    let folder = tempfile::tempdir()?;
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let mut command = Command::new(program);
    command.args(arguments).kill_on_drop(true);
    command.env("DPS_TEST_HTTPS", emulator.endpoint());
    command.env("DPS_TEST_MQTT", emulator.mqtt_endpoint().ok_or("the emulator has no MQTT port")?);
    command.env("DPS_TEST_WSS", emulator.wss_endpoint().ok_or("the emulator has no WebSocket port")?);
    command.env("DPS_TEST_ID_SCOPE", emulator.id_scope());
    command.env("DPS_TEST_SILENT", format!("localhost:{}", silent.local_addr()?.port()));
    for (name, file, text) in [
        ("DPS_TEST_CA_FILE", "ca.pem", emulator.ca_pem()),
        ("DPS_TEST_DEVICE_KEY_FILE", "device.key", DEVICE_KEY),
        ("DPS_TEST_GROUP_KEY_FILE", "group.key", GROUP_KEY),
        ("DPS_TEST_PASSPHRASE_FILE", "passphrase", certificates::PASSPHRASE),
    ] {
        command.env(name, written(folder.path(), file, text)?);
    }
    certificates::enroll(&emulator, folder.path())?;
    command.env("DPS_TEST_CERTIFICATES", folder.path());
    enroll_tpm(&emulator)?;
    issuing::start(&mut command, folder.path()).await.map_err(|error| -> Box<dyn Error> { error })?;
    let passwords = folder.path().join("hub-passwords");
    command.env("DPS_TEST_HUB_PASSWORDS", &passwords);
    // The system accepts connections to the silent port, and nothing answers them.
    let status = command.status().await?;
    check_passwords(&emulator, &passwords)?;
    emulator.shutdown().await;
    let code = status.code().ok_or_else(|| format!("the program did not exit by itself: {status}"))?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

async fn service() -> Result<Emulator, Box<dyn Error>> {
    let options = EmulatorOptions::new().mqtt_port(0).wss_port(0).assign_at_once(true);
    let emulator = Emulator::start(options.service(|service| profiles::link(service.limits(Limits::none())))).await?;
    let (now, group, device) =
        (emulator.now(), SymmetricKey::from_base64(GROUP_KEY)?, SymmetricKey::from_base64(DEVICE_KEY)?);
    emulator.with_service(|service| {
        let group = EnrollmentGroup::new("line-7").primary_key(group);
        service.put_group(now, group.allocation(AllocationPolicy::Static, [CLASSIC_HUB]))?;
        let named = IndividualEnrollment::new(DEVICE).primary_key(device.clone());
        let other =
            IndividualEnrollment::new(SEMICOLON_DEVICE).device_id(SEMICOLON_DEVICE_ID).primary_key(device.clone());
        for enrollment in [named, other] {
            service.put_enrollment(now, enrollment.allocation(AllocationPolicy::Static, [CLASSIC_HUB]))?;
        }
        profiles::devices(&device).into_iter().try_for_each(|device| service.put_enrollment(now, device).map(drop))
    })?;
    Ok(emulator)
}

/// The individual enrollment of the TPM that the environment names, by its own registration id.
fn enroll_tpm(emulator: &Emulator) -> Result<(), Box<dyn Error>> {
    let Ok(key) = std::env::var("DPS_TEST_TPM_ENDORSEMENT_KEY") else { return Ok(()) };
    let enrollment = IndividualEnrollment::new(std::env::var("DPS_TEST_TPM_ID")?);
    let enrollment = enrollment.allocation(AllocationPolicy::Static, [CLASSIC_HUB]);
    let (now, enrollment) = (emulator.now(), enrollment.endorsement_key(TpmPublicKey::from_base64(&key)?));
    emulator.with_service(|service| service.put_enrollment(now, enrollment))?;
    Ok(())
}

/// Checks the lines `accepted|refused HUB DEVICE PASSWORD` that the program has written to a file, if it has.
fn check_passwords(emulator: &Emulator, file: &Path) -> Result<(), Box<dyn Error>> {
    let Ok(lines) = std::fs::read_to_string(file) else { return Ok(()) };
    let now = emulator.now();
    for line in lines.lines() {
        let mut words = line.splitn(4, ' ');
        let mut next = || words.next().unwrap_or_default();
        let (expected, hub, device, password) = (next(), next(), next(), next());
        let accepts = |service: &mut dps_emulator::Service| {
            service.hub_device(hub, device).is_some_and(|device| device.accepts_token(now, password))
        };
        if emulator.with_service(accepts) != (expected == "accepted") {
            return Err(format!("the password of {device} at {hub} is not {expected}").into());
        }
    }
    Ok(())
}

fn written(folder: &Path, name: &str, text: &str) -> std::io::Result<std::path::PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}
