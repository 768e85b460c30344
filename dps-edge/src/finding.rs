//! Findings in a file: which rule, at which line and column, and what to do about it.
//!
//! A finding cannot contain any part of the file: it consists of names that this crate knows and of numbers.

use std::fmt;

use crate::problem::{Problem, Severity};

/// One finding. [`Display`](fmt::Display) is `line:column: severity[id]: message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Where it is in the file.
    pub position: Position,
    /// The key that it is about, if that is a key of IoT Edge.
    pub key: Option<&'static str>,
    /// What is wrong.
    pub problem: Problem,
}

impl Finding {
    pub(crate) const fn new(position: Position, problem: Problem) -> Self {
        Self { position, key: None, problem }
    }

    /// The finding for a file that [`stray_files`](crate::files::stray_files) returns.
    #[must_use]
    pub const fn stray_file() -> Self {
        Self::new(Position { line: 1, column: 1 }, Problem::StrayFile)
    }

    /// What is wrong, with which key, and what to do.
    #[must_use]
    pub fn message(&self) -> String {
        let problem = self.problem.to_string();
        match (self.key, problem.strip_prefix("this key ")) {
            (Some(key), Some(predicate)) => format!("`{key}` {predicate}"),
            (Some(key), None) => format!("`{key}`: {problem}"),
            (None, _) => problem,
        }
    }

    /// How serious it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.problem.severity()
    }

    /// The rule's id; it never changes.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.problem.entry().0
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.position;
        write!(f, "{line}:{column}: {}[{}]: {}", self.severity().name(), self.id(), self.message())
    }
}

/// A line and column in a text, both counted from 1. A column counts characters; a byte order mark is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// Converts many offsets in one text.
pub(crate) struct Positions<'t> {
    text: &'t str,
    /// The offset at which each line begins.
    lines: Vec<usize>,
}

impl<'t> Positions<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(end, _)| end + 1)).collect();
        Self { text, lines }
    }

    /// The line and column at a byte offset; an offset past the end is the end.
    pub(crate) fn at(&self, offset: usize) -> Position {
        let offset = if self.text.is_char_boundary(offset) { offset } else { self.text.len() };
        let line = self.lines.partition_point(|begin| *begin <= offset);
        let begin = self.lines.get(line - 1).copied().unwrap_or_default();
        let characters = self.text[begin..offset].chars().filter(|c| *c != '\u{feff}').count();
        Position { line, column: characters + 1 }
    }
}

/// The line and column at a byte offset; an offset past the end is the end.
pub(crate) fn position_of(text: &str, offset: usize) -> Position {
    Positions::new(text).at(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_of_counts_lines_and_columns_as_editors_do() {
        let text = "\u{feff}a = 1\r\n\tü = 2\n";
        let position = |needle: &str| {
            let Position { line, column } = position_of(text, text.find(needle).unwrap());
            (line, column)
        };
        assert_eq!((position("a"), position("1"), position("ü"), position("2")), ((1, 1), (1, 5), (2, 2), (2, 6)));
        assert_eq!(position_of(text, 99), Position { line: 3, column: 1 });
    }
}
