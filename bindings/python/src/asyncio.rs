//! Between tokio and asyncio: an asyncio future for work of tokio's, and tokio's view of a coroutine.
//!
//! The usual bridge keeps one runtime for the life of the process, which a fork breaks, and lets a coroutine run on
//! when nobody waits for it any more.

use std::sync::Mutex;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};
use tokio::sync::oneshot;

use crate::runtime::Lease;

/// A running asyncio loop.
pub(crate) struct EventLoop(Py<PyAny>);

impl EventLoop {
    /// The one that runs in this thread.
    pub(crate) fn running(py: Python<'_>) -> PyResult<Self> {
        py.import("asyncio")?.call_method0("get_running_loop").map(|found| Self(found.unbind()))
    }

    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        Self(self.0.clone_ref(py))
    }

    /// Has `job` done in the loop's thread, soon. Nothing happens where the loop is closed.
    pub(crate) fn call_soon(
        &self,
        py: Python<'_>,
        job: impl FnOnce(Python<'_>) -> PyResult<()> + Send + 'static,
    ) -> PyResult<()> {
        self.0
            .bind(py)
            .call_method1("call_soon_threadsafe", (once(py, move |arguments| job(arguments.py()))?,))
            .map(drop)
    }

    /// Runs a coroutine in the loop. Dropping the future cancels it.
    pub(crate) async fn run(&self, coroutine: Py<PyAny>) -> PyResult<Py<PyAny>> {
        let (tell, told) = oneshot::channel();
        let start = |py: Python<'_>| {
            let arguments = (coroutine, self.0.bind(py));
            let running = py.import("asyncio")?.call_method1("run_coroutine_threadsafe", arguments)?;
            let done = once(py, move |arguments| {
                // Nobody listens any more when the call was cancelled.
                let _ = tell.send(arguments.get_item(0)?.call_method0("result").map(Bound::unbind));
                Ok(())
            })?;
            running.call_method1("add_done_callback", (done,))?;
            Ok(CancelOnDrop(running.unbind()))
        };
        let _running = attached(start)?;
        told.await.unwrap_or_else(|_| Err(PyRuntimeError::new_err("the coroutine ended without a result")))
    }
}

/// Runs a coroutine in a loop of its own, on this thread.
pub(crate) fn run_alone<'py>(coroutine: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    coroutine.py().import("asyncio")?.call_method1("run", (coroutine,))
}

struct CancelOnDrop(Py<PyAny>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // Cancelling one that is done does nothing.
        let _ = attached(|py| self.0.call_method0(py, "cancel"));
    }
}

/// An asyncio future for `work`, which runs on the shared runtime and ends with what gives the result, called while
/// attached. When the future is cancelled the work is dropped.
pub(crate) fn future<T, R>(
    py: Python<'_>,
    event_loop: EventLoop,
    work: impl Future<Output = R> + Send + 'static,
) -> PyResult<Bound<'_, PyAny>>
where
    R: FnOnce(Python<'_>) -> PyResult<T> + Send,
    T: for<'py> IntoPyObject<'py>,
{
    let future = event_loop.0.bind(py).call_method0("create_future")?;
    let lease = Lease::take(py)?;
    let delivery = Delivery { event_loop, future: Some(future.clone().unbind()) };
    let task = lease.handle().spawn(async move {
        let result = work.await;
        delivery.deliver(result);
    });
    let ended = once(py, move |_| {
        task.abort();
        drop(lease);
        Ok(())
    })?;
    future.call_method1("add_done_callback", (ended,))?;
    Ok(future)
}

/// Settles the future exactly once, also when the work panics.
struct Delivery {
    event_loop: EventLoop,
    future: Option<Py<PyAny>>,
}

impl Delivery {
    fn deliver<T>(mut self, result: impl FnOnce(Python<'_>) -> PyResult<T>)
    where
        T: for<'py> IntoPyObject<'py>,
    {
        let Some(future) = self.future.take() else { return };
        let _ = attached(|py| {
            let result = result(py).and_then(|value| value.into_py_any(py));
            self.settle(py, future, result)
        });
    }

    fn settle(&self, py: Python<'_>, future: Py<PyAny>, result: PyResult<Py<PyAny>>) -> PyResult<()> {
        self.event_loop.call_soon(py, move |py| {
            if future.call_method0(py, "done")?.is_truthy(py)? {
                return Ok(());
            }
            match result {
                Ok(value) => future.call_method1(py, "set_result", (value,)),
                Err(error) => future.call_method1(py, "set_exception", (error,)),
            }
            .map(drop)
        })
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let Some(future) = self.future.take() else { return };
        let _ = attached(|py| self.settle(py, future, Err(PyRuntimeError::new_err("the call was broken off"))));
    }
}

/// Does `job` attached to the interpreter; an error when it is about to end.
pub(crate) fn attached<T>(job: impl FnOnce(Python<'_>) -> PyResult<T>) -> PyResult<T> {
    Python::try_attach(job).unwrap_or_else(|| Err(PyRuntimeError::new_err("the interpreter is about to end")))
}

/// A Python callable that can be called once.
fn once(
    py: Python<'_>,
    job: impl FnOnce(&Bound<'_, PyTuple>) -> PyResult<()> + Send + 'static,
) -> PyResult<Bound<'_, PyCFunction>> {
    let job = Mutex::new(Some(job));
    PyCFunction::new_closure(py, None, None, move |arguments: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
        let taken = job.lock().map(|mut job| job.take()).ok().flatten();
        taken.map_or_else(|| Err(PyTypeError::new_err("this was called already")), |job| job(arguments))
    })
}
