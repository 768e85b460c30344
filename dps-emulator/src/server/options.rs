//! The options of an emulator, and the errors of its start and of its state directory.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use dps_files::FileError;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::page::UiOptions;
use super::webhook_client::{WebhookOptions, WebhookRootsError};
use crate::clock::ClockError;
use crate::contents::Contents;
use crate::fault::RetryAfter;
use crate::options::{OptionsError, ServiceOptions};
use crate::wire::Problem;

/// The ports of the service.
const HTTPS_PORT: u16 = 443;
const MQTT_PORT: u16 = 8883;

/// Options of an [`Emulator`](super::emulator::Emulator); everything has a default.
#[derive(Debug, Clone)]
pub struct EmulatorOptions {
    pub(crate) listen: IpAddr,
    pub(crate) https_port: u16,
    pub(crate) mqtt_port: Option<u16>,
    pub(crate) wss_port: Option<u16>,
    pub(crate) host_names: Vec<String>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) authority: Option<AuthorityPem>,
    pub(crate) tls_version: Option<TlsVersion>,
    pub(crate) clock_offset_ms: i64,
    pub(crate) clock_scale: u32,
    pub(crate) webhooks: WebhookOptions,
    pub(crate) service: ServiceOptions,
    pub(crate) contents: Contents,
    pub(crate) ui: UiOptions,
    pub(crate) announced: Vec<String>,
}

/// A certificate authority in PEM.
#[derive(Clone)]
pub(crate) struct AuthorityPem {
    /// May contain the key too.
    pub(super) certificate: Zeroizing<String>,
    pub(super) key: Zeroizing<String>,
}

impl std::fmt::Debug for AuthorityPem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthorityPem(..)")
    }
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246), the least that the service accepts.
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl Default for EmulatorOptions {
    fn default() -> Self {
        Self {
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            https_port: 0,
            mqtt_port: None,
            wss_port: None,
            host_names: Vec::new(),
            state_dir: None,
            authority: None,
            tls_version: None,
            clock_offset_ms: 0,
            clock_scale: 1,
            webhooks: WebhookOptions::new(),
            service: ServiceOptions::new(),
            contents: Contents::default(),
            ui: UiOptions::default(),
            announced: Vec::new(),
        }
    }
}

impl EmulatorOptions {
    /// Loopback, any free port, no state directory, and the defaults of [`ServiceOptions`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The address to listen on. Default `127.0.0.1`: an emulator must not be reachable from an untrusted network.
    #[must_use]
    pub fn listen(mut self, address: IpAddr) -> Self {
        self.listen = address;
        self
    }

    /// The port for HTTPS; 0, the default, chooses a free one.
    #[must_use]
    pub fn https_port(mut self, port: u16) -> Self {
        self.https_port = port;
        self
    }

    /// Listens for MQTT over TLS on this port too; 0 chooses a free one. Off by default.
    #[must_use]
    pub fn mqtt_port(mut self, port: u16) -> Self {
        self.mqtt_port = Some(port);
        self
    }

    /// Listens for MQTT over WebSocket on this port too; 0 chooses a free one, the port of HTTPS is shared. Off by
    /// default.
    #[must_use]
    pub fn wss_port(mut self, port: u16) -> Self {
        self.wss_port = Some(port);
        self
    }

    /// Listens on the ports of the service, which some published clients require: 443 for HTTPS and MQTT over WebSocket, 8883
    /// for MQTT.
    #[must_use]
    pub fn fixed_ports(self) -> Self {
        self.https_port(HTTPS_PORT).wss_port(HTTPS_PORT).mqtt_port(MQTT_PORT)
    }

    /// A host name or IP address that the certificate has to contain, besides `localhost`, `127.0.0.1` and `::1`.
    /// Repeatable; the endpoint and the connection string use the first one.
    #[must_use]
    pub fn host_name(mut self, name: impl Into<String>) -> Self {
        self.host_names.push(name.into());
        self
    }

