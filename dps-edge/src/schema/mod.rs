//! The keys that each generation knows, and a walk over a file that finds misplaced, misspelt, missing and wrong ones.
//!
//! What depends on several values is checked by `read`; what is here holds for one key alone.

mod toml;
mod types;
mod yaml;

pub(crate) use types::nearest;

use std::collections::HashSet;
use std::sync::LazyLock;

use types::{Key, Kind, Table};

use crate::problem::Problem;
use crate::tree::{Entries, Entry, Value, find};
use crate::version::{EdgeVersion, Format};

/// The whole file.
pub(crate) const fn root(format: Format) -> &'static Table {
    match format {
        Format::Yaml => &yaml::ROOT,
        Format::Toml => &toml::ROOT,
    }
}

/// Returns everything that differs from the schema, with its offset.
pub(crate) fn check(entries: &Entries, format: Format, version: EdgeVersion) -> Vec<(usize, Problem)> {
    let mut walk = Walk { format, version, found: Vec::new() };
    walk.table(entries, root(format), 0);
    walk.found
}

/// Removes the keys that are newer than the version: its daemons ignore them and their values.
pub(crate) fn forget_younger(entries: &mut Entries, format: Format, version: EdgeVersion) {
    fn forget(entries: &mut Entries, table: &'static Table, version: EdgeVersion) {
        let key_of = |entry: &Entry| table.keys.iter().find(|key| key.name == *entry.name);
        entries.retain(|entry| key_of(entry).is_none_or(|key| key.since <= version));
        for entry in entries {
            let below = key_of(entry).and_then(|key| key.kind.below());
            if let (Some(below), Value::Table(inside)) = (below, &mut entry.node.value) {
                forget(&mut inside.entries, below, version);
            }
        }
    }
    forget(entries, root(format), version);
}

struct Walk {
    format: Format,
    version: EdgeVersion,
    found: Vec<(usize, Problem)>,
}

impl Walk {
    /// `at` is the offset of the table, where missing keys are reported.
    fn table(&mut self, entries: &Entries, table: &'static Table, at: usize) {
        for entry in entries {
            match table.keys.iter().find(|key| key.name == *entry.name) {
                Some(key) if key.since > self.version => {
                    self.found.push((entry.at, Problem::TooNew { since: key.since }));
                }
                Some(key) => self.entry(entry, key),
                None => self.unknown(entry, table),
            }
        }
        for key in table.keys.iter().filter(|key| key.required && key.since <= self.version) {
            if find(entries, key.name).is_none() {
                self.found.push((at, Problem::Missing { key: key.name, table: table.label }));
            }
        }
    }

    fn entry(&mut self, entry: &Entry, key: &'static Key) {
        let node = &entry.node;
        match (&key.kind, &node.value) {
            // It counts as missing.
            (_, Value::Null) => {}
            (Kind::Foreign, Value::Table(inside)) => self.foreign(&inside.entries),
            (Kind::Foreign, _) => {}
            (Kind::Table(below) | Kind::Either(_, below), Value::Table(inside)) => {
                let at = if inside.has_header { node.span.start } else { entry.at };
                self.table(&inside.entries, below, at);
            }
            (Kind::Table(_), _) => self.wrong(entry, "a table of keys"),
            (Kind::Map(check), Value::Table(inside)) => {
                for inner in &inside.entries {
                    self.value(inner.node.span.start, check(&inner.node.value));
                }
            }
            (Kind::Map(_), _) => self.wrong(entry, "a table of keys"),
            (Kind::List(check), Value::List(items)) => {
                for item in items {
                    self.value(item.span.start, check(&item.value));
                }
            }
            (Kind::List(_), _) => self.wrong(entry, "a list in brackets"),
            (Kind::Value(check) | Kind::Either(check, _), value) => self.value(entry.value_at(), check(value)),
        }
    }

    fn value(&mut self, at: usize, problem: Option<Problem>) {
        self.found.extend(problem.map(|problem| (at, problem)));
    }

    fn wrong(&mut self, entry: &Entry, wanted: &'static str) {
        self.found.push((entry.value_at(), Problem::WrongType { wanted }));
    }

    fn unknown(&mut self, entry: &Entry, table: &Table) {
        let Some(check) = table.others else {
            self.found.push((entry.at, meant(&entry.name, table, self.format)));
            return;
        };
        match astray(&entry.name, self.format) {
            Some(problem) => self.found.push((entry.at, problem)),
            None => self.value(entry.value_at(), check(&entry.node.value)),
        }
    }

    fn foreign(&mut self, entries: &Entries) {
        for entry in entries {
            self.value(entry.at, astray(&entry.name, self.format));
            if let Value::Table(inside) = &entry.node.value {
                self.foreign(&inside.entries);
            }
        }
    }
}

