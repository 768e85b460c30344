//! `dps enrollment` and `dps enrollment-group`: the same four words for both.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::is_stdin;
use super::owner::OwnerArgs;

/// `dps enrollment …`.
#[derive(Debug, Subcommand)]
pub(crate) enum EnrollmentCommand {
    /// Create the enrollment of one device
    Create(IndividualCreateArgs),
    /// Show an enrollment and its device's registration
    Show {
        #[command(flatten)]
        name: IndividualName,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// List all enrollments
    List {
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Delete an enrollment
    Delete {
        #[command(flatten)]
        name: IndividualName,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// `dps enrollment-group …`.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Create a group whose devices derive their keys from its key
    Create {
        #[command(flatten)]
        name: GroupName,
        #[command(flatten)]
        create: CreateArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show a group and the registrations of its devices
    Show {
        #[command(flatten)]
        name: GroupName,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// List all groups
    List {
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Delete a group
    Delete {
        #[command(flatten)]
        name: GroupName,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// The name of an individual enrollment, which is the device's registration id.
#[derive(Debug, Args)]
pub(crate) struct IndividualName {
    /// The registration id, which names the enrollment too
    #[arg(long = "registration-id", value_name = "R", visible_alias = "rid", alias = "enrollment-id")]
    pub(crate) registration_id: String,
}

/// The name of a group.
#[derive(Debug, Args)]
pub(crate) struct GroupName {
    /// The enrollment group's id
    #[arg(long = "group-id", value_name = "G", visible_alias = "enrollment-id")]
    pub(crate) group_id: String,
}

/// `dps enrollment create`.
#[derive(Debug, Args)]
pub(crate) struct IndividualCreateArgs {
    #[command(flatten)]
    pub(crate) name: IndividualName,
    /// The device id at the hub. Default: the registration id
    #[arg(long, value_name = "D")]
    pub(crate) device_id: Option<String>,
    #[command(flatten)]
    pub(crate) create: CreateArgs,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// What both kinds can be created with.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The devices are IoT Edge devices
    #[arg(long)]
    pub(crate) edge_enabled: bool,
    /// The tags that a device's twin begins with: one JSON object
    #[arg(long, value_name = "JSON")]
    pub(crate) initial_twin_tags: Option<String>,
    /// The desired properties that a device's twin begins with: one JSON object
    #[arg(long, value_name = "JSON")]
    pub(crate) initial_twin_properties: Option<String>,
    /// Refuse the devices for now
    #[arg(long)]
    pub(crate) disabled: bool,
    /// Assign to this hub alone (repeat for several). Default: any linked hub
    #[arg(long = "hub", value_name = "HOST")]
    pub(crate) hubs: Vec<String>,
    /// What a later registration does when the hub changes
    #[arg(long, value_enum, default_value_t = Reprovision::Migrate)]
    pub(crate) reprovision: Reprovision,
    /// A file with the primary key in base64 (- for stdin). Default: the service makes both keys
    #[arg(long, value_name = "FILE|-", requires = "secondary_key_file")]
    pub(crate) primary_key_file: Option<PathBuf>,
    /// A file with the secondary key in base64 (- for stdin)
    #[arg(long, value_name = "FILE|-", requires = "primary_key_file")]
    pub(crate) secondary_key_file: Option<PathBuf>,
    /// Write the primary key into this new file, readable for its owner alone
    #[arg(long, value_name = "FILE")]
    pub(crate) key_out: Option<PathBuf>,
    /// Replace an enrollment of this name; without it, one that is there is left as it is and reported
    #[arg(long)]
    pub(crate) replace: bool,
}

/// What a later registration does when the hub changes (Azure IoT DPS documentation, "Reprovisioning concepts").
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reprovision {
    /// The device moves to the new hub with its data
    Migrate,
    /// The device moves to the new hub and begins anew
    Reset,
    /// The device stays where it is
    Never,
}

/// How to reach the service's side that manages enrollments, and what to show of them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub(crate) struct AdminArgs {
    #[command(flatten)]
    pub(crate) owner: OwnerArgs,
    /// Print the symmetric keys too
    #[arg(long)]
    pub(crate) show_keys: bool,
}

impl CreateArgs {
    fn stdin_inputs(&self) -> usize {
        [&self.primary_key_file, &self.secondary_key_file].into_iter().flatten().filter(|path| is_stdin(path)).count()
    }
}

impl EnrollmentCommand {
    pub(super) fn stdin_inputs(&self) -> usize {
        match self {
            Self::Create(args) => args.create.stdin_inputs() + args.admin.owner.stdin_inputs(),
            Self::Show { admin, .. } | Self::List { admin } | Self::Delete { admin, .. } => admin.owner.stdin_inputs(),
        }
    }
}

impl GroupCommand {
    pub(super) fn stdin_inputs(&self) -> usize {
        match self {
            Self::Create { create, admin, .. } => create.stdin_inputs() + admin.owner.stdin_inputs(),
            Self::Show { admin, .. } | Self::List { admin } | Self::Delete { admin, .. } => admin.owner.stdin_inputs(),
        }
    }
}
