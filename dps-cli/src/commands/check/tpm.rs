//! Checks of a device with a TPM: the TPM itself, and what the service replies to a lookup with it. The device is not
//! registered, and the key for the hub stays as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dps_client::{DpsError, Progress, RegistrationRecord};
use dps_core::{ErrorCode, Family, Hint, RegistrationId};
use serde_json::json;

use super::certificate::unreadable;
use super::report::{Check, CheckId, Checks};
use super::service::{self, Prober, Proof};
use super::{TOKEN_LIMIT, identity};
use crate::connection::{Connection, TPM_LIMIT};
use crate::failure::{Failure, Result};
use crate::tpm::{DeviceTpm, TpmChoice, TpmIdentity, TpmStatus};

const ID: CheckId = CheckId::Tpm;
const NO_CERTIFICATE: &str =
    "it has no certificate of its endorsement key; only an owner that verifies the certificate needs one";
const UNKNOWN: &str = "no enrollment of the id scope has this registration id with the endorsement key of this TPM";

/// The TPM, and what was read from it.
pub(super) struct Examined {
    choice: TpmChoice,
    read: Result<(DeviceTpm, TpmStatus, TpmIdentity)>,
}

impl Examined {
    /// Reads the TPM. Blocks meanwhile.
    pub(super) fn read(choice: TpmChoice, connection: &Connection) -> Self {
        let limit = connection.timeout;
        let read = || {
            let tpm = choice.read()?;
            let status = tpm.status(limit.min(TOKEN_LIMIT))?;
            // A TPM that has no endorsement key makes it now, which takes longer.
            let identity = tpm.identity(limit.min(TPM_LIMIT))?;
            Ok((tpm, status, identity))
        };
        let read = read();
        Self { choice, read }
    }

    pub(super) fn usable(&self) -> Option<&DeviceTpm> {
        self.read.as_ref().ok().map(|(tpm, ..)| tpm)
    }

    /// The registration id that results from the endorsement key.
    pub(super) fn registration_id(&self) -> Option<String> {
        self.read.as_ref().ok().map(|(_, _, identity)| identity.registration_id.clone())
    }

    /// Checks what was read, and whether others can read the file with a password.
    pub(super) fn check(&self) -> [Check; 2] {
        let file = self.choice.secrets().map(identity::file_mode).max_by_key(|check| !check.is_ok());
        let file = file.unwrap_or_else(|| Check::skipped(CheckId::KeyFile, "the device's keys are in its TPM"));
        let tpm = match &self.read {
            Ok((tpm, status, identity)) => judge(tpm, status, identity),
            Err(failure) => unreadable(ID, failure),
        };
        [tpm, file]
    }
}

fn judge(tpm: &DeviceTpm, status: &TpmStatus, identity: &TpmIdentity) -> Check {
    let TpmStatus { manufacturer, failures, failures_max, .. } = status;
    let check = if status.in_lockout {
        let summary = "the TPM is in lockout after too many failed authorizations: it refuses what a password protects";
        Check::warning(ID, summary).advise_for(ErrorCode::TpmLockout)
    } else {
        Check::ok(ID, format!("the TPM of {manufacturer} answers"))
    };
    let forgotten = match status.failure_forgotten_after_s {
        Some(seconds) => format!("; one is forgotten after {seconds} s"),
        None => String::new(),
    };
    let made = |there: bool| if there { "is there" } else { "is missing: a registration or a lookup makes it" };
    let hub = if status.has_hub_key { "is there" } else { "is missing: a registration stores it" };
    let certificate =
        if status.has_endorsement_certificate { "its endorsement key has a certificate" } else { NO_CERTIFICATE };
    check
        .seen(format!("reached by {tpm}"))
        .seen(format!("{failures} of {failures_max} failed authorizations before a lockout{forgotten}"))
        .seen(format!("its endorsement key {}", made(status.has_endorsement_key)))
        .seen(format!("its storage root key {}", made(status.has_storage_root_key)))
        .seen(format!("its key for the hub {hub}"))
        .seen(certificate)
        .seen(format!("the registration id derived from its endorsement key is {}", identity.registration_id))
        .facts(json!({ "tcti": tpm.to_string(), "status": status, "identity": identity }))
}

