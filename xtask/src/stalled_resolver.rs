//! Measures, in every language, how long a call takes beyond its timeout while a name server does not answer.
//!
//! The tests of each language check it with wide bounds; this task runs the same tests with a tight bound for an idle
//! computer, and prints their figures.

use std::path::{Path, PathBuf};

use crate::c_tests::{compile, library};
use crate::run::{Outcome, build_workspace, cargo, command, root, run, target_dir};
use crate::venv::Venv;

/// How long a call may take beyond its limit, in milliseconds.
const MARGIN_MS: &str = "300";
/// The same where other work keeps the machine busy: a minute of the resolver's is more.
const WIDE_MARGIN_MS: &str = "25000";

/// `stalled-resolver`: Rust, the program, C and Python, one after the other.
pub(crate) fn measure() -> Outcome {
    for (package, test, filter) in
        [("dps-client", "suite", "stalled_resolver::"), ("dps-cli", "program", "stalled_resolver::")]
    {
        let words = ["test", "--locked", "--quiet", "-p", package, "--test", test, "--", "--nocapture"];
        run(cargo(words).args(["--test-threads", "1", filter]).env("DPS_STALLED_MARGIN_MS", MARGIN_MS))?;
    }
    let folder = crate::c_vectors::write(target_dir().join("c"))?;
    build_workspace()?;
    c(&folder, MARGIN_MS)?;
    let venv = Venv::at(&target_dir().join("python/venv"))?;
    venv.install(["-r", "bindings/python/requirements.txt"])?;
    let package = root().join("bindings/python");
    venv.install([Path::new("--force-reinstall"), Path::new("--no-deps"), &package])?;
    let test = ["-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "tests/test_stalled_resolver.py"];
    run(venv.python(test).current_dir(&package).env("DPS_STALLED_MARGIN_MS", MARGIN_MS))
}

/// Runs the C program under a resolver that stalls, with wide bounds.
pub(crate) fn check_c(folder: &Path) -> Outcome {
    c(folder, WIDE_MARGIN_MS)
}

fn c(folder: &Path, margin_ms: &str) -> Outcome {
    let program = compile(folder, "stalled", &["stalled.c"], &[], Some(&library()))?;
    let resolver = resolver(folder)?;
    let preloaded = r#"LD_PRELOAD="$1" exec "$0" "$2""#;
    let mut service = command(target_dir().join("debug/c-service"), ["sh", "-ec", preloaded]);
    run(service.arg(program).arg(resolver).arg(margin_ms))
}

fn resolver(folder: &Path) -> Result<PathBuf, String> {
    let library = folder.join("stalled-resolver.so");
    let source = "dps-client/tests/stalled-resolver/getaddrinfo.c";
    run(command("cc", ["-shared", "-fPIC", source, "-ldl", "-o"]).arg(&library))?;
    Ok(library)
}
