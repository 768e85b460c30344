//! Renewing an issued certificate at the device's hub, over MQTT 3.1.1: hubs with the profile `classic`.

mod answer;
mod machine;

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dps_core::{ErrorCode, LinkError, Millis, Timer as _, Verdict};
use dps_mqtt::{Framing, HubLogin, HubSession, MqttOptions};
use dps_net::{Dialer, NetError, ProxyChoice, Resolver, Roots};
use tokio::time::{timeout, timeout_at};
use tracing::{debug, info};

pub use machine::OnConflict;
pub(crate) use machine::{Action, Limits, Machine};

use crate::blocking::CallRuntime;
use crate::carrier::dialer_for;
use crate::clock::TokioTimer;
use crate::error::DpsError;
use crate::hub::{HubCredentials, signer_timeout};
use crate::transport::{Transport, tls};
use crate::x509::CertificateChain;

const API_VERSION: &str = "2025-08-01-preview";
/// The largest certificate request, in bytes: 8 KiB of base64, the hub's own limit.
const REQUEST_MAX: usize = 6 * 1024;
/// A longer timeout is the same.
const FOREVER: Duration = Duration::from_secs(365 * 86_400);
/// How long closing a connection may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Renews an issued certificate at the device's hub (preview of the service: API version 2025-08-01-preview).
///
/// The device signs in with the certificate that it has, or with any other credential of it, and sends a certificate request for a
/// new key. The hub accepts it and issues the chain later. A connection that breaks in between is made again, and the request goes on.
/// The new certificate is used from the next connection on; the old one stays valid until it expires.
///
/// A hub lets a device have one connection: what the application has open to the same hub is closed by this one. Hubs with
/// the profile `mqttV5` offer no renewal; register again there.
///
/// ```no_run
/// use std::time::SystemTime;
///
/// use dps_client::{HubRenewal, IdentityStore, IssuedIdentity, KeyAlgorithm, OperationalKey};
/// # async fn example(
/// #     client: dps_client::ProvisioningClient,
/// #     stored: dps_client::StoredAssignment,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let store = IdentityStore::new("/var/lib/device/identity").lock()?;
/// let id = client.registration_id();
/// let credentials = client.hub_credentials(&stored)?.ok_or("another device's assignment")?;
///
/// let key = OperationalKey::generate(KeyAlgorithm::EcP256)?;
/// let chain = HubRenewal::new(credentials).issue(&key.certificate_request(id)?).await?;
/// store.save(&IssuedIdentity::accept(key, chain, id, Some(SystemTime::now()))?)?;
/// # Ok(()) }
/// ```
#[must_use]
pub struct HubRenewal {
    credentials: HubCredentials,
    transport: Transport,
    port: Option<u16>,
    roots: Option<Roots>,
    proxy: Option<ProxyChoice>,
    resolver: Resolver,
    timeout: Duration,
    request_timeout: Duration,
    on_conflict: OnConflict,
}

impl HubRenewal {
    /// Starts with the defaults; the credentials name the hub and the device.
    pub fn new(credentials: HubCredentials) -> Self {
        Self {
            credentials,
            transport: Transport::Mqtt,
            port: None,
            roots: None,
            proxy: None,
            resolver: Resolver::default(),
            timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            on_conflict: OnConflict::default(),
        }
    }

    /// Sets MQTT over TLS, or over WebSocket. Default: over TLS. HTTPS is refused by [`issue`](Self::issue).
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Sets the hub's port. Default: that of the transport, 8883 or 443.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Sets which authorities may have issued the hub's certificate. Default: those of the platform.
    pub fn roots(mut self, roots: Roots) -> Self {
        self.roots = Some(roots);
        self
    }

    /// Sets the proxy. Default: by the environment variables.
    pub fn proxy(mut self, proxy: ProxyChoice) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Sets addresses for host names, instead of those of the platform's resolver.
    pub fn resolver(mut self, resolver: Resolver) -> Self {
        self.resolver = resolver;
        self
    }

