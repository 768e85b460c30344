//! Names as the service takes them, checked with the core's rules.

use dps_client::core::{ConfigError, Endpoint, IdScope, Identity, RegistrationId};
use pyo3::prelude::*;

use crate::errors::configuration;

pub(crate) fn registration_id<'a>(py: Python<'_>, text: &'a str) -> PyResult<RegistrationId<'a>> {
    RegistrationId::new(text).map_err(|error| configuration(py, error))
}

/// A device at the service. The endpoint is no part of what a token is signed over.
pub(crate) fn identity<'a>(py: Python<'_>, id_scope: &'a str, registration_id: &'a str) -> PyResult<Identity<'a>> {
    let identity = || {
        Ok::<_, ConfigError>(Identity {
            endpoint: Endpoint::GLOBAL,
            id_scope: IdScope::new(id_scope)?,
            registration_id: RegistrationId::new(registration_id)?,
        })
    };
    identity().map_err(|error| configuration(py, error))
}
