//! UTF-8 by single characters, in a fifth of the code that the standard library has for whole strings.

/// The length in bytes of the character at the start of `bytes`, if that is one in UTF-8 (RFC 3629, section 3).
#[must_use]
pub(crate) fn character_len(bytes: &[u8]) -> Option<usize> {
    let (first, rest) = bytes.split_first()?;
    // As many as the character has bytes, but none for ASCII.
    let ones = first.leading_ones();
    if ones == 0 {
        return Some(1);
    }
    let mut scalar = u32::from(*first) & (0x7F_u32 >> ones);
    for next in rest.get(..ones.wrapping_sub(1) as usize)? {
        if !matches!(next, 0x80..=0xBF) {
            return None;
        }
        scalar = (scalar << 6) | u32::from(next & 0x3F);
    }
    // Surrogates and numbers after U+10FFFF are not characters; an overlong sequence is not allowed.
    char::from_u32(scalar).map(char::len_utf8).filter(|length| *length == ones as usize && ones > 1)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Whether `bytes` are UTF-8, character by character.
    fn is_utf8(mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let Some(length) = character_len(bytes) else { return false };
            bytes = &bytes[length..];
        }
        true
    }

    #[test]
    fn every_pair_of_bytes_that_begins_a_character_is_checked_as_core_checks_it() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                for rest in
                    [&[][..], &[0x80], &[0xBF], &[0x80, 0x80], &[0xBF, 0xBF], &[0x80, 0x7F], &[0x80, 0x80, 0x80]]
                {
                    let bytes = [&[first, second], rest].concat();
                    assert_eq!(is_utf8(&bytes), core::str::from_utf8(&bytes).is_ok(), "{bytes:x?}");
                }
            }
        }
    }

    /// A character by its number, in as many bytes as asked: too many, a surrogate and beyond U+10FFFF included.
    fn encoded(scalar: u32, length: u32) -> Vec<u8> {
        let digits = |shift: u32| (scalar >> (6 * shift)) as u8 & 0x3F;
        let first = match length {
            1 => return Vec::from([scalar as u8]),
            2 => 0xC0 | (digits(1) & 0x1F),
            3 => 0xE0 | (digits(2) & 0x0F),
            4 => 0xF0 | (digits(3) & 0x07),
            5 => 0xF8 | (digits(4) & 0x03),
            _ => 0xFC | (digits(5) & 0x01),
        };
        core::iter::once(first).chain((0..length - 1).rev().map(|shift| 0x80 | digits(shift))).collect()
    }

    proptest! {
        #[test]
        fn any_bytes_are_checked_as_core_checks_them(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            prop_assert_eq!(is_utf8(&bytes), core::str::from_utf8(&bytes).is_ok());
        }

        #[test]
        fn overlong_surrogate_and_truncated_characters_are_checked_as_core_checks_them(
            characters in prop::collection::vec((prop_oneof![0..0x80_u32, 0..0x1000_u32, 0xD700..0xE100_u32, 0..0x11_1000_u32, 0x10_FF00..0x11_0100_u32], 1..=6_u32), 0..5),
            cut in 0..30_usize,
        ) {
            let mut bytes: Vec<u8> = characters.iter().flat_map(|(scalar, length)| encoded(*scalar, *length)).collect();
            bytes.truncate(bytes.len().min(cut));
            prop_assert_eq!(is_utf8(&bytes), core::str::from_utf8(&bytes).is_ok(), "{:x?}", bytes);
        }

        #[test]
        fn any_string_is_utf8(string in any::<std::string::String>()) {
            prop_assert!(is_utf8(string.as_bytes()));
        }
    }
}
