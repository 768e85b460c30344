//! The caller's memory: what spans, buffers and objects point to. The one way by which a pointer becomes a reference.
//!
//! What can be checked is checked here: null, alignment, impossible lengths, text that is not UTF-8, an object that was
//! not made, a registration that was copied. That a pointer that is not null points to memory of the caller's, and that
//! no other thread uses it meanwhile, is the caller's promise.

use core::mem::{MaybeUninit, align_of, size_of};
use core::ptr;

use dps_core::{ErrorCode, Text};

use crate::result::{Outcome, Refused};
use crate::span::{dps_buffer, dps_span};

/// The bytes of a span.
///
/// # Safety
/// They stay as they are for `'a`.
pub(crate) unsafe fn bytes<'a>(span: dps_span) -> Outcome<&'a [u8]> {
    if span.len == 0 {
        return Ok(&[]);
    }
    if span.ptr.is_null() || span.len > isize::MAX as usize {
        return Err(Refused::ARGUMENT);
    }
    // SAFETY: neither null nor impossibly long; the rest is promised.
    Ok(unsafe { core::slice::from_raw_parts(span.ptr.cast(), span.len) })
}

/// The text of a span that can only be ASCII; `otherwise` is what is wrong with any other.
///
/// # Safety
/// As [`bytes`].
pub(crate) unsafe fn ascii<'a>(span: dps_span, otherwise: ErrorCode) -> Outcome<&'a str> {
    // SAFETY: promised on.
    let bytes = unsafe { bytes(span)? };
    if !bytes.is_ascii() {
        return Err(otherwise.into());
    }
    // SAFETY: ASCII is UTF-8.
    Ok(unsafe { core::str::from_utf8_unchecked(bytes) })
}

/// The memory of a buffer.
///
/// # Safety
/// Nothing else uses it for `'a`.
pub(crate) unsafe fn buffer<'a>(buffer: dps_buffer) -> Outcome<&'a mut [u8]> {
    if buffer.len == 0 {
        return Ok(&mut []);
    }
    if buffer.ptr.is_null() || buffer.len > isize::MAX as usize {
        return Err(Refused::ARGUMENT);
    }
    // SAFETY: neither null nor impossibly long; the rest is promised.
    Ok(unsafe { core::slice::from_raw_parts_mut(buffer.ptr.cast(), buffer.len) })
}

/// A place for a result.
///
/// # Safety
/// It is the caller's to write to for `'a`.
pub(crate) unsafe fn output<'a, T>(place: *mut T) -> Outcome<&'a mut MaybeUninit<T>> {
    usable(place)?;
    // SAFETY: neither null nor misaligned; what is there is not read.
    Ok(unsafe { &mut *place.cast() })
}

/// Refuses a pointer that no reference can be made of.
pub(crate) fn usable<T>(place: *const T) -> Outcome<()> {
    if place.is_null() || !place.is_aligned() { Err(Refused::ARGUMENT) } else { Ok(()) }
}

/// A struct or an object to look at only.
///
/// # Safety
/// It has a value, and nothing changes it for `'a`.
pub(crate) unsafe fn shared<'a, T>(place: *const T) -> Outcome<&'a T> {
    usable(place)?;
    // SAFETY: neither null nor misaligned; the rest is promised.
    Ok(unsafe { &*place })
}

/// An object as C sees it: opaque memory of a known size, and what Rust keeps there.
pub(crate) trait Object: Sized {
    /// What Rust keeps there.
    type Value;
    /// Tells objects of one kind from those of another, and from memory that holds none.
    const MARK: usize;
    /// Whether a copy is not an object: there is memory that only one of the two can use.
    const BOUND: bool;
    /// Refuses to compile when the memory that C sets aside is too small.
    const FITS: () = assert!(
        size_of::<Slot<Self::Value>>() <= size_of::<Self>() && align_of::<Slot<Self::Value>>() <= align_of::<Self>(),
        "the size in the C header is too small for the Rust value"
    );
}

/// What is in an object's memory. The seal of a bound object is made of its address.
#[repr(C)]
pub(crate) struct Slot<V> {
    seal: usize,
    value: V,
}

fn seal<O: Object>(object: *const O) -> usize {
    if O::BOUND { object.addr() ^ O::MARK } else { O::MARK }
}

