//! One device's client: the options as keyword arguments, and both faces over it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dps_client::{DpsError, Proxy, ProxyChoice, ResumeToken, Roots, Transport};
use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::attestation::Attestation;
use crate::call;
use crate::duration::Seconds;
use crate::errors::{configuration, exception};
use crate::logging;
use crate::progress;
use crate::result::{Assignment, RegistrationRecord};
use crate::secret::type_name;

/// No file of certificates is longer, in bytes.
const CERTIFICATES_MOST: u64 = 1024 * 1024;

/// What ProvisioningClient and AsyncProvisioningClient share: their options.
///
/// Every value is checked here, and key files and certificates are read; nothing is sent. Times are in seconds, or a
/// timedelta.
///
/// id_scope: the id scope of the service, such as 0ne00A1B2C3.
/// registration_id: 1 to 128 letters, digits and - . _ : in one spelling everywhere.
/// attestation: a SymmetricKey, a GroupKey or a Signer.
/// transport: "https" (port 443), "mqtt" (port 8883) or "mqtt-ws" (MQTT over WebSocket, port 443).
/// endpoint: HOST, HOST:PORT or https://HOST. Default: the global endpoint.
/// ca_file, ca_pem: the authorities to trust instead of the platform's, as a PEM file or its text.
/// keep_platform_roots: trust the platform's authorities as well.
/// proxy: its URL, or False for none. Default: the environment's (HTTPS_PROXY, unless NO_PROXY names the host).
/// timeout: for the whole registration. request_timeout: for one request or signature.
/// poll_interval: between polls when the service gives no hint. minimum_spacing: at least, 1 s unless given.
/// token_life: of tokens for the service. Default: an hour, or more where timeout needs it.
/// correct_clock: sign once more with the service's time when this device's clock is far off.
/// keep_alive: of MQTT, in whole seconds. pipelined: over MQTT, everything in one flight; two round trips fewer.
/// payload: a dict for the service's allocation webhook.
/// reply_limit: the largest reply that is taken, in bytes. Default: 96 KiB, the service's own limit.
/// seed: of the jitter, for flows that can be repeated. Default: random.
/// api_version, user_agent: what the service is told.
/// resume: a resume_token of an earlier run; a forgotten operation is registered afresh.
/// on_progress: called with a Progress before each step. What it raises ends the registration.
#[pyclass(frozen, subclass, module = "dps_client")]
pub(crate) struct Client(Arc<dps_client::ProvisioningClient>);

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (
        *, id_scope, registration_id, attestation, transport = "https", endpoint = None, ca_file = None, ca_pem = None,
        keep_platform_roots = false, proxy = None, timeout = None, request_timeout = None,
        poll_interval = None, minimum_spacing = None, token_life = None, correct_clock = false, keep_alive = None,
        pipelined = false, payload = None, reply_limit = None, seed = None, api_version = None, user_agent = None,
        resume = None, on_progress = None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option, named by the caller")]
    fn new(
        py: Python<'_>,
        id_scope: String,
        registration_id: String,
        attestation: Attestation<'_>,
        transport: &str,
        endpoint: Option<String>,
        ca_file: Option<PathBuf>,
        ca_pem: Option<Pem>,
        keep_platform_roots: bool,
        proxy: Option<ProxyArgument>,
        timeout: Option<Seconds>,
        request_timeout: Option<Seconds>,
        poll_interval: Option<Seconds>,
        minimum_spacing: Option<Seconds>,
        token_life: Option<Seconds>,
        correct_clock: bool,
        keep_alive: Option<Seconds>,
        pipelined: bool,
        payload: Option<Bound<'_, PyAny>>,
        reply_limit: Option<usize>,
        seed: Option<u32>,
        api_version: Option<String>,
        user_agent: Option<String>,
        resume: Option<&str>,
        on_progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        logging::refresh(py)?;
        let mut builder = dps_client::ProvisioningClient::builder()
            .id_scope(id_scope)
            .registration_id(registration_id)
            .transport(parse_transport(transport)?)
            .correct_clock(correct_clock)
            .pipelined(pipelined);
        builder = attestation.give(builder).map_err(|error| configuration(py, error))?;
        // What was not given keeps the builder's default.
        macro_rules! set {
            ($($given:expr => $option:ident),+ $(,)?) => {
                $(if let Some(value) = $given { builder = builder.$option(value); })+
            };
        }
        let length = |given: Option<Seconds>| given.map(|Seconds(length)| length);
        set!(
            endpoint => endpoint,
            roots(py, ca_file, ca_pem, keep_platform_roots)? => roots,
            proxy.map(|given| given.choice(py)).transpose()? => proxy,
            length(timeout) => timeout,
            length(request_timeout) => request_timeout,
            length(poll_interval) => poll_interval,
            length(minimum_spacing) => minimum_spacing,
            length(token_life) => token_life,
            length(keep_alive) => keep_alive,
            payload.map(|payload| to_json(&payload)).transpose()? => payload_json,
            reply_limit => reply_limit,
            seed => seed,
            api_version => api_version,
            user_agent => user_agent,
            on_progress.map(watcher).transpose()? => on_progress,
        );
        if let Some(text) = resume {
            builder = builder.resume(&text.parse::<ResumeToken>().map_err(|error| configuration(py, error))?);
        }
        let client = py.detach(|| builder.build()).map_err(|error| exception(py, &error, None))?;
        Ok(Self(Arc::new(client)))
    }

    /// The registration id.
    #[getter]
    fn registration_id(&self) -> &str {
        self.0.registration_id()
    }

    fn _register(&self, py: Python<'_>) -> PyResult<Assignment> {
        call::block(py, register(Arc::clone(&self.0)))
    }

    fn _register_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        call::later(py, register(Arc::clone(&self.0)))
    }

    fn _lookup(&self, py: Python<'_>) -> PyResult<RegistrationRecord> {
        call::block(py, lookup(Arc::clone(&self.0)))
    }

    fn _lookup_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        call::later(py, lookup(Arc::clone(&self.0)))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        Ok(format!("{}(registration_id='{}')", slf.get_type().name()?, slf.get().0.registration_id()))
    }
}

