//! Goes through a file: keys that stand where they should not, values that are none of their key's, and what is missing.

use super::names::{astray, meant};
use super::{Key, Kind, Table, root};
use crate::problem::Problem;
use crate::tree::{Entries, Entry, Value, find};
use crate::version::{EdgeVersion, Format};

/// Everything that the schema has something to say about, with its place in bytes.
pub(crate) fn check(entries: &Entries, format: Format, version: EdgeVersion) -> Vec<(usize, Problem)> {
    let mut walk = Walk { format, version, found: Vec::new() };
    walk.table(entries, root(format), 0);
    walk.found
}

/// Takes out the keys that are younger than the version: its daemons ignore them and their values.
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
    /// `at` is where the table begins: what is missing is missing there.
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
            // It counts as not given.
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
