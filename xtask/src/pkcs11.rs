//! Tests of keys in PKCS#11 tokens: builds the module that forwards to SoftHSM and injects faults, and runs the tests that
//! need it. They are ignored otherwise.

use std::path::{Path, PathBuf};

use crate::c_tests::WARNINGS;
use crate::run::{Outcome, TESTED, cargo, command, exists, run, target_dir};

/// Names the module in the environment of the tests, in every language.
const MODULE: &str = "DPS_TEST_PKCS11_MODULE";

pub(crate) fn check() -> Outcome {
    let module = build_module()?;
    if !exists("cargo-nextest") {
        return Err("these tests need processes of their own: install cargo-nextest".into());
    }
    let tests = ["--run-ignored", "only", "-E", "package(dps-client) and binary(pkcs11)"];
    run(cargo(["nextest", "run", "--no-fail-fast", "--status-level", "fail"]).args(TESTED).args(tests).env(MODULE, module))
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
    let folders = ["/usr/lib/softhsm", "/usr/lib64/softhsm", "/usr/lib64/pkcs11", "/usr/lib/pkcs11", "/usr/local/lib/softhsm"];
    let modules = folders.map(|folder| Path::new(folder).join("libsofthsm2.so"));
    modules.into_iter().find(|module| module.exists()).ok_or_else(|| "SoftHSM is not installed: cargo xtask setup".into())
}
