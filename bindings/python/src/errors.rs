//! Converts errors to exceptions of `dps_client.errors`: one class per family, with an attribute for each fact.

use std::error::Error;
use std::io;
use std::path::Path;

use dps_client::dps_core::Hint;
use dps_client::{DpsError, ErrorCode, RefusedCredential, Verdict};
use dps_emulator::FaultPlan;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Returns the exception for an error; `cause` is the exception of the application's callable, if there is one.
pub(crate) fn exception(py: Python<'_>, error: &DpsError, cause: Option<PyErr>) -> PyErr {
    match make(py, error, "") {
        Ok(made) => {
            made.set_cause(py, cause);
            made
        }
        Err(broken) => broken,
    }
}

/// Returns the value of an argument, or an exception that names the argument.
pub(crate) fn check<T>(py: Python<'_>, argument: &str, value: Result<T, impl Into<DpsError>>) -> PyResult<T> {
    value.map_err(|error| configuration_at(py, &format!("argument '{argument}'"), error))
}

/// Returns the exception for an invalid value; `place` says which of several it is.
pub(crate) fn configuration_at(py: Python<'_>, place: &str, error: impl Into<DpsError>) -> PyErr {
    make(py, &error.into(), &format!("{place}: ")).unwrap_or_else(|broken| broken)
}

/// Returns the exception for what can never work, with an entry of the catalogue.
#[cfg(not(feature = "tpm"))]
pub(crate) fn configuration(py: Python<'_>, code: ErrorCode, message: &str) -> PyErr {
    let make = || {
        let facts = PyDict::new(py);
        facts.set_item("code", code.number())?;
        facts.set_item("name", code.name())?;
        facts.set_item("family", code.family().name())?;
        facts.set_item("message", message)?;
        facts.set_item("verdict", verdict(Verdict::Reconfigure))?;
        facts.set_item("hints", code.hints().iter().map(|hint| (hint.name(), hint.text())).collect::<Vec<_>>())?;
        from_native(py, message, &facts)
    };
    make().unwrap_or_else(|broken| broken)
}

/// Returns the exception for a file that cannot be read.
pub(crate) fn file_error(py: Python<'_>, path: &Path, error: &io::Error) -> PyErr {
    let code = ErrorCode::File;
    let make = || {
        let facts = PyDict::new(py);
        facts.set_item("code", code.number())?;
        facts.set_item("name", code.name())?;
        facts.set_item("family", code.family().name())?;
        facts.set_item("verdict", verdict(Verdict::Reconfigure))?;
        facts.set_item("errno", error.raw_os_error())?;
        from_native(py, &format!("{} cannot be read: {error}", path.display()), &facts)
    };
    make().unwrap_or_else(|broken| broken)
}

fn make(py: Python<'_>, error: &DpsError, place: &str) -> PyResult<PyErr> {
    let facts = PyDict::new(py);
    facts.set_item("code", error.number())?;
    facts.set_item("name", error.name())?;
    facts.set_item("family", error.family().name())?;
    facts.set_item("message", format!("{place}{}", error.message()))?;
    facts.set_item("verdict", verdict(error.verdict()))?;
    facts.set_item("retry_after", error.retry_after())?;
    facts.set_item("http_status", error.http_status())?;
    facts.set_item("error_code", error.error_code())?;
    facts.set_item("tracking_id", error.tracking_id())?;
    facts.set_item("timestamp", error.timestamp())?;
    facts.set_item("hints", error.hints().iter().map(|hint| (hint.name(), hint.text())).collect::<Vec<_>>())?;
    facts.set_item("clock_skew_seconds", error.clock_skew_seconds())?;
    facts.set_item("needed_bytes", error.needed_bytes())?;
    facts.set_item("resume_token", error.resume_token().map(ToString::to_string))?;
    let refused =
        error.refused_credentials().iter().map(|refused| refusal(py, refused)).collect::<PyResult<Vec<_>>>()?;
    facts.set_item("refused_credentials", refused)?;
    let of_system = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    facts.set_item("errno", of_system.and_then(io::Error::raw_os_error))?;
    from_native(py, &format!("{place}{}", error.report()), &facts)
}

/// Returns the facts of a refused credential.
fn refusal<'py>(py: Python<'py>, refused: &RefusedCredential) -> PyResult<Bound<'py, PyDict>> {
    let facts = PyDict::new(py);
    facts.set_item("index", refused.place().index())?;
    facts.set_item("kind", refused.place().kind().name())?;
    facts.set_item("name", refused.code().name())?;
    facts.set_item("http_status", refused.http_status())?;
    facts.set_item("error_code", refused.error_code())?;
    facts.set_item("tracking_id", refused.tracking_id())?;
    facts.set_item("message", refused.message())?;
    Ok(facts)
}

fn from_native(py: Python<'_>, text: &str, facts: &Bound<'_, PyDict>) -> PyResult<PyErr> {
    let made = py.import("dps_client.errors")?.getattr("from_native")?.call((text,), Some(facts))?;
    Ok(PyErr::from_value(made))
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Never => "never",
        Verdict::After(_) => "after",
        Verdict::Reconfigure => "reconfigure",
    }
}

/// Returns every error of the catalogue: number, name, family and text.
#[pyfunction]
pub(crate) fn error_catalogue() -> Vec<(u16, &'static str, &'static str, &'static str)> {
    ErrorCode::ALL.iter().map(|code| (code.number(), code.name(), code.family().name(), code.text())).collect()
}

/// Returns every hint of the catalogue: name and text.
#[pyfunction]
pub(crate) fn hint_catalogue() -> Vec<(&'static str, &'static str)> {
    Hint::ALL.iter().map(|hint| (hint.name(), hint.text())).collect()
}

/// Returns every kind of fault that the emulator supports: name and description.
#[pyfunction]
pub(crate) fn fault_kinds() -> Vec<(&'static str, &'static str)> {
    FaultPlan::kinds().collect()
}
