//! What may be written on the command line, and nothing of what is done about it.
//!
//! Secrets are never arguments: every key is named by a file, `-` or an environment variable.

mod bulk;
mod connection;
mod duration;
mod edge;
mod emulator;
mod enrollment;
mod fault;
mod hub_device;
mod identity;
mod owner;

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use bulk::{DeriveKeyArgs, RowFormat};
pub(crate) use connection::{ConnectionArgs, ProxyArgs, TransportName, TrustArgs};
pub(crate) use edge::{EdgeCommand, EdgeProvisionArgs};
pub(crate) use emulator::{EmulatorArgs, EmulatorCommand, EmulatorRunArgs};
pub(crate) use enrollment::{AdminArgs, CreateArgs, EnrollmentCommand, GroupCommand, Reprovision};
pub(crate) use fault::{FaultAddArgs, FaultCommand};
pub(crate) use hub_device::{HubDeviceArgs, HubDeviceCommand};
pub(crate) use identity::{IdentityArgs, KeyArgs};
pub(crate) use owner::OwnerArgs;

use duration::duration;

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

/// `dps token`.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    /// How long the token is good for, such as 90s, 30m, 1h or 1d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub(crate) ttl: std::time::Duration,
}

/// Who the device is and how it reaches the service: what `dps lookup` and `dps check` need.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// `dps register`.
#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// A file with one JSON object for the allocation webhook (- for stdin)
    #[arg(long, value_name = "JSON")]
    pub(crate) payload_file: Option<PathBuf>,
    /// Also print the device's connection string, which contains its key
    #[arg(long)]
    pub(crate) connection_string: bool,
    /// Keep the operation in FILE while it is under way, and resume from it when it is there
    #[arg(long, value_name = "FILE")]
    pub(crate) resume: Option<PathBuf>,
    /// When the service refuses a token and its clock is far from ours, sign once more with its time
    #[arg(long)]
    pub(crate) correct_clock: bool,
    /// Over MQTT: send CONNECT, SUBSCRIBE and the registration in one flight. Saves two round trips; MQTT allows it,
    /// the service does not promise it
    #[arg(long)]
    pub(crate) pipelined: bool,
}

impl DeviceArgs {
    fn stdin_inputs(&self) -> usize {
        self.identity.key.stdin_inputs() + self.connection.proxy.stdin_inputs()
    }
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

/// Whether a path stands for stdin.
pub(crate) fn is_stdin(path: &std::path::Path) -> bool {
    path.as_os_str() == OsStr::new("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

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
