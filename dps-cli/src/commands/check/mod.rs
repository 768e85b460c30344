//! `dps check`: finds out what prevents a device from registering, without registering it.
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
use identity::{LocalCheck, Suspect};
use network::Budget;
use report::{Check, CheckId, Checks, Report};
use service::Prober;

/// The checks that depend on a reply of the service.
const AFTER_REPLY: [CheckId; 4] =
    [CheckId::Service, CheckId::Throttling, CheckId::Authentication, CheckId::Registration];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckOutput<'a> {
    #[serde(flatten)]
    report: &'a Report,
    endpoint: String,
    transport: &'static str,
    id_scope: &'a str,
    registration_id: &'a str,
}

/// Runs the command. It fails only if the command line is not valid; every problem of the device is a finding.
pub(crate) async fn run(args: DeviceArgs, output: Output) -> Result<Exit> {
    let timeout = args.connection.timeout;
    let (subject, connection) = blocking_within(timeout, move || prepare(args)).await?;
    let report = examine(&subject, &connection).await?;
    let printed = CheckOutput {
        report: &report,
        endpoint: connection.endpoint(),
        transport: connection.transport.name(),
        id_scope: &subject.id_scope,
        registration_id: &subject.registration_id,
    };
    output.result(&printed, |out| report::write(&report, out))?;
    Ok(if report.cause.is_some() { Exit::Findings } else { Exit::Done })
}

fn prepare(args: DeviceArgs) -> Result<(Subject, Connection)> {
    let key_choice = KeyChoice::from_args(&args.identity.key)?;
    let connection = Connection::read(&args.connection)?;
    let key = key_choice.read_with(read_secret_unwarned);
    let (id_scope, registration_id) = (args.identity.id_scope, args.identity.registration_id);
    Ok((Subject { id_scope, registration_id, key_choice, key }, connection))
}

/// The device to be checked.
struct Subject {
    id_scope: String,
    registration_id: String,
    key_choice: KeyChoice,
    /// The key, or why it is not usable.
    key: Result<DeviceOrGroup>,
}

/// Makes every check that is possible. Ends by the deadline of the connection; dropping the future ends it at once.
async fn examine(subject: &Subject, connection: &Connection) -> Result<Report> {
    let budget = Budget::new(connection.timeout);
    let mut checks = Checks::default();
    let suspects = check_identity(subject, &mut checks);
    let route = network::connect(connection, &budget).await;
    checks.add_all(route.checks);
    let Some(stream) = route.stream else {
        checks.add(Check::skipped(CheckId::Tls, "there is no connection"));
        skip_requests(&mut checks, "there is no connection");
        return Ok(Report::new(checks));
    };
    let (tls, clock) = tls::examine(stream, connection, &budget).await;
    let secure = tls.is_ok();
    checks.add(tls);
    if !secure {
        skip_requests(&mut checks, "there is no secure connection");
        checks.add_all(clock);
        return Ok(Report::new(checks));
    }
    check_at_service(subject, suspects, connection, &budget, &mut checks).await?;
    Ok(Report::new(checks))
}

/// Makes the checks that need no connection.
fn check_identity(subject: &Subject, checks: &mut Checks) -> Vec<Suspect> {
    let local = [
        identity::key(&subject.key_choice, &subject.key),
        identity::registration_id(&subject.registration_id),
        identity::id_scope(&subject.id_scope),
    ];
    checks.add(identity::key_file(&subject.key_choice));
    let keep = |LocalCheck { check, suspect }| {
        checks.add(check);
        suspect
    };
    local.into_iter().filter_map(keep).collect()
}

/// Makes the checks that need replies of the service.
async fn check_at_service(
    subject: &Subject,
    suspects: Vec<Suspect>,
    connection: &Connection,
    budget: &Budget,
    checks: &mut Checks,
) -> Result<()> {
    let (registration_id, key) = match subject.usable() {
        Ok(usable) => usable,
        Err(bad) => {
            skip_requests(checks, &format!("{} must be fixed first", bad.name()));
            return Ok(());
        }
    };
    let prober = Prober { connection, id_scope: &subject.id_scope, budget };
    let device_key = key.device_key(registration_id)?;
    let probe = prober.probe(registration_id, &device_key, 0).await?;
    let ahead = service::ahead(&prober, registration_id, &device_key, &probe).await;
    checks.add_all([service::service(&probe), service::clock(&ahead), service::throttling(&probe)]);
    credential::examine(&prober, Credential { registration_id, key, suspects, ahead: ahead.ok() }, &probe, checks).await
}

impl Subject {
    /// Returns the values for a request, or the check of the first that is not valid.
    fn usable(&self) -> std::result::Result<(RegistrationId<'_>, &DeviceOrGroup), CheckId> {
        let key = self.key.as_ref().map_err(|_| CheckId::Key)?;
        let registration_id = RegistrationId::new(&self.registration_id).map_err(|_| CheckId::RegistrationId)?;
        IdScope::new(&self.id_scope).map_err(|_| CheckId::IdScope)?;
        Ok((registration_id, key))
    }
}

fn skip_requests(checks: &mut Checks, why: &str) {
    checks.add(Check::skipped(CheckId::Clock, why));
    checks.add_all(AFTER_REPLY.map(|id| Check::skipped(id, why)));
}
