//! The licenses of the crates that are linked into what users install, as one text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::run::{cargo, output};

/// How a file begins that has a license or a notice.
const NAMES: [&str; 5] = ["license", "licence", "copying", "copyright", "notice"];

const HEAD: &str = "\
The program and the Python package contain the libraries of others that are listed here, and the standard library of Rust
(MIT OR Apache-2.0, https://www.rust-lang.org). Static programs contain musl (MIT, Copyright 2005-2020 Rich Felker, et al.,
https://musl.libc.org).
";

/// Returns the licenses of what is linked into a package, which these arguments of cargo name with its features: a list of the
/// crates, then each text once.
pub(crate) fn of_others(package: &[&str], target: &str) -> Result<String, String> {
    let linked = linked(package, target)?;
    let metadata = output(&mut cargo(["metadata", "--locked", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let mut list = String::from(HEAD);
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let text = |member: &str| package[member].as_str().unwrap_or_default();
        let name = format!("{} v{}", text("name"), text("version"));
        // Crates of this repository have no source.
        if !linked.contains(&name) || package["source"].is_null() {
            continue;
        }
        list.push_str(&format!("\n{name}: {}", text("license")));
        let folder = Path::new(text("manifest_path")).parent().unwrap_or(Path::new(""));
        for license in files(folder)? {
            texts.entry(license).or_default().insert(name.clone());
        }
    }
    list.push('\n');
    for (text, names) in texts {
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        list.push_str(&format!("\n{}\n{names}\n\n{}\n", "-".repeat(80), text.trim_end()));
    }
    Ok(list)
}

/// The names and versions of the crates that get linked.
fn linked(package: &[&str], target: &str) -> Result<BTreeSet<String>, String> {
    let words = ["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"];
    let tree = output(cargo(words).args(package).args(["--target", target]))?;
    Ok(tree.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect())
}

fn files(folder: &Path) -> Result<Vec<String>, String> {
    let wrong = |error| format!("{}: {error}", folder.display());
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)?.flatten() {
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if entry.path().is_file() && NAMES.iter().any(|begin| name.starts_with(begin)) {
            let text = std::fs::read(entry.path()).map_err(wrong)?;
            texts.push(String::from_utf8_lossy(&text).replace("\r\n", "\n"));
        }
    }
    texts.sort();
    Ok(texts)
}
