//! A custom clock: a Python callable that returns the time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::argument::{type_name, wrong_type};
use crate::call::Call;
use crate::gate::attached;

/// A callable that returns seconds since 1970, a datetime, or None if the time is not known.
pub(crate) struct SuppliedClock(Py<PyAny>);

impl SuppliedClock {
    pub(crate) fn new(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if !given.is_callable() {
            return Err(wrong_type(name, "a callable", given));
        }
        Ok(Self(given.clone().unbind()))
    }

    /// Calls it on the thread that needs the time. An exception ends the call; until then the time counts as unknown.
    pub(crate) fn now(&self) -> Option<SystemTime> {
        attached(|py| read(&self.0.bind(py).call0()?)).unwrap_or_else(|raised| {
            match Call::current() {
                Some(call) => call.stop(raised),
                // Outside of a call only a hub password needs the time; its error names the missing time.
                None => drop(attached(|py| {
                    raised.write_unraisable(py, None);
                    Ok(())
                })),
            }
            None
        })
    }
}

fn read(returned: &Bound<'_, PyAny>) -> PyResult<Option<SystemTime>> {
    if returned.is_none() {
        return Ok(None);
    }
    let seconds = match returned.getattr_opt("timestamp")? {
        Some(timestamp) => timestamp.call0()?.extract::<f64>()?,
        None => returned.extract().map_err(|_| {
            let problem = "a clock must return seconds since 1970, a datetime or None";
            PyTypeError::new_err(format!("{problem}, not {}", type_name(returned)))
        })?,
    };
    let time = Duration::try_from_secs_f64(seconds).ok().and_then(|since| UNIX_EPOCH.checked_add(since));
    time.map(Some)
        .ok_or_else(|| PyValueError::new_err(format!("the clock returned {seconds}, which is not a time after 1970")))
}
