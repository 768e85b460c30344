//! Text that must not be seen by accident: masked in every representation, never pickled.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use zeroize::Zeroizing;

/// A secret in text form, such as a key, a connection string or a token.
///
/// It shows itself nowhere: not in repr, not in a traceback with local variables, not in a pickle. Only expose() gives
/// the text.
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
    fn new(text: &str) -> Self {
        text.into()
    }

    /// The text. Named so that every use can be found.
    fn expose(&self) -> &str {
        &self.0
    }

    fn __repr__(&self) -> &'static str {
        "Secret(..)"
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a Secret cannot be pickled or copied; where it must travel, pass expose() on purpose",
        ))
    }
}

/// A secret as a caller may give it: plain text, or a [`Secret`].
pub(crate) struct SecretArgument(Zeroizing<String>);

impl std::ops::Deref for SecretArgument {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for SecretArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(secret) = object.cast::<Secret>() {
            return Ok(Self(secret.get().0.clone()));
        }
        match object.extract::<&str>() {
            Ok(text) => Ok(Self(Zeroizing::new(text.to_owned()))),
            // The default message is as silent about the value.
            Err(_) => Err(PyTypeError::new_err(format!("a key is given as str or Secret, not {}", type_name(&object)))),
        }
    }
}

/// The name of an object's type, for messages about a wrong one: the object itself may be a secret.
pub(crate) fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "another type".to_owned(), |name| name.to_string())
}
