//! The options of a client. Every value is checked in [`ProvisioningClientBuilder::build`], before any network I/O.

mod credential;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dps_core::limits::MESSAGE_MAX;
use dps_core::{Config, ErrorCode, Millis};
#[cfg(any(feature = "http", feature = "mqtt"))]
use dps_net::{ProxyChoice, Resolver, Roots};
use tokio::sync::Mutex;

use crate::carrier::Carrier;
use crate::client::{Observer, ProvisioningClient};
use crate::clock::{Clock, millis};
use crate::credentials::{CredentialKind, CredentialPlace, Credentials, Entry};
use crate::error::DpsError;
use crate::link::{CustomLink, SendLink};
use crate::names::{Endpoint, IdScope, Payload, RegistrationId};
use crate::progress::{Decision, Progress, ProgressObserver, Watching};
#[cfg(any(feature = "http", feature = "mqtt"))]
use crate::transport::{Transport, TransportOptions};

pub use credential::DeviceCredential;

/// Makes a [`ProvisioningClient`]. Needed are an id scope, a credential, and a registration id, which a certificate has in
/// itself. Credentials to try when the first is refused are [fallbacks](ProvisioningClientBuilder::fallback).
#[must_use]
pub struct ProvisioningClientBuilder {
    /// The first option that could not be parsed.
    error: Option<DpsError>,
    id_scope: Option<IdScope>,
    registration_id: Option<RegistrationId>,
    source: Option<DeviceCredential>,
    second_source: bool,
    fallbacks: Vec<DeviceCredential>,
    first_credential: Option<usize>,
    endpoint: Endpoint,
    #[cfg(any(feature = "http", feature = "mqtt"))]
    pub(crate) transport: TransportOptions,
    custom_link: Option<CustomLink>,
    timeout: Duration,
    request_timeout: Duration,
    poll_interval: Duration,
    minimum_spacing: Duration,
    token_life: Option<Duration>,
    correct_clock: bool,
    seed: Option<u32>,
    clock: Clock,
    payload: Option<Payload>,
    pub(crate) certificate_request: Option<Vec<u8>>,
    pub(crate) connection_profile: bool,
    reply_limit: usize,
    observer: Option<Observer>,
}

impl Default for ProvisioningClientBuilder {
    fn default() -> Self {
        Self {
            error: None,
            id_scope: None,
            registration_id: None,
            source: None,
            second_source: false,
            fallbacks: Vec::new(),
            first_credential: None,
            endpoint: Endpoint::default(),
            #[cfg(any(feature = "http", feature = "mqtt"))]
            transport: TransportOptions::default(),
            custom_link: None,
            timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            poll_interval: Duration::from_secs(2),
            minimum_spacing: Duration::from_secs(1),
            token_life: None,
            correct_clock: false,
            seed: None,
            clock: Clock::system(),
            payload: None,
            certificate_request: None,
            connection_profile: false,
            reply_limit: MESSAGE_MAX,
            observer: None,
        }
    }
}

impl ProvisioningClient {
    /// Starts with the defaults.
    pub fn builder() -> ProvisioningClientBuilder {
        ProvisioningClientBuilder::default()
    }
}

impl ProvisioningClientBuilder {
    /// Sets the id scope of the service, such as `0ne00A1B2C3`.
    pub fn id_scope(mut self, id_scope: impl TryInto<IdScope, Error: Into<DpsError>>) -> Self {
        self.id_scope = self.parsed(id_scope);
        self
    }

    /// Sets the device's registration id: 1 to 128 letters, digits and `- . _ :`. Spell it the same everywhere: the service
    /// ignores letter case, derived keys do not. Default: the common name of a certificate, or what the SDKs of Azure IoT
    /// derive from the endorsement key of a TPM.
    pub fn registration_id(mut self, registration_id: impl TryInto<RegistrationId, Error: Into<DpsError>>) -> Self {
        self.registration_id = self.parsed(registration_id);
        self
    }

