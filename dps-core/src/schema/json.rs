//! A bounded reader of JSON text (RFC 8259): one cursor, no recursion, no heap.
//!
//! Strings are unescaped where they stand, since they never grow. Unknown values of any size are passed over, nested
//! up to [`DEPTH_MAX`] levels. It knows nothing of the service's members.

/// How deep arrays and objects may be nested.
pub const DEPTH_MAX: usize = 512;

/// The text is no JSON from this byte offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError(pub usize);

/// Where a text stands in the buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// Checks that `text` is one JSON value with nothing but blanks around it.
///
/// # Errors
/// The offset where it stops being JSON.
pub fn check(text: &[u8]) -> Result<(), usize> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.skip_value().and_then(|()| scanner.end()).map_err(|error| error.0)
}

/// Calls `member` for each member of the JSON object in `text`: with the reader, which stands before the value, and
/// the span of the unescaped key. What `member` does not read is passed over.
///
/// # Errors
/// [`JsonError`] where it is no JSON object.
pub fn read_object(
    text: &mut [u8],
    member: impl FnMut(&mut Reader<'_>, Span) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let mut reader = Reader { text, at: 0 };
    reader.members(member)?;
    reader.scanner().end()
}

/// Reads values and unescapes strings in place.
#[derive(Debug)]
pub struct Reader<'t> {
    text: &'t mut [u8],
    at: usize,
}

impl Reader<'_> {
    /// The bytes of a span that was read before.
    #[must_use]
    pub fn bytes(&self, span: Span) -> &[u8] {
        self.text.get(span.start..span.end).unwrap_or(&[])
    }

    /// Calls `member` for each member of the object that stands next.
    ///
    /// # Errors
    /// [`JsonError`] where it is no JSON object.
    pub fn members(
        &mut self,
        mut member: impl FnMut(&mut Self, Span) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.expect(b'{')?;
        if self.next_is(b'}') {
            return self.expect(b'}');
        }
        loop {
            let key = self.text_value()?;
            self.expect(b':')?;
            let before = self.at;
            member(self, key)?;
            if self.at == before {
                self.skip()?;
            }
            if !self.next_is(b',') {
                return self.expect(b'}');
            }
            self.expect(b',')?;
        }
    }

    /// Whether the value that stands next is an object.
    #[must_use]
    pub fn next_is_object(&self) -> bool {
        self.next_is(b'{')
    }

    /// The string that stands next, unescaped; any other value is passed over and gives `None`.
    ///
    /// # Errors
    /// [`JsonError`] where it is no JSON.
    pub fn string(&mut self) -> Result<Option<Span>, JsonError> {
        if self.next_is(b'"') { self.text_value().map(Some) } else { self.skip().map(|_| None) }
    }

    /// The whole number that stands next, if it is one that fits; any other value is passed over and gives `None`.
    ///
    /// # Errors
    /// [`JsonError`] where it is no JSON.
    pub fn number(&mut self) -> Result<Option<u32>, JsonError> {
        let span = self.skip()?;
        let mut number: Option<u32> = None;
        for byte in self.bytes(span) {
            if !byte.is_ascii_digit() {
                return Ok(None);
            }
            let digit = u32::from(byte.wrapping_sub(b'0'));
            let Some(next) = number.unwrap_or(0).checked_mul(10).and_then(|tens| tens.checked_add(digit)) else {
                return Ok(None);
            };
            number = Some(next);
        }
        Ok(number)
    }

    /// Passes over the value that stands next and gives its place.
    ///
    /// # Errors
    /// [`JsonError`] where it is no JSON.
    pub fn skip(&mut self) -> Result<Span, JsonError> {
        let mut scanner = self.scanner();
        scanner.blanks();
        let start = scanner.at;
        scanner.skip_value()?;
        self.at = scanner.at;
        Ok(Span { start, end: self.at })
    }

    fn scanner(&self) -> Scanner<'_> {
        Scanner { text: self.text, at: self.at }
    }

    fn next_is(&self, byte: u8) -> bool {
        let mut scanner = self.scanner();
        scanner.blanks();
        scanner.peek() == Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        let mut scanner = self.scanner();
        scanner.blanks();
        scanner.expect(byte)?;
        self.at = scanner.at;
        Ok(())
    }

    /// Reads the string that stands next and unescapes it where it stands.
    fn text_value(&mut self) -> Result<Span, JsonError> {
        let Span { start, end } = self.skip_string()?;
        let (mut from, mut to) = (start, start);
        while from < end {
            let (encoded, length, used) = self.scanner().character(from);
            for byte in encoded.iter().take(length) {
                if let Some(slot) = self.text.get_mut(to) {
                    *slot = *byte;
                }
                to = to.saturating_add(1);
            }
            from = from.saturating_add(used);
        }
        Ok(Span { start, end: to })
    }

    /// Passes over the string that stands next and gives the place of what is between its quotes.
    fn skip_string(&mut self) -> Result<Span, JsonError> {
        let mut scanner = self.scanner();
        scanner.blanks();
        let start = scanner.at.saturating_add(1);
        scanner.skip_string()?;
        self.at = scanner.at;
        Ok(Span { start, end: self.at.saturating_sub(1) })
    }
}