    /// Sets these host names and addresses for the certificate, instead of others that were named.
    #[must_use]
    pub fn host_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.host_names = names.into_iter().map(Into::into).collect();
        self
    }

    /// The id scope. Default `0ne00A1B2C3`.
    #[must_use]
    pub fn id_scope(self, id_scope: impl Into<String>) -> Self {
        self.service(|service| service.id_scope(id_scope))
    }

    /// A directory that keeps enrollments, the CA and the policy key across restarts; created if it does not exist.
    #[must_use]
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(path.into());
        self
    }

    /// The directory that was set by [`state_dir`](Self::state_dir), or by a configuration.
    #[must_use]
    pub fn state_directory(&self) -> Option<&Path> {
        self.state_dir.as_deref()
    }

    /// Serves under this certificate authority instead of a generated one: one CA certificate and its unencrypted key
    /// (PKCS#8), both in PEM; the same text may contain both. Default: a CA that is generated, or kept in the state
    /// directory.
    #[must_use]
    pub fn authority(mut self, certificate_pem: impl Into<String>, key_pem: impl Into<String>) -> Self {
        let (certificate, key) = (Zeroizing::new(certificate_pem.into()), Zeroizing::new(key_pem.into()));
        self.authority = Some(AuthorityPem { certificate, key });
        self
    }

    /// Checks the certificate authority that was set, which is otherwise checked at the start.
    #[cfg(feature = "config")]
    pub(crate) fn check_authority(&self) -> Result<(), StartError> {
        let Some(pem) = &self.authority else { return Ok(()) };
        super::certificate::Authority::from_pem(&pem.certificate, &pem.key).map(drop)
    }

    /// Accepts this version of TLS only. Default: 1.2 and 1.3.
    #[must_use]
    pub fn tls_version(mut self, version: TlsVersion) -> Self {
        self.tls_version = Some(version);
        self
    }

    /// How far the service's wall clock is ahead of the machine's, in milliseconds; negative if it is behind.
    #[must_use]
    pub fn clock_offset_ms(mut self, offset_ms: i64) -> Self {
        self.clock_offset_ms = offset_ms;
        self
    }

    /// Which allocation webhooks may be called, and how they are trusted. Default: those on loopback.
    #[must_use]
    pub fn webhooks(mut self, options: WebhookOptions) -> Self {
        self.webhooks = options;
        self
    }

    /// How many times as fast what waits passes, 1 to 1000; see [`Emulator::scale_clock`](super::Emulator::scale_clock).
    /// Default 1.
    #[must_use]
    pub fn clock_scale(mut self, scale: u32) -> Self {
        self.clock_scale = scale;
        self
    }

    /// The hint that is sent while assigning, in seconds. Default 1.
    #[must_use]
    pub fn default_retry_after_s(self, seconds: u32) -> Self {
        self.service(|service| service.hint(Some(RetryAfter::Seconds(seconds))))
    }

    /// Register returns the final state, and no poll is needed.
    #[must_use]
    pub fn assign_at_once(self, at_once: bool) -> Self {
        self.service(|service| service.assign_at_once(at_once))
    }

    /// Links a hub with a weight of 1 to 1000; repeatable. The first call replaces the default `hub-a.test`.
    #[must_use]
    pub fn hub(self, host: impl Into<String>, weight: u32) -> Self {
        self.service(|service| service.hub(host, weight))
    }

    /// Sets other options of the service. Host names are set by the emulator, and the policy key of the state directory is
    /// used unless another is set.
    #[must_use]
    pub fn service(mut self, change: impl FnOnce(ServiceOptions) -> ServiceOptions) -> Self {
        self.service = change(self.service);
        self
    }
}

