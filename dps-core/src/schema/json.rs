//! A bounded reader of JSON text (RFC 8259): one cursor, no recursion, no heap.
//!
//! Strings are unescaped where they stand, since they never grow. Unknown values of any size are passed over, nested
//! up to [`DEPTH_MAX`] levels. It knows nothing of the service's members.

/// How deep arrays and objects may be nested.
pub const DEPTH_MAX: usize = 512;

/// The text is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError;

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
    let mut cursor = Cursor { at: 0 };
    cursor.skip_value(text).and_then(|()| cursor.end(text)).map_err(|JsonError| cursor.at)
}

/// Calls `member` for each member of the JSON object in `text`: with the reader, which stands before the value, and
/// the span of the unescaped key. What `member` does not read is passed over.
///
/// # Errors
/// [`JsonError`] where it is no JSON object.
pub fn read_object(text: &mut [u8], member: OnMember<'_>) -> Result<(), JsonError> {
    let mut reader = Reader { text, cursor: Cursor { at: 0 } };
    reader.members(member)?;
    reader.cursor.end(reader.text)
}

/// What is called for each member; by reference, so that firmware has the loop around it once.
pub type OnMember<'c> = &'c mut dyn FnMut(&mut Reader<'_>, Span) -> Result<(), JsonError>;

/// Reads values and unescapes strings in place.
#[derive(Debug)]
pub struct Reader<'t> {
    text: &'t mut [u8],
    cursor: Cursor,
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
    pub fn members(&mut self, member: OnMember<'_>) -> Result<(), JsonError> {
        self.cursor.expect(self.text, b'{')?;
        if self.next_is(b'}') {
            return self.cursor.expect(self.text, b'}');
        }
        loop {
            let key = self.text_value()?;
            self.cursor.expect(self.text, b':')?;
            // Looking at what stands next passes over blanks, and is no reading.
            self.cursor.next(self.text);
            let before = self.cursor.at;
            member(self, key)?;
            if self.cursor.at == before {
                self.cursor.skip_value(self.text)?;
            }
            if !self.next_is(b',') {
                return self.cursor.expect(self.text, b'}');
            }
            self.cursor.step();
        }
    }

    /// Whether the value that stands next begins with this byte.
    pub fn next_is(&mut self, byte: u8) -> bool {
        self.cursor.next(self.text) == Some(byte)
    }

    /// The string that stands next, unescaped; any other value is passed over and gives `None`.
    ///
    /// # Errors
    /// [`JsonError`] where it is no JSON.
    pub fn string(&mut self) -> Result<Option<Span>, JsonError> {
        if self.next_is(b'"') { self.text_value().map(Some) } else { self.skip().map(|_| None) }
    }

    /// Passes over the value that stands next and gives its place.
    ///
    /// # Errors
    /// [`JsonError`] where it is no JSON.
    pub fn skip(&mut self) -> Result<Span, JsonError> {
        self.cursor.next(self.text);
        let start = self.cursor.at;
        self.cursor.skip_value(self.text)?;
        Ok(Span { start, end: self.cursor.at })
    }

    /// Reads the string that stands next and unescapes it where it stands.
    fn text_value(&mut self) -> Result<Span, JsonError> {
        self.cursor.next(self.text);
        let start = self.cursor.at.saturating_add(1);
        self.cursor.skip_string(self.text)?;
        let end = self.cursor.at.saturating_sub(1);
        let (mut from, mut to) = (start, start);
        while from < end {
            let mut encoded = [0; 4];
            let (scalar, next) = self.character(from);
            let length = scalar.map_or(1, |scalar| scalar.encode_utf8(&mut encoded).len());
            if scalar.is_none() {
                encoded = [self.byte(from), 0, 0, 0];
            }
            for byte in encoded.iter().take(length) {
                if let Some(slot) = self.text.get_mut(to) {
                    *slot = *byte;
                }
                to = to.saturating_add(1);
            }
            from = next;
        }
        Ok(Span { start, end: to })
    }

    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    /// The character that an escape in a checked string stands for, none where no escape begins; and where the next
    /// one stands.
    fn character(&self, at: usize) -> (Option<char>, usize) {
        if self.byte(at) != b'\\' {
            return (None, at.saturating_add(1));
        }
        let plain = match self.byte(at.saturating_add(1)) {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(at),
            other => other as char,
        };
        (Some(plain), at.saturating_add(2))
    }

    /// A `\u` escape, or a pair of them; half a pair becomes U+FFFD.
    fn unicode(&self, at: usize) -> (Option<char>, usize) {
        let (high, next) = (self.unit(at), at.saturating_add(6));
        let low = self.unit(next);
        let (scalar, next) = match (high, low) {
            (0xD800..=0xDBFF, 0xDC00..=0xDFFF) => {
                (0x1_0000_u32.saturating_add((high & 0x3FF) << 10).saturating_add(low & 0x3FF), next.saturating_add(6))
            }
            _ => (high, next),
        };
        (Some(char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER)), next)
    }

    /// The number in a `\u` escape; 0 where there is none.
    fn unit(&self, at: usize) -> u32 {
        match self.bytes(Span { start: at, end: at.saturating_add(6) }) {
            [b'\\', b'u', hex @ ..] => hex.iter().fold(0, |value, digit| (value << 4) | hex_value(*digit)),
            _ => 0,
        }
    }
}

