//! `dps emulator hub-device`: which device of which hub, and what is to become of it.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

use super::owner::OwnerArgs;

/// `dps emulator hub-device …`.
#[derive(Debug, Subcommand)]
pub(crate) enum HubDeviceCommand {
    /// Show whether the hub lets the device in, and how often the device came
    Show(HubDeviceArgs),
    /// Have the hub turn the device away
    Disable(HubDeviceArgs),
    /// Have the hub let the device in again
    Enable(HubDeviceArgs),
    /// Delete the device from the hub
    Delete(HubDeviceArgs),
    /// Move the device to another hub that is linked
    Move {
        #[command(flatten)]
        device: HubDeviceArgs,
        /// The hub that the device is to be in
        #[arg(long, value_name = "HOST", value_parser = NonEmptyStringValueParser::new())]
        to: String,
    },
}

/// A device in a hub.
#[derive(Debug, Args)]
pub(crate) struct HubDeviceArgs {
    /// The hub that the device is in, such as hub-a.test
    #[arg(long, value_name = "HOST", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) hub: String,
    /// The device's id in the hub
    #[arg(long, value_name = "D", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) device_id: String,
    #[command(flatten)]
    pub(crate) owner: OwnerArgs,
}

impl HubDeviceCommand {
    pub(super) fn stdin_inputs(&self) -> usize {
        match self {
            Self::Show(device)
            | Self::Disable(device)
            | Self::Enable(device)
            | Self::Delete(device)
            | Self::Move { device, .. } => device.owner.stdin_inputs(),
        }
    }
}
