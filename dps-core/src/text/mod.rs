//! Text into fixed buffers: a bounded writer, percent-encoding, decimal numbers and base64.
//!
//! Writing never fails half way: the writer counts on when the buffer is full, so that the caller learns the
//! size that is needed. Nothing here panics or divides 64-bit numbers.

mod base64;
mod byte_str;
mod utf8;

use core::fmt;

use thiserror::Error;

pub(crate) use base64::{decode_base64, is_hex};
pub use byte_str::ByteStr;
pub(crate) use utf8::character_len;

/// The buffer is too small for what was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("the buffer is too small: {needed} bytes are needed")]
pub struct TooSmall {
    /// The size, in bytes, that would do; `usize::MAX` where none would.
    pub needed: usize,
}

/// A writer into a buffer of fixed size.
///
/// ```
/// use dps_core::Text;
/// let mut buffer = [0; 16];
/// let mut text = Text::new(&mut buffer);
/// text.push("id=");
/// text.push_percent("a/b");
/// assert_eq!(text.finish()?, "id=a%2Fb");
/// # Ok::<(), dps_core::TooSmall>(())
/// ```
#[derive(Debug)]
pub struct Text<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> Text<'b> {
    /// A writer at the start of `buffer`.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// A writer that goes on after the first `len` bytes of `buffer`.
    pub fn after(buffer: &'b mut [u8], len: usize) -> Self {
        Self { buffer, len }
    }

    /// Bytes written so far, counting those that did not fit.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes it fail: what was to be written does not exist.
    pub(crate) fn fail(&mut self) {
        self.len = usize::MAX;
    }

    /// Writes bytes as they are.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        if let Some(free) = self.buffer.get_mut(self.len..).and_then(|free| free.get_mut(..bytes.len())) {
            for (to, from) in free.iter_mut().zip(bytes) {
                *to = *from;
            }
        }
        self.len = self.len.saturating_add(bytes.len());
    }

    /// Writes a string as it is.
    #[inline]
    pub fn push(&mut self, string: impl AsRef<[u8]>) {
        self.push_bytes(string.as_ref());
    }

    /// Writes one byte.
    // Once in firmware.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub fn push_byte(&mut self, byte: u8) {
        if let Some(slot) = self.buffer.get_mut(self.len) {
            *slot = byte;
        }
        self.len = self.len.saturating_add(1);
    }

    /// Writes a string with everything outside the unreserved set of RFC 3986 as `%` and two upper-case hex digits.
    #[inline]
    pub fn push_percent(&mut self, string: impl AsRef<[u8]>) {
        self.push_percent_bytes(string.as_ref());
    }

    fn push_percent_bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if is_unreserved(byte) {
                self.push_byte(byte);
            } else {
                self.push_byte(b'%');
                self.push_byte(hex_digit(byte >> 4));
                self.push_byte(hex_digit(byte & 15));
            }
        }
    }

    /// Writes a number in decimal.
    pub fn push_decimal(&mut self, number: u64) {
        let mut rest = number;
        let mut digits = [0_u8; 20];
        let mut length = 0_usize;
        for place in digits.iter_mut().rev() {
            *place = b'0' | divide_by_ten(&mut rest);
            length = length.saturating_add(1);
            if rest == 0 {
                break;
            }
        }
        self.push_bytes(digits.get(digits.len().saturating_sub(length)..).unwrap_or(&[]));
    }

    /// Writes bytes as base64 with padding (RFC 4648, section 4).
    pub fn push_base64(&mut self, bytes: &[u8]) {
        base64::encode(bytes, self, Self::push_bytes);
    }

    /// Writes bytes as percent-encoded base64, as the signature in a token.
    pub fn push_base64_percent(&mut self, bytes: &[u8]) {
        base64::encode(bytes, self, Self::push_percent_bytes);
    }

    /// The text, if it did fit.
    ///
    /// # Errors
    /// [`TooSmall`] with the size that would do.
    pub fn finish(self) -> Result<&'b str, TooSmall> {
        let needed = self.len;
        let written: &'b [u8] = self.buffer;
        written.get(..needed).and_then(|bytes| core::str::from_utf8(bytes).ok()).ok_or(TooSmall { needed })
    }

    /// How many bytes were written, if they did fit.
    ///
    /// # Errors
    /// [`TooSmall`] with the size that would do.
    pub fn finish_len(self) -> Result<usize, TooSmall> {
        if self.len <= self.buffer.len() { Ok(self.len) } else { Err(TooSmall { needed: self.len }) }
    }
}

/// Never fails: bytes that do not fit are counted, as in the other functions that write.
impl fmt::Write for Text<'_> {
    fn write_str(&mut self, string: &str) -> fmt::Result {
        self.push_bytes(string.as_bytes());
        Ok(())
    }
}

