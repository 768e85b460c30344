//! Converts the C configuration to a client of `dps-client`, which checks every value.

use core::ffi::c_void;
use std::fmt::Display;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dps_client::{
    ConfigError, DpsError, ErrorCode, ProvisioningClient, ProvisioningClientBuilder as Builder, Proxy, ProxyChoice,
    ProxyError, ResumeToken, Roots, Transport, Verdict,
};

use crate::hosted::config::{dps_client_config, dps_transport};
use crate::hosted::error::dps_error;
use crate::hosted::progress::Watcher;
use crate::memory::bytes;
use crate::span::dps_span;

/// The largest file of certificates that is accepted, in bytes.
const CA_FILE_MOST: u64 = 1024 * 1024;

// What C writes into a field of an enum's values need not be one of them.
const HTTPS: u32 = dps_transport::DPS_TRANSPORT_HTTPS as u32;
const MQTT: u32 = dps_transport::DPS_TRANSPORT_MQTT as u32;
const MQTT_WEBSOCKET: u32 = dps_transport::DPS_TRANSPORT_MQTT_WEBSOCKET as u32;

/// The caller's clock and its context.
#[derive(Clone, Copy)]
struct SuppliedClock {
    function: unsafe extern "C" fn(*mut c_void) -> u64,
    context: *mut c_void,
}

// SAFETY: the client that has it lives and runs on the calling thread alone, for the time of the call.
unsafe impl Send for SuppliedClock {}
// SAFETY: as above: no other thread has a reference to it.
unsafe impl Sync for SuppliedClock {}

impl SuppliedClock {
    fn now(self) -> Option<SystemTime> {
        // SAFETY: the function and its context are the caller's, for the time of the call.
        match unsafe { (self.function)(self.context) } {
            0 => None,
            seconds => UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
        }
    }
}

pub(super) type Checked<T> = Result<T, Box<dps_error>>;

/// Converts an error of a credential.
pub(super) fn unusable(error: impl Into<DpsError>) -> Box<dps_error> {
    Box::from(error.into())
}

pub(super) fn refused(code: ErrorCode, message: impl Display) -> Box<dps_error> {
    dps_error::new(code, Verdict::Reconfigure, &message.to_string())
}

/// Returns the string of an option; `None` if it is not set.
///
/// # Safety
/// The span is valid for `'a`.
pub(super) unsafe fn option<'a>(name: &str, span: dps_span) -> Checked<Option<&'a str>> {
    // SAFETY: promised on.
    let bytes = unsafe { given(name, span)? };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        refused(ErrorCode::InvalidArgument, format!("{name} is not UTF-8: unexpected byte at offset {offset}"))
    })?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Returns the bytes of an option.
///
/// # Safety
/// The span is valid for `'a`.
pub(super) unsafe fn given<'a>(name: &str, span: dps_span) -> Checked<&'a [u8]> {
    // SAFETY: promised on.
    unsafe { bytes(span) }.map_err(|_| {
        let what = if span.ptr.is_null() { "a null pointer" } else { "a span" };
        refused(ErrorCode::InvalidArgument, format!("{name} is {what} with an impossible length of {}", span.len))
    })
}

impl dps_client_config {
    /// Creates the client.
    ///
    /// # Safety
    /// The pointers in the configuration are valid, as required of the caller.
    pub(crate) unsafe fn client(&self) -> Checked<ProvisioningClient> {
        let builder = self.numbers(ProvisioningClient::builder())?;
        // SAFETY: promised on.
        let (builder, roots, proxy) = unsafe { (self.texts(builder)?, self.roots()?, self.proxy()?) };
        let builder = builder.roots(roots).proxy(proxy);
        let builder = match self.progress {
            None => builder,
            Some(function) => {
                let watcher = Watcher { function, context: self.progress_context };
                builder.on_progress(move |progress| watcher.tell(&progress))
            }
        };
        let builder = match self.clock {
            None => builder,
            Some(function) => {
                let clock = SuppliedClock { function, context: self.clock_context };
                builder.clock(move || clock.now())
            }
        };
        builder.build().map_err(Box::from)
    }

    pub(super) fn transport(&self) -> Checked<Transport> {
        match self.transport {
            HTTPS => Ok(Transport::Https),
            MQTT => Ok(Transport::Mqtt),
            MQTT_WEBSOCKET => Ok(Transport::MqttWebSocket),
            other => Err(refused(ErrorCode::InvalidOption, format!("unknown transport {other}"))),
        }
    }

