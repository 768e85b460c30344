//! The keys that each generation knows: their types, what has to be there, and the version that each is read from.
//!
//! What depends on several values is for who reads them (`read`); what is here holds for one key alone.

mod names;
mod toml;
mod types;
mod uris;
mod walk;
mod yaml;

pub(crate) use names::{known, nearest, nearest_of_all};
pub(crate) use walk::{check, forget_younger};

use crate::problem::Problem;
use crate::tree::Value;
use crate::version::{EdgeVersion, Format};

/// A table, or the file itself.
pub(crate) struct Table {
    /// How people call it, as in "[provisioning]".
    pub(crate) label: &'static str,
    keys: &'static [Key],
    /// What the values of other names have to be, where those are nobody's business.
    others: Option<Check>,
    /// Whether a name that no other table knows is said to belong here.
    claims: bool,
}

struct Key {
    name: &'static str,
    /// The first version that reads it; earlier daemons ignore it.
    since: EdgeVersion,
    kind: Kind,
    /// Whether the daemons refuse its table without it.
    required: bool,
    /// Whether the name means this key wherever it stands.
    telling: bool,
}

/// What is wrong with a value; none when it is of its key's type.
type Check = fn(&Value) -> Option<Problem>;

enum Kind {
    /// One value.
    Value(Check),
    /// A list of such values.
    List(Check),
    /// A table of any names, each with such a value.
    Map(Check),
    Table(&'static Table),
    /// One value, or a table.
    Either(Check, &'static Table),
    /// Nothing that is checked: looked into for keys of ours that went astray.
    Foreign,
}

const fn key(name: &'static str, check: Check) -> Key {
    of_kind(name, Kind::Value(check))
}

const fn table(name: &'static str, table: &'static Table) -> Key {
    of_kind(name, Kind::Table(table))
}

const fn foreign(name: &'static str) -> Key {
    of_kind(name, Kind::Foreign)
}

const fn of_kind(name: &'static str, kind: Kind) -> Key {
    Key { name, since: EdgeVersion::new(1, 0), kind, required: false, telling: false }
}

impl Key {
    const fn since(mut self, version: EdgeVersion) -> Self {
        self.since = version;
        self
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn telling(mut self) -> Self {
        self.telling = true;
        self
    }
}

impl Kind {
    /// The table of names below, where they are known.
    const fn below(&self) -> Option<&'static Table> {
        match self {
            Self::Table(table) | Self::Either(_, table) => Some(table),
            _ => None,
        }
    }
}

/// The whole file.
pub(crate) const fn root(format: Format) -> &'static Table {
    match format {
        Format::Yaml => &yaml::ROOT,
        Format::Toml => &toml::ROOT,
    }
}
