//! The tokio runtime that all asyncio calls share while any is in progress. A blocking call has its own runtime, the
//! client's `CallRuntime`.
//!
//! No runtime outlives its work, so that no threads or file descriptors are left, and a process can fork between calls. A
//! child that is forked during a call does not use the parent's runtime, but creates its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::gate::{self, Gate};

/// The longest time for which a blocking call does not check for signals, such as Ctrl-C.
pub(crate) const SLICE: Duration = Duration::from_millis(50);
/// Enough that a Python callback in one thread does not delay the others.
const WORKERS: usize = 2;

/// Calls `slice`, which works for [`SLICE`] at most, without the GIL until it returns a result. A signal whose handler raises
/// ends the work.
pub(crate) fn in_slices<T: Send>(py: Python<'_>, mut slice: impl FnMut() -> Option<T> + Send) -> PyResult<T> {
    loop {
        if let Some(done) = py.detach(&mut slice) {
            return Ok(done);
        }
        py.check_signals()?;
    }
}

/// A multi-threaded runtime, whose threads attach to the interpreter through the gate.
pub(crate) fn with_threads(name: &str, gate: &Arc<Gate>) -> PyResult<Runtime> {
    let gate = Arc::clone(gate);
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(WORKERS).thread_name(name).on_thread_start(move || gate.adopt_thread());
    builder.enable_all().build().map_err(cannot_start)
}

/// A runtime for the current thread alone, with time and nothing else.
pub(crate) fn with_time() -> PyResult<Runtime> {
    Builder::new_current_thread().enable_time().build().map_err(cannot_start)
}

struct Shared {
    process: u32,
    runtime: Runtime,
    gate: Arc<Gate>,
    users: usize,
}

/// Locked only by threads that are attached to the interpreter, and never across a detach, so that no thread can hold the
/// lock while another one forks.
static SHARED: Mutex<Option<Shared>> = Mutex::new(None);

/// The right to use the shared runtime, which ends with the last of them. Dropped by attached threads only.
pub(crate) struct Lease {
    process: u32,
    handle: Handle,
    given_back: bool,
}

impl Lease {
    pub(crate) fn take(py: Python<'_>) -> PyResult<Self> {
        gate::check_not_ending()?;
        let process = std::process::id();
        let mut place = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_parent) = place.take_if(|shared| shared.process != process) {
            // Its threads were not forked along: it can be neither used nor ended here.
            std::mem::forget(of_parent);
        }
        let shared = match &mut *place {
            Some(shared) => shared,
            free => {
                let gate = Gate::open(py)?;
                free.insert(Shared { process, runtime: with_threads("dps-client", &gate)?, gate, users: 0 })
            }
        };
        shared.users += 1;
        Ok(Self { process, handle: shared.runtime.handle().clone(), given_back: false })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends it; the last lease also waits until no thread of the runtime is attached to the interpreter.
    pub(crate) fn end(mut self, py: Python<'_>) {
        if let Some(gate) = self.give_back() {
            gate.wait(py);
        }
    }

    /// Returns the closed gate of the runtime, if it ended with this lease.
    fn give_back(&mut self) -> Option<Arc<Gate>> {
        if std::mem::replace(&mut self.given_back, true) {
            return None;
        }
        let mut place = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        // A lease of the parent's, copied by a fork, ends nothing.
        let shared =
            place.as_mut().filter(|shared| shared.process == self.process && self.process == std::process::id())?;
        shared.users -= 1;
        if shared.users > 0 {
            return None;
        }
        let last = place.take()?;
        last.gate.close();
        last.runtime.shutdown_background();
        Some(last.gate)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn cannot_start(error: std::io::Error) -> PyErr {
    PyRuntimeError::new_err(format!("no runtime can be started: {error}"))
}
