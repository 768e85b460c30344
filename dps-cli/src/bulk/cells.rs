//! Cells of delimited text (RFC 4180), byte by byte, so that a record may be split wherever it was read.
//!
//! Knows nothing of ids or lines; never allocates for a cell that nobody asked for.

/// Where in a record the scanner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// At the start of a cell.
    Start,
    /// In a cell without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// After a quote that ends the cell, or is the first of two.
    Closed,
    /// After a closed cell came something else than a delimiter.
    Malformed,
}

impl Position {
    /// The position after `byte`.
    pub(crate) fn after(self, byte: u8, delimiter: u8) -> Self {
        match (self, byte) {
            (Self::Malformed, _) => Self::Malformed,
            (Self::Start, b'"') | (Self::Closed, b'"') => Self::Quoted,
            (Self::Quoted, b'"') => Self::Closed,
            (Self::Quoted, _) => Self::Quoted,
            (_, byte) if byte == delimiter => Self::Start,
            (Self::Closed, _) => Self::Malformed,
            (Self::Start | Self::Plain, _) => Self::Plain,
        }
    }

    /// The position after all of `bytes`.
    pub(crate) fn after_all(self, bytes: &[u8], delimiter: u8) -> Self {
        bytes.iter().fold(self, |position, byte| position.after(*byte, delimiter))
    }
}

/// Calls `each` with the index and the content of every cell; `scratch` holds the cell meanwhile.
pub(crate) fn for_each(record: &[u8], delimiter: u8, scratch: &mut Vec<u8>, mut each: impl FnMut(usize, &[u8])) {
    scratch.clear();
    let (mut index, mut position) = (0, Position::Start);
    for &byte in record {
        let next = position.after(byte, delimiter);
        match (position, next) {
            // An opening or closing quote is no content; the second of two is.
            (Position::Start, Position::Quoted) | (Position::Quoted, Position::Closed) => {}
            (_, Position::Start) => {
                each(index, scratch);
                scratch.clear();
                index += 1;
            }
            _ => scratch.push(byte),
        }
        position = next;
    }
    each(index, scratch);
    scratch.clear();
}

/// The content of the cell with this index, which may stand in `scratch`; or how many cells there are.
pub(crate) fn nth<'c>(
    record: &'c [u8],
    delimiter: u8,
    wanted: usize,
    scratch: &'c mut Vec<u8>,
) -> Result<&'c [u8], usize> {
    if !record.contains(&b'"') {
        let mut cells = record.split(|byte| *byte == delimiter);
        return cells.nth(wanted).ok_or_else(|| record.split(|byte| *byte == delimiter).count());
    }
    let (mut found, mut count) = (None, 0);
    for_each(record, delimiter, scratch, |index, cell| {
        count = index + 1;
        if index == wanted {
            found = Some(cell.to_vec());
        }
    });
    *scratch = found.ok_or(count)?;
    Ok(scratch)
}

/// The delimiter of a list, told by its first record: the first comma, semicolon or tab outside quotes.
pub(crate) fn delimiter_of(record: &[u8]) -> u8 {
    let mut quoted = false;
    for &byte in record {
        match byte {
            b'"' => quoted = !quoted,
            b',' | b';' | b'\t' if !quoted => return byte,
            _ => {}
        }
    }
    b','
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(record: &str) -> Vec<String> {
        let mut found = Vec::new();
        let delimiter = delimiter_of(record.as_bytes());
        for_each(record.as_bytes(), delimiter, &mut Vec::new(), |index, cell| {
            assert_eq!(index, found.len());
            found.push(String::from_utf8(cell.to_vec()).unwrap());
        });
        found
    }

    #[test]
    fn cells_are_split_and_unquoted() {
        assert_eq!(cells("a,b"), ["a", "b"]);
        assert_eq!(cells("a"), ["a"]);
        assert_eq!(cells("a,"), ["a", ""]);
        assert_eq!(cells(r#""a,b",c"#), ["a,b", "c"]);
        assert_eq!(cells(r#""say ""x""",c"#), [r#"say "x""#, "c"]);
        assert_eq!(cells("\"two\nlines\";c"), ["two\nlines", "c"]);
        assert_eq!(cells("a\tb,c"), ["a", "b,c"]);
        assert_eq!(cells(r#"5" disk,c"#), [r#"5" disk"#, "c"]);
    }

    #[test]
    fn one_cell_is_found_with_quotes_and_without() {
        for record in ["a,b,c", r#""a",b,"c""#] {
            let cell = |index| nth(record.as_bytes(), b',', index, &mut Vec::new()).map(<[u8]>::to_vec);
            assert_eq!((cell(0), cell(2), cell(3)), (Ok(b"a".to_vec()), Ok(b"c".to_vec()), Err(3)));
        }
    }

    #[test]
    fn an_open_quote_and_text_behind_a_closed_one_are_told() {
        let end = |record: &str| Position::Start.after_all(record.as_bytes(), b',');
        assert_eq!(end(r#""a"#), Position::Quoted);
        assert_eq!(end(r#""a"b"#), Position::Malformed);
        assert_eq!(end(r#""a","b""#), Position::Closed);
    }
}