/// Keys of one generation, and what replaces them in the other.
const RENAMED: &[(&str, Format, &str)] = &[
    ("scope_id", Format::Yaml, "`id_scope` in [provisioning]"),
    ("always_reprovision_on_startup", Format::Yaml, "`auto_reprovisioning_mode = \"AlwaysOnStartup\"` at the top"),
    ("dynamic_reprovisioning", Format::Yaml, "`auto_reprovisioning_mode = \"Dynamic\"` at the top"),
    ("device_connection_string", Format::Yaml, "`connection_string` in [provisioning]"),
    ("certificates", Format::Yaml, "`trust_bundle_cert` at the top, and [edge_ca]"),
    ("trusted_ca_certs", Format::Yaml, "`trust_bundle_cert` at the top"),
    ("device_ca_cert", Format::Yaml, "`cert` in [edge_ca]"),
    ("device_ca_pk", Format::Yaml, "`pk` in [edge_ca]"),
    ("id_scope", Format::Toml, "`scope_id` in `provisioning:`"),
    (
        "auto_reprovisioning_mode",
        Format::Toml,
        "`always_reprovision_on_startup` or `dynamic_reprovisioning` in `provisioning:`",
    ),
    ("connection_string", Format::Toml, "`device_connection_string` in `provisioning:`"),
    ("trust_bundle_cert", Format::Toml, "`trusted_ca_certs` in `certificates:`"),
    ("device_id_pk", Format::Toml, "a part of `device_connection_string` in `provisioning:`"),
    ("cloud_timeout_sec", Format::Toml, "nothing: 1.1 has no such setting"),
    ("cloud_retries", Format::Toml, "nothing: 1.1 has no such setting"),
    ("pkcs11_lib_path", Format::Toml, "nothing: 1.1 has no such setting"),
];

/// What a name was meant to be that `table` does not know.
fn meant(name: &str, table: &Table, format: Format) -> Problem {
    let nearest = nearest(name, table.keys.iter().map(|key| key.name));
    if let Some(belongs) = home(name, root(format), false) {
        return Problem::Misplaced { belongs };
    }
    if let Some((_, of, here)) = RENAMED.iter().find(|(renamed, of, _)| *renamed == name && *of != format) {
        return Problem::OtherGeneration { of: *of, here };
    }
    match nearest {
        Some(nearest) => Problem::Misspelt { nearest },
        None => Problem::UnknownKey,
    }
}

/// What a name in a part without a schema was meant to be, if it can only be one thing.
fn astray(name: &str, format: Format) -> Option<Problem> {
    home(name, root(format), true).map(|belongs| Problem::Misplaced { belongs })
}

/// The table that has a key of this name, searched from the top down.
fn home(name: &str, table: &'static Table, telling_only: bool) -> Option<&'static str> {
    let here = |key: &Key| key.name == name && (key.telling || table.claims && !telling_only);
    if table.keys.iter().any(here) {
        return Some(table.label);
    }
    table.keys.iter().filter_map(|key| key.kind.below()).find_map(|below| home(name, below, telling_only))
}

/// Every key of either generation.
fn names() -> Vec<&'static str> {
    fn collect(table: &'static Table, into: &mut Vec<&'static str>) {
        for key in table.keys {
            into.push(key.name);
            if let Some(below) = key.kind.below() {
                collect(below, into);
            }
        }
    }
    let mut names = Vec::new();
    for format in [Format::Toml, Format::Yaml] {
        collect(root(format), &mut names);
    }
    names
}

/// The name, if it is a known key: other names in a file are never repeated.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    static KNOWN: LazyLock<HashSet<&str>> = LazyLock::new(|| names().into_iter().collect());
    KNOWN.get(name).copied()
}

/// The known key of any table of either generation that a misspelt name resembles most.
pub(crate) fn nearest_of_all(name: &str) -> Option<&'static str> {
    nearest(name, names().into_iter().filter(|known| *known != name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_only_similar_names() {
        let known = ["registration_id", "symmetric_key", "method", "uri"];
        for (name, near) in [
            ("registraton_id", Some("registration_id")),
            ("Registration-Id", Some("registration_id")),
            ("symetric_key", Some("symmetric_key")),
            ("metod", Some("method")),
            ("url", Some("uri")),
            ("password", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), near, "{name}");
        }
    }

    #[test]
    fn renamed_keys_exist_in_the_format_that_they_are_listed_for() {
        for (name, of, _) in RENAMED {
            assert!(home(name, root(*of), false).is_some(), "{name}");
        }
    }
}
