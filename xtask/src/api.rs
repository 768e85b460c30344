//! Checks the documentation, and that the public API of the library crates, as the crate `public-api` lists it, matches their `public-api.txt`, so
//! that each change is reviewed as a change of that file. Exhaustive enums must be named here, and nothing of a release may
//! be removed as long as the version promises compatibility.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};

use crate::run::{Outcome, cargo, command, output, read, report, root, run, target_dir};

/// The crates whose API is listed, with all their features.
const CRATES: [&str; 10] = [
    "dps-core",
    "dps-files",
    "dps-net",
    "dps-http",
    "dps-mqtt",
    "dps-tpm",
    "dps-client",
    "dps-edge",
    "dps-emulator",
    "dps-accept",
];

/// Enums that are exhaustive on purpose: those that only callers create, and those that callers must match completely, so
/// that the compiler reports a new variant. All other enums are `#[non_exhaustive]`.
const EXHAUSTIVE: [&str; 24] = [
    "dps_client::IssuedState",
    "dps_client::Severity",
    "dps_core::Action",
    "dps_core::Family",
    "dps_core::Verdict",
    "dps_edge::Format",
    "dps_edge::Keys",
    "dps_edge::Reprovisioning",
    "dps_edge::Severity",
    "dps_edge::policy::Mode",
    "dps_edge::policy::Verdict",
    "dps_emulator::At",
    "dps_emulator::MemberVerdict",
    "dps_emulator::Protocol",
    "dps_emulator::ProvisioningStatus",
    "dps_emulator::RetryAfter",
    "dps_emulator::Scope",
    "dps_emulator::TlsVersion",
    "dps_emulator::UnchangedSubstatus",
    "dps_emulator::server::TlsVersion",
    "dps_files::Ownership",
    "dps_files::WhenThere",
    "dps_mqtt::Framing",
    "dps_net::ProxyChoice",
];

pub(crate) fn check() -> Outcome {
    let mut problems = Vec::new();
    document()?;
    for name in CRATES {
        let stated = read(file(name)).unwrap_or_default();
        let found = list(name)?;
        problems.extend(exhaustive_enums(&found));
        let changes = changes(&stated, &found);
        if !changes.is_empty() {
            problems.push(format!(
                "{} does not match the public API of {name}:\n    {}\n  If each change is intended, run `cargo xtask write-api`.",
                file(name),
                changes.join("\n    ")
            ));
        }
    }
    problems.extend(breaks_since_release()?);
    report(&problems)
}

/// What the lists lack of the last release's, where the version promises that callers of that one still compile. A changed
/// item is one that is gone. Cargo's rule: the first number of the version that is not zero counts (the Cargo Book, "SemVer
/// compatibility").
fn breaks_since_release() -> Result<Vec<String>, String> {
    let Ok(tag) = output(&mut command("git", ["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"])) else {
        println!("no release yet that the API has to be compatible with");
        return Ok(Vec::new());
    };
    let tag = tag.trim();
    let now = format!("v{}", env!("CARGO_PKG_VERSION"));
    if !is_compatible(tag, &now) {
        return Ok(Vec::new());
    }
    let mut breaks = Vec::new();
    for name in CRATES {
        let list = file(name);
        // A crate that the release did not have breaks nobody.
        let released = output(&mut command("git", ["show", &format!("{tag}:{list}")])).unwrap_or_default();
        let gone = changes(&released, &read(&list)?).into_iter().filter(|change| change.starts_with('-'));
        breaks.extend(gone.map(|change| format!("{now} breaks callers of {tag}, raise the version: {name}: {change}")));
    }
    Ok(breaks)
}

/// Whether callers of `old` are promised to compile with `new`.
fn is_compatible(old: &str, new: &str) -> bool {
    let significant = |version: &str| {
        let version = version.trim_start_matches('v').to_owned();
        let numbers: Vec<&str> = version.split(['.', '-', '+']).take(3).collect();
        let first = numbers.iter().position(|number| *number != "0").unwrap_or(numbers.len());
        numbers.iter().take(first + 1).map(|number| (*number).to_owned()).collect::<Vec<_>>()
    };
    significant(old) == significant(new)
}

pub(crate) fn write() -> Outcome {
    document()?;
    for name in CRATES {
        let path = root().join(file(name));
        std::fs::write(&path, list(name)?).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn file(name: &str) -> String {
    format!("{name}/public-api.txt")
}

/// Set in the environment of the process that takes the place of rustdoc.
const AS_RUSTDOC: &str = "DPS_XTASK_AS_RUSTDOC";

/// Has rustdoc read every crate, without a warning, and describe it as JSON. Rustdoc has this only as an unstable feature,
/// which is enabled for it alone: enabled for cargo, all dependencies would be compiled again.
pub(crate) fn document() -> Outcome {
    let own = std::env::current_exe().map_err(|error| format!("the path of this program: {error}"))?;
    // The fuzz targets have no documentation, and need a C++ compiler.
    let what = ["--workspace", "--exclude", "dps-fuzz", "--all-features", "--no-deps"];
    let mut doc = cargo(["doc", "--locked", "--quiet"].iter().chain(&what));
    doc.env("RUSTDOC", own).env(AS_RUSTDOC, "1");
    run(doc.env("RUSTDOCFLAGS", "-D warnings -Zunstable-options --output-format=json"))
}

/// Runs rustdoc with unstable features, if this process takes its place.
pub(crate) fn as_rustdoc() -> Option<ExitCode> {
    std::env::var_os(AS_RUSTDOC)?;
    let arguments = std::env::args_os().skip(1);
    let status = Command::new("rustdoc").args(arguments).env("RUSTC_BOOTSTRAP", "1").status();
    Some(if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns every public item, one per line, without what the compiler implements for every type.
fn list(name: &str) -> Result<String, String> {
    let described = target_dir().join("doc").join(name.replace('-', "_")).with_extension("json");
    let mut listing = public_api::Builder::from_rustdoc_json(&described);
    listing = listing.omit_blanket_impls(true).omit_auto_trait_impls(true);
    let api = listing.build().map_err(|error| {
        format!("{}: {error}\n(another version of Rust may need another version of public-api)", described.display())
    })?;
    Ok(api.items().map(|item| format!("{item}\n")).collect())
}

/// Enums that can be matched exhaustively, and are not meant to be.
fn exhaustive_enums(list: &str) -> Vec<String> {
    let enums = list.lines().filter_map(|line| line.strip_prefix("pub enum "));
    let wrong = enums.filter(|path| !EXHAUSTIVE.contains(&path.split('<').next().unwrap_or_default()));
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
        let fine = "#[non_exhaustive] pub enum a::B\npub enum dps_core::Action<'a>\npub enum dps_edge::policy::Verdict\npub struct a::C\n";
        assert_eq!(exhaustive_enums(fine), Vec::<String>::new());
        assert_eq!(exhaustive_enums("pub enum dps_edge::Verdict<'a>\n").len(), 1);
    }

    #[test]
    fn first_number_that_is_not_zero_decides_about_compatibility() {
        for (old, new) in [("v1.2.3", "v1.9.0"), ("v0.1.0", "v0.1.7"), ("v0.0.3", "v0.0.3"), ("v1.0.0-rc.1", "v1.0.0")]
        {
            assert!(is_compatible(old, new), "{old} {new}");
        }
        for (old, new) in [("v1.2.3", "v2.0.0"), ("v0.1.0", "v0.2.0"), ("v0.0.3", "v0.0.4"), ("v0.9.0", "v1.0.0")] {
            assert!(!is_compatible(old, new), "{old} {new}");
        }
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
