//! A second service, which issues certificates and whose clock the program moves. The program asks for it over TCP, on the port
//! of `DPS_TEST_CONTROL_PORT`: one line for each connection.
//!
//! | line | answer |
//! |---|---|
//! | `advance SECONDS` | the service's time, in Unix seconds, after that time has passed |
//! | `sign-in CERTIFICATES KEY` | the code of CONNACK with which the hub answers `dev-issued`, with the certificate in these files |

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use dps_client::{Resolver, Roots, X509};
use dps_emulator::{CertificatePolicy, Emulator, EmulatorOptions, IndividualEnrollment, Limits, SymmetricKey};
use dps_mqtt::{HubLogin, HubSession, MqttOptions};
use dps_net::{Dialer, TlsOptions};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::{DEVICE_KEY, written};

const DEVICE: &str = "dev-issued";
const HUB: &str = "hub-a.test";

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Starts it, for as long as this process runs, and describes it in the environment of the program.
pub(crate) async fn start(command: &mut Command, folder: &Path) -> Result<()> {
    let options = EmulatorOptions::new().mqtt_port(0).wss_port(0).assign_at_once(true);
    let options = options.service(|service| service.limits(Limits::none()).certificate_days(30));
    let emulator = Emulator::start(options).await?;
    let enrollment = IndividualEnrollment::new(DEVICE).primary_key(SymmetricKey::from_base64(DEVICE_KEY)?);
    let enrollment = enrollment.certificate_policy(CertificatePolicy::named("factory", "root", "devices"));
    let now = emulator.now();
    emulator.with_service(|service| service.put_enrollment(now, enrollment).map(drop))?;
    let identities = folder.join("identities");
    std::fs::create_dir(&identities)?;
    let control = TcpListener::bind("127.0.0.1:0").await?;
    command.env("DPS_TEST_ISSUING_HTTPS", emulator.endpoint());
    command.env("DPS_TEST_ISSUING_MQTT", emulator.mqtt_endpoint().ok_or("the emulator has no MQTT port")?);
    command.env("DPS_TEST_ISSUING_WSS", emulator.wss_endpoint().ok_or("the emulator has no WebSocket port")?);
    command.env("DPS_TEST_ISSUING_CA_FILE", written(folder, "issuing-ca.pem", emulator.ca_pem())?);
    command.env("DPS_TEST_CONTROL_PORT", control.local_addr()?.port().to_string());
    command.env("DPS_TEST_IDENTITIES", identities);
    let emulator = Arc::new(emulator);
    tokio::spawn(async move {
        while let Ok((program, _)) = control.accept().await {
            tokio::spawn(answer(program, Arc::clone(&emulator)));
        }
    });
    Ok(())
}

async fn answer(program: TcpStream, emulator: Arc<Emulator>) {
    let mut program = BufReader::new(program);
    let mut line = String::new();
    let _ = program.read_line(&mut line).await;
    let words: Vec<&str> = line.split_whitespace().collect();
    let answered = match words.as_slice() {
        ["advance", seconds] => advance(&emulator, seconds),
        ["sign-in", certificates, key] => sign_in(&emulator, certificates, key).await.map(u64::from),
        _ => Err(format!("no such line: {line}").into()),
    };
    let text = answered.map_or_else(|error| format!("{error}\n"), |number| format!("{number}\n"));
    let _ = program.write_all(text.as_bytes()).await;
}

fn advance(emulator: &Emulator, seconds: &str) -> Result<u64> {
    emulator.advance_clock(Duration::from_secs(seconds.parse()?))?;
    Ok(emulator.now().unix_ms / 1000)
}

async fn sign_in(emulator: &Emulator, certificates: &str, key: &str) -> Result<u8> {
    let device = X509::from_files(certificates, key)?;
    let now = UNIX_EPOCH + Duration::from_millis(emulator.now().unix_ms);
    let roots = Roots::replace_pem(emulator.ca_pem().as_bytes())?;
    let mut tls = (*TlsOptions::new(roots).clock(move || now).client_config()?).clone();
    tls.client_auth_cert_resolver = device.resolver();
    let port = emulator.mqtt_addr().ok_or("the emulator has no MQTT port")?.port();
    let resolver = Resolver::new([format!("{HUB}:{port}:127.0.0.1").parse()?]);
    let dialer = Dialer::new(Arc::new(tls), None).resolver(resolver);
    let user_name = format!("{HUB}/{DEVICE}/?api-version=2021-04-12");
    let login = HubLogin { client_id: DEVICE, user_name: &user_name, password: None };
    let options = MqttOptions::default();
    match HubSession::open(&dialer, &options, (HUB, port), login, "$iothub/twin/res/#").await {
        Ok(session) => {
            session.close().await;
            Ok(0)
        }
        Err(error) => match error.kind() {
            dps_client::dps_core::LinkError::MqttRefused { code } => Ok(code),
            _ => Err(error.into()),
        },
    }
}
