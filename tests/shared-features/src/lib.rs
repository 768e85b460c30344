//! Contains no code. Cargo compiles a dependency again for each set of its features, and a package that is built alone has
//! fewer than the workspace. With this crate among its dependencies it has the same, so that `cargo xtask test` compiles each
//! dependency once.
//!
//! No published crate depends on it. Where an entry is missing, nothing fails; a build is longer.
