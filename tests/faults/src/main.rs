//! Prints the results of the fault matrix; fails if a row has another outcome than expected, or ends late. The argument, if
//! there is one, is the client program to test.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table is for the terminal, what differs for its caller"
)]

use std::process::ExitCode;
use std::time::Instant;

use faults::Client;

#[tokio::main]
async fn main() -> ExitCode {
    let start = Instant::now();
    let client = std::env::args_os().nth(1).map_or(Client::Ours, |program| Client::Program(program.into()));
    let report = faults::run(client).await;
    println!("{report}, in {:.0} s", start.elapsed().as_secs_f32());
    let problems = report.problems();
    for problem in &problems {
        eprintln!("{problem}");
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
