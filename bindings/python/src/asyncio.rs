//! The bridge between tokio and asyncio: an asyncio future for a tokio future.
//!
//! The usual bridge keeps one runtime for the life of the process, which a fork breaks, and does not stop a coroutine
//! that nobody awaits any more.

use std::sync::Mutex;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};

use crate::gate::attached;
use crate::runtime::Lease;

/// A call that an asyncio future stands for.
pub(crate) trait Awaited: Clone + Send + Sync + 'static {
    /// Returns whether its caller has stopped waiting.
    fn has_ended(&self) -> bool;

    /// Ends the call: starts no more callables, and cancels the one that was started.
    fn end(&self, py: Python<'_>) -> PyResult<()>;
}

/// A running asyncio loop.
pub(crate) struct EventLoop(Py<PyAny>);

impl EventLoop {
    /// Returns the loop that runs in this thread.
    pub(crate) fn running(py: Python<'_>) -> PyResult<Self> {
        py.import("asyncio")?.call_method0("get_running_loop").map(|found| Self(found.unbind()))
    }

    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        Self(self.0.clone_ref(py))
    }

    pub(crate) fn bind<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.0.bind(py)
    }

    /// Schedules `job` in the loop's thread. It has no effect if the loop is closed.
    fn call_soon(&self, py: Python<'_>, job: impl FnOnce(Python<'_>) -> PyResult<()> + Send + 'static) -> PyResult<()> {
        self.0
            .bind(py)
            .call_method1("call_soon_threadsafe", (once(py, move |arguments| job(arguments.py()))?,))
            .map(drop)
    }
}

/// Returns an asyncio future for `work`, which runs on the shared runtime; its output is a function that makes the result,
/// called in the loop's thread. If the future is canceled, the work is dropped, and the call's callable is canceled.
pub(crate) fn future<T, R>(
    py: Python<'_>,
    event_loop: EventLoop,
    call: impl Awaited,
    work: impl Future<Output = R> + Send + 'static,
) -> PyResult<Bound<'_, PyAny>>
where
    R: FnOnce(Python<'_>) -> PyResult<T> + Send + 'static,
    T: for<'py> IntoPyObject<'py>,
{
    let future = event_loop.0.bind(py).call_method0("create_future")?;
    let lease = Lease::take(py)?;
    let delivery = Delivery { event_loop, call: call.clone(), future: Some(future.clone().unbind()) };
    let task = lease.handle().spawn(async move {
        let result = work.await;
        delivery.deliver(result);
    });
    let ended = once(py, move |arguments| {
        let py = arguments.py();
        task.abort();
        let given_up = call.end(py);
        lease.end(py);
        given_up
    })?;
    future.call_method1("add_done_callback", (ended,))?;
    Ok(future)
}

/// Settles the future exactly once, even if the work panics.
struct Delivery<C: Awaited> {
    event_loop: EventLoop,
    call: C,
    future: Option<Py<PyAny>>,
}

impl<C: Awaited> Delivery<C> {
    fn deliver<T>(mut self, result: impl FnOnce(Python<'_>) -> PyResult<T> + Send + 'static)
    where
        T: for<'py> IntoPyObject<'py>,
    {
        self.settle(move |py| result(py).and_then(|value| value.into_py_any(py)));
    }

    fn settle(&mut self, result: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static) {
        let Some(future) = self.future.take() else { return };
        let post = |py: Python<'_>| {
            if self.call.has_ended() {
                return Ok(());
            }
            self.event_loop.call_soon(py, move |py| {
                let future = future.bind(py);
                if future.call_method0("done")?.is_truthy()? {
                    return Ok(());
                }
                match result(py) {
                    Ok(value) => future.call_method1("set_result", (value,)),
                    Err(error) => future.call_method1("set_exception", (in_a_future(py, error),)),
                }
                .map(drop)
            })
        };
        // Where the loop is closed nobody waits for it.
        let _ = attached(post);
    }
}

impl<C: Awaited> Drop for Delivery<C> {
    fn drop(&mut self) {
        self.settle(|_| Err(PyRuntimeError::new_err("the call was aborted")));
    }
}

/// Replaces StopIteration, which a future does not accept, as in a coroutine (PEP 479).
fn in_a_future(py: Python<'_>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyStopIteration>(py) {
        return error;
    }
    let instead = PyRuntimeError::new_err("a callable raised StopIteration");
    instead.set_cause(py, Some(error));
    instead
}

/// A Python callable that can be called once.
pub(crate) fn once(
    py: Python<'_>,
    job: impl FnOnce(&Bound<'_, PyTuple>) -> PyResult<()> + Send + 'static,
) -> PyResult<Bound<'_, PyCFunction>> {
    let job = Mutex::new(Some(job));
    PyCFunction::new_closure(py, None, None, move |arguments: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
        let taken = job.lock().map(|mut job| job.take()).ok().flatten();
        taken.map_or_else(|| Err(PyTypeError::new_err("this was called already")), |job| job(arguments))
    })
}
