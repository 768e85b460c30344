//! Runs the C library's tests with AddressSanitizer in the project's Rust code too.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::c_tests::{SANITIZERS, Tests, compile};
use crate::install_c::optimize_less;
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

/// Set in the environment of the process that takes the place of rustc.
const AS_RUSTC: &str = "DPS_XTASK_AS_RUSTC";

/// Builds the library with the project's crates instrumented, and the dependencies as the installed library has them.
///
/// Only the project's crates see the memory of C. The sanitizer is an unstable option, which is enabled for these crates alone:
/// enabled for cargo, or by a nightly compiler, all dependencies would be compiled again.
fn library(folder: &Path) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("the path of this program: {error}"))?;
    let what = ["--quiet", "--locked", "--release", "-p", "dps-c", "--lib", "--crate-type", "staticlib"];
    let mut build = cargo(["rustc"].iter().chain(&what));
    optimize_less(&mut build);
    run(build.env("RUSTC_WORKSPACE_WRAPPER", own).env(AS_RUSTC, "1"))?;
    let (built, kept) = (target_dir().join("release/libdps.a"), folder.join("libdps-sanitized.a"));
    // The next build without the sanitizer writes to the same path.
    std::fs::rename(&built, &kept).map_err(|error| format!("{}: {error}", built.display()))?;
    Ok(kept)
}

/// Runs rustc with AddressSanitizer, if this process takes its place. Build scripts run during the build, so that they are
/// not instrumented.
pub(crate) fn as_rustc() -> Option<ExitCode> {
    std::env::var_os(AS_RUSTC)?;
    let mut words = std::env::args_os().skip(1);
    let mut rustc = Command::new(words.next()?);
    let words: Vec<OsString> = words.collect();
    rustc.args(&words);
    let is_ours =
        words.windows(2).any(|pair| pair[0] == "--crate-name" && pair[1].to_string_lossy().starts_with("dps"));
    if is_ours {
        rustc.arg("-Zsanitizer=address").env("RUSTC_BOOTSTRAP", "1");
    }
    Some(if rustc.status().is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
