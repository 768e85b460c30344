//! The machine in the caller's memory: made from a configuration, polled, answered.

use dps_core::{
    Attestation, Call, ErrorCode, Instant, Misuse, Operation, Registration, Request, RequestId, SignError,
    SymmetricKey, UnixSeconds, WallAnchor,
};

use crate::action::{dps_action, dps_call};
use crate::config::dps_config;
use crate::input::input;
use crate::key::dps_signature;
use crate::memory::{Object, ascii, buffer, clear, make_in, output, value, value_mut, write_text};
use crate::result::{Outcome, Refused, done, dps_result};
use crate::span::{dps_buffer, dps_span};

/// The size of a `dps_registration`, in words of 8 bytes.
#[cfg(target_pointer_width = "32")]
pub const DPS_REGISTRATION_WORDS: usize = 39;
/// The size of a `dps_registration`, in words of 8 bytes.
#[cfg(target_pointer_width = "64")]
pub const DPS_REGISTRATION_WORDS: usize = 96;
/// Storage, in bytes, that suffices for any id scope and registration id. `dps_registration_storage_size` returns the
/// least for yours, which is about 650 for an id of 36 characters; more lets longer hub names and error messages be
/// kept.
pub const DPS_STORAGE_SIZE: usize = 1280;

/// One device's registration, from the first request to the outcome.
///
/// Opaque, in the caller's memory; may not be copied or moved. Made by one of the `dps_registration_init` functions;
/// not for use by two threads at once. It has no clock, opens no socket and holds no key: time, bytes and signatures
/// come in.
#[repr(C)]
#[derive(Debug)]
pub struct dps_registration {
    /// Not for reading.
    opaque: [u64; DPS_REGISTRATION_WORDS],
}

/// The machine of every attestation: its parts are reached by the pointer to a constant table, so that the linker drops
/// those of an attestation whose `init` function is never called.
pub(crate) type Machine = Registration<'static, &'static dyn Attestation>;

impl Object for dps_registration {
    type Value = Machine;
    const MARK: usize = 0x7265_6702;
    const BOUND: bool = true;
}

/// Makes a machine that registers the device with a symmetric key. `storage` is the machine's until
/// `dps_registration_clear`, and wiped then.
///
/// Returns `DPS_ERROR_INVALID_ID_SCOPE`, `DPS_ERROR_INVALID_REGISTRATION_ID`, `DPS_ERROR_INVALID_ENDPOINT`,
/// `DPS_ERROR_INVALID_PAYLOAD`; `DPS_ERROR_STORAGE_TOO_SMALL` (see `dps_registration_storage_size`);
/// `DPS_ERROR_INVALID_ARGUMENT`. Then `registration` holds none.
#[cfg_attr(not(dps_hosted), unsafe(export_name = "dps_registration_init_abi_1"))]
pub unsafe extern "C" fn dps_registration_init(
    registration: *mut dps_registration,
    config: *const dps_config,
    storage: dps_buffer,
) -> dps_result {
    // SAFETY: as the caller promises.
    done(unsafe { init(registration, config, storage, |_| Ok(())) })
}

/// As `dps_registration_init`, for a machine that asks for the device's record without registering it: HTTPS only.
#[cfg_attr(not(dps_hosted), unsafe(export_name = "dps_registration_init_lookup_abi_1"))]
pub unsafe extern "C" fn dps_registration_init_lookup(
    registration: *mut dps_registration,
    config: *const dps_config,
    storage: dps_buffer,
) -> dps_result {
    // SAFETY: as the caller promises.
    done(unsafe {
        init(registration, config, storage, |machine| {
            machine.set_lookup()?;
            Ok(())
        })
    })
}

/// As `dps_registration_init`, for a machine that goes on from an operation which `dps_registration_write_operation`
/// saved. If the service has forgotten it, the device is registered afresh. `operation` is only read here.
///
/// Also returns `DPS_ERROR_OPERATION_UNREADABLE`, and `DPS_ERROR_OPERATION_MISMATCH` when it belongs to another
/// endpoint, id scope or registration id.
#[cfg_attr(not(dps_hosted), unsafe(export_name = "dps_registration_init_resumed_abi_1"))]
pub unsafe extern "C" fn dps_registration_init_resumed(
    registration: *mut dps_registration,
    config: *const dps_config,
    storage: dps_buffer,
    operation: dps_span,
) -> dps_result {
    // SAFETY: as the caller promises.
    done(unsafe { init(registration, config, storage, |machine| resume(machine, operation)) })
}

/// Makes a machine go on from an operation.
///
/// # Safety
/// As the caller of the exported functions promises.
pub(crate) unsafe fn resume(machine: &mut Machine, operation: dps_span) -> Outcome<()> {
    // SAFETY: promised on.
    let operation = Operation::parse(unsafe { ascii(operation, ErrorCode::OperationUnreadable)? })?;
    Ok(machine.set_operation(&operation)?)
}

