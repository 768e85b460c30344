//! The service of a device and the way there, from the options of the command line.
//!
//! Certificates, keys and passwords are read from their files; nothing is sent. Everything that can never work is found
//! here, before any connection is made; names are checked before any file is read.

use std::fmt::Display;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use dps_client::{
    AddressOverride, Endpoint, IdScope, ProvisioningClient, ProvisioningClientBuilder, Proxy, ProxyChoice,
    RegistrationId, Resolver, Roots, Transport,
};
use dps_core::ErrorCode;
use dps_core::codec::{http, mqtt};
use dps_net::RootsError;

use crate::failure::{Failure, Result};
use crate::files::{is_stdin, read_secret};
use crate::identity::{Credential, IdentityArgs};
use crate::tpm::DeviceTpm;

/// The largest accepted file of certificates, in bytes.
const ROOTS_MAX: u64 = 1024 * 1024;
/// The longest accepted duration: long enough for any token, short enough for every clock.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long a TPM may take to make its endorsement key, where it has none.
pub(crate) const TPM_LIMIT: Duration = Duration::from_secs(60);

/// The largest `--clock-offset`, in seconds: a century, which every platform's clock can represent.
pub(crate) const CLOCK_OFFSET_MAX: i64 = 100 * 365 * 24 * 3600;

/// The identity of the device and its connection to the service.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

impl DeviceArgs {
    pub(crate) fn stdin_inputs(&self) -> usize {
        self.identity.stdin_inputs() + self.connection.proxy.stdin_inputs()
    }
}

/// Whether to ask for the hub's protocol.
#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// Ask which protocol the hub speaks: classic (MQTT 3.1.1) or mqttV5. Uses the service's API version 2026-11-02-preview
    #[arg(long)]
    pub(crate) connection_profile: bool,
}

/// Endpoint, trust, transport and deadline.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// The service's endpoint: HOST, HOST:PORT or https://HOST:PORT. Default: the global endpoint
    #[arg(long, value_name = "HOST[:PORT]", visible_alias = "host")]
    pub(crate) endpoint: Option<String>,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    #[command(flatten)]
    pub(crate) proxy: ProxyArgs,
    #[command(flatten)]
    pub(crate) resolve: ResolveArgs,
    /// The transport to the service
    #[arg(long, value_name = "NAME", value_enum, default_value_t = TransportName::Https)]
    pub(crate) transport: TransportName,
    /// With MQTT: the HTTPS port of the same host, which is asked for the service's time. Default: 443
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) time_port: Option<u16>,
    /// The time limit of the whole command, such as 30s or 2m
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// For tests: move this device's clock by this many seconds; only with an endpoint on loopback
    // Refused with what could lead a loopback endpoint to another machine.
    #[arg(long, value_name = "SECONDS", hide = true, allow_negative_numbers = true, conflicts_with_all = ["overrides", "proxy"],
        value_parser = clap::value_parser!(i64).range(-CLOCK_OFFSET_MAX..=CLOCK_OFFSET_MAX))]
    pub(crate) clock_offset: Option<i64>,
}

/// Which certificate authorities to trust.
#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    /// Trust only the certificate authorities in this file, instead of the system's
    #[arg(long, value_name = "PEM", conflicts_with = "add_ca_file")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Trust the certificate authorities in this file as well as the system's
    #[arg(long, value_name = "PEM")]
    pub(crate) add_ca_file: Option<PathBuf>,
}

/// Addresses of host names.
#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    /// Connect to NAME on PORT at this address (or several, separated by commas) instead of resolving it (repeatable)
    #[arg(long = "resolve", value_name = "NAME:PORT:ADDR")]
    pub(crate) overrides: Vec<AddressOverride>,
}

/// The proxy between the device and the service.
#[derive(Debug, Args)]
pub(crate) struct ProxyArgs {
    /// The HTTP proxy to connect through. Default: HTTPS_PROXY or https_proxy, unless NO_PROXY excludes the host
    #[arg(long, value_name = "http://[USER@]HOST[:PORT]")]
    pub(crate) proxy: Option<String>,
    /// A file with the proxy's password (- for stdin)
    #[arg(long, value_name = "FILE|-", requires = "proxy")]
    pub(crate) proxy_password_file: Option<PathBuf>,
}

impl ProxyArgs {
    /// Returns how many of these inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        usize::from(self.proxy_password_file.as_deref().is_some_and(is_stdin))
    }
}

/// The transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportName {
    /// HTTPS, port 443
    Https,
    /// MQTT over TLS, port 8883
    Mqtt,
    /// MQTT over WebSocket, port 443
    MqttWs,
}

impl TransportName {
    /// Returns the name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Mqtt => "mqtt",
            Self::MqttWs => "mqtt-ws",
        }
    }

    pub(crate) fn transport(self) -> Transport {
        match self {
            Self::Https => Transport::Https,
            Self::Mqtt => Transport::Mqtt,
            Self::MqttWs => Transport::MqttWebSocket,
        }
    }
}

