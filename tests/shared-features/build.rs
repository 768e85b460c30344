//! Empty: cargo reads the dependencies of build scripts only for packages that have one.

fn main() {}