/// # Safety
/// As the caller of the exported functions promises.
pub(crate) unsafe fn init(
    registration: *mut dps_registration,
    config: *const dps_config,
    storage: dps_buffer,
    change: impl FnOnce(&mut Machine) -> Outcome<()>,
) -> Outcome<()> {
    let build = |place| {
        // SAFETY: promised on.
        let (config, storage) = unsafe { (input(config)?, buffer(storage)?) };
        // SAFETY: promised on.
        let (identity, payload) = unsafe { (config.identity()?, config.payload()?) };
        let machine = Machine::new_in(place, &identity, &SymmetricKey, &config.policy(), storage)?;
        if let Some(payload) = payload {
            machine.set_payload(payload);
        }
        if let Err(refused) = change(machine) {
            // SAFETY: it was made above, and without a seal nobody uses it again.
            unsafe { core::ptr::drop_in_place(machine) };
            return Err(refused);
        }
        Ok(machine)
    };
    // SAFETY: promised on.
    unsafe { make_in(registration, build) }
}

/// Says what the wall time is: `unix_s` seconds since 1970-01-01T00:00:00Z at `now_ms`. Tokens made later go by it.
/// Without it, none can be made over MQTT; over HTTPS, the service is asked for it if `dps_config.earliest_unix_s` is
/// set.
///
/// Returns `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_set_time(
    registration: *mut dps_registration,
    now_ms: u64,
    unix_s: u64,
) -> dps_result {
    // SAFETY: as the caller promises.
    let machine = unsafe { value_mut(registration) };
    done(machine.map(|machine| {
        machine.set_wall_anchor(WallAnchor { at: Instant::from_millis(now_ms), unix: UnixSeconds::new(unix_s) });
    }))
}

/// Sets the service's time after it refused a token over MQTT, which carries no time. The caller obtains the time by
/// other means, such as an HTTPS request: `unix_s` seconds since 1970-01-01T00:00:00Z at `now_ms`. If the clock here
/// is far from it and the configuration's `correct_clock` allows it, `again` is set to true and the registration goes
/// on, once, with a token that is signed by that time: poll it again. Otherwise `again` is set to false, and the
/// failure and its hints take the time into account.
///
/// Returns `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`; `DPS_ERROR_MISUSE`, and changes nothing, when the
/// service has not refused a token.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_correct_clock(
    registration: *mut dps_registration,
    now_ms: u64,
    unix_s: u64,
    again: *mut bool,
) -> dps_result {
    let correct = || {
        // SAFETY: as the caller promises.
        let (machine, again) = unsafe { (value_mut(registration)?, output(again)?) };
        if !machine.failure().is_some_and(|failure| failure.code() == ErrorCode::Unauthorized) {
            return Err(Refused::MISUSE);
        }
        let anchor = WallAnchor { at: Instant::from_millis(now_ms), unix: UnixSeconds::new(unix_s) };
        again.write(machine.correct_clock(anchor));
        Ok(())
    };
    done(correct())
}

/// Whether the wall time was learned from the service (`dps_config.earliest_unix_s`): good for the tokens of this
/// registration and for nothing else. Do not store it, or set a clock by it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_is_time_learned(registration: *const dps_registration) -> bool {
    // SAFETY: as the caller promises.
    unsafe { value(registration) }.is_ok_and(|machine| machine.is_time_learned())
}

/// The next thing to do at `now_ms`, milliseconds on a clock that never goes back. Repeated calls are harmless.
///
/// Returns `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_poll(
    registration: *mut dps_registration,
    now_ms: u64,
    action: *mut dps_action,
) -> dps_result {
    let poll = || {
        // SAFETY: as the caller promises.
        let (machine, action) = unsafe { (value_mut(registration)?, output(action)?) };
        action.write(machine.poll(Instant::from_millis(now_ms)).into());
        Ok(())
    };
    done(poll())
}

/// `DPS_ACTION_SIGN`: the bytes to sign; empty when no signature is awaited. Valid until the next call on the
/// registration that takes it as not const.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_to_sign(registration: *const dps_registration) -> dps_span {
    // SAFETY: as the caller promises.
    unsafe { value(registration) }.map_or(dps_span::EMPTY, |machine| dps_span::from_bytes(machine.to_sign()))
}

/// `DPS_ACTION_SEND`: the SAS token, a secret: the password of MQTT, the Authorization of HTTP. Empty when no reply is
/// awaited, or the request carries none: then it has no Authorization, and CONNECT no password. Valid as that of
/// `dps_registration_to_sign`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_token(registration: *const dps_registration) -> dps_span {
    // SAFETY: as the caller promises.
    let authorization = unsafe { value(registration) }.ok().and_then(|machine| machine.authorization());
    authorization.map_or(dps_span::EMPTY, |authorization| dps_span::from_text(authorization.token))
}

