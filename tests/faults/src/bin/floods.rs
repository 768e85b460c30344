//! Prints how each flood of the matrix ends, run by run; fails when one ends otherwise than the matrix says, or later
//! than 0.3 s past its deadline. The first argument is how often each runs, 20 by default; the second a client that is a
//! program.
#![allow(clippy::print_stdout, reason = "the table is for the terminal")]

use std::process::ExitCode;

use faults::Client;

const RUNS: usize = 20;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let runs = arguments.next().and_then(|runs| runs.to_str()?.parse().ok()).unwrap_or(RUNS);
    let client = arguments.next().map_or(Client::Ours, |program| Client::Program(program.into()));
    let good = faults::floods(&client, runs, |flooded| println!("{flooded}")).await;
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
