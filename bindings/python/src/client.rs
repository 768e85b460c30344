//! The client of one device: its options as keyword arguments, blocking and async calls.

use std::sync::Arc;

use dps_client::{DpsError, IdScope, RegistrationId, ResumeToken, StoredAssignment};
use pyo3::prelude::*;

use crate::argument;
use crate::attestation::Attestation;
use crate::call;
use crate::clock::SuppliedClock;
use crate::errors::{check, exception};
use crate::hub::HubCredentials;
use crate::issued::{IssuedIdentity, detached};
use crate::logging;
use crate::options::{self, Given};
use crate::result::{Assignment, RegistrationRecord};

/// The largest value of `reply_limit`, in bytes; the service's own limit is much lower.
const REPLY_MOST: usize = 16 * 1024 * 1024;

/// The base class of ProvisioningClient and AsyncProvisioningClient, with their options.
///
/// It checks every value and reads key files and certificates; nothing is sent. Times are in seconds, or a timedelta.
///
/// id_scope: the id scope of the service, such as 0ne00A1B2C3.
/// registration_id: 1 to 128 letters, digits and - . _ : in one spelling everywhere. Default: an X509's common name,
/// or a Tpm's identity().registration_id, for which the TPM is read: that blocks, and Ctrl-C is handled afterwards.
/// attestation: a SymmetricKey, a GroupKey, a Signer, an X509, a Pkcs11Key, a Tpm, or an IssuedIdentity, which is left
/// out while it is not valid if there is a fallback. None keeps the place of an IssuedIdentity for set_issued, such as
/// IdentityStore.load().identity before the first one was issued; it requires a fallback.
/// fallback: more credentials, tried in this order, each at once when the service refuses the one before it: by status
/// 401 unless the device's clock is far off, by CONNACK 4 or 5, or by a TLS alert about the certificate (by two of them
/// under TLS 1.2). They are never tried after another failure, such as a timeout, and share the timeout. The credential
/// that was accepted is tried first the next time.
/// first_credential: which one is tried first, 0 for attestation, 1 and more for fallback: the credential_index of an
/// Assignment of a program that ran before.
/// transport: "https" (port 443), "mqtt" (port 8883) or "mqtt-ws" (MQTT over WebSocket, port 443). Default: "https".
/// endpoint: HOST, HOST:PORT or https://HOST. Default: the global endpoint.
/// ca_file, ca_pem: the certificates to trust instead of the platform's, as a PEM file or its content.
/// keep_platform_roots: whether to trust the platform's certificates too.
/// proxy: the URL of a proxy, or False for no proxy. Default: HTTPS_PROXY in the environment, unless NO_PROXY names the
/// host.
/// timeout: the timeout of the whole registration. request_timeout: the timeout of one request or signature.
/// poll_interval: the wait between polls if the service sends no hint. minimum_spacing: the shortest wait. Default: 1.
/// token_life: the lifetime of tokens for the service. Default: an hour, or more if timeout requires it.
/// correct_clock: whether to sign once more with the service's time if the device's clock is far off. Over MQTT, whose
/// replies do not contain the time, it is read from the service's host by one HTTPS request without a credential.
/// clock: a custom clock, used to make tokens and to check the server's certificate: a callable that returns seconds
/// since 1970 or a datetime, or None if the time is not known. It must not block.
/// service_time_port: over MQTT, the port of that request. Default: 443.
/// keep_alive: the keep-alive of MQTT, in whole seconds.
/// pipelined: over MQTT, whether to send everything in one flight, which saves two round trips.
/// payload: a dict for the service's allocation webhook.
/// certificate_request: a request for an issued certificate, as OperationalKey.certificate_request returns it. The
/// default API version is then 2026-11-01, which has them.
/// reply_limit: the largest reply that is accepted, in bytes. Default: 96 KiB, the service's own limit.
/// seed: the seed of the jitter, for reproducible tests. Default: random.
/// connection_profile: whether to ask which protocol the hub speaks: Assignment.connection_profile.
/// api_version: the API version. Default: 2021-06-01 over HTTPS, 2019-03-31 over MQTT, 2026-11-02-preview with
/// connection_profile. user_agent: the User-Agent of requests, or ClientVersion over MQTT.
/// on_progress: called with a Progress before each step, and awaited if it is a coroutine function; the step begins
/// once it returns. If it raises an exception, the registration ends and nothing more is sent.
#[pyclass(frozen, subclass, module = "dps_client")]
pub(crate) struct Client(Arc<dps_client::ProvisioningClient>);

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (
        *, id_scope, attestation, registration_id = None, transport = None, endpoint = None, ca_file = None, ca_pem = None,
        keep_platform_roots = None, proxy = None, timeout = None, request_timeout = None,
        poll_interval = None, minimum_spacing = None, token_life = None, correct_clock = None, keep_alive = None,
        pipelined = None, payload = None, reply_limit = None, seed = None, api_version = None, user_agent = None,
        on_progress = None, service_time_port = None, clock = None, certificate_request = None,
        connection_profile = None, fallback = None, first_credential = None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option, named by the caller")]
    fn new(
        py: Python<'_>,
        id_scope: Bound<'_, PyAny>,
        attestation: Bound<'_, PyAny>,
        registration_id: Given<'_>,
        transport: Given<'_>,
        endpoint: Given<'_>,
        ca_file: Given<'_>,
        ca_pem: Given<'_>,
        keep_platform_roots: Given<'_>,
        proxy: Given<'_>,
        timeout: Given<'_>,
        request_timeout: Given<'_>,
        poll_interval: Given<'_>,
        minimum_spacing: Given<'_>,
        token_life: Given<'_>,
        correct_clock: Given<'_>,
        keep_alive: Given<'_>,
        pipelined: Given<'_>,
        payload: Given<'_>,
        reply_limit: Given<'_>,
        seed: Given<'_>,
        api_version: Given<'_>,
        user_agent: Given<'_>,
        on_progress: Given<'_>,
        service_time_port: Given<'_>,
        clock: Given<'_>,
        certificate_request: Given<'_>,
        connection_profile: Given<'_>,
        fallback: Given<'_>,
        first_credential: Given<'_>,
    ) -> PyResult<Self> {
        logging::refresh(py)?;
        let id_scope = argument::text("id_scope", &id_scope)?;
        let id_scope: IdScope = check(py, "id_scope", id_scope.parse())?;
        let mut builder = dps_client::ProvisioningClient::builder().id_scope(id_scope);
        if let Some(given) = registration_id {
            let registration_id = argument::text("registration_id", &given)?;
            let registration_id: RegistrationId = check(py, "registration_id", registration_id.parse())?;
            builder = builder.registration_id(registration_id);
        }
        let attestation = Attestation::from_argument("attestation", &attestation)?;
        builder = builder.credential(check(py, "attestation", attestation.credential())?);
        for credential in options::credentials("fallback", fallback)? {
            builder = builder.fallback(check(py, "fallback", credential.credential())?);
        }
        // What was not given keeps the builder's default.
        macro_rules! set {
            ($($given:ident => $option:ident: $read:expr),+ $(,)?) => {
                $(if let Some(given) = $given {
                    builder = builder.$option($read(stringify!($given), &given)?);
                })+
            };
        }
        set!(
            transport => transport: options::transport,
            endpoint => endpoint: options::endpoint,
            proxy => proxy: options::proxy,
            timeout => timeout: argument::duration_above_zero,
            request_timeout => request_timeout: argument::duration_above_zero,
            poll_interval => poll_interval: argument::duration_above_zero,
            minimum_spacing => minimum_spacing: argument::duration,
            token_life => token_life: argument::duration_above_zero,
            correct_clock => correct_clock: argument::flag,
            pipelined => pipelined: argument::flag,
            keep_alive => keep_alive: argument::duration_above_zero,
            payload => payload: options::payload,
            reply_limit => reply_limit: |name, given: &Bound<'_, PyAny>| argument::whole(name, given, 1..=REPLY_MOST),
            service_time_port => service_time_port: |name, given: &Bound<'_, PyAny>| argument::whole(name, given, 1..=u16::MAX),
            seed => seed: |name, given: &Bound<'_, PyAny>| argument::whole(name, given, 0..=u32::MAX),
            connection_profile => connection_profile: argument::flag,
            first_credential => first_credential: |name, given: &Bound<'_, PyAny>| argument::whole(name, given, 0..=u16::MAX).map(usize::from),
            api_version => api_version: argument::text,
            user_agent => user_agent: argument::text,
            on_progress => observer: options::watcher,
            certificate_request => certificate_request: |name, given: &Bound<'_, PyAny>| argument::bytes(name, given).map(<[u8]>::to_vec),
        );
        if let Some(clock) = clock {
            let clock = SuppliedClock::new("clock", &clock)?;
            builder = builder.clock(move || clock.now());
        }
        if let Some(roots) = options::roots(py, ca_file, ca_pem, keep_platform_roots)? {
            builder = builder.roots(roots);
        }
        let client = py.detach(|| builder.build()).map_err(|error| exception(py, &error, None))?;
        Ok(Self(Arc::new(client)))
    }

    /// The registration id.
    #[getter]
    fn registration_id(&self) -> &str {
        self.0.registration_id().as_str()
    }

    /// Returns the credentials of the device at a hub that it was assigned to earlier; nothing is sent.
    ///
    /// hub, device_id, connection_profile and credential_index are those of an Assignment; connection_profile is None
    /// if it was not reported, credential_index is 0 by default. password_life is in seconds or a timedelta; an hour by
    /// default.
    ///
    /// Raises ConfigurationError for a connection profile other than "classic", ValueError for a credential_index that
    /// the client does not have.
    #[pyo3(signature = (*, hub, device_id, connection_profile = None, credential_index = None, password_life = None))]
    fn hub_credentials(
        &self,
        hub: &Bound<'_, PyAny>,
        device_id: &Bound<'_, PyAny>,
        connection_profile: Given<'_>,
        credential_index: Given<'_>,
        password_life: Given<'_>,
    ) -> PyResult<HubCredentials> {
        let py = hub.py();
        let (hub, device_id) = (argument::text("hub", hub)?, argument::text("device_id", device_id)?);
        let (id_scope, registration_id) = (self.0.id_scope().clone(), self.0.registration_id().clone());
        let mut stored = StoredAssignment::new(id_scope, registration_id, hub, device_id);
        if let Some(given) = connection_profile {
            stored.connection_profile = options::connection_profile("connection_profile", &given)?;
        }
        if let Some(given) = credential_index {
            stored.credential_index = argument::whole("credential_index", &given, 0..=u16::MAX)?.into();
        }
        let missing = || argument::refused("credential_index", "is not the place of one of the client's credentials");
        let found = self.0.hub_credentials(&stored).map_err(|error| exception(py, &error, None))?;
        let mut credentials = found.ok_or_else(missing)?;
        if let Some(given) = password_life {
            credentials = credentials.password_life(argument::duration_above_zero("password_life", &given)?);
        }
        Ok(HubCredentials::new(&stored.hub, credentials))
    }

    /// Replaces the IssuedIdentity, or the None in its place, after a registration or a renewal.
    ///
    /// Calls that start later try the credentials in their order again. Raises ConfigurationError if the client has no
    /// place for an IssuedIdentity, or if this one is for another registration id.
    fn set_issued(&self, identity: &Bound<'_, PyAny>) -> PyResult<()> {
        let wrong = |_| argument::wrong_type("identity", "an IssuedIdentity", identity);
        let issued = identity.cast::<IssuedIdentity>().map_err(wrong)?.get().identity();
        detached(identity.py(), || self.0.set_issued(issued))
    }

    fn _register(&self, py: Python<'_>) -> PyResult<Assignment> {
        call::block(py, register(Arc::clone(&self.0)))
    }

    fn _register_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        call::later(py, register(Arc::clone(&self.0)))
    }

    fn _resume(&self, py: Python<'_>, resume_token: &Bound<'_, PyAny>) -> PyResult<Assignment> {
        call::block(py, resume(Arc::clone(&self.0), token(resume_token)?))
    }

    fn _resume_async<'py>(&self, py: Python<'py>, resume_token: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        call::later(py, resume(Arc::clone(&self.0), token(resume_token)?))
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

async fn resume(client: Arc<dps_client::ProvisioningClient>, token: ResumeToken) -> Result<Assignment, DpsError> {
    client.resume(&token).await.map(Into::into)
}

fn token(given: &Bound<'_, PyAny>) -> PyResult<ResumeToken> {
    check(given.py(), "resume_token", argument::text("resume_token", given)?.parse())
}

async fn lookup(client: Arc<dps_client::ProvisioningClient>) -> Result<RegistrationRecord, DpsError> {
    client.lookup().await.map(Into::into)
}
