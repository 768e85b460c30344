//! `dps edge`: the configuration of an IoT Edge gateway.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use dps_edge::EdgeVersion;

use super::connection::ConnectionArgs;
use super::is_stdin;

/// What can be done with a configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum EdgeCommand {
    /// Find what is wrong in a config.toml or config.yaml, each with line and column
    Lint {
        /// The configuration, or the folder that it is in, such as /etc/aziot
        file: PathBuf,
        /// List only what changes between this version and the other one, as for an upgrade
        #[arg(long, value_name = "V")]
        from: Option<EdgeVersion>,
        /// The version of IoT Edge that is to read it: 1.1 to 1.6, such as 1.4 or 1.4.20. Default: the newest that reads this form
        #[arg(long, value_name = "V")]
        edge_version: Option<EdgeVersion>,
    },
    /// Show what a configuration says about provisioning
    Show {
        /// The configuration
        file: PathBuf,
        /// Show keys, PINs and passwords too
        #[arg(long)]
        show_keys: bool,
    },
    /// Write a config.toml (1.2 and later) from a config.yaml (1.1)
    Convert {
        /// The config.yaml
        file: PathBuf,
        /// Where to write the config.toml; it is made readable for its owner alone
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Replace a file that is there
        #[arg(long)]
        force: bool,
    },
    /// Change one value in place and keep every other byte
    Set {
        /// The configuration
        file: PathBuf,
        /// The value's path, such as provisioning.id_scope
        key: String,
        /// The new value, or - for stdin; a key never stands on the command line
        #[arg(required_unless_present = "value_file")]
        value: Option<String>,
        /// A file with the new value
        #[arg(long, value_name = "FILE", conflicts_with = "value")]
        value_file: Option<PathBuf>,
        /// The version of IoT Edge that is to read the file
        #[arg(long, value_name = "V")]
        edge_version: Option<EdgeVersion>,
    },
    /// Print the PowerShell commands that provision the same on Windows
    Windows {
        /// The configuration
        file: PathBuf,
        /// Where the key will be on the Windows machine
        #[arg(long, value_name = "PATH", default_value = "device.key")]
        key_file: String,
    },
    /// Provision as the gateway would: by its mode, its backup and the service
    Provision(EdgeProvisionArgs),
}

/// `dps edge provision`.
#[derive(Debug, Args)]
pub(crate) struct EdgeProvisionArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// Where backups are kept. Default: dps-edge in XDG_STATE_HOME, or in ~/.local/state
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Use the daemon's own backup, in its home folder DIR (/var/lib/iotedge or /var/lib/aziot/identityd)
    #[arg(long, value_name = "DIR", conflicts_with = "state_dir")]
    pub(crate) daemon_dir: Option<PathBuf>,
    /// Say what would be done and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl EdgeCommand {
    pub(super) fn stdin_inputs(&self) -> usize {
        match self {
            Self::Set { value, value_file, .. } => {
                usize::from(value.as_deref() == Some("-") || value_file.as_deref().is_some_and(is_stdin))
            }
            Self::Provision(args) => args.connection.proxy.stdin_inputs(),
            _ => 0,
        }
    }
}
