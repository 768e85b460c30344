//! The options of a client. Every value is checked in [`ProvisioningClientBuilder::build`], before any network I/O.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dps_core::limits::MESSAGE_MAX;
use dps_core::{Config, ErrorCode, KeyEvidence, Millis};
#[cfg(any(feature = "http", feature = "mqtt"))]
use dps_net::{ProxyChoice, Resolver, Roots};
use tokio::sync::Mutex;

use crate::carrier::Carrier;
use crate::client::{Observer, ProvisioningClient};
use crate::clock::{Clock, millis};
use crate::error::DpsError;
use crate::key::{GroupKey, SymmetricKey};
use crate::link::{CustomLink, SendLink};
use crate::names::{Endpoint, IdScope, Payload, RegistrationId};
#[cfg(feature = "pkcs11")]
use crate::pkcs11::{Pkcs11Key, TokenSigner};
use crate::progress::{Decision, Progress, ProgressObserver, Watching};
use crate::signer::{Credential, SendSigner};
#[cfg(feature = "tpm")]
use crate::tpm::{Tpm, TpmSigner};
#[cfg(any(feature = "http", feature = "mqtt"))]
use crate::transport::{Transport, TransportOptions};
#[cfg(any(feature = "http", feature = "mqtt"))]
use crate::x509::X509;

enum Source {
    Key(SymmetricKey),
    Group(GroupKey),
    KeyFile(PathBuf),
    GroupKeyFile(PathBuf),
    Own(Credential),
    #[cfg(feature = "pkcs11")]
    Token(Pkcs11Key),
    #[cfg(feature = "tpm")]
    Tpm(Tpm),
    #[cfg(any(feature = "http", feature = "mqtt"))]
    Certificate(X509),
}

/// Makes a [`ProvisioningClient`]. Needed are an id scope, one credential, and a registration id, which a certificate
/// has in itself.
#[must_use]
pub struct ProvisioningClientBuilder {
    /// The first option that could not be parsed.
    error: Option<DpsError>,
    id_scope: Option<IdScope>,
    registration_id: Option<RegistrationId>,
    source: Option<Source>,
    second_source: bool,
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

    /// Sets the device's own key.
    pub fn symmetric_key(self, key: SymmetricKey) -> Self {
        self.source(Source::Key(key))
    }

    /// Sets the group's key, from which the device's is derived. For factories and tests: see [`GroupKey`].
    pub fn group_key(self, key: GroupKey) -> Self {
        self.source(Source::Group(key))
    }

    /// Sets a file with the device's own key as base64.
    pub fn key_file(self, path: impl AsRef<Path>) -> Self {
        self.source(Source::KeyFile(path.as_ref().to_owned()))
    }

    /// Sets a file with the group's key as base64.
    pub fn group_key_file(self, path: impl AsRef<Path>) -> Self {
        self.source(Source::GroupKeyFile(path.as_ref().to_owned()))
    }

    /// Sets a signer that holds the device's key; a [`BlockingSigner`](crate::BlockingSigner) wraps one that blocks.
    pub fn signer(self, signer: impl SendSigner + 'static) -> Self {
        self.source(Source::Own(Credential::Own(Arc::new(Mutex::new(Box::new(signer))))))
    }

    /// Sets the device's symmetric key in a PKCS#11 token, which signs there. The token is opened when it first signs, on a
    /// thread of its own; a registration ends by its deadline also while the token blocks.
    #[cfg(feature = "pkcs11")]
    pub fn pkcs11_key(self, key: Pkcs11Key) -> Self {
        self.source(Source::Token(key))
    }

    /// Sets the TPM that proves who the device is. HTTPS only.
    ///
    /// A registration reads the TPM before anything is sent, and ends by its deadline also while the TPM blocks. Without a
    /// registration id, [`build`](Self::build) reads the TPM for it, and blocks for as long as a registration may take:
    /// set it, or read [`Tpm::identity`] elsewhere, where that matters.
    #[cfg(feature = "tpm")]
    pub fn tpm(self, tpm: Tpm) -> Self {
        self.source(Source::Tpm(tpm))
    }

