//! The clients: each registers a device with a certificate, whose id is its common name.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use dps_client::{ProvisioningClient, ProxyChoice, Roots, Transport, X509};
use dps_emulator::Emulator;
use serde_json::Value;
use tokio::process::Command;

use crate::device::Device;

/// A transport, with its name for every client.
pub(crate) type Named = (&'static str, Transport);
/// The transports.
pub(crate) const TRANSPORTS: [Named; 3] =
    [("https", Transport::Https), ("mqtt", Transport::Mqtt), ("mqtt-ws", Transport::MqttWebSocket)];
/// Wide: RSA keys sign slowly in a debug build.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A client.
pub(crate) enum Client {
    Rust,
    /// The C program of the fault matrix, described by its environment.
    C(PathBuf),
    /// An interpreter that has the package, and a script.
    Python(PathBuf, PathBuf),
    /// The program `dps`.
    Program(PathBuf),
}

/// What a client is told about the service.
pub(crate) struct Service {
    pub(crate) emulator: Emulator,
    pub(crate) ca_file: PathBuf,
}

impl Service {
    fn endpoint(&self, transport: Transport) -> String {
        match transport {
            Transport::Mqtt => self.emulator.mqtt_endpoint().unwrap_or_default(),
            Transport::MqttWebSocket => self.emulator.wss_endpoint().unwrap_or_default(),
            _ => self.emulator.endpoint(),
        }
    }
}

impl Client {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::C(_) => "C",
            Self::Python(..) => "Python",
            Self::Program(_) => "dps",
        }
    }

    /// Registers the device, and returns its device id.
    pub(crate) async fn register(
        &self,
        service: &Service,
        (name, transport): Named,
        device: &Device,
    ) -> Result<String, Box<dyn Error>> {
        match self {
            Self::Rust => by_crate(service, transport, device).await,
            Self::C(program) => by_c(program, service, (name, transport), device).await,
            Self::Python(interpreter, script) => {
                let mut python = Command::new(interpreter);
                python.arg(script).args([name, &service.endpoint(transport), service.emulator.id_scope()]);
                output(python.arg(&service.ca_file).arg(&device.certificate).arg(&device.key)).await
            }
            Self::Program(program) => {
                let mut dps = Command::new(program);
                dps.args(["register", "--json", "--id-scope", service.emulator.id_scope()]);
                dps.args(["--transport", name, "--endpoint", &service.endpoint(transport), "--ca-file"]);
                dps.arg(&service.ca_file).arg("--cert-file").arg(&device.certificate);
                let shown = output(dps.arg("--cert-key-file").arg(&device.key)).await?;
                let shown: Value = serde_json::from_str(&shown)?;
                Ok(shown["deviceId"].as_str().unwrap_or_default().to_owned())
            }
        }
    }
}

async fn by_crate(service: &Service, transport: Transport, device: &Device) -> Result<String, Box<dyn Error>> {
    let client = ProvisioningClient::builder()
        .id_scope(service.emulator.id_scope())
        .transport(transport)
        .endpoint(service.endpoint(transport))
        .roots(Roots::replace_pem(service.emulator.ca_pem().as_bytes())?)
        .proxy(ProxyChoice::Direct)
        .timeout(TIMEOUT)
        .x509(X509::from_files(&device.certificate, &device.key)?)
        .build()?;
    Ok(client.register().await?.device_id().to_owned())
}

/// The program prints 0 when it is assigned.
async fn by_c(
    program: &Path,
    service: &Service,
    (name, transport): Named,
    device: &Device,
) -> Result<String, Box<dyn Error>> {
    let mut client = Command::new(program);
    client.env("DPS_FAULT_CALL", "register").env("DPS_FAULT_TRANSPORT", name);
    client.env("DPS_FAULT_ENDPOINT", service.endpoint(transport)).env("DPS_FAULT_CA_PEM", service.emulator.ca_pem());
    client.env("DPS_FAULT_ID_SCOPE", service.emulator.id_scope());
    client.env("DPS_FAULT_CERTIFICATE_FILE", &device.certificate);
    client.env("DPS_FAULT_CERTIFICATE_KEY_FILE", &device.key);
    for name in ["DPS_FAULT_REGISTRATION_ID", "DPS_FAULT_DEVICE_KEY", "DPS_FAULT_PROXY"] {
        client.env(name, "");
    }
    let timeout = TIMEOUT.as_millis().to_string();
    for (name, number) in [
        ("DPS_FAULT_SEED", "1"),
        ("DPS_FAULT_TIMEOUT_MS", timeout.as_str()),
        ("DPS_FAULT_REQUEST_TIMEOUT_MS", timeout.as_str()),
        ("DPS_FAULT_POLL_INTERVAL_MS", "2000"),
        ("DPS_FAULT_MINIMUM_SPACING_MS", "1000"),
        ("DPS_FAULT_KEEP_ALIVE_S", "60"),
        ("DPS_FAULT_REPLY_LIMIT", "65536"),
    ] {
        client.env(name, number);
    }
    match output(&mut client).await?.as_str() {
        "0" => Ok(device.id.clone()),
        other => Err(format!("it prints {other}").into()),
    }
}

/// Returns what a program prints, without the last line break.
async fn output(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let ended = tokio::time::timeout(2 * TIMEOUT, running).await??;
    if !ended.status.success() {
        return Err(format!("{}: {}", ended.status, String::from_utf8_lossy(&ended.stderr).trim()).into());
    }
    Ok(String::from_utf8(ended.stdout)?.trim().to_owned())
}
