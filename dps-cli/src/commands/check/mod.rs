//! `dps check`: finds out what prevents a device from registering, without registering it.
//!
//! Examines everything on the way, in the order in which one thing depends on another.

mod certificate;
mod credential;
mod identity;
mod network;
mod rehearsal;
mod report;
mod service;
mod tls;
mod tpm;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use dps_client::{CertificateChain, Roots};
use dps_core::{IdScope, RegistrationId};
use serde::Serialize;

use crate::connection::{Connection, DeviceArgs, read_roots};
use crate::failure::{Exit, Result};
use crate::files::read_secret_unwarned;
use crate::identity::CredentialChoice;
use crate::key::{DeviceOrGroup, KeyChoice};
use crate::output::Output;
use crate::pkcs11::TokenKey;
use crate::runtime::blocking_within;
use certificate::Chain;
use credential::{Credential, Held};
use identity::{LocalCheck, Suspect};
use network::Budget;
use report::{Check, CheckId, Checks, Report};
use service::Prober;

/// The checks that depend on a reply of the service.
const AFTER_REPLY: [CheckId; 4] =
    [CheckId::Service, CheckId::Throttling, CheckId::Authentication, CheckId::Registration];

/// How long a PKCS#11 token may take to sign, or a TPM to reply.
const TOKEN_LIMIT: Duration = Duration::from_secs(10);

/// `dps check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// A file with the roots, or other verified certificates of the service, that the chain of --cert-file must reach
    #[arg(long, value_name = "PEM", requires = "cert_file")]
    pub(crate) expect_root: Option<PathBuf>,
    /// Also check whether this device would accept the service if the service's chain ended at the root in this file
    #[arg(long, value_name = "PEM")]
    pub(crate) rehearse_root: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckOutput<'a> {
    #[serde(flatten)]
    report: &'a Report,
    endpoint: String,
    transport: &'static str,
    id_scope: &'a str,
    registration_id: Option<&'a str>,
}

/// Runs the command. It fails only if the command line is not valid; every problem of the device is a finding.
pub(crate) async fn run(args: CheckArgs, output: Output) -> Result<Exit> {
    let timeout = args.device.connection.timeout;
    let (subject, connection) = blocking_within(timeout, move || prepare(args)).await?;
    let report = examine(&subject, &connection).await?;
    let printed = CheckOutput {
        report: &report,
        endpoint: connection.endpoint(),
        transport: connection.transport.name(),
        id_scope: &subject.id_scope,
        registration_id: subject.registration_id.as_deref(),
    };
    output.result(&printed, |out| report::write(&report, out))?;
    Ok(if report.cause.is_some() { Exit::Findings } else { Exit::Done })
}

fn prepare(args: CheckArgs) -> Result<(Subject, Connection)> {
    let CheckArgs { expect_root, rehearse_root, device: DeviceArgs { identity, connection } } = args;
    let choice = identity.credential()?;
    let connection = Connection::read(&connection)?;
    let expected = expect_root.map(CertificateChain::from_file).transpose()?;
    let rehearsed = rehearse_root.map(|path| read_roots(&path, Roots::replace_pem)).transpose()?;
    let credential = match choice {
        CredentialChoice::Key(choice) => CheckedCredential::Key { key: choice.read_with(read_secret_unwarned), choice },
        CredentialChoice::Certificate(choice) => CheckedCredential::Certificate(Chain::read(choice, expected)),
        CredentialChoice::Token(key) => {
            let signed = key.sign(b"dps check", connection.timeout.min(TOKEN_LIMIT)).map(drop);
            CheckedCredential::Token { key, signed }
        }
        CredentialChoice::Tpm(choice) => {
            connection.check_tpm_transport()?;
            CheckedCredential::Tpm(tpm::Examined::read(choice, &connection))
        }
    };
    let own_name = || match &credential {
        CheckedCredential::Certificate(chain) => chain.common_name(),
        CheckedCredential::Tpm(tpm) => tpm.registration_id(),
        CheckedCredential::Key { .. } | CheckedCredential::Token { .. } => None,
    };
    let registration_id = identity.registration_id.or_else(own_name);
    Ok((Subject { id_scope: identity.id_scope, registration_id, credential, rehearsed }, connection))
}

/// The device to be checked.
struct Subject {
    id_scope: String,
    /// `None` when it is not given, and the certificate has no common name, or the TPM cannot be read.
    registration_id: Option<String>,
    credential: CheckedCredential,
    rehearsed: Option<Roots>,
}

/// The credential to be checked, or why it is not usable.
enum CheckedCredential {
    Key { choice: KeyChoice, key: Result<DeviceOrGroup> },
    Certificate(Chain),
    Token { key: TokenKey, signed: Result<()> },
    Tpm(tpm::Examined),
}

