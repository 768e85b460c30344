//! One call of a client, from either face: blocking on the caller's thread, or awaited in an asyncio loop.
//!
//! What runs in it finds out here whose call it is, so that callables of the caller's run where they belong and what
//! they raise reaches the caller.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dps_client::{CallRuntime, DpsError};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::time::timeout;

use crate::asyncio::{self, EventLoop};
use crate::errors;
use crate::logging;

/// How long a blocking call goes without looking for a signal, such as Ctrl-C.
const SLICE: Duration = Duration::from_millis(50);

tokio::task_local! {
    static CURRENT: Call;
}

/// The call that is under way.
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
    /// What ends the call, whatever else comes of it.
    stopped: Option<PyErr>,
    /// Why a failure came about.
    cause: Option<PyErr>,
    /// The callable that was begun.
    begun: Option<Py<PyAny>>,
    ended: bool,
}

impl Call {
    fn new(py: Python<'_>, event_loop: Option<EventLoop>) -> PyResult<Self> {
        let context = py.import("contextvars")?.call_method0("copy_context")?.unbind();
        Ok(Self(Arc::new(State { event_loop, context, changing: Mutex::default() })))
    }

    /// The call in which the code that asks runs.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// The loop that awaits it; none when it blocks.
    pub(crate) fn event_loop(&self) -> Option<&EventLoop> {
        self.0.event_loop.as_ref()
    }

    /// The context variables of its caller.
    pub(crate) fn context<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.0.context.bind(py)
    }

    /// Keeps what a callable raised, as the cause of the failure that comes of it.
    pub(crate) fn keep_cause(&self, raised: PyErr) {
        self.changing().cause = Some(raised);
    }

    /// Keeps what a callable raised, as what the caller gets.
    pub(crate) fn stop(&self, raised: PyErr) {
        self.changing().stopped = Some(raised);
    }

    /// Keeps a callable that is about to begin; an error where the call has ended.
    pub(crate) fn begin(&self, calling: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut changing = self.changing();
        if changing.ended {
            return Err(PyRuntimeError::new_err("the call has ended"));
        }
        changing.begun = Some(calling.clone().unbind());
        Ok(())
    }

    /// The callable that was begun, which is no longer the call's.
    pub(crate) fn begun(&self) -> Option<Py<PyAny>> {
        self.changing().begun.take()
    }

    /// Whether its caller waits no longer.
    pub(crate) fn has_ended(&self) -> bool {
        self.changing().ended
    }

    /// Begins nothing any more, and gives up what was begun.
    pub(crate) fn end(&self, py: Python<'_>) -> PyResult<()> {
        self.changing().ended = true;
        let begun = self.begun();
        begun.map_or(Ok(()), |calling| calling.call_method0(py, "give_up").map(drop))
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.0.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the caller gets.
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

/// Blocks until the work is done. The interpreter is free meanwhile, and a signal that raises ends the work at once.
pub(crate) fn block<T: Send>(py: Python<'_>, work: impl Future<Output = Result<T, DpsError>> + Send) -> PyResult<T> {
    logging::refresh(py)?;
    let runtime = CallRuntime::new().map_err(|error| errors::exception(py, &error, None))?;
    let call = Call::new(py, None)?;
    let mut work = pin!(CURRENT.scope(call.clone(), work));
    loop {
        let slice = || runtime.block_on(async { timeout(SLICE, work.as_mut()).await.ok() });
        if let Some(done) = py.detach(slice) {
            return call.outcome(py, done);
        }
        py.check_signals()?;
    }
}

/// An awaitable of the loop that runs in this thread. Cancelling it ends the work at once.
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
