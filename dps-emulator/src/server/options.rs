//! The options of an emulator, and the errors of its start and of its state directory.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use dps_files::FileError;
use zeroize::Zeroizing;

use super::webhook_client::{WebhookOptions, WebhookRootsError};
use crate::fault::RetryAfter;
use crate::options::{OptionsError, ServiceOptions};

/// Options of an [`Emulator`](super::emulator::Emulator); everything has a default.
#[derive(Debug, Clone)]
pub struct EmulatorOptions {
    pub(super) listen: IpAddr,
    pub(super) https_port: u16,
    pub(super) mqtt_port: Option<u16>,
    pub(super) wss_port: Option<u16>,
    pub(super) host_names: Vec<String>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) authority: Option<AuthorityPem>,
    pub(super) tls_version: Option<TlsVersion>,
    pub(super) clock_offset_ms: i64,
    pub(super) webhooks: WebhookOptions,
    pub(super) service: ServiceOptions,
}

/// A certificate authority in PEM.
#[derive(Clone)]
pub(super) struct AuthorityPem {
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
            webhooks: WebhookOptions::new(),
            service: ServiceOptions::new(),
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

    /// A host name or IP address that the certificate has to contain, besides `localhost`, `127.0.0.1` and `::1`.
    /// Repeatable; the endpoint and the connection string use the first one.
    #[must_use]
    pub fn host_name(mut self, name: impl Into<String>) -> Self {
        self.host_names.push(name.into());
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

    /// Serves under this certificate authority instead of a generated one: one CA certificate and its unencrypted key
    /// (PKCS#8), both in PEM; the same text may contain both. Default: a CA that is generated, or kept in the state
    /// directory.
    #[must_use]
    pub fn authority(mut self, certificate_pem: impl Into<String>, key_pem: impl Into<String>) -> Self {
        let (certificate, key) = (Zeroizing::new(certificate_pem.into()), Zeroizing::new(key_pem.into()));
        self.authority = Some(AuthorityPem { certificate, key });
        self
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

    /// Sets other options of the service. Host names, and the policy key if the state directory has one, are set by the
    /// emulator.
    #[must_use]
    pub fn service(mut self, change: impl FnOnce(ServiceOptions) -> ServiceOptions) -> Self {
        self.service = change(self.service);
        self
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
    /// A port cannot be bound.
    #[error("cannot listen on {address}: {source}; choose another port, or 0 for any that is free")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
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
