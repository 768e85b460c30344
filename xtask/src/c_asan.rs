//! Runs the C library's tests with AddressSanitizer in the project's Rust code too.

use std::path::{Path, PathBuf};

use crate::c_tests::{SANITIZERS, Tests, compile};
use crate::install_c::optimize_less;
use crate::instrumented::instrument;
use crate::run::{Outcome, build_workspace, cargo, command, output, run, target_dir};

pub(crate) fn check() -> Outcome {
    let folder = crate::c_vectors::write(target_dir().join("c"))?;
    let library = library(&folder)?;
    build_workspace()?;
    rust_is_watched(&folder, &library)?;
    Tests::build(&folder, "rust-sanitized", &SANITIZERS, &library)?.run("sanitizers of C and Rust", &[])
}

/// Returns why this cannot run here, and what to do about it.
pub(crate) fn missing() -> Option<String> {
    let is_known =
        cfg!(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")));
    (!is_known).then(|| "AddressSanitizer is not known to work on this system; the other checks still run".into())
}

/// Builds the library with the project's crates instrumented, and the dependencies as the installed library has them.
///
/// Only the project's crates see the memory of C.
fn library(folder: &Path) -> Result<PathBuf, String> {
    let what = ["--quiet", "--locked", "--release", "-p", "dps-c", "--lib", "--crate-type", "staticlib"];
    let mut build = cargo(["rustc"].iter().chain(&what));
    optimize_less(&mut build);
    instrument(&mut build, &["-Zsanitizer=address"])?;
    run(&mut build)?;
    let (built, kept) = (target_dir().join("release/libdps.a"), folder.join("libdps-sanitized.a"));
    // The next build without the sanitizer writes to the same path.
    std::fs::rename(&built, &kept).map_err(|error| format!("{}: {error}", built.display()))?;
    Ok(kept)
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
