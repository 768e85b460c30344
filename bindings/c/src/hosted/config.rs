//! The configuration of a blocking call: the options of `dps-client`, as a C struct.

use core::ffi::c_void;

use crate::hosted::cancel::dps_cancel_token;
use crate::hosted::credential::dps_credential;
use crate::hosted::issued::dps_issued_identity;
use crate::hosted::log::dps_log_function;
use crate::hosted::progress::dps_progress_function;
use crate::input::Input;
use crate::span::dps_span;

/// The transport to the service.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dps_transport {
    /// HTTPS, port 443. The only one that supports lookups and whose replies contain the service's time.
    DPS_TRANSPORT_HTTPS = 0,
    /// MQTT over TLS, port 8883.
    DPS_TRANSPORT_MQTT = 1,
    /// MQTT over WebSocket, port 443.
    DPS_TRANSPORT_MQTT_WEBSOCKET = 2,
}

/// Returns the time, in seconds since 1970-01-01T00:00:00Z, or 0 if it is not known. It is called on the thread that made
/// the call; it must return quickly, and must not call `longjmp`.
pub type dps_clock_function = Option<unsafe extern "C" fn(context: *mut c_void) -> u64>;

/// The device, its credential and the options of a call. Initialize it with `dps_client_config_default`; then set at least
/// `id_scope`, one of the credentials and, unless that is a certificate or a TPM, `registration_id`; further credentials follow in
/// `fallback`. A member that is 0, false, empty or null has its default.
///
/// The library only reads the struct and what it points to, and only until the call returns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_client_config {
    /// The size of the struct, set by `dps_client_config_default`.
    pub size: usize,
    /// The endpoint of the service: `HOST`, `HOST:PORT` or `https://HOST`. Default: the global endpoint.
    pub endpoint: dps_span,
    /// The id scope, such as `0ne00A1B2C3`.
    pub id_scope: dps_span,
    /// The registration id: 1 to 128 letters, digits and `- . _ :`. Default: the common name of the certificate, or what is
    /// derived from the endorsement key of the TPM, which is read for it before `timeout_ms` begins, in `timeout_ms` at most.
    pub registration_id: dps_span,
    /// The device's own key as base64: a secret. One of the credentials.
    pub device_key: dps_span,
    /// A file with the device's own key as base64. One of the credentials.
    pub device_key_file: dps_span,
    /// The enrollment group's key as base64, from which the device's is derived. For factories and tests. One of the credentials.
    pub group_key: dps_span,
    /// A file with the enrollment group's key as base64. One of the credentials.
    pub group_key_file: dps_span,
    /// A `dps_transport`. Default: HTTPS.
    pub transport: u32,
    /// The timeout of the whole call. Default: 120,000.
    pub timeout_ms: u32,
    /// The timeout of one request or one signature. Default: 30,000.
    pub request_timeout_ms: u32,
    /// The wait between polls if the service sends no hint. Default: 2,000.
    pub poll_interval_ms: u32,
    /// The shortest wait before a poll, even if the service's hint is shorter. Default: 1,000.
    pub minimum_spacing_ms: u32,
    /// The lifetime of a token for the service. Default: an hour, or the timeout plus ten minutes if that is longer.
    pub token_life_s: u32,
    /// MQTT's keep-alive. Default: 60.
    pub keep_alive_s: u32,
    /// The seed of the jitter of waits, for reproducible tests. Default: random.
    pub seed: u32,
    /// The largest reply that is accepted, in bytes. Default: 98,304, the service's own limit.
    pub reply_limit: usize,
    /// Certificates to trust instead of the system's, as PEM text.
    pub ca_pem: dps_span,
    /// A file with certificates to trust instead of the system's.
    pub ca_file: dps_span,
    /// Whether the system's certificates are trusted in addition to `ca_pem` or `ca_file`.
    pub ca_added: bool,
    /// Whether to connect without a proxy, even if the environment names one.
    pub no_proxy: bool,
    /// Over MQTT, whether to send CONNECT, SUBSCRIBE and the registration in one flight, which saves two round trips.
    pub pipelined: bool,
    /// Whether to sign once more with the service's time if the service rejects a token and the device's clock is far off.
    /// Replies over MQTT do not contain the time: there it is read from the service's host by one HTTPS request without a
    /// credential.
    pub correct_clock: bool,
    /// The most detailed level that is passed to `log`: a `dps_log_level`. Default: `DPS_LOG_INFO`.
    pub log_level: u32,
    /// `http://[USER@]HOST[:PORT]`. Default: `HTTPS_PROXY`, unless `NO_PROXY` names the host.
    pub proxy: dps_span,
    /// The proxy's password: a secret.
    pub proxy_password: dps_span,
    /// The API version. Default: 2021-06-01 over HTTPS, 2019-03-31 over MQTT; 2026-11-02-preview with `connection_profile`.
    pub api_version: dps_span,
    /// The `User-Agent` of requests, or `ClientVersion` over MQTT.
    pub user_agent: dps_span,
    /// The custom payload for the service's allocation webhook: a JSON object.
    pub payload: dps_span,
    /// The operation to resume: a resume token from `dps_error_resume_token`, `dps_progress` or
    /// `dps_registration_write_operation`.
    pub resume: dps_span,
    /// Cancels the call from another thread.
    pub cancel: *const dps_cancel_token,
    /// Receives the log of the call.
    pub log: dps_log_function,
    /// Passed to `log` unchanged.
    pub log_context: *mut c_void,
    /// Called before each step of the call, which it can stop.
    pub progress: dps_progress_function,
    /// Passed to `progress` unchanged.
    pub progress_context: *mut c_void,
    /// Over MQTT, the HTTPS port of the service's host, from which the time is read. Default: 443. Over HTTPS it is an
    /// error to set it, since every reply contains the time.
    pub service_time_port: u16,
    /// A custom clock, used to make tokens and to check the server's certificate: for devices whose system clock is not set,
    /// and for tests. Default: the system's clock.
    pub clock: dps_clock_function,
    /// Passed to `clock` unchanged.
    pub clock_context: *mut c_void,
    /// A file with the device's X.509 certificate first, then each intermediate certificate after the one that it issued, as
    /// PEM or DER. One of the credentials. For an enrollment group the chain must have every intermediate up to a certificate that is
    /// verified at the service. `DPS_ERROR_INVALID_CLIENT_CERTIFICATE` and similar errors report what cannot work, before
    /// anything is sent.
    pub certificate_file: dps_span,
    /// A file with the private key of the certificate: PKCS#8, SEC1 or PKCS#1, as PEM or DER; EC P-256, EC P-384, or RSA with
    /// 2048 to 4096 bits. Default: `certificate_file`, which contains the key too then.
    pub certificate_key_file: dps_span,
    /// A file with the passphrase of an encrypted private key (PKCS#8); a line break at its end is ignored.
    pub certificate_key_passphrase_file: dps_span,
    /// The URI of a key in a PKCS#11 token (RFC 7512), such as `pkcs11:token=Gateway;object=device-id`: a symmetric key that
    /// signs with `CKM_SHA256_HMAC`, one of the credentials; or with `certificate_file`, the private key of the certificate,
    /// instead of `certificate_key_file`. Only in a library that was built with its feature `pkcs11`; another returns
    /// `DPS_ERROR_INVALID_OPTION`. The token of a private key is opened before `timeout_ms` begins, in 30 s at most.
    pub pkcs11_uri: dps_span,
    /// The token's module, a shared library, which is loaded. Default: p11-kit's proxy, which has the tokens of every module
    /// that the system is configured with.
    pub pkcs11_module: dps_span,
    /// A file with the PIN of the token; a line break at its end is ignored. Default: the URI's `pin-source`, if it has one.
    pub pkcs11_pin_file: dps_span,
    /// How to reach the TPM 2.0 that proves who the device is: `device` for the system's, `device:FILE`,
    /// `swtpm:host=HOST,port=PORT` or `swtpm:path=SOCKET`. One of the credentials; over HTTPS only, for which the enrollment has
    /// the TPM's endorsement key. Only in a library that was built with its feature `tpm`; another returns
    /// `DPS_ERROR_FEATURE_MISSING`. Each registration stores a new key for the hub in the TPM, which signs the passwords of
    /// `dps_client_hub_password`.
    pub tpm_tcti: dps_span,
    /// A file with the password of the TPM's endorsement hierarchy; a line break at its end is ignored. Default: no password.
    pub tpm_endorsement_password_file: dps_span,
    /// A file with the password of the TPM's owner hierarchy; a line break at its end is ignored. Default: no password.
    pub tpm_owner_password_file: dps_span,
    /// Where the TPM keeps the key for the hub, as an offset to 0x81000000 like IoT Edge's `auth_key_index`. Default: 0x100.
    pub tpm_auth_key_index: u32,
    /// A certificate request, as `dps_operational_key_write_request` writes it, that is sent with the registration; the service
    /// issues a chain for it, if the enrollment names a certificate policy: `dps_assignment_issued_chain`. The default API version is
    /// then 2026-11-01, which has certificate requests.
    pub certificate_request: dps_span,
    /// An identity that the service issued. One of the credentials, such as for `dps_client_renew_at_hub`; the service accepts it
    /// if an enrollment does. Its registration id is the default then. With a `fallback` it is left out while it is not valid.
    pub issued_identity: *const dps_issued_identity,
    /// Whether to ask which protocol the hub speaks (`dps_assignment_connection_profile`). `DPS_ERROR_INVALID_OPTION` with an
    /// `api_version` that does not report it.
    pub connection_profile: bool,
    /// The credential to try when the service refuses the one of this struct. It can have a `fallback` of its own, and so on, 7 in
    /// all. Default: the call ends when the service refuses the credential. The next one is tried at once, over a connection of its own, after the status 401, unless the service's `Date`
    /// shows that the device's clock is far off; after CONNACK 4 or 5; and after a TLS alert about the certificate, under TLS
    /// 1.2 once a second connection has met one too. It is never tried after another failure, so that nobody on the way can make
    /// the device use a weaker credential. All share `timeout_ms`.
    pub fallback: *const dps_credential,
    /// Which credential is tried first, and signs in to the hub: `dps_assignment_credential_index` of the last assignment, where 0
    /// is the one of this struct, 1 its `fallback`, and so on. An `issued_identity` that is valid signs in to the hub whichever it
    /// is. Set it to 0 after a certificate was issued.
    pub credential_index: u32,
    /// Whether the place of an issued certificate is kept while `issued_identity` is null, as it is before the first one was issued,
    /// so that the others keep their indexes. It requires a `fallback`.
    pub issued_place: bool,
}

// SAFETY: numbers, truth values, spans, pointers and optional functions, for which zero is valid.
unsafe impl Input for dps_client_config {}
