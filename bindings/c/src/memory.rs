//! The caller's memory: spans, buffers, objects. The one way by which a pointer becomes a reference.
//!
//! What can be checked is checked here: null, alignment, impossible lengths, text that is no UTF-8, an object that was
//! not made or was copied. That a pointer that is not null points to memory of the caller's, and that no other thread
//! uses it meanwhile, is the caller's promise.

use core::mem::{MaybeUninit, align_of, size_of};
use core::ptr;

use dps_core::ErrorCode;
use dps_core::text::Text;

use crate::result::{Outcome, Refused};

/// Bytes to read: `len` bytes at `ptr`. Text needs no NUL at its end. `ptr` may be null when `len` is 0.
///
/// A span that the library gives points into memory of the caller's or into constants; each comment says for how long.
/// To print one: `printf("%.*s", (int)span.len, span.ptr)`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_span {
    /// The first byte.
    pub ptr: *const core::ffi::c_char,
    /// How many there are.
    pub len: usize,
}

/// Memory to write to: `len` bytes at `ptr`. `ptr` may be null when `len` is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_buffer {
    /// The first byte.
    pub ptr: *mut core::ffi::c_void,
    /// How many there are.
    pub len: usize,
}

/// The span of a text that ends with a NUL, which is left out. Null gives the empty span. Lives as long as the text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_span_of(text: *const core::ffi::c_char) -> dps_span {
    let mut len = 0;
    // SAFETY: the caller promises a NUL, and every byte before it is of the same text.
    while !text.is_null() && unsafe { text.add(len).read() } != 0 {
        len += 1;
    }
    dps_span { ptr: text, len }
}

impl dps_span {
    /// No bytes.
    pub(crate) const EMPTY: Self = Self { ptr: ptr::null(), len: 0 };

    pub(crate) fn of(text: &str) -> Self {
        Self { ptr: text.as_ptr().cast(), len: text.len() }
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr().cast(), len: bytes.len() }
    }

    pub(crate) fn of_option(text: Option<&str>) -> Self {
        text.map_or(Self::EMPTY, Self::of)
    }
}

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

/// The text of a span.
///
/// # Safety
/// As [`bytes`].
pub(crate) unsafe fn text<'a>(span: dps_span) -> Outcome<&'a str> {
    // SAFETY: promised on.
    let bytes = unsafe { bytes(span)? };
    core::str::from_utf8(bytes).map_err(|_| Refused::ARGUMENT)
}

/// The text of a span that can only be ASCII; `otherwise` is what is wrong with any other. Smaller in firmware than
/// [`text`].
///
/// # Safety
/// As [`bytes`].
pub(crate) unsafe fn ascii<'a>(span: dps_span, otherwise: ErrorCode) -> Outcome<&'a str> {
    // SAFETY: promised on.
    let bytes = unsafe { bytes(span)? };
    if !bytes.is_ascii() {
        return Err(Refused(otherwise));
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
    // SAFETY: null and misaligned are refused; what stands there is not read.
    unsafe { reference(place.cast::<MaybeUninit<T>>()) }
}

/// A struct that the caller filled in.
///
/// # Safety
/// It was filled in, and stays so for `'a`.
pub(crate) unsafe fn input<'a, T>(place: *const T) -> Outcome<&'a T> {
    // SAFETY: null and misaligned are refused; the rest is promised.
    unsafe { reference(place.cast_mut()).map(|place| &*place) }
}

unsafe fn reference<'a, T>(place: *mut T) -> Outcome<&'a mut T> {
    if place.is_null() || !place.is_aligned() {
        return Err(Refused::ARGUMENT);
    }
    // SAFETY: neither null nor misaligned; the rest is promised.
    Ok(unsafe { &mut *place })
}

/// An object as C sees it: opaque memory of a known size, and what Rust keeps there.
pub(crate) trait Object: Sized {
    /// What Rust keeps there.
    type Value;
    /// Tells objects of one kind from those of another, and from memory that holds none.
    const MARK: usize;
    /// Refuses to compile when the memory that C sets aside is too small.
    const FITS: () = assert!(
        size_of::<Slot<Self::Value>>() <= size_of::<Self>() && align_of::<Slot<Self::Value>>() <= align_of::<Self>(),
        "the size in the C header is too small for the Rust value"
    );
}

/// What stands in an object's memory. The seal is made of the address, so that a copy is not taken for the object.
#[repr(C)]
pub(crate) struct Slot<V> {
    seal: usize,
    value: V,
}

fn seal<O: Object>(object: *const O) -> usize {
    object.addr() ^ O::MARK
}

/// A value on its way into an object.
pub(crate) struct Vacant<'a, O: Object>(&'a mut MaybeUninit<O>);

/// Memory for a new object; whatever stood there is forgotten.
///
/// # Safety
/// As [`output`].
pub(crate) unsafe fn vacant<'a, O: Object>(object: *mut O) -> Outcome<Vacant<'a, O>> {
    // SAFETY: promised on.
    unsafe { output(object).map(Vacant) }
}

impl<O: Object> Vacant<'_, O> {
    pub(crate) fn put(self, value: O::Value) {
        let () = O::FITS;
        let object = self.0.as_mut_ptr();
        // SAFETY: the memory is large and aligned enough, which was checked when this was compiled.
        unsafe { object.cast::<Slot<O::Value>>().write(Slot { seal: seal(object), value }) }
    }
}

/// The value in an object.
///
/// # Safety
/// Nothing else uses the object for `'a`.
pub(crate) unsafe fn value_mut<'a, O: Object>(object: *mut O) -> Outcome<&'a mut O::Value> {
    // SAFETY: null and misaligned are refused; as large as the value needs.
    let slot = unsafe { reference(object.cast::<Slot<MaybeUninit<O::Value>>>())? };
    if slot.seal != seal(object) {
        return Err(Refused::MISUSE);
    }
    // SAFETY: the seal says that a value was put there.
    Ok(unsafe { slot.value.assume_init_mut() })
}

/// As [`value_mut`], to look only.
///
/// # Safety
/// Nothing changes the object for `'a`.
pub(crate) unsafe fn value<'a, O: Object>(object: *const O) -> Outcome<&'a O::Value> {
    // SAFETY: promised on.
    unsafe { value_mut(object.cast_mut()).map(|value| &*value) }
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

/// Writes text with a NUL behind it, or nothing when it does not fit; `length` then says what would.
pub(crate) fn write_text(
    out: &mut [u8],
    length: &mut MaybeUninit<usize>,
    write: &dyn Fn(&mut Text<'_>),
) -> Outcome<()> {
    let mut measured = Text::new(&mut []);
    write(&mut measured);
    let needed = measured.len().saturating_add(1);
    if needed > out.len() {
        length.write(needed);
        return Err(Refused::TOO_SMALL);
    }
    let mut text = Text::new(out);
    write(&mut text);
    length.write(text.len());
    text.push_byte(0);
    Ok(())
}
