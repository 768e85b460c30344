//! What is checked of the crates that are published: their packages, the least version of Rust, every set of features.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::run::{Outcome, cargo, command, output, registries, report, run, target_dir};

/// A crate that is published, as its manifest describes it.
struct Published {
    name: String,
    version: String,
    rust_version: String,
    /// Without `default`.
    features: Vec<String>,
}

/// The published crates of the workspace.
fn published() -> Result<Vec<Published>, String> {
    let text = output(&mut cargo(["metadata", "--locked", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    // `publish` is null where nothing restricts it, and an empty list for `publish = false`.
    Ok(packages.iter().filter(|package| package["publish"].is_null()).map(Published::read).collect())
}

impl Published {
    fn read(package: &Value) -> Self {
        let text = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
        let features = package["features"].as_object().into_iter().flat_map(|features| features.keys());
        Self {
            name: text("name"),
            version: text("version"),
            rust_version: text("rust_version"),
            features: features.filter(|name| *name != "default").cloned().collect(),
        }
    }

    /// The folder that `cargo package` leaves it in, unpacked.
    fn folder(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }
}

/// Packs each crate, which builds what was packed, and runs the tests of the packed crates in a workspace of their own.
pub(crate) fn package() -> Outcome {
    let crates = published()?;
    let names: Vec<&str> = crates.iter().flat_map(|krate| ["-p", &krate.name]).collect();
    forget_packed(&crates)?;
    run(&mut cargo(["package", "--locked", "--allow-dirty"].iter().chain(&names)))?;
    let folder = target_dir().join("package");
    let workspace = folder.join("Cargo.toml");
    std::fs::write(&workspace, workspace_of(&crates)).map_err(|error| format!("{}: {error}", workspace.display()))?;
    run(&mut outside(&folder, ["test", "--workspace", "--quiet"]))
}

/// Removes what an earlier run has unpacked. Cargo serves the packed crates to each other from a registry of its own, and keeps
/// their sources by name and version, so that a crate would be built with the others as they were then.
fn forget_packed(crates: &[Published]) -> Outcome {
    let has_no_host =
        |folder: &PathBuf| folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"-"));
    // A registry in a folder has no host, with which the names of others begin.
    for registry in registries().into_iter().filter(has_no_host) {
        for folder in crates.iter().map(|krate| registry.join(krate.folder())).filter(|folder| folder.is_dir()) {
            std::fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
    }
    Ok(())
}

/// A workspace of the packed crates, each of which finds the others beside it instead of at the registry.
fn workspace_of(crates: &[Published]) -> String {
    let members: String = crates.iter().map(|krate| format!("    \"{}\",\n", krate.folder())).collect();
    let patches: String =
        crates.iter().map(|krate| format!("{} = {{ path = \"{}\" }}\n", krate.name, krate.folder())).collect();
    format!("[workspace]\nresolver = \"3\"\nmembers = [\n{members}]\n\n[patch.crates-io]\n{patches}")
}

fn outside<'a>(folder: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut outside = cargo(arguments);
    outside.current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target"));
    outside
}

/// Builds each crate with the least version of Rust that its manifest names.
pub(crate) fn least_rust() -> Outcome {
    for krate in published()? {
        let toolchain = &krate.rust_version;
        if output(&mut command("rustup", ["run", toolchain, "rustc", "--version"])).is_err() {
            run(&mut command("rustup", ["toolchain", "install", toolchain, "--profile", "minimal"]))?;
        }
        println!("{}: Rust {toolchain}", krate.name);
        let check = ["run", toolchain, "cargo", "check", "--locked", "--quiet", "--all-features", "-p", &krate.name];
        run(command("rustup", check).env("CARGO_TARGET_DIR", target_dir().join("least-rust")))?;
    }
    Ok(())
}

/// How a crate, or rcgen below it, refuses to be built with features that need TLS and without a provider.
const NO_PROVIDER: [&str; 2] =
    ["needs a TLS provider: turn on the feature", "one of the 'ring' or 'aws_lc_rs' features must be activated"];
const PROVIDERS: [&str; 2] = ["aws-lc-rs", "ring"];

/// Lints each crate with every set of its features; warnings are errors. A set without a TLS provider may be refused, with
/// words that say so.
pub(crate) fn features() -> Outcome {
    let mut problems = Vec::new();
    for krate in published()? {
        for set in powerset(&krate.features) {
            let features = set.join(",");
            let lint = ["clippy", "--locked", "--quiet", "-p", &krate.name, "--no-default-features", "--features"];
            let linted = output(cargo(lint).args([&features, "--", "-D", "warnings"]));
            let without_provider = !set.iter().any(|feature| PROVIDERS.contains(feature));
            let result = match linted {
                Ok(_) => "builds",
                Err(problem) if without_provider && NO_PROVIDER.iter().any(|words| problem.contains(words)) => {
                    "refused: no TLS provider"
                }
                Err(problem) => {
                    problems.push(format!("{} with `{features}`: {problem}", krate.name));
                    "FAILED"
                }
            };
            println!("{:<14} {features:<28} {result}", krate.name);
        }
    }
    report(&problems)
}

fn powerset(features: &[String]) -> Vec<Vec<&str>> {
    features.iter().fold(vec![Vec::new()], |sets, feature| {
        let with = sets.iter().map(|set| [set.as_slice(), &[feature.as_str()]].concat());
        sets.iter().cloned().chain(with).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powerset_has_every_set_once() {
        let features = ["a", "b"].map(String::from);
        assert_eq!(powerset(&features), [vec![], vec!["a"], vec!["b"], vec!["a", "b"]]);
        assert_eq!(powerset(&[]), [Vec::<&str>::new()]);
    }

    #[test]
    fn packed_crates_find_each_other() {
        let krate = |name: &str| Published {
            name: name.into(),
            version: "0.1.0".into(),
            rust_version: "1.88".into(),
            features: Vec::new(),
        };
        let text = workspace_of(&[krate("a"), krate("b")]);
        assert!(
            text.contains("    \"a-0.1.0\",\n    \"b-0.1.0\",\n") && text.ends_with("b = { path = \"b-0.1.0\" }\n")
        );
    }
}