/// Walks over JSON text without changing it.
struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
}

impl Scanner<'_> {
    fn fail<T>(&self) -> Result<T, JsonError> {
        Err(JsonError(self.at))
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.step();
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() == Some(byte) {
            self.step();
            Ok(())
        } else {
            self.fail()
        }
    }

    fn end(mut self) -> Result<(), JsonError> {
        self.blanks();
        if self.at == self.text.len() { Ok(()) } else { self.fail() }
    }

    fn skip_value(&mut self) -> Result<(), JsonError> {
        let mut open = Nesting::default();
        loop {
            self.blanks();
            match self.peek() {
                Some(b'{') => {
                    self.step();
                    self.blanks();
                    open.push(true).or_else(|()| self.fail())?;
                    if self.peek() != Some(b'}') {
                        self.skip_key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.step();
                    self.blanks();
                    open.push(false).or_else(|()| self.fail())?;
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                Some(b'"') => self.skip_string()?,
                Some(b't') => self.skip_word(b"true")?,
                Some(b'f') => self.skip_word(b"false")?,
                Some(b'n') => self.skip_word(b"null")?,
                _ => self.skip_number()?,
            }
            if !self.close(&mut open)? {
                return Ok(());
            }
        }
    }

    /// After a value: closes what ends here. Says whether another value follows.
    fn close(&mut self, open: &mut Nesting) -> Result<bool, JsonError> {
        while let Some(is_object) = open.top() {
            self.blanks();
            match (self.peek(), is_object) {
                (Some(b','), true) => {
                    self.step();
                    self.skip_key()?;
                    return Ok(true);
                }
                (Some(b','), false) => {
                    self.step();
                    return Ok(true);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.step();
                    open.pop();
                }
                _ => return self.fail(),
            }
        }
        Ok(false)
    }

    fn skip_key(&mut self) -> Result<(), JsonError> {
        self.blanks();
        self.skip_string()?;
        self.blanks();
        self.expect(b':')
    }

    fn skip_string(&mut self) -> Result<(), JsonError> {
        self.expect(b'"')?;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.step();
                    return Ok(());
                }
                Some(b'\\') => {
                    self.step();
                    self.skip_escape()?;
                }
                Some(0x20..) => self.step(),
                _ => return self.fail(),
            }
        }
    }

    fn skip_escape(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.step();
                Ok(())
            }
            Some(b'u') => {
                self.step();
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.fail();
                    }
                    self.step();
                }
                Ok(())
            }
            _ => self.fail(),
        }
    }

    fn skip_word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        for byte in word {
            self.expect(*byte)?;
        }
        Ok(())
    }

    fn skip_number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.step();
        }
        if self.peek() == Some(b'0') {
            self.step();
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.step();
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.step();
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.step();
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.fail();
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.step();
        }
        Ok(())
    }

    /// The character of a checked string at `at`: its UTF-8 bytes, how many they are, and how many bytes it took.
    fn character(&self, at: usize) -> ([u8; 4], usize, usize) {
        let byte = |offset: usize| self.text.get(at.saturating_add(offset)).copied().unwrap_or(0);
        if byte(0) != b'\\' {
            return ([byte(0), 0, 0, 0], 1, 1);
        }
        let plain = match byte(1) {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.unicode(at),
            other => other,
        };
        ([plain, 0, 0, 0], 1, 2)
    }

    /// A `\u` escape, or a pair of them; half a pair becomes U+FFFD.
    fn unicode(&self, at: usize) -> ([u8; 4], usize, usize) {
        let unit = |offset: usize| {
            let start = at.saturating_add(offset);
            let digits = self.text.get(start..start.saturating_add(6)).unwrap_or(&[]);
            match digits {
                [b'\\', b'u', hex @ ..] => hex.iter().fold(0, |value: u32, digit| (value << 4) | hex_value(*digit)),
                _ => 0,
            }
        };
        let high = unit(0);
        let (scalar, used) = match (high, unit(6)) {
            (0xD800..=0xDBFF, low @ 0xDC00..=0xDFFF) => {
                (0x1_0000_u32.saturating_add((high & 0x3FF) << 10).saturating_add(low & 0x3FF), 12)
            }
            _ => (high, 6),
        };
        let mut encoded = [0; 4];
        let length = char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut encoded).len();
        (encoded, length, used)
    }
}

