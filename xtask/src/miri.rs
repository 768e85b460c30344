//! Runs the tests of the C library's modules for the caller's memory, where pointers from C become references, under
//! Miri, which finds references that must not exist.

use crate::run::{Outcome, command, output, run, target_dir};

pub(crate) fn check() -> Outcome {
    let what = ["-p", "dps-c", "--no-default-features", "--lib", "--", "memory::", "input::", "span::"];
    let mut miri = command("rustup", ["run", "nightly", "cargo", "miri", "test", "--quiet", "--locked"]);
    run(miri.args(what).env("CARGO_TARGET_DIR", target_dir().join("miri")))
}

/// Why Miri cannot be run here, and what to do about it.
pub(crate) fn missing() -> Option<String> {
    let found = output(&mut command("rustup", ["run", "nightly", "cargo", "miri", "--version"])).is_ok();
    (!found).then(|| "Miri is missing; get it by: rustup component add miri rust-src --toolchain nightly".into())
}
