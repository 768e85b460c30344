//! `dps x509`: certificates of devices. They are checked, and made for trying out; nothing is sent.

mod check;
mod test_ca;

use clap::Subcommand;

use crate::failure::{Exit, Result};
use crate::output::Output;
use crate::runtime::blocking;
use check::CheckArgs;
use test_ca::TestCaArgs;

/// `dps x509 …`.
#[derive(Debug, Subcommand)]
pub(crate) enum X509Command {
    /// Report what is wrong with a device's certificate and its chain, without connecting
    #[command(after_help = "Exit codes: 0 no findings, 10 findings, including warnings")]
    Check(CheckArgs),
    /// Make a root, an intermediate and devices' certificates for trying out; never for production
    TestCa(TestCaArgs),
}

impl X509Command {
    /// Returns how many of the command's inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        match self {
            Self::Check(args) => args.stdin_inputs(),
            Self::TestCa(_) => 0,
        }
    }
}

/// Runs the command.
pub(crate) async fn run(command: X509Command, output: Output) -> Result<Exit> {
    match command {
        X509Command::Check(args) => blocking(move || check::run(args, output)).await,
        X509Command::TestCa(args) => blocking(move || test_ca::run(&args, output)).await,
    }
}
