//! Where something stands in a text: byte offsets to lines and columns, as editors count them.

/// A place in a text, both counted from 1. A column is a character; a byte order mark is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// The place of a byte offset. One past the end is the end.
pub(crate) fn place_of(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let characters = before[line_start..].chars().filter(|c| *c != '\u{feff}').count();
    Place { line: before.matches('\n').count() + 1, column: characters + 1 }
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
