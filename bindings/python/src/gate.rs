//! Controls when threads of this package may attach to the interpreter, and waits until they have detached.
//!
//! A thread that attaches while the interpreter is finalized is unwound (CPython before 3.14), which aborts the process
//! if there is a Rust frame below. So no thread of this package may be attached when a call has returned, or when the
//! program ends.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// How long a gate waits for attached threads: longer than any handler of log records should take.
const LIMIT: Duration = Duration::from_secs(10);
/// How much longer a process runs for the sake of a token's call that it has given up.
const DEVICE_CALLS_MAX: Duration = Duration::from_secs(1);

thread_local! {
    /// The gate of a thread of this package. Threads of Python have no gate.
    static OWN: RefCell<Option<Arc<Gate>>> = const { RefCell::new(None) };
}

/// Every gate that may have attached threads. Locked by attached threads only, and never across a detach, so that no
/// thread can hold the lock while another one forks.
static GATES: Mutex<Vec<Weak<Gate>>> = Mutex::new(Vec::new());
/// The process that is about to end.
static ENDING: AtomicU32 = AtomicU32::new(0);

/// The gate through which the threads of one runtime attach to the interpreter.
pub(crate) struct Gate {
    /// The process of the gate: a fork copies it without the threads.
    process: u32,
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    closed: bool,
    inside: usize,
}

impl Gate {
    /// Opens a gate, unless the program is about to end.
    pub(crate) fn open(_: Python<'_>) -> PyResult<Arc<Self>> {
        check_not_ending()?;
        let gate = Arc::new(Self { process: std::process::id(), state: Mutex::default(), left: Condvar::new() });
        let mut gates = GATES.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|gate| gate.strong_count() > 0);
        gates.push(Arc::downgrade(&gate));
        Ok(gate)
    }

    /// Makes this the gate of the current thread.
    pub(crate) fn adopt_thread(self: &Arc<Self>) {
        OWN.set(Some(Arc::clone(self)));
    }

    /// Closes the gate: no more threads can attach.
    pub(crate) fn close(&self) {
        self.state().closed = true;
    }

    /// Waits, without the GIL, until no thread is attached.
    pub(crate) fn wait(&self, py: Python<'_>) {
        if !self.is_here() || self.state().inside == 0 {
            return;
        }
        py.detach(|| drop(self.left.wait_timeout_while(self.state(), LIMIT, |state| state.inside > 0)));
    }

    fn is_here(&self) -> bool {
        self.process == std::process::id()
    }

    fn enter(self: Arc<Self>) -> Option<Inside> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        state.inside += 1;
        drop(state);
        Some(Inside(self))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread of this package that is attached to the interpreter, or about to attach.
struct Inside(Arc<Gate>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.state().inside -= 1;
        self.0.left.notify_all();
    }
}

/// Returns an error if the program is about to end: the result of a call that starts now would be lost.
pub(crate) fn check_not_ending() -> PyResult<()> {
    if ENDING.load(Ordering::Relaxed) == std::process::id() { Err(about_to_end()) } else { Ok(()) }
}

/// Runs `job` attached to the interpreter; an error if this is a thread of this package whose gate is closed.
pub(crate) fn attached<T>(job: impl FnOnce(Python<'_>) -> PyResult<T>) -> PyResult<T> {
    let own = OWN.with_borrow(Clone::clone);
    let inside = own.map(|gate| gate.enter().ok_or_else(about_to_end)).transpose()?;
    let done = Python::try_attach(job).unwrap_or_else(|| Err(about_to_end()));
    drop(inside);
    done
}

/// Closes every gate, and waits until no thread of this package is attached or inside a PKCS#11 module: called by `atexit`.
#[pyfunction]
pub(crate) fn _end(py: Python<'_>) {
    ENDING.store(std::process::id(), Ordering::Relaxed);
    let gates = std::mem::take(&mut *GATES.lock().unwrap_or_else(PoisonError::into_inner));
    let here: Vec<Arc<Gate>> = gates.iter().filter_map(Weak::upgrade).filter(|gate| gate.is_here()).collect();
    here.iter().for_each(|gate| gate.close());
    here.iter().for_each(|gate| gate.wait(py));
    py.detach(|| dps_client::wait_for_device_calls(DEVICE_CALLS_MAX));
}

/// Registers [`_end`] to be called when the program ends.
pub(crate) fn watch_the_end(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let end = pyo3::wrap_pyfunction!(_end, module)?;
    module.py().import("atexit")?.call_method1("register", (end,)).map(drop)
}

fn about_to_end() -> PyErr {
    PyRuntimeError::new_err("the interpreter is about to end")
}
