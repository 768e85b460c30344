//! Builds the project's crates with more flags than their dependencies.
//!
//! Cargo has a program in place of rustc for the workspace's crates alone (the Cargo Book, `RUSTC_WORKSPACE_WRAPPER`): this
//! one. Flags for every crate, as in `RUSTFLAGS`, would have all dependencies compiled again.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// Set in the environment of the process that takes the place of rustc: the flags, separated by spaces.
const FLAGS: &str = "DPS_XTASK_RUSTC_FLAGS";

/// Has cargo build the project's crates with these flags, unstable ones among them.
pub(crate) fn instrument(cargo: &mut Command, flags: &[&str]) -> Result<(), String> {
    let own = std::env::current_exe().map_err(|error| format!("the path of this program: {error}"))?;
    cargo.env("RUSTC_WORKSPACE_WRAPPER", own).env(FLAGS, flags.join(" "));
    Ok(())
}

/// Runs rustc with the flags, if this process takes its place. Build scripts run during the build, so that they do without.
pub(crate) fn as_rustc() -> Option<ExitCode> {
    let flags = std::env::var(FLAGS).ok()?;
    let mut words = std::env::args_os().skip(1);
    let mut rustc = Command::new(words.next()?);
    let words: Vec<OsString> = words.collect();
    rustc.args(&words);
    let name = words.windows(2).find(|pair| pair[0] == "--crate-name").map(|pair| pair[1].to_string_lossy());
    if name.is_some_and(|name| !name.starts_with("build_script")) {
        // Unstable flags are allowed for these crates alone: where cargo has this in its environment, build scripts find
        // another compiler, and all dependencies are compiled again.
        rustc.args(flags.split(' ')).env("RUSTC_BOOTSTRAP", "1");
    }
    Some(if rustc.status().is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
