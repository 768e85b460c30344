//! Whether libraries and programs compile for the other systems that they are for. Nothing is run there: the workflow does
//! that on machines of these systems.
//!
//! TLS by ring has C in it, which zig compiles for every target; it is installed from PyPI.

use std::path::{Path, PathBuf};

use crate::run::{Outcome, cargo, command, run, target_dir};
use crate::venv::Venv;

/// What Rust calls each target, and what zig calls it.
const TARGETS: [(&str, &str); 5] = [
    ("x86_64-pc-windows-gnu", "x86_64-windows-gnu"),
    ("x86_64-apple-darwin", "x86_64-macos"),
    ("aarch64-apple-darwin", "aarch64-macos"),
    ("aarch64-unknown-linux-gnu", "aarch64-linux-gnu"),
    ("aarch64-unknown-linux-musl", "aarch64-linux-musl"),
];
/// What is compiled: the libraries with all their parts, the program, and the C library for programs.
const FEATURES: &str = "dps-client/http,dps-client/mqtt,dps-client/ring,dps-client/tpm,dps-edge/ring,dps-emulator/server,dps-emulator/ring,\
                        dps-cli/ring,dps-c/hosted,dps-c/ring";
const ZIG: &str = "ziglang==0.15.2";

pub(crate) fn check() -> Outcome {
    let folder = target_dir().join("platforms");
    let venv = Venv::at(&folder.join("venv"))?;
    venv.install([ZIG])?;
    for (target, zig) in TARGETS {
        println!("{target}");
        run(&mut command("rustup", ["target", "add", target]))?;
        let compiler = compiler(&folder, &venv, target, zig)?;
        let packages = ["dps-client", "dps-edge", "dps-emulator", "dps-cli", "dps-c"].map(|name| ["-p", name]).concat();
        let mut check = cargo(["check", "--locked", "--quiet", "--no-default-features", "--features", FEATURES]);
        check.args(packages).args(["--target", target]).env("CARGO_TARGET_DIR", &folder);
        let name = |tool: &str| format!("{tool}_{}", target.replace('-', "_"));
        // Nothing is linked, so that no archive is needed.
        run(check.env(name("CC"), compiler).env(name("AR"), "true"))?;
    }
    Ok(())
}

/// A program that compiles C for the target. Zig knows targets by other names, and not the options by which the build of a
/// crate names them.
fn compiler(folder: &Path, venv: &Venv, target: &str, zig: &str) -> Result<PathBuf, String> {
    let script = format!(
        "#!/bin/sh\nfor word do\n    shift\n    case $word in\n        --target=* | -m*-version-min=* | -arch | arm64 | x86_64) ;;\n        \
         *) set -- \"$@\" \"$word\" ;;\n    esac\ndone\nexec '{}' -m ziglang cc -target {zig} \"$@\"\n",
        venv.program("python").display()
    );
    let path = folder.join(format!("cc-{target}"));
    let written = std::fs::write(&path, script).and_then(|()| make_executable(&path));
    written.map(|()| path.clone()).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(unix)]
fn make_executable(path: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> std::io::Result<()> {
    Err(std::io::Error::other("this task needs a Unix shell"))
}
