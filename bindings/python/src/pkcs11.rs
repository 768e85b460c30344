//! A key in a PKCS#11 token, as a Python object.

use std::time::Duration;

use dps_client::SecretString;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::argument;
use crate::errors::{check, exception};
use crate::options::Given;
use crate::secret::{not_pickled, secret_argument};

/// How long a signature may take by default.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A key in a PKCS#11 token, which never leaves it, by its URI (RFC 7512).
///
/// It is a symmetric key that signs with CKM_SHA256_HMAC, for the argument attestation; or the private key of a
/// certificate, for X509.from_pkcs11. module is the token's module, a shared library, which is loaded. By default it
/// is p11-kit's proxy, which has the tokens of every module that the system is configured with. pin_file is a file
/// with the PIN, pin the PIN itself. By default the file of the URI's pin-source is read.
///
/// The token is opened when the key is used first. A PIN that the token refused is not tried again.
///
/// >>> Pkcs11Key("pkcs11:token=Gateway;object=device-id", pin_file="/run/secrets/pin")
/// Pkcs11Key('pkcs11:token=Gateway;object=device-id')
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct Pkcs11Key(dps_client::Pkcs11Key);

impl Pkcs11Key {
    pub(crate) fn key(&self) -> &dps_client::Pkcs11Key {
        &self.0
    }
}

#[pymethods]
impl Pkcs11Key {
    #[new]
    #[pyo3(signature = (uri, *, pin_file = None, pin = None, module = None))]
    fn new(uri: &Bound<'_, PyAny>, pin_file: Given<'_>, pin: Given<'_>, module: Given<'_>) -> PyResult<Self> {
        let text = argument::text("uri", uri)?;
        let mut key = check(uri.py(), "uri", dps_client::Pkcs11Key::from_uri(&text))?;
        if let Some(given) = module {
            key = key.module(argument::path("module", &given)?);
        }
        match (pin_file, pin) {
            (None, None) => Ok(Self(key)),
            (Some(given), None) => Ok(Self(key.pin_file(argument::path("pin_file", &given)?))),
            (None, Some(given)) => Ok(Self(key.pin(SecretString::from(secret_argument("pin", &given)?.as_str())))),
            (Some(_), Some(_)) => Err(PyValueError::new_err("pin_file and pin are both set: set only one of them")),
        }
    }

    /// Returns the HMAC-SHA256 of a message under a symmetric key, 32 bytes, or raises DpsError.
    ///
    /// timeout is in seconds or a timedelta, 30 seconds by default.
    #[pyo3(signature = (message, *, timeout = None))]
    fn sign<'py>(&self, message: &Bound<'py, PyAny>, timeout: Given<'_>) -> PyResult<Bound<'py, PyBytes>> {
        let py = message.py();
        let timeout = timeout.map(|given| argument::duration_above_zero("timeout", &given)).transpose()?;
        let message = argument::bytes("message", message)?;
        let signed = py.detach(|| self.0.sign(message, timeout.unwrap_or(TIMEOUT)));
        signed.map(|signature| PyBytes::new(py, signature.expose())).map_err(|error| exception(py, &error, None))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled("a Pkcs11Key", "create one from its URI in each process"))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Pkcs11Key({})", self.0.to_string().into_pyobject(py)?.repr()?))
    }
}
