//! A signer of the caller's own: a Python callable, plain or a coroutine's.
//!
//! It is called on a thread of tokio's, so that one that blocks holds up neither the deadline nor the loop. A coroutine
//! then runs in the loop that awaits the call, or in one of its own where the call blocks.

use dps_client::SendSigner;
use dps_client::core::Signature;
use dps_client::core::message::SignError;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use crate::asyncio::{attached, run_alone};
use crate::call::Call;
use crate::secret::type_name;

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
            return Err(PyTypeError::new_err(format!("a signer is a callable, not {}", type_name(&sign))));
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

/// What a callable returned at once.
enum Returned {
    Signature(Signature),
    Coroutine(Py<PyAny>),
}

impl SendSigner for Calling {
    async fn sign(&mut self, to_sign: &[u8]) -> Result<Signature, SignError> {
        let call = Call::current();
        let signed = self.ask(call.as_ref(), Zeroizing::new(to_sign.to_vec())).await;
        signed.map_err(|raised| {
            if let Some(call) = call {
                call.keep_cause(raised);
            }
            SignError
        })
    }
}

impl Calling {
    async fn ask(&self, call: Option<&Call>, to_sign: Zeroizing<Vec<u8>>) -> PyResult<Signature> {
        let callable = attached(|py| Ok(self.0.clone_ref(py)))?;
        let event_loop = call.and_then(Call::event_loop);
        let alone = event_loop.is_none();
        let asking = tokio::task::spawn_blocking(move || attached(|py| start(callable.bind(py), &to_sign, alone)));
        let returned = asking.await.map_err(|_| PyRuntimeError::new_err("the signer's thread broke off"))??;
        match (returned, event_loop) {
            (Returned::Signature(signature), _) => Ok(signature),
            (Returned::Coroutine(coroutine), Some(event_loop)) => {
                let signed = event_loop.run(coroutine).await?;
                attached(|py| signature(signed.bind(py)))
            }
            (Returned::Coroutine(_), None) => Err(PyRuntimeError::new_err("there is no loop for the coroutine")),
        }
    }
}

/// Calls it; a coroutine is run to its end here when there is no loop for it.
fn start(callable: &Bound<'_, PyAny>, to_sign: &[u8], alone: bool) -> PyResult<Returned> {
    let returned = callable.call1((PyBytes::new(callable.py(), to_sign),))?;
    if !returned.hasattr("__await__")? {
        return signature(&returned).map(Returned::Signature);
    }
    if alone {
        return signature(&run_alone(&returned)?).map(Returned::Signature);
    }
    Ok(Returned::Coroutine(returned.unbind()))
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
