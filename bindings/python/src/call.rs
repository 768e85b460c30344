//! One call of a client, from either face: blocking on the caller's thread, or awaited in an asyncio loop.
//!
//! What runs in it finds out here whose call it is, so that callables of the caller's run where they belong and what
//! they raise reaches the caller.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dps_client::{CallRuntime, DpsError};
use pyo3::prelude::*;
use tokio::sync::Notify;
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
    raised: Mutex<Option<PyErr>>,
    stop: Notify,
}

impl Call {
    fn new(event_loop: Option<EventLoop>) -> Self {
        Self(Arc::new(State { event_loop, raised: Mutex::new(None), stop: Notify::new() }))
    }

    /// The call in which the code that asks runs.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// The loop that awaits it; none when it blocks.
    pub(crate) fn event_loop(&self) -> Option<&EventLoop> {
        self.0.event_loop.as_ref()
    }

    /// Keeps what a callable raised, as the cause of the failure that comes of it.
    pub(crate) fn keep_cause(&self, raised: PyErr) {
        *self.raised() = Some(raised);
    }

    /// Ends the call with what a callable raised.
    pub(crate) fn stop(&self, raised: PyErr) {
        self.keep_cause(raised);
        self.0.stop.notify_one();
    }

    fn raised(&self) -> std::sync::MutexGuard<'_, Option<PyErr>> {
        self.0.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the work within this call; none when it was stopped.
    async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let stoppable = async {
            tokio::select! {
                // The work goes first: it is what lets a callable stop it.
                biased;
                done = work => Some(done),
                () = self.0.stop.notified() => None,
            }
        };
        CURRENT.scope(self.clone(), stoppable).await
    }

    /// What the caller gets.
    fn outcome<T>(&self, py: Python<'_>, done: Option<Result<T, DpsError>>) -> PyResult<T> {
        let raised = self.raised().take();
        match (done, raised) {
            (Some(Ok(value)), _) => Ok(value),
            (Some(Err(error)), cause) => Err(errors::exception(py, &error, cause)),
            (None, Some(raised)) => Err(raised),
            (None, None) => Err(pyo3::exceptions::PyRuntimeError::new_err("the call ended without an outcome")),
        }
    }
}

/// Blocks until the work is done. The interpreter is free meanwhile, and a signal that raises ends the work at once.
pub(crate) fn block<T: Send>(py: Python<'_>, work: impl Future<Output = Result<T, DpsError>> + Send) -> PyResult<T> {
    logging::refresh(py)?;
    let runtime = CallRuntime::new().map_err(|error| errors::exception(py, &error, None))?;
    let call = Call::new(None);
    let mut work = pin!(call.run(work));
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
    let call = Call::new(Some(event_loop.clone_ref(py)));
    asyncio::future(py, event_loop, async move {
        let done = call.run(work).await;
        move |py: Python<'_>| call.outcome(py, done)
    })
}
