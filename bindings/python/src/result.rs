//! The results of a registration or a lookup, as frozen Python objects.

use std::time::Duration;

use dps_client::dps_core::Status;
use pyo3::prelude::*;

use crate::argument;
use crate::errors;
use crate::hub::HubCredentials;
use crate::secret::Secret;

/// The hub that the device is assigned to, and its device id there.
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct Assignment(dps_client::Assignment);

impl From<dps_client::Assignment> for Assignment {
    fn from(assignment: dps_client::Assignment) -> Self {
        Self(assignment)
    }
}

#[pymethods]
impl Assignment {
    /// The host name of the hub.
    #[getter]
    fn hub(&self) -> &str {
        self.0.hub()
    }

    /// The device id at the hub; case-sensitive there.
    #[getter]
    fn device_id(&self) -> &str {
        self.0.device_id()
    }

    /// The registration id, as passed to the client.
    #[getter]
    fn registration_id(&self) -> &str {
        self.0.registration_id().as_str()
    }

    /// The status of the registration: "assigned".
    #[getter]
    fn status(&self) -> &'static str {
        Status::Assigned.as_str()
    }

    /// The substatus, such as "initialAssignment". For information only; the service can add values.
    #[getter]
    fn substatus(&self) -> Option<&str> {
        self.0.substatus()
    }

    /// The operation id; None if the service assigned the hub in its first reply.
    #[getter]
    fn operation_id(&self) -> Option<&str> {
        self.0.operation_id()
    }

    /// Which credential the service accepted: 0 for the client's attestation, 1 and more for its fallback.
    #[getter]
    fn credential_index(&self) -> usize {
        self.0.credential_index()
    }

    /// The protocol that the hub speaks: "classic" (MQTT 3.1.1) or "mqttV5"; the service can add values.
    ///
    /// None if not reported: only a client with connection_profile=True asks for it.
    #[getter]
    fn connection_profile(&self) -> Option<&str> {
        self.0.connection_profile().word()
    }

    /// The payload that the service's allocation webhook returned: a new dict for each access, or None.
    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        from_json(py, self.0.payload())
    }

    /// The certificates that were issued for the client's certificate_request, as DER, the device's own first.
    ///
    /// Empty without a request, or if the API version has no issuance. They are as the service sent them:
    /// IssuedIdentity.accept checks them.
    #[getter]
    fn issued_chain(&self) -> Vec<Vec<u8>> {
        self.0.issued_chain().to_vec()
    }

    /// How long the registration took.
    #[getter]
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Returns "HostName=...;DeviceId=...;SharedAccessKey=...", or with "x509=true" for a device with a certificate.
    ///
    /// None if a Signer holds the key.
    ///
    /// Raises ConfigurationError if the device id contains ";", which a connection string cannot contain, or if the hub
    /// has a connection profile other than "classic".
    fn connection_string(&self, py: Python<'_>) -> PyResult<Option<Secret>> {
        let found = self.0.connection_string().map_err(|error| errors::exception(py, &error, None))?;
        Ok(found.map(|text| text.expose().into()))
    }

    /// Returns the credentials of the device at its hub: client id, user name, and a password that is renewed.
    ///
    /// password_life is in seconds or a timedelta; an hour by default.
    ///
    /// Raises ConfigurationError if the hub has a connection profile other than "classic".
    #[pyo3(signature = (*, password_life = None))]
    fn hub_credentials(&self, py: Python<'_>, password_life: Option<Bound<'_, PyAny>>) -> PyResult<HubCredentials> {
        let credentials = self.0.hub_credentials();
        let mut credentials = credentials.map_err(|error| errors::exception(py, &error, None))?;
        if let Some(given) = password_life {
            credentials = credentials.password_life(argument::duration_above_zero("password_life", &given)?);
        }
        Ok(HubCredentials::new(self.0.hub(), credentials))
    }

    fn __repr__(&self) -> String {
        let substatus = self.0.substatus().map_or_else(|| "None".to_owned(), |text| format!("'{text}'"));
        let (hub, device_id) = (self.0.hub(), self.0.device_id());
        format!("Assignment(hub='{hub}', device_id='{device_id}', substatus={substatus})")
    }
}

/// The registration record that the service has for a registration id.
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct RegistrationRecord(dps_client::RegistrationRecord);

impl From<dps_client::RegistrationRecord> for RegistrationRecord {
    fn from(record: dps_client::RegistrationRecord) -> Self {
        Self(record)
    }
}

#[pymethods]
impl RegistrationRecord {
    /// The status: "unassigned", "assigning", "assigned", "failed" or "disabled".
    #[getter]
    fn status(&self) -> &'static str {
        Status::as_str(self.0.status)
    }

    /// The host name of the hub, if assigned.
    #[getter]
    fn hub(&self) -> Option<&str> {
        self.0.hub.as_deref()
    }

    /// The device id at the hub, if assigned.
    #[getter]
    fn device_id(&self) -> Option<&str> {
        self.0.device_id.as_deref()
    }

    /// The substatus. For information only; the service can add values.
    #[getter]
    fn substatus(&self) -> Option<&str> {
        self.0.substatus.as_deref()
    }

    /// The service's six-digit error code, if failed.
    #[getter]
    fn error_code(&self) -> Option<u32> {
        self.0.error_code
    }

    /// The service's error message, if failed.
    #[getter]
    fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// The protocol that the hub speaks: "classic" (MQTT 3.1.1) or "mqttV5"; the service can add values.
    ///
    /// None if not reported: only a client with connection_profile=True asks for it.
    #[getter]
    fn connection_profile(&self) -> Option<&str> {
        self.0.connection_profile.word()
    }

    /// The payload that the service's allocation webhook returned: a new dict for each access, or None.
    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        from_json(py, self.0.payload.as_deref())
    }

    fn __repr__(&self) -> String {
        let hub = self.0.hub.as_ref().map_or_else(|| "None".to_owned(), |hub| format!("'{hub}'"));
        format!("RegistrationRecord(status='{}', hub={hub})", self.status())
    }
}

fn from_json<'py>(py: Python<'py>, text: Option<&str>) -> PyResult<Option<Bound<'py, PyAny>>> {
    text.map(|text| py.import("json")?.call_method1("loads", (text,))).transpose()
}
