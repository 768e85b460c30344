//! The options of a service: identity, hubs, timing, and every choice that the real service leaves open.

use std::ops::RangeInclusive;

use zeroize::Zeroizing;

use crate::credentials::SymmetricKey;
use crate::fault::RetryAfter;
use crate::hubs::ConnectionProfile;
use crate::issuance::IssuanceCodes;
use crate::throttle::Limits;

/// The name of the one shared access policy.
pub const POLICY_NAME: &str = "provisioningserviceowner";

/// The substatus of an assigned device that registers again and keeps its hub. Sources disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnchangedSubstatus {
    /// The substatus that the record had before: what live tests of other SDKs observe.
    #[default]
    Keep,
    /// `reprovisionedToInitialAssignment`: what IoT Edge 1.1 expects.
    Reprovisioned,
}

/// The life of an issued certificate, in days, as policies of the service allow it.
pub(crate) const CERTIFICATE_DAYS: RangeInclusive<u32> = 7..=90;

/// The largest number of events that a configuration can name; their memory is bounded besides.
pub(crate) const EVENTS_MAX: usize = 1_000_000;

/// Options of a [`Service`](crate::service::Service); everything has a default.
#[derive(Clone)]
pub struct ServiceOptions {
    pub(crate) id_scope: String,
    pub(crate) host_names: Vec<String>,
    pub(crate) policy_key: Option<SymmetricKey>,
    pub(crate) seed: Option<Zeroizing<[u8; 32]>>,
    /// The seed, if it is a small one, which can be guessed.
    pub(crate) small_seed: Option<u64>,
    /// The seed of keys, if it is another one.
    pub(crate) key_seed: Option<Zeroizing<[u8; 32]>>,
    pub(crate) hubs: Option<Vec<(String, u32)>>,
    pub(crate) hub_profiles: Vec<(String, ConnectionProfile)>,
    pub(crate) certificate_days: u32,
    pub(crate) p384_only: bool,
    pub(crate) issuance_codes: IssuanceCodes,
    pub(crate) hint: Option<RetryAfter>,
    pub(crate) assigning_ms: u64,
    pub(crate) conflict_window_ms: u64,
    pub(crate) assign_at_once: bool,
    pub(crate) operation_life_ms: u64,
    pub(crate) challenge_life_ms: u64,
    pub(crate) clock_skew_ms: u64,
    pub(crate) check_expiry_on_poll: bool,
    #[cfg_attr(not(feature = "mqtt"), allow(dead_code, reason = "only MQTT has a CONNECT"))]
    pub(crate) strict_at_connect: bool,
    #[cfg_attr(not(feature = "mqtt"), allow(dead_code, reason = "only MQTT has a CONNECT"))]
    pub(crate) certificates_at_register: bool,
    pub(crate) certificate_info: bool,
    pub(crate) derive_as_sent: bool,
    pub(crate) echo_payload: bool,
    pub(crate) webhook_limit_ms: u64,
    pub(crate) unchanged: UnchangedSubstatus,
    pub(crate) limits: Limits,
    pub(crate) events_kept: usize,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            id_scope: "0ne00A1B2C3".into(),
            host_names: vec!["dps.test".into()],
            policy_key: None,
            seed: None,
            small_seed: None,
            key_seed: None,
            hubs: None,
            hub_profiles: Vec::new(),
            certificate_days: 30,
            p384_only: false,
            issuance_codes: IssuanceCodes::default(),
            hint: Some(RetryAfter::Seconds(1)),
            assigning_ms: 500,
            conflict_window_ms: 20,
            assign_at_once: false,
            operation_life_ms: 10 * 60_000,
            challenge_life_ms: 10 * 60_000,
            clock_skew_ms: 0,
            check_expiry_on_poll: false,
            strict_at_connect: false,
            certificates_at_register: false,
            certificate_info: false,
            derive_as_sent: false,
            echo_payload: false,
            webhook_limit_ms: 5000,
            unchanged: UnchangedSubstatus::default(),
            limits: Limits::default(),
            events_kept: 10_000,
        }
    }
}

impl ServiceOptions {
    /// Id scope `0ne00A1B2C3`, host `dps.test`, one hub `hub-a.test`, the service's published limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The id scope; compared without letter case.
    #[must_use]
    pub fn id_scope(mut self, id_scope: impl Into<String>) -> Self {
        self.id_scope = id_scope.into();
        self
    }

    /// The host that replies and the connection string name, with `:port`. Port 443 is left out, as the service does,
    /// since some clients treat `name:443` as a host name.
    #[must_use]
    pub fn host_name(mut self, host: impl Into<String>) -> Self {
        let host = host.into();
        self.host_names[0] = host.strip_suffix(":443").unwrap_or(&host).to_owned();
        self
    }

