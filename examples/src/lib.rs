//! The parts that all examples share: the service, the device, and printing errors.
//!
//! They are set by arguments or the environment, as for the program `dps`; without them a local service is started.

pub mod edge_site;
pub mod hub;
pub mod mqtt_hub;
mod setting;
mod told;

pub use setting::Setting;
pub use told::Told;

/// The examples of the project's README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ProjectReadme;
