//! Base64 (RFC 4648, section 4), many digits at a time.
//!
//! By arithmetic alone, for it is keys that are read and written here: a table would leave a trace of them in the
//! cache, and a branch one in the time it takes.

use thiserror::Error;
use zeroize::Zeroize as _;

/// Digits that are decoded at once: more than the longest key has.
const BLOCK: usize = 96;
const BLOCK_BYTES: usize = BLOCK / 4 * 3;
const VALUE_MAX: u8 = 63;

/// Why text is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Base64Error {
    /// A character that is no base64 digit stands at this byte offset.
    #[error("the character at offset {0} is not a base64 digit")]
    Digit(usize),
    /// The text breaks off: one digit alone carries no byte, or the padding is wrong.
    #[error("the text is cut off or wrongly padded")]
    Length,
    /// The decoded bytes do not fit.
    #[error("the decoded text is too long: {0} bytes")]
    TooLong(usize),
}

/// Hands the digits of `bytes`, and the padding, to `push`: eight or four at a time.
pub(super) fn encode(bytes: &[u8], push: &mut impl FnMut(&[u8])) {
    let mut rest = bytes;
    // Where a word has no room for eight digits, this would only be larger.
    if cfg!(target_pointer_width = "64") {
        // Six bytes are used; eight are one load.
        while let Some(eight) = rest.first_chunk() {
            push(&digits(u64::from_be_bytes(*eight) >> 16));
            rest = rest.get(6..).unwrap_or_default();
        }
    }
    for group in rest.chunks(3) {
        let byte = |index| group.get(index).copied().unwrap_or(0);
        let word = u32::from_be_bytes([0, byte(0), byte(1), byte(2)]);
        let third = if group.len() > 1 { digit(word >> 6) } else { b'=' };
        let fourth = if group.len() > 2 { digit(word) } else { b'=' };
        push(&[digit(word >> 18), digit(word >> 12), third, fourth]);
    }
}

/// The digit of the low six bits.
fn digit(bits: u32) -> u8 {
    let value = (bits & 63) as u8;
    let mut digit = value.wrapping_add(b'A');
    digit = digit.wrapping_add(if value > 25 { 6 } else { 0 });
    digit = digit.wrapping_sub(if value > 51 { 75 } else { 0 });
    digit = digit.wrapping_sub(if value > 61 { 15 } else { 0 });
    digit.wrapping_add(if value > 62 { 3 } else { 0 })
}

/// Decodes base64 (RFC 4648, section 4) into `out` and gives the number of bytes. Padding may be missing.
///
/// # Errors
/// [`Base64Error`] with the place of the first wrong character, or with the size that would do.
pub fn decode_base64(text: &[u8], out: &mut [u8]) -> Result<usize, Base64Error> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = text.get(..text.len().saturating_sub(padding)).unwrap_or_default();
    let wrong_length = padding > 2 || (padding > 0 && !text.len().is_multiple_of(4)) || digits.len() % 4 == 1;
    // On 32 bits a word does not hold eight digits: decoding one digit at a time is as fast and much smaller.
    let decode = if cfg!(target_pointer_width = "64") { decode_blocks } else { decode_each };
    let len = decode(digits, out).map_err(Base64Error::Digit)?;
    // A wrong character says more than a wrong length.
    match len {
        _ if wrong_length => Err(Base64Error::Length),
        len if len > out.len() => Err(Base64Error::TooLong(len)),
        len => Ok(len),
    }
}

/// Decodes several digits at a time. Returns the number of bytes, or the offset of the first character that is not a
/// digit.
fn decode_blocks(digits: &[u8], out: &mut [u8]) -> Result<usize, usize> {
    let mut len = 0_usize;
    for (index, chunk) in digits.chunks(BLOCK).enumerate() {
        let mut bytes = [0; BLOCK_BYTES];
        decode_block(chunk, &mut bytes).map_err(|place| index.saturating_mul(BLOCK).saturating_add(place))?;
        let decoded = chunk.len().saturating_mul(3) / 4;
        copy(out.get_mut(len..).unwrap_or_default(), bytes.get(..decoded).unwrap_or_default());
        bytes.as_mut_slice().zeroize();
        len = len.saturating_add(decoded);
    }
    Ok(len)
}

