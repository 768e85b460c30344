//! The Python package: built from its source distribution and installed by pip into an environment of its own, then tested
//! and typed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::pkcs11;
use crate::run::{Outcome, command, exists, read, root, run, target_dir};
use crate::venv::Venv;

pub(crate) const FOLDER: &str = "bindings/python";
/// The largest wheel, in bytes.
const WHEEL_MOST: u64 = 8 * 1024 * 1024;
/// How many keys the bench derives here: it shows that the bench works; people run it on a release build.
const BENCH_KEYS: &str = "10000";
/// How many processes run the tests: more than most machines have processors, since a registration mostly waits.
const WORKERS: &str = "4";

/// Tells the tests that the package was built with TPM attestation.
const WITH_TPM: &str = "DPS_TEST_TPM";

pub(crate) fn check() -> Outcome {
    let (folder, package) = (folder(), root().join(FOLDER));
    let venv = installed()?;
    let python = |words: &[&str]| run(venv.python(words).current_dir(&package));
    let tool = |name: &str, words: &[&str]| run(&mut tool(&venv, name, words, &package));
    tool("ruff", &["format", "--check", "."])?;
    tool("ruff", &["check", "."])?;
    python(&["-m", "mypy"])?;
    tool("pyright", &[])?;
    python(&["-m", "mypy.stubtest", "dps_client._native"])?;
    let mut tests = venv.python(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", WORKERS]);
    tests.env(WITH_TPM, "1");
    if let Some(token) = token(&folder)? {
        tests.env(pkcs11::TOKEN, token);
    }
    run(tests.current_dir(&package))?;
    suite_outside_the_tree(&venv, &folder.join("suite"))?;
    python(&["bench/derive.py", BENCH_KEYS])
}

fn folder() -> PathBuf {
    target_dir().join("python")
}

/// The environment of the tests, with the package as it is now.
pub(crate) fn installed() -> Result<Venv, String> {
    let venv = environment()?;
    venv.install(["-r", "bindings/python/requirements.txt"])?;
    let wheel = wheel(&venv, &folder().join("wheel"), Build::Debug)?;
    venv.install([Path::new("--force-reinstall"), Path::new("--no-deps"), &wheel])?;
    Ok(venv)
}

/// The environment of the tests, with the package that was installed last.
pub(crate) fn environment() -> Result<Venv, String> {
    Venv::at(&folder().join("venv"))
}

/// The token for the tests of keys in tokens, which are skipped where SoftHSM is not installed.
fn token(folder: &Path) -> Result<Option<PathBuf>, String> {
    if !exists("softhsm2-util") {
        return Ok(None);
    }
    let folder = std::path::absolute(folder).map_err(|error| error.to_string())?;
    pkcs11::token(&pkcs11::build_module()?, folder.join("token")).map(Some)
}

/// How the extension module is compiled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// As the tests of the workspace are, in a quarter of the time.
    Debug,
    /// As users get it.
    Release,
}

/// `python-wheel`: the wheel as users get it, its size, and its suite with it.
pub(crate) fn release_wheel() -> Outcome {
    let folder = target_dir().join("python/release");
    let venv = Venv::at(&folder.join("venv"))?;
    venv.install(["-r", "bindings/python/requirements.txt"])?;
    let package = root().join(FOLDER);
    let wheel = wheel(&venv, &folder.join("wheel"), Build::Release)?;
    let size = wheel.metadata().map_err(|error| format!("{}: {error}", wheel.display()))?.len();
    println!("{} has {:.1} MiB", wheel.display(), size as f64 / (1024.0 * 1024.0));
    if size > WHEEL_MOST {
        return Err(format!("the wheel has {size} bytes, {WHEEL_MOST} at most"));
    }
    venv.install([Path::new("--force-reinstall"), Path::new("--no-deps"), &wheel])?;
    run(venv.python(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", WORKERS]).current_dir(&package))?;
    run(venv.python(["bench/derive.py"]).current_dir(&package))
}

/// The file with this ending in a folder.
pub(crate) fn only_file(folder: &Path, ending: &str) -> Result<PathBuf, String> {
    let listed = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let found =
        listed.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|end| end == ending));
    found.ok_or_else(|| format!("no file .{ending} in {}", folder.display()))
}

/// Why it cannot be done here, and what to do about it.
pub(crate) fn missing() -> Option<String> {
    let lacks = !exists("python3");
    lacks.then(|| "python3 is missing: `cargo xtask setup` installs it, with what makes virtual environments".into())
}

fn tool(venv: &Venv, name: &str, words: &[&str], folder: &Path) -> Command {
    let mut tool = command(venv.program(name), words);
    // pyright looks for the interpreter whose packages it is to know.
    tool.current_dir(folder).env("PATH", venv.path());
    tool
}

/// The suite that a team copies, where nothing of the repository is near, alone and on four workers.
fn suite_outside_the_tree(venv: &Venv, folder: &Path) -> Outcome {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let from = root().join(FOLDER).join("examples/device_suite");
    for file in ["pytest.ini", "test_device.py", "test_published_client.py"] {
        std::fs::copy(from.join(file), folder.join(file)).map_err(|error| format!("{file}: {error}"))?;
    }
    let suite = ["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--dps-fixed-ports"];
    run(venv.python(suite).current_dir(folder))?;
    run(venv.python(suite).args(["-n", WORKERS]).current_dir(folder))
}

/// Builds the wheel from the source distribution, as pip does where no wheel fits.
pub(crate) fn wheel(venv: &Venv, folder: &Path, build: Build) -> Result<PathBuf, String> {
    let sources = sources(venv, folder)?;
    let words = ["-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir"];
    // The crates of others are built once for all, wherever the sources are unpacked.
    let mut pip = venv.python(words);
    pip.arg(folder).arg(sources).env("CARGO_TARGET_DIR", target_dir());
    let how = match build {
        Build::Debug => "--profile dev --features shared-features,tpm",
        Build::Release => "--profile wheel",
    };
    pip.env("MATURIN_PEP517_ARGS", how);
    run(&mut pip)?;
    only_file(folder, "whl")
}

/// Unpacks the source distribution into a folder, which is emptied first, and returns where the sources are.
pub(crate) fn sources(venv: &Venv, folder: &Path) -> Result<PathBuf, String> {
    let _ = std::fs::remove_dir_all(folder);
    run(venv.python(["-m", "maturin", "sdist", "--out"]).arg(folder).current_dir(root().join(FOLDER)))?;
    // The archive's files are dated 2006: with those times cargo would take what it built of an earlier archive.
    let sources = folder.join("sources");
    std::fs::create_dir_all(&sources).map_err(|error| format!("{}: {error}", sources.display()))?;
    let unpack = ["--extract", "--touch", "--strip-components=1", "--file"];
    run(command("tar", unpack).arg(only_file(folder, "gz")?).arg("--directory").arg(&sources))?;
    Ok(sources)
}

/// A tool in the version that the checks of the package pin, as pip names it.
pub(crate) fn pinned(tool: &str) -> Result<String, String> {
    let requirements = read(format!("{FOLDER}/requirements.txt"))?;
    let is_tool = |line: &&str| line.strip_prefix(tool).is_some_and(|rest| rest.starts_with("=="));
    let line = requirements.lines().find(is_tool);
    line.map(str::to_owned).ok_or_else(|| format!("{FOLDER}/requirements.txt does not pin {tool}"))
}
