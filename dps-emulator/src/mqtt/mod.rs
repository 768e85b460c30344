//! The MQTT 3.1.1 shape of the service: bytes in, and what is to be done out. No socket and no clock.
//!
//! One session a connection, whatever carries its bytes. Packets are `mqtt-protocol-core`'s, another implementation than
//! any client's; what a topic or a user name means is here.

mod hub;
mod session;
mod topic;
mod user_name;

pub use session::{Effect, Session};
