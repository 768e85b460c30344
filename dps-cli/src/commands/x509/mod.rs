//! `dps x509`: certificates of devices. They are checked, made for trying out, and renewed where the service issued them.

mod check;
mod renew;
mod show;
mod test_ca;

use clap::Subcommand;

use crate::failure::{Exit, Result};
use crate::output::Output;
use crate::runtime::blocking;
use check::CheckArgs;
use renew::RenewArgs;
use show::ShowArgs;
use test_ca::TestCaArgs;

/// `dps x509 …`.
#[derive(Debug, Subcommand)]
pub(crate) enum X509Command {
    /// Report what is wrong with a device's certificate and its chain, without connecting
    #[command(after_help = "Exit codes: 0 no findings, 10 findings, including warnings")]
    Check(CheckArgs),
    /// Make a root, an intermediate and devices' certificates for trying out; never for production
    TestCa(TestCaArgs),
    /// Show the issued certificate of a device, and whether it is due for renewal
    #[command(
        after_help = "Exit codes: 0 valid, 10 renewal is due, or the certificate has expired or is not valid yet"
    )]
    Show(ShowArgs),
    /// Renew the issued certificate of a device if it is due: for a timer
    #[command(after_help = "Exit codes: 0 renewed, or not due; others as all commands")]
    Renew(Box<RenewArgs>),
}

impl X509Command {
    /// Returns how many of the command's inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        match self {
            Self::Check(args) => args.stdin_inputs(),
            Self::TestCa(_) => 0,
            Self::Show(args) => args.token.stdin_inputs(),
            Self::Renew(args) => args.stdin_inputs(),
        }
    }
}

/// Runs the command.
pub(crate) async fn run(command: X509Command, output: Output) -> Result<Exit> {
    match command {
        X509Command::Check(args) => blocking(move || check::run(args, output)).await,
        X509Command::TestCa(args) => blocking(move || test_ca::run(&args, output)).await,
        X509Command::Show(args) => blocking(move || show::run(&args, output)).await,
        X509Command::Renew(args) => renew::run(*args, output).await,
    }
}
