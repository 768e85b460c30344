//! TOML as it is written: texts in quotes and what is escaped in them.

use zeroize::Zeroizing;

/// A basic string (TOML 1.0, "String").
pub(crate) fn quoted(text: &str) -> Zeroizing<String> {
    // Room for the worst case: a string that grew would leave copies behind.
    let mut quoted = Zeroizing::new(String::with_capacity(text.len() * 6 + 2));
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// What a backslash in double quotes begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escape {
    /// An escape of every version of TOML.
    Old,
    /// `\xHH` or `\e`, of TOML 1.1 and later.
    Since1_1,
    /// No escape.
    None,
}

/// Every backslash of what stands between double quotes, with its offset.
pub(crate) fn escapes(inner: &str) -> impl Iterator<Item = (usize, Escape)> + Clone {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = done + inner[done..].find('\\')?;
        let rest = &inner[at + 1..];
        let digits = |count: usize| {
            rest.get(1..=count).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        };
        let escape = match rest.chars().next() {
            Some('b' | 't' | 'n' | 'f' | 'r' | '"' | '\\') => Escape::Old,
            Some('u') if digits(4) => Escape::Old,
            Some('U') if digits(8) => Escape::Old,
            Some('e') => Escape::Since1_1,
            Some('x') if digits(2) => Escape::Since1_1,
            // The end of a line, in a text over several.
            Some(' ' | '\t' | '\r' | '\n') if rest.trim_start_matches([' ', '\t', '\r']).starts_with('\n') => {
                Escape::Old
            }
            _ => Escape::None,
        };
        done = at + 1 + rest.chars().next().map_or(0, char::len_utf8);
        Some((at, escape))
    })
}
