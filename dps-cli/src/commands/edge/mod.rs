//! `dps edge`: the configuration of an IoT Edge gateway.

mod config;
mod lint;
mod provision;

use clap::Subcommand;

use crate::failure::{Exit, Result};
use crate::output::Output;
use crate::runtime::blocking;
use config::{SetArgs, ShowArgs, WindowsArgs};
use lint::{ConvertArgs, LintArgs};
use provision::EdgeProvisionArgs;

/// `dps edge …`.
#[derive(Debug, Subcommand)]
pub(crate) enum EdgeCommand {
    /// Report the mistakes in a config.toml or config.yaml, with line and column
    Lint(LintArgs),
    /// Show the provisioning part of a configuration
    Show(ShowArgs),
    /// Write a config.toml (1.2 and later) from a config.yaml (1.1)
    Convert(ConvertArgs),
    /// Change one value in place, without changing any other byte
    Set(SetArgs),
    /// Print the PowerShell commands that provision the same gateway on Windows
    Windows(WindowsArgs),
    /// Provision like the gateway: by its mode, its backup and the service
    Provision(Box<EdgeProvisionArgs>),
}

impl EdgeCommand {
    /// Returns how many of the command's inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        match self {
            Self::Set(args) => usize::from(args.reads_stdin()),
            Self::Provision(args) => args.stdin_inputs(),
            _ => 0,
        }
    }
}

/// Runs the command.
pub(crate) async fn run(command: EdgeCommand, output: Output) -> Result<Exit> {
    match command {
        EdgeCommand::Lint(args) => blocking(move || lint::lint(&args, output)).await,
        EdgeCommand::Show(args) => blocking(move || config::show(&args, output)).await,
        EdgeCommand::Convert(args) => blocking(move || lint::convert(&args, output)).await,
        EdgeCommand::Set(args) => blocking(move || config::set(&args, output)).await,
        EdgeCommand::Windows(args) => blocking(move || config::windows(&args, output)).await,
        EdgeCommand::Provision(args) => provision::run(*args, output).await,
    }
}
