//! Prints the results of the matrix, one line per fault and transport.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pair::matrix::{Ran, Row, Transport};

/// The allowed time after the deadline over sockets: for a busy computer, and for closing. `floods` measures exactly.
const GRACE: Duration = Duration::from_secs(5);

/// One row over one transport.
#[derive(Clone, Debug)]
pub struct Line {
    /// The fault.
    pub row: Arc<Row>,
    /// The transport.
    pub transport: Transport,
    /// The outcome over sockets.
    pub sockets: Ran,
    /// The outcome in virtual time; `None` for a row with a certificate.
    pub rehearsed: Option<Ran>,
}

/// Every row over every transport.
#[derive(Clone, Debug)]
pub struct Report {
    /// In the order of the file.
    pub lines: Vec<Line>,
    /// The number of runs that were repeated by themselves, because the first differed.
    pub again: usize,
}

impl Line {
    /// Returns the problem, if there is one.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let sockets = self.sockets.problem(&self.row, self.transport, GRACE);
        let rehearsed = self.rehearsed.as_ref();
        let rehearsed = rehearsed.and_then(|ran| ran.problem(&self.row, self.transport, Duration::ZERO));
        let rehearsed = rehearsed.map(|problem| format!("in virtual time {problem}"));
        let problem = sockets.or(rehearsed)?;
        Some(format!("{} over {}: {problem}", self.row.id, self.transport.name()))
    }
}

impl Report {
    /// Returns the problems, one per line.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.lines.iter().filter_map(Line::problem).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.lines.iter().map(|line| line.row.id.len()).max().unwrap_or_default();
        let ends = self.lines.iter().map(|line| line.row.expected(line.transport).to_string().len()).max();
        let ends = ends.unwrap_or_default();
        writeln!(
            f,
            "{:<ids$}  {:<9}  {:<ends$}  {:<8}  {:>7}  {:>7}",
            "fault", "transport", "expected", "got", "time", "virtual"
        )?;
        for Line { row, transport, sockets, rehearsed } in &self.lines {
            let expected = row.expected(*transport).to_string();
            let got = sockets.ending.to_string();
            let got = if got == expected { "the same" } else { &got };
            let took = sockets.took.as_secs_f32();
            let virtually =
                rehearsed.as_ref().map(|ran| format!("{:.2} s", ran.took.as_secs_f32())).unwrap_or_default();
            writeln!(
                f,
                "{:<ids$}  {:<9}  {expected:<ends$}  {got:<8}  {took:>5.2} s  {virtually:>7}",
                row.id,
                transport.name()
            )?;
        }
        let problems = self.problems();
        for problem in &problems {
            writeln!(f, "DIFFERS: {problem}")?;
        }
        write!(f, "{} agree, {} differ", self.lines.len() - problems.len(), problems.len())?;
        if self.again > 0 {
            write!(f, ", after {} were run again by themselves", self.again)?;
        }
        Ok(())
    }
}