    fn source(mut self, source: Source) -> Self {
        self.second_source |= self.source.is_some();
        self.source = Some(source);
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
        if self.second_source {
            return Err(DpsError::config(ErrorCode::InvalidOption, "there are two credentials; set one".into()));
        }
        let source = self.source.take();
        #[cfg(all(feature = "tpm", any(feature = "http", feature = "mqtt")))]
        if matches!(source, Some(Source::Tpm(_))) {
            self.transport.refuse_tpm_without_https()?;
        }
        let registration_id = match (self.registration_id.take(), &source) {
            (Some(registration_id), _) => registration_id,
            #[cfg(any(feature = "http", feature = "mqtt"))]
            (None, Some(Source::Certificate(device))) => device.registration_id()?,
            #[cfg(feature = "tpm")]
            (None, Some(Source::Tpm(tpm))) => tpm.identity(self.timeout)?.registration_id().clone(),
            (None, _) => return Err(missing("the registration id")),
        };
        let source =
            source.ok_or_else(|| missing("a credential (a key, a group key, a signer, a certificate or a TPM)"))?;
        let (credential, evidence) = credential(source, &registration_id, self.request_timeout)?;
        let doubts = credential.judge(&registration_id, &self.clock)?;
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
            .seed(self.seed.unwrap_or_else(|| fastrand::u32(..)))
            .key_evidence(evidence);
        if let Some(life) = self.token_life {
            config = config.token_life(millis(life));
        }
        Ok(ProvisioningClient {
            carrier: self.carrier(&credential, api_version.clone())?,
            api_version,
            id_scope,
            registration_id,
            endpoint: self.endpoint,
            credential,
            doubts,
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

    #[cfg(any(feature = "http", feature = "mqtt"))]
    fn carrier(&mut self, credential: &Credential, api_version: Option<String>) -> Result<Carrier, DpsError> {
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
            (None, _) => options.with_api_version(api_version).carrier(
                &self.endpoint,
                credential,
                &self.clock,
                self.request_timeout,
            ),
        }
    }

    #[cfg(not(any(feature = "http", feature = "mqtt")))]
    fn carrier(&mut self, _: &Credential, _: Option<String>) -> Result<Carrier, DpsError> {
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

    /// Sets the device's certificate with its chain and key, which is presented to the service in TLS. The registration id is
    /// the certificate's common name unless it is set; both must agree.
    ///
    /// [`build`](Self::build) checks it as a [`ChainCheck`](crate::ChainCheck) does, and refuses what cannot work; warnings are
    /// logged. A registration checks its validity again. A custom link has to present it by itself.
    pub fn x509(self, device: X509) -> Self {
        self.source(Source::Certificate(device))
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

fn credential(
    source: Source,
    registration_id: &RegistrationId,
    limit: Duration,
) -> Result<(Credential, KeyEvidence), DpsError> {
    let _ = limit;
    let of_key = |key: SymmetricKey| {
        let evidence = KeyEvidence { length: Some(key.0.length()), derived_here: false };
        (Credential::Key(key.0), evidence)
    };
    let of_group = |group: GroupKey| {
        let key = group.derive(registration_id);
        (Credential::Key(key.0), group.evidence())
    };
    match source {
        Source::Key(key) => Ok(of_key(key)),
        Source::KeyFile(path) => Ok(of_key(SymmetricKey::from_file(path)?)),
        Source::Group(group) => Ok(of_group(group)),
        Source::GroupKeyFile(path) => Ok(of_group(GroupKey::from_file(path)?)),
        Source::Own(credential) => Ok((credential, KeyEvidence::default())),
        #[cfg(feature = "pkcs11")]
        Source::Token(key) => Ok((Credential::Token(TokenSigner::start(&key)?), KeyEvidence::default())),
        #[cfg(feature = "tpm")]
        Source::Tpm(tpm) => Ok((Credential::Tpm(TpmSigner::start(&tpm, limit)?), KeyEvidence::default())),
        #[cfg(any(feature = "http", feature = "mqtt"))]
        Source::Certificate(device) => Ok((Credential::Certificate(device), KeyEvidence::default())),
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
