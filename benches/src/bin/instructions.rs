//! Repeats one operation, for a tool that counts instructions: `instructions NAME PEER TIMES`, where PEER may be empty.
//! Without arguments it lists the operations, one per line, tab-separated.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the tool that runs it")]

use std::process::ExitCode;

use dps_benches::OPERATIONS;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, peer, times] = arguments.as_slice() else {
        for operation in OPERATIONS {
            println!("{}\t{}", operation.name, operation.peer.unwrap_or_default());
        }
        return ExitCode::SUCCESS;
    };
    let wanted = OPERATIONS.iter().find(|one| one.name == name && one.peer.unwrap_or_default() == peer);
    let (Some(operation), Ok(times)) = (wanted, times.parse::<u32>()) else {
        eprintln!("instructions: unknown operation {name:?} by {peer:?}, or {times:?} is not a number");
        return ExitCode::from(2);
    };
    let mut run = (operation.prepare)();
    (0..times).for_each(|_| run());
    ExitCode::SUCCESS
}
