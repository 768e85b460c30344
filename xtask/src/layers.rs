//! Which module may use which: the crate graph, and the modules inside `dps-core`.
//!
//! The tables define the architecture, as shown in ARCHITECTURE.md. A dependency that is not in them is an error, and so is
//! one that is not used any more.

use std::collections::{BTreeMap, BTreeSet};

use crate::core_deps::{dependencies, metadata};
use crate::run::{Outcome, read, report, tracked};

/// Crate, and the crates of this workspace that it may use.
const CRATES: &[(&str, &[&str])] = &[
    ("dps-core", &[]),
    ("dps-files", &[]),
    ("dps-net", &["dps-core"]),
    ("dps-http", &["dps-core", "dps-net"]),
    ("dps-mqtt", &["dps-core", "dps-net"]),
    ("dps-tpm", &[]),
    ("dps-client", &["dps-core", "dps-files", "dps-net", "dps-http", "dps-mqtt", "dps-tpm"]),
    ("dps-edge", &["dps-client", "dps-core", "dps-files"]),
    ("dps-emulator", &["dps-files"]),
    ("dps-accept", &["dps-emulator", "dps-files"]),
    ("dps-cli", &["dps-accept", "dps-client", "dps-core", "dps-edge", "dps-emulator", "dps-files", "dps-net"]),
    ("dps-c", &["dps-client", "dps-core", "dps-files"]),
    ("c-service", &["dps-client", "dps-emulator", "dps-mqtt", "dps-net"]),
    ("dps-c-header", &["dps-core"]),
    ("dps-python", &["dps-accept", "dps-client", "dps-emulator", "dps-files", "shared-features"]),
    ("dps-examples", &["dps-client", "dps-edge", "dps-emulator", "dps-net"]),
    ("dps-benches", &["dps-client", "dps-core", "pair"]),
    ("pair", &["dps-core", "dps-emulator"]),
    ("certificates", &["dps-client", "dps-emulator", "dps-files"]),
    ("faults", &["dps-client", "dps-emulator", "pair"]),
    ("storm", &["dps-client", "dps-core", "dps-emulator", "pair"]),
    ("shared-features", &[]),
    (
        "dps-fuzz",
        &["dps-client", "dps-core", "dps-edge", "dps-emulator", "dps-mqtt", "dps-net", "dps-tpm", "shared-features"],
    ),
    ("xtask", &["dps-core"]),
];

/// A module of `dps-core`, and the modules that it may use. `json` and `hmac` are listed by themselves, since
/// others need them.
const MODULES: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("time", &["text"]),
    ("schema::json", &["text"]),
    ("credentials::hmac", &[]),
    ("error", &["text", "time"]),
    ("secret", &["credentials::hmac", "error", "ids", "text"]),
    ("ids", &["error", "text"]),
    ("config", &["error", "time"]),
    ("credentials", &["ids", "secret", "text", "time"]),
    ("message", &["error", "ids", "schema::json", "text", "time"]),
    ("attestation", &["message", "schema", "text"]),
    ("issued", &["error", "schema"]),
    ("profile", &["error", "ids", "schema", "text"]),
    (
        "registration",
        &[
            "attestation",
            "config",
            "credentials",
            "error",
            "ids",
            "issued",
            "message",
            "profile",
            "secret",
            "text",
            "time",
        ],
    ),
    ("schema", &["ids", "message", "schema::json", "text"]),
    ("codec", &["ids", "message", "schema", "text", "time"]),
    ("link", &["attestation", "error", "message", "registration", "secret", "time"]),
    ("log", &["error", "ids", "message", "registration", "secret", "text", "time"]),
];

type Arrows = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn check() -> Outcome {
    let mut problems = compare("crate", CRATES, &crate_arrows()?);
    problems.extend(compare("module of dps-core", MODULES, &module_arrows()?));
    report(&problems)
}

fn crate_arrows() -> Result<Arrows, String> {
    let metadata = metadata()?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let members: BTreeSet<&str> = packages.filter_map(|package| package["name"].as_str()).collect();
    let uses = |member: &str| {
        let names = dependencies(&metadata, member).into_iter().filter_map(|dep| dep["name"].as_str());
        names.filter(|name| members.contains(name)).map(str::to_owned).collect()
    };
    Ok(members.iter().map(|member| ((*member).to_owned(), uses(member))).collect())
}