async fn register(client: Arc<dps_client::ProvisioningClient>) -> Result<Assignment, DpsError> {
    client.register().await.map(Into::into)
}

async fn lookup(client: Arc<dps_client::ProvisioningClient>) -> Result<RegistrationRecord, DpsError> {
    client.lookup().await.map(Into::into)
}

fn parse_transport(name: &str) -> PyResult<Transport> {
    match name {
        "https" => Ok(Transport::Https),
        "mqtt" => Ok(Transport::Mqtt),
        "mqtt-ws" => Ok(Transport::MqttWebSocket),
        _ => Err(PyValueError::new_err(format!("transport is 'https', 'mqtt' or 'mqtt-ws', not '{name}'"))),
    }
}

/// Certificates as text: str or bytes.
#[derive(FromPyObject)]
enum Pem {
    Text(String),
    Bytes(Vec<u8>),
}

fn roots(py: Python<'_>, file: Option<PathBuf>, pem: Option<Pem>, keep_platform: bool) -> PyResult<Option<Roots>> {
    let bytes = match (file, pem) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(PyValueError::new_err("give ca_file or ca_pem, not both")),
        (None, Some(Pem::Text(text))) => text.into_bytes(),
        (None, Some(Pem::Bytes(bytes))) => bytes,
        (Some(path), None) => read(&path)?,
    };
    let roots = if keep_platform { Roots::add_pem(&bytes) } else { Roots::replace_pem(&bytes) };
    roots.map(Some).map_err(|error| configuration(py, error))
}

fn read(path: &Path) -> PyResult<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(CERTIFICATES_MOST).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        // With a number and a name Python makes it a FileNotFoundError, a PermissionError and so on.
        Err(error) => Err(PyOSError::new_err((error.raw_os_error(), error.to_string(), path.to_owned()))),
    }
}

/// Which proxy is on the way.
enum ProxyArgument {
    Direct,
    Url(String),
}

impl<'a, 'py> FromPyObject<'a, 'py> for ProxyArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<bool>() {
            Ok(false) => Ok(Self::Direct),
            _ => object.extract().map(Self::Url).map_err(|_| {
                PyTypeError::new_err(format!("proxy is a URL, False or None, not {}", type_name(&object)))
            }),
        }
    }
}

impl ProxyArgument {
    fn choice(self, py: Python<'_>) -> PyResult<ProxyChoice> {
        match self {
            Self::Direct => Ok(ProxyChoice::Direct),
            Self::Url(url) => Proxy::parse(&url)
                .map(|proxy| ProxyChoice::Fixed(proxy.named_by("proxy")))
                .map_err(|error| configuration(py, error)),
        }
    }
}

fn to_json(payload: &Bound<'_, PyAny>) -> PyResult<String> {
    payload.py().import("json")?.call_method1("dumps", (payload,))?.extract()
}

fn watcher(given: Bound<'_, PyAny>) -> PyResult<impl FnMut(dps_client::Progress) + Send + 'static> {
    if !given.is_callable() {
        return Err(PyTypeError::new_err(format!("on_progress is a callable, not {}", type_name(&given))));
    }
    Ok(progress::calling(given.unbind()))
}
