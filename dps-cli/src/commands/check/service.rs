//! Probes the service as this device, or with corrected values, and judges the replies: whether it is the service, its
//! clock, throttling, and the registration on record. Nothing is ever registered.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dps_client::{
    Answer, DpsError, Probe, Progress, ProvisioningClient, ProvisioningClientBuilder, RegistrationRecord, SymmetricKey,
    X509,
};
use dps_core::{ErrorCode, Hint, Key, LinkError, RegistrationId, Status};
use serde_json::json;

use super::network::Budget;
use super::report::{Check, CheckId};
use crate::connection::Connection;
use crate::failure::{Result, skew};
use crate::pkcs11::TokenKey;
use crate::tpm::DeviceTpm;

const TIMEOUT_OVER: &str = "the time limit of --timeout has passed";
/// Clocks that differ by at most this many seconds count as equal.
pub(super) const SKEW: i64 = 300;
pub(super) const SET_CLOCK: &str = "set this device's clock, and synchronize it with NTP";
const REGISTRATION: CheckId = CheckId::Registration;
/// The service's error code for a failed webhook of custom allocation.
const WEBHOOK: u32 = 400_207;
const NOT_VISIBLE: &str = "whether the enrollment has been disabled since then shows only when the device registers";

/// What proves who the device is.
pub(super) enum Proof {
    Key(Key),
    Certificate(X509),
    Token(TokenKey),
    Tpm(DeviceTpm),
}

/// Sends probes as this device.
pub(super) struct Prober<'a> {
    pub(super) connection: &'a Connection,
    pub(super) id_scope: &'a str,
    pub(super) budget: &'a Budget,
}

/// Whether the service accepts a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The service accepted it. Over MQTT it may still be refused when the device registers.
    Accepted,
    Refused,
    /// The service did not decide.
    Unknown,
}

impl Prober<'_> {
    /// Probes with a credential, and with a clock that is this many seconds ahead of this device's.
    pub(super) async fn probe(&self, id: RegistrationId<'_>, proof: &Proof, ahead: i64) -> Result<Probe> {
        let limit = self.budget.step();
        if limit.is_zero() {
            return Ok(Probe::NoAnswer { error: LinkError::Timeout, detail: TIMEOUT_OVER.to_owned() });
        }
        Ok(self.client(id, proof, ahead, limit)?.probe().await?)
    }

    /// Returns the service's time from a separate request, or why it is not known.
    pub(super) async fn service_time(
        &self,
        id: RegistrationId<'_>,
        proof: &Proof,
    ) -> std::result::Result<SystemTime, String> {
        let limit = self.budget.step();
        let client =
            self.client(id, proof, 0, limit.max(Duration::from_millis(1))).map_err(|failure| failure.message)?;
        match tokio::time::timeout(limit, client.service_time()).await {
            Ok(asked) => asked.map_err(|error| error.message().to_owned()),
            Err(_) => Err(TIMEOUT_OVER.to_owned()),
        }
    }

    /// Looks the device up, which a TPM takes several steps for, and tells `watch` about each.
    pub(super) async fn lookup(
        &self,
        id: RegistrationId<'_>,
        proof: &Proof,
        watch: impl FnMut(Progress) + Send + 'static,
    ) -> Result<std::result::Result<RegistrationRecord, DpsError>> {
        // No time that is left is too short for a client.
        let left = self.budget.left().max(Duration::from_millis(1));
        let client = self.builder(id, proof, 0, left)?.timeout(left).on_progress(watch).build()?;
        Ok(client.lookup().await)
    }

    /// The seconds that a time is ahead of this device's.
    pub(super) fn ahead_of(&self, time: SystemTime) -> i64 {
        let theirs = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        i64::try_from(theirs).unwrap_or(i64::MAX).saturating_sub(self.connection.clock.unix_now())
    }

    fn client(&self, id: RegistrationId<'_>, proof: &Proof, ahead: i64, limit: Duration) -> Result<ProvisioningClient> {
        Ok(self.builder(id, proof, ahead, limit)?.build()?)
    }

    fn builder(
        &self,
        id: RegistrationId<'_>,
        proof: &Proof,
        ahead: i64,
        limit: Duration,
    ) -> Result<ProvisioningClientBuilder> {
        let clock = self.connection.clock.moved_by(ahead);
        let builder = self.connection.builder();
        let builder = match proof {
            Proof::Key(key) => builder.symmetric_key(SymmetricKey::from_bytes(key.expose())?),
            Proof::Certificate(device) => builder.x509(device.clone()),
            Proof::Token(key) => key.apply_to(builder),
            Proof::Tpm(tpm) => tpm.apply_to(builder),
        };
        Ok(builder.id_scope(self.id_scope).registration_id(id).request_timeout(limit).clock(move || clock.now()))
    }

    /// Probes with a credential and returns whether the service accepts it.
    pub(super) async fn verdict(&self, id: RegistrationId<'_>, proof: &Proof, ahead: i64) -> Result<Verdict> {
        self.probe(id, proof, ahead).await.map(|probe| verdict(&probe))
    }
}

