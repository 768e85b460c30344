//! One call of a client: blocking on the caller's thread, or awaited in an asyncio loop.
//!
//! Code that runs in a call finds it here, so that the application's callables run in the right thread or loop and their
//! exceptions reach the caller.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dps_client::{CallRuntime, DpsError};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::time::timeout;

use crate::asyncio::{self, Awaited, EventLoop};
use crate::errors;
use crate::logging;
use crate::runtime::{SLICE, in_slices};

tokio::task_local! {
    static CURRENT: Call;
}

/// A call in progress.
#[derive(Clone)]
pub(crate) struct Call(Arc<State>);

struct State {
    event_loop: Option<EventLoop>,
    /// The caller's context variables.
    context: Py<PyAny>,
    changing: Mutex<Changing>,
}

#[derive(Default)]
struct Changing {
    /// The exception that ends the call, whatever its result.
    stopped: Option<PyErr>,
    /// The cause of a failure.
    cause: Option<PyErr>,
    /// The callable that was started.
    begun: Option<Py<PyAny>>,
    ended: bool,
}

impl Call {
    fn new(py: Python<'_>, event_loop: Option<EventLoop>) -> PyResult<Self> {
        let context = py.import("contextvars")?.call_method0("copy_context")?.unbind();
        Ok(Self(Arc::new(State { event_loop, context, changing: Mutex::default() })))
    }

    /// Returns the call in which the current code runs.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Returns the loop that awaits it; none if it blocks.
    pub(crate) fn event_loop(&self) -> Option<&EventLoop> {
        self.0.event_loop.as_ref()
    }

    /// Returns the context variables of its caller.
    pub(crate) fn context<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.0.context.bind(py)
    }

    /// Stores the exception of a callable as the cause of the failure.
    pub(crate) fn keep_cause(&self, raised: PyErr) {
        self.changing().cause = Some(raised);
    }

    /// Stores the exception of a callable as the exception of the call.
    pub(crate) fn stop(&self, raised: PyErr) {
        self.changing().stopped = Some(raised);
    }

    /// Stores a callable that is about to start; an error if the call has ended.
    pub(crate) fn begin(&self, calling: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut changing = self.changing();
        if changing.ended {
            return Err(PyRuntimeError::new_err("the call has ended"));
        }
        changing.begun = Some(calling.clone().unbind());
        Ok(())
    }

    /// Removes and returns the callable that was started.
    pub(crate) fn begun(&self) -> Option<Py<PyAny>> {
        self.changing().begun.take()
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.0.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the result of the call for its caller.
    fn outcome<T>(&self, py: Python<'_>, done: Result<T, DpsError>) -> PyResult<T> {
        let (stopped, cause) = {
            let mut changing = self.changing();
            (changing.stopped.take(), changing.cause.take())
        };
        match (stopped, done) {
            (Some(raised), _) => Err(raised),
            (None, Ok(value)) => Ok(value),
            (None, Err(error)) => Err(errors::exception(py, &error, cause)),
        }
    }
}

impl Awaited for Call {
    fn has_ended(&self) -> bool {
        self.changing().ended
    }

    fn end(&self, py: Python<'_>) -> PyResult<()> {
        self.changing().ended = true;
        let begun = self.begun();
        begun.map_or(Ok(()), |calling| calling.call_method0(py, "give_up").map(drop))
    }
}

/// Blocks until the work is done, without the GIL. A signal whose handler raises ends the work immediately.
pub(crate) fn block<T: Send>(py: Python<'_>, work: impl Future<Output = Result<T, DpsError>> + Send) -> PyResult<T> {
    logging::refresh(py)?;
    let runtime = CallRuntime::new().map_err(|error| errors::exception(py, &error, None))?;
    let call = Call::new(py, None)?;
    let mut work = pin!(CURRENT.scope(call.clone(), work));
    let done = in_slices(py, || runtime.block_on(async { timeout(SLICE, work.as_mut()).await.ok() }))?;
    call.outcome(py, done)
}

/// Returns an awaitable of the loop that runs in this thread. Canceling it ends the work immediately.
pub(crate) fn later<T>(
    py: Python<'_>,
    work: impl Future<Output = Result<T, DpsError>> + Send + 'static,
) -> PyResult<Bound<'_, PyAny>>
where
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    logging::refresh(py)?;
    let event_loop = EventLoop::running(py)?;
    let call = Call::new(py, Some(event_loop.clone_ref(py)))?;
    let scope = call.clone();
    asyncio::future(py, event_loop, call.clone(), async move {
        let done = CURRENT.scope(scope, work).await;
        move |py: Python<'_>| call.outcome(py, done)
    })
}
