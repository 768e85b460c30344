//! `dps`: device provisioning from the command line.
//!
//! Reads the command line, runs one command and ends with its exit code. What the commands do is in `commands`.

mod admin;
mod bulk;
mod commands;
mod connection;
mod failure;
mod files;
mod key;
mod output;
mod runtime;
mod shell;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use commands::Cli;
use failure::{Exit, Failure, Result};
use output::Output;
use runtime::Interrupts;

/// Wipes memory when it is freed. Copies of tokens, keys and passwords are made by libraries that do not wipe them.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    keep_memory_private();
    let (output, result) = match Cli::try_parse() {
        Ok(cli) => {
            let output = Output::new(cli.global.json);
            (output, run_guarded(cli, output))
        }
        Err(error) => match answer_without_running(&error) {
            Some(exit) => return exit,
            None => (Output::new(asks_for_json()), Err(Failure::usage(plain_text(&error)))),
        },
    };
    let exit = result.unwrap_or_else(|failure| {
        output.failure(&failure);
        Exit::of(failure.code)
    });
    // A thread may still wait for a FIFO that nobody writes to: the program does not wait for it.
    std::process::exit(exit as i32)
}

/// Prevents other processes of the same user from reading this one's memory and environment, by `/proc` or as a
/// debugger, and prevents core dumps. Keys are in the memory, and in the environment where `DPS_KEY` or
/// `DPS_GROUP_KEY` is set.
fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // A sandbox may refuse the call; the program runs without this protection then.
        _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// A panic has been reported on stderr by its hook; the exit code is ours.
fn run_guarded(cli: Cli, output: Output) -> Result<Exit> {
    catch_unwind(AssertUnwindSafe(|| run(cli, output)))
        .unwrap_or_else(|_| Err(Failure::internal("a part of this program failed; please report what stands above")))
}

fn run(cli: Cli, output: Output) -> Result<Exit> {
    output::start_logging(cli.global.verbose)?;
    let internal = |error: std::io::Error| Failure::internal(format!("cannot start: {error}"));
    // Its end waits neither for a name that is being resolved nor for a file that is being read, also after a panic.
    let runtime = dps_client::CallRuntime::new()?;
    runtime.block_on(async {
        let interrupts = Interrupts::listen().map_err(internal)?;
        commands::run(cli, output, interrupts).await
    })
}

/// Help and version are answers, not failures; a usage error for people is shown as the parser words it.
fn answer_without_running(error: &clap::Error) -> Option<ExitCode> {
    let is_answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !is_answer && asks_for_json() {
        return None;
    }
    if is_answer {
        // A stream that is gone is nothing to fail for.
        _ = error.print();
        return Some(ExitCode::SUCCESS);
    }
    // A part of the command line is in it.
    output::lines(&error.render().to_string());
    Some(ExitCode::from(Exit::Usage as u8))
}

/// Whether `--json` stands on a command line that could not be parsed.
fn asks_for_json() -> bool {
    std::env::args_os().skip(1).take_while(|arg| arg != "--").any(|arg| arg == "--json")
}

/// The parser's words without its heading.
fn plain_text(error: &clap::Error) -> String {
    let text = error.render().to_string();
    text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned()
}