impl EmulatorOptions {
    /// The options of the listeners that differ from their defaults, as a configuration has them.
    pub(super) fn listening(&self) -> Map<String, Value> {
        let port = |port: Option<u16>| port.map_or(Value::from(false), Value::from);
        let mut members = Map::new();
        let mut put = |name: &str, value: Value, usual: Value| {
            if value != usual {
                members.insert(name.into(), value);
            }
        };
        put("listen", self.listen.to_string().into(), IpAddr::V4(Ipv4Addr::LOCALHOST).to_string().into());
        put("hostNames", self.host_names.clone().into(), Value::Array(Vec::new()));
        put("httpsPort", self.https_port.into(), 0.into());
        put("mqttPort", port(self.mqtt_port), 0.into());
        put("wssPort", port(self.wss_port), 0.into());
        match self.tls_version {
            Some(TlsVersion::Tls12) => put("tlsVersion", "1.2".into(), Value::Null),
            Some(TlsVersion::Tls13) => put("tlsVersion", "1.3".into(), Value::Null),
            None => {}
        }
        let mut webhooks = self.webhooks.configuration();
        if self.service.webhook_limit_ms != ServiceOptions::default().webhook_limit_ms {
            webhooks.insert("limitMs".into(), self.service.webhook_limit_ms.into());
        }
        put("webhooks", webhooks.into(), Value::Object(Map::new()));
        members.extend(self.page_members());
        members
    }
}

/// Why an emulator could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An option is invalid.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A name for the certificate is neither a host name nor an IP address.
    #[error("invalid name '{0}' for the certificate: it must be a host name or an IP address, without a port")]
    HostName(String),
    /// An address to announce is invalid.
    #[error(
        "invalid address '{0}' to announce: it must be HOST or HOST:PORT, or FRONT=HOST:PORT, where FRONT is https, mqtt, wss or ui"
    )]
    Announced(String),
    /// A port cannot be bound.
    #[error("cannot listen on {address}: {source}; {}", advice(&[.source]))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Several ports cannot be bound.
    #[error("cannot listen on {}; {}", list(.0), advice(&sources(.0)))]
    Ports(Vec<UnavailablePort>),
    /// What the emulator should start with is refused by the service.
    #[error("what the configuration contains cannot be put into the service: {0}")]
    Contents(Problem),
    /// The scale of the clock is invalid.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The certificate authority of the options cannot be used.
    #[error("the certificate authority cannot be used: {0}")]
    Authority(String),
    /// The certificate authorities for webhooks cannot be used.
    #[error(transparent)]
    WebhookRoots(#[from] WebhookRootsError),
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A certificate or the TLS configuration could not be created.
    #[error("cannot create the TLS certificates: {0}")]
    Certificate(String),
    /// The operating system returned no random bytes.
    #[error("the operating system returned no random bytes")]
    Random,
    /// The tokio runtime was shut down before the emulator was ready.
    #[error("the runtime was shut down before the emulator was ready")]
    Stopped,
}

/// A port that an emulator cannot listen on.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnavailablePort {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

fn list(ports: &[UnavailablePort]) -> String {
    let ports: Vec<String> = ports.iter().map(|port| format!("{} ({})", port.address, port.source)).collect();
    ports.join(" and ")
}

fn sources(ports: &[UnavailablePort]) -> Vec<&io::Error> {
    ports.iter().map(|port| &port.source).collect()
}

/// What to do about ports that cannot be bound.
fn advice(errors: &[&io::Error]) -> String {
    let any = |kind| errors.iter().any(|error| error.kind() == kind);
    let mut advice = Vec::new();
    if any(io::ErrorKind::PermissionDenied) {
        advice.push("allow ports below 1024, on Linux by: sudo sysctl net.ipv4.ip_unprivileged_port_start=443");
    }
    if any(io::ErrorKind::AddrInUse) {
        advice.push("stop the program that uses the port, or listen on another address, such as 127.0.0.2");
    }
    advice.push("or choose another port, 0 for any that is free");
    advice.join("; ").trim_start_matches("or ").to_owned()
}

/// What is wrong with the state directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The directory cannot be created or opened.
    #[error("the state directory {} cannot be used: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can write to the directory, so they could replace its keys.
    #[error("the state directory {} can be written by others: remove their permission (chmod go-w), or use another directory", .0.display())]
    Exposed(PathBuf),
    /// Another emulator uses the directory.
    #[error("the state directory {} is in use by another emulator: stop that one, or use another directory", .0.display())]
    InUse(PathBuf),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file has invalid content. It is not changed.
    #[error("{} is damaged ({what}) and was not changed: repair it, or move it away to start without it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The emulator shut down before a change was saved.
    #[error("{} cannot be written any more: the emulator is shutting down", .0.display())]
    ShutDown(PathBuf),
}
