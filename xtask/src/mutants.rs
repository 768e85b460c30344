//! Changes `dps-core` in one small place after the other and asks whether its tests notice (mutation testing).
//!
//! Too long for every day: some seconds for each of several hundred mutants. A mutant that no test can notice, or that
//! is not worth one, stands with the reason in `docs/mutants.md`.

use serde_json::Value;

use crate::run::{Outcome, arguments, cargo, exists, read, report, target_dir};
use crate::setup::cargo_install;

/// The least part of the mutants, in per cent, that has to be noticed.
const LEAST: usize = 85;
/// Survivors that are known, each with its reason.
const KNOWN: &str = "docs/mutants.md";
/// Fewer than a property test makes by itself: the others notice most, and a mutant should take seconds.
const PROPTEST_CASES: &str = "64";

pub(crate) fn check() -> Outcome {
    if !exists("cargo-mutants") {
        cargo_install("cargo-mutants", "^27")?;
    }
    let folder = target_dir().join("mutants");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut mutants = cargo(["mutants", "--package", "dps-core", "--minimum-test-timeout", "60", "--output"]);
    mutants.arg(&folder).args(arguments()).env("PROPTEST_CASES", PROPTEST_CASES);
    // Nobody debugs a mutant, and most of its time goes into linking.
    mutants.env("CARGO_PROFILE_DEV_DEBUG", "0");
    if exists("cargo-nextest") {
        mutants.args(["--test-tool", "nextest"]);
    }
    let outcomes = folder.join("mutants.out/outcomes.json");
    let _ = std::fs::remove_file(&outcomes);
    let ended = mutants.status().map_err(|error| format!("cargo mutants: {error}"))?;
    // Status 2 and 3 report survivors and timeouts, which are judged below.
    let finished = matches!(ended.code(), Some(0 | 2 | 3));
    let unfinished = || format!("cargo mutants did not finish: it ended with {ended}");
    let found = std::fs::read_to_string(&outcomes).map_err(|_| unfinished())?;
    let found: Value = serde_json::from_str(&found).map_err(|error| format!("{}: {error}", outcomes.display()))?;
    let tally = Tally::read(&found);
    println!("{} mutants noticed of {}: {} %", tally.noticed, tally.all(), tally.score());
    let mut problems = tally.problems(&read(KNOWN)?);
    if !finished {
        problems.push(unfinished());
    }
    report(&problems)
}

/// What became of the mutants; those that do not compile are not counted.
#[derive(Debug, Default)]
struct Tally {
    noticed: usize,
    survivors: Vec<Survivor>,
}

#[derive(Debug, PartialEq)]
struct Survivor {
    /// File, line and column.
    place: String,
    /// Such as `replace < with <= in f`.
    change: String,
}

impl Survivor {
    /// Whether a row of the list names it; lines of a file come and go. A bar in a table is written as `\|`.
    fn is_in(&self, row: &str) -> bool {
        let (file, line) = (self.place.split(':').next().unwrap_or_default(), row.replace("\\|", "|"));
        line.contains(file) && line.contains(&format!("`{}`", self.change))
    }
}

impl Tally {
    fn read(found: &Value) -> Self {
        let mut tally = Self::default();
        for outcome in found["outcomes"].as_array().into_iter().flatten() {
            let Some(name) = outcome["scenario"]["Mutant"]["name"].as_str() else { continue };
            match outcome["summary"].as_str() {
                // A mutant that runs endlessly is detected too.
                Some("CaughtMutant" | "Timeout") => tally.noticed += 1,
                Some("MissedMutant") => {
                    let (place, change) = name.split_once(": ").unwrap_or(("", name));
                    tally.survivors.push(Survivor { place: place.into(), change: change.into() });
                }
                _ => {}
            }
        }
        tally
    }

    fn all(&self) -> usize {
        self.noticed + self.survivors.len()
    }

    fn score(&self) -> usize {
        self.noticed * 100 / self.all().max(1)
    }

    fn problems(&self, known: &str) -> Vec<String> {
        let mut problems = Vec::new();
        if self.score() < LEAST {
            problems.push(format!("{} % of the mutants are detected, {LEAST} % are required", self.score()));
        }
        let unknown = self.survivors.iter().filter(|survivor| !known.lines().any(|line| survivor.is_in(line)));
        problems.extend(unknown.map(|Survivor { place, change }| format!("{place}: {change}: not in {KNOWN}")));
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str, summary: &str) -> Value {
        serde_json::json!({ "scenario": { "Mutant": { "name": name } }, "summary": summary })
    }

    #[test]
    fn survivors_must_be_listed_and_few() {
        let baseline = serde_json::json!({ "scenario": "Baseline", "summary": "Success" });
        let mut outcomes = vec![baseline, outcome("a.rs:1:2: replace a with b in f", "MissedMutant")];
        outcomes.push(outcome("a.rs:2:2: replace c with d", "Unviable"));
        outcomes.push(outcome("a.rs:2:2: replace c with d", "Timeout"));
        let tally = Tally::read(&serde_json::json!({ "outcomes": outcomes }));
        assert_eq!((tally.noticed, tally.all(), tally.score()), (1, 2, 50));
        assert_eq!(tally.problems("").len(), 2);
        assert_eq!(tally.problems("| `a.rs` | `replace a with b in f` | why |").len(), 1);

        let bar = Survivor { place: "a.rs:1:2".into(), change: "replace | with ^".into() };
        assert!(
            bar.is_in("| `a.rs` | `replace \\| with ^` | why |") && !bar.is_in("| `b.rs` | `replace \\| with ^` | |")
        );

        outcomes.extend((0..9).map(|_| outcome("a.rs:3:2: replace e with f", "CaughtMutant")));
        let tally = Tally::read(&serde_json::json!({ "outcomes": outcomes }));
        assert_eq!((tally.score(), tally.problems("`a.rs` `replace a with b in f`").len()), (90, 0));
    }
}
