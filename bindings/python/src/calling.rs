//! Callables of the caller's, plain or a coroutine's: called where they belong, awaited, and given up in time.
//!
//! What calls them is written in Python (`dps_client._calling`), so that no Rust frame is below them on a thread that the
//! interpreter may end.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::sync::oneshot;

use crate::asyncio::once;
use crate::call::Call;
use crate::gate::attached;

/// Where a callable is called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// In a thread of its own, so that one that blocks holds up nothing.
    Thread,
    /// In the loop that awaits the call.
    Loop,
}

/// Calls `function` with `argument`, in the context of the call's caller, and waits for what it returns; a coroutine is
/// awaited in the loop that awaits the call, or in a loop of its own. Dropping the future gives it up.
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
    told.await.unwrap_or_else(|_| Err(PyRuntimeError::new_err("it was given up")))
}

/// The function that returns its argument: for an awaitable that is there already.
pub(crate) fn itself(py: Python<'_>) -> PyResult<Py<PyAny>> {
    py.import("dps_client._calling")?.getattr("itself").map(Bound::unbind)
}

/// Gives up what the call had begun, at the end of the future.
struct GiveUp<'a>(&'a Call);

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if let Some(calling) = self.0.begun() {
            // Giving up one that is done does nothing.
            let _ = attached(|py| calling.call_method0(py, "give_up"));
        }
    }
}
