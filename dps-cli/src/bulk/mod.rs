//! The keys of many devices: a list of ids in, a list of keys out, in constant memory and in the order of the input.
//!
//! Good rows are written whatever the others are; the others are told with their lines. Files and keys are opened by
//! the command; this room only streams.

mod cells;
mod findings;
mod lines;
mod progress;
mod rows;
mod seen;

use std::io::{BufRead, Write};

use dps_core::RegistrationId;
use dps_core::credentials::GroupDeriver;
use dps_core::credentials::derive::DERIVED_TEXT;
use zeroize::{Zeroize as _, Zeroizing};

use crate::args::RowFormat;
use crate::failure::{Failure, Result};
use findings::Findings;
use progress::Progress;
use rows::Rows;
use seen::Seen;

pub(crate) use findings::Findings as ListFindings;
pub(crate) use rows::Layout;

/// Keys are collected up to about this many bytes before they are written.
const CHUNK: usize = 64 * 1024;
/// More than one row of output has.
const ROW_MAX: usize = 256;

/// What is to be done with a list.
#[derive(Clone, Copy)]
pub(crate) struct Task {
    pub(crate) layout: Layout,
    pub(crate) lowercase: bool,
    pub(crate) format: RowFormat,
    /// The size of the list in bytes, where it is known.
    pub(crate) size: Option<u64>,
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// Rows read, the header and blank lines not counted.
    pub(crate) rows: u64,
    /// Keys written.
    pub(crate) written: u64,
    /// Keys written for ids with upper-case letters.
    pub(crate) upper_case: u64,
    pub(crate) findings: Findings,
}

/// Derives the key of every id in `input` and writes it to `output`.
pub(crate) fn derive(
    deriver: &GroupDeriver,
    task: Task,
    input: impl BufRead,
    output: &mut impl Write,
) -> Result<Summary> {
    let mut rows = Rows::new(input, task.layout);
    let mut keys = KeyRows::new(deriver, task.format, output);
    let mut progress = Progress::new(task.size);
    let mut seen = Seen::default();
    let mut summary = Summary::default();
    keys.header()?;
    while let Some(row) = rows.next().map_err(|error| failed("the list of ids cannot be read", &error))? {
        summary.rows += 1;
        progress.at(summary.rows, rows.consumed());
        let mut id = match row.id {
            Ok(id) => id,
            Err(problem) => {
                progress.clear();
                summary.findings.bad_row(row.line, problem);
                continue;
            }
        };
        if task.lowercase {
            id.make_ascii_lowercase();
        }
        let good = match RegistrationId::new(&id) {
            Ok(good) => good,
            Err(error) => {
                progress.clear();
                summary.findings.bad_id(row.line, &id, error);
                continue;
            }
        };
        if let Some(before) = seen.note(&id, row.line) {
            progress.clear();
            summary.findings.repeated(row.line, &id, before);
            continue;
        }
        summary.upper_case += u64::from(good.has_upper_case());
        keys.write(good)?;
        summary.written += 1;
    }
    keys.finish()?;
    Ok(summary)
}

/// Writes keys in chunks from a buffer that is wiped.
struct KeyRows<'a, W> {
    deriver: &'a GroupDeriver,
    format: RowFormat,
    output: &'a mut W,
    chunk: Zeroizing<Vec<u8>>,
}

impl<'a, W: Write> KeyRows<'a, W> {
    fn new(deriver: &'a GroupDeriver, format: RowFormat, output: &'a mut W) -> Self {
        Self { deriver, format, output, chunk: Zeroizing::new(Vec::with_capacity(CHUNK + ROW_MAX)) }
    }

    fn header(&mut self) -> Result<()> {
        if self.format == RowFormat::Csv {
            self.chunk.extend_from_slice(b"registration_id,device_key\n");
        }
        Ok(())
    }

    /// An id holds nothing that either form would have to escape.
    fn write(&mut self, id: RegistrationId<'_>) -> Result<()> {
        let mut text = [0; DERIVED_TEXT];
        let key = self.deriver.write_base64(id, &mut text).map_err(|error| Failure::internal(error.to_string()))?;
        let pieces = match self.format {
            RowFormat::Csv => [id.as_str(), ",", key, "\n", ""],
            RowFormat::Jsonl => ["{\"registrationId\":\"", id.as_str(), "\",\"deviceKey\":\"", key, "\"}\n"],
        };
        for piece in pieces {
            self.chunk.extend_from_slice(piece.as_bytes());
        }
        text.zeroize();
        if self.chunk.len() >= CHUNK { self.finish() } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<()> {
        self.output.write_all(&self.chunk).map_err(|error| failed("the keys cannot be written", &error))?;
        self.chunk.clear();
        Ok(())
    }
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(dps_core::ErrorCode::File, format!("{what}: {error}"))
}