/// Returns the verdict of a reply about the credential. A service without a record of the device does not refuse it.
pub(super) fn verdict(probe: &Probe) -> Verdict {
    match probe {
        Probe::SignedIn => Verdict::Accepted,
        Probe::Answered(answer) => match answer.http_status {
            200..=299 if answer.record.is_some() => Verdict::Accepted,
            404 if answer.is_of_service() => Verdict::Accepted,
            401 => Verdict::Refused,
            _ => Verdict::Unknown,
        },
        Probe::NoAnswer {
            error: LinkError::MqttRefused { code: 4 | 5 } | LinkError::ClientCertificateRefused, ..
        } => Verdict::Refused,
        _ => Verdict::Unknown,
    }
}

/// Checks whether the service replies, and without errors.
pub(super) fn service(probe: &Probe, proof: &Proof) -> Check {
    let id = CheckId::Service;
    match probe {
        Probe::SignedIn => Check::ok(id, "the MQTT server accepted CONNECT and SUBSCRIBE"),
        Probe::NoAnswer { error: LinkError::MqttRefused { code }, .. } if verdict(probe) == Verdict::Refused => {
            Check::ok(id, format!("the MQTT server answered CONNECT with code {code}"))
        }
        Probe::NoAnswer { error: LinkError::ClientCertificateRefused, detail } => {
            Check::ok(id, "the server answers with a TLS alert").seen(detail.clone())
        }
        // A server that closes the connection while there is something to read resets it, and its refusal is lost.
        Probe::NoAnswer { error: LinkError::Cut, detail } if matches!(proof, Proof::Certificate(_)) => {
            let code = ErrorCode::ConnectionCut;
            let check = Check::error(id, format!("{}: {detail}", code.text())).advise(Hint::CertificateAtCut.text());
            check.advise_for(code).facts(json!({ "error": code.name() }))
        }
        Probe::NoAnswer { error, detail } => {
            let code = error.code();
            let check = Check::error(id, code.text()).seen(detail.clone()).advise_for(code);
            check.facts(json!({ "error": code.name() }))
        }
        Probe::Answered(answer) => judge_answer(answer, verdict(probe)),
        _ => Check::skipped(id, "this version does not know this kind of reply"),
    }
}

fn judge_answer(answer: &Answer, verdict: Verdict) -> Check {
    let id = CheckId::Service;
    let status = answer.http_status;
    let code = match status {
        _ if verdict != Verdict::Unknown => None,
        429 => None,
        // A record or an error of the service would have been parsed.
        ..=299 | 404 => Some(ErrorCode::InvalidReply),
        400 => Some(ErrorCode::BadRequest),
        403 => Some(ErrorCode::Forbidden),
        405 => Some(ErrorCode::MethodNotAllowed),
        408 => Some(ErrorCode::RequestTimeout),
        409 => Some(ErrorCode::Conflict),
        415 => Some(ErrorCode::UnsupportedMediaType),
        500.. => Some(ErrorCode::ServiceUnavailable),
        _ => Some(ErrorCode::UnexpectedStatus),
    };
    let check = match code {
        None => Check::ok(id, format!("it replies with status {status}")),
        Some(code) => Check::error(id, format!("{} (status {status})", code.text())).advise_for(code),
    };
    // Messages about the credential and the rate are shown in their own checks.
    let details = if matches!(status, 401 | 429) { String::new() } else { error_details(answer) };
    check.seen(details).facts(facts(answer))
}

