//! `dps`: device provisioning from the command line.
//!
//! Reads the command line, runs one command and ends with its exit code. The commands are in `commands`.

#![cfg_attr(not(feature = "pkcs11"), allow(unreachable_code, reason = "such a build has no key in a token"))]

mod admin;
mod bulk;
mod certificate;
mod commands;
mod connection;
mod failure;
mod files;
mod identity;
mod issued;
mod key;
mod operational;
mod output;
mod pkcs11;
mod runtime;
mod shell;
mod tpm;
mod webhook;
mod x509;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
#[cfg(any(feature = "pkcs11", feature = "tpm"))]
use std::time::Duration;

use clap::Parser as _;
use clap::error::ErrorKind;

use commands::Cli;
use failure::{Exit, Failure, Result};
use output::Output;
use runtime::Interrupts;

/// Wipes memory when it is freed: libraries make copies of tokens, keys and passwords and do not wipe them.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

/// How much longer the program runs for the sake of a device's call that it has given up, such as one of a token that waits for
/// a person.
#[cfg(any(feature = "pkcs11", feature = "tpm"))]
const DEVICE_CALLS_MAX: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    keep_memory_private();
    let (output, result) = match Cli::try_parse() {
        Ok(cli) => {
            let output = Output::new(cli.global.json);
            (output, run_guarded(cli, output))
        }
        Err(error) => match print_usage_or_help(&error) {
            Some(exit) => return exit,
            None => (Output::new(json_requested()), Err(Failure::usage(message_text(&error)))),
        },
    };
    let exit = result.unwrap_or_else(|failure| {
        output.failure(&failure);
        Exit::from_code(failure.code)
    });
    #[cfg(any(feature = "pkcs11", feature = "tpm"))]
    dps_client::wait_for_device_calls(DEVICE_CALLS_MAX);
    // A thread may still be blocked on a FIFO that nobody writes to: exit without waiting for it.
    std::process::exit(exit as i32)
}

/// Prevents other processes of the same user from reading this process's memory and environment through `/proc` or with
/// a debugger, and prevents core dumps. Memory contains keys; so does the environment where `DPS_KEY`, `DPS_GROUP_KEY`,
/// `DPS_CERT_KEY_PASSPHRASE` or `DPS_WEBHOOK_URL` is set.
fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // A sandbox may reject the call; then the program runs without this protection.
        _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Runs the command and turns a panic, which its hook has reported on stderr, into a failure.
fn run_guarded(cli: Cli, output: Output) -> Result<Exit> {
    catch_unwind(AssertUnwindSafe(|| run(cli, output)))
        .unwrap_or_else(|_| Err(Failure::internal("internal error in this program; please report the message above")))
}

fn run(cli: Cli, output: Output) -> Result<Exit> {
    output::start_logging(cli.global.verbose)?;
    let internal = |error: std::io::Error| Failure::internal(format!("cannot start: {error}"));
    // Its shutdown waits neither for name resolution nor for a file that is being read, not even after a panic.
    let runtime = dps_client::CallRuntime::new()?;
    runtime.block_on(async {
        let interrupts = Interrupts::listen().map_err(internal)?;
        commands::run(cli, output, interrupts).await
    })
}

/// Prints help, the version, or a usage error in the parser's words, and returns the exit code. Returns `None` for a
/// usage error that is to be printed as JSON.
fn print_usage_or_help(error: &clap::Error) -> Option<ExitCode> {
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !is_help && json_requested() {
        return None;
    }
    if is_help {
        // A closed stream is not a failure.
        _ = error.print();
        return Some(ExitCode::SUCCESS);
    }
    // The message quotes the command line.
    output::lines(&error.render().to_string());
    Some(ExitCode::from(Exit::Usage as u8))
}

/// Whether `--json` is on a command line that could not be parsed.
fn json_requested() -> bool {
    std::env::args_os().skip(1).take_while(|arg| arg != "--").any(|arg| arg == "--json")
}

/// The parser's message without its heading.
fn message_text(error: &clap::Error) -> String {
    let text = error.render().to_string();
    text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned()
}
