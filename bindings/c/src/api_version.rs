//! Requests by another API version than the default one, for what a later version of the service's API has. Functions of
//! their own, so that firmware that needs none of it is not larger.

use dps_core::codec::{http, mqtt};
use dps_core::{ByteStr, ConnectionProfile, ErrorCode, Text};

use crate::memory::{ascii, buffer, bytes, output, value, write_text};
use crate::registration::{dps_registration, pending};
use crate::result::{Outcome, Refused, done, dps_result};
use crate::span::{dps_buffer, dps_span};

/// The protocol that the assigned hub speaks. A newer library may return new numbers.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dps_connection_profile {
    /// The API version of the requests does not report it.
    DPS_CONNECTION_PROFILE_NOT_REPORTED = 0,
    /// MQTT 3.1.1, with the user name that `dps_mqtt_write_hub_user_name` writes.
    DPS_CONNECTION_PROFILE_CLASSIC = 1,
    /// MQTT 5.
    DPS_CONNECTION_PROFILE_MQTT_V5 = 2,
    /// A word that this version does not know.
    DPS_CONNECTION_PROFILE_OTHER = 3,
}

/// As `dps_mqtt_write_user_name`, by another API version, such as `DPS_API_VERSION_ISSUANCE`.
///
/// Returns the same; `DPS_ERROR_INVALID_ARGUMENT` also when `api_version` is empty or has other characters than a version.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_mqtt_write_versioned_user_name(
    registration: *const dps_registration,
    api_version: dps_span,
    user_agent: dps_span,
    out: dps_buffer,
    length: *mut usize,
) -> dps_result {
    let write = || {
        // SAFETY: as the caller promises.
        let (machine, user_agent) = unsafe { (value(registration)?, bytes(user_agent)?) };
        // SAFETY: as the caller promises.
        let api_version = unsafe { version(api_version)? };
        let write = |text: &mut Text<'_>| mqtt::write_user_name(text, &machine.identity(), api_version, user_agent);
        // SAFETY: as the caller promises.
        unsafe { write_text(out, length, write) }
    };
    done(write())
}

/// As `dps_http_write_target`, by another API version, such as `DPS_API_VERSION_ISSUANCE`.
///
/// Returns the same; `DPS_ERROR_INVALID_ARGUMENT` also when `api_version` is empty or has other characters than a version.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_http_write_versioned_target(
    registration: *const dps_registration,
    api_version: dps_span,
    out: dps_buffer,
    length: *mut usize,
) -> dps_result {
    let write = || {
        // SAFETY: as the caller promises.
        let (request, api_version) = unsafe { (pending(registration)?, version(api_version)?) };
        // SAFETY: as the caller promises.
        unsafe { write_text(out, length, |text| http::write_target(text, &request, api_version)) }
    };
    done(write())
}

/// As `dps_http_write_request`, by another API version, such as `DPS_API_VERSION_ISSUANCE`.
///
/// Returns the same; `DPS_ERROR_INVALID_ARGUMENT` also when `api_version` is empty or has other characters than a version.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_http_write_versioned_request(
    registration: *const dps_registration,
    api_version: dps_span,
    user_agent: dps_span,
    out: dps_buffer,
    length: *mut usize,
) -> dps_result {
    let write = || {
        // SAFETY: as the caller promises.
        let (request, user_agent) = unsafe { (pending(registration)?, ascii(user_agent, ErrorCode::InvalidArgument)?) };
        // SAFETY: as the caller promises.
        let api_version = unsafe { version(api_version)? };
        if user_agent.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
            return Err(Refused::ARGUMENT);
        }
        let write = |text: &mut Text<'_>| http::wire::write_request_to(text, &request, api_version, user_agent);
        // SAFETY: as the caller promises.
        unsafe { write_text(out, length, write) }
    };
    done(write())
}

/// Reads which protocol the assigned hub speaks, of an assignment or of the record that a lookup found. `api_version` is the
/// one that the requests had: `DPS_API_VERSION_PROFILE` or a later one, or the profile is
/// `DPS_CONNECTION_PROFILE_NOT_REPORTED`. `reply` is the buffer that the last reply was handed over in, which must be unchanged
/// since. `word` is the service's word, in `reply` or a constant; empty when the service reported nothing. With another profile
/// than the first two, do not use `dps_mqtt_write_hub_user_name`.
///
/// Returns `DPS_ERROR_MISUSE` unless the registration succeeded (`dps_registration_result`); `DPS_ERROR_INVALID_REPLY` when the
/// profile is not a word; `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_connection_profile(
    registration: *const dps_registration,
    api_version: dps_span,
    reply: dps_buffer,
    profile: *mut dps_connection_profile,
    word: *mut dps_span,
) -> dps_result {
    let read = || {
        // SAFETY: as the caller promises.
        let (machine, reply, api_version) = unsafe { (value(registration)?, buffer(reply)?, version(api_version)?) };
        // SAFETY: as the caller promises.
        let (profile, word) = unsafe { (output(profile)?, output(word)?) };
        machine.record().ok_or(Refused::MISUSE)?;
        let found = machine.connection_profile(reply, api_version).map_err(|_| ErrorCode::InvalidReply)?;
        profile.write(match found {
            ConnectionProfile::NotReported => dps_connection_profile::DPS_CONNECTION_PROFILE_NOT_REPORTED,
            ConnectionProfile::Classic => dps_connection_profile::DPS_CONNECTION_PROFILE_CLASSIC,
            ConnectionProfile::MqttV5 => dps_connection_profile::DPS_CONNECTION_PROFILE_MQTT_V5,
            _ => dps_connection_profile::DPS_CONNECTION_PROFILE_OTHER,
        });
        word.write(dps_span::from_option(found.word()));
        Ok(())
    };
    done(read())
}

/// An API version: letters, digits and hyphens. Of another type than the default version, so that what writes it is compiled
/// apart: code with the default version stays as small as it is where no other one is used.
///
/// # Safety
/// As the caller of the exported functions promises.
unsafe fn version<'a>(api_version: dps_span) -> Outcome<ByteStr<'a>> {
    // SAFETY: promised on.
    let text = unsafe { bytes(api_version)? };
    let is_version = !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    if is_version { Ok(ByteStr::new(text)) } else { Err(Refused::ARGUMENT) }
}
