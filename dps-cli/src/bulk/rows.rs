//! The rows of a list of ids: one id per line, or delimited text (RFC 4180) with a header or without.
//!
//! Finds the column, joins quoted cells that span lines, and returns one id at a time in constant memory. Whether an id
//! is valid is not judged here.

use std::io::{self, BufRead};
use std::ops::Range;

use super::lines::{LINE_MAX, Line, Lines};

/// A quote that is still open after this many bytes is a mistake: its line is invalid, and the lines after it are read
/// on their own.
const RECORD_MAX: usize = 16 * 1024;
/// Names of the column with the ids, most specific first; letter case, spaces, `_` and `-` are ignored.
const ID_HEADERS: [&str; 6] = ["registrationid", "regid", "rid", "deviceid", "id", "device"];

/// How the column is found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layout {
    /// The column, counted from 1, if it was named.
    pub(crate) column: Option<usize>,
    /// The first row is a header, whatever its content.
    pub(crate) header: bool,
}

/// One row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The line on which it begins, counted from 1.
    pub(crate) line: u64,
    /// The range of the id in the string of ids, or why the row has none.
    pub(crate) id: Result<Range<usize>, RowProblem>,
}

/// Why a row has no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowProblem {
    TooLong,
    OpenQuote,
    StrayQuote,
    NoSuchColumn { column: usize, columns: usize },
    NotText,
}

impl std::fmt::Display for RowProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong => write!(f, "the line is longer than {} bytes", LINE_MAX),
            Self::OpenQuote => f.write_str("a quote is not closed"),
            Self::StrayQuote => f.write_str("there is text between a closing quote and the next delimiter"),
            Self::NoSuchColumn { column, columns } => write!(f, "there is no column {column}; the row has {columns}"),
            Self::NotText => f.write_str("the id is not valid UTF-8"),
        }
    }
}

/// The rows of one list.
pub(crate) struct Rows<R> {
    lines: Lines<R>,
    layout: Layout,
    /// Delimiter and column, once the first row was read.
    found: Option<(u8, usize)>,
    scratch: Vec<u8>,
}

impl<R: BufRead> Rows<R> {
    pub(crate) fn new(input: R, layout: Layout) -> Self {
        Self { lines: Lines::new(input), layout, found: None, scratch: Vec::new() }
    }

    /// Returns how many bytes of the input have been consumed.
    pub(crate) fn consumed(&self) -> u64 {
        self.lines.consumed()
    }

    /// Returns the next row that is not empty; its id is appended to `ids`.
    pub(crate) fn next(&mut self, ids: &mut String) -> io::Result<Option<Row>> {
        loop {
            let Some(line) = self.lines.next()? else { return Ok(None) };
            if line.bytes.trim_ascii().is_empty() && !line.cut {
                continue;
            }
            let delimiter = self.found.map_or_else(|| detect_delimiter(&line.bytes), |(delimiter, _)| delimiter);
            let number = line.number;
            let record = match self.complete(line, delimiter)? {
                Ok(record) => record,
                Err(problem) => return Ok(Some(Row { line: number, id: Err(problem) })),
            };
            let column = match self.found {
                Some((_, column)) => column,
                None => {
                    let (column, is_header) = self.read_first_record(&record, delimiter);
                    self.found = Some((delimiter, column));
                    if is_header {
                        continue;
                    }
                    column
                }
            };
            let id = self.id_in(&record, delimiter, column, ids);
            self.lines.reuse(record);
            return Ok(Some(Row { line: number, id }));
        }
    }

    /// Joins the lines of a record whose quoted cells span lines.
    fn complete(&mut self, first: Line, delimiter: u8) -> io::Result<Result<Vec<u8>, RowProblem>> {
        if first.cut {
            return Ok(Err(RowProblem::TooLong));
        }
        let mut record = first.bytes;
        if !record.contains(&b'"') {
            return Ok(Ok(record));
        }
        let mut position = Position::Start.after_all(&record, delimiter);
        let mut joined = Vec::new();
        while position == Position::Quoted {
            let next = if record.len() > RECORD_MAX { None } else { self.lines.next()? };
            let Some(line) = next else {
                self.lines.unread(joined);
                return Ok(Err(RowProblem::OpenQuote));
            };
            record.push(b'\n');
            record.extend_from_slice(&line.bytes);
            position = position.after_all(&line.bytes, delimiter);
            joined.push(line);
        }
        if position == Position::Malformed {
            self.lines.unread(joined);
            return Ok(Err(RowProblem::StrayQuote));
        }
        Ok(Ok(record))
    }

