//! Tests of the built program: its streams, its files and its exit codes.

mod bulk;
mod certificates;
mod check;
mod check_faults;
mod clock_offset;
mod closed_streams;
mod command_line;
mod demo;
mod derive_key;
mod edge;
mod edge_offline;
mod emulator;
mod enrollment;
mod escapes;
mod failures;
mod faults;
mod files;
mod hub_device;
mod interrupted;
mod register;
mod run;
mod secrets;
mod service;
#[cfg(target_os = "linux")]
#[path = "../../../dps-client/tests/suite/stalled.rs"]
mod stalled;
#[cfg(target_os = "linux")]
mod stalled_resolver;
mod token;