/// Makes an object in place: writes the value of `empty` into its memory, then calls `fill` on it. The memory holds no
/// object until `fill` is done, and none after an error, when the value is dropped. What was there before is
/// overwritten.
///
/// # Safety
/// As [`output`].
pub(crate) unsafe fn make<O: Object>(
    object: *mut O,
    empty: impl FnOnce() -> O::Value,
    fill: impl FnOnce(&mut O::Value) -> Outcome<()>,
) -> Outcome<()> {
    // SAFETY: promised on.
    let slot = unsafe { unsealed(object)? };
    let made = fill(slot.value.write(empty()));
    match made {
        Ok(()) => slot.seal = seal(object),
        // SAFETY: it was written above, and without a seal nobody uses it again.
        Err(_) => unsafe { slot.value.assume_init_drop() },
    }
    made
}

/// As [`make`], with a value that is built in place: the reference proves that it was.
///
/// # Safety
/// As [`output`].
pub(crate) unsafe fn make_in<'p, O: Object<Value: 'p> + 'p>(
    object: *mut O,
    build: impl FnOnce(&'p mut MaybeUninit<O::Value>) -> Outcome<&'p mut O::Value>,
) -> Outcome<()> {
    // SAFETY: promised on.
    let slot = unsafe { unsealed(object)? };
    build(&mut slot.value)?;
    slot.seal = seal(object);
    Ok(())
}

/// Memory for a new object; it holds no object until it is sealed.
///
/// # Safety
/// As [`output`].
unsafe fn unsealed<'a, O: Object>(object: *mut O) -> Outcome<&'a mut Slot<MaybeUninit<O::Value>>> {
    let () = O::FITS;
    // SAFETY: promised on.
    let memory: *mut MaybeUninit<O> = unsafe { output(object)? };
    // SAFETY: it is large and aligned enough, which was checked when this was compiled.
    let memory = unsafe { &mut *memory.cast::<MaybeUninit<Slot<MaybeUninit<O::Value>>>>() };
    Ok(memory.write(Slot { seal: 0, value: MaybeUninit::uninit() }))
}

/// The value in an object.
///
/// # Safety
/// Nothing else uses the object for `'a`.
pub(crate) unsafe fn value_mut<'a, O: Object>(object: *mut O) -> Outcome<&'a mut O::Value> {
    // SAFETY: promised on; the reference does not outlive the check.
    unsafe { value(object.cast_const())? };
    // SAFETY: the seal proves that a value was put there.
    Ok(unsafe { &mut (*object.cast::<Slot<O::Value>>()).value })
}

/// As [`value_mut`], to look only.
///
/// # Safety
/// Nothing changes the object for `'a`.
pub(crate) unsafe fn value<'a, O: Object>(object: *const O) -> Outcome<&'a O::Value> {
    // SAFETY: promised on; the seal is what comes first in the memory of an object.
    unsafe { check_seal(object.cast(), align_of::<O>(), seal(object))? };
    // SAFETY: the seal proves that a value was put there.
    Ok(unsafe { &(*object.cast::<Slot<O::Value>>()).value })
}

/// Refuses null, what is less aligned, and what has another seal. Not generic, so that firmware has one of this.
///
/// # Safety
/// As [`value`].
#[inline(never)]
unsafe fn check_seal(object: *const usize, alignment: usize, seal: usize) -> Outcome<()> {
    // A power of two: no division, which a Cortex-M0+ does not have.
    if object.is_null() || object.addr() & alignment.wrapping_sub(1) != 0 {
        return Err(Refused::ARGUMENT);
    }
    // SAFETY: neither null nor misaligned; promised on.
    if unsafe { object.read() } == seal { Ok(()) } else { Err(Refused::OBJECT) }
}

/// Drops the value in an object, if there is one.
///
/// # Safety
/// As [`value_mut`].
pub(crate) unsafe fn clear<O: Object>(object: *mut O) {
    // SAFETY: promised on; the seal is broken, so that nobody uses the value again.
    unsafe {
        if let Ok(value) = value_mut(object) {
            ptr::drop_in_place(value);
            (*object.cast::<Slot<MaybeUninit<O::Value>>>()).seal = 0;
        }
    }
}

