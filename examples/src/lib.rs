//! The parts that all examples share: the service, the device, and printing errors.
//!
//! They are set by arguments or the environment, as for the program `dps`; without them a local service is started.

mod any_error;
pub mod edge_site;
pub mod hub;
pub mod mqtt_hub;
mod setting;

pub use any_error::AnyError;
pub use setting::Setting;

/// The examples of the project's README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ProjectReadme;
