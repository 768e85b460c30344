//! Checks file lengths, the header of each source file, and words and phrases that must not appear in the repository.

use crate::run::{Outcome, read, report, root, tracked};

/// The largest number of lines of a source file, not counting tests.
const LINES_MOST: usize = 500;

/// Words that must not appear anywhere. They are spelled in two halves, so that the check does not find them here.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("arti", "factory"), "the name of a registry's host"),
    (concat!("TO", "DO"), "work left undone"),
    (concat!("FIX", "ME"), "work left undone"),
];

/// Phrases that are not idiomatic technical English, searched as whole words in any letter case, with what to say instead.
/// They are spelled in two halves for the same reason.
const PHRASES: &[(&str, &str)] = &[
    (concat!("is ", "none"), "is not a X, is missing"),
    (concat!("is ", "no key"), "is not a key"),
    (concat!("for ", "who"), "for callers that"),
    (concat!("time", "-out"), "timeout"),
    (concat!("of one", "'s own"), "custom, your own"),
    (concat!("take ", "leave"), "disconnect, close"),
    (concat!("he", "ed"), "honor, ignore"),
    (concat!("me", "nd"), "fix"),
    (concat!("stands ", "at"), "is at"),
    (concat!("let ", "in"), "accepted"),
    (concat!("turned ", "away"), "rejected, refused"),
];
/// The endings of files with text for readers. Test data and the files of IoT Edge are not ours to word.
const WORDED: &[&str] = &["md", "rs", "py", "pyi", "c", "h", "toml", "yml"];
const NOT_OURS: &[&str] = &["dps-edge/tests/golden/", "dps-edge/tests/templates/"];

pub(crate) fn check() -> Outcome {
    let mut problems = Vec::new();
    for path in tracked()? {
        // Inputs of a fuzzer are data, seldom text.
        if path.ends_with(".lock") || path.starts_with("LICENSE") || path.starts_with("fuzz/corpus/") || is_image(&path)
        {
            continue;
        }
        let Ok(text) = std::fs::read(root().join(&path)).map(String::from_utf8) else { continue };
        let Ok(text) = text else {
            problems.push(format!("{path} is not UTF-8 text; the repository contains only sources and data"));
            continue;
        };
        problems.extend(words(&path, &text));
        let is_worded = WORDED.contains(&path.rsplit('.').next().unwrap_or_default());
        if is_worded && !NOT_OURS.iter().any(|folder| path.starts_with(folder)) {
            problems.extend(phrases(&path, &text));
        }
        if path.ends_with(".rs") {
            problems.extend(source(&path, &text));
        }
    }
    problems.extend(unsafe_outside_c()?);
    report(&problems)
}

/// The images of documents, which tasks write.
fn is_image(path: &str) -> bool {
    path.starts_with("docs/images/") && path.ends_with(".png")
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

/// Returns the phrases of each line.
fn phrases(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // Python's comparison is code, and "there is none" is English.
        let line = line.replace("is None", "").to_lowercase().replace("there is ", "there's ");
        for (phrase, instead) in PHRASES {
            if has_phrase(&line, phrase) {
                problems.push(format!("{path}:{}: \"{phrase}\": say: {instead}", number + 1));
            }
        }
    }
    problems
}

/// Returns whether a line has a phrase that is not a part of a longer word.
fn has_phrase(line: &str, phrase: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(phrase).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + phrase.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

fn source(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let is_test = path.split('/').any(|part| part == "tests");
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().count();
    if !is_test && lines > LINES_MOST {
        problems.push(format!("{path} has {lines} lines outside of tests, more than {LINES_MOST}"));
    }
    if !text.starts_with("//!") {
        problems.push(format!("{path} does not begin with `//!` lines that describe it"));
    }
    problems
}

/// Finds crates that neither inherit the workspace's lints, which forbid unsafe code, nor forbid it themselves.
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
    fn long_files_missing_headers_and_forbidden_words_are_found() {
        assert_eq!(source("a/src/b.rs", "//! Header.\nfn f() {}\n"), Vec::<String>::new());
        assert_eq!(source("a/src/b.rs", "fn f() {}\n").len(), 1);
        assert_eq!(source("a/src/b.rs", &format!("//! Header.\n{}", "\n".repeat(600))).len(), 1);
        assert_eq!(source("a/tests/b.rs", &format!("//! Header.\n{}", "\n".repeat(600))), Vec::<String>::new());
        let (word, _) = FORBIDDEN[0];
        assert_eq!(words("a.md", &format!("fine\nsee {word}x\n")), [format!("a.md:2: a path of one machine: {word}")]);
    }

    #[test]
    fn phrases_are_found_as_whole_words_in_any_case() {
        let (phrase, instead) = PHRASES[0];
        let shout = phrase.to_uppercase();
        let expected = format!("a.md:2: \"{phrase}\": say: {instead}");
        assert_eq!(phrases("a.md", &format!("fine\nIt {shout}.\n")), [expected]);
        for fine in [
            format!("th{phrase}"),
            format!("{phrase}xyz"),
            format!("{phrase}_of"),
            format!("there {phrase}"),
            "x is None".into(),
        ] {
            assert_eq!(phrases("a.md", &fine), Vec::<String>::new(), "{fine}");
        }
        assert!(PHRASES.iter().all(|(phrase, _)| has_phrase(&format!("({phrase})"), phrase)));
    }
}
