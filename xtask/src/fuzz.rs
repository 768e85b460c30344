//! Fuzzes the targets of `fuzz` for some seconds each and prints what came of it.
//!
//! The corpus in the repository is where every run begins, and only read: what a run adds is kept beside the builds.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::instrumented::instrument;
use crate::run::{Outcome, arguments, cargo, command, exists, is_part_of_all, report, root, run, target_dir};
use crate::setup::has_nightly;

/// How long each target runs when nothing else is said.
const SECONDS: u32 = 10;
/// The same as a part of all checks: enough to see that it works and to run what is in its corpus.
const SECONDS_OF_ALL: u32 = 3;
/// How many targets run at the same time; each uses one processor.
const AT_ONCE: usize = 2;
/// An input that takes longer, in seconds, counts as a hang.
const INPUT_SECONDS: u32 = 10;
/// Where the runs of CI and of `cargo xtask test` start from: a check of a change must not turn red by chance. Other runs
/// are for finding what is new, and each of them starts elsewhere.
const SEED: u32 = 1;

pub(crate) fn check() -> Outcome {
    let targets = targets()?;
    let seconds = if is_part_of_all() { SECONDS_OF_ALL } else { SECONDS };
    let options = Options::parse(&arguments(), &targets, seconds)?;
    Build::here().build()?;
    println!("{:<14} {:>11} {:>9} {:>7}  result", "target", "executions", "coverage", "inputs");
    let mut problems = Vec::new();
    let chosen: Vec<&String> =
        targets.iter().filter(|target| options.target.as_ref().is_none_or(|chosen| chosen == *target)).collect();
    for targets in chosen.chunks(AT_ONCE) {
        for (target, found) in targets.iter().zip(fuzz_together(targets, options.seconds)) {
            let found = found?;
            let result = if found.problem.is_none() { "nothing found" } else { "FAILED" };
            println!("{target:<14} {:>11} {:>9} {:>7}  {result}", found.executions, found.coverage, found.inputs);
            problems.extend(found.problem.map(|problem| format!("{target}: {problem}")));
        }
    }
    report(&problems)
}

/// Why nothing can be fuzzed here, and what to do about it.
pub(crate) fn missing() -> Option<String> {
    if is_part_of_all() {
        return None;
    }
    if !has_nightly() {
        return Some(
            "fuzzing needs a nightly compiler; get one by: rustup toolchain install nightly --profile minimal".into(),
        );
    }
    (!exists("cargo-fuzz")).then(|| "cargo-fuzz is missing; `cargo xtask setup` installs it".into())
}

/// The arguments after the task's name.
#[derive(Debug, PartialEq)]
struct Options {
    seconds: u32,
    target: Option<String>,
}

impl Options {
    fn parse(words: &[String], targets: &[String], seconds: u32) -> Result<Self, String> {
        let mut options = Self { seconds, target: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--seconds" {
                let seconds = words.next().and_then(|word| word.parse().ok()).filter(|seconds| *seconds > 0);
                options.seconds = seconds.ok_or("--seconds wants a whole number of at least 1")?;
            } else if targets.contains(word) {
                options.target = Some(word.clone());
            } else {
                let known = targets.join(", ");
                return Err(format!("unknown target `{word}`; usage: fuzz [--seconds N] [TARGET], one of {known}"));
            }
        }
        Ok(options)
    }
}

/// The targets, one a file.
fn targets() -> Result<Vec<String>, String> {
    let folder = root().join("fuzz/fuzz_targets");
    let files = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let name = |path: PathBuf| path.file_stem().and_then(|name| name.to_str()).map(str::to_owned);
    let mut targets: Vec<String> = files.filter_map(|file| name(file.ok()?.path())).collect();
    targets.sort();
    Ok(targets)
}

/// A build of all targets, and how one of them is run.
enum Build {
    /// By cargo-fuzz and a nightly compiler: optimized, with AddressSanitizer.
    CargoFuzz,
    /// As a part of all checks, where the build is most of the check: by the compiler of the other checks, not optimized, with
    /// the dependencies that those have compiled. What is fuzzed forbids `unsafe`, so that AddressSanitizer could find faults of
    /// dependencies alone.
    Shared,
}

/// What libFuzzer needs to see which code an input reaches, as cargo-fuzz has it.
const COVERAGE: [&str; 7] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

impl Build {
    fn here() -> Self {
        if is_part_of_all() { Self::Shared } else { Self::CargoFuzz }
    }

    fn build(&self) -> Outcome {
        match self {
            Self::CargoFuzz => run(&mut cargo_fuzz("build")),
            Self::Shared => {
                let mut build = cargo(["build", "--locked", "--quiet", "-p", "dps-fuzz", "--features", "libfuzzer"]);
                instrument(&mut build, &COVERAGE)?;
                run(&mut build)
            }
        }
    }

    /// Runs a target; arguments for libFuzzer follow.
    fn run(&self, target: &str, corpora: [PathBuf; 2]) -> Command {
        match self {
            Self::CargoFuzz => {
                let mut fuzz = cargo_fuzz("run");
                fuzz.arg(target).args(corpora).arg("--");
                fuzz
            }
            Self::Shared => {
                let mut fuzz = command(target_dir().join("debug").join(target), corpora);
                fuzz.arg(format!("-artifact_prefix={}/{target}-", target_dir().join("fuzz").display()));
                fuzz
            }
        }
    }
}

