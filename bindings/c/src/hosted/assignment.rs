//! The result of a registration or lookup, on the heap.

use core::ffi::c_char;
use std::ffi::CString;
use std::ptr;

use dps_client::{Assignment, ConnectionProfile, RegistrationRecord};
use zeroize::Zeroize;

use crate::api_version::dps_connection_profile;
use crate::hosted::issued::dps_certificate_chain;
use crate::outcome::{self, dps_status};

/// The hub that a device was assigned to, or its registration record. Free it with `dps_assignment_free`. All strings end
/// with a NUL, are never null, and live as long as the assignment; a string without a value is empty.
pub struct dps_assignment {
    status: dps_status,
    hub: CString,
    device_id: CString,
    substatus: CString,
    operation_id: CString,
    payload: CString,
    connection_string: CString,
    issued_chain: Option<dps_certificate_chain>,
    profile: dps_connection_profile,
    profile_word: CString,
    credential_index: u32,
}

impl dps_assignment {
    pub(crate) fn from_assignment(found: &Assignment) -> Self {
        let connection_string = found.connection_string().ok().flatten();
        Self {
            status: dps_status::DPS_STATUS_ASSIGNED,
            hub: c_text(Some(found.hub())),
            device_id: c_text(Some(found.device_id())),
            substatus: c_text(found.substatus()),
            operation_id: c_text(found.operation_id()),
            payload: c_text(found.payload()),
            connection_string: c_text(connection_string.as_ref().map(|secret| secret.expose())),
            issued_chain: dps_certificate_chain::new(found.issued_chain().to_vec()),
            profile: number(found.connection_profile()),
            profile_word: c_text(found.connection_profile().word()),
            // A call has 8 credentials at most.
            credential_index: found.credential_index() as u32,
        }
    }

    pub(crate) fn from_record(found: &RegistrationRecord) -> Self {
        Self {
            status: outcome::status(found.status),
            hub: c_text(found.hub.as_deref()),
            device_id: c_text(found.device_id.as_deref()),
            substatus: c_text(found.substatus.as_deref()),
            operation_id: CString::default(),
            payload: c_text(found.payload.as_deref()),
            connection_string: CString::default(),
            issued_chain: None,
            profile: number(&found.connection_profile),
            profile_word: c_text(found.connection_profile.word()),
            credential_index: 0,
        }
    }
}

fn number(profile: &ConnectionProfile) -> dps_connection_profile {
    match profile {
        ConnectionProfile::NotReported => dps_connection_profile::DPS_CONNECTION_PROFILE_NOT_REPORTED,
        ConnectionProfile::Classic => dps_connection_profile::DPS_CONNECTION_PROFILE_CLASSIC,
        ConnectionProfile::MqttV5 => dps_connection_profile::DPS_CONNECTION_PROFILE_MQTT_V5,
        _ => dps_connection_profile::DPS_CONNECTION_PROFILE_OTHER,
    }
}

impl Drop for dps_assignment {
    fn drop(&mut self) {
        std::mem::take(&mut self.connection_string).zeroize();
    }
}

/// Returns the string up to its first NUL, where C would end it.
pub(crate) fn c_text(text: Option<&str>) -> CString {
    let text = text.unwrap_or_default();
    CString::new(text.split('\0').next().unwrap_or_default()).unwrap_or_default()
}

/// # Safety
/// It is null, or an assignment that a call of this library returned and that has not been freed.
unsafe fn text_of(assignment: *const dps_assignment, choose: fn(&dps_assignment) -> &CString) -> *const c_char {
    // SAFETY: promised on.
    unsafe { assignment.as_ref() }.map_or(c"".as_ptr(), |assignment| choose(assignment).as_ptr())
}

/// Returns the status of the registration: `DPS_STATUS_ASSIGNED`, except after a lookup that found another.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_assignment_status(assignment: *const dps_assignment) -> dps_status {
    // SAFETY: as the caller promises.
    unsafe { assignment.as_ref() }.map_or(dps_status::DPS_STATUS_UNKNOWN, |assignment| assignment.status)
}

/// Returns the host name of the assigned hub.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_assignment_hub(assignment: *const dps_assignment) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { text_of(assignment, |assignment| &assignment.hub) }
}

/// Returns the device id at the hub, which is case-sensitive there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_assignment_device_id(assignment: *const dps_assignment) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { text_of(assignment, |assignment| &assignment.device_id) }
}

/// Returns the substatus, such as `initialAssignment`. It is for information only; the service can add values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_assignment_substatus(assignment: *const dps_assignment) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { text_of(assignment, |assignment| &assignment.substatus) }
}

/// Returns the operation id of the registration; empty if the service assigned the hub in its first reply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_assignment_operation_id(assignment: *const dps_assignment) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { text_of(assignment, |assignment| &assignment.operation_id) }
}

/// Returns the payload that the service's allocation webhook returned for the device: a JSON object, or empty.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_assignment_payload(assignment: *const dps_assignment) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { text_of(assignment, |assignment| &assignment.payload) }
}

/// Returns the connection string `HostName=...;DeviceId=...;SharedAccessKey=...`: a secret, wiped when the assignment is
/// freed. For a device with a certificate it ends with `x509=true` instead of the key. Empty after a lookup, if the device id
/// contains `;`, which a connection string cannot contain, and for a hub with another connection profile than `classic`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_assignment_connection_string(assignment: *const dps_assignment) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { text_of(assignment, |assignment| &assignment.connection_string) }
}

/// Returns the certificates that were issued for `certificate_request` of the configuration; null if there was no request, or the
/// API version has no issuance. They are as the service sent them: `dps_issued_identity_accept` checks them. The chain lives as
/// long as the assignment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_assignment_issued_chain(
    assignment: *const dps_assignment,
) -> *const dps_certificate_chain {
    // SAFETY: as the caller promises.
    let chain = unsafe { assignment.as_ref() }.and_then(|assignment| assignment.issued_chain.as_ref());
    chain.map_or(ptr::null(), ptr::from_ref)
}

/// Returns which protocol the hub speaks: `DPS_CONNECTION_PROFILE_NOT_REPORTED` unless the API version of the configuration
/// reports it, as with `connection_profile`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_assignment_connection_profile(
    assignment: *const dps_assignment,
) -> dps_connection_profile {
    // SAFETY: as the caller promises.
    unsafe { assignment.as_ref() }
        .map_or(dps_connection_profile::DPS_CONNECTION_PROFILE_NOT_REPORTED, |assignment| assignment.profile)
}

/// Returns the service's word for the protocol that the hub speaks, such as `mqttV5`, also one that this version does not know;
/// empty if it was not reported. Store it with the assignment, for `dps_client_hub_password`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_assignment_connection_profile_word(assignment: *const dps_assignment) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { text_of(assignment, |assignment| &assignment.profile_word) }
}

/// Returns which credential the service accepted: 0 for the one of `dps_client_config`, 1 for its `fallback`, and so on. Store it with the
/// assignment, for `credential_index` of later calls. 0 after a lookup.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_assignment_credential_index(assignment: *const dps_assignment) -> u32 {
    // SAFETY: as the caller promises.
    unsafe { assignment.as_ref() }.map_or(0, |assignment| assignment.credential_index)
}

/// Frees an assignment. Null is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_assignment_free(assignment: *mut dps_assignment) {
    if !assignment.is_null() {
        // SAFETY: it came from `Box::into_raw`, and the caller frees it once.
        drop(unsafe { Box::from_raw(assignment) });
    }
}
