//! `dps emulator hub-device`: a device in a hub of an emulator that is running, looked at and changed.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::args::{HubDeviceArgs, HubDeviceCommand};
use crate::commands::owner;
use crate::exit::Exit;
use crate::failure::Result;
use crate::output::Output;

/// Runs the command.
pub(super) async fn run(command: HubDeviceCommand, output: Output) -> Result<Exit> {
    let answer = match command {
        HubDeviceCommand::Show(HubDeviceArgs { hub, device_id, owner }) => {
            owner::connect(owner).await?.hub_device(&hub, &device_id).await?
        }
        HubDeviceCommand::Delete(HubDeviceArgs { hub, device_id, owner }) => {
            owner::connect(owner).await?.delete_hub_device(&hub, &device_id).await?
        }
        HubDeviceCommand::Disable(device) => change(device, json!({ "enabled": false })).await?,
        HubDeviceCommand::Enable(device) => change(device, json!({ "enabled": true })).await?,
        HubDeviceCommand::Move { device, to } => change(device, json!({ "hub": to })).await?,
    };
    output.result(&answer, |out| show(&answer, out))?;
    Ok(Exit::Done)
}

async fn change(device: HubDeviceArgs, change: Value) -> Result<Value> {
    let HubDeviceArgs { hub, device_id, owner } = device;
    owner::connect(owner).await?.change_hub_device(&hub, &device_id, &change).await
}

fn show(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    let word = |member: &str| answer[member].as_str().unwrap_or("?");
    writeln!(out, "{} in {}: {}", word("deviceId"), word("hub"), word("state"))?;
    for member in ["connects", "refused", "twins", "telemetry"] {
        writeln!(out, "  {member:<9}  {}", answer[member].as_u64().unwrap_or_default())?;
    }
    Ok(())
}
