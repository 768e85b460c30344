//! The load on the service when a whole fleet is powered on at the same time.
//!
//! A million devices in virtual time against the emulator's rates ([`fleet`], drawn by [`picture`]), and ten thousand over
//! real sockets with faults on the way ([`loopback`]).
#![allow(clippy::expect_used, reason = "a broken setting should stop the run")]

mod chart;
mod device;
pub mod fleet;
mod front;
pub mod loopback;
mod naive;
pub mod picture;
mod series;
pub mod table;

pub use fleet::{FLEETS, Figures, Fleet};
pub use loopback::Loopback;
pub use series::Series;
