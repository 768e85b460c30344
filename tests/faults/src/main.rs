//! Prints the fault matrix as it comes out here and now; fails when a row ends otherwise than the table says, or late.
#![allow(clippy::print_stdout, reason = "the table is for the terminal")]

use std::process::ExitCode;
use std::time::Instant;

#[tokio::main]
async fn main() -> ExitCode {
    let start = Instant::now();
    let report = faults::run().await;
    println!("{report}, in {:.0} s", start.elapsed().as_secs_f32());
    if report.problems().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
