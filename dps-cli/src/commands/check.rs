//! `dps check`: finds out what keeps a device from registering, without registering it.

use serde::Serialize;

use super::blocking_within;
use crate::args::DeviceArgs;
use crate::check::{self, Report, Subject};
use crate::connection::Connection;
use crate::exit::Exit;
use crate::failure::Result;
use crate::key::KeyChoice;
use crate::output::Output;
use crate::secret;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Examined<'a> {
    #[serde(flatten)]
    report: &'a Report,
    endpoint: String,
    transport: &'static str,
    id_scope: &'a str,
    registration_id: &'a str,
}

/// Runs the command. Whatever the checks find is a finding; only a command line that leaves nothing to check fails.
pub(crate) async fn run(args: DeviceArgs, output: Output) -> Result<Exit> {
    let timeout = args.connection.timeout;
    let (subject, connection) = blocking_within(timeout, move || prepare(args)).await?;
    let report = check::examine(&subject, &connection).await?;
    let examined = Examined {
        report: &report,
        endpoint: connection.endpoint(),
        transport: connection.transport.name(),
        id_scope: &subject.id_scope,
        registration_id: &subject.registration_id,
    };
    output.result(&examined, |out| check::write(&report, out))?;
    Ok(if report.cause.is_some() { Exit::Findings } else { Exit::Done })
}

fn prepare(args: DeviceArgs) -> Result<(Subject, Connection)> {
    let key_choice = KeyChoice::of(&args.identity.key)?;
    let connection = Connection::read(&args.connection)?;
    let key = key_choice.read_by(secret::read_unwarned);
    let (id_scope, registration_id) = (args.identity.id_scope, args.identity.registration_id);
    Ok((Subject { id_scope, registration_id, key_choice, key }, connection))
}
