//! The operations that are measured, and their peers. The benches, the instruction counts and the tests of costs all use
//! these operations. Nothing here is part of the product.
#![allow(clippy::expect_used, reason = "a bench that is broken should stop")]

mod flow;
mod keys;
mod operation;
pub mod relay;
mod token;
mod wire;

pub use keys::{GROUP_KEY, by_crates, ids, line_by_crates, prepare_by_crates};
pub use operation::{OPERATIONS, Operation};
