//! Symmetric keys in the caller's memory: read, derive, sign, wipe.

use dps_core::limits::KEY_TEXT_MAX;
use dps_core::{ErrorCode, Key, RegistrationId, Signature};

use crate::memory::{Object, bytes, clear, make, output, shared, value, write_text};
use crate::result::{Outcome, Refused, done, dps_result};
use crate::span::{dps_buffer, dps_span};

/// The size of a `dps_key`, in words of 8 bytes.
pub const DPS_KEY_WORDS: usize = 10;
/// A buffer that holds the base64 text of any key and its NUL, in bytes.
pub const DPS_KEY_TEXT_SIZE: usize = 89;
/// The size of a signature, in bytes.
pub const DPS_SIGNATURE_SIZE: usize = 32;

const _: () = assert!(DPS_KEY_TEXT_SIZE == KEY_TEXT_MAX + 1 && DPS_SIGNATURE_SIZE == size_of::<Signature>());

/// A symmetric key of 16 to 64 bytes: an enrollment's, a group's, or one derived for a device.
///
/// Opaque, in the caller's memory; may be copied and moved. It holds a secret: wipe it, and every copy, with
/// `dps_key_wipe`.
#[repr(C)]
#[derive(Debug)]
pub struct dps_key {
    /// Not for reading.
    opaque: [u64; DPS_KEY_WORDS],
}

/// An HMAC-SHA256. A secret: it lets its bearer in until the token that it is for expires.
#[repr(C)]
pub struct dps_signature {
    /// The signature.
    pub bytes: [u8; DPS_SIGNATURE_SIZE],
}

impl Object for dps_key {
    type Value = Key;
    const MARK: usize = 0x6B65_7901;
    const BOUND: bool = false;
}

/// Reads a key as the service shows it: base64, padding optional, nothing before or after it.
///
/// Returns `DPS_ERROR_INVALID_KEY` when it is anything else, or has fewer than 16 or more than 64 bytes;
/// `DPS_ERROR_INVALID_ARGUMENT`. Then `key` holds none: a key that was there is wiped.
#[cfg_attr(not(dps_hosted), unsafe(export_name = "dps_key_from_base64_abi_1"))]
pub unsafe extern "C" fn dps_key_from_base64(key: *mut dps_key, base64: dps_span) -> dps_result {
    // SAFETY: as the caller promises.
    done(unsafe { make(key, Key::empty, |key| good(key.read_base64(bytes(base64)?))) })
}

/// Makes a key of its raw bytes.
///
/// Returns `DPS_ERROR_INVALID_KEY` when there are fewer than 16 or more than 64; `DPS_ERROR_INVALID_ARGUMENT`. Then
/// `key` holds none: a key that was there is wiped.
#[cfg_attr(not(dps_hosted), unsafe(export_name = "dps_key_from_bytes_abi_1"))]
pub unsafe extern "C" fn dps_key_from_bytes(key: *mut dps_key, raw: dps_span) -> dps_result {
    // SAFETY: as the caller promises.
    done(unsafe { make(key, Key::empty, |key| good(key.read_bytes(bytes(raw)?))) })
}

/// Derives the key of one device from its enrollment group's. The registration id is used exactly as it is spelled.
///
/// For factories and tests: whoever takes apart a device that holds its group's key can pretend to be every device of
/// the group.
///
/// Returns `DPS_ERROR_INVALID_REGISTRATION_ID`, `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`; then `device`
/// holds none. `DPS_ERROR_INVALID_ARGUMENT` also when `device` is `group`, which is unchanged then.
#[cfg_attr(not(dps_hosted), unsafe(export_name = "dps_key_derive_abi_1"))]
pub unsafe extern "C" fn dps_key_derive(
    group: *const dps_key,
    registration_id: dps_span,
    device: *mut dps_key,
) -> dps_result {
    if core::ptr::eq(group, device) {
        return done(Err(Refused::ARGUMENT));
    }
    let derive = |device: &mut Key| {
        // SAFETY: as the caller promises; the two are not one.
        let (group, registration_id) = unsafe { (value(group)?, bytes(registration_id)?) };
        let id = RegistrationId::from_bytes(registration_id).ok_or(ErrorCode::InvalidRegistrationId)?;
        device.derive_from(group, id);
        Ok(())
    };
    // SAFETY: as the caller promises.
    done(unsafe { make(device, Key::empty, derive) })
}

/// HMAC-SHA256 of `message`: the answer to `DPS_ACTION_SIGN` where the key is in memory.
///
/// Returns `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_key_sign(
    key: *const dps_key,
    message: dps_span,
    signature: *mut dps_signature,
) -> dps_result {
    let sign = || {
        // SAFETY: as the caller promises; a signature is its bytes, here and there.
        let (key, message, signature) =
            unsafe { (value(key)?, bytes(message)?, output(signature.cast::<Signature>())?) };
        signature.write(key.sign(message));
        Ok(())
    };
    done(sign())
}

/// Writes the key as base64, with a NUL after it. The text is as secret as the key. `DPS_KEY_TEXT_SIZE` bytes always
/// suffice.
///
/// Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `length`; `DPS_ERROR_INVALID_OBJECT`,
/// `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_key_write_base64(key: *const dps_key, out: dps_buffer, length: *mut usize) -> dps_result {
    let write = || {
        // SAFETY: as the caller promises.
        unsafe {
            let key = value(key)?;
            write_text(out, length, |text| text.push_base64(key.expose()))
        }
    };
    done(write())
}

fn good(read: bool) -> Outcome<()> {
    if read { Ok(()) } else { Err(ErrorCode::InvalidKey.into()) }
}

/// Wipes a key, which is no longer an object then. Null, and memory without a key, are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_key_wipe(key: *mut dps_key) {
    // SAFETY: as the caller promises.
    unsafe { clear(key) }
}

impl dps_signature {
    /// # Safety
    /// The caller filled it in, and nothing changes it for `'a`.
    pub(crate) unsafe fn read<'a>(signature: *const Self) -> Outcome<&'a Signature> {
        // SAFETY: promised on; a signature is its bytes, here and there.
        unsafe { shared(signature.cast()) }
    }
}
