//! The tests of `dps-net` over real sockets.

mod dial;
#[path = "../proxy_server/mod.rs"]
mod proxy_server;
mod silent;
