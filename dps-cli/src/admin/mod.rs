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

use crate::connection::{ProxyArgs, ResolveArgs, TrustArgs, duration, proxy_choice, roots};
use crate::failure::Result;
use crate::files::{is_stdin, read_secret};
use crate::runtime::blocking;

/// Connection string, endpoint, trust, proxy and deadline.
#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub(crate) struct OwnerArgs {
    /// A file with HostName=…;SharedAccessKeyName=…;SharedAccessKey=… (- for stdin)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) connection_string_file: PathBuf,
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
}

impl OwnerArgs {
    /// Returns how many of these inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        usize::from(is_stdin(&self.connection_string_file)) + self.proxy.stdin_inputs()
    }
}

/// Prepares the connection. Everything that can be invalid on this side is found before anything is sent.
pub(crate) async fn connect(args: OwnerArgs) -> Result<AdminClient> {
    if let Some(endpoint) = &args.endpoint {
        Endpoint::new(endpoint)?;
    }
    let (owner, roots, proxy, args) = blocking(move || {
        let path: &Path = &args.connection_string_file;
        let text = read_secret(path, "the service's connection string")?;
        let owner = ConnectionString::parse(text.expose()).map_err(|failure| failure.in_source(path.display()))?;
        let roots = roots(&args.trust)?;
        Ok((owner, roots, proxy_choice(&args.proxy)?, args))
    })
    .await?;
    let resolver = Resolver::new(args.resolve.overrides);
    AdminClient::connect(owner, args.endpoint.as_deref(), &roots, &proxy, &resolver, args.timeout).await
}
