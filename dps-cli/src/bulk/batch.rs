//! A batch of a few thousand rows, from the list to the output: read by one thread, derived by another.
//!
//! A batch is reused, so that keys are overwritten and nothing is allocated per row. The order of batches and
//! repetitions between them are handled by the caller.

use std::io::{self, BufRead};
use std::ops::Range;

use clap::ValueEnum;
use dps_client::GroupDeriver;
use dps_core::{ConfigError, RegistrationId};
use zeroize::{Zeroize as _, Zeroizing};

use super::rows::{Row, RowProblem, Rows};
use super::seen::{IdHash, IdHasher};

/// A batch is full with this many rows, or this many bytes of ids.
const ROWS: usize = 2048;
const ID_BYTES: usize = 64 * 1024;

/// The format of a list of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// A header, then registration_id,device_key
    Csv,
    /// One object per line: {"registrationId":…,"deviceKey":…}
    Jsonl,
}

impl RowFormat {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

/// Rows and their results.
#[derive(Default)]
pub(super) struct Batch {
    ids: String,
    rows: Vec<Row>,
    results: Vec<Result<Derived, Problem>>,
    output: Zeroizing<Vec<u8>>,
    /// How many bytes of the list have been consumed after this batch.
    pub(super) consumed: u64,
}

/// A row with a key.
#[derive(Clone, Copy)]
pub(super) struct Derived {
    pub(super) hash: IdHash,
    pub(super) upper_case: bool,
    /// The end of its row in the output.
    end: usize,
}

/// Why a row has no key.
#[derive(Clone, Copy)]
pub(super) enum Problem {
    Row(RowProblem),
    Id(ConfigError),
}

/// A row and its result.
pub(super) struct Finished<'b> {
    pub(super) line: u64,
    /// The id, or empty where the row has none.
    pub(super) id: &'b str,
    pub(super) result: Result<Derived, Problem>,
    /// The range of its row in the output.
    pub(super) output: Range<usize>,
}

/// Derives keys from ids; each thread has its own.
#[derive(Clone)]
pub(super) struct Worker<'a> {
    pub(super) deriver: &'a GroupDeriver,
    pub(super) lowercase: bool,
    pub(super) format: RowFormat,
    pub(super) hasher: IdHasher,
    pub(super) folded: String,
}

impl Batch {
    /// Reads the next rows; returns false at the end of the list.
    pub(super) fn fill(&mut self, rows: &mut Rows<impl BufRead>) -> io::Result<bool> {
        self.ids.clear();
        self.rows.clear();
        while self.rows.len() < ROWS && self.ids.len() < ID_BYTES {
            let Some(row) = rows.next(&mut self.ids)? else { break };
            self.rows.push(row);
        }
        self.consumed = rows.consumed();
        Ok(!self.rows.is_empty())
    }

    /// Estimates how many rows a list of `size` bytes has, from this first batch.
    pub(super) fn estimate_rows(&self, size: u64) -> u64 {
        (self.rows.len() as u64).saturating_mul(size) / self.consumed.max(1)
    }

    /// Returns a range of the output.
    pub(super) fn output(&self, place: Range<usize>) -> &[u8] {
        &self.output[place]
    }

    /// Returns the rows in the order of the list.
    pub(super) fn finished(&self) -> impl Iterator<Item = Finished<'_>> {
        let mut start = 0;
        self.rows.iter().zip(&self.results).map(move |(row, &result)| {
            let id = row.id.as_ref().map_or("", |place| &self.ids[place.clone()]);
            let end = result.map_or(start, |derived| derived.end);
            let output = std::mem::replace(&mut start, end)..end;
            Finished { line: row.line, id, result, output }
        })
    }
}

impl Worker<'_> {
    /// Derives the key of every row with a valid id.
    pub(super) fn work(&mut self, batch: &mut Batch) {
        if self.lowercase {
            batch.ids.make_ascii_lowercase();
        }
        batch.output.clear();
        batch.results.clear();
        for row in &batch.rows {
            let result = match &row.id {
                Ok(place) => self.derive(&batch.ids[place.clone()], &mut batch.output).map_err(Problem::Id),
                Err(problem) => Err(Problem::Row(*problem)),
            };
            batch.results.push(result);
        }
    }

    fn derive(&mut self, id: &str, output: &mut Vec<u8>) -> Result<Derived, ConfigError> {
        let registration_id = RegistrationId::new(id)?;
        let mut key = [0; GroupDeriver::KEY_TEXT_LEN];
        self.deriver.write_base64(registration_id, &mut key);
        // A valid id has no character that either form would have to escape.
        let (before, between, after) = match self.format {
            RowFormat::Csv => ("", ",", "\n"),
            RowFormat::Jsonl => ("{\"registrationId\":\"", "\",\"deviceKey\":\"", "\"}\n"),
        };
        for piece in [before.as_bytes(), id.as_bytes(), between.as_bytes(), &key, after.as_bytes()] {
            output.extend_from_slice(piece);
        }
        key.as_mut_slice().zeroize();
        let hash = self.hasher.hash(id, &mut self.folded);
        Ok(Derived { hash, upper_case: registration_id.has_upper_case(), end: output.len() })
    }
}
