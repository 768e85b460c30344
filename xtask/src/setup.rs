//! Installs what the checks need and the machine lacks: cargo-deny, QEMU, and a way to build for bare metal.
//!
//! Only package managers that are there already are asked: cargo, rustup, apt-get.

use std::path::PathBuf;

use crate::run::{Outcome, cargo, command, exists, output, run, target_dir};

/// The targets that firmware is checked for: Cortex-M4F and Cortex-M0+.
pub(crate) const TARGETS: [&str; 2] = ["thumbv7em-none-eabihf", "thumbv6m-none-eabi"];

/// How to build for bare metal here.
pub(crate) enum Bare {
    /// The toolchain in use, with the target's prebuilt library.
    Prebuilt,
    /// Debian's compiler, which ships the library's source and builds it along.
    Debian { cargo: PathBuf, rustc: PathBuf },
}

pub(crate) fn install() -> Outcome {
    if !exists("cargo-deny") {
        install_cargo_deny()?;
    }
    let mut packages = Vec::new();
    if !exists("qemu-system-arm") {
        packages.push("qemu-system-arm");
    }
    if !targets_installed() && !add_targets() && debian().is_none() {
        packages.extend(["rustc-web", "cargo-web", "rust-web-src", "binutils-arm-none-eabi"]);
    }
    if packages.is_empty() { Ok(()) } else { apt_get(&packages) }
}

/// The best way to build for bare metal that is installed.
pub(crate) fn bare() -> Result<Bare, String> {
    if targets_installed() {
        return Ok(Bare::Prebuilt);
    }
    debian().ok_or_else(|| format!("no library for {}; `cargo xtask setup` gets it", TARGETS.join(" and ")))
}

fn targets_installed() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    TARGETS.iter().all(|target| {
        let folder = output(&mut command(&rustc, ["--print", "target-libdir", "--target", target]));
        folder.is_ok_and(|folder| PathBuf::from(folder.trim()).is_dir())
    })
}

fn add_targets() -> bool {
    exists("rustup") && run(&mut command("rustup", ["target", "add"].iter().chain(&TARGETS))).is_ok()
}

fn debian() -> Option<Bare> {
    let installed = |package: &str, ending: &str| {
        let files = output(&mut command("dpkg", ["-L", package])).ok()?;
        files.lines().find(|file| file.ends_with(ending)).map(PathBuf::from)
    };
    installed("rust-web-src", "/library/core/src/lib.rs")?;
    if !exists("arm-none-eabi-ld") {
        return None;
    }
    Some(Bare::Debian { cargo: installed("cargo-web", "bin/cargo")?, rustc: installed("rustc-web", "bin/rustc")? })
}

/// With a cheap profile: it runs for seconds, and would else build for a quarter of an hour.
fn install_cargo_deny() -> Outcome {
    run(cargo(["install", "--locked", "cargo-deny", "--version", "^0.20"])
        .env("CARGO_TARGET_DIR", target_dir().join("tools"))
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"))
}

fn apt_get(packages: &[&str]) -> Outcome {
    if !exists("apt-get") {
        return Err(format!("install these and try again: {} (their names in Debian)", packages.join(", ")));
    }
    let root = output(&mut command("id", ["-u"]))?.trim() == "0";
    let apt = |arguments: &[&str]| {
        let prefix: &[&str] = if root { &["apt-get"] } else { &["sudo", "apt-get"] };
        let words: Vec<&str> = prefix.iter().chain(arguments).copied().collect();
        run(command(words[0], &words[1..]).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "-qq"])?;
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(packages);
    apt(&install)
}
