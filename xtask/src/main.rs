//! Every repository task: `cargo xtask NAME`. `cargo xtask` lists them, `cargo xtask test` runs all checks.
//!
//! One file a task; this one only finds the task by its name. Tasks read and build the project, they are no part of it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a task talks to the terminal")]

mod api;
mod bare;
mod benches;
mod c;
mod c_asan;
mod c_image;
mod c_library;
mod c_tests;
mod c_vectors;
mod cargo_checks;
mod core_deps;
mod cores;
mod documents;
mod emulator;
mod errors;
mod examples;
mod firmware;
mod firmware_lib;
mod fuzz;
mod header;
mod image;
mod install_c;
mod interop;
mod interop_service;
mod layers;
mod memory;
mod miri;
mod mutants;
mod page;
mod python;
mod python_exits;
mod registration;
mod run;
mod setup;
mod sizes;
mod small_stack;
mod stalled_resolver;
mod storm;
mod tidy;
mod venv;

use std::process::ExitCode;
use std::time::Instant;

use run::Outcome;

/// A task: its name, what it does, and how.
struct Task {
    name: &'static str,
    about: &'static str,
    run: fn() -> Outcome,
}

/// The checks that `test` runs, the quick ones first.
const CHECKS: &[Task] = &[
    Task { name: "fmt", about: "formatting of every crate", run: cargo_checks::fmt },
    Task { name: "layers", about: "which room may use which, between crates and inside dps-core", run: layers::check },
    Task {
        name: "core-deps",
        about: "the dependencies of dps-core are those that were decided",
        run: core_deps::check,
    },
    Task { name: "documents", about: "paths, links and commands in the documents exist", run: documents::check },
    Task { name: "tidy", about: "file lengths, file headers, words that do not belong here", run: tidy::check },
    Task { name: "errors", about: "the error catalogue on paper is the one in the code", run: errors::check },
    Task {
        name: "clippy",
        about: "lints, warnings are errors, every provider and feature set",
        run: cargo_checks::clippy,
    },
    Task { name: "unit", about: "all tests but the documentation's", run: cargo_checks::unit },
    Task { name: "doctest", about: "examples in the documentation", run: cargo_checks::doctest },
    Task { name: "doc", about: "documentation builds without warnings", run: cargo_checks::doc },
    Task { name: "deny", about: "licences, duplicate and banned crates, sources", run: cargo_checks::deny },
    Task { name: "api", about: "the public API is the one in public-api.txt", run: api::check },
    Task {
        name: "bare",
        about: "firmware images for Cortex-M and RISC-V: no panic, heap, static RAM; run in QEMU; the embassy loop",
        run: bare::check,
    },
    Task { name: "header", about: "the C header is what the C library's source says", run: header::check },
    Task {
        name: "c",
        about: "the C library: header in every dialect, tests under sanitizers and valgrind, faults",
        run: c::check,
    },
    Task { name: "c-asan", about: "the C library's tests with AddressSanitizer in its Rust too", run: c_asan::check },
    Task { name: "miri", about: "the C library's use of C memory, under Miri", run: miri::check },
    Task {
        name: "firmware",
        about: "C firmware in QEMU checks the vectors and registers at an emulator over its serial port",
        run: firmware::check,
    },
    Task {
        name: "installed-c",
        about: "programs outside the tree build with the installed C library and register, one on a small stack",
        run: install_c::check,
    },
    Task {
        name: "sizes",
        about: "flash, RAM and stack of C firmware within budget; its table is true",
        run: sizes::check,
    },
    Task { name: "fuzz", about: "each parser and the machine on random input, 10 s each", run: fuzz::check },
    Task { name: "examples", about: "every example runs and prints what it says that it prints", run: examples::check },
    Task { name: "benches", about: "every bench runs, once", run: benches::check },
    Task { name: "python", about: "the Python package: installed by pip, tested, typed, measured", run: python::check },
    Task {
        name: "interop",
        about: "published clients of other makers register devices and manage enrollments at the emulator",
        run: interop::check,
    },
    Task { name: "demo", about: "the README's first command", run: cargo_checks::demo },
];