/// Returns message, code and tracking id of an error of the service.
pub(super) fn error_details(answer: &Answer) -> String {
    let parts = [
        answer.message.clone(),
        answer.error_code.map(|code| format!("code {code}")),
        answer.tracking_id.as_ref().map(|id| format!("tracking id {id}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Returns the same of a probe; nothing if the service sent no reply.
pub(super) fn error_details_of(probe: &Probe) -> String {
    if let Probe::Answered(answer) = probe { error_details(answer) } else { String::new() }
}

fn facts(answer: &Answer) -> serde_json::Value {
    json!({
        "httpStatus": answer.http_status,
        "errorCode": answer.error_code,
        "trackingId": answer.tracking_id,
    })
}

/// The seconds that the service's clock is ahead of this device's, or why that is not known.
pub(super) type Ahead = std::result::Result<i64, String>;

/// Compares the clocks, with the time of the reply or, over MQTT, which carries no time, of a request over HTTPS.
pub(super) async fn ahead(prober: &Prober<'_>, id: RegistrationId<'_>, proof: &Proof, probe: &Probe) -> Ahead {
    let theirs = match probe {
        Probe::Answered(answer) => answer.service_time.ok_or_else(|| "the service did not send its time".to_owned())?,
        Probe::SignedIn | Probe::NoAnswer { error: LinkError::MqttRefused { .. }, .. } => {
            let asked = prober.service_time(id, proof).await;
            asked.map_err(|why| format!("MQTT carries no time, and the request for it over HTTPS failed: {why}"))?
        }
        _ => return Err("the service did not send its time".to_owned()),
    };
    Ok(prober.ahead_of(theirs))
}

/// Checks this device's clock against the service's.
pub(super) fn clock(ahead: &Ahead) -> Check {
    let id = CheckId::Clock;
    let ahead = match ahead {
        Ok(ahead) => *ahead,
        Err(why) => {
            return Check::skipped(id, why)
                .advise("compare the output of date -u with a reliable clock, or check with --transport https");
        }
    };
    let check = if ahead.abs() <= SKEW {
        let within = ahead.unsigned_abs().max(1);
        Check::ok(id, format!("this device's clock agrees with the service's within {within} s"))
    } else {
        Check::warning(id, skew(ahead)).advise(SET_CLOCK)
    };
    check.facts(json!({ "behindSeconds": ahead }))
}

/// Checks whether the service throttles.
pub(super) fn throttling(probe: &Probe) -> Check {
    let id = CheckId::Throttling;
    match probe {
        Probe::Answered(answer) if answer.http_status == 429 => {
            let seconds = answer.retry_after.map(|wait| wait.as_secs_f64().ceil());
            let summary = match seconds {
                Some(seconds) => format!("the service throttles: retry in {seconds} s"),
                None => "the service throttles, without saying for how long".to_owned(),
            };
            let check = Check::error(id, summary).seen(error_details(answer)).advise_for(ErrorCode::Throttled);
            check.facts(json!({ "retryAfterMs": answer.retry_after.map(|wait| wait.as_millis() as u64) }))
        }
        Probe::Answered(_) => Check::ok(id, "the service does not throttle"),
        Probe::SignedIn => Check::skipped(id, "MQTT shows it only when the device registers"),
        _ => Check::skipped(id, "the service did not reply"),
    }
}

/// Reports the registration on record.
pub(super) fn registration(probe: &Probe) -> Check {
    match probe {
        Probe::SignedIn => Check::skipped(REGISTRATION, "the service has no lookup over MQTT"),
        Probe::Answered(answer) => match (&answer.record, answer.http_status) {
            (Some(record), _) => judge_record(record),
            (None, 404) if !answer.is_of_service() => {
                Check::skipped(REGISTRATION, "the reply has status 404, but it is not from the service")
            }
            (None, 404) => no_record(),
            (None, _) => Check::skipped(REGISTRATION, "the service did not return it"),
        },
        _ => Check::skipped(REGISTRATION, "the service did not return it"),
    }
}

/// Reports a device that is enrolled and has never registered.
pub(super) fn no_record() -> Check {
    Check::ok(REGISTRATION, "the service has no record of the device: it has not registered yet").seen(NOT_VISIBLE)
}

pub(super) fn judge_record(record: &RegistrationRecord) -> Check {
    let status = record.status.as_str();
    let check = match record.status {
        Status::Assigned => {
            let (device, hub) = (record.device_id.as_deref(), record.hub.as_deref());
            let summary = format!("assigned to {} as {}", hub.unwrap_or("a hub"), device.unwrap_or("a device"));
            Check::ok(REGISTRATION, summary).seen(NOT_VISIBLE)
        }
        Status::Disabled => {
            let summary = "the enrollment is disabled, or was at the device's last registration";
            Check::error(REGISTRATION, summary).advise_for(ErrorCode::EnrollmentDisabled)
        }
        Status::Failed => {
            let why = record.message.as_deref().unwrap_or("no reason stated");
            let check = Check::error(REGISTRATION, format!("the last registration failed: {why}"));
            let check = record.error_code.into_iter().fold(check, |check, code| check.seen(format!("code {code}")));
            match record.error_code {
                Some(WEBHOOK) => check.advise(Hint::CheckWebhook.text()),
                _ => check.advise_for(ErrorCode::RegistrationFailed),
            }
        }
        _ => Check::ok(REGISTRATION, format!("status on record: {status}")),
    };
    check.facts(json!({
        "status": status,
        "substatus": record.substatus,
        "assignedHub": record.hub,
        "deviceId": record.device_id,
        "errorCode": record.error_code,
    }))
}
