//! What the documentation asks of the layout of `config.yaml`: no blank before `provisioning:`, two inside.

use crate::finding::Problem;
use crate::place::place_of;
use crate::tree::{Entries, Entry, Value, find};

/// Keys at a wrong depth, with their places in bytes.
pub(crate) fn check(text: &str, entries: &Entries) -> Vec<(usize, Problem)> {
    let mut found = Vec::new();
    match find(entries, "provisioning") {
        Some(section) if column(text, section) == 1 => inside(text, section, &mut found),
        Some(section) => found.push((section.at, Problem::IndentedSection)),
        // A text that breaks off above it, or one where it went into another section.
        None => found.extend(indented_section(text).map(|at| (at, Problem::IndentedSection))),
    }
    found
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