    /// Sets the time that the renewal may take in all. Default: 2 minutes. The wait after an error of the hub can be 5 minutes and
    /// more.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the time that a connection with the signing of its token, or the first answer to a request, may take. Default: 30 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Sets what to do when another certificate request of the device is active. Default: replace it.
    pub fn on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.on_conflict = on_conflict;
        self
    }

    /// Sends a certificate request (PKCS #10 as DER, with the registration id as its common name), and waits for the chain, which is
    /// not checked here: see [`IssuedIdentity::accept`](crate::IssuedIdentity::accept). Ends by the timeout; dropping the future closes
    /// the connection, and leaves a request that was accepted active at the hub.
    ///
    /// Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// Refusals by the hub with its [`http_status`](DpsError::http_status) and [`error_code`](DpsError::error_code): `bad-request`,
    /// `conflict`, `throttled`, `service-unavailable` and others; `unauthorized` when it refuses the device; `timeout`; `signer-failed`
    /// and `signer-timeout`, the latter also when the renewal's own timeouts pass while the device's token is signed;
    /// `request-too-large` for more than 6 KiB; `unsupported-by-transport` for HTTPS; what prevents a connection, and `invalid-reply`.
    pub async fn issue(self, request: &[u8]) -> Result<CertificateChain, DpsError> {
        let framing = self.framing()?;
        let timer = TokioTimer::start();
        let now = tokio::time::Instant::now();
        let deadline = now.checked_add(self.timeout.min(FOREVER)).unwrap_or(now);
        let machine = self.machine(request, &timer)?;
        let dialer = self.dialer()?;
        let (hub, device_id) = (self.credentials.hub().to_owned(), self.credentials.client_id().to_owned());
        info!(hub, device_id, "certificate renewal begins");
        let mut run = Run { renewal: self, framing, dialer, machine, timer, deadline, broken: 0, last_error: None };
        let outcome = Box::pin(run.until_finished()).await;
        let issued = match outcome {
            Ok(()) => run.outcome().and_then(CertificateChain::from_der),
            Err(error) => Err(error),
        };
        match &issued {
            Ok(chain) => info!(hub, device_id, certificates = chain.len(), "a certificate was issued"),
            Err(error) => {
                info!(hub, device_id, error = %error.report(), name = error.name(), "no certificate was issued")
            }
        }
        issued
    }

    /// As [`issue`](Self::issue), for programs without a runtime: blocks the calling thread.
    ///
    /// # Errors
    /// As [`issue`](Self::issue); `misuse` when called from within a runtime, whose thread it would block.
    pub fn blocking_issue(self, request: &[u8]) -> Result<CertificateChain, DpsError> {
        CallRuntime::new()?.block_on(self.issue(request))
    }

    fn framing(&self) -> Result<Framing, DpsError> {
        match self.transport {
            Transport::Mqtt => Ok(Framing::Tcp),
            Transport::MqttWebSocket => Ok(Framing::WebSocket),
            #[cfg(feature = "http")]
            Transport::Https => {
                let message = "a hub renews certificates over MQTT only: use MQTT over TLS or over WebSocket";
                Err(DpsError::config(ErrorCode::UnsupportedByTransport, message.to_owned()))
            }
        }
    }

    fn machine(&self, request: &[u8], timer: &TokioTimer) -> Result<Machine, DpsError> {
        if request.len() > REQUEST_MAX {
            let code = ErrorCode::RequestTooLarge;
            let words = format!("{}: a hub accepts a certificate request of {REQUEST_MAX} bytes", code.text());
            return Err(DpsError::config(code, words));
        }
        let limit = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        let deadline = timer.now().as_millis().saturating_add(limit);
        let limits = Limits { deadline, answer: self.request_timeout };
        let (device_id, csr) = (self.credentials.client_id(), BASE64_STANDARD.encode(request));
        Ok(Machine::new(device_id, csr, self.on_conflict, limits, fastrand::u64(..)))
    }

    fn dialer(&self) -> Result<Dialer, DpsError> {
        let credential = self.credentials.credential();
        let proxy = self.proxy.clone().unwrap_or_default().for_host(self.credentials.hub())?;
        let mut tls = tls(self.roots.clone().unwrap_or_else(Roots::platform), self.credentials.clock().clone());
        if let Some(device) = self.credentials.certificate() {
            tls = tls.identity(device.identity().clone());
        }
        let tls = tls.client_config().map_err(|error| DpsError::refused(ErrorCode::InvalidCertificate, error))?;
        dialer_for(credential, &Dialer::new(tls, proxy).resolver(self.resolver.clone()))
    }
}

impl fmt::Debug for HubRenewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubRenewal").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

/// One renewal under way.
struct Run {
    renewal: HubRenewal,
    framing: Framing,
    dialer: Dialer,
    machine: Machine,
    timer: TokioTimer,
    deadline: tokio::time::Instant,
    /// How many connections in a row broke before anything was received.
    broken: u32,
    last_error: Option<NetError>,
}

/// Why a connection is not used any more.
enum Ended {
    Finished,
    Silent,
    Broken(NetError),
}

