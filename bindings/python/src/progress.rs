//! What a registration is about to do, told to a callable of the caller's.

use std::time::Duration;

use dps_client::Progress as Told;
use pyo3::prelude::*;

use crate::asyncio::attached;
use crate::call::Call;

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
                let resume_token = resume.map(|token| token.as_str().to_owned());
                Self { step: "waiting", wait: Some(wait), resume_token, ..nothing }
            }
            _ => return None,
        })
    }
}

/// A watcher that calls `watcher`: at once where the call blocks, in the loop's thread where it is awaited. What it
/// raises ends the call.
pub(crate) fn calling(watcher: Py<PyAny>) -> impl FnMut(Told) + Send + 'static {
    move |told| {
        let (Some(progress), Some(call)) = (Progress::of(told), Call::current()) else { return };
        let tell = |py: Python<'_>| {
            let tell = |py: Python<'_>, watcher: &Py<PyAny>, call: &Call| {
                if let Err(raised) = watcher.call1(py, (progress,)) {
                    call.stop(raised);
                }
            };
            let Some(event_loop) = call.event_loop() else {
                tell(py, &watcher, &call);
                return Ok(());
            };
            let (watcher, call) = (watcher.clone_ref(py), call.clone());
            event_loop.call_soon(py, move |py| {
                tell(py, &watcher, &call);
                Ok(())
            })
        };
        // The loop may be closed by now: then nobody listens.
        let _ = attached(tell);
    }
}
