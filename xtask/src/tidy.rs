//! What a reader of the repository relies on: short files, a header in each, nothing that only one machine knows.

use crate::run::{Outcome, read, report, root, tracked};

/// Outside tests no source file is longer.
const LINES_MOST: usize = 500;

/// Spelt in two halves, so that this file does not find itself.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("arti", "factory"), "the name of a registry's host"),
    (concat!("TO", "DO"), "work left undone"),
    (concat!("FIX", "ME"), "work left undone"),
];

pub(crate) fn check() -> Outcome {
    let mut problems = Vec::new();
    for path in tracked()? {
        // What a fuzzer keeps is data, seldom text.
        if path.ends_with(".lock") || path.starts_with("LICENSE") || path.starts_with("fuzz/corpus/") {
            continue;
        }
        let Ok(text) = std::fs::read(root().join(&path)).map(String::from_utf8) else { continue };
        let Ok(text) = text else {
            problems.push(format!("{path} is no text; the repository holds sources and data only"));
            continue;
        };
        problems.extend(words(&path, &text));
        if path.ends_with(".rs") {
            problems.extend(source(&path, &text));
        }
    }
    problems.extend(unsafe_outside_c()?);
    report(&problems)
}

fn words(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (word, why) in FORBIDDEN {
            if line.contains(word) {
                problems.push(format!("{path}:{}: {why}: {word}", number + 1));
            }
        }
    }
    problems
}

fn source(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let is_test = path.split('/').any(|part| part == "tests");
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().count();
    if !is_test && lines > LINES_MOST {
        problems.push(format!("{path} has {lines} lines outside tests, {LINES_MOST} at most"));
    }
    if !text.starts_with("//!") {
        problems.push(format!("{path} does not open with `//!` lines that say what it is for"));
    }
    problems
}

/// The lints forbid it in each crate; this finds a crate that forgot to take the workspace's lints.
fn unsafe_outside_c() -> Result<Vec<String>, String> {
    let mut problems = Vec::new();
    for path in tracked()?.iter().filter(|path| path.ends_with("Cargo.toml") && !path.starts_with("bindings/c/")) {
        let text = read(path)?;
        let inherits = text.contains("[lints]\nworkspace = true") || text.contains("unsafe_code = \"forbid\"");
        if !inherits {
            problems.push(format!("{path} neither inherits the workspace's lints nor forbids unsafe code"));
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_missing_headers_and_wrong_words_are_found() {
        assert_eq!(source("a/src/b.rs", "//! Header.\nfn f() {}\n"), Vec::<String>::new());
        assert_eq!(source("a/src/b.rs", "fn f() {}\n").len(), 1);
        assert_eq!(source("a/src/b.rs", &format!("//! Header.\n{}", "\n".repeat(600))).len(), 1);
        assert_eq!(source("a/tests/b.rs", &format!("//! Header.\n{}", "\n".repeat(600))), Vec::<String>::new());
        let (word, _) = FORBIDDEN[0];
        assert_eq!(words("a.md", &format!("fine\nsee {word}x\n")), [format!("a.md:2: a path of one machine: {word}")]);
    }
}
