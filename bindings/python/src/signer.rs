//! A custom signer: a Python function or coroutine function.
//!
//! It is called on a new thread, so that a signer that blocks delays neither the deadline nor the loop. A coroutine runs in
//! the loop that awaits the call, or in a new loop if the call blocks.

use dps_client::SendSigner;
use dps_client::dps_core::{SignError, Signature};
use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::argument::{type_name, wrong_type};
use crate::call::Call;
use crate::calling::{Place, ask};
use crate::gate::attached;

/// A callable that signs with the device's key, which a hardware token, a secure element or a service can hold.
///
/// It is called with the bytes to sign and returns their HMAC-SHA256, 32 bytes; it can be a coroutine function. It is
/// not called on the caller's thread, and must not take longer than request_timeout. If it raises an exception, that is
/// the __cause__ of the exception that ends the registration.
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct Signer(Py<PyAny>);

#[pymethods]
impl Signer {
    #[new]
    fn new(sign: Bound<'_, PyAny>) -> PyResult<Self> {
        if !sign.is_callable() {
            return Err(wrong_type("sign", "a callable", &sign));
        }
        Ok(Self(sign.unbind()))
    }

    fn __repr__(&self) -> &'static str {
        "Signer(..)"
    }
}

impl Signer {
    pub(crate) fn calling(&self, py: Python<'_>) -> Calling {
        Calling(self.0.clone_ref(py))
    }
}

/// The signer of a client.
pub(crate) struct Calling(Py<PyAny>);

impl SendSigner for Calling {
    async fn sign(&mut self, to_sign: &[u8]) -> Result<Signature, SignError> {
        // Nothing signs outside of a call.
        let Some(call) = Call::current() else { return Err(SignError) };
        let begin = |py: Python<'_>| Ok((self.0.clone_ref(py), PyBytes::new(py, to_sign).into_any().unbind()));
        let signed = match ask(&call, Place::Thread, begin).await {
            Ok(returned) => attached(|py| signature(returned.bind(py))),
            Err(raised) => Err(raised),
        };
        signed.map_err(|raised| {
            // Ctrl-C may come while the signer is begun; it is nobody's failure.
            if attached(|py| Ok(raised.is_instance_of::<PyKeyboardInterrupt>(py))).unwrap_or_default() {
                call.stop(raised);
            } else {
                call.keep_cause(raised);
            }
            SignError
        })
    }
}

fn signature(returned: &Bound<'_, PyAny>) -> PyResult<Signature> {
    let Ok(bytes) = returned.cast::<PyBytes>() else {
        return Err(PyTypeError::new_err(format!("a signer must return bytes, not {}", type_name(returned))));
    };
    let length = bytes.as_bytes().len();
    bytes.as_bytes().try_into().map(Signature::new).map_err(|_| {
        PyValueError::new_err(format!("a signer must return the 32 bytes of an HMAC-SHA256, not {length} bytes"))
    })
}
