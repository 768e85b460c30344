//! The command line, and one module per command: its arguments, and `run`, which reads the inputs, does the work
//! through the crates beside this one, and prints the result.
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
mod tpm;
mod webhook;
mod x509;

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::failure::{Exit, Failure, Result};
use crate::files::is_stdin;
use crate::output::Output;
use crate::runtime::{Interrupts, blocking};
use crate::shell;
use check::CheckArgs;
use derive_key::DeriveKeyArgs;
use edge::EdgeCommand;
use emulator::EmulatorArgs;
use enrollment::{EnrollmentCommand, GroupCommand};
use register::RegisterArgs;
use token::TokenArgs;
use tpm::TpmCommand;
use webhook::WebhookCommand;
use x509::X509Command;

const EXIT_CODES: &str = "Exit codes: 0 success, 1 internal, 2 usage, 3 configuration, 4 refused by the service, \
                          5 link, 6 deadline or throttled, 7 local, 10 findings, 130 interrupted";

const EDGE_CERTIFICATES: &str = "\
Certificates: the daemons of IoT Edge take the device's certificate from files, an EST server or a local CA, and the Edge CA from files, \
an EST server or themselves. They do not request certificates from the provisioning service or the hub: 'dps register --issue' and \
'dps x509 renew' are for devices without the daemons.";

/// Azure IoT Hub Device Provisioning Service for devices: derive keys, register, find out why a registration fails, and
/// run a local service to test against.
#[derive(Debug, Parser)]
#[command(name = "dps", version, propagate_version = true, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of all commands.
#[derive(Debug, Args)]
pub(crate) struct GlobalArgs {
    /// Print one JSON object on stdout, also for errors
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log more on stderr: -v info, -vv debug, -vvv trace (or DPS_LOG=error|warn|info|debug|trace)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The command to run.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show a complete registration against a service inside this program; requires nothing and leaves nothing behind
    Demo,
    /// Derive device keys from the key of an enrollment group: one, or a list
    DeriveKey(DeriveKeyArgs),
    /// Print the SAS token with which a device registers
    Token(TokenArgs),
    /// Register a device and print the hub that it is assigned to
    Register(RegisterArgs),
    /// Print the registration of a device that the service has on record, without registering the device
    Lookup(lookup::LookupArgs),
    /// Find out what prevents a device from registering, without registering it
    #[command(after_help = "Exit codes: 0 no findings, 10 findings, including warnings")]
    Check(CheckArgs),
    /// Run a local provisioning service until Ctrl-C, or control one that is running
    Emulator(EmulatorArgs),
    /// Create, show, list and delete individual enrollments
    #[command(subcommand)]
    Enrollment(EnrollmentCommand),
    /// Create, show, list and delete enrollment groups
    #[command(subcommand)]
    EnrollmentGroup(GroupCommand),
    /// Check, show, convert and change the configuration of an IoT Edge gateway, and provision with it
    #[command(subcommand, after_help = EDGE_CERTIFICATES)]
    Edge(EdgeCommand),
    /// Check the certificate of a device, show and renew one that was issued, or make certificates for trying out
    #[command(subcommand)]
    X509(X509Command),
    /// Print what the enrollment of a device with a TPM needs
    #[command(subcommand)]
    Tpm(TpmCommand),
    /// Try out an allocation webhook
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Print the completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Returns how many of the command's inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        let from_stdin = |path: &Option<PathBuf>| usize::from(path.as_deref().is_some_and(is_stdin));
        match self {
            Self::DeriveKey(args) => from_stdin(&args.group_key_file) + from_stdin(&args.ids),
            Self::Token(args) => args.stdin_inputs(),
            Self::Register(args) => {
                args.device.stdin_inputs() + args.operational.stdin_inputs() + from_stdin(&args.payload_file)
            }
            Self::Lookup(args) => args.device.stdin_inputs(),
            Self::Check(args) => args.device.stdin_inputs(),
            Self::Enrollment(command) => command.stdin_inputs(),
            Self::EnrollmentGroup(command) => command.stdin_inputs(),
            Self::Emulator(args) => args.stdin_inputs(),
            Self::Edge(command) => command.stdin_inputs(),
            Self::X509(command) => command.stdin_inputs(),
            Self::Tpm(command) => command.stdin_inputs(),
            Self::Webhook(command) => command.stdin_inputs(),
            Self::Demo | Self::Completions { .. } => 0,
        }
    }
}

/// Runs the command until it ends or is interrupted.
pub(crate) async fn run(cli: Cli, output: Output, mut interrupts: Interrupts) -> Result<Exit> {
    if cli.command.stdin_inputs() > 1 {
        return Err(Failure::usage("only one input can be read from stdin (-); use files for the others"));
    }
    // The emulator shuts down gracefully; everything else ends at once.
    let command = match cli.command {
        Command::Emulator(EmulatorArgs { run, command: None }) => {
            return emulator::run(run, output, &mut interrupts).await;
        }
        Command::Emulator(EmulatorArgs { run, .. }) if run.is_customized() => {
            return Err(Failure::usage(
                "the options for running an emulator cannot be combined with the commands for one that is running, such as \
                 'fault' and 'log'",
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
        Command::X509(command) => x509::run(command, output).await,
        Command::Tpm(command) => tpm::run(command, output).await,
        Command::Webhook(command) => webhook::run(command, output).await,
        Command::Emulator(EmulatorArgs { command: Some(command), .. }) => emulator::control::run(command, output).await,
        Command::Emulator(EmulatorArgs { command: None, .. }) => {
            Err(Failure::internal("the emulator command is handled before this"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    /// With `DPS_WRITE_MANUAL` in the environment it writes the pages into that folder: `cargo xtask dist` ships them.
    #[test]
    fn every_command_has_a_manual_page() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = std::env::var_os("DPS_WRITE_MANUAL").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
        clap_mangen::generate_to(Cli::command(), &folder).unwrap();
        for (page, text) in [
            ("dps", "demo"),
            ("dps-register", "id\\-scope"),
            ("dps-emulator", "https\\-port"),
            ("dps-emulator-fault-add", "retry\\-after"),
        ] {
            let page = std::fs::read_to_string(folder.join(format!("{page}.1"))).unwrap();
            assert!(page.contains(".SH NAME") && page.contains(text), "{page}");
        }
    }

    #[test]
    fn register_accepts_aliases_and_counts_stdin_inputs() {
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
