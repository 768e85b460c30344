//! `dps demo`: a complete registration, including the service, in a few seconds and without leaving anything behind.
//!
//! The enrollment is created over the admin API, and the device registers over TLS, as with the real service.

use std::time::Duration;

use dps_client::{Assignment, GroupKey, ProvisioningClient, ProxyChoice, RegistrationId, Resolver, Roots, Transport};
use dps_core::ErrorCode;
use dps_emulator::{Emulator, EmulatorOptions};
use serde::Serialize;
use serde_json::{Value, json};

use super::emulator::start_failure;
use super::enrollment::registration_line;
use crate::admin::{AdminClient, ConnectionString, Kind, take_keys};
use crate::failure::{Exit, Failure, Result};
use crate::output::Output;
use crate::shell::program;

/// The device of the service's documentation.
const DEVICE: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";
const GROUP: &str = "demo-line";
/// More than enough on loopback.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id_scope: String,
    registration_id: &'static str,
    enrollment_group_id: &'static str,
    assigned_hub: String,
    device_id: String,
    /// The registration as the enrollment group's owner sees it.
    registration: Value,
    next_command: String,
}

/// Runs the command.
pub(crate) async fn run(output: Output) -> Result<Exit> {
    let emulator = Emulator::start(EmulatorOptions::new().mqtt_port(0).wss_port(0)).await.map_err(start_failure)?;
    let shown = show(&emulator, output).await;
    emulator.shutdown().await;
    let shown = shown?;
    output.result(&shown, |out| {
        writeln!(out)?;
        writeln!(
            out,
            "Done; nothing is left behind. Next, run a service that keeps running and prints commands to try:"
        )?;
        writeln!(out, "  {}", shown.next_command)
    })?;
    Ok(Exit::Done)
}

async fn show(emulator: &Emulator, output: Output) -> Result<Shown> {
    let id_scope = emulator.id_scope().to_owned();
    output.text(|out| {
        writeln!(out, "1. A provisioning service starts inside this program.")?;
        writeln!(out, "     https://{}, id scope {id_scope}", emulator.endpoint())
    })?;
    let roots = roots(emulator)?;
    let owner = ConnectionString::parse(emulator.connection_string().expose())?;
    let admin =
        AdminClient::connect(Some(owner), None, &roots, &ProxyChoice::Direct, &Resolver::default(), TIMEOUT).await?;

    let group_key = enroll(&admin, output).await?;
    let assignment = register(emulator, roots, &group_key, output).await?;
    let registration = show_registration(&admin, output).await?;
    Ok(Shown {
        id_scope,
        registration_id: DEVICE,
        enrollment_group_id: GROUP,
        assigned_hub: assignment.hub().to_owned(),
        device_id: assignment.device_id().to_owned(),
        registration,
        next_command: format!("{} emulator", program()),
    })
}

fn roots(emulator: &Emulator) -> Result<Roots> {
    Roots::replace_pem(emulator.ca_pem().as_bytes())
        .map_err(|error| Failure::new(ErrorCode::InvalidCertificate, error.to_string()))
}

/// Creates the group as an owner does, and returns the key that the service generated for it.
async fn enroll(admin: &AdminClient, output: Output) -> Result<GroupKey> {
    let tags = json!({ "site": "demo", "line": 1 });
    let group = json!({
        "enrollmentGroupId": GROUP,
        "attestation": { "type": "symmetricKey" },
        "capabilities": { "iotEdge": true },
        "initialTwin": { "tags": tags },
    });
    let mut created = admin.put(Kind::Group, GROUP, &group).await?;
    let keys = take_keys(&mut created);
    let key = keys.as_ref().and_then(|keys| keys.get("primaryKey")).and_then(Value::as_str);
    let key = GroupKey::from_base64(key.unwrap_or_default())?;
    output.text(|out| {
        writeln!(out, "2. Its owner creates the enrollment group {GROUP} over the admin API.")?;
        writeln!(
            out,
            "     {}, twin tags {tags}",
            if created["capabilities"]["iotEdge"] == true { "edge-enabled" } else { "not edge-enabled" }
        )
    })?;
    Ok(key)
}

async fn register(emulator: &Emulator, roots: Roots, group_key: &GroupKey, output: Output) -> Result<Assignment> {
    output.text(|out| {
        writeln!(out, "3. The factory derives the device's own key from the group's key; it is not shown.")?;
        writeln!(out, "     {DEVICE}")?;
        writeln!(out, "4. The device registers over each transport.")
    })?;
    let mut last = None;
    for (name, transport, endpoint) in endpoints(emulator) {
        let client = ProvisioningClient::builder()
            .id_scope(emulator.id_scope())
            .registration_id(DEVICE)
            .symmetric_key(group_key.derive(&DEVICE.parse::<RegistrationId>()?))
            .endpoint(endpoint)
            .roots(roots.clone())
            .transport(transport)
            .proxy(ProxyChoice::Direct)
            .timeout(TIMEOUT)
            .build()?;
        let assignment = client.register().await?;
        output.text(|out| {
            writeln!(
                out,
                "     {name:<20} assigned after {} ms: hub {}, device id {}",
                assignment.elapsed().as_millis(),
                assignment.hub(),
                assignment.device_id()
            )
        })?;
        last = Some(assignment);
    }
    last.ok_or_else(|| Failure::internal("the emulator has no listener"))
}

/// Returns the name, transport and endpoint of each listener.
fn endpoints(emulator: &Emulator) -> Vec<(&'static str, Transport, String)> {
    let https = ("HTTPS", Transport::Https, Some(emulator.endpoint()));
    let mqtt = ("MQTT", Transport::Mqtt, emulator.mqtt_endpoint());
    let websocket = ("MQTT over WebSocket", Transport::MqttWebSocket, emulator.wss_endpoint());
    let endpoints = [https, mqtt, websocket].into_iter();
    endpoints.filter_map(|(name, transport, endpoint)| Some((name, transport, endpoint?))).collect()
}

async fn show_registration(admin: &AdminClient, output: Output) -> Result<Value> {
    let registrations = admin.registrations(GROUP).await?;
    let registration = registrations.items.into_iter().find(|state| state["registrationId"] == DEVICE);
    let registration = registration.ok_or_else(|| Failure::internal("the group has no registration of the device"))?;
    output.text(|out| {
        writeln!(out, "5. The owner lists the registrations of the enrollment group.")?;
        writeln!(out, "     {}", registration_line(&registration))
    })?;
    Ok(registration)
}
