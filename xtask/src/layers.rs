//! Which room may use which: the crate graph, and the rooms inside `dps-core`.
//!
//! The tables are the architecture; ARCHITECTURE.md draws them. An arrow that is not in them is an error, and so is
//! one that nobody uses any more.

use std::collections::{BTreeMap, BTreeSet};

use crate::core_deps::{dependencies, metadata};
use crate::run::{Outcome, read, report, tracked};

/// Crate, and the crates of this workspace that it may use.
const CRATES: &[(&str, &[&str])] = &[
    ("dps-core", &[]),
    ("dps-net", &["dps-core"]),
    ("dps-http", &["dps-core", "dps-net"]),
    ("dps-mqtt", &["dps-core", "dps-net"]),
    ("dps-client", &["dps-core", "dps-net", "dps-http", "dps-mqtt"]),
    ("dps-edge", &["dps-client", "dps-core"]),
    ("dps-emulator", &[]),
    ("dps-cli", &["dps-client", "dps-core", "dps-edge", "dps-emulator", "dps-net"]),
    ("dps-c", &["dps-client", "dps-core"]),
    ("c-service", &["dps-emulator"]),
    ("dps-c-header", &["dps-core"]),
    ("dps-python", &["dps-client", "dps-emulator"]),
    ("dps-examples", &["dps-client", "dps-edge", "dps-emulator", "dps-net"]),
    ("dps-benches", &["dps-client", "dps-core", "pair"]),
    ("pair", &["dps-core", "dps-emulator"]),
    ("faults", &["dps-client", "dps-emulator", "pair"]),
    ("storm", &["dps-client", "dps-core", "dps-emulator", "pair"]),
    ("xtask", &["dps-core"]),
];

/// Room of `dps-core`, and the rooms it may use. `json` and `hmac` are rooms of their own, since
/// others need them.
const ROOMS: &[(&str, &[&str])] = &[
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
    ("registration", &["attestation", "config", "credentials", "error", "ids", "message", "secret", "text", "time"]),
    ("schema", &["ids", "message", "schema::json", "text"]),
    ("codec", &["ids", "message", "schema", "text", "time"]),
    ("link", &["attestation", "error", "message", "registration", "secret", "time"]),
    ("log", &["error", "ids", "message", "registration", "secret", "text", "time"]),
];

type Arrows = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn check() -> Outcome {
    let mut problems = compare("crate", CRATES, &crate_arrows()?);
    problems.extend(compare("room of dps-core", ROOMS, &room_arrows()?));
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

fn room_arrows() -> Result<Arrows, String> {
    let mut arrows = Arrows::new();
    for path in tracked()? {
        let Some(inside) = path.strip_prefix("dps-core/src/").and_then(|path| path.strip_suffix(".rs")) else {
            continue;
        };
        if inside != "lib" {
            let room = room_of(&inside.replace('/', "::"));
            arrows.entry(room.clone()).or_default().extend(uses(&read(&path)?, &room));
        }
    }
    Ok(arrows)
}

/// `schema::json` from `schema::json::…`, `schema` from anything else of it.
fn room_of(path: &str) -> String {
    let own = ROOMS.iter().map(|(room, _)| *room).filter(|room| room.contains("::"));
    match own.into_iter().find(|room| path == *room || path.starts_with(&format!("{room}::"))) {
        Some(room) => room.to_owned(),
        None => path.split("::").next().unwrap_or_default().to_owned(),
    }
}

/// The rooms that a file's code names by `crate::`; tests and comments do not count.
fn uses(source: &str, room: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let mut found = BTreeSet::new();
    for line in lines {
        for rest in line.split("crate::").skip(1) {
            // `use crate::a::{self, b}` names a and a::b; no room of its own is named inside braces but by its module.
            let path: String = rest.chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            let inner = rest.strip_prefix(path.as_str()).and_then(|tail| tail.strip_prefix('{')).unwrap_or_default();
            let listed = inner.split(['{', '}', ',']).map(str::trim).filter(|name| !name.is_empty());
            let paths = listed.map(|name| format!("{path}{name}")).chain([path.trim_end_matches(':').to_owned()]);
            found.extend(paths.map(|path| room_of(&path)).filter(|used| is_room(used)));
        }
    }
    found.remove(room);
    found
}

fn is_room(name: &str) -> bool {
    ROOMS.iter().any(|(room, _)| *room == name)
}

fn compare(kind: &str, allowed: &[(&str, &[&str])], found: &Arrows) -> Vec<String> {
    let mut problems = Vec::new();
    let nothing = BTreeSet::new();
    for (room, may_use) in allowed {
        let used = found.get(*room).unwrap_or(&nothing);
        if !found.contains_key(*room) {
            problems.push(format!("the {kind} {room} is in the table and nowhere else"));
        }
        let wrong = used.iter().filter(|used| !may_use.contains(&used.as_str()));
        problems.extend(wrong.map(|used| format!("the {kind} {room} may not use {used}")));
        let unused = may_use.iter().filter(|may| !used.contains(**may));
        problems.extend(unused.map(|may| format!("the {kind} {room} does not use {may}: take it out of the table")));
    }
    let unknown = found.keys().filter(|room| !allowed.iter().any(|(name, _)| name == room));
    problems.extend(unknown.map(|room| format!("the {kind} {room} is missing in the table")));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_that_is_not_in_the_table_is_found() {
        let found = Arrows::from([("a".into(), BTreeSet::from(["b".into()])), ("b".into(), BTreeSet::new())]);
        assert_eq!(compare("room", &[("a", &["b"]), ("b", &[])], &found), Vec::<String>::new());
        assert_eq!(compare("room", &[("a", &[]), ("b", &[])], &found), ["the room a may not use b"]);
        assert_eq!(compare("room", &[("a", &["b"])], &found), ["the room b is missing in the table"]);
        let unused = compare("room", &[("a", &["b"]), ("b", &["a"])], &found);
        assert_eq!(unused, ["the room b does not use a: take it out of the table"]);
    }

    #[test]
    fn rooms_are_read_from_use_lines_and_paths() {
        let source = "use crate::codec::{self, http};\n// crate::link\nfn f() { crate::schema::json::check(b\"\") }\n\
                      use crate::schema::json;\n#[cfg(test)]\nuse crate::registration::X;";
        assert_eq!(uses(source, "message"), BTreeSet::from(["codec".into(), "schema::json".into()]));
        assert_eq!(uses("use crate::credentials::{hmac, sas};", "x").len(), 2);
    }
}