/// As [`decode_blocks`], one digit at a time.
fn decode_each(digits: &[u8], out: &mut [u8]) -> Result<usize, usize> {
    let (mut word, mut bits, mut len) = (0_u32, 0_u32, 0_usize);
    for (place, digit) in digits.iter().enumerate() {
        let value = value_of(*digit);
        if value > VALUE_MAX {
            return Err(place);
        }
        word = (word << 6) | u32::from(value);
        bits = bits.wrapping_add(6);
        if bits >= 8 {
            bits = bits.wrapping_sub(8);
            if let Some(byte) = out.get_mut(len) {
                *byte = (word >> bits) as u8;
            }
            len = len.saturating_add(1);
        }
    }
    Ok(len)
}

/// Decodes up to a block of digits, or gives the place of the first character that is none.
fn decode_block(digits: &[u8], bytes: &mut [u8; BLOCK_BYTES]) -> Result<(), usize> {
    let mut values = [b'A'; BLOCK];
    copy(&mut values, digits);
    // Without branches, so that the compiler takes many at once where the processor can.
    for value in &mut values {
        *value = value_of(*value);
    }
    if values.iter().fold(0, |all, value| all | value) > VALUE_MAX {
        return Err(values.iter().position(|value| *value > VALUE_MAX).unwrap_or_default());
    }
    for (six, eight) in bytes.as_chunks_mut().0.iter_mut().zip(values.as_chunks().0) {
        let [_, _, bits @ ..] = joined(u64::from_be_bytes(*eight)).to_be_bytes();
        *six = bits;
    }
    values.as_mut_slice().zeroize();
    Ok(())
}

/// The value of a digit; above [`VALUE_MAX`] for what is none.
fn value_of(digit: u8) -> u8 {
    // Where the digits stand in ASCII, how many they are, and one more than the value of the first.
    const RANGES: [(u8, u8, u8); 5] = [(b'A', 26, 1), (b'a', 26, 27), (b'0', 10, 53), (b'+', 1, 63), (b'/', 1, 64)];
    let mut value = 0_u8;
    for (first, count, base) in RANGES {
        let index = digit.wrapping_sub(first);
        value |= if index < count { index.wrapping_add(base) } else { 0 };
    }
    value.wrapping_sub(1)
}

/// The 48 bits of eight values, one in each byte.
fn joined(values: u64) -> u64 {
    // Four times 12 bits, twice 24, once 48.
    let twelves = ((values >> 2) & 0x0fc0_0fc0_0fc0_0fc0) | (values & 0x003f_003f_003f_003f);
    let halves = ((twelves >> 4) & 0x00ff_f000_00ff_f000) | (twelves & 0x0000_0fff_0000_0fff);
    ((halves >> 8) & 0xffff_ff00_0000) | (halves & 0x00ff_ffff)
}

/// The eight values of 48 bits, one in each byte.
fn split(bits: u64) -> u64 {
    let halves = ((bits << 8) & 0x00ff_ffff_0000_0000) | (bits & 0x00ff_ffff);
    let twelves = ((halves << 4) & 0x0fff_0000_0fff_0000) | (halves & 0x0000_0fff_0000_0fff);
    ((twelves << 2) & 0x3f00_3f00_3f00_3f00) | (twelves & 0x003f_003f_003f_003f)
}

/// The digits of 48 bits.
fn digits(bits: u64) -> [u8; 8] {
    let values = split(bits);
    // 1 in each byte that is at least `least`, for the sum then reaches its topmost bit.
    let from = |least: u8| (values.wrapping_add(each(128_u8.wrapping_sub(least))) >> 7) & each(1);
    // From 'A' on, over the gaps in ASCII before 'a', '0', '+' and '/'. No byte overflows on the way.
    let digits = values
        .wrapping_add(each(b'A'))
        .wrapping_add(from(26).wrapping_mul(6))
        .wrapping_sub(from(52).wrapping_mul(75))
        .wrapping_sub(from(62).wrapping_mul(15))
        .wrapping_add(from(63).wrapping_mul(3));
    digits.to_be_bytes()
}