    /// Sets the service's address: `HOST`, `HOST:PORT` or `https://HOST`. Default: the global endpoint.
    pub fn endpoint(mut self, endpoint: impl TryInto<Endpoint, Error: Into<DpsError>>) -> Self {
        if let Some(endpoint) = self.parsed(endpoint) {
            self.endpoint = endpoint;
        }
        self
    }

    /// Sets a custom link, instead of a transport: requests go by the application's own network stack. One registration
    /// uses it at a time. The options of the transports, such as `roots` or `proxy`, are refused beside it.
    pub fn link(mut self, link: impl SendLink + 'static) -> Self {
        self.custom_link = Some(CustomLink::new(link));
        self
    }

    /// Sets the time that a registration may take in all. Default: 2 minutes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the time that one request or one signature may take. Default: 30 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Sets the wait between polls when the service sends no hint. Default: 2 s. Zero is refused by [`Self::build`].
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Sets the least wait before a poll, also when the service asks for none. Default: 1 s; tests may set zero.
    pub fn minimum_spacing(mut self, spacing: Duration) -> Self {
        self.minimum_spacing = spacing;
        self
    }

    /// Sets the life of tokens for the provisioning service. Default: an hour, or the timeout and ten minutes when that is
    /// longer.
    pub fn token_life(mut self, life: Duration) -> Self {
        self.token_life = Some(life);
        self
    }

    /// Sets whether to sign once more with the service's time when it refuses a token and this device's clock is far off.
    /// Over MQTT, which carries no time, it is asked for with one HTTPS request without a credential to the same host, see
    /// [`service_time`](ProvisioningClient::service_time). For clocks inside the validity of the server's certificate, which
    /// is always checked. Default: no; over HTTPS the error names the skew instead.
    pub fn correct_clock(mut self, correct: bool) -> Self {
        self.correct_clock = correct;
        self
    }

    /// Sets the seed of the jitter, for flows that can be repeated. Default: random.
    pub fn seed(mut self, seed: u32) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets another clock than the system's, by which tokens are made and the server's certificate is checked. `None` means
    /// that the time is not known: no token can be made without the service's time, and certificates are checked by the
    /// system's clock.
    pub fn clock(mut self, clock: impl Fn() -> Option<SystemTime> + Send + Sync + 'static) -> Self {
        self.clock = Clock::new(clock);
        self
    }

    /// Sets a JSON object for the service's allocation webhook.
    pub fn payload(mut self, payload: impl TryInto<Payload, Error: Into<DpsError>>) -> Self {
        self.payload = self.parsed(payload);
        self
    }

    /// Sets the largest reply that is accepted, in bytes. Default: 96 KiB, the service's own limit, which every reply fits. A longer
    /// reply ends the registration as `reply-too-large`, with [`DpsError::needed_bytes`] where the peer names its size; a client
    /// with that limit goes on from [`DpsError::resume_token`], or registers again. 16 KiB hold an issued chain.
    pub fn reply_limit(mut self, bytes: usize) -> Self {
        self.reply_limit = bytes;
        self
    }

    /// Calls `watcher` before each signature, request and wait, from the task that runs the registration; it must not
    /// block. It returns nothing, or a [`ControlFlow`](std::ops::ControlFlow) whose `Break` ends the registration as
    /// `cancelled` before anything more is signed or sent.
    pub fn on_progress<D: Decision>(self, watcher: impl FnMut(Progress) -> D + Send + 'static) -> Self {
        self.observer(Watching(watcher))
    }

    /// The same for a watcher that has to await something before the registration goes on.
    pub fn observer(mut self, observer: impl ProgressObserver + 'static) -> Self {
        self.observer = Some(Arc::new(Mutex::new(observer)));
        self
    }

    /// Keeps the error of the first option that cannot be parsed.
    fn parsed<T>(&mut self, option: impl TryInto<T, Error: Into<DpsError>>) -> Option<T> {
        option.try_into().map_err(|error| self.error.get_or_insert_with(|| error.into())).ok()
    }

