//! YAML text to a tree. What the parser says is taken over by kind alone: its own messages may show a part of the text.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use zeroize::Zeroizing;

use crate::finding::Problem;
use crate::toml_tree::Broken;
use crate::tree::{Entries, Entry, Node, Table, Value};

/// No configuration is nested deeper.
const DEPTH_MAX: usize = 32;

/// Reads as much as can be read of the first document.
pub(crate) fn parse(text: &str) -> (Entries, Vec<Broken>) {
    // The parser counts in characters.
    let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let offset = |index: usize| offsets.get(index).copied().unwrap_or(text.len());
    let mut events = Vec::new();
    let mut broken = Vec::new();
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => events.push((event, bytes(&span, offset))),
            Err(error) => {
                broken.push(described(text, offset(error.marker().index()), &error));
                break;
            }
        }
    }
    let mut reader = Reader { text, events: events.into_iter().peekable(), broken };
    let entries = reader.document();
    (entries, reader.broken)
}

fn bytes(span: &Span, offset: impl Fn(usize) -> usize) -> Range<usize> {
    offset(span.start.index())..offset(span.end.index())
}

/// A tab in front of a key is the usual reason, and the parser complains later on.
fn described(text: &str, at: usize, error: &ScanError) -> Broken {
    let indented_by_tab = |line: &str| line.trim_start_matches(' ').starts_with('\t') && !line.trim().is_empty();
    let before = &text[..text[at..].find('\n').map_or(text.len(), |end| at + end)];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    if indented_by_tab(&before[line_start..]) {
        let column = before[line_start..].find('\t').unwrap_or_default();
        return (line_start + column, Problem::Syntax("a tab stands where YAML takes blanks only"));
    }
    let what = if error.info().contains("quoted scalar") {
        "a quote is not closed, or something stands behind it"
    } else if error.info().contains("mapping values are not allowed") {
        "a key stands deeper than the lines above allow"
    } else if error.info().contains("block mapping") || error.info().contains("invalid indentation") {
        "this line stands at another depth than those above"
    } else {
        "this is no YAML"
    };
    (at, Problem::Syntax(what))
}

struct Reader<'t, I: Iterator> {
    text: &'t str,
    events: std::iter::Peekable<I>,
    broken: Vec<Broken>,
}

impl<'t, I: Iterator<Item = (Event<'t>, Range<usize>)>> Reader<'t, I> {
    fn document(&mut self) -> Entries {
        let mut entries = Entries::new();
        let mut documents = 0;
        while let Some((event, span)) = self.events.next() {
            match event {
                Event::DocumentStart(_) => documents += 1,
                Event::MappingStart(..) if documents == 1 => entries = self.mapping(0),
                Event::DocumentEnd | Event::StreamStart | Event::StreamEnd | Event::Nothing => {}
                _ if documents == 1 => {
                    self.broken.push((span.start, Problem::Syntax("a key with a colon is expected here")));
                    break;
                }
                _ => {
                    self.broken.push((span.start, Problem::Syntax("a second document begins; only one is read")));
                    break;
                }
            }
        }
        entries
    }

    fn mapping(&mut self, depth: usize) -> Entries {
        let mut entries = Entries::new();
        while let Some((event, key)) = self.events.next() {
            let name = match event {
                Event::MappingEnd => break,
                Event::Scalar(name, ..) => Zeroizing::new(name.into_owned()),
                _ => {
                    self.skip(&event);
                    Zeroizing::default()
                }
            };
            if crate::tree::find(&entries, &name).is_some() {
                self.broken.push((key.start, Problem::Syntax("the key was given before")));
            }
            let Some(node) = self.node(depth + 1) else { break };
            entries.push(Entry { name, at: key.start, node });
        }
        entries
    }

    fn node(&mut self, depth: usize) -> Option<Node> {
        let (event, span) = self.events.next()?;
        let value = match event {
            Event::MappingStart(..) if depth < DEPTH_MAX => {
                let inline = self.text[span.start..].starts_with('{');
                Value::Table(Table { entries: self.mapping(depth), inline, has_header: false })
            }
            Event::Scalar(text, style, ..) => return Some(self.scalar(text.into_owned(), style, span)),
            other => {
                self.skip(&other);
                Value::Other
            }
        };
        Some(Node { span, value })
    }

    fn scalar(&self, text: String, style: ScalarStyle, span: Range<usize>) -> Node {
        let text = Zeroizing::new(text);
        let (value, quote) = match style {
            ScalarStyle::Plain => (Value::Plain(text), None),
            ScalarStyle::SingleQuoted => (Value::Text(text), Some('\'')),
            ScalarStyle::DoubleQuoted => (Value::Text(text), Some('"')),
            _ => (Value::Text(text), None),
        };
        // The parser's span of a quoted text may reach over the comment behind it.
        let length = quote.and_then(|quote| quoted_length(&self.text[span.start..], quote));
        Node { span: length.map_or(span.clone(), |length| span.start..span.start + length), value }
    }

    /// Passes over what began with this event.
    fn skip(&mut self, begun: &Event<'_>) {
        let mut depth = step(begun);
        while depth > 0 {
            let Some((event, _)) = self.events.next() else { return };
            depth += step(&event);
        }
    }
}

/// By how much an event goes deeper.
fn step(event: &Event<'_>) -> i32 {
    match event {
        Event::MappingStart(..) | Event::SequenceStart(..) => 1,
        Event::MappingEnd | Event::SequenceEnd => -1,
        _ => 0,
    }
}

/// The length in bytes of a quoted text, quotes included. `None` when the text does not begin with the quote.
fn quoted_length(text: &str, quote: char) -> Option<usize> {
    let mut characters = text.char_indices().peekable();
    characters.next_if(|(_, c)| *c == quote)?;
    while let Some((at, c)) = characters.next() {
        if c == '\\' && quote == '"' {
            characters.next();
        } else if c == quote && (quote == '"' || characters.next_if(|(_, next)| *next == '\'').is_none()) {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_ends_at_its_quote() {
        for (text, quote, length) in [
            ("\"a\" # \"b\"", '"', Some(3)),
            (r#""a\"b" # x"#, '"', Some(6)),
            ("'it''s' x", '\'', Some(7)),
            ("''", '\'', Some(2)),
            ("\"open", '"', None),
            ("&anchor \"a\"", '"', None),
        ] {
            assert_eq!(quoted_length(text, quote), length, "{text}");
        }
    }
}
