//! Tests of keys in PKCS#11 tokens: builds the module that forwards to SoftHSM and injects faults, and runs the tests that
//! need it. They are ignored otherwise.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::c_tests::WARNINGS;
use crate::run::{Outcome, TESTED, cargo, command, output, report, root, run, target_dir};

/// Names the module in the environment of the tests, in every language.
const MODULE: &str = "DPS_TEST_PKCS11_MODULE";
/// How many tests run at a time; most wait.
const AT_A_TIME: usize = 4;

pub(crate) fn check() -> Outcome {
    check_default_build()?;
    let module = build_module()?;
    let program = build_tests()?;
    let run = |arguments: &[&str]| run_tests(&program, &module, arguments);
    let listed = run(&["--list"])?;
    let names: VecDeque<&str> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    if names.is_empty() {
        return Err("there are no tests".into());
    }
    let count = names.len();
    let (names, problems) = (Mutex::new(names), Mutex::new(Vec::new()));
    // Each in a process of its own: SoftHSM has one configuration in a process.
    std::thread::scope(|threads| {
        for _ in 0..AT_A_TIME {
            threads.spawn(|| {
                while let Some(name) = next(&names) {
                    if let Err(problem) = run(&["--exact", name]) {
                        problems.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
                    }
                }
            });
        }
    });
    report(&problems.into_inner().unwrap_or_else(PoisonError::into_inner))?;
    println!("{count} tests of keys in tokens passed");
    Ok(())
}

/// Runs the tests' program and returns its output, which is the error where a test failed.
fn run_tests(program: &Path, module: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut tests = command(program, arguments);
    let ended = tests.arg("--ignored").current_dir(root().join("dps-client")).env(MODULE, module).output();
    let output = ended.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(said) } else { Err(said + &String::from_utf8_lossy(&output.stderr)) }
}

fn next<'n>(names: &Mutex<VecDeque<&'n str>>) -> Option<&'n str> {
    names.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// The default build of the client has no PKCS#11 library in it.
fn check_default_build() -> Outcome {
    let tree = output(&mut cargo(["tree", "--locked", "-p", "dps-client", "--edges", "normal", "--prefix", "none"]))?;
    if tree.contains("cryptoki") { Err("the default build of dps-client uses cryptoki".into()) } else { Ok(()) }
}

/// Builds the tests as the workspace's build does, and returns their program.
fn build_tests() -> Result<PathBuf, String> {
    let build = ["test", "--quiet", "--no-run", "--test", "pkcs11", "--message-format", "json"];
    let messages = output(cargo(build).args(TESTED))?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs = messages.filter(|message| message["target"]["name"] == "pkcs11");
    let program = programs.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    program.ok_or_else(|| "cargo names no program of the tests".into())
}

/// Builds the module in `target/pkcs11` and returns its path.
pub(crate) fn build_module() -> Result<PathBuf, String> {
    let folder = target_dir().join("pkcs11");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let module = folder.join("module.so");
    let mut gcc = command("gcc", WARNINGS);
    // Functions are kept in tables without their types.
    gcc.args(["-std=c11", "-Wno-pedantic", "-Wno-cast-function-type", "-fvisibility=hidden", "-shared", "-fPIC"]);
    gcc.arg(format!("-DSOFTHSM=\"{}\"", softhsm()?.display())).arg("-o").arg(&module);
    run(gcc.arg("tests/pkcs11/module.c").arg("-ldl"))?;
    Ok(module)
}

/// SoftHSM's module, where distributions have it.
fn softhsm() -> Result<PathBuf, String> {
    let folders =
        ["/usr/lib/softhsm", "/usr/lib64/softhsm", "/usr/lib64/pkcs11", "/usr/lib/pkcs11", "/usr/local/lib/softhsm"];
    let modules = folders.map(|folder| Path::new(folder).join("libsofthsm2.so"));
    modules
        .into_iter()
        .find(|module| module.exists())
        .ok_or_else(|| "SoftHSM is not installed: cargo xtask setup".into())
}
