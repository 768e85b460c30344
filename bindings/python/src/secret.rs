//! A secret as text, which is masked in every representation and never pickled.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use zeroize::Zeroizing;

use crate::argument;

/// A secret in text form, such as a key, a connection string or a token.
///
/// The text does not appear in repr or in a traceback with local variables, and a Secret cannot be pickled. Only
/// expose() returns the text.
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

#[pymethods]
impl Secret {
    #[new]
    fn new(text: &Bound<'_, PyAny>) -> PyResult<Self> {
        argument::text("text", text).map(|text| Self(Zeroizing::new(text)))
    }

    /// Returns the text. The name makes every use easy to find.
    fn expose(&self) -> &str {
        &self.0
    }

    fn __repr__(&self) -> &'static str {
        "Secret(..)"
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled("a Secret", "where it must travel, pass expose() on purpose"))
    }
}

/// Converts a secret argument: a str, or a [`Secret`].
pub(crate) fn secret_argument(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Zeroizing<String>> {
    if let Ok(secret) = given.cast::<Secret>() {
        return Ok(secret.get().0.clone());
    }
    if !given.is_instance_of::<PyString>() {
        return Err(argument::wrong_type(name, "a str or a Secret", given));
    }
    argument::text(name, given).map(Zeroizing::new)
}

/// Returns the error for an object that cannot be pickled, with what to do instead.
pub(crate) fn not_pickled(what: &str, instead: &str) -> PyErr {
    PyTypeError::new_err(format!("{what} cannot be pickled or copied; {instead}"))
}