/// `DPS_ACTION_SEND`: counts up with every new token, from 1. A connection made with an older one has to be made anew. 0
/// when no reply is awaited, or the request carries no token: always with a certificate.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_token_generation(registration: *const dps_registration) -> u32 {
    // SAFETY: as the caller promises.
    let authorization = unsafe { value(registration) }.ok().and_then(|machine| machine.authorization());
    authorization.map_or(0, |authorization| authorization.generation)
}

/// `DPS_ACTION_SEND`: what is asked of the service; `DPS_CALL_NONE` when no reply is awaited.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_call(registration: *const dps_registration) -> dps_call {
    // SAFETY: as the caller promises.
    match unsafe { value(registration) }.ok().and_then(|machine| machine.call()) {
        None => dps_call::DPS_CALL_NONE,
        Some(Call::Register { .. }) => dps_call::DPS_CALL_REGISTER,
        Some(Call::Status { .. }) => dps_call::DPS_CALL_STATUS,
        Some(Call::Time) => dps_call::DPS_CALL_TIME,
        Some(_) => dps_call::DPS_CALL_LOOKUP,
    }
}

/// Passes on the signature that was asked for with this `id`.
///
/// Returns `DPS_ERROR_MISUSE`, and changes nothing, when no signature is awaited with this id;
/// `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_handle_signature(
    registration: *mut dps_registration,
    now_ms: u64,
    id: u32,
    signature: *const dps_signature,
) -> dps_result {
    let handle = || {
        // SAFETY: as the caller promises.
        let (machine, signature) = unsafe { (value_mut(registration)?, dps_signature::read(signature)?) };
        Ok(machine.handle_signature(Instant::from_millis(now_ms), RequestId::new(id), signature)?)
    };
    done(handle())
}

/// Ends the registration because there will be no signature.
///
/// Returns the same as `dps_registration_handle_signature`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_handle_sign_error(
    registration: *mut dps_registration,
    now_ms: u64,
    id: u32,
) -> dps_result {
    // SAFETY: as the caller promises.
    unsafe { answer(registration, now_ms, id, |machine, now, id| machine.handle_sign_error(now, id, SignError)) }
}

/// Passes an answer on that has nothing but its id.
///
/// # Safety
/// As the caller of the exported functions promises.
pub(crate) unsafe fn answer(
    registration: *mut dps_registration,
    now_ms: u64,
    id: u32,
    handle: fn(&mut Machine, Instant, RequestId) -> Result<(), Misuse>,
) -> dps_result {
    // SAFETY: promised on.
    let machine = unsafe { value_mut(registration) };
    done(machine.and_then(|machine| Ok(handle(machine, Instant::from_millis(now_ms), RequestId::new(id))?)))
}

/// Abandons what is pending, so that the next poll asks for it again: for a caller that lost track.
///
/// Returns `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_abandon(registration: *mut dps_registration) -> dps_result {
    // SAFETY: as the caller promises.
    let machine = unsafe { value_mut(registration) };
    done(machine.map(Registration::abandon))
}

/// Ends the registration now, unless it is over; its outcome is `DPS_ERROR_CANCELLED`.
///
/// Returns `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_cancel(registration: *mut dps_registration) -> dps_result {
    // SAFETY: as the caller promises.
    let machine = unsafe { value_mut(registration) };
    done(machine.map(Registration::cancel))
}

/// Writes the operation under way, with a NUL after it: one line without a secret. Store it, and a restarted device
/// goes on from it by `dps_registration_init_resumed`.
///
/// Returns `DPS_ERROR_MISUSE` when no operation is under way; `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would
/// do in `length`; `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_write_operation(
    registration: *const dps_registration,
    out: dps_buffer,
    length: *mut usize,
) -> dps_result {
    let write = || {
        // SAFETY: as the caller promises.
        let operation = unsafe { value(registration)? }.operation().ok_or(Refused::MISUSE)?;
        // SAFETY: as above.
        unsafe { write_text(out, length, |text| operation.write_to(text)) }
    };
    done(write())
}

/// Ends the use of a registration and wipes its storage, which is the caller's again, as are the texts it was given.
/// Null, and memory that holds no registration, do no harm.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_clear(registration: *mut dps_registration) {
    // SAFETY: as the caller promises.
    unsafe { clear(registration) }
}

/// The request whose reply is awaited.
///
/// # Safety
/// As the caller of the exported functions promises.
pub(crate) unsafe fn pending<'a>(registration: *const dps_registration) -> Outcome<Request<'a>> {
    // SAFETY: promised on.
    unsafe { value(registration)? }.request().ok_or(Refused::MISUSE)
}
