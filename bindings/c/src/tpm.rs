//! The attestation by a TPM: what a registration asks of the firmware's TPM library, and the answers.

use dps_core::{ActivateError, Tpm};

use crate::config::dps_config;
use crate::memory::{Object, buffer, bytes, make, value};
use crate::registration::{Machine, answer, dps_registration, init};
use crate::result::{Refused, done, dps_result};
use crate::span::{dps_buffer, dps_span};

/// The size of a `dps_tpm`, in words of 8 bytes.
pub const DPS_TPM_WORDS: usize = 6;

/// A TPM 2.0, by its endorsement key. Opaque, in the caller's memory; may not be copied or moved. Made by
/// `dps_tpm_init`.
#[repr(C)]
#[derive(Debug)]
pub struct dps_tpm {
    /// Not for reading.
    opaque: [u64; DPS_TPM_WORDS],
}

impl Object for dps_tpm {
    type Value = Tpm<'static>;
    const MARK: usize = 0x7470_6D01;
    const BOUND: bool = true;
}

/// Names a TPM by the public areas (`TPM2B_PUBLIC`) of its endorsement key, by which the service knows the device, and
/// of its storage root key, under which it imports what the service sends. Both must stay as they are, and `tpm`
/// itself, until the `dps_registration_clear` of a registration with it.
///
/// Returns `DPS_ERROR_INVALID_ARGUMENT`, also when a key is empty. Then `tpm` is not an object.
#[cfg_attr(not(dps_hosted), unsafe(export_name = "dps_tpm_init_abi_1"))]
pub unsafe extern "C" fn dps_tpm_init(
    tpm: *mut dps_tpm,
    endorsement_key: dps_span,
    storage_root_key: dps_span,
) -> dps_result {
    let read = |tpm: &mut Tpm<'static>| {
        // SAFETY: as the caller promises.
        let (endorsement_key, storage_root_key) = unsafe { (bytes(endorsement_key)?, bytes(storage_root_key)?) };
        if endorsement_key.is_empty() || storage_root_key.is_empty() {
            return Err(Refused::ARGUMENT);
        }
        *tpm = Tpm::new(endorsement_key, storage_root_key);
        Ok(())
    };
    // SAFETY: as the caller promises.
    done(unsafe { make(tpm, || Tpm::new(&[], &[]), read) })
}

/// As `dps_registration_init`, for a device that proves who it is by its TPM. HTTPS only. The first request carries no
/// token; the service's 401 holds a challenge, which `DPS_ACTION_ACTIVATE` asks to be activated; tokens are then signed
/// with the key that it held.
///
/// Also returns `DPS_ERROR_INVALID_OBJECT` for a `tpm` that is not an object.
#[cfg_attr(not(dps_hosted), unsafe(export_name = "dps_registration_init_tpm_abi_1"))]
pub unsafe extern "C" fn dps_registration_init_tpm(
    registration: *mut dps_registration,
    config: *const dps_config,
    tpm: *const dps_tpm,
    storage: dps_buffer,
) -> dps_result {
    let by_tpm = |machine: &mut Machine| {
        // SAFETY: as the caller promises.
        machine.set_attestation(unsafe { value(tpm)? });
        Ok(())
    };
    // SAFETY: as the caller promises.
    done(unsafe { init(registration, config, storage, by_tpm) })
}

/// `DPS_ACTION_ACTIVATE`: the challenge as bytes, decoded in `buffer`, which is the one that the last reply was handed
/// over in. Pass it to the TPM: `TPM2B_ID_OBJECT` and `TPM2B_ENCRYPTED_SECRET` for `TPM2_ActivateCredential`, which returns the
/// AES-128 key of the inner wrapper; `TPM2B_PRIVATE`, `TPM2B_ENCRYPTED_SECRET` and `TPM2B_PUBLIC` of the HMAC key for
/// `TPM2_Import` under the storage root key; then a size of 2 bytes and data that is not needed. Empty when no activation is
/// awaited, or the challenge cannot be read: answer with `dps_registration_handle_activate_error` then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_challenge(
    registration: *const dps_registration,
    buffer: dps_buffer,
) -> dps_span {
    // SAFETY: as the caller promises.
    unsafe { key(registration, buffer, Machine::challenge) }
}

/// The key for the hub that the assignment holds, wrapped for the TPM as the challenge was; otherwise as
/// `dps_registration_challenge`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_hub_key(
    registration: *const dps_registration,
    buffer: dps_buffer,
) -> dps_span {
    // SAFETY: as the caller promises.
    unsafe { key(registration, buffer, Machine::hub_key) }
}

/// # Safety
/// As the caller of the exported functions promises.
unsafe fn key(
    registration: *const dps_registration,
    reply: dps_buffer,
    read: for<'b> fn(&Machine, &'b mut [u8]) -> Option<&'b [u8]>,
) -> dps_span {
    // SAFETY: promised on.
    let given = unsafe { (value(registration), buffer(reply)) };
    match given {
        (Ok(machine), Ok(reply)) => read(machine, reply).map_or(dps_span::EMPTY, dps_span::from_bytes),
        _ => dps_span::EMPTY,
    }
}

/// Continues after the challenge was activated: from now on, sign with the key that it held.
///
/// Returns `DPS_ERROR_MISUSE`, and changes nothing, when no activation is awaited with this id;
/// `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_handle_activation(
    registration: *mut dps_registration,
    now_ms: u64,
    id: u32,
) -> dps_result {
    // SAFETY: as the caller promises.
    unsafe { answer(registration, now_ms, id, |machine, now, id| machine.handle_activation(now, id)) }
}

/// Ends the registration because the challenge was not activated.
///
/// Returns the same as `dps_registration_handle_activation`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_handle_activate_error(
    registration: *mut dps_registration,
    now_ms: u64,
    id: u32,
) -> dps_result {
    // SAFETY: as the caller promises.
    unsafe {
        answer(registration, now_ms, id, |machine, now, id| machine.handle_activate_error(now, id, ActivateError))
    }
}
