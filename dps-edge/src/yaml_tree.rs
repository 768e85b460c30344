//! YAML text to a tree, with the values that IoT Edge 1.1 reads: its reader (yaml-rust 0.4) keeps the last of several
//! keys of one name, and makes numbers and booleans of scalars without quotes. Only the kind of the parser's errors is
//! used: its messages may show a part of the text. Then the layout that the documentation asks for: no byte order mark,
//! `provisioning:` without indentation, two spaces inside.

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use zeroize::Zeroizing;

use crate::finding::position_of;
use crate::problem::Problem;
use crate::schema;
use crate::tree::{Broken, Entries, Entry, Node, Table, Value, find};

/// The deepest nesting that is parsed; no configuration is deeper.
const DEPTH_MAX: usize = 32;
/// The most values that aliases may expand to: more than any configuration has, and little memory.
const ALIASED_MAX: usize = 10_000;

/// Parses as much as possible of the first document.
pub(crate) fn parse(text: &str) -> (Entries, Vec<Broken>) {
    // The parser counts characters.
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
    let events = events.into_iter().peekable();
    let mut reader = Reader { text, events, broken, anchors: HashMap::new(), aliased: 0 };
    let entries = reader.document();
    (entries, reader.broken)
}

fn bytes(span: &Span, offset: impl Fn(usize) -> usize) -> Range<usize> {
    offset(span.start.index())..offset(span.end.index())
}

/// The usual reason is a tab before a key, which the parser reports at a later position.
fn described(text: &str, at: usize, error: &ScanError) -> Broken {
    let indented_by_tab = |line: &str| line.trim_start_matches(' ').starts_with('\t') && !line.trim().is_empty();
    let before = &text[..text[at..].find('\n').map_or(text.len(), |end| at + end)];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    if indented_by_tab(&before[line_start..]) {
        let column = before[line_start..].find('\t').unwrap_or_default();
        return (line_start + column, Problem::Syntax("a tab where YAML accepts only spaces"));
    }
    if let Some(colon) = colon_without_space_above(before) {
        return (colon, Problem::Syntax(COLON_WITHOUT_SPACE));
    }
    let what = if ["escape", "hexadecimal"].iter().any(|word| error.info().contains(word)) {
        "a backslash in double quotes begins an escape such as \\n: write it twice, or use single quotes"
    } else if error.info().contains("quoted scalar") {
        "a quote is not closed, or there is text after it"
    } else if error.info().contains("mapping values are not allowed") {
        "this key is indented deeper than the lines above allow"
    } else if error.info().contains("block mapping") || error.info().contains("invalid indentation") {
        "the indentation of this line differs from the lines above"
    } else {
        "invalid YAML"
    };
    (at, Problem::Syntax(what))
}

const COLON_WITHOUT_SPACE: &str = "a space is missing after the colon";

/// The offset after the colon of `key:"value"`, in the last line of `text` or in the one above it.
fn colon_without_space_above(text: &str) -> Option<usize> {
    let last = text.rfind('\n').map_or(0, |end| end + 1);
    let above = text[..last].trim_end().rfind('\n').map_or(0, |end| end + 1);
    [last, above].into_iter().find_map(|line| colon_without_space(&text[line..]).map(|colon| line + colon))
}

/// The offset after the colon, if a line starts with `key:"value"`, or with `key:value` and a known key. A host with a
/// port, or a URI, is not such a line.
fn colon_without_space(line: &str) -> Option<usize> {
    let start = line.len() - line.trim_start_matches(' ').len();
    let length = line[start..].bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let (name, after) = line[start..].split_at(length);
    let value = after.strip_prefix(':')?;
    let is_known = schema::known(name).is_some() && value.starts_with(char::is_alphanumeric);
    (length > 0 && (is_known || value.starts_with(['"', '\'']))).then_some(start + length + 1)
}

