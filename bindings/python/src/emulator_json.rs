//! Converts what the emulator returns and accepts: JSON, hints, weights, conditions of events, the keys of enrollments.

use dps_emulator::{
    ConnectionProfile, Event, EventFilter, IssuanceCodes, Problem, RefusalReason, RetryAfter, Settings,
};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Value, json};

use crate::argument;
use crate::secret::Secret;

/// Ten years, in seconds: the date of a hint still has a four-digit year.
const DATE_OFFSET_MOST: i64 = 10 * 365 * 24 * 3600;
/// The largest weight that a hub can have.
const WEIGHT_MOST: u32 = 1000;

/// The type of an attestation in the service's spelling, and the two keys, if it has any.
pub(crate) type Attested = (&'static str, Option<(Secret, Secret)>);

pub(crate) fn attested(settings: &Settings) -> Attested {
    match (&settings.attestation.x509, &settings.attestation.tpm) {
        (Some(_), _) => ("x509", None),
        (None, Some(_)) => ("tpm", None),
        (None, None) => ("symmetricKey", keys(settings)),
    }
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(json: &str) -> PyResult<T> {
    serde_json::from_str(json).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// The same, if the service supports every member.
pub(crate) fn parse_whole<T: serde::de::DeserializeOwned + serde::Serialize>(json: &str) -> PyResult<T> {
    let parsed = parse(json)?;
    let (given, known): (Value, Value) = (parse(json)?, parse(&to_json(&parsed)?)?);
    match unknown_member(&given, &known) {
        Some(member) => Err(PyValueError::new_err(format!("unknown member '{member}'"))),
        None => Ok(parsed),
    }
}

/// Returns a member that was lost in the conversion, if the value is an object with the service's names.
fn unknown_member(given: &Value, known: &Value) -> Option<String> {
    let (Some(given), Some(known)) = (given.as_object(), known.as_object()) else { return None };
    given.iter().filter(|(_, value)| !value.is_null()).find_map(|(name, value)| match known.get(name) {
        // Keys may be left out of what is shown.
        _ if name == "attestation" => None,
        None => Some(name.clone()),
        Some(known) => unknown_member(value, known),
    })
}

pub(crate) fn to_json(value: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| PyValueError::new_err(error.to_string()))
}

pub(crate) fn keys(settings: &Settings) -> Option<(Secret, Secret)> {
    let keys = &settings.attestation;
    keys.primary
        .as_ref()
        .zip(keys.secondary.as_ref())
        .map(|(primary, secondary)| (primary.expose().into(), secondary.expose().into()))
}

pub(crate) fn refused(problem: &Problem) -> PyErr {
    PyValueError::new_err(problem.message.clone())
}

pub(crate) fn unknown(id: &str) -> PyErr {
    PyRuntimeError::new_err(format!("the enrollment '{id}' does not exist any more"))
}

pub(crate) fn refusal(refusal: &dps_emulator::Refusal) -> Value {
    json!({ "registrationId": refusal.registration_id, "reason": refusal.reason.name() })
}

/// The filter for events that meet every condition that is set. A name that no event has would be waited for in vain.
pub(crate) fn filter(conditions: &Bound<'_, PyDict>) -> PyResult<EventFilter> {
    let given = |name: &str| Ok::<_, PyErr>(conditions.get_item(name)?.filter(|value| !value.is_none()));
    let text = |name: &str| given(name)?.map(|value| argument::text(name, &value)).transpose();
    let (kind, reason) = (text("kind")?, text("reason")?);
    if let Some(kind) = kind.as_ref().filter(|kind| !EventFilter::kinds().any(|known| known == kind.as_str())) {
        let known = EventFilter::kinds().collect::<Vec<_>>().join(", ");
        return Err(argument::refused("kind", format!("must be one of {known}, not '{kind}'")));
    }
    let is_known = |reason: &String| RefusalReason::ALL.iter().any(|known| known.name() == reason);
    if let Some(reason) = reason.as_ref().filter(|reason| !is_known(reason)) {
        return Err(argument::refused("reason", format!("no event has '{reason}'; docs/events.md lists the reasons")));
    }
    let after = given("after")?.map_or(Ok(0), |value| argument::whole("after", &value, 0..=u64::MAX))?;
    let status = given("status")?.map(|value| argument::whole("status", &value, 0..=u16::MAX)).transpose()?;
    let mut filter = EventFilter::new().after(after);
    filter = text("registration_id")?.into_iter().fold(filter, EventFilter::registration_id);
    filter = kind.into_iter().fold(filter, EventFilter::kind);
    filter = reason.into_iter().fold(filter, EventFilter::reason);
    filter = text("call")?.into_iter().fold(filter, EventFilter::call);
    Ok(status.into_iter().fold(filter, EventFilter::status))
}

/// An event's line and its members.
pub(crate) fn event_json(event: &Event) -> Value {
    json!({ "line": event.to_string(), "event": event })
}

pub(crate) fn record_json(record: &dps_emulator::Record) -> Value {
    json!({
        "registrationId": record.registration_id(), "status": record.status(), "substatus": record.substatus(),
        "assignedHub": record.assigned_hub(), "deviceId": record.device_id(),
        "enrollmentGroupId": record.enrollment_group_id(),
    })
}

/// The hint while assigning: seconds, or `{"dateOffset": seconds}` for an HTTP-date.
pub(crate) fn hint(name: &str, given: &Bound<'_, PyAny>) -> PyResult<RetryAfter> {
    let Ok(date) = given.cast::<PyDict>() else {
        return argument::whole(name, given, 0..=u32::MAX).map(RetryAfter::Seconds);
    };
    let Some(offset) = date.get_item("dateOffset")?.filter(|_| date.len() == 1) else {
        return Err(argument::refused(name, "must be whole seconds, {\"dateOffset\": seconds} or None"));
    };
    argument::whole(name, &offset, -DATE_OFFSET_MOST..=DATE_OFFSET_MOST).map(RetryAfter::Date)
}

/// A hub's share of the devices.
pub(crate) fn weight(name: &str, given: &Bound<'_, PyAny>) -> PyResult<u32> {
    argument::whole(name, given, 1..=WEIGHT_MOST)
}

/// The connection profiles of hubs.
pub(crate) fn profiles(given: Vec<(String, String)>) -> PyResult<Vec<(String, ConnectionProfile)>> {
    let profile = |word: &str| {
        let expected = "argument 'hub_profiles': a profile must be 'classic' or 'mqttV5'";
        ConnectionProfile::from_word(word).ok_or_else(|| PyValueError::new_err(expected))
    };
    given.into_iter().map(|(hub, word)| Ok((hub, profile(&word)?))).collect()
}

/// The generation of codes by which certificate requests are refused.
pub(crate) fn codes(word: &str) -> PyResult<IssuanceCodes> {
    match word {
        "current" => Ok(IssuanceCodes::Current),
        "early" => Ok(IssuanceCodes::Early),
        _ => Err(PyValueError::new_err("argument 'issuance_codes': must be 'current' or 'early'")),
    }
}
