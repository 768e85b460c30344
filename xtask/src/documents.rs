//! Checks the documents: every path, link and task in them exists, and the version of Rust in them is that of the manifest.

use std::path::Path;

use crate::run::{Outcome, read, report, root, tracked};

pub(crate) fn check() -> Outcome {
    let files = tracked()?;
    let documents: Vec<&String> = files.iter().filter(|path| path.ends_with(".md")).collect();
    let mut problems = Vec::new();
    for path in documents {
        let text = read(path)?;
        let folder = Path::new(path).parent().unwrap_or(Path::new("")).to_path_buf();
        let exists = |name: &str| root().join(&folder).join(name).exists() || root().join(name).exists();
        problems.extend(wrong(path, &text, exists, &crate::names().collect::<Vec<_>>()));
    }
    problems.extend(rust_version()?);
    report(&problems)
}

/// Returns the text of a block below a heading, such as the second one that begins with "```sh".
pub(crate) fn block<'t>(text: &'t str, heading: &str, begin: &str, number: usize) -> Option<&'t str> {
    let (_, section) = text.split_once(&format!("{heading}\n"))?;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let block = section.split(&format!("{begin}\n")).nth(number + 1)?;
    block.split_once("\n```").map(|(block, _)| block)
}

/// Placeholders, which are not names of files.
fn wrong(path: &str, text: &str, exists: impl Fn(&str) -> bool, tasks: &[&str]) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut complain = |what: String| problems.push(format!("{path}:{}: {what}", number + 1));
        for name in links(line).chain(code_spans(line).filter(|span| is_path(span))) {
            let file = name.split('#').next().unwrap_or_default();
            if !file.is_empty() && !exists(file) {
                complain(format!("{file} does not exist"));
            }
        }
        for rest in line.split("cargo xtask ").skip(1) {
            let task: String =
                rest.chars().take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-').collect();
            if !task.is_empty() && !tasks.contains(&task.as_str()) {
                complain(format!("unknown task {task}"));
            }
        }
    }
    problems
}

/// Returns the targets of links to files of the repository.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

/// Returns the text between backticks.
fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    let whole = if line.trim_start().starts_with("```") { "" } else { line };
    whole.split('`').skip(1).step_by(2)
}

/// Returns whether a code span is a path of the repository: one word that begins with a top-level directory, or a file at the
/// top.
fn is_path(span: &str) -> bool {
    const FOLDERS: &[&str] = &[
        "dps-core/",
        "dps-files/",
        "dps-net/",
        "dps-http/",
        "dps-client/",
        "dps-accept/",
        "dps-edge/",
        "dps-emulator/",
        "dps-cli/",
        "tests/",
        "vectors/",
        "xtask/",
        "examples/",
        "docs/",
        ".ci/",
        "interop/",
        "dps-mqtt/",
        "dps-tpm/",
        "bindings/",
        "fuzz/",
        "benches/",
        "container/",
    ];
    let plain = !span.contains([' ', '*', '<', '{', '…']);
    let top = span.ends_with(".md") || ["Cargo.toml", "deny.toml", "rustfmt.toml"].contains(&span);
    plain && (FOLDERS.iter().any(|folder| span.starts_with(folder)) || top)
}

fn rust_version() -> Result<Vec<String>, String> {
    let manifest = read("Cargo.toml")?;
    let version =
        manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).map(|text| text.trim_matches('"'));
    let Some(version) = version else { return Err("Cargo.toml has no rust-version".into()) };
    let said = read("README.md")?.contains(&format!("Rust {version}"));
    Ok(if said { vec![] } else { vec![format!("README.md does not say `Rust {version}`, as Cargo.toml does")] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_paths_dead_links_and_unknown_tasks_are_reported() {
        let exists = |name: &str| name == "docs/errors.md";
        let found = |line: &str| wrong("a.md", line, exists, &["test"]).len();
        assert_eq!(found("see `docs/errors.md`, [it](docs/errors.md#top), run `cargo xtask test`"), 0);
        assert_eq!(found("see `docs/gone.md`"), 1);
        assert_eq!(found("[gone](docs/gone.md)"), 1);
        assert_eq!(found("[site](https://example.com/x)"), 0);
        assert_eq!(found("`cargo xtask tset`"), 1);
        assert_eq!(found("`cargo xtask test2`"), 1);
        assert_eq!(found("`dps-core` and `cargo test -p dps-core/x y`"), 0);
    }
}
