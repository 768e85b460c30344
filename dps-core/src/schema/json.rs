//! A bounded walk over JSON text (RFC 8259): one loop, no recursion, no heap, and the text stays as it is.
//!
//! `Walk::step` checks the text and stops at each value: the same function serves a check and a search for members.
//! Strings are UTF-8, or it is not JSON. Unknown values of any size are skipped, nested up to [`DEPTH_MAX`] levels. It
//! does not know the service's members.

/// The number of levels to which arrays and objects may be nested.
pub const DEPTH_MAX: usize = 512;

use crate::text::{self, character_len};

/// Checks that `text` is one JSON value in UTF-8 with only whitespace around it.
///
/// # Errors
/// The offset where the text stops being JSON.
pub fn check(text: &[u8]) -> Result<(), usize> {
    let mut walk = Walk::new(text);
    loop {
        match walk.step() {
            Step::End => return Ok(()),
            Step::Invalid => return Err(walk.at),
            Step::Value | Step::Opened | Step::Closed => {}
        }
    }
}

/// The JSON object that `text` is, without the whitespace around it; `None` when `text` is anything else.
pub(crate) fn object(text: &[u8]) -> Option<&[u8]> {
    let mut walk = Walk::new(text);
    let is_opened = walk.step() == Step::Opened && text.get(walk.start) == Some(&b'{');
    let start = walk.start;
    if !is_opened || !walk.finish() {
        return None;
    }
    let object = text.get(start..walk.at);
    if walk.step() == Step::End { object } else { None }
}

/// A range of bytes, of which copies are cheap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    /// The bytes at this range of `text`.
    pub(crate) fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.start..self.end).unwrap_or(&[])
    }
}

/// What [`Walk::step`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A string, a number, `true`, `false` or `null`, from `start` to `at`.
    Value,
    /// The bracket at `start` that opens an array or an object. Its values follow.
    Opened,
    /// The bracket before `at` that closes one.
    Closed,
    /// The end of the text. All of it is one JSON value.
    End,
    /// A byte at `at` that JSON does not allow there, or more than [`DEPTH_MAX`] levels.
    Invalid,
}

/// A walk from value to value. The last step was not [`Step::End`] or [`Step::Invalid`] when the next is taken.
pub(crate) struct Walk<'t> {
    text: &'t [u8],
    /// The offset that the walk has reached.
    pub(crate) at: usize,
    /// The offset where the value begins.
    pub(crate) start: usize,
    /// In an object, the value's key without its quotes and with its escapes.
    pub(crate) key: Span,
    /// The number of arrays and objects around the value.
    pub(crate) depth: usize,
    /// A bit for each of these, outermost first: set for objects.
    objects: [u8; DEPTH_MAX / 8],
    is_opened: bool,
    is_after_value: bool,
}

impl<'t> Walk<'t> {
    /// A walk that begins before the first value.
    pub(crate) fn new(text: &'t [u8]) -> Self {
        let objects = [0; DEPTH_MAX / 8];
        Self { text, at: 0, start: 0, key: Span::default(), depth: 0, objects, is_opened: false, is_after_value: false }
    }

    /// Goes on to the next value or closing bracket.
    pub(crate) fn step(&mut self) -> Step {
        if core::mem::take(&mut self.is_opened) && !self.push(self.text.get(self.start) == Some(&b'{')) {
            return Step::Invalid;
        }
        self.skip_blanks();
        let is_object = self.innermost();
        if is_object.is_some_and(|is_object| self.take(if is_object { b'}' } else { b']' })) {
            self.depth = self.depth.wrapping_sub(1);
            self.is_after_value = true;
            return Step::Closed;
        }
        if core::mem::take(&mut self.is_after_value) {
            if is_object.is_none() {
                return if self.at == self.text.len() { Step::End } else { Step::Invalid };
            }
            if !self.take(b',') {
                return Step::Invalid;
            }
        }
        if is_object == Some(true) && !self.key() {
            return Step::Invalid;
        }
        self.skip_blanks();
        self.start = self.at;
        if self.take(b'{') || self.take(b'[') {
            self.is_opened = true;
            return Step::Opened;
        }
        self.is_after_value = true;
        if self.scalar() { Step::Value } else { Step::Invalid }
    }

    /// Goes on to the end of the array or object that was opened; `false` where it has none.
    pub(crate) fn finish(&mut self) -> bool {
        let depth = self.depth;
        loop {
            match self.step() {
                Step::Closed if self.depth == depth => return true,
                Step::End | Step::Invalid => return false,
                _ => {}
            }
        }
    }

    /// Enters the array or object that was opened; `false` when it is nested too deep.
    fn push(&mut self, is_object: bool) -> bool {
        let mask = 1_u8 << (self.depth & 7);
        let Some(byte) = self.objects.get_mut(self.depth >> 3) else { return false };
        *byte = if is_object { *byte | mask } else { *byte & !mask };
        self.depth = self.depth.wrapping_add(1);
        true
    }

