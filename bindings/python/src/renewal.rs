//! Renewing an issued certificate at the device's hub.

use std::net::IpAddr;
use std::time::Duration;

use dps_client::{CertificateChain, DpsError, OnConflict, ProxyChoice, Resolver, Roots, Transport};
use pyo3::prelude::*;

use crate::argument;
use crate::call;
use crate::hub::HubCredentials;
use crate::options::{self, Given};

/// Renews an issued certificate at the device's hub, over MQTT 3.1.1.
///
/// The device signs in with credentials: with the certificate that it has, or with any other credential of it. It sends
/// a certificate request for a new key; the hub accepts it and issues the chain later. A connection that breaks in
/// between is made again, and the request goes on. The new certificate is used from the next connection on; the old one
/// stays valid until it expires.
///
/// A hub lets a device have one connection: what the application has open to the same hub is closed by this one. Hubs
/// with the profile mqttV5 offer no renewal; register again there. It is a preview of the service (hub API version
/// 2025-08-01-preview).
///
/// credentials: those of ProvisioningClient.hub_credentials or Assignment.hub_credentials.
/// transport: "mqtt" (port 8883) or "mqtt-ws" (MQTT over WebSocket, port 443). Default: "mqtt". port: another port.
/// address: the hub's IP address, instead of what its name resolves to; for tests and private networks.
/// ca_file, ca_pem, keep_platform_roots, proxy: as for a client.
/// timeout: the time that the renewal may take in all. Default: 2 minutes. The wait after an error of the hub
/// can be 5 minutes and more. request_timeout: the time that a connection, or the first answer, may take. Default: 30
/// seconds.
/// replace_active: whether to replace another certificate request of the device that is active at its hub (default),
/// since its key may have been lost in a restart; otherwise issue() ends with "conflict".
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct HubRenewal {
    credentials: Py<HubCredentials>,
    transport: Transport,
    port: Option<u16>,
    roots: Option<Roots>,
    proxy: ProxyChoice,
    resolver: Resolver,
    timeout: Option<Duration>,
    request_timeout: Option<Duration>,
    on_conflict: OnConflict,
}

#[pymethods]
impl HubRenewal {
    #[new]
    #[pyo3(signature = (
        credentials, *, transport = None, port = None, address = None, ca_file = None, ca_pem = None,
        keep_platform_roots = None, proxy = None, timeout = None, request_timeout = None, replace_active = None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option, named by the caller")]
    fn new(
        credentials: &Bound<'_, PyAny>,
        transport: Given<'_>,
        port: Given<'_>,
        address: Given<'_>,
        ca_file: Given<'_>,
        ca_pem: Given<'_>,
        keep_platform_roots: Given<'_>,
        proxy: Given<'_>,
        timeout: Given<'_>,
        request_timeout: Given<'_>,
        replace_active: Given<'_>,
    ) -> PyResult<Self> {
        let py = credentials.py();
        let wrong = |_| argument::wrong_type("credentials", "HubCredentials", credentials);
        let credentials = credentials.cast::<HubCredentials>().map_err(wrong)?.clone().unbind();
        let transport = transport.map_or(Ok(Transport::Mqtt), |given| self::transport("transport", &given))?;
        let port = port.map(|given| argument::whole("port", &given, 1..=u16::MAX)).transpose()?;
        let duration =
            |name, given: Given<'_>| given.map(|given| argument::duration_above_zero(name, &given)).transpose();
        let replace = replace_active.map_or(Ok(true), |given| argument::flag("replace_active", &given))?;
        Ok(Self {
            resolver: match address {
                Some(given) => resolver(&credentials.get().hub, port, transport, &given)?,
                None => Resolver::default(),
            },
            roots: options::roots(py, ca_file, ca_pem, keep_platform_roots)?,
            proxy: proxy.map_or(Ok(ProxyChoice::default()), |given| options::proxy("proxy", &given))?,
            timeout: duration("timeout", timeout)?,
            request_timeout: duration("request_timeout", request_timeout)?,
            on_conflict: if replace { OnConflict::Replace } else { OnConflict::Fail },
            credentials,
            transport,
            port,
        })
    }

    /// Sends a certificate request and waits for the chain: certificates as DER, the device's own first.
    ///
    /// request is that of OperationalKey.certificate_request, for a new key. The chain is not checked: see
    /// IssuedIdentity.accept. Ctrl-C ends it immediately, and leaves a request that was accepted active at the hub.
    ///
    /// Raises DpsError: a refusal by the hub with its http_status and error_code, such as "bad-request", "conflict" or
    /// "throttled"; "unauthorized" if it refuses the device; what prevents a connection; or the timeout.
    fn issue(&self, request: &Bound<'_, PyAny>) -> PyResult<Vec<Vec<u8>>> {
        let der = argument::bytes("request", request)?.to_vec();
        call::block(request.py(), issue(self.renewal(), der))
    }

    /// The same as an awaitable. Canceling its task ends it immediately.
    #[pyo3(signature = (request) -> "collections.abc.Awaitable[list[bytes]]")]
    fn issue_async<'py>(&self, request: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let der = argument::bytes("request", request)?.to_vec();
        call::later(request.py(), issue(self.renewal(), der))
    }

    fn __repr__(&self) -> String {
        format!("HubRenewal(hub='{}')", self.credentials.get().hub)
    }
}

impl HubRenewal {
    fn renewal(&self) -> dps_client::HubRenewal {
        let mut renewal = dps_client::HubRenewal::new(self.credentials.get().credentials())
            .transport(self.transport)
            .proxy(self.proxy.clone())
            .resolver(self.resolver.clone())
            .on_conflict(self.on_conflict);
        if let Some(port) = self.port {
            renewal = renewal.port(port);
        }
        if let Some(roots) = &self.roots {
            renewal = renewal.roots(roots.clone());
        }
        if let Some(timeout) = self.timeout {
            renewal = renewal.timeout(timeout);
        }
        if let Some(timeout) = self.request_timeout {
            renewal = renewal.request_timeout(timeout);
        }
        renewal
    }
}

async fn issue(renewal: dps_client::HubRenewal, request: Vec<u8>) -> Result<Vec<Vec<u8>>, DpsError> {
    let chain: CertificateChain = renewal.issue(&request).await?;
    Ok(chain.iter().map(<[u8]>::to_vec).collect())
}

fn transport(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Transport> {
    match options::transport(name, given)? {
        Transport::Https => Err(argument::refused(name, "must be 'mqtt' or 'mqtt-ws': hubs renew over MQTT only")),
        transport => Ok(transport),
    }
}

/// Resolves the hub's name to this address.
fn resolver(hub: &str, port: Option<u16>, transport: Transport, given: &Bound<'_, PyAny>) -> PyResult<Resolver> {
    let address = argument::text("address", given)?;
    let address: IpAddr =
        address.parse().map_err(|_| argument::refused("address", format!("must be an IP address, not {address:?}")))?;
    let port = port.unwrap_or(if transport == Transport::MqttWebSocket { 443 } else { 8883 });
    let fixed = format!("{hub}:{port}:{address}").parse();
    let fixed = fixed.map_err(|error| argument::refused("address", format!("cannot be that of the hub: {error}")))?;
    Ok(Resolver::new([fixed]))
}
