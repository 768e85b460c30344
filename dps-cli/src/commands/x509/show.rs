//! `dps x509 show`: prints the issued identity of a directory, and whether it is due for renewal. It changes nothing there.

use std::path::PathBuf;

use clap::Args;
use dps_client::IssuedState;
use serde::Serialize;

use crate::connection::{CLOCK_OFFSET_MAX, DeviceClock};
use crate::failure::{Exit, Result};
use crate::issued::{self, IssuedReport};
use crate::operational::OperationalTokenArgs;
use crate::output::Output;

/// `dps x509 show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The directory that 'dps register --issue' wrote
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) token: OperationalTokenArgs,
    /// For tests: move this device's clock by this many seconds
    #[arg(long, value_name = "SECONDS", hide = true, allow_negative_numbers = true, default_value_t = 0,
        value_parser = clap::value_parser!(i64).range(-CLOCK_OFFSET_MAX..=CLOCK_OFFSET_MAX))]
    pub(crate) clock_offset: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    registration_id: String,
    assigned_hub: Option<String>,
    device_id: Option<String>,
    #[serde(flatten)]
    issued: IssuedReport,
}

/// Runs the command.
pub(super) fn run(args: &ShowArgs, output: Output) -> Result<Exit> {
    let clock = DeviceClock::moved(args.clock_offset);
    let (identity, assignment) = issued::read(&args.directory, args.token.key()?.as_ref())?;
    let identity = identity.ok_or_else(|| issued::missing(&args.directory))?;
    let now = clock.needed_now()?;
    let shown = Shown {
        registration_id: identity.registration_id().to_string(),
        assigned_hub: assignment.as_ref().map(|assignment| assignment.hub.clone()),
        device_id: assignment.map(|assignment| assignment.device_id),
        issued: IssuedReport::new(&args.directory, &identity, now),
    };
    output.result(&shown, |out| {
        writeln!(out, "{}", shown.registration_id)?;
        if let (Some(hub), Some(device_id)) = (&shown.assigned_hub, &shown.device_id) {
            writeln!(out, "  hub        {hub}")?;
            writeln!(out, "  device id  {device_id}")?;
        }
        shown.issued.write(out)
    })?;
    Ok(if identity.state_at(now) == IssuedState::Valid { Exit::Done } else { Exit::Findings })
}
