//! Counts the copies of a key, a token and a proxy's password in the memory of a release build that registers, from C
//! and Rust. The unit tests check the same in a debug build.

use crate::c_tests::run_with_release_build;
use crate::run::{Outcome, build_workspace, cargo, run};

pub(crate) fn check() -> Outcome {
    run(&mut cargo(["build", "--locked", "--quiet", "--release", "-p", "dps-c"]))?;
    build_workspace()?;
    check_c()?;
    let test = ["test", "--locked", "--quiet", "--release", "-p", "dps-client", "--test", "suite", "memory::"];
    run(&mut cargo(test.iter().chain(&["--", "--nocapture"])))
}

/// The C part, once the release build of the library is there.
pub(crate) fn check_c() -> Outcome {
    run_with_release_build("memory")
}