/// The workspace's release profile is for what is shipped: what cargo-fuzz builds needs line tables, and no more than some
/// optimization.
fn cargo_fuzz(verb: &str) -> Command {
    let words = ["run", "nightly", "cargo", "fuzz", verb, "--fuzz-dir", "fuzz", "--features", "libfuzzer"];
    let mut fuzz = command("rustup", words);
    fuzz.arg("--target-dir").arg(target_dir().join("fuzz"));
    let release = [("LTO", "off"), ("OPT_LEVEL", "1"), ("STRIP", "none"), ("DEBUG", "line-tables-only")];
    fuzz.envs(release.map(|(name, value)| (format!("CARGO_PROFILE_RELEASE_{name}"), value)));
    fuzz
}

/// What a run came to.
#[derive(Debug, Default, PartialEq)]
struct Found {
    executions: u64,
    /// Edges of the program that were reached.
    coverage: u64,
    /// Inputs that are kept, for each reached something new.
    inputs: u64,
    problem: Option<String>,
}

fn fuzz_together(targets: &[&String], seconds: u32) -> Vec<Result<Found, String>> {
    std::thread::scope(|scope| {
        let runs: Vec<_> = targets.iter().map(|target| scope.spawn(|| fuzz(target, seconds))).collect();
        runs.into_iter().map(|run| run.join().unwrap_or_else(|_| Err("the run panicked".into()))).collect()
    })
}

fn fuzz(target: &str, seconds: u32) -> Result<Found, String> {
    let kept = target_dir().join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&kept).map_err(|error| format!("{}: {error}", kept.display()))?;
    let mut fuzz = Build::here().run(target, [kept, root().join("fuzz/corpus").join(target)]);
    fuzz.arg("-print_final_stats=1");
    fuzz.args([format!("-max_total_time={seconds}"), format!("-timeout={INPUT_SECONDS}")]);
    // What has to come out as the last run did.
    if is_part_of_all() || std::env::var_os("CI").is_some() {
        fuzz.arg(format!("-seed={SEED}"));
    }
    let run =
        fuzz.stdout(Stdio::null()).output().map_err(|error| format!("cannot run the fuzz target {target}: {error}"))?;
    let said = String::from_utf8_lossy(&run.stderr);
    Ok(Found { problem: (!run.status.success()).then(|| what_happened(&said)), ..Found::read(&said) })
}

impl Found {
    /// From what libFuzzer says: progress lines such as `#4096 pulse cov: 52 ft: 60 corp: 12/80b …`, figures at the end.
    fn read(said: &str) -> Self {
        let progress = |name: &str| {
            let last = said.lines().rev().find_map(|line| line.strip_prefix('#')?.split_once(name));
            let number = last.and_then(|(_, rest)| rest.trim_start().split([' ', '/']).next());
            number.and_then(|number| number.parse().ok()).unwrap_or_default()
        };
        let executions = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        Self {
            executions: executions.and_then(|number| number.trim().parse().ok()).unwrap_or_default(),
            coverage: progress(" cov:"),
            inputs: progress(" corp:"),
            problem: None,
        }
    }
}

/// The panic or libFuzzer's own words, and the command that repeats it.
fn what_happened(said: &str) -> String {
    let telling = |line: &&str| {
        let signs = ["panicked at", "SUMMARY:", "ERROR:", "cargo fuzz run", "Test unit written"];
        line.starts_with("error") || signs.iter().any(|sign| line.contains(sign))
    };
    let mut lines = Vec::new();
    let mut all = said.lines();
    while let Some(line) = all.next() {
        if telling(&line) {
            lines.push(line.trim());
        }
        // The message stands below the place.
        lines.extend(line.contains("panicked at").then(|| all.next()).flatten());
    }
    lines.join("\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_wrong_ones_named() {
        let parse = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            Options::parse(&words, &["json".into(), "token".into()], SECONDS)
        };
        assert_eq!(parse(&[]), Ok(Options { seconds: SECONDS, target: None }));
        assert_eq!(parse(&["--seconds", "600", "json"]), Ok(Options { seconds: 600, target: Some("json".into()) }));
        for wrong in [&["--seconds"][..], &["--seconds", "0"], &["--seconds", "x"], &["jsn"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn figures_and_failures_are_found_in_what_libfuzzer_says() {
        let said = "INFO: Seed: 1\n#2\tINITED cov: 3 ft: 3 corp: 1/1b\n#512\tpulse  cov: 52 ft: 60 corp: 12/80b lim: 4\n\
                    thread '<unnamed>' panicked at fuzz_targets/json.rs:25:5:\nassertion failed\nstack\n\
                    SUMMARY: libFuzzer: deadly signal\nstat::number_of_executed_units: 600\n";
        assert_eq!(Found::read(said), Found { executions: 600, coverage: 52, inputs: 12, problem: None });
        let problem = what_happened(said);
        assert!(problem.contains("json.rs:25:5") && problem.contains("assertion failed"), "{problem}");
        assert!(problem.contains("deadly signal") && !problem.contains("stack"), "{problem}");
    }
}
