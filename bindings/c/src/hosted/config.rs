//! What a blocking call is told: the options of `dps-client`, as a C struct.

use core::ffi::c_void;

use crate::hosted::cancel::dps_cancel_token;
use crate::hosted::log::dps_log_function;
use crate::hosted::progress::dps_progress_function;
use crate::input::Input;
use crate::memory::dps_span;

/// Over what to talk to the service.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dps_transport {
    /// HTTPS, port 443. The one that can look up a registration, and that learns the service's time.
    DPS_TRANSPORT_HTTPS = 0,
    /// MQTT over TLS, port 8883.
    DPS_TRANSPORT_MQTT = 1,
    /// MQTT over WebSocket, port 443.
    DPS_TRANSPORT_MQTT_WEBSOCKET = 2,
}

/// Returns the time, in seconds since 1970-01-01T00:00:00Z, or 0 if it is not known. Called on the thread that made the
/// call; it must return soon, and may not call `longjmp`.
pub type dps_clock_function = Option<unsafe extern "C" fn(context: *mut c_void) -> u64>;

/// What to register, with what, over what. `dps_client_config_default` fills it with defaults; set at least `id_scope`,
/// `registration_id` and one of the four credentials. Whatever is 0, false, empty or null means the default.
///
/// The struct and what it points to is only read, and only until the call returns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_client_config {
    /// The size of the struct, as `dps_client_config_default` sets it.
    pub size: usize,
    /// Where the service answers: `HOST`, `HOST:PORT` or `https://HOST`. Default: the global endpoint.
    pub endpoint: dps_span,
    /// The id scope, such as `0ne00A1B2C3`.
    pub id_scope: dps_span,
    /// The registration id: 1 to 128 letters, digits and `- . _ :`.
    pub registration_id: dps_span,
    /// The device's own key as base64: a secret. One of four.
    pub device_key: dps_span,
    /// A file with the device's own key as base64. One of four.
    pub device_key_file: dps_span,
    /// The enrollment group's key as base64, from which the device's is derived. For factories and tests. One of four.
    pub group_key: dps_span,
    /// A file with the enrollment group's key as base64. One of four.
    pub group_key_file: dps_span,
    /// A `dps_transport`. Default: HTTPS.
    pub transport: u32,
    /// How long the whole may take. Default: 120,000.
    pub timeout_ms: u32,
    /// How long one request or one signature may take. Default: 30,000.
    pub request_timeout_ms: u32,
    /// The wait between polls when the service gives no hint. Default: 2,000.
    pub poll_interval_ms: u32,
    /// The least wait before a poll, also when the service says "at once". Default: 1,000.
    pub minimum_spacing_ms: u32,
    /// The life of a token for the service. Default: an hour, or the timeout and ten minutes when that is longer.
    pub token_life_s: u32,
    /// MQTT's keep-alive. Default: 60.
    pub keep_alive_s: u32,
    /// Seeds the jitter of waits, for flows that can be repeated. Default: random.
    pub seed: u32,
    /// The largest reply that is taken, in bytes. Default: 98,304, the service's own limit.
    pub reply_limit: usize,
    /// Certificates to trust instead of the system's, as PEM text.
    pub ca_pem: dps_span,
    /// A file with certificates to trust instead of the system's.
    pub ca_file: dps_span,
    /// Whether `ca_pem` or `ca_file` is trusted as well as the system's, not instead.
    pub ca_added: bool,
    /// Whether to go without a proxy, whatever the environment says.
    pub no_proxy: bool,
    /// Over MQTT: whether to send CONNECT, SUBSCRIBE and the registration in one flight, which saves two round trips.
    pub pipelined: bool,
    /// Whether to sign once more with the service's time when it refuses a token and this machine's clock is far off. MQTT
    /// carries no time: there the service's host is asked for it by one HTTPS request without a credential.
    pub correct_clock: bool,
    /// The most that `log` is told: a `dps_log_level`. Default: `DPS_LOG_INFO`.
    pub log_level: u32,
    /// `http://[USER@]HOST[:PORT]`. Default: `HTTPS_PROXY`, unless `NO_PROXY` names the host.
    pub proxy: dps_span,
    /// The proxy's password: a secret.
    pub proxy_password: dps_span,
    /// The API version. Default: 2021-06-01 over HTTPS, 2019-03-31 over MQTT.
    pub api_version: dps_span,
    /// What to tell the service as `User-Agent`, or `ClientVersion` over MQTT.
    pub user_agent: dps_span,
    /// A JSON object for the service's allocation webhook.
    pub payload: dps_span,
    /// What `dps_error_resume_token` or `dps_registration_write_operation` gave earlier, to go on from there.
    pub resume: dps_span,
    /// Ends the call from another thread.
    pub cancel: *const dps_cancel_token,
    /// Is told what the call does.
    pub log: dps_log_function,
    /// Passed to `log` as it is.
    pub log_context: *mut c_void,
    /// Is told what the call is about to do, and can stop it.
    pub progress: dps_progress_function,
    /// Passed to `progress` as it is.
    pub progress_context: *mut c_void,
    /// Over MQTT, the port of HTTPS at the service's host, which is asked for the time. Default: 443. Over HTTPS it is
    /// refused, since every reply carries the time.
    pub service_time_port: u16,
    /// Another clock than the system's, by which tokens are made and the server's certificate is checked: for devices that
    /// keep the time by themselves, and for tests. Default: the system's.
    pub clock: dps_clock_function,
    /// Passed to `clock` as it is.
    pub clock_context: *mut c_void,
}

// SAFETY: numbers, truth values, spans, pointers and optional functions, for which zero is valid.
unsafe impl Input for dps_client_config {}
