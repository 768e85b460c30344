//! Runs other programs and reports failures; used by all tasks.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Success, or the problem.
pub(crate) type Outcome = Result<(), String>;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Returns cargo's target directory.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Set in the environment of checks that `cargo xtask test` runs.
pub(crate) const IS_PART: &str = "DPS_XTASK_TEST";

/// Returns whether this check was started by `cargo xtask test`.
pub(crate) fn is_part_of_all() -> bool {
    std::env::var_os(IS_PART).is_some()
}

/// Returns the arguments after the task's name on the command line.
pub(crate) fn arguments() -> Vec<String> {
    std::env::args().skip(2).collect()
}

/// The cargo that runs this task, in the repository's root.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), arguments)
}

/// The folders into which cargo has unpacked the crates of each registry.
pub(crate) fn registries() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo"))).unwrap_or_default();
    let listed = std::fs::read_dir(home.join("registry/src"));
    let mut folders: Vec<PathBuf> = listed.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

/// What is built and tested together: with other packages, cargo would build the dependencies again with the features that
/// those need. Not the Python package: its tests are in Python, and its build is by pip. The C library with every feature.
pub(crate) const TESTED: [&str; 6] =
    ["--locked", "--workspace", "--exclude", "dps-python", "--features", "dps-c/pkcs11,dps-c/tpm,dps-cli/tpm"];

/// Builds every program, example and library as the tests do.
pub(crate) fn build_workspace() -> Outcome {
    run(cargo(["build", "--quiet", "--all-targets"]).args(TESTED))
}

/// A program in the repository's root.
pub(crate) fn command<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs a program with its output on the terminal.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let status = command.status().map_err(|error| format!("cannot run {}: {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", shown(command))) }
}

/// Runs a program and returns its stdout; its stderr goes into the error.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("cannot run {}: {error}", shown(command)))?;
    if output.status.success() {
        return String::from_utf8(output.stdout).map_err(|error| format!("`{}`: {error}", shown(command)));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{}` ended with {}:\n{said}", shown(command), output.status))
}

/// The same under a time limit of a minute.
pub(crate) fn limited(program: &Command) -> Command {
    let mut limited = command("timeout", ["60"]);
    limited.arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Returns whether a program is installed.
pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Reads a file of the repository.
pub(crate) fn read(path: impl AsRef<Path>) -> Result<String, String> {
    let path = root().join(path);
    std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Returns the files that git tracks, as paths from the root.
pub(crate) fn tracked() -> Result<Vec<String>, String> {
    let listed = output(&mut command("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
    let there = |path: &&str| !path.is_empty() && root().join(path).is_file();
    Ok(listed.split('\0').filter(there).map(str::to_owned).collect())
}

/// Returns all problems as one error, one per line.
pub(crate) fn report(problems: &[String]) -> Outcome {
    if problems.is_empty() { Ok(()) } else { Err(format!("{} found\n  {}", problems.len(), problems.join("\n  "))) }
}
