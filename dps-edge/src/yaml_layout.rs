//! What the documentation asks of the layout of `config.yaml`: no byte order mark, no blank before `provisioning:`, two
//! inside.

use crate::place::place_of;
use crate::problem::Problem;
use crate::tree::{Entries, Entry, Value, find};

/// Keys at a wrong depth, with their places in bytes. A text that is broken may be so because of them.
pub(crate) fn check(text: &str, entries: &Entries, broken: bool) -> Vec<(usize, Problem)> {
    let mut found: Vec<_> = byte_order_mark(text, entries).into_iter().collect();
    match find(entries, "provisioning") {
        Some(section) if column(text, section) == 1 => inside(text, section, &mut found),
        Some(section) if broken => found.push((section.at, Problem::IndentedSection)),
        Some(section) => found.push((section.at, Problem::IndentedFile)),
        // A text that breaks off above it, or one where it went into another section.
        None => found.extend(indented_section(text).map(|at| (at, Problem::IndentedSection))),
    }
    found
}

/// For 1.1 the mark is a part of the first key's name, so that the key is another one. If it does not touch a key, then
/// the first line is broken.
fn byte_order_mark(text: &str, entries: &Entries) -> Option<(usize, Problem)> {
    let mark = '\u{feff}';
    let first = entries.first().filter(|first| text.starts_with(mark) && first.at == mark.len_utf8());
    let refused = first.is_none_or(|first| *first.name == *"provisioning");
    text.starts_with(mark).then_some((0, Problem::ByteOrderMark { refused }))
}

fn column(text: &str, entry: &Entry) -> usize {
    place_of(text, entry.at).column
}

/// Only the first key of a section is named: the others stand with it.
fn inside(text: &str, section: &Entry, found: &mut Vec<(usize, Problem)>) {
    let Value::Table(table) = &section.node.value else { return };
    if table.inline {
        return;
    }
    if let Some(first) = table.entries.first().filter(|first| column(text, first) != column(text, section) + 2) {
        found.push((first.at, Problem::Indentation));
    }
    for entry in &table.entries {
        inside(text, entry, found);
    }
}

/// Where `provisioning:` stands behind blanks.
fn indented_section(text: &str) -> Option<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let blanks = line.len() - line.trim_start().len();
        if blanks > 0 && line.trim_start().starts_with("provisioning:") {
            return Some(start + blanks);
        }
        start += line.len();
    }
    None
}
