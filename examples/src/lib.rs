//! What every example needs and none is about: where the service is, who the device is, and how an error is told.
//!
//! Named by arguments or the environment, as for the program `dps`; a service of its own is started where none is named.

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
