//! What a registration is about to do, told to a callable of the caller's.

use std::ops::ControlFlow;
use std::time::Duration;

use dps_client::Progress as Told;
use pyo3::prelude::*;

use crate::call::Call;
use crate::calling::{Place, ask, itself};
use crate::gate::attached;

/// What a registration is about to do.
#[pyclass(frozen, module = "dps_client", get_all)]
pub(crate) struct Progress {
    /// "signing", "sending" or "waiting".
    step: &'static str,
    /// What is sent: "register", "status" or "lookup"; None in other steps.
    call: Option<&'static str>,
    /// How long nothing happens; None in other steps.
    wait: Option<Duration>,
    /// While waiting: what to store so that a restarted device resumes instead of registering again, once there is
    /// something. It holds no secret.
    resume_token: Option<String>,
}

#[pymethods]
impl Progress {
    fn __repr__(&self) -> String {
        match (self.call, self.wait) {
            (Some(call), _) => format!("Progress(step='{}', call='{call}')", self.step),
            (None, Some(wait)) => format!("Progress(step='{}', wait={} s)", self.step, wait.as_secs_f64()),
            (None, None) => format!("Progress(step='{}')", self.step),
        }
    }
}

impl Progress {
    fn of(told: Told) -> Option<Self> {
        let nothing = Self { step: "signing", call: None, wait: None, resume_token: None };
        Some(match told {
            Told::Signing => nothing,
            Told::Sending { call } => Self { step: "sending", call: Some(call), ..nothing },
            Told::Waiting { wait, resume } => {
                let resume_token = resume.map(|token| token.to_string());
                Self { step: "waiting", wait: Some(wait), resume_token, ..nothing }
            }
            _ => return None,
        })
    }
}

/// A callable that is told, and awaited, before the registration goes on. What it raises ends the call.
pub(crate) struct Watcher(Py<PyAny>);

impl Watcher {
    pub(crate) fn new(watcher: Py<PyAny>) -> Self {
        Self(watcher)
    }

    /// Calls it on the caller's own thread where the call blocks, in the loop's where it is awaited.
    async fn tell(&self, call: &Call, progress: Progress) -> PyResult<()> {
        if call.event_loop().is_some() {
            let begin = |py: Python<'_>| Ok((self.0.clone_ref(py), Py::new(py, progress)?.into_any()));
            return ask(call, Place::Loop, begin).await.map(drop);
        }
        let awaitable = attached(|py| {
            let returned = self.0.bind(py).call1((progress,))?;
            Ok(returned.hasattr("__await__")?.then(|| returned.unbind()))
        })?;
        let Some(awaitable) = awaitable else { return Ok(()) };
        ask(call, Place::Thread, |py| Ok((itself(py)?, awaitable))).await.map(drop)
    }
}

impl dps_client::ProgressObserver for Watcher {
    async fn observe(&mut self, told: Told) -> ControlFlow<()> {
        let (Some(progress), Some(call)) = (Progress::of(told), Call::current()) else {
            return ControlFlow::Continue(());
        };
        match self.tell(&call, progress).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(raised) => {
                call.stop(raised);
                ControlFlow::Break(())
            }
        }
    }
}
