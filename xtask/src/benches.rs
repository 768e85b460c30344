//! Runs the benches, counts instructions, and measures the derivation of a long list of keys.
//!
//! The figures are for people, who compare them within one run; they never make a check fail.

use std::process::Command;

use crate::run::{Outcome, TESTED, cargo, command, exists, output, run, target_dir};
use crate::setup;

/// An operation is counted as the difference between so many runs and none.
const TIMES: u64 = 100;

/// Each bench once, as the tests are built.
pub(crate) fn check() -> Outcome {
    run(cargo(["test", "--quiet", "--bench", "*"]).args(TESTED))
}

/// Counts the instructions of each operation under valgrind, which emulates a processor without SHA instructions.
pub(crate) fn instructions() -> Outcome {
    if !exists("valgrind") {
        setup::install_valgrind()?;
    }
    build(&["-p", "dps-benches", "--bin", "instructions"])?;
    println!("{:<42} {:<20} {:>12} {:>7}", "operation", "by", "instructions", "ratio");
    let mut ours = 0;
    for line in output(&mut program("instructions"))?.lines() {
        let (name, peer) = line.split_once('\t').unwrap_or((line, ""));
        let once = (counted(name, peer, TIMES)? - counted(name, peer, 0)?) / TIMES;
        let ratio = if peer.is_empty() { String::new() } else { format!("{:.2}x", ours as f64 / once as f64) };
        ours = if peer.is_empty() { once } else { ours };
        println!("{name:<42} {peer:<20} {once:>12} {ratio:>7}");
    }
    Ok(())
}

fn counted(name: &str, peer: &str, times: u64) -> Result<u64, String> {
    let mut valgrind = command("valgrind", ["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let ran = valgrind.arg(release("instructions")).args([name, peer, &times.to_string()]).output();
    let said = ran.map_err(|error| format!("cannot run valgrind: {error}"))?.stderr;
    let said = String::from_utf8_lossy(&said);
    let count = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    count.ok_or_else(|| format!("the output of valgrind has no instruction count:\n{said}"))
}

/// `dps derive-key --ids` beside a loop over the usual crates.
pub(crate) fn bulk() -> Outcome {
    build(&["-p", "dps-cli", "-p", "dps-benches", "--bins"])?;
    run(program("bulk").arg(release("dps")))
}

/// Builds with the profile that is shipped.
pub(crate) fn build(what: &[&str]) -> Outcome {
    run(cargo(["build", "--locked", "--quiet", "--release"]).args(what))
}

/// A program that was built.
pub(crate) fn program(name: &str) -> Command {
    command(release(name), [] as [&str; 0])
}

pub(crate) fn release(name: &str) -> std::path::PathBuf {
    let path = target_dir().join("release").join(name);
    path.canonicalize().unwrap_or(path)
}
