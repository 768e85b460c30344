//! `dps emulator`: to run one, or to speak to one that is running.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::fault::FaultCommand;
use super::hub_device::HubDeviceCommand;
use super::owner::OwnerArgs;

/// `dps emulator`, alone or with a word of its own.
#[derive(Debug, Args)]
pub(crate) struct EmulatorArgs {
    #[command(flatten)]
    pub(crate) run: EmulatorRunArgs,
    #[command(subcommand)]
    pub(crate) command: Option<EmulatorCommand>,
}

/// What can be asked of an emulator that is running.
#[derive(Debug, Subcommand)]
pub(crate) enum EmulatorCommand {
    /// Plan failures of an emulator that is running, list them, take them back
    #[command(subcommand)]
    Fault(FaultCommand),
    /// Show how often an emulator that is running was called
    Counters {
        /// Count the calls of this device alone
        #[arg(long, value_name = "R", visible_alias = "rid")]
        registration_id: Option<String>,
        #[command(flatten)]
        owner: OwnerArgs,
    },
    /// Show the latest hundred credentials that an emulator that is running refused, and why
    Log {
        #[command(flatten)]
        owner: OwnerArgs,
    },
    /// Look at a device in a hub of an emulator that is running, disable, delete or move it
    #[command(subcommand)]
    HubDevice(HubDeviceCommand),
}

impl EmulatorArgs {
    pub(super) fn stdin_inputs(&self) -> usize {
        match &self.command {
            None => 0,
            Some(EmulatorCommand::Fault(command)) => command.stdin_inputs(),
            Some(EmulatorCommand::Counters { owner, .. } | EmulatorCommand::Log { owner }) => owner.stdin_inputs(),
            Some(EmulatorCommand::HubDevice(command)) => command.stdin_inputs(),
        }
    }
}

/// Where the local service listens and what it keeps.
#[derive(Debug, PartialEq, Args)]
pub(crate) struct EmulatorRunArgs {
    /// The address to listen on; beyond loopback, every machine that reaches it may try its credentials
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) listen: IpAddr,
    /// A name or address that the certificate is to bear, besides localhost, 127.0.0.1 and ::1 (repeatable)
    #[arg(long = "host", value_name = "NAME")]
    pub(crate) hosts: Vec<String>,
    /// The port of the HTTPS front; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) https_port: u16,
    /// The port of the MQTT front; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) mqtt_port: u16,
    /// The port of the MQTT over WebSocket front; 0 takes a free one, and that of HTTPS can be shared
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) wss_port: u16,
    /// Also write the certificate authority to this file
    #[arg(long, value_name = "PEM")]
    pub(crate) ca_out: Option<PathBuf>,
    /// Keep enrollments, certificate authority and policy key in this folder. Default: nothing is kept
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// The id scope of the local service
    #[arg(long, value_name = "S", visible_alias = "scope")]
    pub(crate) id_scope: Option<String>,
    /// A hub that devices may be assigned to (repeatable). Default: hub-a.test
    #[arg(long = "hub", value_name = "NAME")]
    pub(crate) hubs: Vec<String>,
    /// The wait, in seconds, that the service asks of a device while it assigns a hub
    #[arg(long, value_name = "SECONDS")]
    pub(crate) retry_after: Option<u32>,
    /// How long an assignment takes, in milliseconds. Default: 500
    #[arg(long, value_name = "MS")]
    pub(crate) assigning_ms: Option<u64>,
    /// Answer a register call with the assignment at once; some published clients expect to poll
    #[arg(long)]
    pub(crate) assign_at_once: bool,
    /// Give the payload of a register call back with the assignment, as a custom allocation webhook might
    #[arg(long)]
    pub(crate) echo_payload: bool,
}

impl EmulatorRunArgs {
    /// Whether any of them says something else than its default. The parser's own rule for this would take `--json` for
    /// one of them.
    pub(crate) fn is_given(&self) -> bool {
        #[derive(Parser)]
        struct Defaults {
            #[command(flatten)]
            run: EmulatorRunArgs,
        }
        Defaults::try_parse_from(["emulator"]).is_ok_and(|defaults| defaults.run != *self)
    }
}
