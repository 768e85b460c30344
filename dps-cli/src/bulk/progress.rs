//! How far a long list is, as one line on a terminal; nothing anywhere else.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

const WIDTH: u64 = 30;
const EVERY: Duration = Duration::from_millis(100);

/// A line that is drawn over and over.
pub(crate) struct Progress {
    size: Option<u64>,
    last: Option<Instant>,
    drawn: bool,
}

impl Progress {
    /// `size` is the input's size in bytes, where it is known. Draws only when stderr is a terminal.
    pub(crate) fn new(size: Option<u64>) -> Self {
        let last = io::stderr().is_terminal().then(Instant::now);
        Self { size, last, drawn: false }
    }

    /// Shows that `rows` rows and `bytes` bytes are done.
    pub(crate) fn at(&mut self, rows: u64, bytes: u64) {
        if let Some(last) = self.last
            && last.elapsed() >= EVERY
        {
            self.last = Some(Instant::now());
            self.drawn = true;
            _ = write!(io::stderr().lock(), "\r{}\x1b[K", line(self.size, rows, bytes));
        }
    }

    /// Takes the line away, before anything else is written to the terminal.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn line(size: Option<u64>, rows: u64, bytes: u64) -> String {
    match size.filter(|size| *size > 0) {
        None => format!("{rows} rows"),
        Some(size) => {
            let done = bytes.min(size) * WIDTH / size;
            let bar: String = (0..WIDTH).map(|place| if place < done { '#' } else { '.' }).collect();
            format!("[{bar}] {:3} %  {rows} rows", bytes.min(size) * 100 / size)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_with_the_bytes() {
        assert_eq!(line(Some(100), 7, 50), "[###############...............]  50 %  7 rows");
        assert_eq!(line(Some(100), 9, 900), "[##############################] 100 %  9 rows");
        assert_eq!(line(None, 7, 50), "7 rows");
    }
}
