//! `try-dist`: what `dist` built, installed by the lines of README.md in a small Debian that has no compiler and no network.
//!
//! mmdebstrap makes that system from packages, by the sources of the machine; it is kept for the next run.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dist;
use crate::documents::block;
use crate::run::{Outcome, command, exists, output, read, run, target_dir};

/// The lines that are tried, in README.md.
const INSTALL: &str = "## Install";
/// The program that the wheel is tried with, the first one in its README.
const PACKAGE: &str = "bindings/python/README.md";
/// Where a user has downloaded everything.
const DOWNLOADS: &str = "downloads";
/// What the trial needs, with the Debian package that has it.
const PROGRAMS: [(&str, &str); 4] =
    [("mmdebstrap", "mmdebstrap"), ("unshare", "util-linux"), ("ip", "iproute2"), ("chroot", "coreutils")];

/// What must be true before: nothing could be built here.
const BEFORE: &str = "if command -v cc gcc clang cargo rustc; then echo 'this system has a compiler'; exit 1; fi
folder=$(stat -c %U:%G:%a /usr/local/bin)";
/// What must be true afterwards: the shells find the completions, man the pages, and the folders are as they were.
const INSTALLED: &str = "bash -n /usr/local/share/bash-completion/completions/dps
test -s /usr/local/share/zsh/site-functions/_dps
test -s /usr/local/share/fish/vendor_completions.d/dps.fish
grep -q 'SH NAME' /usr/local/share/man/man1/dps-emulator.1
test -s /usr/local/share/doc/dps/LICENSE-MIT
test \"$(stat -c %U:%G:%a /usr/local/bin)\" = \"$folder\"";
/// A key in a token: the static program says why it cannot use it.
const TOKEN: &str = "if dps register --scope 0ne00A1B2C3 --registration-id device-01 \
    --pkcs11-uri 'pkcs11:token=plant;object=device-01' --pkcs11-module /usr/lib/module.so 2>refusal; then exit 1; fi
grep 'this program is linked statically, and such a program cannot load modules' refusal";

pub(crate) fn check() -> Outcome {
    let lacking: Vec<&str> = PROGRAMS.iter().filter(|(program, _)| !exists(program)).map(|(_, name)| *name).collect();
    if !lacking.is_empty() {
        return Err(format!("install these and try again: {} (their names in Debian)", lacking.join(", ")));
    }
    let system = system()?;
    // Packages do not bring this file, but every installer writes it.
    let hosts = system.join("etc/hosts");
    std::fs::write(&hosts, "127.0.0.1 localhost\n").map_err(|error| format!("{}: {error}", hosts.display()))?;
    let downloads = system.join(DOWNLOADS);
    let _ = std::fs::remove_dir_all(&downloads);
    for entry in std::fs::read_dir(dist::folder()).map_err(|error| format!("{}: {error}", dist::folder().display()))? {
        let entry = entry.map_err(|error| error.to_string())?;
        dist::put(&entry.path(), &downloads.join(entry.file_name()))?;
    }
    let (package, readme) = (read(PACKAGE)?, read("README.md")?);
    let program =
        block(&package, "# dps-client", "```python", 0).ok_or_else(|| format!("{PACKAGE} shows no program"))?;
    let lines = block(&readme, INSTALL, "```sh", 0).ok_or_else(|| format!("README.md has no lines below {INSTALL}"))?;
    let file = downloads.join("program.py");
    std::fs::write(&file, program).map_err(|error| format!("{}: {error}", file.display()))?;
    // Root needs no sudo, and this system has none.
    let sudo = "sudo() { \"$@\"; }";
    let python = "venv/bin/python program.py";
    let script = format!("set -eux\ncd /{DOWNLOADS}\n{sudo}\n{BEFORE}\n{lines}\n{INSTALLED}\n{TOKEN}\n{python}\n");
    println!("{lines}");
    let shown = output(isolated(&system).arg(script))?;
    println!("{shown}");
    if !shown.contains("hub-a.test") {
        return Err("the registration did not print its hub".into());
    }
    unit(&system)?;
    loaded_by_musl(&downloads)?;
    on_arm(&downloads)
}

/// A shell in the system, in a network of its own that ends at this machine.
fn isolated(system: &Path) -> Command {
    let enter = "ip link set lo up && exec chroot \"$0\" sh -c \"$1\"";
    let mut shell = command("unshare", ["--net", "sh", "-c", enter]);
    shell.arg(system).env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin").env("LC_ALL", "C.UTF-8");
    shell
}

