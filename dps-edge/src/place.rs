//! Where something stands in a text: byte offsets to lines and columns, as editors count them.

/// A place in a text, both counted from 1. A column is a character; a byte order mark is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// The places of many offsets in one text.
pub(crate) struct Places<'t> {
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl<'t> Places<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(end, _)| end + 1)).collect();
        Self { text, lines }
    }

    /// The place of a byte offset. One past the end is the end.
    pub(crate) fn at(&self, offset: usize) -> Place {
        let offset = if self.text.is_char_boundary(offset) { offset } else { self.text.len() };
        let line = self.lines.partition_point(|begin| *begin <= offset);
        let begin = self.lines.get(line - 1).copied().unwrap_or_default();
        let characters = self.text[begin..offset].chars().filter(|c| *c != '\u{feff}').count();
        Place { line, column: characters + 1 }
    }
}

/// The place of a byte offset. One past the end is the end.
pub(crate) fn place_of(text: &str, offset: usize) -> Place {
    Places::of(text).at(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_an_editors() {
        let text = "\u{feff}a = 1\r\n\tü = 2\n";
        let place = |needle: &str| {
            let Place { line, column } = place_of(text, text.find(needle).unwrap());
            (line, column)
        };
        assert_eq!((place("a"), place("1"), place("ü"), place("2")), ((1, 1), (1, 5), (2, 2), (2, 6)));
        assert_eq!(place_of(text, 99), Place { line: 3, column: 1 });
    }
}