    /// Returns the column of the ids, counted from 0, and whether the first record is a header.
    fn read_first_record(&mut self, record: &[u8], delimiter: u8) -> (usize, bool) {
        let mut best: Option<(usize, usize)> = None;
        let wanted = self.layout.column.map(|column| column - 1);
        for_each_cell(record, delimiter, &mut self.scratch, |index, cell| {
            let rank = header_rank(cell).filter(|_| wanted.is_none_or(|wanted| wanted == index));
            if let Some(rank) = rank
                && best.is_none_or(|(best_rank, _)| rank < best_rank)
            {
                best = Some((rank, index));
            }
        });
        let column = wanted.or(best.map(|(_, index)| index)).unwrap_or(0);
        (column, self.layout.header || best.is_some())
    }

    fn id_in(
        &mut self,
        record: &[u8],
        delimiter: u8,
        column: usize,
        ids: &mut String,
    ) -> Result<Range<usize>, RowProblem> {
        let cell = nth_cell(record, delimiter, column, &mut self.scratch)
            .map_err(|columns| RowProblem::NoSuchColumn { column: column + 1, columns })?;
        let id = std::str::from_utf8(cell).map_err(|_| RowProblem::NotText)?;
        let start = ids.len();
        ids.push_str(id);
        Ok(start..ids.len())
    }
}

fn header_rank(cell: &[u8]) -> Option<usize> {
    let name: String = cell
        .iter()
        .filter(|byte| !matches!(byte, b' ' | b'_' | b'-'))
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect();
    ID_HEADERS.iter().position(|header| *header == name)
}

/// The state of the scanner of a record (RFC 4180). A record can be split wherever it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// At the start of a cell.
    Start,
    /// In a cell without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// After a quote that ends the cell, or is the first of two.
    Closed,
    /// After a closed cell that is followed by something else than a delimiter.
    Malformed,
}

