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
mod checks;
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
mod platforms;
mod published;
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

use checks::{CHECKS, Task, missing};

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
    Task { name: "test", about: "install what is missing, then run every check", run: checks::run_all },
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
        name: "python-wheel",
        about: "the Python wheel as users get it: its size, its suite, its bench",
        run: python::release_wheel,
    },
    Task {
        name: "python-exits",
        about: "500 short Python programs, or as many as are named, on every CPython of this machine",
        run: python_exits::check,
    },
    Task {
        name: "package",
        about: "each published crate is packed, and the packed crates' tests pass outside of the workspace",
        run: published::package,
    },
    Task {
        name: "least-rust",
        about: "each published crate builds with the least version of Rust that it names",
        run: published::least_rust,
    },
    Task {
        name: "platforms",
        about: "libraries and programs compile for Windows, macOS and Arm",
        run: platforms::check,
    },
    Task {
        name: "features",
        about: "each published crate builds with every set of its features",
        run: published::features,
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
