//! Tests that are ignored unless a device of theirs is there: a PKCS#11 token, or a TPM.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::run::{TESTED, cargo, command, output, root};

/// A program of tests, run in the directory of its package.
pub(crate) struct Tests {
    pub(crate) package: &'static str,
    program: PathBuf,
}

impl Tests {
    /// The program, which runs the ignored tests alone.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut tests = command(&self.program, arguments);
        tests.arg("--ignored").current_dir(root().join(self.package));
        tests
    }
}

/// Builds tests, by their packages and names, as the workspace's build does.
pub(crate) fn build(tests: &[(&'static str, &'static str)]) -> Result<Vec<Tests>, String> {
    let names = tests.iter().flat_map(|(_, name)| ["--test", name]);
    let build = ["test", "--quiet", "--no-run", "--message-format", "json"].into_iter().chain(names);
    let messages = output(cargo(build).args(TESTED))?;
    let messages: Vec<Value> = messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let program = |name: &str| {
        let built = messages.iter().filter(|message| message["target"]["name"] == name);
        built.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next()
    };
    let found = tests.iter().map(|(package, name)| {
        let missing = || format!("cargo names no program of the test {name}");
        Ok(Tests { package, program: program(name).ok_or_else(missing)? })
    });
    found.collect()
}

/// Runs a program of tests and returns its output, which is the error where a test failed.
pub(crate) fn run(tests: &mut Command) -> Result<String, String> {
    let ended = tests.output();
    let output = ended.map_err(|error| format!("cannot run {}: {error}", tests.get_program().display()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(said) } else { Err(said + &String::from_utf8_lossy(&output.stderr)) }
}

/// The default builds of these packages do not have a library in them.
pub(crate) fn check_default_builds(packages: &[&str], library: &str) -> Result<(), String> {
    for package in packages {
        let tree = output(&mut cargo(["tree", "--locked", "-p", package, "--edges", "normal", "--prefix", "none"]))?;
        if tree.lines().any(|line| line.split(' ').next() == Some(library)) {
            return Err(format!("the default build of {package} uses {library}"));
        }
    }
    Ok(())
}
