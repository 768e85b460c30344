//! TOML text to a tree. Only the kind of the parser's errors is used: its messages may show the line.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use crate::problem::Problem;
use crate::toml_repair::{BACKSLASH, Repaired, repair};
use crate::tree::{Broken, Entries, Entry, Node, Table, Value};

const REPEATED: &str = "this key or table is defined twice";

/// Parses as much as possible.
pub(crate) fn parse(text: &str) -> (Entries, Vec<Broken>) {
    let repaired = repair(text);
    let (document, errors) = DeTable::parse_recoverable(&repaired.text);
    let parsed = errors.iter().map(|error| {
        let at = error.span().map_or(text.len(), |span| repaired.original(span.start));
        (at, problem(error.message()))
    });
    let mut broken: Vec<Broken> = repaired.broken.iter().copied().chain(parsed).collect();
    broken.sort_by_key(|(at, _)| *at);
    once_for_each_section(text, &mut broken);
    // The first invalid backslash of a path is enough.
    broken.dedup_by(|next, first| {
        let same_line = text.get(first.0..next.0).is_some_and(|between| !between.contains('\n'));
        same_line && next.1 == first.1 && first.1 == Problem::Syntax(BACKSLASH)
    });
    let tree = Tree { text, repaired: &repaired };
    (tree.entries(document.get_ref()), broken)
}

/// Reports a repeated section once, whatever is in it and in the sections below it.
fn once_for_each_section(text: &str, broken: &mut Vec<Broken>) {
    let mut end = 0;
    broken.retain(|(at, problem)| {
        let is_repeated = *problem == Problem::Syntax(REPEATED);
        if is_repeated && *at < end {
            return false;
        }
        if is_repeated {
            end = section_end(text, *at).unwrap_or(end);
        }
        true
    });
}

/// The end of the section whose header is on the line at this offset; `None` if there is no header.
fn section_end(text: &str, at: usize) -> Option<usize> {
    let header = |line: &str| Some(line.trim_start().strip_prefix('[')?.split(']').next()?.trim().to_owned());
    let start = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let mut lines = text[start..].split_inclusive('\n');
    let mut end = start + lines.clone().next()?.len();
    let name = header(lines.next()?)?;
    let below = format!("{name}.");
    for line in lines {
        if header(line).is_some_and(|header| header != name && !header.starts_with(&below)) {
            break;
        }
        end += line.len();
    }
    Some(end)
}

fn problem(message: &str) -> Problem {
    let is = |beginning: &str| message.starts_with(beginning);
    if is("string values must be quoted") {
        Problem::Unquoted
    } else if is("missing escaped value") {
        Problem::Syntax(BACKSLASH)
    } else if is("duplicate key") {
        Problem::Syntax(REPEATED)
    } else if is("key with no value") {
        Problem::Syntax("the key has no `=` and no value")
    } else if is("unexpected key or value") {
        Problem::Syntax("unexpected text after the value")
    } else {
        Problem::Syntax("invalid TOML")
    }
}

struct Tree<'t> {
    text: &'t str,
    repaired: &'t Repaired,
}

impl Tree<'_> {
    fn entries(&self, table: &DeTable<'_>) -> Entries {
        let mut entries: Entries = table.iter().map(|(name, value)| self.entry(name, value)).collect();
        entries.sort_by_key(|entry| entry.at);
        entries
    }

    fn entry(&self, name: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Entry {
        Entry {
            name: Zeroizing::new(name.get_ref().to_string()),
            at: self.repaired.original(name.span().start),
            node: self.node(value),
        }
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Node {
        let span = self.repaired.original(value.span().start)..self.repaired.original(value.span().end);
        let value = match value.get_ref() {
            DeValue::String(string) => Value::Text(Zeroizing::new(string.to_string())),
            DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(number) => Value::Number(number),
                Err(_) => Value::Other,
            },
            DeValue::Boolean(boolean) => Value::Boolean(*boolean),
            DeValue::Table(table) => {
                let (inline, has_header) = (begins_with(self.text, &span, '{'), begins_with(self.text, &span, '['));
                Value::Table(Table { entries: self.entries(table), inline, has_header })
            }
            DeValue::Array(items) => Value::List(items.iter().map(|item| self.node(item)).collect()),
            DeValue::Float(_) | DeValue::Datetime(_) => Value::Other,
        };
        Node { span, value }
    }
}

fn begins_with(text: &str, span: &Range<usize>, mark: char) -> bool {
    text.get(span.clone()).is_some_and(|text| text.starts_with(mark))
}
