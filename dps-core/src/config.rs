//! The policy of one registration: timeouts, waits, token life. Data only.
//!
//! Limits are values here and not cargo features, since a prebuilt library cannot be rebuilt.

use crate::error::KeyEvidence;
use crate::time::{Millis, UnixSeconds, WallAnchor};

/// The policy of one registration. [`Config::new`] has good defaults; each setter is named as its option.
///
/// ```
/// use dps_core::{Config, Millis};
/// let config = Config::new().timeout(Millis::from_secs(300)).seed(0x5eed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub(crate) timeout: Millis,
    pub(crate) request_timeout: Millis,
    pub(crate) poll_interval: Millis,
    pub(crate) minimum_spacing: Millis,
    pub(crate) backoff_first: Millis,
    pub(crate) backoff_cap: Millis,
    pub(crate) token_life: Option<Millis>,
    pub(crate) correct_clock: bool,
    pub(crate) seed: u32,
    pub(crate) wall: Option<WallAnchor>,
    /// The earliest time that may be learned; zero where none may.
    pub(crate) earliest: UnixSeconds,
    pub(crate) key: KeyEvidence,
}

impl Config {
    /// The defaults, each named on its setter.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            timeout: Millis::from_secs(120),
            request_timeout: Millis::from_secs(30),
            poll_interval: Millis::from_secs(2),
            minimum_spacing: Millis::from_secs(1),
            backoff_first: Millis::from_secs(1),
            backoff_cap: Millis::from_secs(100),
            token_life: None,
            correct_clock: false,
            seed: 0,
            wall: None,
            earliest: UnixSeconds::new(0),
            key: KeyEvidence { length: None, derived_here: false },
        }
    }

    /// How long the whole registration may take, from the first `poll`. Default: 120 s.
    #[must_use]
    pub const fn timeout(mut self, timeout: Millis) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long one request, or one signature, may take. Default: 30 s.
    #[must_use]
    pub const fn request_timeout(mut self, limit: Millis) -> Self {
        self.request_timeout = limit;
        self
    }

    /// The wait between polls when the service sends no hint. Default: 2 s. Zero is refused when the registration is made.
    #[must_use]
    pub const fn poll_interval(mut self, interval: Millis) -> Self {
        self.poll_interval = interval;
        self
    }

    /// The least wait before a poll, also when the service says "at once". Default: 1 s; tests may set zero.
    #[must_use]
    pub const fn minimum_spacing(mut self, spacing: Millis) -> Self {
        self.minimum_spacing = spacing;
        self
    }

    /// The bounds of the exponential back-off for failures without a hint. Default: 1 s doubling to 100 s.
    #[must_use]
    pub const fn backoff(mut self, first: Millis, cap: Millis) -> Self {
        self.backoff_first = first;
        self.backoff_cap = cap;
        self
    }

    /// The life of a token. Default: one hour, or the timeout and ten minutes when that is longer. It is never less than
    /// the time limits of a signature and a request and a minute more, for the token must outlive its request.
    #[must_use]
    pub const fn token_life(mut self, life: Millis) -> Self {
        self.token_life = Some(life);
        self
    }

    /// Whether to sign once more with the service's time when it refuses a token and its clock is far from the
    /// anchor. Default: no; the failure names the skew instead.
    #[must_use]
    pub const fn correct_clock(mut self, correct: bool) -> Self {
        self.correct_clock = correct;
        self
    }

    /// The seed of the jitter; it is mixed with the registration id, so that a fleet may share it. Default: 0.
    #[must_use]
    pub const fn seed(mut self, seed: u32) -> Self {
        self.seed = seed;
        self
    }

    /// The wall time, where it is known before the start.
    #[must_use]
    pub const fn wall_anchor(mut self, anchor: WallAnchor) -> Self {
        self.wall = Some(anchor);
        self
    }

    /// Lets a registration over HTTPS learn the time from the service when no wall time is known: it first registers without
    /// a token, and uses the `Date` of the refusal. Default: no; it fails with
    /// [`ErrorCode::ClockNeeded`](crate::ErrorCode::ClockNeeded).
    ///
    /// For devices without a clock whose TLS decides by other means what to trust: without the time, an expired
    /// certificate cannot be told from a valid one. A date before `earliest`, such as the time of the build, or more than 20
    /// years after it is ignored; `earliest` zero means never. The time is used for the tokens of this registration only,
    /// which then live an hour at most; for that, a signature or a request may take 29.5 minutes at most. MQTT carries no
    /// time.
    #[must_use]
    pub const fn learn_time(mut self, earliest: UnixSeconds) -> Self {
        self.earliest = earliest;
        self
    }

    /// What is known of the key without being secret.
    #[must_use]
    pub const fn key_evidence(mut self, key: KeyEvidence) -> Self {
        self.key = key;
        self
    }

    /// Whether the time may be learned from the service.
    pub(crate) fn learns_time(&self) -> bool {
        self.earliest > UnixSeconds::new(0)
    }

    /// The life of a token in whole seconds.
    pub(crate) fn token_seconds(&self) -> u64 {
        const HOUR: Millis = Millis::from_secs(3600);
        const MARGIN: Millis = Millis::from_secs(600);
        self.token_life.unwrap_or(self.timeout.saturating_add(MARGIN).max(HOUR)).secs_rounded_up().into()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}