impl Run {
    /// Makes connections until the machine is finished, or nothing further can work.
    async fn until_finished(&mut self) -> Result<(), DpsError> {
        loop {
            let ended = match self.open().await? {
                Ok(mut session) => {
                    self.machine.connected(self.now());
                    let ended = self.converse(&mut session).await;
                    if !matches!(ended, Ended::Broken(_)) {
                        let _ = timeout(CLOSE_TIMEOUT, session.close()).await;
                    }
                    ended
                }
                Err(broken) => Ended::Broken(broken),
            };
            match ended {
                Ended::Finished => return Ok(()),
                Ended::Silent => {}
                Ended::Broken(broken) if !is_passing(broken.kind()) => return Err(failed(&broken, Verdict::Never)),
                Ended::Broken(broken) => self.last_error = Some(broken),
            }
            let wait = self.machine.reconnect_wait(self.broken);
            self.broken = self.broken.saturating_add(1);
            debug!(?wait, "the connection to the hub is made again");
            if timeout_at(self.deadline, tokio::time::sleep(wait)).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Connects and signs in; `Err` where nothing further can work.
    async fn open(&mut self) -> Result<Result<HubSession, NetError>, DpsError> {
        let renewal = &mut self.renewal;
        let limit = self.deadline.min(tokio::time::Instant::now() + renewal.request_timeout.min(FOREVER));
        let password = match renewal.credentials.certificate() {
            Some(_) => None,
            None => {
                let signed = timeout_at(limit, renewal.credentials.password()).await;
                Some(signed.map_err(|_| signer_timeout())??.clone())
            }
        };
        let (hub, device_id) = (renewal.credentials.hub(), renewal.credentials.client_id());
        let user_name = format!("{hub}/{device_id}/?api-version={API_VERSION}");
        let password = password.as_ref().map(|password| password.expose());
        let login = HubLogin { client_id: device_id, user_name: &user_name, password };
        let address = (hub, renewal.port.unwrap_or(self.framing.default_port()));
        let phase = dps_net::CurrentPhase::default();
        let dialer = self.dialer.clone().phase(phase.clone());
        let options = MqttOptions::default().framing(self.framing);
        let opening = Box::pin(HubSession::open(&dialer, &options, address, login, answer::FILTER));
        let stalled = || NetError::timeout(phase.get().unwrap_or(dps_net::Phase::Connect));
        Ok(timeout_at(limit, opening).await.unwrap_or_else(|_| Err(stalled())))
    }

    /// Publishes and listens until this connection ends, or the machine is finished.
    async fn converse(&mut self, session: &mut HubSession) -> Ended {
        loop {
            let until = match self.machine.poll(self.now()) {
                Action::Finished => return Ended::Finished,
                Action::Reconnect => return Ended::Silent,
                Action::Publish { topic, payload } => {
                    debug!(topic, "the certificate request is sent");
                    match timeout_at(self.deadline, session.publish(&topic, payload.as_bytes())).await {
                        Ok(Ok(())) => continue,
                        Ok(Err(broken)) => return Ended::Broken(broken),
                        // The machine decides.
                        Err(_) => continue,
                    }
                }
                Action::Wait { until } => dps_core::Instant::from_millis(until),
            };
            tokio::select! {
                received = session.next() => match received {
                    Ok((topic, payload)) => {
                        debug!(topic, "the hub answered");
                        (self.broken, self.last_error) = (0, None);
                        self.machine.handle(self.now(), &topic, &payload);
                    }
                    Err(broken) => return Ended::Broken(broken),
                },
                () = self.timer.sleep_until(until) => {}
            }
        }
    }

    fn now(&self) -> u64 {
        self.timer.now().as_millis()
    }

    /// Returns the certificates as DER, or why none was issued: if the time was up without a connection, why the last one failed.
    fn outcome(self) -> Result<Vec<Vec<u8>>, DpsError> {
        self.machine.into_outcome().map_err(|error| match &self.last_error {
            Some(broken) if error.code() == ErrorCode::Timeout => failed(broken, Verdict::After(Millis::ZERO)),
            _ => error,
        })
    }
}

/// Whether another connection may work.
fn is_passing(error: LinkError) -> bool {
    matches!(
        error,
        LinkError::Dns
            | LinkError::Connect
            | LinkError::Cut
            | LinkError::Timeout
            | LinkError::ProxyUnreachable
            | LinkError::ProxyRefused { status: Some(429 | 502..=504) }
            | LinkError::InvalidReply
            | LinkError::MqttRefused { code: 3 }
    )
}

/// Why the hub could not be connected with.
fn failed(broken: &NetError, verdict: Verdict) -> DpsError {
    let code = broken.kind().code();
    let message = format!("no certificate was issued: {}: {}", code.text(), broken.detail());
    DpsError::new(code, verdict, message).hinted(broken.hint()).caused_by(broken.clone())
}
