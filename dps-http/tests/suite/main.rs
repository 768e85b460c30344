//! The tests of `dps-http` over real sockets.

mod floods;
mod link;
mod proxy;
mod silent;