    /// One more host name that admin tokens may be issued for; repeatable.
    #[must_use]
    pub fn also_known_as(mut self, host: impl Into<String>) -> Self {
        self.host_names.push(host.into());
        self
    }

    /// The key of the policy `provisioningserviceowner`; generated from the seed when absent.
    #[must_use]
    pub fn policy_key(mut self, key: SymmetricKey) -> Self {
        self.policy_key = Some(key);
        self
    }

    /// A small seed for reproducible tests: keys generated from it can be guessed. Without any seed a pure service
    /// behaves as with seed 0, and an `Emulator` gets one from the operating system. An `Emulator` that listens beyond
    /// loopback generates only ids from it, and keys as without a seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        let mut wide = [0; 32];
        wide[24..].copy_from_slice(&seed.to_be_bytes());
        Self { small_seed: Some(seed), ..self.entropy(wide) }
    }

    /// A full seed, for keys that cannot be guessed.
    #[must_use]
    pub fn entropy(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(Zeroizing::new(seed));
        self.small_seed = None;
        self
    }

    /// A full seed for keys alone, so that ids can repeat with a small seed while keys cannot be guessed.
    #[must_use]
    pub fn key_entropy(mut self, seed: [u8; 32]) -> Self {
        self.key_seed = Some(Zeroizing::new(seed));
        self
    }

    /// Links a hub with a weight of 1 to 1000; repeatable. The first call replaces the default `hub-a.test`.
    #[must_use]
    pub fn hub(mut self, host: impl Into<String>, weight: u32) -> Self {
        self.hubs.get_or_insert_default().push((host.into(), weight));
        self
    }

    /// Links these hubs with their weights, instead of others that were named.
    #[must_use]
    pub fn hubs(mut self, hubs: impl IntoIterator<Item = (impl Into<String>, u32)>) -> Self {
        self.hubs = Some(hubs.into_iter().map(|(host, weight)| (host.into(), weight)).collect());
        self
    }

    /// Sets the protocol that a hub speaks, which must be linked; repeatable. Hubs are classic ones otherwise. Devices whose API
    /// version is 2026-11-02-preview or later are told (`connectionProfile`).
    #[must_use]
    pub fn hub_profile(mut self, host: impl Into<String>, profile: ConnectionProfile) -> Self {
        self.hub_profiles.push((host.into(), profile));
        self
    }

    /// The life of an issued certificate in days, 7 to 90 as at the service. Default 30.
    #[must_use]
    pub fn certificate_days(mut self, days: u32) -> Self {
        self.certificate_days = days;
        self
    }

    /// Accepts certificate requests with keys of EC P-384 only, as the service's documentation states it. Off by default: EC
    /// P-256 and RSA of 2048 to 4096 bits, which published samples send, are accepted too.
    #[must_use]
    pub fn p384_only(mut self, only: bool) -> Self {
        self.p384_only = only;
        self
    }

    /// The codes by which certificate requests are refused.
    #[must_use]
    pub fn issuance_codes(mut self, codes: IssuanceCodes) -> Self {
        self.issuance_codes = codes;
        self
    }

    /// The hint that is sent with `assigning`; `None` leaves it out. Default: 1 second.
    #[must_use]
    pub fn hint(mut self, hint: Option<RetryAfter>) -> Self {
        self.hint = hint;
        self
    }

    /// How long an assignment takes, in milliseconds. Default 500, so that the first poll after the hint finds it.
    #[must_use]
    pub fn assigning_ms(mut self, ms: u64) -> Self {
        self.assigning_ms = ms;
        self
    }

    /// How long after a register call a second one of the same id collides with it (409203), in milliseconds. Default
    /// 20: only calls that were really concurrent. Not used while assigning at once.
    #[must_use]
    pub fn conflict_window_ms(mut self, ms: u64) -> Self {
        self.conflict_window_ms = ms;
        self
    }

    /// Register returns 200 with the final state, and no poll is needed.
    #[must_use]
    pub fn assign_at_once(mut self, at_once: bool) -> Self {
        self.assign_at_once = at_once;
        self
    }

    /// How long an operation can be polled, in milliseconds. Default 10 minutes.
    #[must_use]
    pub fn operation_life_ms(mut self, ms: u64) -> Self {
        self.operation_life_ms = ms;
        self
    }

    /// How long a device can answer a TPM challenge, in milliseconds. Default 10 minutes.
    #[must_use]
    pub fn challenge_life_ms(mut self, ms: u64) -> Self {
        self.challenge_life_ms = ms;
        self
    }

    /// How long after its expiry a token is still accepted, in milliseconds. Default 0.
    #[must_use]
    pub fn clock_skew_ms(mut self, ms: u64) -> Self {
        self.clock_skew_ms = ms;
        self
    }

    /// Checks a token's expiry on polls too. Off by default, since some clients sign once, for 30 seconds.
    #[must_use]
    pub fn check_expiry_on_poll(mut self, check: bool) -> Self {
        self.check_expiry_on_poll = check;
        self
    }

    /// Refuses bad credentials at MQTT's CONNECT. Off by default: the service accepts the connection and refuses the
    /// register call.
    #[must_use]
    pub fn strict_at_connect(mut self, strict: bool) -> Self {
        self.strict_at_connect = strict;
        self
    }

    /// Accepts any client certificate at MQTT's CONNECT, and refuses it when the device registers, by a reply with
    /// status 401. Off by default: a refused certificate is answered with CONNACK 5. Clients see both at the service.
    #[must_use]
    pub fn certificates_at_register(mut self, at_register: bool) -> Self {
        self.certificates_at_register = at_register;
        self
    }

    /// Shows a device its certificate and the one that its group was found by (`registrationState.x509`, members
    /// `certificateInfo` and `signingCertificateInfo`). Off by default, as replies of the service were observed.
    #[must_use]
    pub fn certificate_info(mut self, show: bool) -> Self {
        self.certificate_info = show;
        self
    }

    /// Derives a group's device keys from the registration id exactly as it was sent. Off by default: its lower-case
    /// form and the spelling that registered first are tried too, since it is not documented which one the service
    /// uses.
    #[must_use]
    pub fn derive_as_sent(mut self, as_sent: bool) -> Self {
        self.derive_as_sent = as_sent;
        self
    }

    /// The time within which an allocation webhook must have replied completely, in milliseconds. Default 5000; that of
    /// the service is not published.
    #[must_use]
    pub fn webhook_limit_ms(mut self, ms: u64) -> Self {
        self.webhook_limit_ms = ms;
        self
    }

    /// Returns the `payload` of a register call with its assignment, as a custom allocation webhook might. Devices whose
    /// enrollment has a webhook receive the payload of that instead.
    #[must_use]
    pub fn echo_payload(mut self, echo: bool) -> Self {
        self.echo_payload = echo;
        self
    }

    /// The substatus of an unchanged assignment.
    #[must_use]
    pub fn unchanged_substatus(mut self, unchanged: UnchangedSubstatus) -> Self {
        self.unchanged = unchanged;
        self
    }

    /// How many events are kept; the oldest are dropped. Default 10,000, and never more than about 32 MiB. With 0 no event
    /// is recorded.
    #[must_use]
    pub fn events_kept(mut self, most: usize) -> Self {
        self.events_kept = most;
        self
    }

    /// The rate limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl std::fmt::Debug for ServiceOptions {
    /// Without the policy key and the seed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceOptions")
            .field("id_scope", &self.id_scope)
            .field("host_names", &self.host_names)
            .field("hubs", &self.hubs)
            .finish_non_exhaustive()
    }
}