/// Writes text with a NUL after it. Where it does not fit, `length` is the size that would do, and `out` holds an empty
/// string and parts of the text after that.
///
/// # Safety
/// As [`buffer`] and [`output`].
pub(crate) unsafe fn write_text(out: dps_buffer, length: *mut usize, write: impl FnOnce(&mut Text<'_>)) -> Outcome<()> {
    // SAFETY: promised on.
    let (out, length) = unsafe { (buffer(out)?, output(length)?) };
    let mut text = Text::new(&mut *out);
    write(&mut text);
    let written = text.len();
    end_text(out, written, length)
}

/// Ends a text as [`write_text`] does, when so many bytes of it were written, or would have been.
#[inline(never)]
pub(crate) fn end_text(out: &mut [u8], written: usize, length: &mut MaybeUninit<usize>) -> Outcome<()> {
    if let Some(nul) = out.get_mut(written) {
        *nul = 0;
        length.write(written);
        return Ok(());
    }
    if let Some(first) = out.first_mut() {
        *first = 0;
    }
    length.write(written.saturating_add(1));
    Err(Refused::TOO_SMALL)
}

#[cfg(test)]
mod tests {
    //! Written for Miri too, which finds references that must not be: `cargo xtask miri`.

    use super::*;
    use crate::config::{dps_config, dps_config_default, dps_registration_storage_size};
    use crate::key::{dps_key, dps_key_derive, dps_key_from_base64, dps_key_sign, dps_key_wipe, dps_signature};
    use crate::registration::{
        dps_registration, dps_registration_clear, dps_registration_init, dps_registration_poll,
        dps_registration_set_time, dps_registration_to_sign,
    };
    use crate::result::{DPS_OK, done};

    const GROUP_KEY: &str = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";

    fn refused(refusal: Refused) -> crate::result::dps_result {
        done(Err(refusal))
    }

    fn zeroed<T>() -> T {
        // SAFETY: used for C structs and opaque memory only, for which zero is valid.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }

    /// An object is memory to Rust too: the value in it has padding.
    type Memory<T> = MaybeUninit<T>;

    fn key() -> Memory<dps_key> {
        let mut key = Memory::zeroed();
        // SAFETY: both live.
        assert_eq!(unsafe { dps_key_from_base64(key.as_mut_ptr(), dps_span::from_text(GROUP_KEY)) }, DPS_OK);
        key
    }

    /// A constant object in memory that is read-only for Rust: a `&mut` to it would be undefined behavior.
    #[test]
    fn constant_key_signs() {
        let key = key();
        let shared = &key;
        let (mut first, mut second): (dps_signature, dps_signature) = (zeroed(), zeroed());
        // SAFETY: all live; `shared` is only read.
        unsafe {
            assert_eq!(dps_key_sign(shared.as_ptr(), dps_span::from_text("x"), &mut first), DPS_OK);
            assert_eq!(dps_key_sign(shared.as_ptr(), dps_span::from_text("x"), &mut second), DPS_OK);
        }
        assert_eq!(first.bytes, second.bytes);
    }

    #[test]
    fn copied_key_signs_and_wiped_key_does_not() {
        let original = key();
        let mut copy: Memory<dps_key> = Memory::uninit();
        let mut signature: dps_signature = zeroed();
        // SAFETY: the copy is of the same size; a key is bytes.
        unsafe {
            ptr::copy_nonoverlapping(&original, &mut copy, 1);
            assert_eq!(dps_key_sign(copy.as_ptr(), dps_span::from_text("x"), &mut signature), DPS_OK);
            dps_key_wipe(copy.as_mut_ptr());
            assert_eq!(dps_key_sign(copy.as_ptr(), dps_span::from_text("x"), &mut signature), refused(Refused::OBJECT));
        }
    }

    #[test]
    fn key_is_derived_from_constant_group_key_only_into_another() {
        let (mut group, mut device) = (key(), Memory::<dps_key>::zeroed());
        let (id, both) = (dps_span::from_text("dev-01"), group.as_mut_ptr());
        // SAFETY: all live.
        unsafe {
            assert_eq!(dps_key_derive(both, id, both), refused(Refused::ARGUMENT));
            assert_eq!(dps_key_derive(group.as_ptr(), id, device.as_mut_ptr()), DPS_OK);
        }
    }

    #[test]
    fn memory_of_failed_make_holds_no_key_and_no_byte_of_it() {
        let mut object = key();
        let mut signature: dps_signature = zeroed();
        let cut_off = dps_span::from_text("8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE*");
        // SAFETY: all live; of the object, the bytes of the value are read, which has no padding.
        unsafe {
            assert_ne!(dps_key_from_base64(object.as_mut_ptr(), cut_off), DPS_OK);
            assert_eq!(
                dps_key_sign(object.as_ptr(), dps_span::from_text("x"), &mut signature),
                refused(Refused::OBJECT)
            );
            let value = object.as_ptr().cast::<u8>().add(size_of::<usize>());
            assert!(core::slice::from_raw_parts(value, size_of::<dps_core::Key>()).iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn text_that_finds_no_room_leaves_an_empty_string() {
        for size in 0..7 {
            let (mut memory, mut length) = ([b'-'; 9], 0);
            let (out, beyond) = memory.split_at_mut(size);
            let place = dps_buffer { ptr: out.as_mut_ptr().cast(), len: size };
            // SAFETY: both live.
            let written = unsafe {
                write_text(place, &mut length, |text| {
                    text.push("abc");
                    text.push("def");
                })
            };
            assert_eq!((written, length), (Err(Refused::TOO_SMALL), 7), "{size}");
            assert!(out.first().is_none_or(|first| *first == 0) && beyond.iter().all(|byte| *byte == b'-'), "{size}");
        }
    }

    #[test]
    fn registration_runs_in_caller_memory_and_its_copy_is_refused() {
        let mut config: dps_config = zeroed();
        let (mut storage, mut size) = ([0_u8; 1280], 0);
        let (mut object, mut copied) = (Memory::<dps_registration>::zeroed(), Memory::zeroed());
        let registration = object.as_mut_ptr();
        let mut action = MaybeUninit::<crate::action::dps_action>::uninit();
        // SAFETY: all live; the storage outlives the registration.
        unsafe {
            assert_eq!(dps_config_default(&mut config), DPS_OK);
            config.id_scope = dps_span::from_text("0ne00A1B2C3");
            config.registration_id = dps_span::from_text("dev-01");
            assert_eq!(dps_registration_storage_size(&config, &mut size), DPS_OK);
            let place = dps_buffer { ptr: storage.as_mut_ptr().cast(), len: size };
            assert_eq!(dps_registration_init(registration, &config, place), DPS_OK);
            assert_eq!(dps_registration_set_time(registration, 0, 1_767_225_600), DPS_OK);
            assert_eq!(dps_registration_poll(registration, 0, action.as_mut_ptr()), DPS_OK);
            let to_sign = dps_registration_to_sign(registration);
            let mut signature: dps_signature = zeroed();
            assert_eq!(dps_key_sign(key().as_ptr(), to_sign, &mut signature), DPS_OK);
            ptr::copy_nonoverlapping(registration, copied.as_mut_ptr(), 1);
            assert_eq!(dps_registration_poll(copied.as_mut_ptr(), 0, action.as_mut_ptr()), refused(Refused::OBJECT));
            dps_registration_clear(copied.as_mut_ptr());
            dps_registration_clear(registration);
        }
        assert!(storage.iter().take(size).all(|byte| *byte == 0));
    }

    #[test]
    fn failed_make_leaves_no_registration_where_one_was() {
        let mut config: dps_config = zeroed();
        let mut storage = [0_u8; 1280];
        let mut object = Memory::<dps_registration>::zeroed();
        let registration = object.as_mut_ptr();
        let mut action = MaybeUninit::<crate::action::dps_action>::uninit();
        let whole = dps_buffer { ptr: storage.as_mut_ptr().cast(), len: storage.len() };
        let no_storage = dps_buffer { ptr: ptr::null_mut(), len: 0 };
        // SAFETY: all live; the storage outlives the registration.
        unsafe {
            assert_eq!(dps_config_default(&mut config), DPS_OK);
            config.id_scope = dps_span::from_text("0ne00A1B2C3");
            config.registration_id = dps_span::from_text("dev-01");
            let failures =
                [(ptr::null(), whole, Refused::ARGUMENT), (ptr::from_ref(&config), no_storage, Refused::TOO_SMALL)];
            for (config_of_failure, storage, reason) in failures {
                assert_eq!(dps_registration_init(registration, &config, whole), DPS_OK);
                assert_eq!(dps_registration_init(registration, config_of_failure, storage), refused(reason));
                let polled = dps_registration_poll(registration, 0, action.as_mut_ptr());
                assert_eq!(polled, refused(Refused::OBJECT));
            }
        }
    }
}