struct Reader<'t, I: Iterator> {
    text: &'t str,
    events: std::iter::Peekable<I>,
    broken: Vec<Broken>,
    /// The values that have an anchor, by the parser's number of the anchor.
    anchors: HashMap<usize, Value>,
    /// How many values anchors and aliases have expanded to so far.
    aliased: usize,
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
                    let colon = colon_without_space(&self.text[span.start..]).map(|colon| span.start + colon);
                    let what =
                        if colon.is_some() { COLON_WITHOUT_SPACE } else { "a key with a colon is expected here" };
                    self.broken.push((colon.unwrap_or(span.start), Problem::Syntax(what)));
                    break;
                }
                _ => {
                    self.broken.push((
                        span.start,
                        Problem::Syntax("a second document starts here; the daemon accepts only one"),
                    ));
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
            let Some(mut node) = self.node(depth + 1) else { break };
            self.check_colon(&key, &mut node);
            // A key that is not a string has no name.
            if let Some(earlier) = entries.iter().position(|entry| entry.name == name && !name.is_empty()) {
                self.broken.push((entries.remove(earlier).at, Problem::GivenAgain));
            }
            entries.push(Entry { name, at: key.start, node });
        }
        entries
    }

    /// A line `key:"value"` would become the value of the key above it.
    fn check_colon(&mut self, key: &Range<usize>, node: &mut Node) {
        let is_below = self.text.get(key.end..node.span.start).is_some_and(|between| between.contains('\n'));
        let colon = colon_without_space(&self.text[node.span.start..]);
        if let Some(colon) = colon.filter(|_| is_below && matches!(node.value, Value::Plain(_))) {
            self.broken.push((node.span.start + colon, Problem::Syntax(COLON_WITHOUT_SPACE)));
            node.value = Value::Null;
        }
    }

    fn node(&mut self, depth: usize) -> Option<Node> {
        let (event, span) = self.events.next()?;
        let (node, anchor) = match event {
            Event::MappingStart(anchor, _) if depth < DEPTH_MAX => {
                let inline = self.text[span.start..].starts_with('{');
                let entries = self.mapping(depth);
                (Node { span, value: Value::Table(Table { entries, inline, has_header: false }) }, anchor)
            }
            Event::SequenceStart(anchor, _) if depth < DEPTH_MAX => {
                (Node { span, value: Value::List(self.list(depth)) }, anchor)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(text.into_owned(), style, tag.as_deref(), span);
                let is_other_path = self.text[node.span.clone()].starts_with('"') && has_escape_in_path(&node.value);
                self.broken.extend(is_other_path.then_some((node.span.start, Problem::EscapeInPath)));
                (node, anchor)
            }
            Event::Alias(anchor) => (self.alias(anchor, span), 0),
            other => {
                self.skip(&other);
                (Node { span, value: Value::Other }, 0)
            }
        };
        if anchor > 0 && self.may_copy(&node.value, node.span.start) {
            self.anchors.insert(anchor, node.value.clone());
        }
        Some(node)
    }

    fn list(&mut self, depth: usize) -> Vec<Node> {
        let mut nodes = Vec::new();
        while self.events.next_if(|(event, _)| matches!(event, Event::SequenceEnd)).is_none() {
            let Some(node) = self.node(depth + 1) else { break };
            nodes.push(node);
        }
        nodes
    }

    /// Copies the value with the anchor. Inside of itself an alias is null.
    fn alias(&mut self, anchor: usize, span: Range<usize>) -> Node {
        let mut value = match self.anchors.remove(&anchor) {
            Some(value) => {
                let copy = if self.may_copy(&value, span.start) { value.clone() } else { Value::Other };
                self.anchors.insert(anchor, value);
                copy
            }
            None => Value::Null,
        };
        // A copy has no layout.
        if let Value::Table(table) = &mut value {
            table.inline = true;
        }
        Node { span, value }
    }

    /// A few lines of nested aliases can expand to more than fits into memory.
    fn may_copy(&mut self, value: &Value, at: usize) -> bool {
        let before = self.aliased;
        self.aliased = before.saturating_add(size(value));
        if before <= ALIASED_MAX && self.aliased > ALIASED_MAX {
            self.broken.push((at, Problem::Syntax("the aliases expand to more values than any configuration has")));
        }
        self.aliased <= ALIASED_MAX
    }

    fn scalar(&self, text: String, style: ScalarStyle, tag: Option<&Tag>, span: Range<usize>) -> Node {
        let text = Zeroizing::new(text);
        let (value, quote) = match style {
            ScalarStyle::Plain => (plain(text, tag), None),
            ScalarStyle::SingleQuoted => (Value::Text(text), Some('\'')),
            ScalarStyle::DoubleQuoted => (Value::Text(text), Some('"')),
            _ => (Value::Text(text), None),
        };
        // The parser's span of a quoted string may include the comment after it.
        let length = quote.and_then(|quote| quoted_length(&self.text[span.start..], quote));
        Node { span: length.map_or(span.clone(), |length| span.start..span.start + length), value }
    }

    /// Skips what started with this event.
    fn skip(&mut self, begun: &Event<'_>) {
        let mut depth = step(begun);
        while depth > 0 {
            let Some((event, _)) = self.events.next() else { return };
            depth += step(&event);
        }
    }
}

