//! Reports the next step of a registration to the application's callable.

use std::ops::ControlFlow;
use std::time::Duration;

use dps_client::{CredentialPlace, Progress as Step};
use pyo3::prelude::*;

use crate::call::Call;
use crate::calling::{Place, ask, itself};
use crate::gate::attached;

/// The next step of a registration.
#[pyclass(frozen, module = "dps_client", get_all)]
pub(crate) struct Progress {
    /// "signing", "sending", "waiting", or "switching" to the next credential of fallback.
    step: &'static str,
    /// The request: "register", "status" or "lookup"; None in other steps.
    call: Option<&'static str>,
    /// The length of the wait; None in other steps.
    wait: Option<Duration>,
    /// While waiting for an operation: the token with which a restarted device resumes instead of registering again;
    /// else None. It contains no secrets.
    resume_token: Option<String>,
    /// While switching: the credential that the service refused, as its index, from 0 for attestation, and its kind,
    /// such as "symmetricKey" or "x509"; else None.
    refused_credential: Option<(usize, &'static str)>,
    /// While switching: the credential that is tried now, in the same form; else None.
    next_credential: Option<(usize, &'static str)>,
}

#[pymethods]
impl Progress {
    fn __repr__(&self) -> String {
        if let (Some((refused, _)), Some((next, _))) = (self.refused_credential, self.next_credential) {
            return format!("Progress(step='{}', from {refused} to {next})", self.step);
        }
        match (self.call, self.wait) {
            (Some(call), _) => format!("Progress(step='{}', call='{call}')", self.step),
            (None, Some(wait)) => format!("Progress(step='{}', wait={} s)", self.step, wait.as_secs_f64()),
            (None, None) => format!("Progress(step='{}')", self.step),
        }
    }
}

impl Progress {
    fn from_step(step: Step) -> Option<Self> {
        let nothing = Self {
            step: "signing",
            call: None,
            wait: None,
            resume_token: None,
            refused_credential: None,
            next_credential: None,
        };
        let named = |place: CredentialPlace| Some((place.index(), place.kind().name()));
        Some(match step {
            Step::Signing => nothing,
            Step::Sending { call } => Self { step: "sending", call: Some(call), ..nothing },
            Step::Waiting { wait, resume } => {
                let resume_token = resume.map(|token| token.to_string());
                Self { step: "waiting", wait: Some(wait), resume_token, ..nothing }
            }
            Step::Switching { refused, next } => {
                Self { step: "switching", refused_credential: named(refused), next_credential: named(next), ..nothing }
            }
            _ => return None,
        })
    }
}

/// A callable that is called, and awaited, before each step. An exception in it ends the call.
pub(crate) struct Watcher(Py<PyAny>);

impl Watcher {
    pub(crate) fn new(watcher: Py<PyAny>) -> Self {
        Self(watcher)
    }

    /// Calls it on the caller's thread if the call blocks, and in the loop's thread if the call is awaited.
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
    async fn observe(&mut self, step: Step) -> ControlFlow<()> {
        let (Some(progress), Some(call)) = (Progress::from_step(step), Call::current()) else {
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
