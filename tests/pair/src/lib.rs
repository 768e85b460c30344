//! The state machine and the emulator, connected byte by byte in virtual time.
//!
//! The main tests of the core use this: latency, loss, skewed clocks and every fault, each in microseconds. It implements no
//! rule of either side; the tests are in `tests`.
#![allow(clippy::expect_used, reason = "a broken test setting should stop the test")]

mod due;
pub mod link;
pub mod matrix;
pub mod mqtt_link;
pub mod scene;
pub mod weather;
pub mod world;

pub use link::PairLink;
pub use mqtt_link::MqttPairLink;
pub use scene::{End, Scene};
pub use weather::Weather;
pub use world::{Sent, SharedService, World};