/// How many values a value contains, including itself.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Table(table) => table.entries.iter().map(|entry| size(&entry.node.value)).sum(),
        Value::List(nodes) => nodes.iter().map(|node| size(&node.value)).sum(),
        _ => 0,
    }
}

/// A scalar without quotes. If its tag requires a type that it does not have, it is null.
fn plain(text: Zeroizing<String>, tag: Option<&Tag>) -> Value {
    let Some(tag) = tag else { return resolved(text) };
    match (tag.is_yaml_core_schema(), tag.suffix.as_str()) {
        (true, wanted @ ("int" | "float" | "bool" | "null")) => match (wanted, resolved(text)) {
            ("int", number @ Value::Number(_)) => number,
            ("float", number @ (Value::Number(_) | Value::Float)) => number,
            ("bool", boolean @ Value::Boolean(_)) => boolean,
            _ => Value::Null,
        },
        _ => Value::Plain(text),
    }
}

/// The type that yaml-rust 0.4 infers for a scalar.
fn resolved(text: Zeroizing<String>) -> Value {
    let infinite = |text: &str| [".inf", ".Inf", ".INF"].contains(&text.trim_start_matches(['+', '-']));
    let digits = |prefix: &str, radix| text.strip_prefix(prefix).and_then(|text| i64::from_str_radix(text, radix).ok());
    let integer = digits("0x", 16).or_else(|| digits("0o", 8)).or_else(|| text.parse().ok());
    match text.as_str() {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        _ if integer.is_some() => integer.map_or(Value::Null, Value::Number),
        other if infinite(other) || [".nan", "NaN", ".NAN"].contains(&other) => Value::Float,
        other if other.parse::<f64>().is_ok() => Value::Float,
        _ => Value::Plain(text),
    }
}

/// Whether a Windows path contains a control character, as `"C:\temp"` does: an escape that was meant as a directory.
fn has_escape_in_path(value: &Value) -> bool {
    let text = value.as_text().unwrap_or_default();
    let is_of_windows = text.starts_with(|drive: char| drive.is_ascii_alphabetic()) && text[1..].starts_with(':');
    is_of_windows && text.contains(char::is_control)
}

/// By how much an event changes the depth.
fn step(event: &Event<'_>) -> i32 {
    match event {
        Event::MappingStart(..) | Event::SequenceStart(..) => 1,
        Event::MappingEnd | Event::SequenceEnd => -1,
        _ => 0,
    }
}

/// The length in bytes of a quoted string, with its quotes. `None` if the text does not start with the quote.
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

/// Reports keys at a wrong depth, with their offsets. They may be the reason why a text is invalid.
pub(crate) fn check_layout(text: &str, entries: &Entries, broken: bool) -> Vec<(usize, Problem)> {
    let mut found: Vec<_> = byte_order_mark(text, entries).into_iter().collect();
    match find(entries, "provisioning") {
        Some(section) if column(text, section) == 1 => inside(text, section, &mut found),
        Some(section) if broken => found.push((section.at, Problem::IndentedSection)),
        Some(section) => found.push((section.at, Problem::IndentedFile)),
        // The text is invalid above it, or it became part of another section.
        None => found.extend(indented_section(text).map(|at| (at, Problem::IndentedSection))),
    }
    found
}

