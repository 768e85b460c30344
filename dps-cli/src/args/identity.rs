//! Who registers and with which key, as every command of a device takes it.

use std::path::PathBuf;

use clap::Args;

use super::is_stdin;

/// The id scope, the registration id and one key.
#[derive(Debug, Args)]
#[command(next_help_heading = "Identity")]
pub(crate) struct IdentityArgs {
    /// The id scope of the provisioning service, such as 0ne00A1B2C3
    #[arg(long, value_name = "S", visible_alias = "scope")]
    pub(crate) id_scope: String,
    /// The device's registration id
    #[arg(long, value_name = "R", visible_alias = "rid")]
    pub(crate) registration_id: String,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
}

/// Where the key is. One of the two, or one of the environment variables DPS_KEY and DPS_GROUP_KEY.
#[derive(Debug, Args)]
#[command(next_help_heading = "Identity")]
pub(crate) struct KeyArgs {
    /// A file with the device's key in base64 (- for stdin; or the key itself in DPS_KEY)
    #[arg(long, value_name = "FILE|-", conflicts_with = "group_key_file")]
    pub(crate) key_file: Option<PathBuf>,
    /// A file with the key of the enrollment group in base64, from which the device's key is derived (- for stdin; or
    /// the key itself in DPS_GROUP_KEY)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) group_key_file: Option<PathBuf>,
}

impl KeyArgs {
    pub(super) fn stdin_inputs(&self) -> usize {
        [&self.key_file, &self.group_key_file].into_iter().flatten().filter(|path| is_stdin(path)).count()
    }
}
