//! Reads lines in bounded memory: numbered, without line endings and byte order mark.

use std::collections::VecDeque;
use std::io::{self, BufRead};

/// The longest line, in bytes; the rest of a longer line is dropped, and the line is marked.
pub(crate) const LINE_MAX: usize = 64 * 1024;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: u64,
    pub(crate) bytes: Vec<u8>,
    /// Whether it was longer than [`LINE_MAX`]; then `bytes` is its beginning.
    pub(crate) cut: bool,
}

/// Reads lines; lines that were read too far can be returned.
pub(crate) struct Lines<R> {
    input: R,
    read: u64,
    consumed: u64,
    unread: VecDeque<Line>,
    /// The buffer of an earlier line, for the next.
    spare: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, read: 0, consumed: 0, unread: VecDeque::new(), spare: Vec::new() }
    }

    /// Returns the next line.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        match self.unread.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.read_line(),
        }
    }

    /// Returns lines to the input, to be read again in this order.
    pub(crate) fn unread(&mut self, lines: Vec<Line>) {
        for line in lines.into_iter().rev() {
            self.unread.push_front(line);
        }
    }

    /// Reuses the buffer of a line that is no longer needed.
    pub(crate) fn reuse(&mut self, bytes: Vec<u8>) {
        self.spare = bytes;
    }

    /// Returns how many bytes of the input have been consumed.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed
    }

    fn read_line(&mut self) -> io::Result<Option<Line>> {
        let (mut bytes, mut cut) = (std::mem::take(&mut self.spare), false);
        bytes.clear();
        let start = self.consumed;
        loop {
            let available = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if available.is_empty() {
                break;
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let piece = &available[..end.unwrap_or(available.len())];
            let room = LINE_MAX - bytes.len();
            cut |= piece.len() > room;
            bytes.extend_from_slice(&piece[..piece.len().min(room)]);
            let used = piece.len() + usize::from(end.is_some());
            self.input.consume(used);
            self.consumed += used as u64;
            if end.is_some() {
                break;
            }
        }
        if self.consumed == start {
            return Ok(None);
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        if self.read == 0 && bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        self.read += 1;
        Ok(Some(Line { number: self.read, bytes, cut }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8]) -> Vec<(u64, Vec<u8>, bool)> {
        // A small buffer, so that every line is read in pieces.
        let mut lines = Lines::new(io::BufReader::with_capacity(3, input));
        std::iter::from_fn(|| lines.next().unwrap()).map(|line| (line.number, line.bytes, line.cut)).collect()
    }

    #[test]
    fn lines_have_no_line_endings_and_no_byte_order_mark() {
        let expected = vec![(1, b"a".to_vec(), false), (2, b"".to_vec(), false), (3, b"b".to_vec(), false)];
        assert_eq!(all(b"\xef\xbb\xbfa\r\n\r\nb\r\n"), expected);
        assert_eq!(all(b"a\n\nb"), expected);
        assert_eq!(all(b""), vec![]);
    }

    #[test]
    fn long_lines_are_cut_and_the_next_line_is_complete() {
        let mut input = vec![b'x'; LINE_MAX + 10];
        input.extend_from_slice(b"\nnext\n");
        let lines = all(&input);
        assert_eq!((lines[0].1.len(), lines[0].2), (LINE_MAX, true));
        assert_eq!(lines[1], (2, b"next".to_vec(), false));
    }
}