    /// Whether the innermost of what is open is an object; `None` where nothing is open.
    fn innermost(&self) -> Option<bool> {
        let level = self.depth.checked_sub(1)?;
        self.objects.get(level >> 3).map(|byte| byte & (1 << (level & 7)) != 0)
    }

    fn key(&mut self) -> bool {
        self.skip_blanks();
        self.key.start = self.at.wrapping_add(1);
        if !self.string() {
            return false;
        }
        self.key.end = self.at.wrapping_sub(1);
        self.skip_blanks();
        self.take(b':')
    }

    fn scalar(&mut self) -> bool {
        match self.byte() {
            b'"' => self.string(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn string(&mut self) -> bool {
        if !self.take(b'"') {
            return false;
        }
        loop {
            let byte = self.byte();
            if byte == b'\\' && !self.escape() {
                return false;
            }
            // A control character is not allowed, and the end of the text reads as one.
            let length = match byte {
                ..b' ' => None,
                b' '..=0x7F => Some(1),
                _ => self.text.get(self.at..).and_then(character_len),
            };
            let Some(length) = length else { return false };
            self.at = self.at.wrapping_add(length);
            if byte == b'"' {
                return true;
            }
        }
    }

    /// Checks an escape, and goes on to its last character.
    fn escape(&mut self) -> bool {
        self.at = self.at.wrapping_add(1);
        if self.byte() != b'u' {
            return text::has(b"\"\\/bfnrt", self.byte());
        }
        for _ in 0..4 {
            self.at = self.at.wrapping_add(1);
            if !self.byte().is_ascii_hexdigit() {
                return false;
            }
        }
        true
    }

    fn word(&mut self, word: &[u8]) -> bool {
        word.iter().all(|byte| self.take(*byte))
    }

    fn number(&mut self) -> bool {
        self.take(b'-');
        if !(self.take(b'0') || self.digits()) || (self.take(b'.') && !self.digits()) {
            return false;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            return self.digits();
        }
        true
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while self.byte().is_ascii_digit() {
            self.at = self.at.wrapping_add(1);
        }
        self.at > start
    }

    fn skip_blanks(&mut self) {
        while matches!(self.byte(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at = self.at.wrapping_add(1);
        }
    }

    /// Goes on if the next byte is this one.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.byte() == byte;
        self.at = self.at.wrapping_add(usize::from(is_next));
        is_next
    }

    /// The next byte. The end of the text reads as 0, which JSON allows nowhere.
    fn byte(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use serde_core::de::IgnoredAny;
    use std::vec::Vec;

    /// The steps over `text`, each with its depth, key and value.
    fn steps(text: &str) -> Vec<(Step, usize, &str, &str)> {
        let mut walk = Walk::new(text.as_bytes());
        let mut found = Vec::new();
        loop {
            let step = walk.step();
            match step {
                Step::End => return found,
                Step::Closed => found.push((step, walk.depth, "", "")),
                _ => found.push((step, walk.depth, &text[walk.key.start..walk.key.end], &text[walk.start..walk.at])),
            }
        }
    }

    #[test]
    fn walk_visits_each_value_with_its_key_and_depth() {
        use Step::{Closed, Opened, Value};
        let expected = [
            (Opened, 0, "", "{"),
            (Value, 1, "a", "-1.5"),
            (Opened, 1, "b", "{"),
            (Value, 2, r"\u0062", r#""x\"""#),
            (Closed, 1, "", ""),
            (Value, 1, "c", "null"),
            (Closed, 0, "", ""),
        ];
        assert_eq!(steps(r#" { "a" : -1.5 , "b" : { "\u0062" : "x\"" } , "c":null } "#), expected);
        let steps: Vec<_> = steps("[{},[1]]").into_iter().map(|(step, depth, ..)| (step, depth)).collect();
        assert_eq!(steps, [(Opened, 0), (Opened, 1), (Closed, 1), (Opened, 1), (Value, 2), (Closed, 1), (Closed, 0)]);
    }

    #[test]
    fn check_returns_the_offset_of_invalid_json() {
        for (text, offset) in
            [("{", 1), (r#"{"a":}"#, 5), (r#"{"a":1,}"#, 7), ("[1,2", 4), ("[1}", 2), (r#""\x""#, 2), ("1 2", 2)]
        {
            assert_eq!(check(text.as_bytes()), Err(offset), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(check(nested(DEPTH_MAX).as_bytes()), Ok(()));
        assert!(check(nested(DEPTH_MAX + 1).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn check_accepts_what_serde_json_accepts(text in r#"([\[\]{}:, "0-9a-e.+\\-]|true|null|"[a-z]{0,3}"|\\u00e9|"k":){0,14}"#) {
            let theirs = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            prop_assert_eq!(check(text.as_bytes()).is_ok(), theirs, "{}", text);
        }

        #[test]
        fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = check(&bytes);
        }
    }
}
