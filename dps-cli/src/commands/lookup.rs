//! `dps lookup`: prints the registration that the service has on record, without registering the device.

use dps_client::RegistrationRecord;
use serde::Serialize;
use serde_json::value::RawValue;

use super::register::raw_json;
use crate::connection::{DeviceArgs, client_builder};
use crate::failure::{Exit, Result};
use crate::output::Output;
use crate::runtime::blocking_within;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    status: &'a str,
    substatus: Option<&'a str>,
    assigned_hub: Option<&'a str>,
    device_id: Option<&'a str>,
    registration_id: &'a str,
    error_code: Option<u32>,
    error_message: Option<&'a str>,
    payload: Option<&'a RawValue>,
}

/// Runs the command. A record with status "failed" or "disabled" is a success too.
pub(crate) async fn run(args: DeviceArgs, output: Output) -> Result<Exit> {
    let timeout = args.connection.timeout;
    let builder = blocking_within(timeout, move || client_builder(&args)).await?;
    let client = builder.build()?;
    let record = client.lookup().await?;
    report(client.registration_id().as_str(), &record, output)
}

fn report(registration_id: &str, record: &RegistrationRecord, output: Output) -> Result<Exit> {
    let found = Found {
        status: record.status.as_str(),
        substatus: record.substatus.as_deref(),
        assigned_hub: record.hub.as_deref(),
        device_id: record.device_id.as_deref(),
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
