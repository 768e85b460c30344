//! What an operating system makes possible: a whole registration in one blocking call, with `dps-client` behind it.
//!
//! Here there are a heap, files, sockets and, for the time of a call, a runtime on the caller's thread. No thread stays
//! and nothing is global.

pub mod assignment;
pub mod cancel;
pub mod client;
pub mod config;
pub mod error;
pub mod log;
mod options;
pub mod progress;
#[cfg(unix)]
mod sigpipe;
pub mod sized;