/// Looks the device up, and adds the checks that depend on the reply.
pub(super) async fn examine(
    prober: &Prober<'_>,
    id: RegistrationId<'_>,
    proof: &Proof,
    checks: &mut Checks,
) -> Result<()> {
    let time = prober.service_time(id, proof).await;
    checks.add(service::clock(&time.map(|time| prober.ahead_of(time))));
    // A token is signed once the TPM has activated a challenge.
    let activated = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&activated);
    let watch = move |progress| {
        if progress == Progress::Signing {
            seen.store(true, Ordering::Relaxed);
        }
    };
    let found = prober.lookup(id, proof, watch).await?;
    match found {
        Ok(record) => accepted(Ok(&record), checks),
        Err(error) if error.code() == ErrorCode::NotFound && activated.load(Ordering::Relaxed) => {
            accepted(Err(&error), checks);
        }
        Err(error) => failed(error, checks),
    }
    Ok(())
}

fn accepted(found: std::result::Result<&RegistrationRecord, &DpsError>, checks: &mut Checks) {
    let status = found.err().map_or(Some(200), DpsError::http_status).unwrap_or_default();
    checks.add_all([
        Check::ok(CheckId::Service, format!("it replies with status {status}")),
        Check::ok(CheckId::Throttling, "the service does not throttle"),
        Check::ok(CheckId::Authentication, "the TPM activated the challenge of the service, which accepts it"),
        match found {
            Ok(record) => service::judge_record(record),
            Err(_) => service::no_record(),
        },
    ]);
}

/// Reports why the lookup failed, in the check that it belongs to.
fn failed(error: DpsError, checks: &mut Checks) {
    let failure = Failure::from(error);
    let reply = || match failure.http_status {
        Some(status) => Check::ok(CheckId::Service, format!("it replies with status {status}")),
        None => Check::skipped(CheckId::Service, "there was no reply"),
    };
    let with_hints = |check: Check| failure.hints.iter().fold(check, |check, hint| check.advise(hint.text()));
    checks.add_all([
        Check::skipped(CheckId::Throttling, "the lookup failed"),
        Check::skipped(CheckId::Registration, "the service did not return it"),
    ]);
    match (failure.code, failure.code.family()) {
        (ErrorCode::NotFound, _) => {
            let check = Check::error(CheckId::Authentication, UNKNOWN).advise(
                "create an individual enrollment with what dps tpm identity prints, and use its registration id and id scope",
            );
            let hints = [Hint::CompareEndorsementKey, Hint::WrongIdScope];
            let check = hints.iter().fold(check, |check, hint| check.advise(hint.text()));
            checks.add_all([reply(), check.seen(failure.message.clone())]);
        }
        (ErrorCode::Throttled, _) => {
            let summary = "the service throttles";
            let check = Check::error(CheckId::Throttling, summary).seen(failure.message.clone());
            checks.add_all([reply(), check.advise_for(ErrorCode::Throttled)]);
            checks.add(Check::skipped(CheckId::Authentication, summary));
        }
        (ErrorCode::Unauthorized, _) => {
            // Nothing but the time is this device's own in a token that the TPM has signed.
            checks.raise(CheckId::Clock);
            let check = with_hints(Check::error(CheckId::Authentication, failure.message.clone()));
            checks.add_all([reply(), check]);
        }
        (_, Family::Local) => {
            checks.worsen(with_hints(Check::error(ID, failure.message.clone())));
            checks.add_all([reply(), Check::skipped(CheckId::Authentication, "the TPM failed")]);
        }
        _ => {
            let check = with_hints(Check::error(CheckId::Service, failure.message.clone()));
            checks.add_all([check, Check::skipped(CheckId::Authentication, "the service did not reply")]);
        }
    }
}
