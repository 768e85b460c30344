//! What a webhook receives.

use serde_json::{Map, Value, json};

use crate::encoding::decode_base64;
use crate::enrollment::{EnrollmentGroup, IndividualEnrollment, Settings};
use crate::enrollment_table::Entry;
use crate::wire::to_json;

/// The body of the POST request that a service sends to an allocation webhook (Azure documentation, "Understand custom
/// allocation policies", `AllocationRequest`).
///
/// It has the enrollment without its keys and with a masked URL, the device, and the hubs that the webhook can choose.
///
/// ```
/// use dps_emulator::{AllocationRequest, IndividualEnrollment};
///
/// let request = AllocationRequest::for_enrollment(&IndividualEnrollment::new("dev-01")).linked_hubs(["hub-a.test"]);
/// let body: serde_json::Value = serde_json::from_slice(&request.to_json())?;
/// assert_eq!(body["individualEnrollment"]["registrationId"], "dev-01");
/// assert_eq!(body["deviceRuntimeContext"], serde_json::json!({ "registrationId": "dev-01", "symmetricKey": {} }));
/// assert_eq!(body["linkedHubs"][0], "hub-a.test");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct AllocationRequest {
    /// `individualEnrollment` or `enrollmentGroup`.
    kind: &'static str,
    enrollment: Value,
    device: Map<String, Value>,
    linked_hubs: Vec<String>,
}

impl AllocationRequest {
    /// The request for the device of an individual enrollment.
    #[must_use]
    pub fn for_enrollment(enrollment: &IndividualEnrollment) -> Self {
        Self::new("individualEnrollment", enrollment, &enrollment.registration_id)
    }

    /// The request for a device of a group.
    #[must_use]
    pub fn for_group(group: &EnrollmentGroup, registration_id: &str) -> Self {
        Self::new("enrollmentGroup", group, registration_id)
    }

    fn new<E: Entry>(kind: &'static str, entry: &E, registration_id: &str) -> Self {
        let shown = shown(entry);
        let (name, attestation) = attestation(shown.settings());
        let device = Map::from_iter([("registrationId".into(), registration_id.into()), (name.into(), attestation)]);
        // Maps with string keys: this cannot fail.
        let enrollment = serde_json::to_value(&shown).unwrap_or_default();
        Self { kind, enrollment, device, linked_hubs: Vec::new() }
    }

    /// The hubs that the webhook can choose: those of the enrollment, or all linked hubs; for a device that stays in its hub
    /// by the reprovision policy, that hub only.
    #[must_use]
    pub fn linked_hubs(mut self, hubs: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.linked_hubs = hubs.into_iter().map(Into::into).collect();
        self
    }

    /// The hub and the device id of the device's earlier assignment.
    #[must_use]
    pub fn current(mut self, hub: &str, device_id: &str) -> Self {
        self.device.insert("currentIotHubHostName".into(), hub.into());
        self.device.insert("currentDeviceId".into(), device_id.into());
        self
    }

    /// The payload of the device's register call.
    #[must_use]
    pub fn payload(mut self, payload: Map<String, Value>) -> Self {
        self.device.insert("payload".into(), Value::Object(payload));
        self
    }

    /// Sets a member of `deviceRuntimeContext`.
    pub(crate) fn device_member(mut self, name: &str, value: Value) -> Self {
        self.device.insert(name.into(), value);
        self
    }

    /// The body of the request, as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        to_json(&json!({
            self.kind: self.enrollment,
            "deviceRuntimeContext": self.device,
            "linkedHubs": self.linked_hubs,
        }))
    }
}

/// The enrollment as it is shown: with the service's defaults, without keys, the webhook's URL masked, and the etag as a quoted string.
fn shown<E: Entry>(entry: &E) -> E {
    let mut shown = entry.clone().without_secrets();
    let settings = shown.settings_mut();
    settings.fill_defaults();
    settings.etag = settings.etag.take().map(|etag| quoted(&etag));
    shown
}

/// The admin API encodes the quoted id in base64.
fn quoted(etag: &str) -> String {
    let decoded = decode_base64(etag).and_then(|bytes| String::from_utf8(bytes).ok());
    let is_quoted = |text: &String| text.len() > 1 && text.starts_with('"') && text.ends_with('"');
    decoded.filter(is_quoted).unwrap_or_else(|| format!("\"{etag}\""))
}

/// The name of the attestation, and what an enrollment tells of it.
fn attestation(settings: &Settings) -> (&'static str, Value) {
    match (&settings.attestation.x509, &settings.attestation.tpm) {
        (Some(_), _) => ("x509", json!({})),
        (None, Some(tpm)) => ("tpm", tpm.to_json()),
        (None, None) => ("symmetricKey", json!({})),
    }
}