fn hex_value(digit: u8) -> u32 {
    (digit as char).to_digit(16).unwrap_or(0)
}

/// Walks over JSON text without changing it. After an error it stands where the text stops being JSON.
#[derive(Debug)]
struct Cursor {
    at: usize,
}

impl Cursor {
    fn peek(&self, text: &[u8]) -> Option<u8> {
        text.get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    /// Passes over blanks and says what stands behind them.
    fn next(&mut self, text: &[u8]) -> Option<u8> {
        loop {
            match self.peek(text) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.step(),
                other => return other,
            }
        }
    }

    /// Passes over this very byte.
    fn take(&mut self, text: &[u8], byte: u8) -> Result<(), JsonError> {
        let is_it = self.peek(text) == Some(byte);
        if is_it {
            self.step();
        }
        is_it.then_some(()).ok_or(JsonError)
    }

    /// Passes over blanks and this byte.
    fn expect(&mut self, text: &[u8], byte: u8) -> Result<(), JsonError> {
        self.next(text);
        self.take(text, byte)
    }

    fn end(&mut self, text: &[u8]) -> Result<(), JsonError> {
        if self.next(text).is_none() { Ok(()) } else { Err(JsonError) }
    }

    fn skip_value(&mut self, text: &[u8]) -> Result<(), JsonError> {
        let mut open = Nesting::default();
        loop {
            match self.next(text) {
                Some(bracket @ (b'{' | b'[')) => {
                    self.step();
                    let is_object = bracket == b'{';
                    open.push(is_object)?;
                    let first = self.next(text);
                    if first != Some(if is_object { b'}' } else { b']' }) {
                        if is_object {
                            self.skip_key(text)?;
                        }
                        continue;
                    }
                }
                Some(b'"') => self.skip_string(text)?,
                Some(b't') => self.skip_word(text, b"true")?,
                Some(b'f') => self.skip_word(text, b"false")?,
                Some(b'n') => self.skip_word(text, b"null")?,
                _ => self.skip_number(text)?,
            }
            if !self.close(text, &mut open)? {
                return Ok(());
            }
        }
    }

    /// After a value: closes what ends here. Says whether another value follows.
    fn close(&mut self, text: &[u8], open: &mut Nesting) -> Result<bool, JsonError> {
        while let Some(is_object) = open.top() {
            match (self.next(text), is_object) {
                (Some(b','), _) => {
                    self.step();
                    if is_object {
                        self.skip_key(text)?;
                    }
                    return Ok(true);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.step();
                    open.pop();
                }
                _ => return Err(JsonError),
            }
        }
        Ok(false)
    }

    fn skip_key(&mut self, text: &[u8]) -> Result<(), JsonError> {
        self.next(text);
        self.skip_string(text)?;
        self.expect(text, b':')
    }

    fn skip_string(&mut self, text: &[u8]) -> Result<(), JsonError> {
        self.take(text, b'"')?;
        loop {
            match self.peek(text) {
                Some(b'"') => {
                    self.step();
                    return Ok(());
                }
                Some(b'\\') => {
                    self.step();
                    self.skip_escape(text)?;
                }
                Some(0x20..) => self.step(),
                _ => return Err(JsonError),
            }
        }
    }

    fn skip_escape(&mut self, text: &[u8]) -> Result<(), JsonError> {
        let digits = match self.peek(text) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 0,
            Some(b'u') => 4,
            _ => return Err(JsonError),
        };
        self.step();
        for _ in 0..digits {
            if !self.peek(text).is_some_and(|byte| byte.is_ascii_hexdigit()) {
                return Err(JsonError);
            }
            self.step();
        }
        Ok(())
    }

    fn skip_word(&mut self, text: &[u8], word: &[u8]) -> Result<(), JsonError> {
        word.iter().try_for_each(|byte| self.take(text, *byte))
    }

    fn skip_number(&mut self, text: &[u8]) -> Result<(), JsonError> {
        // What may be missing may be missing; only digits may not.
        let _ = self.take(text, b'-');
        if self.take(text, b'0').is_err() {
            self.digits(text)?;
        }
        if self.take(text, b'.').is_ok() {
            self.digits(text)?;
        }
        if matches!(self.peek(text), Some(b'e' | b'E')) {
            self.step();
            if matches!(self.peek(text), Some(b'+' | b'-')) {
                self.step();
            }
            self.digits(text)?;
        }
        Ok(())
    }

    fn digits(&mut self, text: &[u8]) -> Result<(), JsonError> {
        let start = self.at;
        while self.peek(text).is_some_and(|byte| byte.is_ascii_digit()) {
            self.step();
        }
        if self.at > start { Ok(()) } else { Err(JsonError) }
    }
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
    fn push(&mut self, is_object: bool) -> Result<(), JsonError> {
        let mask = 1_u8 << (self.depth & 7);
        let byte = self.bits.get_mut(self.depth >> 3).ok_or(JsonError)?;
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
        read_object(&mut bytes, &mut |reader, _key| {
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
        assert_eq!(string_of(r#"{"no":[true,false,null],"k":"z"}"#).unwrap().as_deref(), Some("z"));
        assert_eq!(string_of(r#"{"no":[{"a":1},{"b":{}},[{}]],"k":"z"}"#).unwrap().as_deref(), Some("z"));
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
            let _ = read_object(&mut bytes, &mut |reader, _| reader.string().map(|_| ()));
        }
    }
}
