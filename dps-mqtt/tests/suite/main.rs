//! The tests of `dps-mqtt` over real sockets.

mod floods;
mod link;
mod server;
