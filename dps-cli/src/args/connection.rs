//! Where the service is and how to reach it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use dps_client::{AddressOverride, Transport};

use super::{duration, is_stdin};

/// Endpoint, trust, transport and deadline.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// Where the service answers: HOST, HOST:PORT or https://HOST:PORT. Default: the global endpoint
    #[arg(long, value_name = "HOST[:PORT]", visible_alias = "host")]
    pub(crate) endpoint: Option<String>,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    #[command(flatten)]
    pub(crate) proxy: ProxyArgs,
    #[command(flatten)]
    pub(crate) resolve: ResolveArgs,
    /// How to talk to the service
    #[arg(long, value_name = "NAME", value_enum, default_value_t = TransportName::Https)]
    pub(crate) transport: TransportName,
    /// Over MQTT: the port of HTTPS at the same host, to ask for the service's time. Default: 443
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) time_port: Option<u16>,
    /// How long the whole may take, such as 30s or 2m
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub(crate) timeout: Duration,
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

/// Where names are.
#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    /// Take NAME on PORT to be at this address (or these, with commas), and do not resolve it (repeatable)
    #[arg(long = "resolve", value_name = "NAME:PORT:ADDR")]
    pub(crate) overrides: Vec<AddressOverride>,
}

/// The proxy on the way.
#[derive(Debug, Args)]
pub(crate) struct ProxyArgs {
    /// An HTTP proxy to go through. Default: HTTPS_PROXY or https_proxy, unless NO_PROXY names the host
    #[arg(long, value_name = "http://[USER@]HOST[:PORT]")]
    pub(crate) proxy: Option<String>,
    /// A file with the proxy's password (- for stdin)
    #[arg(long, value_name = "FILE|-", requires = "proxy")]
    pub(crate) proxy_password_file: Option<PathBuf>,
}

impl ProxyArgs {
    /// How many of these inputs are to be read from stdin.
    pub(super) fn stdin_inputs(&self) -> usize {
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
    /// The word on the command line.
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
