//! Identifiers of the service, checked with the core's rules.

use dps_client::dps_core::{Endpoint, IdScope, Identity, RegistrationId};
use pyo3::prelude::*;

use crate::errors::check;

pub(crate) fn registration_id<'a>(py: Python<'_>, text: &'a str) -> PyResult<RegistrationId<'a>> {
    check(py, "registration_id", RegistrationId::new(text))
}

/// A device at the service. The endpoint is not part of the string to sign.
pub(crate) fn identity<'a>(py: Python<'_>, id_scope: &'a str, registration_id: &'a str) -> PyResult<Identity<'a>> {
    Ok(Identity {
        endpoint: Endpoint::GLOBAL,
        id_scope: check(py, "id_scope", IdScope::new(id_scope))?,
        registration_id: self::registration_id(py, registration_id)?,
    })
}
