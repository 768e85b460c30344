//! Keys and tokens as text, for firmware with a state machine of its own: each function is independent and needs no
//! object.

use dps_core::credentials::SasToken;
use dps_core::limits::SIGNATURE_TEXT;
use dps_core::{ErrorCode, Key, RegistrationId, UnixSeconds};

use crate::memory::{buffer, bytes, end_text, output, write_text};
use crate::result::{Outcome, done, dps_result};
use crate::sas::registration;
use crate::span::{dps_buffer, dps_span};

/// A buffer that holds the base64 text of a derived key and its NUL, in bytes.
pub const DPS_DERIVED_KEY_SIZE: usize = 45;

const _: () = assert!(DPS_DERIVED_KEY_SIZE == SIGNATURE_TEXT + 1);

/// Derives the key of one device from its enrollment group's: base64 in, base64 out, with a NUL after it. The
/// registration id is used exactly as it is spelled. The text is a secret: wipe it with `dps_wipe`.
/// `DPS_DERIVED_KEY_SIZE` bytes always do.
///
/// For factories and tests: whoever takes apart a device that holds its group's key can pretend to be every device of
/// the group.
///
/// Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `length`; `DPS_ERROR_INVALID_KEY`,
/// `DPS_ERROR_INVALID_REGISTRATION_ID`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_derive_key(
    group_key: dps_span,
    registration_id: dps_span,
    out: dps_buffer,
    length: *mut usize,
) -> dps_result {
    let derive = || {
        // SAFETY: as the caller promises.
        let (group_key, registration_id) = unsafe { (bytes(group_key)?, bytes(registration_id)?) };
        let id = RegistrationId::from_bytes(registration_id).ok_or(ErrorCode::InvalidRegistrationId)?;
        let mut group = Key::empty();
        read(&mut group, group_key)?;
        let device = group.sign(id.as_bytes());
        // SAFETY: as the caller promises.
        unsafe { write_text(out, length, |text| text.push_base64(device.expose())) }
    };
    done(derive())
}

/// Makes the token with which a device registers until `expires_unix_s`, seconds since 1970-01-01T00:00:00Z, from the
/// device's key in base64, with a NUL after it. The token is a secret until then. `DPS_TOKEN_SIZE` bytes always
/// suffice.
///
/// Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `length`; `DPS_ERROR_INVALID_KEY`,
/// `DPS_ERROR_INVALID_ID_SCOPE`, `DPS_ERROR_INVALID_REGISTRATION_ID`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_sas_make(
    device_key: dps_span,
    id_scope: dps_span,
    registration_id: dps_span,
    expires_unix_s: u64,
    out: dps_buffer,
    length: *mut usize,
) -> dps_result {
    let make = || {
        // SAFETY: as the caller promises.
        let (device_key, id_scope) = unsafe { (bytes(device_key)?, bytes(id_scope)?) };
        // SAFETY: as above.
        let (registration_id, out, length) = unsafe { (bytes(registration_id)?, buffer(out)?, output(length)?) };
        let resource = registration(id_scope, registration_id)?;
        let mut key = Key::empty();
        read(&mut key, device_key)?;
        // The last byte is for the NUL.
        let most = out.len().saturating_sub(1);
        let space = out.get_mut(..most).unwrap_or_default();
        let written = match SasToken::prepare(&resource, UnixSeconds::new(expires_unix_s), space) {
            Ok(token) => {
                let signature = key.sign(token.to_sign());
                token.finish(&signature).len()
            }
            Err(short) => short.needed,
        };
        end_text(out, written, length)
    };
    done(make())
}

fn read(key: &mut Key, base64: &[u8]) -> Outcome<()> {
    if key.read_base64(base64) { Ok(()) } else { Err(ErrorCode::InvalidKey.into()) }
}
