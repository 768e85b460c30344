//! One table of the file, asked for its members one by one.

use super::Reader;
use super::placeholder::is_placeholder;
use crate::problem::Problem;
use crate::schema;
use crate::tree::{Entries, Entry, Table, Value, find};

/// A table, and what it is called.
#[derive(Clone, Copy)]
pub(super) struct Section<'e> {
    pub(super) entries: &'e Entries,
    /// Where it begins, in bytes: what is missing is missing there.
    pub(super) at: usize,
    pub(super) label: &'static str,
}

/// A value and where it stands, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Found<T> {
    pub(super) at: usize,
    pub(super) value: T,
}

impl<'e> Section<'e> {
    pub(super) fn get(&self, name: &str) -> Option<&'e Entry> {
        find(self.entries, name)
    }
}

impl Reader<'_> {
    /// The table below a key, if it is there and is one; the schema has told if it is none.
    pub(super) fn section<'e>(
        &self,
        parent: Section<'e>,
        name: &'static str,
        label: &'static str,
    ) -> Option<Section<'e>> {
        let entry = parent.get(name)?;
        match &entry.node.value {
            Value::Table(Table { entries, has_header, .. }) => {
                Some(Section { entries, at: if *has_header { entry.node.span.start } else { entry.at }, label })
            }
            _ => None,
        }
    }

    /// A text, if it is there; the schema has told if it is none. A placeholder counts as none.
    pub(super) fn text<'e>(&mut self, section: Section<'e>, name: &str) -> Option<Found<&'e str>> {
        let entry = section.get(name)?;
        let at = entry.node.span.start;
        let value = entry.node.value.as_text()?;
        if is_placeholder(name, value) {
            self.found(at, Problem::Placeholder);
            return None;
        }
        Some(Found { at, value })
    }

    /// A text that has to be there.
    pub(super) fn required<'e>(&mut self, section: Section<'e>, name: &'static str) -> Option<Found<&'e str>> {
        if section.get(name).is_none() {
            self.found(section.at, Problem::Missing { key: name, table: section.label });
        }
        self.text(section, name)
    }

    /// One of a few words, which has to be there.
    pub(super) fn word(
        &mut self,
        section: Section<'_>,
        name: &'static str,
        words: &'static [&'static str],
    ) -> Option<&'static str> {
        let Found { at, value } = self.required(section, name)?;
        self.one_of(at, value, words)
    }

    pub(super) fn one_of(&mut self, at: usize, value: &str, words: &'static [&'static str]) -> Option<&'static str> {
        let found = words.iter().find(|word| **word == value).copied();
        if found.is_none() {
            let nearest = schema::nearest(value, words.iter().copied());
            self.found(at, Problem::UnknownWord { words, nearest });
        }
        found
    }

    /// A whole number from 0 on, if it is there.
    pub(super) fn number(&self, section: Section<'_>, name: &str) -> Option<Found<u64>> {
        let node = &section.get(name)?.node;
        let value = u64::try_from(node.value.as_number()?).ok()?;
        Some(Found { at: node.span.start, value })
    }

    /// True or false, if it is there.
    pub(super) fn boolean(&self, section: Section<'_>, name: &str) -> Option<bool> {
        section.get(name)?.node.value.as_boolean()
    }
}
