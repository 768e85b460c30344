//! The syntax of TOML below its values: strings and their escapes, and what TOML 1.1 accepts and TOML 1.0 does not
//! (several lines in an inline table and a comma before its end, `\xHH` and `\e`, times without seconds; toml.io,
//! changes of 1.1.0). The daemons read TOML 1.1 from IoT Edge 1.6 on.

use toml_parser::Source;
use toml_parser::decoder::Encoding;
use toml_parser::parser::{Event, EventKind, RecursionGuard, parse_document};
use zeroize::Zeroizing;

use crate::problem::Problem;
use crate::tree::Broken;

const LINES: &str = "an inline table must be on one line: TOML 1.1 allows several, since IoT Edge 1.6";
const COMMA: &str = "a comma before the `}` of an inline table is not allowed: TOML 1.1 allows it, since IoT Edge 1.6";
const ESCAPE: &str = "invalid escape: \\xHH and \\e are valid in TOML 1.1, since IoT Edge 1.6";
const SECONDS: &str = "the seconds of the time are missing: TOML 1.1 allows that, since IoT Edge 1.6";
/// The deepest nesting that is parsed; no configuration is deeper.
const DEPTH_MAX: u32 = 80;

/// Quotes a basic string (TOML 1.0, "String").
pub(crate) fn quoted(text: &str) -> Zeroizing<String> {
    // Allocated for the worst case: a string that grew would leave copies behind.
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

/// What a backslash in double quotes starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escape {
    /// An escape of every version of TOML.
    Old,
    /// `\xHH` or `\e`, of TOML 1.1 and later.
    Since1_1,
    /// Not a valid escape.
    None,
}

/// Every backslash between double quotes, with its offset.
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
            // The end of a line, in a multi-line string.
            Some(' ' | '\t' | '\r' | '\n') if rest.trim_start_matches([' ', '\t', '\r']).starts_with('\n') => {
                Escape::Old
            }
            _ => Escape::None,
        };
        done = at + 1 + rest.chars().next().map_or(0, char::len_utf8);
        Some((at, escape))
    })
}

/// Every use of TOML 1.1, with its offset.
pub(crate) fn uses_of_1_1(text: &str) -> Vec<Broken> {
    let source = Source::new(text);
    let tokens = source.lex().into_vec();
    let mut uses = Uses { text, open: Vec::new(), found: Vec::new() };
    let mut receiver = |event: Event| uses.event(event);
    parse_document(&tokens, &mut RecursionGuard::new(&mut receiver, DEPTH_MAX), &mut ());
    uses.found
}

/// An open list or inline table.
enum Open {
    List,
    Table {
        at: usize,
        /// Whether the last token was a comma.
        comma: bool,
        told: bool,
    },
}

struct Uses<'t> {
    text: &'t str,
    open: Vec<Open>,
    found: Vec<Broken>,
}

impl Uses<'_> {
    fn report(&mut self, at: usize, what: &'static str) {
        self.found.push((at, Problem::OfToml1_1(what)));
    }

    fn event(&mut self, event: Event) {
        let at = event.span().start();
        match event.kind() {
            EventKind::InlineTableOpen => self.open.push(Open::Table { at, comma: false, told: false }),
            EventKind::ArrayOpen => self.open.push(Open::List),
            EventKind::ArrayClose => {
                self.open.pop();
            }
            EventKind::InlineTableClose => {
                if let Some(Open::Table { comma: true, told: false, .. }) = self.open.pop() {
                    self.report(at, COMMA);
                }
            }
            EventKind::Newline => {
                if let Some(Open::Table { at, told: told @ false, .. }) = self.open.last_mut() {
                    *told = true;
                    let at = *at;
                    self.report(at, LINES);
                }
            }
            EventKind::ValueSep => self.comma(true),
            EventKind::SimpleKey => {
                self.comma(false);
                self.escapes(event);
            }
            EventKind::Scalar => {
                self.escapes(event);
                let word = self.text.get(at..event.span().end()).unwrap_or_default();
                if event.encoding().is_none() && is_time_without_seconds(word) {
                    self.report(at, SECONDS);
                }
            }
            _ => {}
        }
    }

    fn comma(&mut self, is_last: bool) {
        if let Some(Open::Table { comma, .. }) = self.open.last_mut() {
            *comma = is_last;
        }
    }

    fn escapes(&mut self, event: Event) {
        let text = self.text;
        let (at, end) = (event.span().start(), event.span().end());
        if matches!(event.encoding(), Some(Encoding::BasicString | Encoding::MlBasicString)) {
            let written = text.get(at..end).unwrap_or_default();
            for (offset, _) in escapes(written).filter(|(_, escape)| *escape == Escape::Since1_1) {
                self.report(at + offset, ESCAPE);
            }
        }
    }
}

/// Whether a value is a time of day with only hours and minutes, with or without a date.
fn is_time_without_seconds(word: &str) -> bool {
    let Some((before, after)) = word.split_once(':') else { return false };
    let digits = |text: Option<&str>| text.is_some_and(|text| text.bytes().all(|digit| digit.is_ascii_digit()));
    let hours = digits(before.len().checked_sub(2).and_then(|start| before.get(start..)));
    hours && digits(after.get(..2)) && !after[2..].starts_with(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_of_1_1_are_found_at_their_offset() {
        for (text, found) in [
            ("a = {\n b = 1\n}\n", vec![(4, LINES)]),
            ("a = { b = 1,\r\n c = 2, # x\r\n}\n", vec![(4, LINES)]),
            ("a = { b = 1, }\n", vec![(13, COMMA)]),
            ("a = { b = { c = 1, }, d = 2 }\n", vec![(19, COMMA)]),
            ("a = { b = {\nc = 1 } }\n", vec![(10, LINES)]),
            ("a = \"\\x41\"\nb = \"\\e\"\n", vec![(5, ESCAPE), (16, ESCAPE)]),
            ("\"\\x61\" = '''\\x41'''\n", vec![(1, ESCAPE)]),
            ("a = 07:32\nb = 1979-05-27T07:32Z\n", vec![(4, SECONDS), (14, SECONDS)]),
        ] {
            let expected: Vec<Broken> = found.into_iter().map(|(at, what)| (at, Problem::OfToml1_1(what))).collect();
            assert_eq!(uses_of_1_1(text), expected, "{text}");
        }
    }

    #[test]
    fn toml_1_0_has_no_uses_of_1_1() {
        for text in [
            "a = { b = [\n 1, # x\n 2,\n], c = '''\n'''  }\n",
            "a = [\n { b = 1 },\n]\n",
            "a = { }\nb = \"\\\\x41 \\\\e \\u0041\"\nc = 'C:\\x41\\e'\nd = 07:32:00.5\ne = 1979-05-27T07:32:00+01:30\n",
            "a = \"\"\"\\\n  b\"\"\"\n# { \"\\x41\"\n",
        ] {
            assert_eq!(uses_of_1_1(text), vec![], "{text}");
        }
    }
}
