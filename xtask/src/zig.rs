//! zig, from PyPI, as the C compiler for other systems: TLS by ring has C in it. Rust links by itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::Outcome;
use crate::venv::Venv;

/// What Rust calls each target, and what zig calls it. Without a version of its processor, zig compiles for the oldest one.
const TARGETS: [(&str, &str); 6] = [
    ("x86_64-pc-windows-gnu", "x86_64-windows-gnu"),
    ("x86_64-apple-darwin", "x86_64-macos"),
    ("aarch64-apple-darwin", "aarch64-macos"),
    ("aarch64-unknown-linux-gnu", "aarch64-linux-gnu"),
    ("aarch64-unknown-linux-musl", "aarch64-linux-musl"),
    ("x86_64-unknown-linux-musl", "x86_64-linux-musl"),
];
const PACKAGE: &str = "ziglang==0.15.2";

/// An installed zig.
pub(crate) struct Zig {
    folder: PathBuf,
    pub(crate) venv: Venv,
}

impl Zig {
    /// Installs it below a folder, with further packages of PyPI in the same environment.
    pub(crate) fn install(folder: &Path, further: &[&str]) -> Result<Self, String> {
        let folder = std::path::absolute(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let venv = Venv::at(&folder.join("venv"))?;
        venv.install([PACKAGE].iter().chain(further))?;
        Ok(Self { folder, venv })
    }

    /// Makes a build compile its C for this target of Rust.
    pub(crate) fn compiles_c(&self, build: &mut Command, target: &str) -> Outcome {
        let known = TARGETS.iter().find(|(name, _)| *name == target);
        let (_, zig) = known.ok_or_else(|| format!("the name of {target} for zig is missing in xtask/src/zig.rs"))?;
        let name = |tool: &str| format!("{tool}_{}", target.replace('-', "_"));
        build.env(name("CC"), self.compiler(target, zig)?).env(name("AR"), self.script("ar", "ar \"$@\"")?);
        Ok(())
    }

    /// A program that compiles C for the target. Zig knows targets by other names, and not the options by which the build of a
    /// crate names them.
    fn compiler(&self, target: &str, zig: &str) -> Result<PathBuf, String> {
        let compile = format!("cc -target {zig} \"$@\"");
        let without_names = "for word do\n    shift\n    case $word in\n        \
                             --target=* | -m*-version-min=* | -arch | arm64 | x86_64) ;;\n        \
                             *) set -- \"$@\" \"$word\" ;;\n    esac\ndone\n";
        self.written(&format!("cc-{target}"), without_names, &compile)
    }

    fn script(&self, name: &str, words: &str) -> Result<PathBuf, String> {
        self.written(name, "", words)
    }

    fn written(&self, name: &str, before: &str, words: &str) -> Result<PathBuf, String> {
        let script =
            format!("#!/bin/sh\n{before}exec '{}' -m ziglang {words}\n", self.venv.program("python").display());
        let path = self.folder.join(name);
        let written = std::fs::write(&path, script).and_then(|()| make_executable(&path));
        written.map(|()| path.clone()).map_err(|error| format!("{}: {error}", path.display()))
    }
}

#[cfg(unix)]
fn make_executable(path: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> std::io::Result<()> {
    Err(std::io::Error::other("this task needs a Unix shell"))
}
