//! Runs short Python programs on every installed CPython and checks their exit codes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::python::{Build, FOLDER, wheel};
use crate::run::{Outcome, arguments, command, output, root, run, target_dir};
use crate::venv::Venv;

/// The oldest CPython that the wheel is for.
const OLDEST: (u32, u32) = (3, 10);
const COUNT: &str = "500";
const VERSION: &str = "import sys; print(sys.version_info[0], sys.version_info[1], sys.implementation.name)";

pub(crate) fn check() -> Outcome {
    let folder = target_dir().join("python");
    let builder = Venv::at(&folder.join("venv"))?;
    builder.install(["-r", "bindings/python/requirements.txt"])?;
    let package = root().join(FOLDER);
    let wheel = wheel(&builder, &folder.join("wheel"), Build::Release)?;
    let count = arguments().into_iter().next().unwrap_or_else(|| COUNT.into());
    for ((major, minor), interpreter) in interpreters() {
        let venv = Venv::with_interpreter(&interpreter, &folder.join(format!("exits-{major}.{minor}")))?;
        venv.install([Path::new("--force-reinstall"), Path::new("--no-deps"), &wheel])?;
        run(venv.python(["tests/exits.py", &count]).current_dir(&package))?;
    }
    Ok(())
}

/// One interpreter for each version that the wheel is for: of the search path and of pyenv.
fn interpreters() -> BTreeMap<(u32, u32), PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let of_pyenv = std::fs::read_dir(home.join(".pyenv/versions")).into_iter().flatten().flatten();
    let of_pyenv = of_pyenv.map(|version| version.path().join("bin/python3"));
    let of_path = std::env::var_os("PATH").unwrap_or_default();
    let of_path: Vec<PathBuf> = std::env::split_paths(&of_path)
        .flat_map(|folder| (OLDEST.1..20).map(move |minor| folder.join(format!("python3.{minor}"))))
        .chain([PathBuf::from("python3")])
        .collect();
    let mut found = BTreeMap::new();
    for interpreter in of_pyenv.chain(of_path) {
        if let Some(version) = version(&interpreter).filter(|version| *version >= OLDEST) {
            found.entry(version).or_insert(interpreter);
        }
    }
    found
}

/// The version of a CPython that runs.
fn version(interpreter: &Path) -> Option<(u32, u32)> {
    if interpreter.is_absolute() && !interpreter.is_file() {
        return None;
    }
    let said = output(&mut command(interpreter, ["-c", VERSION])).ok()?;
    match said.split_whitespace().collect::<Vec<_>>()[..] {
        [major, minor, "cpython"] => Some((major.parse().ok()?, minor.parse().ok()?)),
        _ => None,
    }
}
