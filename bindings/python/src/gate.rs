//! Lets threads of ours into the interpreter, and waits until they have left.
//!
//! A thread that wants the interpreter while it is finalized is unwound (CPython before 3.14), which aborts the process
//! where a Rust frame is below. So no thread of ours may be inside when a call has returned, or when the program ends.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// How long a gate waits for those inside: longer than any handler of log records should take.
const LIMIT: Duration = Duration::from_secs(10);

thread_local! {
    /// The gate that a thread of ours belongs to. Threads of Python's own have none.
    static OWN: RefCell<Option<Arc<Gate>>> = const { RefCell::new(None) };
}

/// Every gate that may have someone inside. Locked by attached threads only, and never across a detach, so that no
/// thread can hold it while another one forks.
static GATES: Mutex<Vec<Weak<Gate>>> = Mutex::new(Vec::new());
/// The process that is about to end.
static ENDING: AtomicU32 = AtomicU32::new(0);

/// What the threads of one runtime pass to get into the interpreter.
pub(crate) struct Gate {
    /// A fork copies the gate without the threads: there it is of no use.
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

    /// Makes the current thread one that passes here.
    pub(crate) fn adopt_thread(self: &Arc<Self>) {
        OWN.set(Some(Arc::clone(self)));
    }

    /// Lets no one in any more.
    pub(crate) fn close(&self) {
        self.state().closed = true;
    }

    /// Waits until no one is inside. The interpreter is free meanwhile.
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

/// A thread of ours inside the interpreter, or about to enter.
struct Inside(Arc<Gate>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.state().inside -= 1;
        self.0.left.notify_all();
    }
}

/// An error when the program is about to end: what begins now would not be told how it ends.
pub(crate) fn check_not_ending() -> PyResult<()> {
    if ENDING.load(Ordering::Relaxed) == std::process::id() { Err(about_to_end()) } else { Ok(()) }
}

/// Does `job` attached to the interpreter; an error where the thread is one of ours and may not enter any more.
pub(crate) fn attached<T>(job: impl FnOnce(Python<'_>) -> PyResult<T>) -> PyResult<T> {
    let own = OWN.with_borrow(Clone::clone);
    let inside = own.map(|gate| gate.enter().ok_or_else(about_to_end)).transpose()?;
    let done = Python::try_attach(job).unwrap_or_else(|| Err(about_to_end()));
    drop(inside);
    done
}

/// Closes every gate, and waits until no thread of ours is inside: called by `atexit`.
#[pyfunction]
pub(crate) fn _end(py: Python<'_>) {
    ENDING.store(std::process::id(), Ordering::Relaxed);
    let gates = std::mem::take(&mut *GATES.lock().unwrap_or_else(PoisonError::into_inner));
    let here: Vec<Arc<Gate>> = gates.iter().filter_map(Weak::upgrade).filter(|gate| gate.is_here()).collect();
    here.iter().for_each(|gate| gate.close());
    here.iter().for_each(|gate| gate.wait(py));
}

/// Has [`_end`] called when the program ends.
pub(crate) fn watch_the_end(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let end = pyo3::wrap_pyfunction!(_end, module)?;
    module.py().import("atexit")?.call_method1("register", (end,)).map(drop)
}

fn about_to_end() -> PyErr {
    PyRuntimeError::new_err("the interpreter is about to end")
}
