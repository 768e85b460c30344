//! `dps lookup`: prints the registration that the service has on record, without registering the device.

use clap::Args;
use dps_client::RegistrationRecord;
use serde::Serialize;
use serde_json::value::RawValue;

use super::register::raw_json;
use crate::connection::{DeviceArgs, ProfileArgs, client_builder};
use crate::failure::{Exit, Result};
use crate::output::Output;
use crate::runtime::blocking_within;

/// `dps lookup`.
#[derive(Debug, Args)]
pub(crate) struct LookupArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    status: &'a str,
    substatus: Option<&'a str>,
    assigned_hub: Option<&'a str>,
    device_id: Option<&'a str>,
    connection_profile: Option<&'a str>,
    registration_id: &'a str,
    error_code: Option<u32>,
    error_message: Option<&'a str>,
    payload: Option<&'a RawValue>,
}

/// Runs the command. A record with status "failed" or "disabled" is a success too.
pub(crate) async fn run(args: LookupArgs, output: Output) -> Result<Exit> {
    let LookupArgs { profile, device } = args;
    let builder = blocking_within(device.connection.timeout, move || client_builder(&device)).await?;
    let client = builder.connection_profile(profile.connection_profile).build()?;
    let record = client.lookup().await?;
    report(client.registration_id().as_str(), &record, output)
}

fn report(registration_id: &str, record: &RegistrationRecord, output: Output) -> Result<Exit> {
    let found = Found {
        status: record.status.as_str(),
        substatus: record.substatus.as_deref(),
        assigned_hub: record.hub.as_deref(),
        device_id: record.device_id.as_deref(),
        connection_profile: record.connection_profile.word(),
        registration_id,
        error_code: record.error_code,
        error_message: record.message.as_deref(),
        payload: raw_json(record.payload.as_deref())?,
    };
    output.result(&found, |out| {
        writeln!(out, "{registration_id} {}", found.status)?;
        for (name, value) in [
            ("hub", found.assigned_hub),
            ("device id", found.device_id),
            ("profile", found.connection_profile),
            ("substatus", found.substatus),
            ("error", found.error_message),
        ] {
            if let Some(value) = value {
                writeln!(out, "  {name:<10} {value}")?;
            }
        }
        match found.payload {
            Some(payload) => writeln!(out, "  payload    {payload}"),
            None => Ok(()),
        }
    })?;
    Ok(Exit::Done)
}
