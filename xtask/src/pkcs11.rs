//! Tests of keys in PKCS#11 tokens: builds the module that forwards to SoftHSM and injects faults, and runs the tests that
//! need it. They are ignored otherwise.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::c_tests::{WARNINGS, compile, library};
use crate::run::{Outcome, TESTED, build_workspace, cargo, command, output, report, root, run, target_dir};

/// Names the module in the environment of the tests, in every language.
const MODULE: &str = "DPS_TEST_PKCS11_MODULE";
/// How many tests run at a time; most wait.
const AT_A_TIME: usize = 4;

/// The tests: their packages and names.
const TESTS: [(&str, &str); 2] = [("dps-client", "pkcs11"), ("dps-cli", "program")];

/// A program of tests, run in the directory of its package.
struct Tests {
    package: &'static str,
    program: PathBuf,
}

impl Tests {
    /// Runs those that need SoftHSM, and returns the output, which is the error where a test failed.
    fn run(&self, module: &Path, arguments: &[&str]) -> Result<String, String> {
        let mut tests = command(&self.program, arguments);
        let ended = tests.arg("--ignored").current_dir(root().join(self.package)).env(MODULE, module).output();
        let output = ended.map_err(|error| format!("cannot run {}: {error}", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() { Ok(said) } else { Err(said + &String::from_utf8_lossy(&output.stderr)) }
    }
}

pub(crate) fn check() -> Outcome {
    check_default_build()?;
    let module = build_module()?;
    let programs = build_tests()?;
    let mut names = VecDeque::new();
    for tests in &programs {
        let listed = tests.run(&module, &["--list"])?;
        let found = listed.lines().filter_map(|line| line.strip_suffix(": test"));
        let before = names.len();
        names.extend(found.map(|name| (tests, name.to_owned())));
        if names.len() == before {
            return Err(format!("there are no tests in {}", tests.package));
        }
    }
    let count = names.len();
    let (names, problems) = (Mutex::new(names), Mutex::new(Vec::new()));
    // Each in a process of its own: SoftHSM has one configuration in a process.
    std::thread::scope(|threads| {
        for _ in 0..AT_A_TIME {
            threads.spawn(|| {
                while let Some((tests, name)) = next(&names) {
                    if let Err(problem) = tests.run(&module, &["--exact", &name]) {
                        problems.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
                    }
                }
            });
        }
    });
    report(&problems.into_inner().unwrap_or_else(PoisonError::into_inner))?;
    println!("{count} tests of keys in tokens passed");
    from_c(&module)
}

/// Names the folder of a token in the environment of the tests in C and Python.
pub(crate) const TOKEN: &str = "DPS_TEST_TOKEN";

/// Makes a token with the keys of devices, and returns its folder.
pub(crate) fn token(module: &Path, folder: PathBuf) -> Result<PathBuf, String> {
    let _ = std::fs::remove_dir_all(&folder);
    build_workspace()?;
    run(command(target_dir().join("debug/make-token"), [module]).arg(&folder))?;
    Ok(folder)
}

/// The tests in C, with the library that was built with its feature `pkcs11`.
fn from_c(module: &Path) -> Outcome {
    let folder = std::path::absolute(target_dir().join("pkcs11")).map_err(|error| error.to_string())?;
    let token = token(module, folder.join("token-c"))?;
    let program = compile(&folder, "tokens", &["hosted_tokens.c", "hosted_scene.c"], &[], Some(&library()))?;
    run(command(target_dir().join("debug/c-service"), [program]).env(TOKEN, token))
}

/// The default build of the client has no PKCS#11 library in it.
fn check_default_build() -> Outcome {
    let tree = output(&mut cargo(["tree", "--locked", "-p", "dps-client", "--edges", "normal", "--prefix", "none"]))?;
    if tree.contains("cryptoki") { Err("the default build of dps-client uses cryptoki".into()) } else { Ok(()) }
}

fn next<T>(queue: &Mutex<VecDeque<T>>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// Builds the tests as the workspace's build does, and returns their programs.
fn build_tests() -> Result<Vec<Tests>, String> {
    let names = TESTS.iter().flat_map(|(_, name)| ["--test", name]);
    let build = ["test", "--quiet", "--no-run", "--message-format", "json"].into_iter().chain(names);
    let messages = output(cargo(build).args(TESTED))?;
    let messages: Vec<Value> = messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let program = |name: &str| {
        let built = messages.iter().filter(|message| message["target"]["name"] == name);
        built.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next()
    };
    let found = TESTS.iter().map(|(package, name)| {
        let missing = || format!("cargo names no program of the test {name}");
        Ok(Tests { package, program: program(name).ok_or_else(missing)? })
    });
    found.collect()
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
