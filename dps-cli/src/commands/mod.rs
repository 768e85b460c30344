//! The command line, and one module per command: its arguments, and `run`, which reads the inputs, does the work through the
//! crates beside this one, and prints the result.
//!
//! Secrets are never arguments: every key is named by a file, `-` or an environment variable.

mod check;
mod demo;
mod derive_key;
mod edge;
mod emulator;
mod enrollment;
mod lookup;
mod register;
mod token;

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::connection::DeviceArgs;
use crate::failure::{Exit, Failure, Result};
use crate::files::is_stdin;
use crate::output::Output;
use crate::runtime::{Interrupts, blocking};
use crate::shell;
use derive_key::DeriveKeyArgs;
use edge::EdgeCommand;
use emulator::EmulatorArgs;
use enrollment::{EnrollmentCommand, GroupCommand};
use register::RegisterArgs;
use token::TokenArgs;

/// Azure IoT Hub Device Provisioning Service, from a device's side: derive keys, register, see why it failed, and
/// run a local service to try against.
#[derive(Debug, Parser)]
#[command(name = "dps", version, propagate_version = true, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 internal, 2 usage, 3 configuration, 4 refused by the service, 5 link, \
                          6 deadline or throttled, 7 local, 10 findings, 130 interrupted";

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct GlobalArgs {
    /// Print one JSON object on stdout, errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log more on stderr: -v what is done, -vv how, -vvv everything (or DPS_LOG=error|warn|info|debug|trace)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show a whole registration against a service inside this program; needs nothing and leaves nothing
    Demo,
    /// Derive device keys from the key of an enrollment group: one, or a list
    DeriveKey(DeriveKeyArgs),
    /// Print the SAS token with which a device registers
    Token(TokenArgs),
    /// Register a device and print the hub that it is assigned to
    Register(RegisterArgs),
    /// Print what the service has on record for a device, without registering it
    Lookup(DeviceArgs),
    /// Find out what keeps a device from registering, without registering it
    #[command(after_help = "Exit codes: 0 nothing was found, 10 anything was found, warnings included")]
    Check(DeviceArgs),
    /// Run a local provisioning service until Ctrl-C, or make one that is running fail on command
    Emulator(EmulatorArgs),
    /// Create, show, list and delete individual enrollments
    #[command(subcommand)]
    Enrollment(EnrollmentCommand),
    /// Create, show, list and delete enrollment groups
    #[command(subcommand)]
    EnrollmentGroup(GroupCommand),
    /// Check, show, convert and change the configuration of an IoT Edge gateway, and provision by it
    #[command(subcommand)]
    Edge(EdgeCommand),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// How many of the command's inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        let from_stdin = |path: &Option<PathBuf>| usize::from(path.as_deref().is_some_and(is_stdin));
        match self {
            Self::DeriveKey(args) => from_stdin(&args.group_key_file) + from_stdin(&args.ids),
            Self::Token(args) => args.identity.key.stdin_inputs(),
            Self::Register(args) => args.device.stdin_inputs() + from_stdin(&args.payload_file),
            Self::Lookup(args) | Self::Check(args) => args.stdin_inputs(),
            Self::Enrollment(command) => command.stdin_inputs(),
            Self::EnrollmentGroup(command) => command.stdin_inputs(),
            Self::Emulator(args) => args.stdin_inputs(),
            Self::Edge(command) => command.stdin_inputs(),
            Self::Demo | Self::Completions { .. } => 0,
        }
    }
}

/// Runs the command line, until it is done or interrupted.
pub(crate) async fn run(cli: Cli, output: Output, mut interrupts: Interrupts) -> Result<Exit> {
    if cli.command.stdin_inputs() > 1 {
        return Err(Failure::usage("only one input can be read from stdin (-); give the others as files"));
    }
    // The emulator ends in its own time; everything else ends at once.
    let command = match cli.command {
        Command::Emulator(EmulatorArgs { run, command: None }) => {
            return emulator::run(run, output, &mut interrupts).await;
        }
        Command::Emulator(EmulatorArgs { run, .. }) if run.is_given() => {
            return Err(Failure::usage(
                "options of an emulator that is to be run do not go with 'fault', 'counters' and 'hub-device', which \
                 speak to one that is running",
            ));
        }
        other => other,
    };
    tokio::select! {
        done = dispatch(command, output) => done,
        () = interrupts.next() => {
            dps_files::abandon_drafts();
            Err(Failure::interrupted())
        }
    }
}

async fn dispatch(command: Command, output: Output) -> Result<Exit> {
    match command {
        Command::DeriveKey(args) => blocking(move || derive_key::run(&args, output)).await,
        Command::Token(args) => blocking(move || token::run(&args, output)).await,
        Command::Completions { shell } => shell::completions(shell, &mut Cli::command()),
        Command::Enrollment(command) => enrollment::run_individual(command, output).await,
        Command::EnrollmentGroup(command) => enrollment::run_group(command, output).await,
        Command::Register(args) => register::run(args, output).await,
        Command::Lookup(args) => lookup::run(args, output).await,
        Command::Check(args) => check::run(args, output).await,
        Command::Demo => demo::run(output).await,
        Command::Edge(command) => edge::run(command, output).await,
        Command::Emulator(EmulatorArgs { command: Some(command), .. }) => emulator::control::run(command, output).await,
        Command::Emulator(EmulatorArgs { command: None, .. }) => {
            Err(Failure::internal("the emulator is run elsewhere"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn aliases_and_stdin_are_understood() {
        let line =
            "dps register --scope 0ne1 --rid dev-01 --key-file - --payload-file - --host localhost:1 --timeout 2m";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(cli.command.stdin_inputs(), 2);
        let Command::Register(args) = cli.command else { panic!("not register") };
        assert_eq!(args.device.identity.id_scope, "0ne1");
        assert_eq!(args.device.connection.endpoint.as_deref(), Some("localhost:1"));
        assert_eq!(args.device.connection.timeout.as_secs(), 120);
    }
}
