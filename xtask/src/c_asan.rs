//! Runs the C library's tests with AddressSanitizer in its Rust code too, which needs a nightly compiler.

use std::path::{Path, PathBuf};

use crate::c_tests::{SANITIZERS, Tests, compile};
use crate::run::{Outcome, build_workspace, command, output, run, target_dir};
use crate::setup::has_nightly;

pub(crate) fn check() -> Outcome {
    let folder = crate::c_vectors::write(target_dir().join("c"))?;
    let library = library()?;
    build_workspace()?;
    rust_is_watched(&folder, &library)?;
    Tests::build(&folder, "rust-sanitized", &SANITIZERS, &library)?.run("sanitizers of C and Rust", &[])
}

/// Returns why this cannot run here, and what to do about it.
pub(crate) fn missing() -> Option<String> {
    let target = target();
    if !has_nightly() {
        return Some("a nightly compiler is missing; install one by: rustup toolchain install nightly".into());
    }
    (!target.as_ref().is_ok_and(|target| target.ends_with("-linux-gnu")))
        .then(|| format!("AddressSanitizer is not known to work here: {target:?}"))
}

/// What this machine is to Rust. Named, so that build scripts are not instrumented.
fn target() -> Result<String, String> {
    let said = output(&mut command("rustup", ["run", "nightly", "rustc", "--version", "--verbose"]))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| format!("rustc does not tell its host: {said}"))
}

/// The instrumented library. By ring, which builds faster.
fn library() -> Result<PathBuf, String> {
    let (target, folder) = (target()?, target_dir().join("asan"));
    let what = ["--quiet", "--locked", "-p", "dps-c", "--lib", "--crate-type", "staticlib", "--no-default-features"];
    let mut nightly = command("rustup", ["run", "nightly", "cargo", "rustc", "--features", "hosted,ring", "--target"]);
    nightly.arg(&target).args(what).env("RUSTFLAGS", "-Zsanitizer=address");
    run(nightly.env("CARGO_TARGET_DIR", &folder))?;
    Ok(folder.join(target).join("debug/libdps.a"))
}

/// Checks that a read beyond the caller's memory by Rust code is reported, since otherwise a clean run would mean nothing.
fn rust_is_watched(folder: &Path, library: &Path) -> Outcome {
    let control = compile(folder, "control-rust", &["control_rust.c"], &SANITIZERS, Some(library))?;
    let caught = output(&mut command(&control, [""; 0]));
    if !caught.as_ref().is_err_and(|said| said.contains("heap-buffer-overflow") && said.contains("dps")) {
        return Err(format!("a read beyond a span's memory by Rust code is not reported: {caught:?}"));
    }
    println!("a read beyond a span's memory by Rust code is reported");
    Ok(())
}