const OTHERS: &[Task] = &[
    Task {
        name: "small-stack",
        about: "a registration from C and Rust on a stack of 96 KB; the shared library stays loaded",
        run: small_stack::check,
    },
    Task {
        name: "memory",
        about: "what of key, token and proxy password is in the memory of a release build that registers",
        run: memory::check,
    },
    Task { name: "setup", about: "install what the checks need", run: setup::install },
    Task { name: "test", about: "install what is missing, then run every check", run: test },
    Task {
        name: "faults",
        about: "print the fault matrix: fault, transport, expected, got; the tests check the same",
        run: cargo_checks::faults,
    },
    Task {
        name: "floods",
        about: "how far past its deadline a flooded call ends, 20 runs of each flood, debug and release",
        run: cargo_checks::floods,
    },
    Task {
        name: "mutants",
        about: "whether the tests of dps-core notice each small change of it",
        run: mutants::check,
    },
    Task {
        name: "bench-registration",
        about: "what a registration costs, beside published clients",
        run: registration::bench,
    },
    Task { name: "bench-bulk", about: "the keys of a million devices, beside the usual crates", run: benches::bulk },
    Task {
        name: "instructions",
        about: "count instructions of each operation under valgrind",
        run: benches::instructions,
    },
    Task {
        name: "stalled-resolver",
        about: "how long calls take beyond their limit while a name server does not answer, in every language",
        run: stalled_resolver::measure,
    },
    Task {
        name: "storm",
        about: "a million devices powered on at once; write docs/storm.svg and the README's tables anew",
        run: storm::write,
    },
    Task {
        name: "python-exits",
        about: "500 short Python programs, or as many as are named, on every CPython of this machine",
        run: python_exits::check,
    },
    Task { name: "write-api", about: "write the public-api.txt of each crate that has one anew", run: api::write },
    Task { name: "write-errors", about: "write docs/errors.md and vectors/errors.json anew", run: errors::write },
    Task {
        name: "write-golden",
        about: "write the expectations in dps-edge/tests/golden anew",
        run: cargo_checks::write_golden,
    },
    Task {
        name: "install-c",
        about: "install the C library: --prefix FOLDER [--libdir FOLDER], below DESTDIR if that is set",
        run: install_c::install,
    },
    Task {
        name: "firmware-lib",
        about: "make the C library for firmware: --target TRIPLE --prefix FOLDER [--build NAME]",
        run: firmware_lib::make,
    },
    Task { name: "write-header", about: "write bindings/c/include/dps.h anew", run: header::write },
    Task { name: "write-sizes", about: "measure, and write the table of bindings/c/README.md anew", run: sizes::write },
];

/// Tasks that take what stands behind their names ([`run::arguments`]).
const TAKE_ARGUMENTS: [&str; 5] = ["firmware-lib", "fuzz", "install-c", "mutants", "python-exits"];

/// Why a check cannot be made on this machine, and what to do about it.
fn missing(check: &str) -> Option<String> {
    match check {
        "api" | "write-api" => api::missing(),
        "c-asan" => c_asan::missing(),
        "fuzz" => fuzz::missing(),
        "interop" => interop::missing(),
        "miri" => miri::missing(),
        "python" => python::missing(),
        _ => None,
    }
}

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        list();
        return ExitCode::SUCCESS;
    };
    let Some(task) = OTHERS.iter().chain(CHECKS).find(|task| task.name == name) else {
        eprintln!("xtask: there is no task `{name}`");
        list();
        return ExitCode::from(2);
    };
    if !run::arguments().is_empty() && !TAKE_ARGUMENTS.contains(&task.name) {
        eprintln!("xtask {name}: it takes nothing behind its name");
        return ExitCode::from(2);
    }
    match missing(&name).map_or_else(task.run, Err) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask {name}: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    println!("cargo xtask NAME, where NAME is one of\n");
    for task in OTHERS.iter().chain(CHECKS) {
        println!("  {:<18} {}", task.name, task.about);
    }
}

/// The names of all tasks, for the check of the documents.
fn names() -> impl Iterator<Item = &'static str> {
    OTHERS.iter().chain(CHECKS).map(|task| task.name)
}

/// Runs every check that can be made here, goes on after a failure, and ends with the count and how long each took.
fn test() -> Outcome {
    let start = Instant::now();
    setup::install()?;
    let mut times = vec![("setup", start.elapsed())];
    let (mut failed, mut skipped) = (Vec::new(), Vec::new());
    for task in CHECKS {
        println!("\n== {}: {}", task.name, task.about);
        if let Some(reason) = missing(task.name) {
            println!("== {} SKIPPED: {reason}", task.name);
            skipped.push(task.name);
            continue;
        }
        let start = Instant::now();
        let outcome = (task.run)();
        times.push((task.name, start.elapsed()));
        match outcome {
            Ok(()) => println!("== {} passed in {:.0} s", task.name, start.elapsed().as_secs_f32()),
            Err(problem) => {
                println!("== {} FAILED: {problem}\n   alone: cargo xtask {}", task.name, task.name);
                failed.push(task.name);
            }
        }
    }
    let passed = CHECKS.len() - failed.len() - skipped.len();
    let times: Vec<_> = times.iter().map(|(name, time)| format!("{name} {:.0}", time.as_secs_f32())).collect();
    println!("\nseconds: {}", times.join(", "));
    println!("checks: {passed} passed, {} failed, {} skipped", failed.len(), skipped.len());
    skipped.iter().for_each(|name| println!("  skipped: {name}, see above"));
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}
