//! Tests of keys in PKCS#11 tokens: builds the module that forwards to SoftHSM and injects faults, and runs the tests that
//! need it. They are ignored otherwise.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::c_tests::{WARNINGS, compile, library};
use crate::ignored::{self, Tests, check_default_builds};
use crate::run::{Outcome, build_workspace, command, report, run, target_dir};

/// Names the module in the environment of the tests, in every language.
const MODULE: &str = "DPS_TEST_PKCS11_MODULE";
/// How many tests run at a time; most wait.
const AT_A_TIME: usize = 4;

/// The tests: their packages and names.
const TESTS: [(&str, &str); 2] = [("dps-client", "pkcs11"), ("dps-cli", "program")];

/// Runs tests that need SoftHSM.
fn run_tests(tests: &Tests, module: &Path, arguments: &[&str]) -> Result<String, String> {
    ignored::run(tests.command(arguments).env(MODULE, module))
}

pub(crate) fn check() -> Outcome {
    check_default_builds(&["dps-client"], "cryptoki")?;
    let module = build_module()?;
    let programs = ignored::build(&TESTS)?;
    let mut names = VecDeque::new();
    for tests in &programs {
        let listed = run_tests(tests, &module, &["--list"])?;
        let found = listed.lines().filter_map(|line| line.strip_suffix(": test"));
        // Others are ignored for the lack of a TPM.
        let found = found.filter(|name| !name.starts_with("tpm::"));
        let before = names.len();
        names.extend(found.map(|name| (tests, name.to_owned())));
        if names.len() == before {
            return Err(format!("{} has no ignored tests to run", tests.package));
        }
    }
    let count = names.len();
    let (names, problems) = (Mutex::new(names), Mutex::new(Vec::new()));
    // Each in a process of its own: SoftHSM has one configuration in a process.
    std::thread::scope(|threads| {
        for _ in 0..AT_A_TIME {
            threads.spawn(|| {
                while let Some((tests, name)) = next(&names) {
                    if let Err(problem) = run_tests(tests, &module, &["--exact", &name]) {
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

fn next<T>(queue: &Mutex<VecDeque<T>>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// Builds the module in `target/pkcs11` and returns its path.
pub(crate) fn build_module() -> Result<PathBuf, String> {
    let folder = target_dir().join("pkcs11");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let module = folder.join("module.so");
    // Another check that runs beside this one may have the module loaded, or be about to: it sees a whole file at any time.
    let built = folder.join(format!("module-{}.so", std::process::id()));
    let mut gcc = command("gcc", WARNINGS);
    // Functions are kept in tables without their types.
    gcc.args(["-std=c11", "-Wno-pedantic", "-Wno-cast-function-type", "-fvisibility=hidden", "-shared", "-fPIC"]);
    gcc.arg(format!("-DSOFTHSM=\"{}\"", softhsm()?.display())).arg("-o").arg(&built);
    run(gcc.arg("tests/pkcs11/module.c").arg("-ldl"))?;
    std::fs::rename(&built, &module).map_err(|error| format!("{}: {error}", module.display()))?;
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
