//! What a service can be told when it is made: identity, hubs, pace, and every choice that the real one leaves open.

use zeroize::Zeroizing;

use crate::credentials::SymmetricKey;
use crate::fault::RetryAfter;
use crate::throttle::Limits;

/// The name of the one shared access policy.
pub const POLICY_NAME: &str = "provisioningserviceowner";

/// What a register of an assigned device reads when its hub did not change. Sources disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnchangedSubstatus {
    /// The substatus that the record has: what live tests of other SDKs see.
    #[default]
    Keep,
    /// `reprovisionedToInitialAssignment`: what IoT Edge 1.1 is written for.
    Reprovisioned,
}

/// Options of a [`Service`](crate::service::Service); everything has a default.
#[derive(Clone)]
pub struct ServiceOptions {
    pub(crate) id_scope: String,
    pub(crate) host_names: Vec<String>,
    pub(crate) policy_key: Option<SymmetricKey>,
    pub(crate) seed: Option<Zeroizing<[u8; 32]>>,
    pub(crate) hubs: Option<Vec<(String, u32)>>,
    pub(crate) hint: Option<RetryAfter>,
    pub(crate) assigning_ms: u64,
    pub(crate) conflict_window_ms: u64,
    pub(crate) assign_at_once: bool,
    pub(crate) operation_life_ms: u64,
    pub(crate) clock_skew_ms: u64,
    pub(crate) check_expiry_on_poll: bool,
    #[cfg_attr(not(feature = "mqtt"), allow(dead_code, reason = "only MQTT has a CONNECT"))]
    pub(crate) strict_at_connect: bool,
    pub(crate) derive_as_sent: bool,
    pub(crate) echo_payload: bool,
    pub(crate) unchanged: UnchangedSubstatus,
    pub(crate) limits: Limits,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            id_scope: "0ne00A1B2C3".into(),
            host_names: vec!["dps.test".into()],
            policy_key: None,
            seed: None,
            hubs: None,
            hint: Some(RetryAfter::Seconds(1)),
            assigning_ms: 500,
            conflict_window_ms: 20,
            assign_at_once: false,
            operation_life_ms: 10 * 60_000,
            clock_skew_ms: 0,
            check_expiry_on_poll: false,
            strict_at_connect: false,
            derive_as_sent: false,
            echo_payload: false,
            unchanged: UnchangedSubstatus::default(),
            limits: Limits::default(),
        }
    }
}

impl ServiceOptions {
    /// Id scope `0ne00A1B2C3`, host `dps.test`, one hub `hub-a.test`, the service's own limits.
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

    /// The host that replies and the connection string name, with `:port`. Port 443 is left out, as the service does:
    /// some clients take `name:443` for a name.
    #[must_use]
    pub fn host_name(mut self, host: impl Into<String>) -> Self {
        let host = host.into();
        self.host_names[0] = host.strip_suffix(":443").unwrap_or(&host).to_owned();
        self
    }

    /// One more name that admin tokens may be for; repeatable.
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

    /// A small seed for reproducible tests: keys made from it can be guessed. Without any seed a pure service acts as
    /// with seed 0, and the HTTPS front draws one from the operating system.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        let mut wide = [0; 32];
        wide[24..].copy_from_slice(&seed.to_be_bytes());
        self.entropy(wide)
    }

    /// A full seed, for keys that cannot be guessed.
    #[must_use]
    pub fn entropy(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(Zeroizing::new(seed));
        self
    }

    /// Links a hub with a weight of 1 to 1000; repeatable. The first call replaces the default `hub-a.test`.
    #[must_use]
    pub fn hub(mut self, host: impl Into<String>, weight: u32) -> Self {
        self.hubs.get_or_insert_default().push((host.into(), weight));
        self
    }

    /// The hint that is given with `assigning`; `None` leaves it out. Default: 1 second.
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

    /// How long after a register of an id a second one collides with it (409203), in milliseconds. Default 20: only
    /// what was truly sent at the same time. Not used while assigning at once.
    #[must_use]
    pub fn conflict_window_ms(mut self, ms: u64) -> Self {
        self.conflict_window_ms = ms;
        self
    }

    /// Register answers 200 with the final state, and no poll is needed.
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

    /// How long after its expiry a token is still taken, in milliseconds. Default 0.
    #[must_use]
    pub fn clock_skew_ms(mut self, ms: u64) -> Self {
        self.clock_skew_ms = ms;
        self
    }

    /// Checks a token's expiry on polls too. Off by default, for some clients sign once, with 30 seconds of life.
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

    /// Derives a group's device keys from the registration id exactly as it was sent. Off by default: its lower-case
    /// form and the spelling that registered first are tried too, since it is not documented which the service takes.
    #[must_use]
    pub fn derive_as_sent(mut self, as_sent: bool) -> Self {
        self.derive_as_sent = as_sent;
        self
    }

    /// Gives the `payload` of a register back with its assignment, as a custom allocation webhook might.
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

    /// The rates.
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
pub enum OptionsError {
    /// The id scope is empty, longer than 64 characters, or has something other than letters and digits.
    #[error("'{0}' is no id scope: 1 to 64 letters and digits")]
    IdScope(String),
    /// A host name is empty or has a character that no host name has.
    #[error("'{0}' is no host name")]
    HostName(String),
    /// A weight outside of 1 to 1000.
    #[error("the weight {weight} of hub '{hub}' is not between 1 and 1000")]
    Weight {
        /// The hub.
        hub: String,
        /// What was given.
        weight: u32,
    },
    /// More than 50 hubs.
    #[error("a service links at most 50 hubs")]
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
