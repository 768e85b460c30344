//! The password with which a device signs in to its hub, signed by its credential, wherever its key is.

use core::ffi::c_char;
use std::ffi::CString;
use std::time::{Duration, UNIX_EPOCH};

use dps_client::{
    ConnectionProfile, DpsError, ErrorCode, HubCredentials, HubPassword, ProvisioningClient, ResumeToken,
    StoredAssignment,
};
use dps_core::ConfigError;
use zeroize::Zeroize;

use crate::hosted::assignment::c_text;
use crate::hosted::client::call;
use crate::hosted::config::dps_client_config;
use crate::hosted::error::dps_error;
use crate::input::input;
use crate::memory::bytes;
use crate::result::{Refused, done, dps_result};
use crate::span::dps_span;

/// A password for the hub. Free it with `dps_hub_password_free`, which wipes it.
pub struct dps_hub_password {
    text: CString,
    expires_at_unix_s: u64,
}

impl From<&HubPassword> for dps_hub_password {
    fn from(password: &HubPassword) -> Self {
        let expires_at = password.expires_at().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { text: c_text(Some(password.expose())), expires_at_unix_s: expires_at.as_secs() }
    }
}

impl Drop for dps_hub_password {
    fn drop(&mut self) {
        std::mem::take(&mut self.text).zeroize();
    }
}

/// Signs a password with which the device signs in to its hub: its SAS token, over MQTT with the device id as client id and the
/// user name of `dps_mqtt_write_hub_user_name`. `config` has the id scope, the registration id and the credential with which
/// the device registered: a key, a key in a token, or a TPM, where the key of its last registration signs; of several, the one of
/// `credential_index`. `hub` and `device_id`
/// are those of the assignment, `profile` what `dps_assignment_connection_profile_word` returned, empty if it was not reported.
/// Nothing is sent. `life_s` is how long the password is valid; 0 for an hour.
///
/// Returns `DPS_OK` and sets `*password`, to be freed with `dps_hub_password_free`; otherwise the same as `dps_client_register`.
/// `DPS_ERROR_TPM_KEY_MISSING` if the TPM does not have the key: register again. `DPS_ERROR_INVALID_OPTION` for a device with a
/// certificate, which has no password. `DPS_ERROR_UNSUPPORTED_PROFILE` for a profile other than `classic`.
/// `DPS_ERROR_INVALID_ARGUMENT` also for an empty `hub` or `device_id`, and for a `profile` that is not a word.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_client_hub_password(
    config: *const dps_client_config,
    hub: dps_span,
    device_id: dps_span,
    profile: dps_span,
    life_s: u32,
    password: *mut *mut dps_hub_password,
    error: *mut *mut dps_error,
) -> dps_result {
    // SAFETY: as the caller promises.
    let (Ok(hub), Ok(device_id), Ok(profile)) =
        (unsafe { text(hub) }, unsafe { text(device_id) }, unsafe { word(profile) })
    else {
        return done(Err(Refused::ARGUMENT));
    };
    // SAFETY: as the caller promises.
    let Ok(given) = (unsafe { input(config) }) else { return done(Err(Refused::ARGUMENT)) };
    let sign = async |client: &ProvisioningClient, _: Option<&ResumeToken>| {
        let mut credentials = credentials_at(client, hub, device_id, &profile, given.credential_index)?;
        if life_s > 0 {
            credentials = credentials.password_life(Duration::from_secs(life_s.into()));
        }
        credentials.password().await.map(dps_hub_password::from)
    };
    // SAFETY: as the caller promises.
    unsafe { call(config, password, error, sign) }
}

/// Returns what the client's device signs in to this hub with.
pub(super) fn credentials_at(
    client: &ProvisioningClient,
    hub: &str,
    device_id: &str,
    profile: &ConnectionProfile,
    credential_index: u32,
) -> Result<HubCredentials, DpsError> {
    let (id_scope, registration_id) = (client.id_scope().clone(), client.registration_id().clone());
    let mut stored = StoredAssignment::new(id_scope, registration_id, hub, device_id);
    stored.connection_profile = profile.clone();
    stored.credential_index = credential_index as usize;
    client.hub_credentials(&stored)?.ok_or_else(|| ConfigError::OperationMismatch.into())
}

/// # Safety
/// The span is valid for `'a`.
unsafe fn text<'a>(span: dps_span) -> Result<&'a str, ErrorCode> {
    // SAFETY: promised on.
    let bytes = unsafe { bytes(span) }.map_err(|_| ErrorCode::InvalidArgument)?;
    let text = std::str::from_utf8(bytes).map_err(|_| ErrorCode::InvalidArgument)?;
    if text.is_empty() { Err(ErrorCode::InvalidArgument) } else { Ok(text) }
}

/// # Safety
/// The span is valid.
pub(super) unsafe fn word(span: dps_span) -> Result<ConnectionProfile, ErrorCode> {
    if span.len == 0 {
        return Ok(ConnectionProfile::NotReported);
    }
    // SAFETY: promised on.
    let word = unsafe { text(span)? };
    ConnectionProfile::from_word(word).ok_or(ErrorCode::InvalidArgument)
}

/// Returns the password, which ends with a NUL: a secret, wiped when it is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_hub_password_text(password: *const dps_hub_password) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { password.as_ref() }.map_or(c"".as_ptr(), |password| password.text.as_ptr())
}

/// Returns when the hub stops accepting the password, in seconds since 1970-01-01T00:00:00Z; 0 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_hub_password_expires_at(password: *const dps_hub_password) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { password.as_ref() }.map_or(0, |password| password.expires_at_unix_s)
}

/// Frees a password. Null is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_hub_password_free(password: *mut dps_hub_password) {
    if !password.is_null() {
        // SAFETY: it came from `Box::into_raw`, and the caller frees it once.
        drop(unsafe { Box::from_raw(password) });
    }
}
