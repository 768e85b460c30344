//! `dps check`: finds out what keeps a device from registering, without registering it.
//!
//! Examines everything on the way, in the order in which one thing depends on another.

mod credential;
mod identity;
mod network;
mod report;
mod service;
mod tls;

use dps_core::{IdScope, RegistrationId};
use serde::Serialize;

use crate::connection::{Connection, DeviceArgs};
use crate::failure::{Exit, Result};
use crate::files::read_secret_unwarned;
use crate::key::{DeviceOrGroup, KeyChoice};
use crate::output::Output;
use crate::runtime::blocking_within;
use credential::Credential;
use identity::{Looked, Suspect};
use network::Budget;
use report::{Check, CheckId, Checks, Report};
use service::Asker;

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
    let report = examine(&subject, &connection).await?;
    let examined = Examined {
        report: &report,
        endpoint: connection.endpoint(),
        transport: connection.transport.name(),
        id_scope: &subject.id_scope,
        registration_id: &subject.registration_id,
    };
    output.result(&examined, |out| report::write(&report, out))?;
    Ok(if report.cause.is_some() { Exit::Findings } else { Exit::Done })
}

fn prepare(args: DeviceArgs) -> Result<(Subject, Connection)> {
    let key_choice = KeyChoice::of(&args.identity.key)?;
    let connection = Connection::read(&args.connection)?;
    let key = key_choice.read_by(read_secret_unwarned);
    let (id_scope, registration_id) = (args.identity.id_scope, args.identity.registration_id);
    Ok((Subject { id_scope, registration_id, key_choice, key }, connection))
}

/// Who is to be examined.
struct Subject {
    id_scope: String,
    registration_id: String,
    key_choice: KeyChoice,
    /// The key, or why it is none.
    key: Result<DeviceOrGroup>,
}

/// What rests on an answer of the service.
const ASKED: [CheckId; 4] = [CheckId::Service, CheckId::Throttling, CheckId::Authentication, CheckId::Registration];

/// Makes every check that can be made. Ends by the deadline of the connection; dropping the future ends it at once.
async fn examine(subject: &Subject, connection: &Connection) -> Result<Report> {
    let budget = Budget::new(connection.timeout);
    let mut checks = Checks::default();
    let suspects = look(subject, &mut checks);
    let way = network::reach(connection, &budget).await;
    checks.add_all(way.checks);
    let Some(stream) = way.stream else {
        checks.add(Check::skipped(CheckId::Tls, "there is no connection"));
        skip_asking(&mut checks, "there is no connection");
        return Ok(Report::of(checks));
    };
    let (tls, clock) = tls::examine(stream, connection, &budget).await;
    let secure = tls.is_ok();
    checks.add(tls);
    if !secure {
        skip_asking(&mut checks, "there is no secure connection");
        checks.add_all(clock);
        return Ok(Report::of(checks));
    }
    ask(subject, suspects, connection, &budget, &mut checks).await?;
    Ok(Report::of(checks))
}

/// What can be seen from here.
fn look(subject: &Subject, checks: &mut Checks) -> Vec<Suspect> {
    let looked = [
        identity::key(&subject.key_choice, &subject.key),
        identity::registration_id(&subject.registration_id),
        identity::id_scope(&subject.id_scope),
    ];
    checks.add(identity::key_file(&subject.key_choice));
    let keep = |Looked { check, suspect }| {
        checks.add(check);
        suspect
    };
    looked.into_iter().filter_map(keep).collect()
}

/// What only the service knows.
async fn ask(
    subject: &Subject,
    suspects: Vec<Suspect>,
    connection: &Connection,
    budget: &Budget,
    checks: &mut Checks,
) -> Result<()> {
    let (registration_id, key) = match subject.usable() {
        Ok(usable) => usable,
        Err(bad) => {
            skip_asking(checks, &format!("{} has to be fixed first", bad.name()));
            return Ok(());
        }
    };
    let asker = Asker { connection, id_scope: &subject.id_scope, budget };
    let device_key = key.device_key(registration_id)?;
    let probe = asker.ask(registration_id, &device_key, 0).await?;
    let ahead = service::ahead(&asker, registration_id, &device_key, &probe).await;
    checks.add_all([service::service(&probe), service::clock(&ahead), service::throttling(&probe)]);
    credential::examine(&asker, Credential { registration_id, key, suspects, ahead: ahead.ok() }, &probe, checks).await
}

impl Subject {
    /// What it takes to ask, or which of it is no use.
    fn usable(&self) -> std::result::Result<(RegistrationId<'_>, &DeviceOrGroup), CheckId> {
        let key = self.key.as_ref().map_err(|_| CheckId::Key)?;
        let registration_id = RegistrationId::new(&self.registration_id).map_err(|_| CheckId::RegistrationId)?;
        IdScope::new(&self.id_scope).map_err(|_| CheckId::IdScope)?;
        Ok((registration_id, key))
    }
}

fn skip_asking(checks: &mut Checks, why: &str) {
    checks.add(Check::skipped(CheckId::Clock, why));
    checks.add_all(ASKED.map(|id| Check::skipped(id, why)));
}
