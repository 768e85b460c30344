//! TOML text to a tree. What the parser says is taken over by kind alone: its own messages may show the line.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use crate::finding::Problem;
use crate::tree::{Entries, Entry, Node, Table, Value};

/// Something that is no TOML, and where it begins.
pub(crate) type Broken = (usize, Problem);

/// Reads as much as can be read.
pub(crate) fn parse(text: &str) -> (Entries, Vec<Broken>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let broken = errors.iter().map(|error| {
        let at = error.span().map_or(text.len(), |span| span.start);
        (at, problem(error.message()))
    });
    (entries(document.get_ref(), text), broken.collect())
}

fn problem(message: &str) -> Problem {
    let is = |beginning: &str| message.starts_with(beginning);
    if is("string values must be quoted") {
        Problem::Unquoted
    } else if is("duplicate key") {
        Problem::Syntax("the key or table was given before")
    } else if is("key with no value") {
        Problem::Syntax("a key without `=` and a value")
    } else if is("unexpected key or value") {
        Problem::Syntax("something stands behind the value")
    } else {
        Problem::Syntax("this is no TOML")
    }
}

fn entries(table: &DeTable<'_>, text: &str) -> Entries {
    let mut entries: Entries = table.iter().map(|(name, value)| entry(name, value, text)).collect();
    entries.sort_by_key(|entry| entry.at);
    entries
}

fn entry(name: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>, text: &str) -> Entry {
    Entry { name: Zeroizing::new(name.get_ref().to_string()), at: name.span().start, node: node(value, text) }
}

fn node(value: &Spanned<DeValue<'_>>, text: &str) -> Node {
    let span = value.span();
    let value = match value.get_ref() {
        DeValue::String(string) => Value::Text(Zeroizing::new(string.to_string())),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Value::Number(number),
            Err(_) => Value::Other,
        },
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Table(table) => {
            let (inline, has_header) = (begins_with(text, &span, '{'), begins_with(text, &span, '['));
            Value::Table(Table { entries: entries(table, text), inline, has_header })
        }
        DeValue::Array(items) => Value::List(items.iter().map(|item| node(item, text)).collect()),
        DeValue::Float(_) | DeValue::Datetime(_) => Value::Other,
    };
    Node { span, value }
}

fn begins_with(text: &str, span: &Range<usize>, mark: char) -> bool {
    text.get(span.clone()).is_some_and(|text| text.starts_with(mark))
}
