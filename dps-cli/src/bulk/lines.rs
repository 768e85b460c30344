//! Lines of any input, in bounded memory: numbered, without their ends and without a byte order mark.

use std::collections::VecDeque;
use std::io::{self, BufRead};

/// The longest line, in bytes; what goes beyond is dropped and told.
pub(crate) const LINE_MAX: usize = 64 * 1024;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: u64,
    pub(crate) bytes: Vec<u8>,
    /// It was longer than [`LINE_MAX`]; `bytes` is its beginning.
    pub(crate) cut: bool,
}

/// Reads lines, and takes back those that were read too far.
pub(crate) struct Lines<R> {
    input: R,
    read: u64,
    consumed: u64,
    taken_back: VecDeque<Line>,
    /// Room of an earlier line, for the next.
    spare: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, read: 0, consumed: 0, taken_back: VecDeque::new(), spare: Vec::new() }
    }

    /// The next line.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        match self.taken_back.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.read_line(),
        }
    }

    /// Gives lines back, to be read again in this order.
    pub(crate) fn take_back(&mut self, lines: Vec<Line>) {
        for line in lines.into_iter().rev() {
            self.taken_back.push_front(line);
        }
    }

    /// Takes the room of a line that is done with.
    pub(crate) fn reuse(&mut self, bytes: Vec<u8>) {
        self.spare = bytes;
    }

    /// How many bytes of the input are used up.
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
        // A tiny buffer, so that every line is read in pieces.
        let mut lines = Lines::new(io::BufReader::with_capacity(3, input));
        std::iter::from_fn(|| lines.next().unwrap()).map(|line| (line.number, line.bytes, line.cut)).collect()
    }

    #[test]
    fn line_ends_and_a_mark_are_not_part_of_a_line() {
        let expected = vec![(1, b"a".to_vec(), false), (2, b"".to_vec(), false), (3, b"b".to_vec(), false)];
        assert_eq!(all(b"\xef\xbb\xbfa\r\n\r\nb\r\n"), expected);
        assert_eq!(all(b"a\n\nb"), expected);
        assert_eq!(all(b""), vec![]);
    }

    #[test]
    fn a_line_without_end_is_bounded_and_the_next_is_whole() {
        let mut input = vec![b'x'; LINE_MAX + 10];
        input.extend_from_slice(b"\nnext\n");
        let lines = all(&input);
        assert_eq!((lines[0].1.len(), lines[0].2), (LINE_MAX, true));
        assert_eq!(lines[1], (2, b"next".to_vec(), false));
    }
}
