//! An error as `main` should tell it: in its own words, not as a value.

use std::error::Error;
use std::fmt;

use dps_client::DpsError;

/// Any error. What `main` prints of it is its message; of a registration's, the facts and the first hint too.
pub struct Told(Box<dyn Error>);

impl<E: Into<Box<dyn Error>>> From<E> for Told {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.downcast_ref::<DpsError>() {
            Some(error) => fmt::Display::fmt(&error.report(), f),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}