/// Divides by ten, and returns the remainder. A Cortex-M divides no 64-bit numbers by itself, and the routine for it is most
/// of a kilobyte: there it is long division, byte by byte.
fn divide_by_ten(number: &mut u64) -> u8 {
    if cfg!(target_pointer_width = "64") {
        let remainder = *number % 10;
        *number /= 10;
        return remainder as u8;
    }
    let mut bytes = number.to_be_bytes();
    let mut remainder = 0_u32;
    for byte in &mut bytes {
        let part = (remainder << 8) | u32::from(*byte);
        *byte = (part / 10) as u8;
        remainder = part % 10;
    }
    *number = u64::from_be_bytes(bytes);
    remainder as u8
}

fn is_unreserved(byte: u8) -> bool {
    is_alphanumeric_or(byte, b"-._~")
}

/// Whether `byte` is an ASCII letter, a digit, or one of the others.
pub(crate) fn is_alphanumeric_or(byte: u8, others: &[u8]) -> bool {
    byte.is_ascii_alphanumeric() || has(others, byte)
}

#[expect(clippy::manual_contains, reason = "its search by words is several times the size in firmware")]
pub(crate) fn has(bytes: &[u8], byte: u8) -> bool {
    bytes.iter().any(|found| *found == byte)
}

/// The number that decimal digits are, if it is one that fits.
pub(crate) fn parse_decimal(digits: &[u8]) -> Option<u32> {
    let value = |byte: u8| byte.is_ascii_digit().then(|| u32::from(byte.wrapping_sub(b'0')));
    let (first, rest) = digits.split_first()?;
    rest.iter().try_fold(value(*first)?, |number, byte| number.checked_mul(10)?.checked_add(value(*byte)?))
}

/// What is before and after the first such byte, an ASCII one; `core`'s own search by character is several times
/// the size in firmware.
pub(crate) fn split_once(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|found| found == byte)?;
    Some((text.get(..at)?, text.get(at.saturating_add(1)..)?))
}

/// The length of a string once percent-encoded.
#[must_use]
pub fn percent_len(string: impl AsRef<[u8]>) -> usize {
    string.as_ref().iter().map(|byte| if is_unreserved(*byte) { 1 } else { 3 }).fold(0, usize::saturating_add)
}

fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0'.wrapping_add(nibble) } else { b'A'.wrapping_sub(10).wrapping_add(nibble) }
}

/// The parts of a text between the places of `byte`, an ASCII character.
pub(crate) fn split(text: &str, byte: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    core::iter::from_fn(move || {
        let text = rest?;
        let (part, after) = split_once(text, byte).map_or((text, None), |(part, after)| (part, Some(after)));
        rest = after;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn written(write: impl FnOnce(&mut Text<'_>)) -> String {
        let mut buffer = [0; 512];
        let mut text = Text::new(&mut buffer);
        write(&mut text);
        text.finish().unwrap().into()
    }

    #[test]
    fn full_buffer_returns_the_needed_size() {
        let mut buffer = [0; 4];
        let mut text = Text::new(&mut buffer);
        text.push("abc");
        text.push("de");
        text.push_decimal(7);
        assert_eq!(text.finish(), Err(TooSmall { needed: 6 }));
    }

    #[test]
    fn decimal_covers_the_whole_range() {
        for number in [0, 7, 10, 99, 100, 1_767_225_600, u64::from(u32::MAX) + 1, u64::MAX] {
            assert_eq!(written(|text| text.push_decimal(number)), number.to_string());
        }
    }

    #[test]
    fn text_is_split_as_the_standard_library_splits_it() {
        for text in ["", "a", "a&b", "&", "&&", "a&", "&a", "é&ü&b"] {
            assert_eq!(split(text, b'&').collect::<Vec<_>>(), text.split('&').collect::<Vec<_>>(), "{text:?}");
            assert_eq!(split_once(text, b'&'), text.split_once('&'), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn percent_encoding_is_what_the_percent_encoding_crate_says(input in "\\PC{0,40}") {
            const KEEP: percent_encoding::AsciiSet =
                percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
            let expected = percent_encoding::utf8_percent_encode(&input, &KEEP).to_string();
            prop_assert_eq!(percent_len(&input), expected.len());
            prop_assert_eq!(written(|text| text.push_percent(&input)), expected);
        }

        #[test]
        fn a_signature_is_encoded_twice(bytes in any::<[u8; 32]>()) {
            let base64 = written(|text| text.push_base64(&bytes));
            prop_assert_eq!(written(|text| text.push_base64_percent(&bytes)), written(|text| text.push_percent(&base64)));
        }
    }
}
