//! Derives the keys of many devices: a list of ids in, a list of keys out, in constant memory and in the order of the
//! input.
//!
//! One thread reads, one thread per processor derives, one writes; a fixed number of batches circulates between them.
//! Valid rows are always written; the others are reported with their lines. The command opens files and keys; this
//! module only streams.

mod batch;
mod findings;
mod lines;
mod rows;
mod seen;

use std::io::{self, BufRead, Write};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use dps_client::GroupDeriver;

pub(crate) use batch::RowFormat;
pub(crate) use findings::Findings as ListFindings;
pub(crate) use rows::Layout;

use crate::failure::{Failure, Result};
use batch::{Batch, Finished, Problem, Worker};
use findings::{Findings, Progress};
use rows::Rows;
use seen::{IdHasher, Seen};

/// Batches per deriving thread: enough to keep it busy while the reader or the writer runs on its processor.
const BATCHES: usize = 8;

/// How a list is read and written.
#[derive(Clone, Copy)]
pub(crate) struct Task {
    pub(crate) layout: Layout,
    pub(crate) lowercase: bool,
    pub(crate) format: RowFormat,
    /// The size of the list in bytes, where it is known.
    pub(crate) size: Option<u64>,
}

/// The result of a list.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// Rows read, without the header and empty lines.
    pub(crate) rows: u64,
    /// Keys written.
    pub(crate) written: u64,
    /// Keys written for ids with upper-case letters.
    pub(crate) upper_case: u64,
    pub(crate) findings: Findings,
}

/// A batch between two threads, or why the list cannot be read further.
type Message = io::Result<Batch>;

/// Derives the key of every id in `input` and writes it to `output`.
pub(crate) fn derive(
    deriver: &GroupDeriver,
    task: Task,
    input: impl BufRead + Send,
    output: &mut impl Write,
) -> Result<Summary> {
    let worker = Worker {
        deriver,
        lowercase: task.lowercase,
        format: task.format,
        hasher: IdHasher::default(),
        folded: String::new(),
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    // A thread that ends drops its channels, which ends the others.
    thread::scope(|scope| {
        let (empty, empties) = channel();
        for _ in 0..threads * BATCHES {
            _ = empty.send(Batch::default());
        }
        let (mut to_workers, mut from_workers) = (Vec::new(), Vec::new());
        for _ in 0..threads {
            let (to_worker, tasks) = channel();
            let (done, from_worker) = channel();
            let worker = worker.clone();
            scope.spawn(move || work(worker, &tasks, &done));
            to_workers.push(to_worker);
            from_workers.push(from_worker);
        }
        let rows = Rows::new(input, task.layout);
        scope.spawn(move || read(rows, &empties, &to_workers));
        write(task, &from_workers, &empty, output)
    })
}

/// Reads the list into batches and distributes them in turn.
fn read(mut rows: Rows<impl BufRead>, empties: &Receiver<Batch>, to_workers: &[Sender<Message>]) {
    for (to_worker, mut batch) in to_workers.iter().cycle().zip(empties) {
        let message = match batch.fill(&mut rows) {
            Ok(true) => Ok(batch),
            Ok(false) => return,
            Err(error) => Err(error),
        };
        if to_worker.send(message).is_err() {
            return;
        }
    }
}

fn work(mut worker: Worker<'_>, tasks: &Receiver<Message>, done: &Sender<Message>) {
    for mut message in tasks {
        if let Ok(batch) = &mut message {
            worker.work(batch);
        }
        if done.send(message).is_err() {
            return;
        }
    }
}

/// Collects the batches in the order in which they were distributed, until a channel is closed.
fn write(
    task: Task,
    from_workers: &[Receiver<Message>],
    empty: &Sender<Batch>,
    output: &mut impl Write,
) -> Result<Summary> {
    let mut sorter = Sorter { seen: Seen::default(), progress: Progress::new(task.size), summary: Summary::default() };
    let mut put =
        |bytes: &[u8]| output.write_all(bytes).map_err(|error| file_failure("the keys cannot be written", &error));
    if task.format == RowFormat::Csv {
        put(b"registration_id,device_key\n")?;
    }
    for from_worker in from_workers.iter().cycle() {
        let Ok(message) = from_worker.recv() else { break };
        let batch = message.map_err(|error| file_failure("the list of ids cannot be read", &error))?;
        if sorter.summary.rows == 0
            && let Some(size) = task.size
        {
            sorter.seen.reserve(batch.estimate_rows(size));
        }
        // Consecutive valid rows are written at once.
        let mut valid = 0..0;
        for row in batch.finished() {
            if !sorter.accept(&row) {
                put(batch.output(valid))?;
                valid = row.output.end..row.output.end;
            }
            valid.end = row.output.end;
        }
        put(batch.output(valid))?;
        sorter.progress.update(sorter.summary.rows, batch.consumed);
        _ = empty.send(batch);
    }
    Ok(sorter.summary)
}

/// Separates the rows to write from the others, which it records.
struct Sorter {
    seen: Seen,
    progress: Progress,
    summary: Summary,
}

impl Sorter {
    /// Records the row, and returns whether it is to be written.
    fn accept(&mut self, row: &Finished<'_>) -> bool {
        self.summary.rows += 1;
        match row.result {
            Err(Problem::Row(problem)) => self.findings().bad_row(row.line, problem),
            Err(Problem::Id(error)) => self.findings().bad_id(row.line, row.id, error),
            Ok(derived) => match self.seen.insert(derived.hash, row.line) {
                Some(repetition) => self.findings().repeated(row.line, row.id, repetition),
                None => {
                    self.summary.written += 1;
                    self.summary.upper_case += u64::from(derived.upper_case);
                    return true;
                }
            },
        }
        false
    }

    /// Returns the findings. They are printed to the terminal, on which the progress is drawn.
    fn findings(&mut self) -> &mut Findings {
        self.progress.clear();
        &mut self.summary.findings
    }
}

fn file_failure(what: &str, error: &io::Error) -> Failure {
    Failure::new(dps_core::ErrorCode::File, format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dps_core::{ErrorCode, Key};
    use std::io::{BufReader, Read};

    const TASK: Task =
        Task { layout: Layout { column: None, header: false }, lowercase: false, format: RowFormat::Csv, size: None };

    /// A disk that is full after so many bytes.
    struct Disk(usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A list that fails to be read.
    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }

    fn failure(input: impl Read + Send, mut output: impl Write) -> Failure {
        let deriver = GroupDeriver::new(&Key::from_bytes(&[7; 64]).unwrap());
        derive(&deriver, TASK, BufReader::new(input), &mut output).unwrap_err()
    }

    #[test]
    fn derive_fails_when_the_list_breaks_off_or_the_disk_is_full() {
        let ids: String = (0..50_000).map(|number| format!("dev-{number}\n")).collect();
        let broken = failure(ids.as_bytes().chain(Broken), Vec::new());
        assert_eq!(broken.code, ErrorCode::File);
        assert!(broken.message.starts_with("the list of ids cannot be read"), "{}", broken.message);
        let full = failure(ids.as_bytes(), Disk(500_000));
        assert!(full.message.starts_with("the keys cannot be written"), "{}", full.message);
    }
}
