//! A configuration file as keys and values with their places, the same for YAML and TOML.
//!
//! Values may be secrets: they are wiped when dropped, and nothing here is ever shown.

use std::ops::Range;

use zeroize::Zeroizing;

/// A table's members, in the order of their places.
pub(crate) type Entries = Vec<Entry>;

/// One key and what it holds.
pub(crate) struct Entry {
    pub(crate) name: Zeroizing<String>,
    /// Where the key begins, in bytes.
    pub(crate) at: usize,
    pub(crate) node: Node,
}

/// A value and where it stands, in bytes. A table with a header of its own stands at its header.
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

/// What a key may hold.
#[derive(PartialEq)]
pub(crate) enum Value {
    /// A text in quotes.
    Text(Zeroizing<String>),
    /// A scalar of YAML without quotes: a text, a number or a boolean, as it is asked for.
    Plain(Zeroizing<String>),
    Number(i64),
    Boolean(bool),
    Table(Table),
    /// A list of TOML.
    List(Vec<Node>),
    /// What no key of ours takes: a date, an alias, a list of YAML.
    Other,
}

/// Keys below a key.
#[derive(PartialEq)]
pub(crate) struct Table {
    pub(crate) entries: Entries,
    /// Whether it stands in braces.
    pub(crate) inline: bool,
    /// Whether it has a header of its own, as in `[provisioning]`.
    pub(crate) has_header: bool,
}

/// The entry of this name.
pub(crate) fn find<'e>(entries: &'e [Entry], name: &str) -> Option<&'e Entry> {
    entries.iter().find(|entry| *entry.name == name)
}

/// The name of the key that stands at this place, or whose value does.
pub(crate) fn name_at(entries: &[Entry], at: usize) -> Option<&str> {
    entries.iter().find_map(|entry| {
        if entry.at == at || entry.node.span.start == at {
            return Some(entry.name.as_str());
        }
        match &entry.node.value {
            Value::Table(table) => name_at(&table.entries, at),
            Value::List(items) => items.iter().any(|item| item.span.start == at).then_some(entry.name.as_str()),
            _ => None,
        }
    })
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
            Self::Plain(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(boolean) => Some(*boolean),
            Self::Plain(text) => text.parse().ok(),
            _ => None,
        }
    }
}