/// How the service is reached.
pub(crate) struct Connection {
    endpoint: Endpoint,
    pub(crate) roots: Roots,
    pub(crate) proxy: ProxyChoice,
    pub(crate) resolver: Resolver,
    pub(crate) transport: TransportName,
    pub(crate) timeout: Duration,
    pub(crate) clock: DeviceClock,
    time_port: Option<u16>,
}

impl Connection {
    /// Checks the endpoint, then reads certificates and the proxy's password. Blocks while reading.
    pub(crate) fn read(args: &ConnectionArgs) -> Result<Self> {
        let endpoint: Endpoint = args.endpoint.as_deref().map(str::parse).transpose()?.unwrap_or_default();
        check_clock_offset(args.clock_offset, endpoint.host())?;
        Ok(Self {
            endpoint,
            roots: roots(&args.trust)?,
            proxy: proxy_choice(&args.proxy)?,
            resolver: Resolver::new(args.resolve.overrides.iter().cloned()),
            transport: args.transport,
            timeout: args.timeout,
            clock: DeviceClock { offset: args.clock_offset.unwrap_or_default() },
            time_port: args.time_port,
        })
    }

    /// Returns a builder of a client with this connection and without an identity.
    pub(crate) fn builder(&self) -> ProvisioningClientBuilder {
        let builder = match self.time_port {
            Some(port) => ProvisioningClient::builder().service_time_port(port),
            None => ProvisioningClient::builder(),
        };
        let clock = self.clock;
        builder
            .endpoint(&self.endpoint)
            .clock(move || clock.now())
            .roots(self.roots.clone())
            .proxy(self.proxy.clone())
            .resolver(self.resolver.clone())
            .transport(self.transport.transport())
            .timeout(self.timeout)
            .user_agent(concat!("dps/", env!("CARGO_PKG_VERSION")))
    }

    /// Returns the id of a device with this TPM: the given one, or the one that is derived from its endorsement key. Blocks
    /// while reading the TPM.
    fn id_with_tpm(&self, tpm: &DeviceTpm, id: Option<RegistrationId>) -> Result<RegistrationId> {
        self.check_tpm_transport()?;
        match id {
            Some(id) => Ok(id),
            None => Ok(tpm.identity(self.timeout.min(TPM_LIMIT))?.registration_id.parse()?),
        }
    }

    /// Refuses the transports over which the service does not offer TPM attestation.
    pub(crate) fn check_tpm_transport(&self) -> Result<()> {
        let transport = self.transport;
        if transport == TransportName::Https {
            return Ok(());
        }
        let message = format!(
            "--transport {}: a device with a TPM registers over HTTPS only, since the service does not offer TPM attestation \
             over MQTT",
            transport.name()
        );
        Err(Failure::new(ErrorCode::UnsupportedByTransport, message))
    }

    /// Returns the service's host name or address.
    pub(crate) fn host(&self) -> &str {
        self.endpoint.host()
    }

    /// Returns the port that the transport connects to.
    pub(crate) fn port(&self) -> u16 {
        self.endpoint.port().unwrap_or(match self.transport {
            TransportName::Https => http::DEFAULT_PORT,
            TransportName::Mqtt => mqtt::DEFAULT_PORT,
            TransportName::MqttWs => mqtt::WEBSOCKET_PORT,
        })
    }

    /// Returns host and port, as a client connects to them.
    pub(crate) fn endpoint(&self) -> String {
        let host = self.host();
        if host.contains(':') { format!("[{host}]:{}", self.port()) } else { format!("{host}:{}", self.port()) }
    }
}

/// The clock of this device: the system's, moved by `--clock-offset`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeviceClock {
    /// In seconds.
    offset: i64,
}

impl DeviceClock {
    /// Returns the system's clock, moved by these seconds.
    pub(crate) fn moved(offset: i64) -> Self {
        Self { offset }
    }

    /// Returns the time; `clock-needed` where the platform cannot represent it.
    pub(crate) fn needed_now(self) -> Result<SystemTime> {
        self.now().ok_or_else(|| Failure::new(ErrorCode::ClockNeeded, ErrorCode::ClockNeeded.text()))
    }

    /// Returns this clock, moved by more seconds.
    pub(crate) fn moved_by(self, seconds: i64) -> Self {
        Self { offset: self.offset.saturating_add(seconds) }
    }

    /// Returns the time, or `None` where the platform cannot represent it.
    pub(crate) fn now(self) -> Option<SystemTime> {
        let (now, offset) = (SystemTime::now(), Duration::from_secs(self.offset.unsigned_abs()));
        if self.offset < 0 { now.checked_sub(offset) } else { now.checked_add(offset) }
    }

    /// Returns the time in seconds since 1970; 0 where it is before.
    pub(crate) fn unix_now(self) -> i64 {
        let since = self.now().and_then(|now| now.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }
}

/// Refuses to move the clock for a service that is not on loopback.
pub(crate) fn check_clock_offset(offset: Option<i64>, host: &str) -> Result<()> {
    if offset.is_none() || is_loopback(host) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--clock-offset is for tests against a service on loopback: {} is not localhost, in 127.0.0.0/8 or ::1",
        host
    )))
}

