//! Spans and buffers: memory of the caller's, as a pointer and a length; how it is wiped.

use core::ptr;

use dps_core::ByteStr;

/// Bytes to read: `len` bytes at `ptr`. Text needs no NUL at its end. `ptr` may be null when `len` is 0.
///
/// A span that the library returns points into memory of the caller's or into constants; each comment says for how
/// long. To print one: `printf("%.*s", (int)span.len, span.ptr)`.
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

/// The span of a string that ends with a NUL, which is left out. Null becomes the empty span. Lives as long as the
/// string.
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

    pub(crate) fn from_text<'a>(text: impl Into<ByteStr<'a>>) -> Self {
        Self::from_bytes(text.into().as_bytes())
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr().cast(), len: bytes.len() }
    }

    pub(crate) fn from_option<'a>(text: Option<impl Into<ByteStr<'a>>>) -> Self {
        text.map_or(Self::EMPTY, Self::from_text)
    }
}

/// Overwrites `length` bytes at `memory` with zeros in a way that no compiler removes: for a key's text, a signature, a
/// token or a request that was sent. `memset` of memory that is not used again is removed by optimizers. Null does no
/// harm.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_wipe(memory: *mut core::ffi::c_void, length: usize) {
    if memory.is_null() {
        return;
    }
    for at in 0..length {
        // SAFETY: the caller promises `length` bytes.
        unsafe { memory.cast::<u8>().add(at).write_volatile(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wiped_memory_is_zero() {
        let mut memory = [7_u8; 9];
        // SAFETY: it has eight bytes and more; null is allowed.
        unsafe {
            dps_wipe(memory.as_mut_ptr().cast(), 8);
            dps_wipe(ptr::null_mut(), 8);
        }
        assert_eq!(memory, [0, 0, 0, 0, 0, 0, 0, 0, 7]);
    }
}
