//! Base64 (RFC 4648, section 4).
//!
//! By arithmetic alone, since it is keys that are read and written here: a table would leave a trace of them in the
//! cache, and a branch one in the time it takes. With 64-bit registers many digits are processed at once; elsewhere one at a
//! time, which is as fast there and much smaller. What is wrong with a text is for others to explain.

use zeroize::Zeroize as _;

/// Digits that are decoded at once: more than the longest key has.
const BLOCK: usize = 96;
const BLOCK_BYTES: usize = BLOCK / 4 * 3;
const VALUE_MAX: u8 = 63;

/// Passes the digits of `bytes`, and the padding, to `push`, which writes them to `out`. Not generic over what writes, so that
/// firmware has one of this.
pub(super) fn encode<T>(bytes: &[u8], out: &mut T, push: fn(&mut T, &[u8])) {
    let mut rest = bytes;
    if cfg!(target_pointer_width = "64") {
        // Six bytes are used; eight are one load.
        while let Some(eight) = rest.first_chunk() {
            push(out, &digits(u64::from_be_bytes(*eight) >> 16));
            rest = rest.get(6..).unwrap_or_default();
        }
    }
    encode_each(rest, out, push);
}

/// As [`encode`], one digit at a time.
fn encode_each<T>(bytes: &[u8], out: &mut T, push: fn(&mut T, &[u8])) {
    // The bits that are not written yet are the lowest of the word.
    let (mut word, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        word = (word << 8) | u32::from(*byte);
        bits = bits.wrapping_add(8);
        while bits >= 6 {
            bits = bits.wrapping_sub(6);
            push(out, &[digit(word >> bits)]);
        }
    }
    // Two bits are left of one byte more than a group of three, four of two.
    if bits > 0 {
        push(out, &[digit(word << 6_u32.wrapping_sub(bits))]);
        while bits < 6 {
            push(out, b"=");
            bits = bits.wrapping_add(2);
        }
    }
}

/// The digit of the low six bits.
fn digit(bits: u32) -> u8 {
    let value = bits & 63;
    // All ones where the value is greater: the difference borrows from the bits above.
    let above = |most: u32| most.wrapping_sub(value) >> 8;
    let digit = value.wrapping_add(u32::from(b'A')).wrapping_add(above(25) & 6).wrapping_sub(above(51) & 75);
    digit.wrapping_sub(above(61) & 15).wrapping_add(above(62) & 3) as u8
}

/// Decodes base64 (RFC 4648, section 4) into `out` and returns the number of bytes. Padding may be missing. `None` when
/// it is not base64, or does not fit; `out` then holds what was decoded until that was known.
#[inline(never)] // Once in firmware.
pub(crate) fn decode_base64(text: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut digits = text;
    if text.len().is_multiple_of(4) {
        for _ in 0..2 {
            if let [rest @ .., b'='] = digits {
                digits = rest;
            }
        }
    }
    // One digit more than a group of four is less than a byte.
    if digits.len() % 4 == 1 {
        return None;
    }
    if cfg!(target_pointer_width = "64") { decode_blocks(digits, out) } else { decode_each(digits, out) }
}

/// Decodes several digits at a time.
fn decode_blocks(digits: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut len = 0_usize;
    for chunk in digits.chunks(BLOCK) {
        let mut bytes = [0; BLOCK_BYTES];
        let end = len.saturating_add(chunk.len().saturating_mul(3) / 4);
        let good = decode_block(chunk, &mut bytes);
        out.get_mut(len..end).filter(|_| good).map(|place| copy(place, &bytes))?;
        bytes.as_mut_slice().zeroize();
        len = end;
    }
    Some(len)
}

/// As [`decode_blocks`], one digit at a time.
fn decode_each(digits: &[u8], out: &mut [u8]) -> Option<usize> {
    let len = digits.len().wrapping_sub(digits.len().div_ceil(4));
    let mut free = out.get_mut(..len)?.iter_mut();
    let (mut word, mut seen) = (0_u32, 0_u32);
    for (place, digit) in digits.iter().enumerate() {
        let value = value_in_word(*digit);
        seen |= value;
        word = (word << 6) | value;
        // The first of four digits does not complete a byte; the others leave four, two and no bits for the next.
        let fourth = place % 4;
        if fourth > 0
            && let Some(byte) = free.next()
        {
            *byte = (word >> (6_usize.wrapping_sub(fourth.wrapping_mul(2)))) as u8;
        }
    }
    (seen <= u32::from(VALUE_MAX)).then_some(len)
}

/// As [`value_of`], where there are no registers of many bytes.
fn value_in_word(digit: u8) -> u32 {
    let mut value = 0_u32;
    for (first, count, base) in &RANGES {
        let index = u32::from(digit).wrapping_sub(u32::from(*first));
        value |= below(index, *count) & index.wrapping_add(u32::from(*base));
    }
    value.wrapping_sub(1)
}

/// Ones in the low 24 bits where the byte at `index` after the first of a range is one of its `count`, else zero.
fn below(index: u32, count: u8) -> u32 {
    // The one difference borrows, the other, which became the index, does not.
    (index.wrapping_sub(u32::from(count)) & !index) >> 8
}