    /// Checks every value and makes the client. Key files and the platform's authorities are read here; nothing is
    /// sent.
    ///
    /// # Errors
    /// [`DpsError`] of the family `configuration`, or `local` when a file cannot be read.
    pub fn build(mut self) -> Result<ProvisioningClient, DpsError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let api_version = self.chosen_api_version()?;
        let missing = |what: &str| DpsError::config(ErrorCode::InvalidOption, format!("{what} is missing"));
        let id_scope = self.id_scope.take().ok_or_else(|| missing("the id scope"))?;
        if self.registration_id.is_none() && self.source.is_none() {
            return Err(missing("the registration id"));
        }
        let sources = self.take_credentials()?;
        #[cfg(all(feature = "tpm", any(feature = "http", feature = "mqtt")))]
        if sources.iter().any(|source| source.kind() == CredentialKind::Tpm) {
            self.transport.refuse_tpm_without_https()?;
        }
        let registration_id = match self.registration_id.take() {
            Some(registration_id) => registration_id,
            None => {
                let mut known = sources.iter().map(|source| source.registration_id(self.timeout));
                known.find_map(Result::transpose).ok_or_else(|| missing("the registration id"))??
            }
        };
        for (name, duration) in [
            ("timeout", self.timeout),
            ("request timeout", self.request_timeout),
            ("poll interval", self.poll_interval),
        ] {
            if millis(duration) == Millis::ZERO {
                let message = format!("the {name} must be at least one millisecond");
                return Err(DpsError::config(ErrorCode::InvalidOption, message));
            }
        }
        if self.reply_limit == 0 {
            return Err(DpsError::config(ErrorCode::InvalidOption, "the reply limit cannot be zero".into()));
        }
        if self.certificate_request.as_ref().is_some_and(Vec::is_empty) {
            let code = ErrorCode::CertificateRequest;
            return Err(DpsError::config(code, "the certificate request is empty".to_owned()));
        }
        let mut config = Config::new()
            .timeout(millis(self.timeout))
            .request_timeout(millis(self.request_timeout))
            .poll_interval(millis(self.poll_interval))
            .minimum_spacing(millis(self.minimum_spacing))
            .correct_clock(self.correct_clock)
            .seed(self.seed.unwrap_or_else(|| fastrand::u32(..)));
        if let Some(life) = self.token_life {
            config = config.token_life(millis(life));
        }
        if self.custom_link.is_some()
            && sources.len() > 1
            && sources.iter().any(|source| source.kind().is_certificate())
        {
            let message = "a custom link presents a certificate by itself, so that the client cannot change from one credential \
                           to another: leave the fallbacks out, or set keys alone";
            return Err(DpsError::config(ErrorCode::InvalidOption, message.to_owned()));
        }
        let carrier = self.carrier(api_version.clone())?;
        Ok(ProvisioningClient {
            credentials: self.credentials(sources, &registration_id, &carrier)?,
            carrier,
            api_version,
            id_scope,
            registration_id,
            endpoint: self.endpoint,
            config,
            timeout: self.timeout,
            request_timeout: self.request_timeout,
            payload: self.payload,
            certificate_request: self.certificate_request,
            reply_limit: self.reply_limit,
            clock: self.clock,
            observer: self.observer,
            correct_clock: self.correct_clock,
        })
    }

    /// Opens the credentials and checks what can be known of them on the device.
    fn credentials(
        &self,
        sources: Vec<DeviceCredential>,
        registration_id: &RegistrationId,
        carrier: &Carrier,
    ) -> Result<Credentials, DpsError> {
        // Where one credential of several is not valid, the others are tried.
        let is_alone = sources.len() == 1 && sources.iter().all(|source| source.kind() != CredentialKind::Issued);
        let clock = if is_alone { self.clock.clone() } else { Clock::new(|| None) };
        let mut entries = Vec::new();
        for (index, source) in sources.into_iter().enumerate() {
            let place = CredentialPlace::new(index, source.kind());
            let entry = match source.open(registration_id, self.request_timeout)? {
                Some((credential, evidence)) => {
                    let entry = Entry::new(place, credential, evidence, carrier);
                    Some(entry.judged(registration_id, &clock)?)
                }
                None => None,
            };
            entries.push((place, entry));
        }
        Credentials::new(entries).first(self.first_credential)
    }

    #[cfg(any(feature = "http", feature = "mqtt"))]
    fn carrier(&mut self, api_version: Option<String>) -> Result<Carrier, DpsError> {
        let options = std::mem::take(&mut self.transport);
        match (self.custom_link.take(), options.first_set()) {
            (Some(link), None) => Ok(Carrier::Custom(link)),
            (Some(_), Some(option)) => {
                let message = format!("a custom link cannot honor the option `{option}`");
                Err(DpsError::config(ErrorCode::InvalidOption, message))
            }
            #[cfg(not(feature = "http"))]
            (None, _) if self.correct_clock => {
                let message = "MQTT carries no time, and this build has no HTTPS to ask for it: turn on the feature `http`, \
                               or leave clock correction out";
                Err(DpsError::config(ErrorCode::InvalidOption, message.to_owned()))
            }
            (None, _) => {
                options.with_api_version(api_version).carrier(&self.endpoint, &self.clock, self.request_timeout)
            }
        }
    }

    #[cfg(not(any(feature = "http", feature = "mqtt")))]
    fn carrier(&mut self, _: Option<String>) -> Result<Carrier, DpsError> {
        self.custom_link.take().map(Carrier::Custom).ok_or_else(|| {
            let message = "a link is missing: this build has no transport (turn on the feature `http` or `mqtt`, or set a \
                           custom link)";
            DpsError::config(ErrorCode::InvalidOption, message.to_owned())
        })
    }
}

