//! All checks, and the task that runs them: in parallel lanes, each check as a separate process.
//!
//! A check mostly waits: for a compiler that uses one processor, for virtual devices, for packages. Lanes fill
//! these waits. Checks that need the same resource are in one lane; builds in the same directory wait for cargo's lock.
//! Packages are installed meanwhile; checks that need no package do not wait for them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::run::{IS_PART, Outcome, root, target_dir};
use crate::{
    api, bare, benches, browser, c, c_asan, cargo_checks, certificates, core_deps, documents, errors, examples,
    firmware, fuzz, header, install_c, interop, layers, miri, peers, pkcs11, python, setup, sizes, tidy, tpm,
};

/// A task: its name, what it does, and how.
pub(crate) struct Task {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn() -> Outcome,
}

/// The checks that `test` runs.
pub(crate) const CHECKS: &[Task] = &[
    Task { name: "tools", about: "the tools that checks need are installed; builds missing ones", run: setup::tools },
    Task { name: "fmt", about: "formatting of every crate", run: cargo_checks::fmt },
    Task {
        name: "layers",
        about: "the allowed dependencies between crates, and between modules of dps-core",
        run: layers::check,
    },
    Task { name: "core-deps", about: "dps-core has only the allowed dependencies", run: core_deps::check },
    Task { name: "documents", about: "paths, links and commands in the documents exist", run: documents::check },
    Task {
        name: "tidy",
        about: "file lengths, file headers, paths and phrases that are not allowed",
        run: tidy::check,
    },
    Task { name: "errors", about: "the written error catalogue matches the code", run: errors::check },
    Task {
        name: "clippy",
        about: "lints, warnings are errors, with all features and without any",
        run: cargo_checks::clippy,
    },
    Task { name: "unit", about: "all tests but the documentation's", run: cargo_checks::unit },
    Task {
        name: "pkcs11",
        about: "keys in PKCS#11 tokens: SoftHSM, each failure of a token, tokens that block",
        run: pkcs11::check,
    },
    Task { name: "tpm", about: "TPM attestation with swtpm, each failure of a TPM", run: tpm::check },
    Task { name: "doctest", about: "examples in the documentation", run: cargo_checks::doctest },
    Task { name: "doc", about: "documentation builds without warnings", run: api::document },
    Task { name: "deny", about: "licenses, duplicate and banned crates, sources", run: cargo_checks::deny },
    Task { name: "api", about: "the public API matches public-api.txt", run: api::check },
    Task {
        name: "bare",
        about: "firmware images for Cortex-M and RISC-V: no panic, heap, static RAM; run in QEMU; the embassy loop",
        run: bare::check,
    },
    Task { name: "header", about: "the C header matches the C library's source", run: header::check },
    Task {
        name: "c",
        about: "the C library: header in every dialect, tests under sanitizers and valgrind, faults",
        run: c::check,
    },
    Task { name: "c-asan", about: "the C library's tests with AddressSanitizer in its Rust too", run: c_asan::check },
    Task { name: "miri", about: "the C library's use of C memory, under Miri", run: miri::check },
    Task {
        name: "firmware",
        about: "C firmware in QEMU checks the vectors and registers with the emulator over its serial port",
        run: firmware::check,
    },
    Task {
        name: "installed-c",
        about: "programs outside the tree build with the installed C library and register, one on a small stack",
        run: install_c::check,
    },
    Task {
        name: "sizes",
        about: "flash, RAM and stack of C firmware are within budget; its table is correct",
        run: sizes::check,
    },
    Task {
        name: "fuzz",
        about: "each parser and the state machine on random input, for some seconds",
        run: fuzz::check,
    },
    Task { name: "examples", about: "every example runs and prints what its header says", run: examples::check },
    Task { name: "benches", about: "every bench runs, once", run: benches::check },
    Task { name: "python", about: "the Python package: installed by pip, tested, typed, measured", run: python::check },
    Task {
        name: "certificates",
        about: "devices with certificates register from Rust, C, Python and the program",
        run: certificates::check,
    },
    Task {
        name: "interop",
        about: "published clients of others register devices and manage enrollments with the emulator",
        run: interop::check,
    },
    Task {
        name: "browser",
        about: "the emulator's page: built from its sources, and driven in a headless Chromium",
        run: browser::check,
    },
    Task { name: "demo", about: "the README's first command", run: cargo_checks::demo },
];

