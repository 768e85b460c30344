//! A configuration file as keys and values with their offsets, the same for YAML and TOML.
//!
//! Values may be secrets: they are wiped when dropped, and never shown.

use std::collections::HashMap;
use std::ops::Range;

use zeroize::Zeroizing;

use crate::problem::Problem;

/// A syntax error, and the offset where it begins.
pub(crate) type Broken = (usize, Problem);

/// The members of a table, in the order of the file.
pub(crate) type Entries = Vec<Entry>;

/// A key and its value.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: Zeroizing<String>,
    /// The offset of the key, in bytes.
    pub(crate) at: usize,
    pub(crate) node: Node,
}

/// A value and its byte range. A table with a header starts at its header.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

/// The value of a key.
#[derive(Clone, PartialEq)]
pub(crate) enum Value {
    /// A quoted string.
    Text(Zeroizing<String>),
    /// A YAML scalar without quotes that is a string.
    Plain(Zeroizing<String>),
    Number(i64),
    Float,
    Boolean(bool),
    /// YAML's `~`.
    Null,
    Table(Table),
    List(Vec<Node>),
    /// What is valid for no known key, such as a date.
    Other,
}

/// A table of keys.
#[derive(Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) entries: Entries,
    /// Whether it is written in braces.
    pub(crate) inline: bool,
    /// Whether it has its own header, as in `[provisioning]`.
    pub(crate) has_header: bool,
}

/// The entry with this name. One that is null counts as missing, as it does for 1.1.
pub(crate) fn find<'e>(entries: &'e [Entry], name: &str) -> Option<&'e Entry> {
    find_null_too(entries, name).filter(|entry| entry.node.value != Value::Null)
}

/// The entry with this name, whatever its value.
pub(crate) fn find_null_too<'e>(entries: &'e [Entry], name: &str) -> Option<&'e Entry> {
    entries.iter().find(|entry| *entry.name == name)
}

/// The name of the key at each offset of a key or value.
pub(crate) fn names_by_offset(entries: &[Entry]) -> HashMap<usize, &str> {
    fn collect<'e>(entries: &'e [Entry], into: &mut HashMap<usize, &'e str>) {
        for entry in entries {
            let name = entry.name.as_str();
            into.entry(entry.at).or_insert(name);
            into.entry(entry.value_at()).or_insert(name);
            match &entry.node.value {
                Value::Table(table) => collect(&table.entries, into),
                Value::List(items) => {
                    for item in items {
                        into.entry(item.span.start).or_insert(name);
                    }
                }
                _ => {}
            }
        }
    }
    let mut names = HashMap::new();
    collect(entries, &mut names);
    names
}

/// Two values are equal wherever they are.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// Two entries are equal when their names and values are, wherever they are.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.node == other.node
    }
}

impl Entry {
    /// The offset at which its value is reported: YAML's block mapping starts at its first key.
    pub(crate) fn value_at(&self) -> usize {
        match &self.node.value {
            Value::Table(table) if !table.inline && !table.has_header => self.at,
            _ => self.node.span.start,
        }
    }
}

impl Value {
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Plain(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(boolean) => Some(*boolean),
            _ => None,
        }
    }
}
