//! The public API of the library crates, listed by cargo-public-api, is the one in their `public-api.txt`: so that each
//! change of it is seen, and reviewed, as a change of that file. No enum is exhaustive without being named here.

use std::collections::BTreeMap;

use crate::run::{Outcome, command, exists, output, read, report, root, target_dir};
use crate::setup::has_nightly;

/// The crates whose API is listed.
const CRATES: [&str; 1] = ["dps-core"];

/// Enums to which nothing can be added without breaking callers, so that the compiler tells those who match on them. All
/// other enums are `#[non_exhaustive]`.
const EXHAUSTIVE: [&str; 3] = ["Action", "Family", "Verdict"];

pub(crate) fn check() -> Outcome {
    let mut problems = Vec::new();
    for name in CRATES {
        let stated = read(file(name)).unwrap_or_default();
        let found = list(name)?;
        problems.extend(exhaustive_enums(&found));
        let changes = changes(&stated, &found);
        if !changes.is_empty() {
            problems.push(format!(
                "{} is not the public API of {name}:\n    {}\n  If each change is meant, run `cargo xtask write-api`.",
                file(name),
                changes.join("\n    ")
            ));
        }
    }
    report(&problems)
}

pub(crate) fn write() -> Outcome {
    for name in CRATES {
        let path = root().join(file(name));
        std::fs::write(&path, list(name)?).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Why the API cannot be listed here, and what to do about it.
pub(crate) fn missing() -> Option<String> {
    if !has_nightly() {
        return Some("there is no nightly compiler; get one by: rustup toolchain install nightly".into());
    }
    (!exists("cargo-public-api")).then(|| "cargo-public-api is missing; `cargo xtask setup` installs it".into())
}

fn file(name: &str) -> String {
    format!("{name}/public-api.txt")
}

/// Every public item, one a line: with all features, without what the compiler implements for every type.
fn list(name: &str) -> Result<String, String> {
    let arguments = ["run", "nightly", "cargo", "public-api", "-ss", "--all-features", "--color=never", "-p", name];
    let mut list = command("rustup", arguments);
    output(list.arg("--target-dir").arg(target_dir().join("public-api"))).map_err(|error| {
        format!("{error}\n(if the nightly compiler is too new for cargo-public-api, raise its version in xtask/src/setup.rs)")
    })
}

/// Enums that can be matched exhaustively, and are not meant to be.
fn exhaustive_enums(list: &str) -> Vec<String> {
    let enums = list.lines().filter_map(|line| line.strip_prefix("pub enum "));
    let name =
        |path: &&str| path.split('<').next().and_then(|path| path.rsplit("::").next()).unwrap_or_default().to_owned();
    let wrong = enums.filter(|path| !EXHAUSTIVE.contains(&name(path).as_str()));
    wrong.map(|path| format!("{path} may grow: mark it #[non_exhaustive], or name it in xtask/src/api.rs")).collect()
}

/// What is in one list and not in the other, as a diff shows it; a list may hold a line more than once.
fn changes(stated: &str, found: &str) -> Vec<String> {
    let mut counts = BTreeMap::<&str, i32>::new();
    found.lines().for_each(|line| *counts.entry(line).or_default() += 1);
    stated.lines().for_each(|line| *counts.entry(line).or_default() -= 1);
    let changed = counts.into_iter().filter(|(_, count)| *count != 0);
    changed.map(|(line, count)| format!("{} {line}", if count > 0 { '+' } else { '-' })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enums_that_may_grow_are_non_exhaustive() {
        let fine = "#[non_exhaustive] pub enum a::B\npub enum a::Action<'a>\npub enum a::b::Verdict\npub struct a::C\n";
        assert_eq!(exhaustive_enums(fine), Vec::<String>::new());
        assert_eq!(exhaustive_enums("pub enum a::Reaction<'a>\n").len(), 1);
    }

    #[test]
    fn changes_show_added_removed_and_changed_items() {
        let stated = "pub fn a::b()\npub struct a::C\n";
        assert_eq!(changes(stated, stated), Vec::<String>::new());
        assert_eq!(changes(stated, "pub fn a::b(u8)\npub struct a::C\n"), ["- pub fn a::b()", "+ pub fn a::b(u8)"]);
        assert_eq!(changes("", "pub struct a::C\n"), ["+ pub struct a::C"]);
        assert_eq!(changes(stated, "pub struct a::C\n"), ["- pub fn a::b()"]);
    }
}
