//! What the service has on record of the device: where it was assigned, or why it was not.

use dps_client::{Probe, RegistrationRecord};
use dps_core::{ErrorCode, Hint, Status};
use serde_json::json;

use super::report::{Check, CheckId};

const ID: CheckId = CheckId::Registration;
/// The six-digit code of a webhook that failed (protocol facts of the service: custom allocation).
const WEBHOOK: u32 = 400_207;
const NOT_SEEN: &str = "whether the enrollment is disabled since shows only when the device registers";

/// The record, as the lookup told it.
pub(super) fn registration(probe: &Probe) -> Check {
    match probe {
        Probe::SignedIn => Check::skipped(ID, "the service has no lookup over MQTT"),
        Probe::Answered(answer) => match (&answer.record, answer.http_status) {
            (Some(record), _) => of_record(record),
            (None, 404) if !answer.is_of_service() => {
                Check::skipped(ID, "the answer has status 404, but it is not from the service")
            }
            (None, 404) => {
                Check::ok(ID, "the service has no record of the device: it has not registered yet").seen(NOT_SEEN)
            }
            (None, _) => Check::skipped(ID, "the service did not tell"),
        },
        _ => Check::skipped(ID, "the service did not tell"),
    }
}

fn of_record(record: &RegistrationRecord) -> Check {
    let status = record.status.as_str();
    let check = match record.status {
        Status::Assigned => {
            let (device, hub) = (record.device_id.as_deref(), record.hub.as_deref());
            let summary = format!("assigned to {} as {}", hub.unwrap_or("a hub"), device.unwrap_or("a device"));
            Check::ok(ID, summary).seen(NOT_SEEN)
        }
        Status::Disabled => {
            let summary = "the enrollment is disabled, or was when the device registered last";
            Check::error(ID, summary).advise_for(ErrorCode::EnrollmentDisabled)
        }
        Status::Failed => {
            let why = record.message.as_deref().unwrap_or("the service does not say why");
            let check = Check::error(ID, format!("the last registration failed: {why}"));
            let check = record.error_code.into_iter().fold(check, |check, code| check.seen(format!("code {code}")));
            match record.error_code {
                Some(WEBHOOK) => check.advise(Hint::CheckWebhook.text()),
                _ => check.advise_for(ErrorCode::RegistrationFailed),
            }
        }
        _ => Check::ok(ID, format!("on record as {status}")),
    };
    check.facts(json!({
        "status": status,
        "substatus": record.substatus,
        "assignedHub": record.hub,
        "deviceId": record.device_id,
        "errorCode": record.error_code,
    }))
}
