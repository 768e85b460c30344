//! Converts the options of a client that are not a str, a number or a time.

use dps_client::{ConnectionProfile, Endpoint, Payload, Proxy, ProxyChoice, Roots, Transport};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::argument::{self, refused, wrong_type};
use crate::attestation::Attestation;
use crate::errors::{check, file_error};
use crate::progress::Watcher;

/// The largest file of certificates that is accepted, in bytes.
const CERTIFICATES_MOST: u64 = 1024 * 1024;

/// The value of an option, if it is set.
pub(crate) type Given<'py> = Option<Bound<'py, PyAny>>;

pub(crate) fn transport(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Transport> {
    match argument::text(name, given)?.as_str() {
        "https" => Ok(Transport::Https),
        "mqtt" => Ok(Transport::Mqtt),
        "mqtt-ws" => Ok(Transport::MqttWebSocket),
        other => Err(refused(name, format!("must be 'https', 'mqtt' or 'mqtt-ws', not '{other}'"))),
    }
}

pub(crate) fn endpoint(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Endpoint> {
    check(given.py(), name, argument::text(name, given)?.parse())
}

pub(crate) fn connection_profile(name: &str, given: &Bound<'_, PyAny>) -> PyResult<ConnectionProfile> {
    let word = argument::text(name, given)?;
    ConnectionProfile::from_word(&word)
        .ok_or_else(|| refused(name, format!("must be the service's word, not {word:?}")))
}

pub(crate) fn proxy(name: &str, given: &Bound<'_, PyAny>) -> PyResult<ProxyChoice> {
    if given.extract().is_ok_and(|direct: bool| !direct) {
        return Ok(ProxyChoice::Direct);
    }
    if !given.is_instance_of::<PyString>() {
        return Err(wrong_type(name, "a URL, False or None", given));
    }
    let proxy = check(given.py(), name, Proxy::parse(&argument::text(name, given)?))?;
    Ok(ProxyChoice::Fixed(proxy.named_by("proxy")))
}

/// Converts a sequence of credentials.
pub(crate) fn credentials<'py>(name: &str, given: Given<'py>) -> PyResult<Vec<Attestation<'py>>> {
    let Some(given) = given else { return Ok(Vec::new()) };
    let Ok(each) = given.extract::<Vec<Bound<'py, PyAny>>>() else {
        return Err(wrong_type(name, "a list of credentials", &given));
    };
    each.iter().map(|credential| Attestation::from_argument(name, credential)).collect()
}

pub(crate) fn payload(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Payload> {
    let py = given.py();
    let text = py.import("json")?.call_method1("dumps", (given,)).map_err(|raised| named(py, name, raised))?;
    check(py, name, text.extract::<String>()?.parse())
}

/// Converts an exception of json.dumps to one that names the argument.
fn named(py: Python<'_>, name: &str, raised: PyErr) -> PyErr {
    let problem = format!("argument '{name}': {}", raised.value(py));
    let named = if raised.is_instance_of::<PyTypeError>(py) {
        PyTypeError::new_err(problem)
    } else {
        PyValueError::new_err(problem)
    };
    named.set_cause(py, Some(raised));
    named
}

pub(crate) fn roots(
    py: Python<'_>,
    ca_file: Given<'_>,
    pem: Given<'_>,
    keep_platform: Given<'_>,
) -> PyResult<Option<Roots>> {
    let keep_platform = keep_platform.map(|given| argument::flag("keep_platform_roots", &given)).transpose()?;
    let (name, bytes) = match (ca_file, pem) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(PyValueError::new_err("ca_file and ca_pem are both set: set only one of them"));
        }
        (None, Some(pem)) => match pem.cast::<PyBytes>() {
            Ok(bytes) => ("ca_pem", bytes.as_bytes().to_vec()),
            Err(_) if pem.is_instance_of::<PyString>() => ("ca_pem", argument::text("ca_pem", &pem)?.into_bytes()),
            Err(_) => return Err(wrong_type("ca_pem", "str or bytes", &pem)),
        },
        (Some(file), None) => {
            let path = argument::path("ca_file", &file)?;
            let read = py.detach(|| dps_files::read(&path, CERTIFICATES_MOST));
            ("ca_file", read.map_err(|error| file_error(py, &path, &error))?.to_vec())
        }
    };
    let roots = if keep_platform.unwrap_or_default() { Roots::add_pem(&bytes) } else { Roots::replace_pem(&bytes) };
    check(py, name, roots).map(Some)
}

pub(crate) fn watcher(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Watcher> {
    if !given.is_callable() {
        return Err(wrong_type(name, "a callable", given));
    }
    Ok(Watcher::new(given.clone().unbind()))
}