/// The same byte eight times.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use ::base64::Engine as _;
    use ::base64::alphabet::STANDARD;
    use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    use proptest::prelude::*;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    fn encoded(bytes: &[u8]) -> String {
        let mut text = Vec::new();
        encode(bytes, &mut |digits| text.extend_from_slice(digits));
        String::from_utf8(text).unwrap()
    }

    /// As the service's own runtime reads a key: the spare low bits of the last digit do not matter.
    fn oracle(padding: DecodePaddingMode) -> GeneralPurpose {
        let config =
            GeneralPurposeConfig::new().with_decode_padding_mode(padding).with_decode_allow_trailing_bits(true);
        GeneralPurpose::new(&STANDARD, config)
    }

    /// Padding is there as it should be, or not at all.
    fn decoded_by_oracle(text: &str) -> Option<Vec<u8>> {
        let modes = [DecodePaddingMode::RequireCanonical, DecodePaddingMode::RequireNone];
        modes.into_iter().find_map(|mode| oracle(mode).decode(text).ok())
    }

    #[test]
    fn wrong_base64_is_named_with_its_place() {
        let mut out = [0; 64];
        assert_eq!(decode_base64(b"QUJD\n", &mut out), Err(Base64Error::Digit(4)));
        assert_eq!(decode_base64(b"QU D", &mut out), Err(Base64Error::Digit(2)));
        // The last of the digits stands before the wrong one.
        assert_eq!(decode_base64(b"Q/ D", &mut out), Err(Base64Error::Digit(2)));
        assert_eq!(decode_base64(b"QUJDR", &mut out), Err(Base64Error::Length));
        assert_eq!(decode_base64(b"QUI===", &mut out), Err(Base64Error::Length));
        assert_eq!(decode_base64(b"QUJD====", &mut out), Err(Base64Error::Length));
        assert_eq!(decode_base64(b"QUJDREVG", &mut [0; 4]), Err(Base64Error::TooLong(6)));
    }

    #[test]
    fn every_character_is_judged_at_every_place() {
        for character in (0..=0x100).filter_map(char::from_u32) {
            for place in 0..12 {
                let mut text = "z".repeat(place);
                text.push(character);
                text.push_str("/9Z+a0A/");
                let mut out = [0; 32];
                let ours = decode_base64(text.as_bytes(), &mut out);
                if character.is_ascii_alphanumeric() || "+/".contains(character) {
                    let theirs = decoded_by_oracle(&text);
                    assert_eq!(ours.ok().map(|len| out.get(..len).unwrap()), theirs.as_deref(), "{text}");
                } else {
                    assert_eq!(ours, Err(Base64Error::Digit(place)), "{text}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn base64_is_what_the_base64_crate_says(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let expected = oracle(DecodePaddingMode::RequireCanonical).encode(&bytes);
            prop_assert_eq!(&encoded(&bytes), &expected);
            let mut out = vec![0; bytes.len()];
            prop_assert_eq!(decode_base64(expected.as_bytes(), &mut out), Ok(bytes.len()));
            prop_assert_eq!(&out, &bytes);
            let mut out = vec![0; bytes.len()];
            prop_assert_eq!(decode_base64(expected.trim_end_matches('=').as_bytes(), &mut out), Ok(bytes.len()));
            prop_assert_eq!(&out, &bytes);
        }

        #[test]
        fn base64_accepts_and_refuses_what_the_base64_crate_does(text in "[A-Za-z0-9+/ =-]{0,24}") {
            let mut out = [0; 32];
            let ours = decode_base64(text.as_bytes(), &mut out);
            let theirs = decoded_by_oracle(&text);
            prop_assert_eq!(ours.ok().map(|len| out.get(..len).unwrap()), theirs.as_deref(), "{:?}", text);
        }

        #[test]
        fn digits_decode_alike_by_blocks_and_one_by_one(text in "[A-Za-z0-9+/]{0,200}.?[A-Za-z0-9+/]{0,4}") {
            let (mut by_blocks, mut one_by_one) = ([0; 160], [0; 160]);
            let lengths = [decode_blocks(text.as_bytes(), &mut by_blocks), decode_each(text.as_bytes(), &mut one_by_one)];
            prop_assert_eq!(lengths[0], lengths[1], "{:?}", text);
            if lengths[0].is_ok() {
                prop_assert_eq!(by_blocks, one_by_one);
            }
        }
    }
}
