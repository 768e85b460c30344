//! Strings of JSON text that was checked: compared with their escapes, and unescaped in place, since they never grow.
//!
//! A string that was unescaped has [`FRAME`] in place of its quotes and of the bytes that it lost. It may hold quotes and
//! backslashes now, and is still found and skipped by `find`.

use super::json::Span;

/// A byte that no UTF-8 has.
pub(crate) const FRAME: u8 = 0xFF;

/// Whether the string between the quotes at `span` is `name`, which holds neither quotes nor characters beyond ASCII, and
/// ends before its first NUL.
pub(crate) fn is_name(text: &[u8], span: Span, name: &[u8]) -> bool {
    let mut at = span.start;
    for expected in name.iter().take_while(|byte| **byte != 0) {
        // What follows the string is a quote.
        let (character, next) = character(text, at);
        if character != u32::from(*expected) {
            return false;
        }
        at = next;
    }
    at == span.end
}

/// Unescapes the string at `span`, quotes included, frames it, and returns where it is then.
#[inline(never)] // Once in firmware.
pub(crate) fn unescape(text: &mut [u8], span: Span) -> Span {
    let start = span.start.wrapping_add(1);
    let quote = span.end.wrapping_sub(1);
    put(text, span.start, FRAME);
    let (mut from, mut end) = (start, start);
    while from < quote {
        let (character, next) = character(text, from);
        let is_byte = next == from.wrapping_add(1);
        end = if is_byte { put(text, end, character as u8) } else { put_character(text, end, character) };
        from = next;
    }
    let mut at = end;
    while at < span.end {
        at = put(text, at, FRAME);
    }
    Span { start, end }
}

/// Writes a byte at `at`, and returns the offset after it.
pub(super) fn put(text: &mut [u8], at: usize, byte: u8) -> usize {
    if let Some(place) = text.get_mut(at) {
        *place = byte;
    }
    at.wrapping_add(1)
}

/// Writes a character at `at` in UTF-8, half a surrogate pair as U+FFFD, and returns the offset after it.
fn put_character(text: &mut [u8], at: usize, character: u32) -> usize {
    let character = if matches!(character, 0xD800..=0xDFFF) { 0xFFFD } else { character };
    let (first, mut shift): (u32, u32) = match character {
        ..0x80 => (0, 0),
        0x80..0x800 => (0xC0, 6),
        0x800..0x1_0000 => (0xE0, 12),
        _ => (0xF0, 18),
    };
    let mut at = put(text, at, (first | (character >> shift)) as u8);
    while shift > 0 {
        shift = shift.wrapping_sub(6);
        at = put(text, at, (0x80 | (character >> shift & 0x3F)) as u8);
    }
    at
}

/// The byte at `at`, or the character that an escape there stands for, and the offset after it. Half a surrogate pair
/// is returned as it is.
fn character(text: &[u8], at: usize) -> (u32, usize) {
    let byte = |ahead: usize| text.get(at.wrapping_add(ahead)).copied().unwrap_or(0);
    if byte(0) != b'\\' {
        return (u32::from(byte(0)), at.wrapping_add(1));
    }
    if byte(1) != b'u' {
        let meant = ESCAPES.iter().find(|(letter, _)| *letter == byte(1)).map_or(byte(1), |(_, meant)| *meant);
        return (u32::from(meant), at.wrapping_add(2));
    }
    let (high, next) = (unit(text, at), at.wrapping_add(6));
    let low = unit(text, next);
    match (high, low) {
        (0xD800..=0xDBFF, 0xDC00..=0xDFFF) => {
            (0x1_0000_u32.wrapping_add((high & 0x3FF) << 10).wrapping_add(low & 0x3FF), next.wrapping_add(6))
        }
        _ => (high, next),
    }
}

/// What a letter after a backslash stands for; any other character stands for itself.
static ESCAPES: [(u8, u8); 5] = [(b'b', b'\x08'), (b'f', b'\x0C'), (b'n', b'\n'), (b'r', b'\r'), (b't', b'\t')];

/// The number in a `\u` escape; 0 where it is missing.
fn unit(text: &[u8], at: usize) -> u32 {
    match text.get(at..at.wrapping_add(6)) {
        Some([b'\\', b'u', digits @ ..]) => digits.iter().fold(0, |unit, digit| {
            let letter = if *digit > b'9' { 9 } else { 0 };
            (unit << 4) | u32::from((digit & 15).wrapping_add(letter))
        }),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    /// The string that `quoted` is.
    fn unescaped(quoted: &str) -> String {
        let mut text = Vec::from(quoted);
        let span = unescape(&mut text, Span { start: 0, end: quoted.len() });
        let framed = text.iter().enumerate().all(|(at, byte)| (*byte == FRAME) != (span.start..span.end).contains(&at));
        assert!(framed, "{text:x?}");
        String::from_utf8(span.of(&text).to_vec()).unwrap()
    }

    #[test]
    fn escapes_are_replaced_and_half_surrogate_pairs_become_u_fffd() {
        assert_eq!(unescaped(r#""a\"\\\/\b\f\n\r\t\u00e9\u20AC\ud83d\ude00z""#), "a\"\\/\u{8}\u{c}\n\r\té€😀z");
        assert_eq!(unescaped(r#""\ud83dx\ude00\ud83d\u0041""#), "\u{FFFD}x\u{FFFD}\u{FFFD}A");
    }

    #[test]
    fn name_is_recognized_with_escapes_and_only_whole() {
        for (quoted, is_it) in [
            (r#""name""#, true),
            (r#""n\u0061m\u0065""#, true),
            (r#""nam""#, false),
            (r#""names""#, false),
            (r#""nam\n""#, false),
            (r#""nam\u0165""#, false),
            ("\"nam\u{e5}\"", false),
            (r#""""#, false),
        ] {
            assert_eq!(
                is_name(quoted.as_bytes(), Span { start: 1, end: quoted.len() - 1 }, b"name"),
                is_it,
                "{quoted}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_string_that_serde_json_writes_is_unescaped(value in "\\PC{0,30}", controls in "[\\x00-\\x1f]{0,4}") {
            let value = value + &controls;
            prop_assert_eq!(unescaped(&serde_json::json!(value).to_string()), value);
        }

        #[test]
        fn any_string_of_escapes_is_what_serde_json_reads(units in prop::collection::vec(1_u16.., 0..12)) {
            let quoted = units.iter().fold(String::from("\""), |text, unit| text + &std::format!("\\u{unit:04x}")) + "\"";
            prop_assert_eq!(unescaped(&quoted), String::from_utf16_lossy(&units));
        }
    }
}
