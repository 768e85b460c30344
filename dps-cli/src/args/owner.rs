//! How an owner of a provisioning service reaches it, with its connection string.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::connection::{ProxyArgs, ResolveArgs, TrustArgs};
use super::{duration, is_stdin};

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
    /// How long the whole may take, such as 30s or 2m
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    pub(crate) timeout: Duration,
}

impl OwnerArgs {
    /// How many of these inputs are to be read from stdin.
    pub(super) fn stdin_inputs(&self) -> usize {
        usize::from(is_stdin(&self.connection_string_file)) + self.proxy.stdin_inputs()
    }
}