/// Options of the transports.
#[cfg(any(feature = "http", feature = "mqtt"))]
impl ProvisioningClientBuilder {
    /// Sets the transport. Default: HTTPS, or MQTT in a build without the feature `http`.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport.transport = Some(transport);
        self
    }

    /// Sets the authorities to trust. Default: the platform's.
    pub fn roots(mut self, roots: Roots) -> Self {
        self.transport.roots = Some(roots);
        self
    }

    /// Sets the proxy to connect through. Default: the environment's (`HTTPS_PROXY` or `https_proxy`, unless `NO_PROXY`
    /// or `no_proxy` names the host).
    pub fn proxy(mut self, proxy: ProxyChoice) -> Self {
        self.transport.proxy = Some(proxy);
        self
    }

    /// Sets addresses of the service's name, instead of what the platform's resolver returns; see [`Resolver`]. A proxy
    /// resolves names by itself.
    pub fn resolver(mut self, resolver: Resolver) -> Self {
        self.transport.resolver = Some(resolver);
        self
    }

    /// Sets what the service is told as `User-Agent`, or as `ClientVersion` over MQTT.
    pub fn user_agent(mut self, agent: impl Into<String>) -> Self {
        self.transport.user_agent = Some(agent.into());
        self
    }

    /// Over MQTT, sends CONNECT, SUBSCRIBE and the registration in one flight, without waiting for the answers in
    /// between. Saves two round trips; MQTT 3.1.1 allows it (section 3.1.4), the service does not promise it. Default: no.
    #[cfg(feature = "mqtt")]
    pub fn pipelined(mut self, pipelined: bool) -> Self {
        self.transport.pipelined = pipelined;
        self
    }

    /// Sets MQTT's keep-alive, in whole seconds up to 65,535: how soon a silent connection is noticed. Default: 60 s.
    #[cfg(feature = "mqtt")]
    pub fn keep_alive(mut self, keep_alive: Duration) -> Self {
        self.transport.keep_alive = Some(keep_alive);
        self
    }

    /// Over MQTT, sets the port of HTTPS at the service's host, for requests for its time. Default: 443.
    #[cfg(all(feature = "http", feature = "mqtt"))]
    pub fn service_time_port(mut self, port: u16) -> Self {
        self.transport.service_time_port = Some(port);
        self
    }
}

impl std::fmt::Debug for ProvisioningClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProvisioningClientBuilder")
            .field("id_scope", &self.id_scope)
            .field("registration_id", &self.registration_id)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}
