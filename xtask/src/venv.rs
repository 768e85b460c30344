//! Python virtual environments with pinned packages.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Outcome, command, run};

/// A virtual environment.
pub(crate) struct Venv(PathBuf);

impl Venv {
    /// Creates it if it does not exist.
    pub(crate) fn at(folder: &Path) -> Result<Self, String> {
        Self::with_interpreter(Path::new("python3"), folder)
    }

    /// The same with another interpreter.
    pub(crate) fn with_interpreter(interpreter: &Path, folder: &Path) -> Result<Self, String> {
        let venv = Self(folder.to_owned());
        if !venv.program("python").exists() {
            run(command(interpreter, ["-m", "venv"]).arg(folder))?;
        }
        Ok(venv)
    }

    /// Returns the path of a program in it.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.0.join("bin").join(name)
    }

    /// `PATH` with its programs before all others.
    pub(crate) fn path(&self) -> OsString {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths: Vec<PathBuf> = std::iter::once(self.0.join("bin")).chain(std::env::split_paths(&path)).collect();
        std::env::join_paths(paths).unwrap_or(path)
    }

    /// Its interpreter.
    pub(crate) fn python<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        command(self.program("python"), arguments)
    }

    /// Installs packages with pip.
    pub(crate) fn install<S: AsRef<OsStr>>(&self, what: impl IntoIterator<Item = S>) -> Outcome {
        run(self.python(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(what))
    }
}