/// Checks that run one after another, in parallel with the other lanes.
const LANES: [&[&str]; 3] = [
    // The debug build of the workspace.
    &[
        "fmt",
        "layers",
        "core-deps",
        "documents",
        "tidy",
        "errors",
        "unit",
        "c",
        "doctest",
        "examples",
        "benches",
        "demo",
        "header",
        "doc",
        "api",
    ],
    // Builds for bare metal, then what adds to the workspace's debug build. The Python package and published clients need the
    // same ports.
    &["tools", "deny", "bare", "sizes", "miri", "fuzz", "firmware", "python", "certificates", "interop", "browser"],
    // The release build of the C library, also with a sanitizer, then what mostly waits: for devices, or for another lane's build.
    &["installed-c", "c-asan", "clippy", "pkcs11", "tpm"],
];

/// Checks that need nothing but Rust and a C compiler.
const WITHOUT_PACKAGES: [&str; 9] =
    ["fmt", "layers", "core-deps", "documents", "tidy", "errors", "clippy", "unit", "doctest"];

/// Returns why a check cannot run here, and what to do about it.
pub(crate) fn missing(check: &str) -> Option<String> {
    match check {
        "browser" => browser::missing(),
        "c-asan" => c_asan::missing(),
        "fuzz" => fuzz::missing(),
        "interop" => peers::missing(),
        "miri" => miri::missing(),
        "python" | "certificates" => python::missing(),
        _ => None,
    }
}

/// The result of a check.
enum Ended {
    Passed(Duration),
    Failed(Duration),
    Skipped,
}

/// Runs every check that can run here, continues after a failure, and prints the number of failures and each check's time.
pub(crate) fn run_all() -> Outcome {
    let start = Instant::now();
    let folder = target_dir().join("checks");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let program = own_copy(&folder)?;
    let packages = OnceLock::new();
    let mut ends = std::thread::scope(|scope| {
        let run_lane = |lane: &'static [&'static str]| {
            let (program, folder, packages) = (&program, &folder, &packages);
            let run = move |name| {
                let is_ready = WITHOUT_PACKAGES.contains(&name) || *packages.wait();
                if is_ready { run_one(name, program, folder) } else { Ended::Failed(Duration::ZERO) }
            };
            scope.spawn(move || lane.iter().map(|name| (*name, run(name))).collect::<Vec<_>>())
        };
        let lanes: Vec<_> = LANES.into_iter().map(run_lane).collect();
        let setup = install_packages();
        let _ = packages.set(matches!(setup, Ended::Passed(_)));
        let mut ends = vec![("setup", setup)];
        for (lane, names) in lanes.into_iter().zip(LANES) {
            let lost = |_| names.iter().map(|name| (*name, Ended::Failed(Duration::ZERO))).collect();
            ends.extend(lane.join().unwrap_or_else(lost));
        }
        ends
    });
    ends.sort_by_key(|(name, _)| CHECKS.iter().position(|check| check.name == *name));
    summary(&ends, start.elapsed())
}

fn install_packages() -> Ended {
    let start = Instant::now();
    let installed = setup::packages();
    let elapsed = start.elapsed();
    match installed {
        Ok(()) => {
            println!("== setup done in {:.0} s", elapsed.as_secs_f32());
            Ended::Passed(elapsed)
        }
        Err(problem) => {
            println!("== setup FAILED: {problem}; checks that need packages fail with it");
            Ended::Failed(elapsed)
        }
    }
}

