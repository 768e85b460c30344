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
    /// What no key of ours takes: a list, a date, an alias.
    Other,
}

/// Keys below a key.
#[derive(PartialEq)]
pub(crate) struct Table {
    pub(crate) entries: Entries,
    /// Whether it stands on one line, in braces.
    pub(crate) inline: bool,
}

/// The entry of this name.
pub(crate) fn find<'e>(entries: &'e [Entry], name: &str) -> Option<&'e Entry> {
    entries.iter().find(|entry| *entry.name == name)
}

/// Two entries are the same when their names and values are; where they stand does not matter.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.node.value == other.node.value
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

    /// IoT Edge 1.1 takes booleans in quotes as well.
    pub(crate) fn as_boolean(&self, quoted_too: bool) -> Option<bool> {
        match self {
            Self::Boolean(boolean) => Some(*boolean),
            Self::Plain(text) => text.parse().ok(),
            Self::Text(text) if quoted_too => text.parse().ok(),
            _ => None,
        }
    }
}