/// Makes every check that is possible. Ends by the deadline of the connection; dropping the future ends it at once.
async fn examine(subject: &Subject, connection: &Connection) -> Result<Report> {
    let budget = Budget::new(connection.timeout);
    let mut checks = Checks::default();
    let suspects = check_identity(subject, connection, &mut checks);
    checks.add_all(subject.rehearsed.as_ref().map(|rehearsed| rehearsal::rehearse(&connection.roots, rehearsed)));
    let route = network::connect(connection, &budget).await;
    checks.add_all(route.checks);
    let Some(stream) = route.stream else {
        checks.add(Check::skipped(CheckId::Tls, "there is no connection"));
        skip_requests(&mut checks, "there is no connection");
        return Ok(Report::new(checks));
    };
    let (tls, clock) = tls::examine(stream, connection, subject.has_certificate(), &budget).await;
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
fn check_identity(subject: &Subject, connection: &Connection, checks: &mut Checks) -> Vec<Suspect> {
    let mut local = Vec::new();
    match &subject.credential {
        CheckedCredential::Key { choice, key } => {
            local.push(identity::key(choice, key));
            checks.add(identity::key_file(choice));
        }
        CheckedCredential::Certificate(chain) => {
            checks.add_all(chain.check(subject.registration_id.as_deref(), connection.clock.now()));
        }
        CheckedCredential::Token { key, signed } => {
            checks.add_all([identity::token_key(key, signed), identity::pin_file(key)]);
        }
        CheckedCredential::Tpm(tpm) => checks.add_all(tpm.check()),
    }
    local.push(match &subject.registration_id {
        Some(id) => identity::registration_id(id, subject.derives_keys()),
        None => LocalCheck::skipped(CheckId::RegistrationId, subject.without_id()),
    });
    local.push(identity::id_scope(&subject.id_scope));
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
    let (registration_id, held) = match subject.usable(checks) {
        Ok(usable) => usable,
        Err(bad) => {
            skip_requests(checks, &format!("{} must be fixed first", bad.name()));
            return Ok(());
        }
    };
    let prober = Prober { connection, id_scope: &subject.id_scope, budget };
    let proof = held.proof(registration_id)?;
    if let Held::Tpm(_) = held {
        return tpm::examine(&prober, registration_id, &proof, checks).await;
    }
    let probe = prober.probe(registration_id, &proof, 0).await?;
    let ahead = service::ahead(&prober, registration_id, &proof, &probe).await;
    checks.add_all([service::service(&probe, &proof), service::clock(&ahead), service::throttling(&probe)]);
    let credential = Credential { registration_id, held, suspects, ahead: ahead.ok() };
    credential::examine(&prober, credential, &probe, checks).await
}

impl Subject {
    fn has_certificate(&self) -> bool {
        matches!(self.credential, CheckedCredential::Certificate(_))
    }

    /// Whether a key of the device may be derived from its registration id.
    fn derives_keys(&self) -> bool {
        matches!(self.credential, CheckedCredential::Key { .. } | CheckedCredential::Token { .. })
    }

    /// Why the registration id is missing.
    fn without_id(&self) -> &'static str {
        match self.credential {
            CheckedCredential::Tpm(_) => "it is derived from the endorsement key of the TPM",
            _ => "it is the common name of the certificate",
        }
    }

    /// Returns the values for a request, or the check of the first that is not valid.
    fn usable(&self, checks: &Checks) -> std::result::Result<(RegistrationId<'_>, Held<'_>), CheckId> {
        let held = match &self.credential {
            CheckedCredential::Key { key, .. } => Held::Key(key.as_ref().map_err(|_| CheckId::Key)?),
            CheckedCredential::Certificate(chain) => Held::Certificate(chain.usable(checks)?, chain),
            CheckedCredential::Token { key, signed } => {
                signed.as_ref().map_err(|_| CheckId::Key)?;
                Held::Token(key)
            }
            CheckedCredential::Tpm(tpm) => Held::Tpm(tpm.usable().ok_or(CheckId::Tpm)?),
        };
        let id = self.registration_id.as_deref().ok_or(CheckId::Certificate)?;
        let registration_id = RegistrationId::new(id).map_err(|_| CheckId::RegistrationId)?;
        IdScope::new(&self.id_scope).map_err(|_| CheckId::IdScope)?;
        Ok((registration_id, held))
    }
}

fn skip_requests(checks: &mut Checks, why: &str) {
    checks.add(Check::skipped(CheckId::Clock, why));
    checks.add_all(AFTER_REPLY.map(|id| Check::skipped(id, why)));
}
