//! Calls the application's functions and coroutine functions in the right thread or loop, awaits them, and cancels them.
//!
//! The caller of these functions is written in Python (`dps_client._calling`), so that there is no Rust frame below them
//! on a thread that the interpreter may end.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::sync::oneshot;

use crate::asyncio::once;
use crate::call::Call;
use crate::gate::attached;

/// The place where a callable is called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// A new thread, so that a callable that blocks delays nothing else.
    Thread,
    /// The loop that awaits the call.
    Loop,
}

/// Calls `function` with `argument`, in the context of the call's caller, and returns its result; a coroutine is awaited in
/// the loop that awaits the call, or in a new loop. Dropping the future cancels it.
pub(crate) async fn ask(
    call: &Call,
    place: Place,
    begin: impl FnOnce(Python<'_>) -> PyResult<(Py<PyAny>, Py<PyAny>)>,
) -> PyResult<Py<PyAny>> {
    let (tell, told) = oneshot::channel();
    let start = |py: Python<'_>| {
        let (function, argument) = begin(py)?;
        let done = once(py, move |arguments| {
            let (returned, raised) = (arguments.get_item(0)?, arguments.get_item(1)?);
            let answer = if raised.is_none() { Ok(returned.unbind()) } else { Err(PyErr::from_value(raised)) };
            // Nobody listens any more when the call was given up.
            let _ = tell.send(answer);
            Ok(())
        })?;
        let event_loop = call.event_loop().map(|event_loop| event_loop.bind(py).clone());
        let calling = py.import("dps_client._calling")?.getattr("Calling")?.call1((
            function,
            argument,
            call.context(py),
            event_loop,
            done,
        ))?;
        // Before it begins, so that it cannot begin after the call has ended.
        call.begin(&calling)?;
        calling.call_method0(match place {
            Place::Thread => "in_thread",
            Place::Loop => "in_loop",
        })?;
        Ok(())
    };
    let _ending = GiveUp(call);
    attached(start)?;
    told.await.unwrap_or_else(|_| Err(PyRuntimeError::new_err("the call was canceled")))
}

/// Returns the function that returns its argument: for an awaitable that was created already.
pub(crate) fn itself(py: Python<'_>) -> PyResult<Py<PyAny>> {
    py.import("dps_client._calling")?.getattr("itself").map(Bound::unbind)
}

/// Cancels the call's callable when the future is dropped.
struct GiveUp<'a>(&'a Call);

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if let Some(calling) = self.0.begun() {
            // Giving up one that is done does nothing.
            let _ = attached(|py| calling.call_method0(py, "give_up"));
        }
    }
}
