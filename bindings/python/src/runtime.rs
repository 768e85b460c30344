//! The tokio runtime that all asyncio calls share for as long as any is under way. A blocking call has one of its own, the
//! client's `CallRuntime`.
//!
//! None outlives its work, so that threads and descriptors go back to what they were, and a process that forks between
//! calls has nothing to lose. One that forks in the middle of a call leaves the parent's runtime alone and gets its own.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

/// Enough that a callback of Python's in one does not hold up the others.
const WORKERS: usize = 2;

/// A runtime with threads of its own.
pub(crate) fn with_threads(name: &str) -> PyResult<Runtime> {
    Builder::new_multi_thread().worker_threads(WORKERS).thread_name(name).enable_all().build().map_err(cannot_start)
}

struct Shared {
    process: u32,
    runtime: Runtime,
    users: usize,
}

/// Locked by no thread but one that is attached to the interpreter, and never across a detach: so that no thread can be
/// inside while another forks.
static SHARED: Mutex<Option<Shared>> = Mutex::new(None);

/// The right to use the shared runtime, which ends with the last of them. Dropped by attached threads only.
pub(crate) struct Lease {
    process: u32,
    handle: Handle,
}

impl Lease {
    pub(crate) fn take(_: Python<'_>) -> PyResult<Self> {
        let process = std::process::id();
        let mut place = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_parent) = place.take_if(|shared| shared.process != process) {
            // Its threads were not forked along: it can be neither used nor ended here.
            std::mem::forget(of_parent);
        }
        let shared = match &mut *place {
            Some(shared) => shared,
            free => free.insert(Shared { process, runtime: with_threads("dps-client")?, users: 0 }),
        };
        shared.users += 1;
        Ok(Self { process, handle: shared.runtime.handle().clone() })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut place = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        // A lease of the parent's, copied by a fork, ends nothing.
        let Some(shared) =
            place.as_mut().filter(|shared| shared.process == self.process && self.process == std::process::id())
        else {
            return;
        };
        shared.users -= 1;
        if shared.users == 0
            && let Some(last) = place.take()
        {
            last.runtime.shutdown_background();
        }
    }
}

fn cannot_start(error: std::io::Error) -> PyErr {
    PyRuntimeError::new_err(format!("no runtime can be started: {error}"))
}