/// Whether the endpoint is on this machine.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Returns a builder of the device's client: checks the names, then reads certificates and key. Blocks while reading.
pub(crate) fn client_builder(args: &DeviceArgs) -> Result<ProvisioningClientBuilder> {
    named_client_builder(args).map(|(builder, _)| builder)
}

/// The same, and the registration id, if it is known.
pub(crate) fn named_client_builder(args: &DeviceArgs) -> Result<(ProvisioningClientBuilder, Option<RegistrationId>)> {
    let identity = &args.identity;
    let choice = identity.credential()?;
    let id_scope: IdScope = identity.id_scope.parse()?;
    let registration_id: Option<RegistrationId> = identity.registration_id.as_deref().map(str::parse).transpose()?;
    let connection = Connection::read(&args.connection)?;
    let builder = connection.builder().id_scope(id_scope);
    let credential = choice.read()?;
    let registration_id = match (&credential, registration_id) {
        (Credential::Tpm(tpm), id) => Some(connection.id_with_tpm(tpm, id)?),
        (Credential::Certificate(device), None) => Some(device.registration_id()?),
        (_, id) => id,
    };
    let named = registration_id.iter().fold(builder, ProvisioningClientBuilder::registration_id);
    Ok((credential.apply_to(named)?, registration_id))
}

/// Reads the trusted roots that the options name.
pub(crate) fn roots(args: &TrustArgs) -> Result<Roots> {
    match (args.ca_file.as_deref(), args.add_ca_file.as_deref()) {
        (None, None) => Ok(Roots::platform()),
        (Some(path), None) => read_roots(path, Roots::replace_pem),
        (None, Some(path)) => read_roots(path, Roots::add_pem),
        (Some(_), Some(_)) => Err(Failure::usage("use --ca-file or --add-ca-file, not both")),
    }
}

/// Reads the authorities of a file with `parse`.
pub(crate) fn read_roots(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> std::result::Result<Roots, RootsError>,
) -> Result<Roots> {
    let pem = dps_files::read(path, ROOTS_MAX).map_err(|error| Failure::file("read", path, &error))?;
    parse(&pem).map_err(|error| Failure::new(ErrorCode::InvalidCertificate, format!("{}: {error}", path.display())))
}

/// Returns the proxy that the options choose. Blocks while reading its password.
pub(crate) fn proxy_choice(args: &ProxyArgs) -> Result<ProxyChoice> {
    let Some(url) = &args.proxy else { return Ok(ProxyChoice::Environment) };
    let proxy = Proxy::parse(url).map_err(|error| unusable(error).in_source("--proxy"))?;
    if proxy.credentials().is_some_and(|(_, password)| !password.is_empty()) {
        let reason = "--proxy: other users of this machine can see a password on the command line; \
                      remove it from the URL and use --proxy-password-file FILE";
        return Err(Failure::option(reason));
    }
    Ok(ProxyChoice::Fixed(match &args.proxy_password_file {
        Some(path) => proxy
            .with_password(read_secret(path, "the proxy's password")?.expose())
            .map_err(unusable)?
            .named_by(format!("--proxy and --proxy-password-file {}", path.display())),
        None => proxy.named_by("--proxy"),
    }))
}

/// Returns the failure for a proxy that cannot be used.
pub(crate) fn unusable(error: impl Display) -> Failure {
    Failure::option(error.to_string())
}

/// Parses a duration such as `500ms`, `90s`, `2m`, `1h` or `1d`.
pub(crate) fn duration(text: &str) -> std::result::Result<Duration, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let number: u64 =
        digits.parse().map_err(|_| "write a whole number with a unit, such as 90s, 2m or 1h".to_owned())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => return Err(format!("the unit is missing: write {number}s, {number}m or {number}h")),
        other => return Err(format!("unknown unit '{other}': use ms, s, m, h or d")),
    };
    let length = Duration::from_millis(number.saturating_mul(unit_ms));
    match length {
        Duration::ZERO => Err("it must be longer than 0".to_owned()),
        _ if length > DURATION_MAX => Err("it is longer than 365 days".to_owned()),
        _ => Ok(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_endpoints_are_localhost_and_loopback_addresses() {
        let loopback = |host: &str| is_loopback(host.parse::<Endpoint>().unwrap().host());
        for host in ["localhost", "LOCALHOST:8443", "127.0.0.1", "127.1.2.3:443", "[::1]:443"] {
            assert!(loopback(host), "{host}");
        }
        for host in ["global.azure-devices-provisioning.net", "localhost.test", "0.0.0.0", "192.0.2.1", "[::]:443"] {
            assert!(!loopback(host), "{host}");
        }
    }

    #[test]
    fn durations_are_numbers_with_a_unit() {
        for (text, ms) in [("500ms", 500), ("90s", 90_000), ("2m", 120_000), ("1h", 3_600_000), ("1d", 86_400_000)] {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(ms));
        }
        for text in ["", "m", "0s", "-1s", "1.5h", "10", "1w", "2m30s", "999999999999999999999s", "99999d"] {
            assert!(duration(text).is_err(), "{text:?} was accepted");
        }
    }
}
