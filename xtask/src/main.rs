//! Every repository task: `cargo xtask NAME`. `cargo xtask` lists them, `cargo xtask test` runs all checks.
//!
//! Each task has its own file; this one finds the task by its name. Tasks are not part of the product.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a task talks to the terminal")]

mod accept;
mod api;
mod bare;
mod benches;
mod browser;
mod c;
mod c_asan;
mod c_image;
mod c_library;
mod c_tests;
mod c_vectors;
mod cargo_checks;
mod certificates;
mod checks;
mod container;
mod core_deps;
mod cores;
mod dist;
mod documents;
mod emulator;
mod engine;
mod errors;
mod examples;
mod firmware;
mod firmware_lib;
mod fuzz;
mod header;
mod ignored;
mod image;
mod install_c;
mod instrumented;
mod interop;
mod interop_service;
mod interop_tpm;
mod layers;
mod licenses;
mod memory;
mod miri;
mod mutants;
mod page;
mod peers;
mod pkcs11;
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
mod swtpm;
mod tidy;
mod tpm;
mod try_dist;
mod try_image;
mod venv;
mod zig;

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
        about: "which copies of key, token and proxy password the memory of a registering release build contains",
        run: memory::check,
    },
    Task { name: "setup", about: "install what the checks need", run: setup::install },
    Task { name: "test", about: "install missing tools, then run every check", run: checks::run_all },
    Task {
        name: "faults",
        about: "print the fault matrix: fault, transport, expected and actual outcome; the tests check the same",
        run: cargo_checks::faults,
    },
    Task {
        name: "floods",
        about: "how far past its deadline a flooded call ends, 20 runs of each flood, debug and release",
        run: cargo_checks::floods,
    },
    Task {
        name: "mutants",
        about: "check that the tests of dps-core detect each small change of its code",
        run: mutants::check,
    },
    Task {
        name: "bench-registration",
        about: "compare the costs of a registration with published clients",
        run: registration::bench,
    },
    Task {
        name: "bench-bulk",
        about: "compare deriving the keys of a million devices with the usual crates",
        run: benches::bulk,
    },
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
        about: "simulate a million devices at power-on; write docs/storm.svg and the README's tables",
        run: storm::write,
    },
    Task {
        name: "python-wheel",
        about: "the release wheel for Python: its size, its tests, its bench",
        run: python::release_wheel,
    },
    Task {
        name: "python-exits",
        about: "run 500 short Python programs, or the given number, on every installed CPython",
        run: python_exits::check,
    },
    Task {
        name: "package",
        about: "each published crate is packed, and the packed crates' tests pass outside of the workspace",
        run: published::package,
    },
    Task {
        name: "least-rust",
        about: "each published crate builds with the oldest version of Rust that its manifest allows",
        run: published::least_rust,
    },
    Task {
        name: "dist",
        about: "what users install, in target/dist: static programs and wheels for Linux; some by name",
        run: dist::make,
    },
    Task {
        name: "try-dist",
        about: "install what `dist` built by the README's lines, in a system without a compiler, and register",
        run: try_dist::check,
    },
    Task {
        name: "image",
        about: "the emulator's container image, in target/dist; for a processor by name, or for all",
        run: container::make,
    },
    Task {
        name: "try-image",
        about: "run what `image` built as an engine does, and register from outside of it",
        run: try_image::check,
    },
    Task {
        name: "platforms",
        about: "libraries and programs compile for Windows, macOS and Arm",
        run: platforms::check,
    },
    Task {
        name: "features",
        about: "each published crate passes the lints with every set of its features",
        run: published::features,
    },
    Task { name: "write-page", about: "build the emulator's page; write dps-emulator/page/dist", run: browser::write },
    Task { name: "write-api", about: "write the public-api.txt of each crate that has one", run: api::write },
    Task { name: "write-errors", about: "write docs/errors.md and vectors/errors.json", run: errors::write },
    Task {
        name: "write-golden",
        about: "write the expected output in dps-edge/tests/golden",
        run: cargo_checks::write_golden,
    },
    Task {
        name: "event-load",
        about: "10,000 registrations with the emulator, with and without a client that follows its events",
        run: cargo_checks::event_load,
    },
    Task {
        name: "write-reasons",
        about: "provoke every refusal of the emulator, and write the table in docs/events.md",
        run: cargo_checks::write_reasons,
    },
    Task {
        name: "accept",
        about: "the clients of this project pass every scenario of `dps emulator accept`; the number of runs can be given",
        run: accept::check,
    },
    Task {
        name: "accept-peers",
        about: "`dps emulator accept` finds what is known of published clients of others",
        run: accept::peers,
    },
    Task {
        name: "install-c",
        about: "install the C library: --prefix FOLDER [--libdir FOLDER], below DESTDIR if that is set",
        run: install_c::install,
    },
    Task {
        name: "firmware-lib",
        about: "build the C library for firmware: --target TRIPLE --prefix FOLDER [--build NAME]",
        run: firmware_lib::make,
    },
    Task { name: "write-header", about: "write bindings/c/include/dps.h", run: header::write },
    Task { name: "write-sizes", about: "measure, and write the table of bindings/c/README.md", run: sizes::write },
];

/// Tasks that accept arguments ([`run::arguments`]).
const TAKE_ARGUMENTS: [&str; 9] =
    ["accept", "browser", "dist", "firmware-lib", "fuzz", "image", "install-c", "mutants", "python-exits"];

fn main() -> ExitCode {
    if let Some(ended) = api::as_rustdoc().or_else(instrumented::as_rustc) {
        return ended;
    }
    let Some(name) = std::env::args().nth(1) else {
        list();
        return ExitCode::SUCCESS;
    };
    let Some(task) = OTHERS.iter().chain(CHECKS).find(|task| task.name == name) else {
        eprintln!("xtask: unknown task `{name}`");
        list();
        return ExitCode::from(2);
    };
    if !run::arguments().is_empty() && !TAKE_ARGUMENTS.contains(&task.name) {
        eprintln!("xtask {name}: this task accepts no arguments");
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
