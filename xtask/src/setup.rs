//! Installs missing tools of the checks: cargo-deny, cargo-fuzz, cargo-public-api, Miri, QEMU, and toolchains for bare metal.
//!
//! It only uses package managers that are already installed: cargo, rustup, apt-get.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cores::CHECKED;
use crate::run::{Outcome, cargo, command, exists, is_part_of_all, output, run, target_dir};

/// How to build for bare metal here.
pub(crate) enum Bare {
    /// The toolchain in use, with the target's prebuilt library.
    Prebuilt,
    /// Debian's compiler, which ships the library's source and builds it along.
    Debian { cargo: PathBuf, rustc: PathBuf },
}

impl Bare {
    /// Its cargo; with Debian's the library is built along.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        match self {
            Self::Prebuilt => cargo(arguments),
            Self::Debian { cargo, rustc } => {
                let mut debian = debian_cargo(cargo, rustc, arguments);
                debian.arg("-Zbuild-std=core");
                debian
            }
        }
    }
}

/// How to build with core built along, by options that stable does not have.
pub(crate) enum Rebuild {
    /// The nightly toolchain, with the library's source.
    Nightly,
    /// Debian's compiler, with unstable options enabled.
    Debian { cargo: PathBuf, rustc: PathBuf },
}

impl Rebuild {
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        match self {
            Self::Nightly => command("rustup", ["run", "nightly", "cargo"].iter().chain(arguments)),
            Self::Debian { cargo, rustc } => debian_cargo(cargo, rustc, arguments),
        }
    }

    pub(crate) fn rustc(&self) -> Command {
        match self {
            Self::Nightly => command("rustup", ["run", "nightly", "rustc"]),
            Self::Debian { rustc, .. } => {
                let mut debian = command(rustc, [""; 0]);
                debian.env("RUSTC_BOOTSTRAP", "1");
                debian
            }
        }
    }
}

fn debian_cargo(cargo: &Path, rustc: &Path, arguments: &[&str]) -> Command {
    let mut debian = command(cargo, arguments);
    debian.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTUP_TOOLCHAIN");
    for core in CHECKED {
        let linker = format!("CARGO_TARGET_{}_LINKER", core.target.replace('-', "_").to_uppercase());
        debian.env(linker, core.board.program("ld"));
    }
    debian
}

/// The best way to build core along that is installed.
pub(crate) fn rebuild() -> Result<Rebuild, String> {
    if nightly_installed() {
        return Ok(Rebuild::Nightly);
    }
    match debian() {
        Some(Bare::Debian { cargo, rustc }) => Ok(Rebuild::Debian { cargo, rustc }),
        _ => Err("no toolchain that can build core; `cargo xtask setup` installs one".into()),
    }
}

/// Whether there is a nightly compiler, with the library's source or without.
pub(crate) fn has_nightly() -> bool {
    output(&mut command("rustup", ["run", "nightly", "rustc", "--version"])).is_ok()
}

fn nightly_installed() -> bool {
    let sysroot = output(&mut command("rustup", ["run", "nightly", "rustc", "--print", "sysroot"]));
    sysroot.is_ok_and(|folder| Path::new(folder.trim()).join("lib/rustlib/src/rust/library/core").is_dir())
}

fn add_nightly() -> bool {
    let install = ["toolchain", "install", "nightly", "--profile", "minimal", "--component", "rust-src"];
    exists("rustup") && run(&mut command("rustup", install)).is_ok()
}

pub(crate) fn install() -> Outcome {
    packages()?;
    tools()
}

