//! Acceptance of devices: runs any client of the Azure IoT Hub Device Provisioning Service through faults of the
//! service and the network, and scores what reached the service.
//!
//! Start at [`Acceptance`]. `dps emulator accept` is this crate as a program.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = ""]
#![doc = include_str!("../README.md")]

mod board;
mod card;
mod certificates;
mod error;
mod impostor;
mod judge;
mod junit;
mod observe;
mod place;
mod process;
mod run;
mod scenario;
mod scene;
mod seen;
mod settings;

pub use board::{Board, Reset};
pub use card::{Card, Outcome, ScenarioResult, Tally};
pub use error::AcceptError;
pub use run::Acceptance;
pub use scenario::{Credential, Level, Scenario, ScenarioSet, Transport};

/// The environment variables and placeholders by which a device's command learns its settings: the variable, the name
/// between braces, and what it is.
#[must_use]
pub fn settings() -> &'static [(&'static str, &'static str, &'static str)] {
    &settings::NAMES
}
