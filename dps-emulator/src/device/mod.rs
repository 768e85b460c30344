//! The device API, free of any protocol: register, operation status, lookup.
//!
//! A front parses its own frames, names the caller, and turns the [`Reply`] into frames again.

mod calls;
mod reply;

pub use reply::Reply;