/// A small system with Python, of the distribution that runs here.
fn system() -> Result<PathBuf, String> {
    let folder = std::path::absolute(target_dir().join("dist-build/system")).map_err(|error| error.to_string())?;
    if folder.join("usr/bin/python3").exists() {
        return Ok(folder);
    }
    let release = std::fs::read_to_string("/etc/os-release").map_err(|error| format!("/etc/os-release: {error}"))?;
    let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or_default();
    let sources = ["sources.list", "sources.list.d/debian.sources", "sources.list.d/ubuntu.sources"];
    let sources = sources.map(|name| Path::new("/etc/apt").join(name));
    let mut make = command("mmdebstrap", ["--quiet", "--variant=apt", "--include=python3-venv", suite]);
    let made = run(make.arg(&folder).args(sources.iter().filter(|path| path.is_file())));
    made.inspect_err(|_| drop(std::fs::remove_dir_all(&folder)))?;
    Ok(folder)
}

/// The unit for systemd is valid, with the program that was installed.
fn unit(system: &Path) -> Outcome {
    const UNIT: &str = "container/dps-emulator.service";
    if !exists("systemd-analyze") {
        println!("not checked: {UNIT}; systemd-analyze is missing (Debian: systemd)");
        return Ok(());
    }
    let installed = system.join("usr/local/bin/dps");
    let text = read(UNIT)?.replace("/usr/local/bin/dps", &installed.to_string_lossy());
    let unit = system.join(DOWNLOADS).join("dps-emulator.service");
    std::fs::write(&unit, text).map_err(|error| format!("{}: {error}", unit.display()))?;
    run(command("systemd-analyze", ["verify", "--man=no"]).arg(&unit))
}

/// Loads the wheel's library with musl, where that is installed. Without an interpreter only Python's own symbols are missing.
fn loaded_by_musl(downloads: &Path) -> Outcome {
    const LOADER: &str = "/lib/ld-musl-x86_64.so.1";
    if !Path::new(LOADER).exists() {
        println!("not loaded: the wheel for musl; {LOADER} is missing (Debian: musl)");
        return Ok(());
    }
    let unpacked = downloads.join("musllinux");
    let listed = std::fs::read_dir(downloads).map_err(|error| error.to_string())?.flatten().map(|entry| entry.path());
    let wheel = listed.into_iter().find(|path| path.to_string_lossy().ends_with("musllinux_1_2_x86_64.whl"));
    let Some(wheel) = wheel else {
        println!("not loaded: the wheel for musl, which was not built");
        return Ok(());
    };
    let mut unpack = command("python3", ["-m", "zipfile", "-e"]);
    run(unpack.arg(wheel).arg(&unpacked))?;
    let library = unpacked.join("dps_client/_native.abi3.so");
    let loaded = command(LOADER, ["--list"]).arg(&library).output().map_err(|error| format!("{LOADER}: {error}"))?;
    let said = String::from_utf8_lossy(&loaded.stderr).into_owned();
    let missing = |line: &&str| {
        !line.rsplit_once(": symbol not found").is_some_and(|(line, _)| {
            line.rsplit(' ').next().is_some_and(|symbol| symbol.trim_start_matches('_').starts_with("Py"))
        })
    };
    if let Some(line) = said.lines().find(missing) {
        return Err(format!("musl: {line}"));
    }
    println!("musl loads the wheel's library: {} missing symbols are Python's", said.lines().count());
    Ok(())
}

/// Runs the program for Arm, where QEMU can.
fn on_arm(downloads: &Path) -> Outcome {
    const QEMU: &str = "qemu-aarch64-static";
    if !exists(QEMU) {
        println!("not run: the program for Arm; {QEMU} is missing (Debian: qemu-user-static)");
        return Ok(());
    }
    let archive = downloads.join(format!("dps-{}-aarch64-unknown-linux-musl.tar.gz", dist::VERSION));
    if !archive.exists() {
        println!("not run: the program for Arm, which was not built");
        return Ok(());
    }
    let arm = downloads.join("arm");
    std::fs::create_dir_all(&arm).map_err(|error| format!("{}: {error}", arm.display()))?;
    run(command("tar", ["--extract", "--file"]).arg(&archive).arg("--directory").arg(&arm))?;
    let shown = output(command(QEMU, [arm.join("bin/dps")]).arg("demo"))?;
    println!("on aarch64, in QEMU:\n{shown}");
    Ok(())
}
