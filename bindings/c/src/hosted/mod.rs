//! The hosted flavor, for programs on an operating system: a whole registration in one blocking call of `dps-client`.
//!
//! This part uses a heap, files, sockets and, for the duration of a call, a runtime on the caller's thread. No thread is
//! left afterwards, unless a resolver or a token blocks it, and nothing is global but constant tables and tokens' modules.

pub mod assignment;
mod attempt;
pub mod cancel;
pub mod client;
pub mod config;
pub mod credential;
pub mod error;
pub mod hub;
pub mod issued;
pub mod log;
mod options;
pub mod progress;
pub mod renewal;
#[cfg(unix)]
mod sigpipe;
pub mod sized;
pub mod store;
