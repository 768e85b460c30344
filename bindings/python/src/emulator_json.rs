//! What the emulator returns and accepts as JSON, and the keys of enrollments.

use dps_emulator::{Problem, Settings};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::secret::Secret;

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

pub(crate) fn record_json(record: &dps_emulator::Record) -> Value {
    json!({
        "registrationId": record.registration_id(), "status": record.status(), "substatus": record.substatus(),
        "assignedHub": record.assigned_hub(), "deviceId": record.device_id(),
        "enrollmentGroupId": record.enrollment_group_id(),
    })
}
