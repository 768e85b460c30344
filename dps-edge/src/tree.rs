//! A configuration file as keys and values with their places, the same for YAML and TOML.
//!
//! Values may be secrets: they are wiped when dropped, and nothing here is ever shown.

use std::collections::HashMap;
use std::ops::Range;

use zeroize::Zeroizing;

use crate::problem::Problem;

/// A syntax error, and the offset where it begins.
pub(crate) type Broken = (usize, Problem);

/// A table's members, in the order of their places.
pub(crate) type Entries = Vec<Entry>;

/// One key and what it holds.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: Zeroizing<String>,
    /// Where the key begins, in bytes.
    pub(crate) at: usize,
    pub(crate) node: Node,
}

/// A value and where it stands, in bytes. A table with a header of its own stands at its header.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

/// What a key may hold.
#[derive(Clone, PartialEq)]
pub(crate) enum Value {
    /// A text in quotes.
    Text(Zeroizing<String>),
    /// A text of YAML without quotes.
    Plain(Zeroizing<String>),
    Number(i64),
    Float,
    Boolean(bool),
    /// YAML's `~`.
    Null,
    Table(Table),
    List(Vec<Node>),
    /// What no key of ours takes, such as a date.
    Other,
}

/// Keys below a key.
#[derive(Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) entries: Entries,
    /// Whether it stands in braces.
    pub(crate) inline: bool,
    /// Whether it has a header of its own, as in `[provisioning]`.
    pub(crate) has_header: bool,
}

/// The entry of this name. One that holds null counts as not given, as it does for 1.1.
pub(crate) fn find<'e>(entries: &'e [Entry], name: &str) -> Option<&'e Entry> {
    find_null_too(entries, name).filter(|entry| entry.node.value != Value::Null)
}

/// The entry of this name, whatever it holds.
pub(crate) fn find_null_too<'e>(entries: &'e [Entry], name: &str) -> Option<&'e Entry> {
    entries.iter().find(|entry| *entry.name == name)
}

/// The name of the key that stands at each place, or whose value does.
pub(crate) fn names_by_place(entries: &[Entry]) -> HashMap<usize, &str> {
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

/// Two values are the same wherever they stand.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// Two entries are the same when their names and values are; where they stand does not matter.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.node == other.node
    }
}

impl Entry {
    /// Where its value is told of: YAML's table of several lines begins where its first key does.
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