/// Installs the tools that package managers provide.
pub(crate) fn packages() -> Outcome {
    let mut packages = Vec::new();
    if output(&mut command("pkg-config", ["--exists", "openssl"])).is_err() {
        packages.extend(["pkg-config", "libssl-dev"]);
    }
    for (program, package) in [
        ("qemu-system-arm", "qemu-system-arm"),
        ("qemu-system-riscv32", "qemu-system-misc"),
        ("arm-none-eabi-gcc", "gcc-arm-none-eabi"),
        ("riscv64-unknown-elf-gcc", "gcc-riscv64-unknown-elf"),
        ("clang", "clang"),
        ("cmake", "cmake"),
        ("valgrind", "valgrind"),
        ("softhsm2-util", "softhsm2"),
        ("p11-kit", "p11-kit"),
        ("swtpm", "swtpm"),
        ("chromium", "chromium"),
    ] {
        if !exists(program) {
            packages.push(package);
        }
    }
    // Debian keeps what environments are made with in a package of its own.
    if output(&mut command("python3", ["-c", "import ensurepip, venv"])).is_err() {
        packages.extend(["python3", "python3-venv"]);
    }
    let lacking = (!targets_installed() && !add_targets()) || (!nightly_installed() && !add_nightly());
    if lacking && debian().is_none() {
        packages.extend(["rustc-web", "cargo-web", "rust-web-src"]);
    }
    if !packages.is_empty() {
        apt_get(&packages)?;
    }
    let nightly = has_nightly() || add_nightly();
    if nightly && crate::miri::missing().is_some() {
        // Not every nightly has it; without it one check is skipped.
        let _ = run(&mut command("rustup", ["component", "add", "miri", "rust-src", "--toolchain", "nightly"]));
    }
    Ok(())
}

/// Installs the tools that cargo builds, which takes minutes. The check of all does without cargo-fuzz.
pub(crate) fn tools() -> Outcome {
    let fuzzes = has_nightly() && !is_part_of_all();
    for (name, version, is_needed) in [("cargo-fuzz", "^0.13", fuzzes), ("cargo-deny", "^0.20", true)] {
        if is_needed && !exists(name) {
            cargo_install(name, version)?;
        }
    }
    Ok(())
}

/// The best way to build for bare metal that is installed.
pub(crate) fn bare() -> Result<Bare, String> {
    if targets_installed() {
        return Ok(Bare::Prebuilt);
    }
    debian().ok_or_else(|| {
        format!(
            "the library for {} is missing; `cargo xtask setup` installs it",
            targets().collect::<Vec<_>>().join(", ")
        )
    })
}

/// The best way to build for one target, which may be none of those that are checked.
pub(crate) fn bare_for(target: &str) -> Result<Bare, String> {
    if target_installed(target) {
        return Ok(Bare::Prebuilt);
    }
    let debian = debian().filter(|_| targets().any(|checked| checked == target));
    debian.ok_or_else(|| format!("the library for {target} is missing; install it by: rustup target add {target}"))
}

/// What firmware is checked for.
fn targets() -> impl Iterator<Item = &'static str> {
    CHECKED.iter().map(|core| core.target)
}

fn targets_installed() -> bool {
    targets().all(target_installed)
}

fn target_installed(target: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let folder = output(&mut command(&rustc, ["--print", "target-libdir", "--target", target]));
    folder.is_ok_and(|folder| PathBuf::from(folder.trim()).is_dir())
}

fn add_targets() -> bool {
    exists("rustup") && run(&mut command("rustup", ["target", "add"].into_iter().chain(targets()))).is_ok()
}

fn debian() -> Option<Bare> {
    let installed = |package: &str, ending: &str| {
        let files = output(&mut command("dpkg", ["-L", package])).ok()?;
        files.lines().find(|file| file.ends_with(ending)).map(PathBuf::from)
    };
    installed("rust-web-src", "/library/core/src/lib.rs")?;
    if !CHECKED.iter().all(|core| exists(&core.board.program("ld"))) {
        return None;
    }
    Some(Bare::Debian { cargo: installed("cargo-web", "bin/cargo")?, rustc: installed("rustc-web", "bin/rustc")? })
}

/// With a cheap profile: such a tool runs for seconds, and would else build for a quarter of an hour.
pub(crate) fn cargo_install(name: &str, version: &str) -> Outcome {
    run(cargo(["install", "--locked", name, "--version", version])
        .env("CARGO_TARGET_DIR", target_dir().join("tools"))
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"))
}

/// Only the instruction counts need it.
pub(crate) fn install_valgrind() -> Outcome {
    apt_get(&["valgrind"])
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
