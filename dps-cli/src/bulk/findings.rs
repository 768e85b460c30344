//! What is reported about a list: the first findings one by one and all of them counted; the progress on a terminal.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use dps_core::ConfigError;
use serde::Serialize;

use super::rows::RowProblem;
use super::seen::Repetition;
use crate::output::note;

/// How many findings are listed one by one.
const LISTED_MAX: usize = 50;
/// How many bytes of an id are quoted in a message.
const ID_SHOWN_MAX: usize = 64;
/// The width of the bar, in characters.
const WIDTH: u64 = 30;
/// The least time between two drawings.
const INTERVAL: Duration = Duration::from_millis(100);

/// The first findings, and counts of all.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Findings {
    /// Rows without a valid id.
    pub(crate) invalid: u64,
    /// Rows whose id is on an earlier line.
    pub(crate) duplicates: u64,
    /// Rows whose id is on an earlier line in another letter case.
    pub(crate) case_duplicates: u64,
    /// The first findings.
    pub(crate) findings: Vec<Finding>,
    /// How many more findings there are.
    pub(crate) findings_omitted: u64,
}

/// One row that was not written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    line: u64,
    kind: &'static str,
    message: String,
}

impl Findings {
    /// Records a row that has no id.
    pub(crate) fn bad_row(&mut self, line: u64, problem: RowProblem) {
        self.invalid += 1;
        self.add(line, "invalid", problem);
    }

    /// Records an id that the service would refuse.
    pub(crate) fn bad_id(&mut self, line: u64, id: &str, error: ConfigError) {
        self.invalid += 1;
        match error {
            ConfigError::RegistrationId(problem) => {
                self.add(line, "invalid", format_args!("{}: {problem}", quoted(id)))
            }
            other => self.add(line, "invalid", other),
        }
    }

    /// Records an id that is on an earlier line.
    pub(crate) fn repeated(&mut self, line: u64, id: &str, repetition: Repetition) {
        let id = quoted(id);
        match repetition {
            Repetition::Same { line: first } => {
                self.duplicates += 1;
                self.add(line, "duplicate", format_args!("{id} is already on line {first}"));
            }
            Repetition::OtherCase { line: first } => {
                self.case_duplicates += 1;
                self.add(
                    line,
                    "case-duplicate",
                    format_args!(
                        "{id} differs from line {first} only in letter case: one device for the service, but two keys"
                    ),
                );
            }
        }
    }

    /// Returns how many rows were not written.
    pub(crate) fn total(&self) -> u64 {
        self.invalid + self.duplicates + self.case_duplicates
    }

    fn add(&mut self, line: u64, kind: &'static str, message: impl fmt::Display) {
        if self.findings.len() < LISTED_MAX {
            note(format_args!("line {line}: {message}"));
            self.findings.push(Finding { line, kind, message: message.to_string() });
        } else {
            self.findings_omitted += 1;
        }
    }
}

/// Quotes an id: control characters escaped, cut where it is too long.
fn quoted(id: &str) -> String {
    let mut end = id.len().min(ID_SHOWN_MAX);
    while !id.is_char_boundary(end) {
        end -= 1;
    }
    let rest = if end < id.len() { "…" } else { "" };
    format!("{:?}{rest}", &id[..end])
}

/// The progress of a long list as one line on a terminal, drawn repeatedly; nothing is drawn elsewhere.
pub(crate) struct Progress {
    size: Option<u64>,
    last: Option<Instant>,
    drawn: bool,
}

impl Progress {
    /// Starts the progress; `size` is the input's size in bytes, where known.
    pub(crate) fn new(size: Option<u64>) -> Self {
        let last = io::stderr().is_terminal().then(Instant::now);
        Self { size, last, drawn: false }
    }

    /// Shows that `rows` rows and `bytes` bytes are done.
    pub(crate) fn update(&mut self, rows: u64, bytes: u64) {
        if let Some(last) = self.last
            && last.elapsed() >= INTERVAL
        {
            self.last = Some(Instant::now());
            self.drawn = true;
            _ = write!(io::stderr().lock(), "\r{}\x1b[K", line(self.size, rows, bytes));
        }
    }

    /// Clears the line, before anything else is written to the terminal.
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
    fn progress_line_shows_bar_percentage_and_rows() {
        assert_eq!(line(Some(100), 7, 50), "[###############...............]  50 %  7 rows");
        assert_eq!(line(Some(100), 9, 900), "[##############################] 100 %  9 rows");
        assert_eq!(line(None, 7, 50), "7 rows");
    }
}
