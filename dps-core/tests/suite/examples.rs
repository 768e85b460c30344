//! The examples run and end as they are meant to, and the README shows the loop of one of them.

#![allow(dead_code, clippy::duplicate_mod, reason = "each example is a program, with `main` and the recording")]

#[path = "../../examples/async_drive.rs"]
mod async_drive;
#[path = "../../examples/blocking_loop.rs"]
mod blocking_loop;
#[path = "../../examples/poll_loop.rs"]
mod poll_loop;

/// How each ends, but for the time: the round trips of the recording and the wait of 3 s that the first answer asks for,
/// which counts from that answer.
const END: &str = "assigned to hub-a.test as dev-01 with {\"line\":7} after ";

#[test]
fn blocking_loop_registers() {
    assert_eq!(blocking_loop::run().unwrap(), format!("{END}3400 ms"));
}

/// The signature takes a turn of the main loop, 50 ms.
#[test]
fn poll_loop_registers() {
    assert_eq!(poll_loop::run().unwrap(), format!("{END}3450 ms"));
}

#[test]
fn async_drive_registers() {
    assert_eq!(async_drive::run().unwrap(), format!("{END}3400 ms"));
}

#[test]
fn readme_shows_the_loop_of_the_blocking_example() {
    let example = include_str!("../../examples/blocking_loop.rs");
    let from = example.find("/// What the loop needs of your platform.").unwrap();
    let to = example.find("/// Plays the service's part.").unwrap();
    let shown = example[from..to].trim_end();
    assert!(include_str!("../../README.md").contains(shown), "put this into README.md:\n{shown}");
}
