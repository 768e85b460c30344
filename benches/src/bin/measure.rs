//! Runs one client through a relay and prints its costs as JSON: `measure LISTEN TO LATENCY_MS COMMAND…`.
//!
//! `{port}` in the command is replaced by the relay's port. The process stays small on purpose: until it becomes the
//! client, a child has its parent's memory, which counts toward its peak.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the tool that runs it")]

use std::error::Error;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use dps_benches::relay::Relay;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde_json::{Value, json};

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("measure: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<(), Box<dyn Error>> {
    let [listen, to, latency, program, words @ ..] = arguments.as_slice() else {
        return Err("LISTEN TO LATENCY_MS COMMAND… are needed".into());
    };
    let relay = Relay::start(listen.parse()?, to.parse()?, Duration::from_millis(latency.parse()?))?;
    let port = relay.address().port().to_string();
    let start = Instant::now();
    let client = Command::new(program)
        .args(words.iter().map(|word| word.replace("{port}", &port)))
        .stdin(Stdio::null())
        .output()?;
    let wall = start.elapsed();
    if !client.status.success() {
        let said = [client.stdout, client.stderr].concat();
        return Err(format!("{program} ended with {}:\n{}", client.status, String::from_utf8_lossy(&said)).into());
    }
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let traffic = relay.traffic();
    // `dps --json` reports the time from the start of the first connection to the assignment.
    let said = serde_json::from_slice::<Value>(&client.stdout).unwrap_or_default();
    let figures = json!({
        "elapsedMs": said["elapsedMs"],
        "connections": traffic.connections,
        "roundTrips": traffic.round_trips(),
        "waitedMs": millis(traffic.waited),
        "up": traffic.up,
        "down": traffic.down,
        "wallMs": millis(wall),
        "cpuMs": (used.user_time() + used.system_time()).num_microseconds() as f64 / 1e3,
        "peakKib": used.max_rss(),
    });
    println!("{figures}");
    Ok(())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