impl Position {
    /// Returns the state after `byte`.
    fn after(self, byte: u8, delimiter: u8) -> Self {
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

    /// Returns the state after all of `bytes`.
    fn after_all(self, bytes: &[u8], delimiter: u8) -> Self {
        bytes.iter().fold(self, |position, byte| position.after(*byte, delimiter))
    }
}

/// Calls `each` with the index and the content of every cell, which is assembled in `scratch`.
fn for_each_cell(record: &[u8], delimiter: u8, scratch: &mut Vec<u8>, mut each: impl FnMut(usize, &[u8])) {
    scratch.clear();
    let (mut index, mut position) = (0, Position::Start);
    for &byte in record {
        let next = position.after(byte, delimiter);
        match (position, next) {
            // An opening or closing quote is not content; the second of two is.
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

/// Returns the content of the cell with this index, which may be in `scratch`, or else how many cells there are.
fn nth_cell<'c>(record: &'c [u8], delimiter: u8, wanted: usize, scratch: &'c mut Vec<u8>) -> Result<&'c [u8], usize> {
    if !record.contains(&b'"') {
        let mut cells = record.split(|byte| *byte == delimiter);
        return cells.nth(wanted).ok_or_else(|| record.split(|byte| *byte == delimiter).count());
    }
    let (mut found, mut count) = (None, 0);
    for_each_cell(record, delimiter, scratch, |index, cell| {
        count = index + 1;
        if index == wanted {
            found = Some(cell.to_vec());
        }
    });
    *scratch = found.ok_or(count)?;
    Ok(scratch)
}

/// Returns the delimiter of a list from its first record: the first comma, semicolon or tab outside quotes.
fn detect_delimiter(record: &[u8]) -> u8 {
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

    fn rows_with(input: &str, layout: Layout) -> Vec<(u64, Result<String, RowProblem>)> {
        let (mut rows, mut ids) = (Rows::new(input.as_bytes(), layout), String::new());
        let rows: Vec<Row> = std::iter::from_fn(|| rows.next(&mut ids).unwrap()).collect();
        rows.into_iter().map(|row| (row.line, row.id.map(|place| ids[place].to_owned()))).collect()
    }

    fn ids(input: &str) -> Vec<(u64, String)> {
        rows_with(input, Layout::default()).into_iter().map(|(line, id)| (line, id.unwrap())).collect()
    }

    fn expected(rows: &[(u64, &str)]) -> Vec<(u64, String)> {
        rows.iter().map(|(line, id)| (*line, (*id).to_owned())).collect()
    }

    #[test]
    fn ids_are_read_from_plain_lists_and_tables() {
        let plain = expected(&[(1, "dev-1"), (2, "dev-2")]);
        let after_header = expected(&[(2, "dev-1"), (3, "dev-2")]);
        assert_eq!(ids("dev-1\ndev-2\n"), plain);
        assert_eq!(ids("dev-1,x\r\ndev-2,y"), plain);
        assert_eq!(ids("registrationId\ndev-1\ndev-2\n"), after_header);
        assert_eq!(ids("\u{feff}Registration_ID,note\r\n\"dev-1\",\"a, b\"\r\n\"dev-2\",\r\n"), after_header);
        assert_eq!(ids("site;Device ID\nx;dev-1\ny;dev-2"), after_header);
        assert_eq!(ids("device id\tregistration id\nx\tdev-1\ny\tdev-2"), after_header);
        assert_eq!(ids("\n\ndev-1\n   \ndev-2"), expected(&[(3, "dev-1"), (5, "dev-2")]));
    }

    #[test]
    fn cells_can_span_lines_and_an_unclosed_quote_loses_one_line() {
        assert_eq!(ids("id,note\ndev-1,\"two\nlines\"\ndev-2,x"), expected(&[(2, "dev-1"), (4, "dev-2")]));
        let rows = rows_with("id,note\ndev-1,\"lost\ndev-2,x\ndev-3,y\n", Layout::default());
        assert_eq!(rows[0], (2, Err(RowProblem::OpenQuote)));
        assert_eq!(rows[1], (3, Ok("dev-2".into())));
        assert_eq!(rows[2], (4, Ok("dev-3".into())));
        let rows = rows_with("\"dev-1\"x\ndev-2\n", Layout::default());
        assert_eq!(rows, [(1, Err(RowProblem::StrayQuote)), (2, Ok("dev-2".into()))]);
    }

    #[test]
    fn column_can_be_set_by_number() {
        let layout = Layout { column: Some(2), header: false };
        assert_eq!(
            rows_with("a,dev-1\nb\n", layout),
            [(1, Ok("dev-1".into())), (2, Err(RowProblem::NoSuchColumn { column: 2, columns: 1 })),]
        );
        let layout = Layout { column: Some(2), header: true };
        assert_eq!(rows_with("site,serial\na,dev-1\n", layout), [(2, Ok("dev-1".into()))]);
    }

    fn cells(record: &str) -> Vec<String> {
        let mut found = Vec::new();
        let delimiter = detect_delimiter(record.as_bytes());
        for_each_cell(record.as_bytes(), delimiter, &mut Vec::new(), |index, cell| {
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
    fn one_cell_is_found_by_index() {
        for record in ["a,b,c", r#""a",b,"c""#] {
            let cell = |index| nth_cell(record.as_bytes(), b',', index, &mut Vec::new()).map(<[u8]>::to_vec);
            assert_eq!((cell(0), cell(2), cell(3)), (Ok(b"a".to_vec()), Ok(b"c".to_vec()), Err(3)));
        }
    }

    #[test]
    fn open_quotes_and_text_after_closing_quotes_are_detected() {
        let end = |record: &str| Position::Start.after_all(record.as_bytes(), b',');
        assert_eq!(end(r#""a"#), Position::Quoted);
        assert_eq!(end(r#""a"b"#), Position::Malformed);
        assert_eq!(end(r#""a","b""#), Position::Closed);
    }
}
