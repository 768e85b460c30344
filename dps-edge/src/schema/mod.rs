//! The keys that each generation knows, and what a key is that stands where none of its name does.
//!
//! Names only: what a value has to be is for who reads it.

mod names;
mod toml;
mod walk;
mod yaml;

pub(crate) use names::{nearest, nearest_of_all};
pub(crate) use walk::check;

use crate::version::{EdgeVersion, Format};

/// A table, or the file itself.
pub(crate) struct Table {
    /// How people call it, as in "[provisioning]".
    pub(crate) label: &'static str,
    keys: &'static [Key],
    /// Whether other keys are nobody's business.
    open: bool,
}

struct Key {
    name: &'static str,
    since: EdgeVersion,
    kind: Kind,
    /// Whether the name means this key wherever it stands.
    telling: bool,
}

enum Kind {
    Value,
    Table(&'static Table),
    /// Not provisioning: looked into for keys of ours that went astray, and for nothing else.
    Foreign,
}

const fn key(name: &'static str) -> Key {
    Key { name, since: EdgeVersion::new(1, 0), kind: Kind::Value, telling: false }
}

const fn table(name: &'static str, table: &'static Table) -> Key {
    Key { name, since: EdgeVersion::new(1, 0), kind: Kind::Table(table), telling: false }
}

const fn foreign(name: &'static str) -> Key {
    Key { name, since: EdgeVersion::new(1, 0), kind: Kind::Foreign, telling: false }
}

impl Key {
    const fn since(mut self, version: EdgeVersion) -> Self {
        self.since = version;
        self
    }

    const fn telling(mut self) -> Self {
        self.telling = true;
        self
    }
}

/// The whole file.
pub(crate) const fn root(format: Format) -> &'static Table {
    match format {
        Format::Yaml => &yaml::ROOT,
        Format::Toml => &toml::ROOT,
    }
}
