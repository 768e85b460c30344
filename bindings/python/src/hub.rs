//! Signing in to the hub with the credential that provisioned the device.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use pyo3::prelude::*;

use crate::call;
use crate::x509::X509;

type Shared = Arc<Mutex<dps_client::HubCredentials>>;

/// MQTT client id, user name and password of the device at its hub.
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct HubCredentials {
    pub(crate) hub: String,
    inner: Shared,
}

impl HubCredentials {
    pub(crate) fn new(hub: &str, inner: dps_client::HubCredentials) -> Self {
        Self { hub: hub.to_owned(), inner: Arc::new(Mutex::new(inner)) }
    }

    pub(crate) fn credentials(&self) -> dps_client::HubCredentials {
        lock(&self.inner).clone()
    }
}

#[pymethods]
impl HubCredentials {
    /// The host name of the hub.
    #[getter]
    fn hub(&self) -> &str {
        &self.hub
    }

    /// The MQTT client id: the device id.
    #[getter]
    fn client_id(&self) -> String {
        lock(&self.inner).client_id().to_owned()
    }

    /// The MQTT user name.
    #[getter]
    fn user_name(&self) -> String {
        lock(&self.inner).user_name()
    }

    /// The device's certificate, with which it signs in to the hub instead of a password; None if it has a key.
    #[getter]
    fn certificate(&self) -> Option<X509> {
        lock(&self.inner).certificate().map(|device| device.clone().into())
    }

    /// Returns the MQTT password, or over HTTPS the Authorization header. It is renewed before it expires.
    ///
    /// Raises ConfigurationError for a device with a certificate.
    fn password(&self, py: Python<'_>) -> PyResult<HubPassword> {
        call::block(py, password(Arc::clone(&self.inner)))
    }

    /// The same as an awaitable: a Signer that is a coroutine function runs in the loop that awaits it.
    #[pyo3(signature = () -> "collections.abc.Awaitable[HubPassword]")]
    fn password_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        call::later(py, password(Arc::clone(&self.inner)))
    }

    fn __repr__(&self) -> String {
        format!("HubCredentials(hub='{}', client_id='{}')", self.hub, self.client_id())
    }
}

/// Signs on a copy, so that nothing is locked while a signer works; of two at the same time, the later result is kept.
async fn password(credentials: Shared) -> Result<HubPassword, dps_client::DpsError> {
    let mut copy = lock(&credentials).clone();
    let password = HubPassword(copy.password().await?.clone());
    *lock(&credentials) = copy;
    Ok(password)
}

fn lock(credentials: &Shared) -> std::sync::MutexGuard<'_, dps_client::HubCredentials> {
    credentials.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A SAS token for the hub, and its expiry.
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct HubPassword(dps_client::HubPassword);

#[pymethods]
impl HubPassword {
    /// Returns the token. The name makes every use easy to find.
    fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The time at which the token expires, in UTC; reconnect with a new one before.
    #[getter]
    fn expires_at(&self) -> SystemTime {
        self.0.expires_at()
    }

    fn __repr__(&self) -> &'static str {
        "HubPassword(..)"
    }
}
