//! The tests of `dps-net` over real sockets.

mod dial;
mod silent;