/// A copy of this program, which a check that builds the workspace does not replace.
fn own_copy(folder: &Path) -> Result<PathBuf, String> {
    let copy = folder.join("xtask");
    let _ = std::fs::remove_file(&copy);
    let copied = std::env::current_exe().and_then(|own| std::fs::copy(own, &copy));
    copied.map(|_| copy).map_err(|error| format!("cannot copy this program into {}: {error}", folder.display()))
}

/// Runs a check with its output in a file, and prints its result; if it failed, the output too.
fn run_one(name: &str, program: &Path, folder: &Path) -> Ended {
    if let Some(reason) = missing(name) {
        println!("== {name} SKIPPED: {reason}");
        return Ended::Skipped;
    }
    let start = Instant::now();
    let log = folder.join(format!("{name}.log"));
    let mut check = Command::new(program);
    // Each crate is compiled once here; what a second build would reuse costs a tenth more.
    check.arg(name).env(IS_PART, "1").env("CARGO_INCREMENTAL", "0").current_dir(root());
    let passed = logged(&mut check, &log);
    let elapsed = start.elapsed();
    let said =
        std::fs::read(&log).map_or_else(|error| error.to_string(), |text| String::from_utf8_lossy(&text).into_owned());
    match passed {
        Ok(true) => {
            let skipped = said.lines().filter(|line| line.contains("SKIPPED")).map(|line| format!("\n   {line}"));
            println!("== {name} passed in {:.0} s{}", elapsed.as_secs_f32(), skipped.collect::<String>());
            Ended::Passed(elapsed)
        }
        Ok(false) => {
            println!(
                "== {name} FAILED in {:.0} s; alone: cargo xtask {name}\n{said}== {name}: end of its output",
                elapsed.as_secs_f32()
            );
            Ended::Failed(elapsed)
        }
        Err(error) => {
            println!("== {name} FAILED: {error}");
            Ended::Failed(elapsed)
        }
    }
}

/// Runs a program with its output in the file; returns whether it succeeded.
fn logged(program: &mut Command, log: &Path) -> io::Result<bool> {
    let file = File::create(log)?;
    let status = program.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).status()?;
    Ok(status.success())
}

fn summary(ends: &[(&str, Ended)], elapsed: Duration) -> Outcome {
    let seconds = |(name, ended): &(&str, Ended)| match ended {
        Ended::Passed(time) | Ended::Failed(time) => Some(format!("{name} {:.0}", time.as_secs_f32())),
        Ended::Skipped => None,
    };
    let names = |wanted: fn(&Ended) -> bool| {
        ends.iter().filter(|(_, ended)| wanted(ended)).map(|(name, _)| *name).collect::<Vec<_>>()
    };
    let (failed, skipped) =
        (names(|ended| matches!(ended, Ended::Failed(_))), names(|ended| matches!(ended, Ended::Skipped)));
    let passed = names(|ended| matches!(ended, Ended::Passed(_))).iter().filter(|name| **name != "setup").count();
    println!("\nseconds: {}", ends.iter().filter_map(seconds).collect::<Vec<_>>().join(", "));
    println!(
        "checks: {passed} passed, {} failed, {} skipped; {:.0} s in all",
        failed.len(),
        skipped.len(),
        elapsed.as_secs_f32()
    );
    skipped.iter().for_each(|name| println!("  skipped: {name}, see above"));
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_without_packages_exist() {
        assert!(WITHOUT_PACKAGES.iter().all(|name| CHECKS.iter().any(|check| check.name == *name)));
    }

    #[test]
    fn every_check_is_in_one_lane() {
        let mut in_lanes: Vec<&str> = LANES.concat();
        in_lanes.sort_unstable();
        let mut all: Vec<&str> = CHECKS.iter().map(|task| task.name).collect();
        all.sort_unstable();
        assert_eq!(in_lanes, all);
    }
}
