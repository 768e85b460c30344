//! Goes through a file and names the keys that stand where they should not.

use super::names::{astray, meant};
use super::{Kind, Table, root};
use crate::finding::Problem;
use crate::tree::{Entries, Value};
use crate::version::{EdgeVersion, Format};

/// Every key that the schema has something to say about, with its place in bytes.
pub(crate) fn check(entries: &Entries, format: Format, version: EdgeVersion) -> Vec<(usize, Problem)> {
    let mut walk = Walk { format, version, found: Vec::new() };
    walk.table(entries, root(format));
    walk.found
}

struct Walk {
    format: Format,
    version: EdgeVersion,
    found: Vec<(usize, Problem)>,
}

impl Walk {
    fn table(&mut self, entries: &Entries, table: &Table) {
        for entry in entries {
            let Some(key) = table.keys.iter().find(|key| key.name == *entry.name) else {
                let problem = match table.open {
                    true => astray(&entry.name, self.format),
                    false => Some(meant(&entry.name, table, self.format)),
                };
                self.found.extend(problem.map(|problem| (entry.at, problem)));
                continue;
            };
            if key.since > self.version {
                self.found.push((entry.at, Problem::TooNew { since: key.since }));
            }
            match (&key.kind, &entry.node.value) {
                (Kind::Table(below), Value::Table(inside)) => self.table(&inside.entries, below),
                (Kind::Foreign, Value::Table(inside)) => self.foreign(&inside.entries),
                _ => {}
            }
        }
    }

    fn foreign(&mut self, entries: &Entries) {
        for entry in entries {
            self.found.extend(astray(&entry.name, self.format).map(|problem| (entry.at, problem)));
            if let Value::Table(inside) = &entry.node.value {
                self.foreign(&inside.entries);
            }
        }
    }
}
