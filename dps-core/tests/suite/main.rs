//! The core's tests, in one program, so that it is linked once. `vectors.rs` is apart: it needs the repository's vectors.

mod attestations;
mod clockless;
mod common;
mod contract;
mod drive;
mod examples;
mod hints;
mod issuance;
mod limits;
mod replies;
mod sequences;
mod shown;
mod traits;
mod waits;
mod wire;
mod x509;
