//! A signer of the caller's own: a Python callable, plain or a coroutine's.
//!
//! It is called on a thread of its own, so that one that blocks holds up neither the deadline nor the loop. A coroutine
//! then runs in the loop that awaits the call, or in one of its own where the call blocks.

use dps_client::SendSigner;
use dps_client::dps_core::{SignError, Signature};
use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::argument::{type_name, wrong_type};
use crate::call::Call;
use crate::calling::{Place, ask};
use crate::gate::attached;

/// A callable that holds the device's key, or knows who does: a token, a secure element, a service that signs.
///
/// It is given the bytes to sign and returns their HMAC-SHA256, 32 bytes, or is a coroutine function that does. It is
/// called on another thread than the caller's, and must not take longer than request_timeout. What it raises is the
/// __cause__ of the exception that ends the registration.
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

/// The same as the client takes it.
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
        return Err(PyTypeError::new_err(format!("a signer returns bytes, not {}", type_name(returned))));
    };
    let length = bytes.as_bytes().len();
    bytes.as_bytes().try_into().map(Signature::new).map_err(|_| {
        PyValueError::new_err(format!("a signer returns the 32 bytes of an HMAC-SHA256, not {length} bytes"))
    })
}
