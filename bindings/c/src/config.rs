//! What to register, and how patiently: the machine's policy as C fills it in.

use dps_core::{
    Config, Endpoint, ErrorCode, IdScope, Identity, KeyEvidence, Millis, Payload, RegistrationId, UnixSeconds,
    storage_size,
};

use crate::input::{Input, input, set_to_zero};
use crate::memory::{bytes, output};
use crate::result::{Outcome, Refused, done, dps_result};
use crate::span::dps_span;

/// What to register, and how patiently. `dps_config_default` fills it with defaults; set at least `id_scope` and
/// `registration_id`. Whatever is 0 or empty means the default.
///
/// The struct itself is only read by the `dps_registration_init` functions. What its spans point to must stay as it is
/// until `dps_registration_clear`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_config {
    /// The size of the struct, as `dps_config_default` sets it.
    #[cfg(dps_hosted)]
    pub size: usize,
    /// Where the service answers: `HOST` or `HOST:PORT`. Default: the global endpoint.
    pub endpoint: dps_span,
    /// The id scope, such as `0ne00A1B2C3`.
    pub id_scope: dps_span,
    /// The registration id: 1 to 128 letters, digits and `- . _ :`.
    pub registration_id: dps_span,
    /// A JSON object for the service's allocation webhook. Default: none.
    pub payload: dps_span,
    /// How long the whole registration may take, from the first poll. Default: 120,000.
    pub timeout_ms: u32,
    /// How long one request or one signature may take. Default: 30,000.
    pub request_timeout_ms: u32,
    /// The wait between polls when the service sends no hint. Default: 2,000.
    pub poll_interval_ms: u32,
    /// The least wait before a poll, also when the service asks for none. Default: 1,000.
    pub minimum_spacing_ms: u32,
    /// The life of a token. Default: an hour, or the timeout and ten minutes when that is longer.
    pub token_life_s: u32,
    /// Mixed with the registration id, seeds the jitter of waits. Best something random; a fleet may share one.
    pub seed: u32,
    /// Lets a registration over HTTPS learn the time from the service when `dps_registration_set_time` was not called:
    /// it first registers without a token, and takes the date of the refusal, unless that is before this time (seconds
    /// since 1970-01-01T00:00:00Z, such as the time of the build) or more than 20 years after it. For devices without a
    /// clock whose TLS decides by other means what to trust: without the time, nobody can tell that a certificate has
    /// expired. The time serves the tokens of this registration, which then live an hour at most; for that, a signature
    /// or a request may take 29.5 minutes at most. Default: never.
    pub earliest_unix_s: u64,
    /// For hints: how many bytes the key has. Default: not known.
    pub key_length: u32,
    /// For hints: whether the device's key was derived on this device from its group's.
    pub key_derived_here: bool,
    /// Whether to sign once more with the service's time when it refuses a token and this device's clock is far off.
    /// MQTT carries no time: over it, pass the time to `dps_registration_correct_clock`. Default: no; the failure names
    /// the skew instead.
    pub correct_clock: bool,
}

// SAFETY: numbers, truth values and spans, for which zero is valid.
unsafe impl Input for dps_config {}

/// Fills in the defaults.
///
/// Returns `DPS_ERROR_INVALID_ARGUMENT`.
#[cfg_attr(not(dps_hosted), unsafe(export_name = "dps_config_default_abi_1"))]
pub unsafe extern "C" fn dps_config_default(config: *mut dps_config) -> dps_result {
    // SAFETY: as the caller promises.
    done(unsafe { set_to_zero(config, size_of::<dps_config>()) })
}

/// The least storage, in bytes, for a registration under these names.
///
/// Returns `DPS_ERROR_INVALID_ID_SCOPE`, `DPS_ERROR_INVALID_REGISTRATION_ID`, `DPS_ERROR_INVALID_ENDPOINT`;
/// `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_storage_size(config: *const dps_config, size: *mut usize) -> dps_result {
    let tell = || {
        // SAFETY: as the caller promises.
        let (config, size) = unsafe { (input(config)?, output(size)?) };
        // SAFETY: as above.
        size.write(storage_size(&unsafe { config.identity()? }));
        Ok(())
    };
    done(tell())
}

impl dps_config {
    /// # Safety
    /// The spans are as the caller promised for `'a`.
    pub(crate) unsafe fn identity<'a>(&self) -> Outcome<Identity<'a>> {
        // SAFETY: promised on.
        let (endpoint, id_scope, registration_id) =
            unsafe { (bytes(self.endpoint)?, bytes(self.id_scope)?, bytes(self.registration_id)?) };
        let endpoint = if endpoint.is_empty() { Some(Endpoint::GLOBAL) } else { Endpoint::from_bytes(endpoint) };
        Ok(Identity {
            endpoint: endpoint.ok_or(ErrorCode::InvalidEndpoint)?,
            id_scope: IdScope::from_bytes(id_scope).ok_or(ErrorCode::InvalidIdScope)?,
            registration_id: RegistrationId::from_bytes(registration_id).ok_or(ErrorCode::InvalidRegistrationId)?,
        })
    }

    /// # Safety
    /// As [`dps_config::identity`].
    pub(crate) unsafe fn payload<'a>(&self) -> Outcome<Option<Payload<'a>>> {
        // SAFETY: promised on.
        let payload = unsafe { bytes(self.payload)? };
        if payload.is_empty() {
            return Ok(None);
        }
        Payload::from_bytes(payload).map(Some).ok_or(Refused::new(ErrorCode::InvalidPayload))
    }

    pub(crate) fn policy(&self) -> Config {
        let mut config = Config::new().seed(self.seed).correct_clock(self.correct_clock).key_evidence(KeyEvidence {
            length: (self.key_length > 0).then_some(self.key_length as usize),
            derived_here: self.key_derived_here,
        });
        let millis = |ms: u32| Millis::new(u64::from(ms));
        if self.earliest_unix_s > 0 {
            config = config.learn_time(UnixSeconds::new(self.earliest_unix_s));
        }
        if self.timeout_ms > 0 {
            config = config.timeout(millis(self.timeout_ms));
        }
        if self.request_timeout_ms > 0 {
            config = config.request_timeout(millis(self.request_timeout_ms));
        }
        if self.poll_interval_ms > 0 {
            config = config.poll_interval(millis(self.poll_interval_ms));
        }
        if self.minimum_spacing_ms > 0 {
            config = config.minimum_spacing(millis(self.minimum_spacing_ms));
        }
        if self.token_life_s > 0 {
            config = config.token_life(Millis::from_secs(self.token_life_s));
        }
        config
    }
}
