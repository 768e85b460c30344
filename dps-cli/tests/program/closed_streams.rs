//! A closed stream is not a failure; a full disk is.

use std::fs::OpenOptions;
use std::process::Stdio;

use super::run::{Finished, GROUP_KEY, Run, dps, finish};

#[test]
fn closed_stdout_is_not_a_failure() {
    for line in [&["derive-key", "--rid", "a"][..], &["completions", "bash"], &["--help"]] {
        let mut child = dps(line.iter().copied()).env("DPS_GROUP_KEY", GROUP_KEY).start();
        drop(child.stdout.take());
        let done = finish(child).code(0);
        assert_eq!(done.stderr, "");
    }
}

#[test]
fn closed_stderr_is_not_a_failure() {
    let mut child = dps(["derive-key", "--rid", "a b"]).start();
    drop(child.stderr.take());
    finish(child).code(3);
}

#[test]
fn full_disk_is_a_local_failure() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = dps(["derive-key", "--rid", "a"]);
    command.env("DPS_GROUP_KEY", GROUP_KEY).stdout(Stdio::from(full)).stderr(Stdio::piped());
    let done = Finished::from_output(command.output().unwrap()).code(7);
    assert!(done.stderr.contains("stdout"), "{}", done.stderr);
}
