//! Converts arguments from Python; every error names the argument.
//!
//! pyo3 names it only in a note, which Python 3.10 lacks and str() leaves out; and it raises its own OverflowError.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDateTime, PyDelta, PyFloat, PyInt, PyString};

/// A hundred years: added to the current time, it is still a date that Python supports.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Converts a length of time: a number of seconds, or a `timedelta`.
pub(crate) fn duration(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let seconds: f64 = if given.is_instance_of::<PyDelta>() {
        given.call_method0("total_seconds")?.extract()?
    } else if is_whole(given) || given.is_instance_of::<PyFloat>() {
        // What no f64 can hold is too long as well.
        given.extract().unwrap_or(f64::INFINITY)
    } else {
        return Err(wrong_type(name, "a time in seconds or a timedelta", given));
    };
    let length = Duration::try_from_secs_f64(seconds).ok().filter(|length| *length <= LONGEST);
    length.ok_or_else(|| refused(name, format!("must be from 0 to {} seconds, not {seconds}", LONGEST.as_secs())))
}

/// Converts a length of time that must not be zero.
pub(crate) fn duration_above_zero(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let length = duration(name, given)?;
    if length.is_zero() { Err(refused(name, "must be longer than 0 seconds")) } else { Ok(length) }
}

/// Converts a moment: seconds since 1970, or a datetime with a time zone.
pub(crate) fn moment(name: &str, given: &Bound<'_, PyAny>) -> PyResult<SystemTime> {
    let seconds: f64 = if let Ok(date) = given.cast::<PyDateTime>() {
        if date.call_method0("utcoffset")?.is_none() {
            let problem = "is offset-naive; pass a datetime with a time zone";
            return Err(PyTypeError::new_err(format!("argument '{name}': {problem}")));
        }
        date.call_method0("timestamp")?.extract()?
    } else if is_whole(given) || given.is_instance_of::<PyFloat>() {
        given.extract().unwrap_or(f64::INFINITY)
    } else {
        return Err(wrong_type(name, "a time in seconds since 1970 or a datetime", given));
    };
    let time = Duration::try_from_secs_f64(seconds).ok().and_then(|since| UNIX_EPOCH.checked_add(since));
    time.ok_or_else(|| refused(name, format!("must be a time after 1970, not {seconds}")))
}

/// Converts a whole number.
pub(crate) fn whole<T>(name: &str, given: &Bound<'_, PyAny>, range: RangeInclusive<T>) -> PyResult<T>
where
    T: Copy + Display + PartialOrd + for<'a, 'py> FromPyObject<'a, 'py>,
{
    if !is_whole(given) {
        return Err(wrong_type(name, "a whole number", given));
    }
    let number = given.extract().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| refused(name, format!("must be from {} to {}", range.start(), range.end())))
}

/// Converts a str.
pub(crate) fn text(name: &str, given: &Bound<'_, PyAny>) -> PyResult<String> {
    let string = given.cast::<PyString>().map_err(|_| wrong_type(name, "a str", given))?;
    let text = string.to_str().map_err(|_| refused(name, "has a lone surrogate, which is not a character"))?;
    Ok(text.to_owned())
}

/// Converts a bool.
pub(crate) fn flag(name: &str, given: &Bound<'_, PyAny>) -> PyResult<bool> {
    given.extract().map_err(|_| wrong_type(name, "a bool", given))
}

/// Converts bytes.
pub(crate) fn bytes<'a>(name: &str, given: &'a Bound<'_, PyAny>) -> PyResult<&'a [u8]> {
    given.cast::<PyBytes>().map(|bytes| bytes.as_bytes()).map_err(|_| wrong_type(name, "bytes", given))
}

/// Converts the path of a file.
pub(crate) fn path(name: &str, given: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    given.extract().map_err(|_| wrong_type(name, "the path of a file", given))
}

/// Returns the error for a value of the wrong type. The value may be a secret, so the error has only its type.
pub(crate) fn wrong_type(name: &str, right: &str, given: &Bound<'_, PyAny>) -> PyErr {
    PyTypeError::new_err(format!("argument '{name}': must be {right}, not {}", type_name(given)))
}

/// Returns the error for an invalid value.
pub(crate) fn refused(name: &str, problem: impl Display) -> PyErr {
    PyValueError::new_err(format!("argument '{name}': {problem}"))
}

/// Returns the name of an object's type, for error messages.
pub(crate) fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "another type".to_owned(), |name| name.to_string())
}

/// Returns whether it is an int. A bool is an int in Python, but a mistake here.
fn is_whole(given: &Bound<'_, PyAny>) -> bool {
    given.is_instance_of::<PyInt>() && !given.is_instance_of::<PyBool>()
}
