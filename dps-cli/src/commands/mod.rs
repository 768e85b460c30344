//! One file a command: it reads its inputs, does the work through the crates beside this one, and prints.

mod check;
mod completions;
mod demo;
mod derive_key;
mod device;
mod edge;
mod emulator;
mod enrollment;
mod lookup;
mod owner;
mod register;
mod resume;
mod token;

use std::time::Duration;

use dps_core::ErrorCode;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::args::{Cli, Command, EmulatorArgs};
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupts;
use crate::output::Output;

/// Runs the command line, until it is done or interrupted.
pub(crate) async fn run(cli: Cli, output: Output, mut interrupts: Interrupts) -> Result<Exit> {
    if cli.command.stdin_inputs() > 1 {
        return Err(Failure::usage("only one input can be read from stdin (-); give the others as files"));
    }
    // The emulator ends in its own time; everything else ends at once.
    let command = match cli.command {
        Command::Emulator(EmulatorArgs { run, command: None }) => {
            return emulator::run(run, output, &mut interrupts).await;
        }
        Command::Emulator(EmulatorArgs { run, .. }) if run.is_given() => {
            return Err(Failure::usage(
                "options of an emulator that is to be run do not go with 'fault', 'counters' and 'hub-device', which \
                 speak to one that is running",
            ));
        }
        other => other,
    };
    tokio::select! {
        done = dispatch(command, output) => done,
        () = interrupts.next() => {
            dps_files::abandon_drafts();
            Err(Failure::interrupted())
        }
    }
}

async fn dispatch(command: Command, output: Output) -> Result<Exit> {
    match command {
        Command::DeriveKey(args) => blocking(move || derive_key::run(&args, output)).await,
        Command::Token(args) => blocking(move || token::run(&args, output)).await,
        Command::Completions { shell } => completions::run(shell),
        Command::Enrollment(command) => enrollment::run_individual(command, output).await,
        Command::EnrollmentGroup(command) => enrollment::run_group(command, output).await,
        Command::Register(args) => register::run(args, output).await,
        Command::Lookup(args) => lookup::run(args, output).await,
        Command::Check(args) => check::run(args, output).await,
        Command::Demo => demo::run(output).await,
        Command::Edge(command) => edge::run(command, output).await,
        Command::Emulator(EmulatorArgs { command: Some(command), .. }) => emulator::control(command, output).await,
        Command::Emulator(EmulatorArgs { command: None, .. }) => {
            Err(Failure::internal("the emulator is run elsewhere"))
        }
    }
}

/// Runs work that may block, such as reading from a FIFO, where it does not hold up an interruption.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(Failure::internal(format!("the work failed: {error}"))))
}

/// A busy machine may need longer for its files than a short limit for the network allows.
const FILES_LEAST: Duration = Duration::from_secs(10);

/// The same for work that has to be done within the command's own limit.
async fn blocking_within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let late = || Failure::new(ErrorCode::File, "the files could not be read within --timeout");
    timeout(limit.max(FILES_LEAST), blocking(work)).await.unwrap_or_else(|_| Err(late()))
}