/// An option that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// The id scope is empty, longer than 64 characters, or has a character other than letters and digits.
    #[error("invalid id scope '{0}': it must have 1 to 64 letters and digits")]
    IdScope(String),
    /// A host name is empty or has a character that host names cannot have.
    #[error("invalid host name '{0}'")]
    HostName(String),
    /// A weight outside of 1 to 1000.
    #[error("the weight {weight} of hub '{hub}' is invalid: it must be 1 to 1000")]
    Weight {
        /// The hub.
        hub: String,
        /// The weight that was set.
        weight: u32,
    },
    /// A profile for a hub that is not linked.
    #[error("the hub '{0}' has a connection profile, but is not linked")]
    UnknownHub(String),
    /// A life of issued certificates outside of 7 to 90 days.
    #[error("issued certificates cannot be valid for {0} days: it must be 7 to 90")]
    CertificateDays(u32),
    /// More than 50 hubs.
    #[error("at most 50 hubs can be linked")]
    TooManyHubs,
}

pub(crate) fn check_id_scope(id_scope: &str) -> Result<(), OptionsError> {
    let good = (1..=64).contains(&id_scope.len()) && id_scope.bytes().all(|b| b.is_ascii_alphanumeric());
    good.then_some(()).ok_or_else(|| OptionsError::IdScope(id_scope.into()))
}

pub(crate) fn check_host(host: &str) -> Result<(), OptionsError> {
    let good =
        (1..=260).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]_".contains(&b));
    good.then_some(()).ok_or_else(|| OptionsError::HostName(host.into()))
}
