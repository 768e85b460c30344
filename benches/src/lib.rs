//! What is measured, and the peers beside it. The benches, the instruction counts and the tests of what an operation
//! costs all take it from here, so that they speak of the same thing. Nothing in it is part of the product.
#![allow(clippy::expect_used, reason = "a bench that is broken should stop")]

mod flow;
mod keys;
mod operation;
pub mod relay;
mod token;
mod wire;

pub use keys::{GROUP_KEY, by_crates, ids, line_by_crates, prepare_by_crates};
pub use operation::{OPERATIONS, Operation};