/// Whether every byte is a hexadecimal digit. All of them are looked at, since this may be a key.
pub(crate) fn is_hex(text: &[u8]) -> bool {
    let index = |byte: u8, first: u8| u32::from(byte).wrapping_sub(u32::from(first));
    text.iter().fold(1, |all, byte| all & (below(index(*byte, b'0'), 10) | below(index(*byte | 0x20, b'a'), 6))) > 0
}

/// Where the digits are in ASCII, how many they are, and one more than the value of the first.
static RANGES: [(u8, u8, u8); 5] = [(b'A', 26, 1), (b'a', 26, 27), (b'0', 10, 53), (b'+', 1, 63), (b'/', 1, 64)];

/// Decodes up to a block of digits; false when a character among them is not a digit.
fn decode_block(digits: &[u8], bytes: &mut [u8; BLOCK_BYTES]) -> bool {
    let mut values = [b'A'; BLOCK];
    copy(&mut values, digits);
    // Without branches, so that the compiler takes many at once where the processor can.
    for value in &mut values {
        *value = value_of(*value);
    }
    for (six, eight) in bytes.as_chunks_mut().0.iter_mut().zip(values.as_chunks().0) {
        let [_, _, bits @ ..] = joined(u64::from_be_bytes(*eight)).to_be_bytes();
        *six = bits;
    }
    let good = values.iter().fold(0, |all, value| all | value) <= VALUE_MAX;
    values.as_mut_slice().zeroize();
    good
}

/// The value of a digit; above [`VALUE_MAX`] for any other character.
fn value_of(digit: u8) -> u8 {
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
        encode(bytes, &mut text, |text: &mut Vec<u8>, digits| text.extend_from_slice(digits));
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
    fn invalid_base64_or_small_output_is_refused() {
        for text in ["QUJD\n", "QU D", "Q/ D", "QUJDR", "QUI===", "QUJD====", "QUI=QUI=", "=", "===="] {
            assert_eq!(decode_base64(text.as_bytes(), &mut [0; 64]), None, "{text:?}");
        }
        assert_eq!(decode_base64(b"QUJDREVG", &mut [0; 5]), None);
        assert_eq!(decode_base64(b"QUJDREVG", &mut [0; 6]), Some(6));
        assert_eq!(decode_base64(b"", &mut []), Some(0));
    }

    #[test]
    fn every_digit_is_written_alike_by_words_and_one_by_one() {
        for value in 0..64_u8 {
            let expected = STANDARD.as_str().as_bytes().get(usize::from(value)).copied().unwrap();
            assert_eq!(digit(u32::from(value)), expected);
            assert_eq!(digits(u64::from(value)), [b'A', b'A', b'A', b'A', b'A', b'A', b'A', expected]);
        }
    }

    #[test]
    fn every_byte_is_checked_at_every_position() {
        for character in (0..=0x100).filter_map(char::from_u32) {
            for place in 0..12 {
                let mut text = "z".repeat(place);
                text.push(character);
                text.push_str("/9Z+a0A/");
                // A length at which base64 can end.
                text.push_str(if text.len() % 4 == 1 { "A" } else { "" });
                let mut out = [0; 32];
                let theirs = decoded_by_oracle(&text);
                for decode in [decode_blocks, decode_each] {
                    let ours = decode(text.as_bytes(), &mut out);
                    assert_eq!(ours.map(|len| out.get(..len).unwrap()), theirs.as_deref(), "{text}");
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
            prop_assert_eq!(decode_base64(expected.as_bytes(), &mut out), Some(bytes.len()));
            prop_assert_eq!(&out, &bytes);
            let mut out = vec![0; bytes.len()];
            prop_assert_eq!(decode_base64(expected.trim_end_matches('=').as_bytes(), &mut out), Some(bytes.len()));
            prop_assert_eq!(&out, &bytes);
        }

        #[test]
        fn base64_accepts_and_refuses_what_the_base64_crate_does(text in "[A-Za-z0-9+/ =-]{0,24}") {
            let mut out = [0; 32];
            let ours = decode_base64(text.as_bytes(), &mut out);
            let theirs = decoded_by_oracle(&text);
            prop_assert_eq!(ours.map(|len| out.get(..len).unwrap()), theirs.as_deref(), "{:?}", text);
        }

        #[test]
        fn digits_decode_alike_by_blocks_and_one_by_one(text in "[A-Za-z0-9+/]{0,200}.?[A-Za-z0-9+/]{0,4}") {
            let (mut by_blocks, mut one_by_one) = ([0; 160], [0; 160]);
            let lengths = [decode_blocks(text.as_bytes(), &mut by_blocks), decode_each(text.as_bytes(), &mut one_by_one)];
            prop_assert_eq!(lengths[0], lengths[1], "{:?}", text);
            if lengths[0].is_some() {
                prop_assert_eq!(by_blocks, one_by_one);
            }
        }

        #[test]
        fn bytes_are_encoded_alike_by_words_and_one_by_one(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let mut one_by_one = Vec::new();
            encode_each(&bytes, &mut one_by_one, |text: &mut Vec<u8>, digits| text.extend_from_slice(digits));
            prop_assert_eq!(encoded(&bytes).into_bytes(), one_by_one);
        }
    }
}
