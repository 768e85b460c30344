//! `dps tpm`: what an enrollment needs of this device's TPM. Nothing is sent, and the TPM is not changed.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::connection::duration;
use crate::failure::{Exit, Result};
use crate::output::Output;
use crate::runtime::blocking;
use crate::tpm::TpmAccessArgs;

/// `dps tpm …`.
#[derive(Debug, Subcommand)]
pub(crate) enum TpmCommand {
    /// Print the endorsement key of this device's TPM, for its enrollment, and the registration id that is derived from it
    Identity(IdentityArgs),
}

/// `dps tpm identity`.
#[derive(Debug, Args)]
pub(crate) struct IdentityArgs {
    #[command(flatten)]
    access: TpmAccessArgs,
    /// How long the TPM may take, such as 30s or 2m; one without an endorsement key makes it meanwhile
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    timeout: Duration,
}

impl TpmCommand {
    /// Returns how many of the command's inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        let Self::Identity(args) = self;
        args.access.stdin_inputs()
    }
}

/// Runs the command.
pub(crate) async fn run(command: TpmCommand, output: Output) -> Result<Exit> {
    let TpmCommand::Identity(args) = command;
    blocking(move || identity(&args, output)).await
}

fn identity(args: &IdentityArgs, output: Output) -> Result<Exit> {
    let identity = args.access.choice()?.read()?.identity(args.timeout)?;
    output.result(&identity, |out| {
        writeln!(out, "registration id  {}", identity.registration_id)?;
        writeln!(out, "endorsement key  {}", identity.endorsement_key)
    })?;
    Ok(Exit::Done)
}
