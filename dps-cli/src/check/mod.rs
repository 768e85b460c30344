//! The doctor: why can this device not register? Looks at everything on the way, in the order in which one thing rests
//! on another, and never registers.

mod asker;
mod budget;
mod certificate;
mod credential;
mod identity;
mod network;
mod proxy;
mod record;
mod report;
mod service;
mod text;
mod tls;

use dps_core::{IdScope, RegistrationId};

use asker::Asker;
use budget::Budget;
use credential::Credential;
use identity::{Looked, Suspect};
use report::{Check, CheckId, Checks};

use crate::connection::Connection;
use crate::failure::Result;
use crate::key::{DeviceOrGroup, KeyChoice};

pub(crate) use report::Report;
pub(crate) use text::write;

/// Who is to be examined.
pub(crate) struct Subject {
    pub(crate) id_scope: String,
    pub(crate) registration_id: String,
    pub(crate) key_choice: KeyChoice,
    /// The key, or why it is none.
    pub(crate) key: Result<DeviceOrGroup>,
}

/// What rests on an answer of the service.
const ASKED: [CheckId; 4] = [CheckId::Service, CheckId::Throttling, CheckId::Authentication, CheckId::Registration];

/// Makes every check that can be made. Ends by the deadline of the connection; dropping the future ends it at once.
pub(crate) async fn examine(subject: &Subject, connection: &Connection) -> Result<Report> {
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