    fn numbers(&self, builder: Builder) -> Checked<Builder> {
        let mut builder = builder
            .transport(self.transport()?)
            .pipelined(self.pipelined)
            .correct_clock(self.correct_clock)
            .connection_profile(self.connection_profile);
        let millis = |ms: u32| Duration::from_millis(ms.into());
        let seconds = |s: u32| Duration::from_secs(s.into());
        type Setter = fn(Builder, Duration) -> Builder;
        let durations: [(Duration, Setter); 6] = [
            (millis(self.timeout_ms), Builder::timeout),
            (millis(self.request_timeout_ms), Builder::request_timeout),
            (millis(self.poll_interval_ms), Builder::poll_interval),
            (millis(self.minimum_spacing_ms), Builder::minimum_spacing),
            (seconds(self.token_life_s), Builder::token_life),
            (seconds(self.keep_alive_s), Builder::keep_alive),
        ];
        for (duration, set) in durations.into_iter().filter(|(duration, _)| !duration.is_zero()) {
            builder = set(builder, duration);
        }
        if self.seed > 0 {
            builder = builder.seed(self.seed);
        }
        if self.service_time_port > 0 {
            builder = builder.service_time_port(self.service_time_port);
        }
        if self.reply_limit > 0 {
            builder = builder.reply_limit(self.reply_limit);
        }
        Ok(builder)
    }

    /// # Safety
    /// As [`dps_client_config::client`].
    unsafe fn texts(&self, mut builder: Builder) -> Checked<Builder> {
        // SAFETY: promised on.
        let text = |name, span| unsafe { option(name, span) };
        type Setter = fn(Builder, String) -> Builder;
        let plain: [(&str, dps_span, Setter); 6] = [
            ("endpoint", self.endpoint, Builder::endpoint),
            ("id_scope", self.id_scope, Builder::id_scope),
            ("registration_id", self.registration_id, Builder::registration_id),
            ("api_version", self.api_version, Builder::api_version),
            ("user_agent", self.user_agent, Builder::user_agent),
            ("payload", self.payload, Builder::payload),
        ];
        for (name, span, set) in plain {
            if let Some(text) = text(name, span)? {
                builder = set(builder, text.to_owned());
            }
        }
        // SAFETY: promised on.
        let request = unsafe { given("certificate_request", self.certificate_request)? };
        if !request.is_empty() {
            builder = builder.certificate_request(request);
        }
        // SAFETY: promised on.
        unsafe { self.credentials(builder) }
    }

    /// Returns the operation to continue, if there is one.
    ///
    /// # Safety
    /// As [`dps_client_config::client`].
    pub(crate) unsafe fn resume_token(&self) -> Checked<Option<ResumeToken>> {
        // SAFETY: promised on.
        let text = unsafe { option("resume", self.resume)? };
        text.map(str::parse).transpose().map_err(|error: ConfigError| Box::from(DpsError::from(error)))
    }

    /// # Safety
    /// As [`dps_client_config::client`].
    pub(super) unsafe fn roots(&self) -> Checked<Roots> {
        let parse = |what: &str, pem: &[u8]| {
            let roots = if self.ca_added { Roots::add_pem(pem) } else { Roots::replace_pem(pem) };
            roots.map_err(|error| refused(ErrorCode::InvalidCertificate, format!("{what}: {error}")))
        };
        // SAFETY: promised on.
        let pem = unsafe { given("ca_pem", self.ca_pem)? };
        // SAFETY: promised on.
        match (pem, unsafe { option("ca_file", self.ca_file)? }) {
            ([], None) => Ok(Roots::platform()),
            ([], Some(path)) => {
                let unreadable = |error| refused(ErrorCode::File, format!("{path} cannot be read: {error}"));
                parse(path, &dps_files::read(path, CA_FILE_MOST).map_err(unreadable)?)
            }
            (pem, None) => parse("ca_pem", pem),
            _ => Err(refused(ErrorCode::InvalidOption, "ca_pem and ca_file are both set: set only one of them")),
        }
    }

    /// # Safety
    /// As [`dps_client_config::client`].
    pub(super) unsafe fn proxy(&self) -> Checked<ProxyChoice> {
        // SAFETY: promised on.
        let (url, password) = unsafe { (option("proxy", self.proxy)?, option("proxy_password", self.proxy_password)?) };
        let unusable = |error: ProxyError| refused(ErrorCode::InvalidOption, error);
        match (url, password) {
            (None, None) if self.no_proxy => Ok(ProxyChoice::Direct),
            (None, None) => Ok(ProxyChoice::Environment),
            (None, Some(_)) => {
                Err(refused(ErrorCode::InvalidOption, "proxy_password is set without proxy: set proxy too"))
            }
            (Some(_), _) if self.no_proxy => {
                Err(refused(ErrorCode::InvalidOption, "proxy and no_proxy are both set: set only one of them"))
            }
            (Some(url), password) => {
                let proxy = Proxy::parse(url).map_err(unusable)?;
                Ok(ProxyChoice::Fixed(match password {
                    Some(password) => {
                        proxy.with_password(password).map_err(unusable)?.named_by("proxy and proxy_password")
                    }
                    None => proxy.named_by("proxy"),
                }))
            }
        }
    }
}
