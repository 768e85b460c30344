//! Derives the keys of one batch of ids on all processors, without the GIL.
//!
//! A batch owns its strings, so that its threads can outlive the call that started it. They do not use Python.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use dps_client::GroupDeriver;
use dps_client::dps_core::{ConfigError, RegistrationId};

/// A key as base64.
pub(crate) type KeyText = [u8; GroupDeriver::KEY_TEXT_LEN];

/// The number of ids that a thread processes at a time: few enough that all threads end at about the same time.
const PIECE: usize = 512;
/// With fewer ids another thread does not pay off.
const IDS_A_THREAD: usize = 2048;

/// Strings, stored one after another.
#[derive(Default)]
pub(crate) struct Texts {
    text: String,
    ends: Vec<usize>,
}

impl Texts {
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the first that is not a valid registration id.
    pub(crate) fn first_wrong(&self) -> Option<Wrong> {
        let ids = (0..self.len()).map(|number| (number, self.get(number).unwrap_or_default()));
        ids.filter_map(|(number, id)| RegistrationId::new(id).err().map(|error| (number, error))).next()
    }

    fn get(&self, number: usize) -> Option<&str> {
        let start = number.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.text.get(start..*self.ends.get(number)?)
    }
}

/// The first invalid id: its index in the batch, and the reason.
pub(crate) type Wrong = (usize, ConfigError);

/// Ids whose keys are being derived.
pub(crate) struct Batch {
    work: Arc<Work>,
    helpers: Helpers,
}

/// The threads of a batch. A forked process has none of its parent's.
struct Helpers {
    threads: Vec<JoinHandle<Vec<Piece>>>,
    /// The process in which they run.
    process: u32,
}

/// The shared state of the threads.
struct Work {
    deriver: GroupDeriver,
    ids: Texts,
    /// The first piece that no thread has started.
    next: AtomicUsize,
}

/// The keys of a piece, up to the first wrong id.
struct Piece {
    number: usize,
    keys: Vec<KeyText>,
    wrong: Option<Wrong>,
}

impl Batch {
    /// Starts the other threads.
    pub(crate) fn begin(deriver: &GroupDeriver, ids: Texts) -> Self {
        let helpers = (ids.len() / IDS_A_THREAD).min(processors()).saturating_sub(1);
        let work = Arc::new(Work { deriver: deriver.clone(), ids, next: AtomicUsize::new(0) });
        let start = |_| {
            let work = Arc::clone(&work);
            // Where no thread can be had, the work is done without it.
            std::thread::Builder::new().name("dps-derive".into()).spawn(move || work.pieces()).ok()
        };
        let helpers = Helpers { threads: (0..helpers).filter_map(start).collect(), process: std::process::id() };
        Self { work, helpers }
    }

    /// Derives keys in this thread too, waits for the others, and returns the keys up to the first invalid id, and that id.
    pub(crate) fn finish(self) -> (Vec<KeyText>, Option<Wrong>) {
        if !self.helpers.are_here() {
            // What they had taken is to be done again.
            self.work.next.store(0, Ordering::Relaxed);
        }
        let mut pieces = self.work.pieces();
        pieces.extend(self.helpers.join());
        pieces.sort_unstable_by_key(|piece| piece.number);
        let mut keys = Vec::with_capacity(self.work.ids.len());
        for piece in pieces {
            keys.extend_from_slice(&piece.keys);
            if piece.wrong.is_some() {
                return (keys, piece.wrong);
            }
        }
        (keys, None)
    }
}

impl Helpers {
    fn are_here(&self) -> bool {
        self.process == std::process::id()
    }

    /// Waits for the threads and returns their keys; nothing if they are not in this process.
    fn join(mut self) -> Vec<Piece> {
        if !self.are_here() {
            return Vec::new();
        }
        let done = std::mem::take(&mut self.threads).into_iter().map(JoinHandle::join);
        done.flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        if !self.are_here() {
            // A handle to a thread that does not exist must not even be given back.
            std::mem::forget(std::mem::take(&mut self.threads));
        }
    }
}

impl Work {
    /// Derives one piece after another, until all are started.
    fn pieces(&self) -> Vec<Piece> {
        let numbers = std::iter::repeat_with(|| self.next.fetch_add(1, Ordering::Relaxed));
        numbers.take_while(|number| number * PIECE < self.ids.len()).map(|number| self.piece(number)).collect()
    }

    fn piece(&self, number: usize) -> Piece {
        let mut keys = Vec::with_capacity(PIECE);
        let mut wrong = None;
        for place in number * PIECE..self.ids.len().min((number + 1) * PIECE) {
            match RegistrationId::new(self.ids.get(place).unwrap_or_default()) {
                Ok(id) => {
                    let mut key = [0; GroupDeriver::KEY_TEXT_LEN];
                    self.deriver.write_base64(id, &mut key);
                    keys.push(key);
                }
                Err(error) => {
                    wrong = Some((place, error));
                    break;
                }
            }
        }
        Piece { number, keys, wrong }
    }
}

fn processors() -> usize {
    static PROCESSORS: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}