/// For 1.1 the mark is part of the first key's name, so that the key is unknown. If no key follows it directly, the
/// first line is invalid.
fn byte_order_mark(text: &str, entries: &Entries) -> Option<(usize, Problem)> {
    let mark = '\u{feff}';
    let first = entries.first().filter(|first| text.starts_with(mark) && first.at == mark.len_utf8());
    let refused = first.is_none_or(|first| *first.name == *"provisioning");
    text.starts_with(mark).then_some((0, Problem::ByteOrderMark { refused }))
}

fn column(text: &str, entry: &Entry) -> usize {
    position_of(text, entry.at).column
}

/// Only the first key of a section is reported.
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

/// The offset of an indented `provisioning:`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_without_quotes_have_the_type_that_the_daemon_infers() {
        let resolved = |text: &str| resolved(Zeroizing::new(text.to_owned()));
        for (text, number) in
            [("1234567", 1_234_567), ("00123", 123), ("0x1F", 31), ("0o17", 15), ("+5", 5), ("-5", -5), ("0", 0)]
        {
            assert!(resolved(text) == Value::Number(number), "{text}");
        }
        for text in ["12e3", "1.5", ".5", "1.", ".inf", "-.INF", ".nan", "NaN", "99999999999999999999"] {
            assert!(resolved(text) == Value::Float, "{text}");
        }
        for text in ["0ne00A1B2C3", "dev-01", "yes", "True", "Null", "0xZZ", "1_000", "0b1", "2026-11-28", "1:20"] {
            assert!(resolved(text) == Value::Plain(Zeroizing::new(text.to_owned())), "{text}");
        }
        assert!(["", "~", "null"].iter().all(|text| resolved(text) == Value::Null));
        assert!(resolved("true") == Value::Boolean(true) && resolved("false") == Value::Boolean(false));
    }

    #[test]
    fn missing_space_after_a_colon_is_distinguished_from_other_colons() {
        for (line, colon) in [
            ("  source:\"dps\"", Some(9)),
            ("source:dps", Some(7)),
            ("mine:'x'", Some(5)),
            ("source: dps", None),
            ("source:", None),
            ("localhost:9999", None),
            ("unix:///run/a.sock", None),
            (":\"x\"", None),
        ] {
            assert_eq!(colon_without_space(line), colon, "{line}");
        }
        let (_, broken) = parse("provisioning:\n  endpoint:\n    localhost:9999\n");
        assert!(broken.is_empty());
    }

    #[test]
    fn tags_choose_the_type() {
        let value = |text: &str| {
            let (mut entries, broken) = parse(text);
            assert!(broken.is_empty());
            entries.remove(0).node.value
        };
        assert!(value("a: !!str 123") == Value::Plain(Zeroizing::new("123".to_owned())));
        assert!(value("a: !own 123") == Value::Plain(Zeroizing::new("123".to_owned())));
        assert!(value("a: !!int 0123") == Value::Number(123));
        assert!(value("a: !!bool yes") == Value::Null);
        assert!(value("a: !!int \"5\"") == Value::Text(Zeroizing::new("5".to_owned())));
    }

    #[test]
    fn nested_aliases_end_at_a_limit() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..40 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        let (entries, broken) = parse(&text);
        assert_eq!((entries.len(), broken.len()), (40, 1));
        assert!(entries.iter().map(|entry| size(&entry.node.value)).sum::<usize>() < 3 * ALIASED_MAX);
        // An alias in what it stands for.
        let (entries, broken) = parse("a: &a {b: *a}\n");
        assert_eq!((size(&entries[0].node.value), broken.len()), (2, 0));
    }

    #[test]
    fn quoted_string_ends_at_its_quote() {
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
