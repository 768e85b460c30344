//! The admin API of a provisioning service: enrollments, groups and registrations, in the service's own JSON.
//!
//! Values pass through as the service returns them; only keys are removed unless they were asked for.

mod client;
mod connection_string;
mod emulator;
mod enrollments;
mod events;
mod refusal;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use dps_client::Resolver;
use dps_core::Endpoint;

pub(crate) use client::AdminClient;
pub(crate) use connection_string::ConnectionString;
pub(crate) use enrollments::{Kind, Registrations, take_keys};
pub(crate) use events::{EventsWanted, FollowedEvent};

use crate::connection::{
    CLOCK_OFFSET_MAX, ProxyArgs, ResolveArgs, TrustArgs, check_clock_offset, duration, proxy_choice, roots,
};
use crate::failure::Result;
use crate::files::{is_stdin, read_secret};
use crate::runtime::blocking;

/// Connection string, and how to reach the service.
#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub(crate) struct OwnerArgs {
    /// A file with HostName=…;SharedAccessKeyName=…;SharedAccessKey=… (- for stdin)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) connection_string_file: PathBuf,
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// The same for a call that anybody can make: the key is not used, and the connection string only names the host.
pub(crate) struct PublicArgs {
    pub(crate) connection_string_file: Option<PathBuf>,
    pub(crate) reach: ReachArgs,
}

/// Endpoint, trust, proxy and deadline.
#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub(crate) struct ReachArgs {
    /// Connect here instead of to the connection string's host: HOST, HOST:PORT or https://HOST:PORT
    #[arg(long, value_name = "HOST[:PORT]", visible_alias = "host")]
    pub(crate) endpoint: Option<String>,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    #[command(flatten)]
    pub(crate) proxy: ProxyArgs,
    #[command(flatten)]
    pub(crate) resolve: ResolveArgs,
    /// The time limit of the whole command, such as 30s or 2m
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// For tests: make the owner's token for a clock that is ahead by this many seconds; only with a service on loopback
    #[arg(long, value_name = "SECONDS", hide = true, allow_negative_numbers = true, conflicts_with_all = ["overrides", "proxy"],
        value_parser = clap::value_parser!(i64).range(-CLOCK_OFFSET_MAX..=CLOCK_OFFSET_MAX))]
    pub(crate) clock_offset: Option<i64>,
}

impl OwnerArgs {
    /// Returns how many of these inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        usize::from(is_stdin(&self.connection_string_file)) + self.reach.proxy.stdin_inputs()
    }
}

/// Prepares the connection. Everything that can be invalid on this side is found before anything is sent.
pub(crate) async fn connect(args: OwnerArgs) -> Result<AdminClient> {
    prepare(Some(args.connection_string_file), args.reach).await
}

/// Prepares the connection for calls that anybody can make.
pub(crate) async fn connect_publicly(args: PublicArgs) -> Result<AdminClient> {
    prepare(args.connection_string_file, args.reach).await
}

async fn prepare(connection_string_file: Option<PathBuf>, args: ReachArgs) -> Result<AdminClient> {
    if let Some(endpoint) = &args.endpoint {
        Endpoint::new(endpoint)?;
    }
    let (owner, roots, proxy, args) = blocking(move || {
        let owner = connection_string_file.as_deref().map(read_connection_string).transpose()?;
        let roots = roots(&args.trust)?;
        Ok((owner, roots, proxy_choice(&args.proxy)?, args))
    })
    .await?;
    let host = owner.as_ref().map(|owner| owner.host.clone());
    check_clock_offset(args.clock_offset, Endpoint::new(&args.endpoint.clone().or(host).unwrap_or_default())?.host())?;
    let resolver = Resolver::new(args.resolve.overrides);
    let client = AdminClient::connect(owner, args.endpoint.as_deref(), &roots, &proxy, &resolver, args.timeout).await?;
    Ok(client.with_clock_offset(args.clock_offset.unwrap_or_default()))
}

fn read_connection_string(path: &Path) -> Result<ConnectionString> {
    let text = read_secret(path, "the service's connection string")?;
    ConnectionString::parse(text.expose()).map_err(|failure| failure.in_source(path.display()))
}
