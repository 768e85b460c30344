//! `dps demo`, and the commands that it prints.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::run::{DEVICE_ID, Finished, Run, dps, finish, send};

#[test]
fn demo_shows_a_registration_and_no_key() {
    let done = dps(["demo"]).run().code(0);
    for words in
        [DEVICE_ID, "demo-line", "edge-enabled", "twin tags", "hub-a.test", "assigned: hub hub-a.test, device id"]
    {
        assert!(done.stdout.contains(words), "{words}: {}", done.stdout);
    }
    assert_eq!(done.stderr, "");
    assert!(!done.stdout.contains("SharedAccess") && !done.stdout.contains("=="));

    let result = dps(["demo", "--json"]).run().code(0).json();
    let registration = &result["registration"];
    assert_eq!((&registration["status"], &registration["deviceId"]), (&"assigned".into(), &DEVICE_ID.into()));
    assert!(registration["lastUpdatedDateTimeUtc"].is_string());
}

#[test]
fn demo_prints_cargo_command_under_cargo() {
    let result = dps(["demo", "--json"]).env("CARGO_PKG_NAME", "dps-cli").run().code(0).json();
    assert_eq!(result["nextCommand"], "cargo run -p dps-cli -- emulator");
}

#[test]
fn demo_next_commands_work_in_a_shell() {
    let next = dps(["demo", "--json"]).run().code(0).json()["nextCommand"].as_str().unwrap().to_owned();
    let mut emulator = shell(&format!("exec {next}")).start();
    let lines = BufReader::new(emulator.stdout.take().unwrap()).lines();
    let pasted: Vec<String> =
        lines.map(|line| line.unwrap()).filter(|line| line.contains("--ca-file")).take(2).collect();
    for command in &pasted {
        let output = shell(command).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        let done = Finished::from_output(output).code(0);
        assert_eq!(done.stderr, "", "{command}");
    }
    send(&emulator, Signal::TERM);
    finish(emulator).code(0);
}

fn shell(line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]).stdin(Stdio::null()).env_remove("CARGO_PKG_NAME");
    command
}
