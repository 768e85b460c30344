//! An error that `main` prints as its message, not as a value.

use std::error::Error;
use std::fmt;

use dps_client::DpsError;

/// Any error. `main` prints its message; for an error of a registration, also the facts and the first hint.
pub struct AnyError(Box<dyn Error>);

impl<E: Into<Box<dyn Error>>> From<E> for AnyError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for AnyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.downcast_ref::<DpsError>() {
            Some(error) => fmt::Display::fmt(&error.report(), f),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}
