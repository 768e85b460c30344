//! Checks a blocking call on a small stack, like that of musl's threads, from C and Rust, in a release build; and that the
//! shared library cannot be unloaded.

use std::path::Path;

use crate::c_tests::run_with_release_build;
use crate::run::{Outcome, build_workspace, cargo, command, output, run, target_dir};

pub(crate) fn check() -> Outcome {
    run(&mut cargo(["build", "--locked", "--quiet", "--release", "-p", "dps-c"]))?;
    build_workspace()?;
    check_c()?;
    run(&mut cargo([
        "test",
        "--locked",
        "--quiet",
        "--release",
        "-p",
        "dps-client",
        "--test",
        "suite",
        "small_stack::",
    ]))
}

/// The C part, once the release build of the library is there.
pub(crate) fn check_c() -> Outcome {
    stays_loaded(&target_dir().join("release/libdps.so"))?;
    run_with_release_build("small_stack")
}

/// A thread that resolves a name may outlive its call, so that the library must not be unloaded under it.
fn stays_loaded(library: &Path) -> Outcome {
    let flags = output(command("readelf", ["--dynamic", "--wide"]).arg(library))?;
    if flags.contains("NODELETE") {
        return Ok(());
    }
    Err(format!("{} can be unloaded while it resolves a name: it is not linked with -z nodelete", library.display()))
}