fn hex_value(digit: u8) -> u32 {
    (digit as char).to_digit(16).unwrap_or(0)
}

/// Which brackets are open, innermost last: a bit each, set for objects.
struct Nesting {
    bits: [u8; DEPTH_MAX / 8],
    depth: usize,
}

impl Default for Nesting {
    fn default() -> Self {
        Self { bits: [0; DEPTH_MAX / 8], depth: 0 }
    }
}

impl Nesting {
    fn push(&mut self, is_object: bool) -> Result<(), ()> {
        let mask = 1_u8 << (self.depth & 7);
        let byte = self.bits.get_mut(self.depth >> 3).ok_or(())?;
        *byte = if is_object { *byte | mask } else { *byte & !mask };
        self.depth = self.depth.saturating_add(1);
        Ok(())
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn top(&self) -> Option<bool> {
        let top = self.depth.checked_sub(1)?;
        self.bits.get(top >> 3).map(|byte| byte & (1 << (top & 7)) != 0)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use serde_core::de::IgnoredAny;
    use std::string::{String, ToString};
    use std::vec::Vec;

    /// Reads `{"k": value}` and gives the value as a string.
    fn string_of(text: &str) -> Result<Option<String>, JsonError> {
        let mut bytes = Vec::from(text);
        let mut span = None;
        read_object(&mut bytes, |reader, _key| {
            span = reader.string()?;
            Ok(())
        })?;
        Ok(span.map(|span| String::from_utf8(bytes[span.start..span.end].to_vec()).unwrap()))
    }

    #[test]
    fn strings_are_unescaped_where_they_stand() {
        let text = r#"{"k":"a\"\\\/\b\f\n\r\t\u00e9\u20ac\ud83d\ude00z"}"#;
        assert_eq!(string_of(text).unwrap().unwrap(), "a\"\\/\u{8}\u{c}\n\r\té€😀z");
        assert_eq!(string_of(r#"{"k":"\ud83dx\ude00"}"#).unwrap().unwrap(), "\u{FFFD}x\u{FFFD}");
        assert_eq!(string_of(r#"{"k":17}"#).unwrap(), None);
        assert_eq!(string_of(r#"{"k":null}"#).unwrap(), None);
    }

    #[test]
    fn a_wrong_place_is_named() {
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
        fn it_takes_what_serde_json_takes(text in r#"([\[\]{}:, "0-9a-e.+\\-]|true|null|"[a-z]{0,3}"|\\u00e9|"k":){0,14}"#) {
            let theirs = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            prop_assert_eq!(check(text.as_bytes()).is_ok(), theirs, "{}", text);
        }

        #[test]
        fn any_string_comes_back(value in "\\PC{0,30}", controls in "[\\x00-\\x1f]{0,4}") {
            let value = value + &controls;
            let text = serde_json::json!({ "k": value }).to_string();
            prop_assert_eq!(string_of(&text), Ok(Some(value)));
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = check(&bytes);
            let _ = read_object(&mut bytes, |reader, _| reader.string().map(|_| ()));
        }
    }
}