fn module_arrows() -> Result<Arrows, String> {
    let mut arrows = Arrows::new();
    for path in tracked()? {
        let Some(inside) = path.strip_prefix("dps-core/src/").and_then(|path| path.strip_suffix(".rs")) else {
            continue;
        };
        if inside != "lib" {
            let module = module_of(&inside.replace('/', "::"));
            arrows.entry(module.clone()).or_default().extend(uses(&read(&path)?, &module));
        }
    }
    Ok(arrows)
}

/// `schema::json` from `schema::json::…`, `schema` from anything else of it.
fn module_of(path: &str) -> String {
    let own = MODULES.iter().map(|(module, _)| *module).filter(|module| module.contains("::"));
    match own.into_iter().find(|module| path == *module || path.starts_with(&format!("{module}::"))) {
        Some(module) => module.to_owned(),
        None => path.split("::").next().unwrap_or_default().to_owned(),
    }
}

/// The modules that a file's code names by `crate::`; tests and comments do not count.
fn uses(source: &str, module: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let mut found = BTreeSet::new();
    for line in lines {
        for rest in line.split("crate::").skip(1) {
            // `use crate::a::{self, b}` names a and a::b; no module of its own is named inside braces but by its module.
            let path: String = rest.chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            let inner = rest.strip_prefix(path.as_str()).and_then(|tail| tail.strip_prefix('{')).unwrap_or_default();
            let listed = inner.split(['{', '}', ',']).map(str::trim).filter(|name| !name.is_empty());
            let paths = listed.map(|name| format!("{path}{name}")).chain([path.trim_end_matches(':').to_owned()]);
            found.extend(paths.map(|path| module_of(&path)).filter(|used| is_room(used)));
        }
    }
    found.remove(module);
    found
}

fn is_room(name: &str) -> bool {
    MODULES.iter().any(|(module, _)| *module == name)
}

fn compare(kind: &str, allowed: &[(&str, &[&str])], found: &Arrows) -> Vec<String> {
    let mut problems = Vec::new();
    let nothing = BTreeSet::new();
    for (module, may_use) in allowed {
        let used = found.get(*module).unwrap_or(&nothing);
        if !found.contains_key(*module) {
            problems.push(format!("the {kind} {module} is in the table but does not exist"));
        }
        let wrong = used.iter().filter(|used| !may_use.contains(&used.as_str()));
        problems.extend(wrong.map(|used| format!("the {kind} {module} may not use {used}")));
        let unused = may_use.iter().filter(|may| !used.contains(**may));
        problems.extend(unused.map(|may| format!("the {kind} {module} does not use {may}: take it out of the table")));
    }
    let unknown = found.keys().filter(|module| !allowed.iter().any(|(name, _)| name == module));
    problems.extend(unknown.map(|module| format!("the {kind} {module} is missing from the table")));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependency_that_is_not_in_the_table_is_reported() {
        let found = Arrows::from([("a".into(), BTreeSet::from(["b".into()])), ("b".into(), BTreeSet::new())]);
        assert_eq!(compare("module", &[("a", &["b"]), ("b", &[])], &found), Vec::<String>::new());
        assert_eq!(compare("module", &[("a", &[]), ("b", &[])], &found), ["the module a may not use b"]);
        assert_eq!(compare("module", &[("a", &["b"])], &found), ["the module b is missing from the table"]);
        let unused = compare("module", &[("a", &["b"]), ("b", &["a"])], &found);
        assert_eq!(unused, ["the module b does not use a: take it out of the table"]);
    }

    #[test]
    fn modules_are_read_from_use_lines_and_paths() {
        let source = "use crate::codec::{self, http};\n// crate::link\nfn f() { crate::schema::json::check(b\"\") }\n\
                      use crate::schema::json;\n#[cfg(test)]\nuse crate::registration::X;";
        assert_eq!(uses(source, "message"), BTreeSet::from(["codec".into(), "schema::json".into()]));
        assert_eq!(uses("use crate::credentials::{hmac, sas};", "x").len(), 2);
    }
}
