//! What the answer says of the service itself: whether it is one, its clock, and whether it throttles.

use std::time::{SystemTime, UNIX_EPOCH};

use dps_client::{Answer, Probe};
use dps_core::{ErrorCode, Key, LinkError, RegistrationId};
use serde_json::json;

use super::asker::{Asker, Verdict, verdict};
use super::report::{Check, CheckId};
use crate::failure::skew;

/// Clocks that differ by less are taken to agree, in seconds.
pub(super) const SKEW: i64 = 300;

/// Whether what answers is the service, and well.
pub(super) fn service(probe: &Probe) -> Check {
    let id = CheckId::Service;
    match probe {
        Probe::SignedIn => Check::ok(id, "the MQTT server accepted CONNECT and SUBSCRIBE"),
        Probe::NoAnswer { error: LinkError::MqttRefused { code }, .. } if verdict(probe) == Verdict::Refused => {
            Check::ok(id, format!("the MQTT server answered CONNECT with code {code}"))
        }
        Probe::NoAnswer { error, detail } => {
            let code = error.code();
            let check = Check::error(id, code.text()).seen(detail.clone()).advise_for(code);
            check.facts(json!({ "error": code.name() }))
        }
        Probe::Answered(answer) => of_answer(answer, verdict(probe)),
        _ => Check::skipped(id, "this version does not know such an answer"),
    }
}

fn of_answer(answer: &Answer, verdict: Verdict) -> Check {
    let id = CheckId::Service;
    let status = answer.http_status;
    let code = match status {
        _ if verdict != Verdict::Unknown => None,
        429 => None,
        // A record or an error of the service would have been readable.
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
        None => Check::ok(id, format!("it answers, with status {status}")),
        Some(code) => Check::error(id, format!("{} (status {status})", code.text())).advise_for(code),
    };
    // What it says of the credential, and of its rate, is told where those are judged.
    let words = if matches!(status, 401 | 429) { String::new() } else { words(answer) };
    check.seen(words).facts(facts(answer))
}

/// What the service itself said about a refusal.
pub(super) fn words(answer: &Answer) -> String {
    let parts = [
        answer.message.clone(),
        answer.error_code.map(|code| format!("code {code}")),
        answer.tracking_id.as_ref().map(|id| format!("tracking id {id}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn facts(answer: &Answer) -> serde_json::Value {
    json!({
        "httpStatus": answer.http_status,
        "errorCode": answer.error_code,
        "trackingId": answer.tracking_id,
    })
}

/// Seconds that the service's clock is ahead of this device's, or why that is not known.
pub(super) type Ahead = Result<i64, String>;

/// Compares the clocks, by the answer or, over MQTT, which carries no time, by asking for it over HTTPS.
pub(super) async fn ahead(asker: &Asker<'_>, id: RegistrationId<'_>, key: &Key, probe: &Probe) -> Ahead {
    let theirs = match probe {
        Probe::Answered(answer) => answer.service_time.ok_or_else(|| "the service told no time".to_owned())?,
        Probe::SignedIn | Probe::NoAnswer { error: LinkError::MqttRefused { .. }, .. } => {
            let asked = asker.service_time(id, key).await;
            asked.map_err(|why| format!("MQTT carries no time, and asking for it over HTTPS failed: {why}"))?
        }
        _ => return Err("the service told no time".to_owned()),
    };
    let unix = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    Ok(signed(unix(theirs)).saturating_sub(signed(unix(SystemTime::now()))))
}

/// This device's clock against the service's.
pub(super) fn clock(ahead: &Ahead) -> Check {
    let id = CheckId::Clock;
    let ahead = match ahead {
        Ok(ahead) => *ahead,
        Err(why) => {
            return Check::skipped(id, why)
                .advise("compare the output of date -u with a clock you trust, or check over https");
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

pub(super) const SET_CLOCK: &str = "set this device's clock, and keep it with NTP";

/// Whether the service asks to come back later.
pub(super) fn throttling(probe: &Probe) -> Check {
    let id = CheckId::Throttling;
    match probe {
        Probe::Answered(answer) if answer.http_status == 429 => {
            let seconds = answer.retry_after.map(|wait| wait.as_secs_f64().ceil());
            let summary = match seconds {
                Some(seconds) => format!("the service throttles: it asks to come back in {seconds} s"),
                None => "the service throttles, and does not say for how long".to_owned(),
            };
            let check = Check::error(id, summary).seen(words(answer)).advise_for(ErrorCode::Throttled);
            check.facts(json!({ "retryAfterMs": answer.retry_after.map(|wait| wait.as_millis() as u64) }))
        }
        Probe::Answered(_) => Check::ok(id, "the service does not throttle now"),
        Probe::SignedIn => Check::skipped(id, "over MQTT it shows only when the device registers"),
        _ => Check::skipped(id, "the service did not answer"),
    }
}
