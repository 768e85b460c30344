//! Common mistakes in TOML: a string without quotes, a colon after a key, single backslashes in double quotes.
//!
//! Each is reported once, at its offset, and repaired in memory, so that everything else can be read. A parser that
//! recovers by itself reports several errors for one such mistake, and reads another value.

use std::iter::Peekable;
use std::ops::Range;

use toml::de::DeValue;
use toml_parser::Source;
use toml_parser::lexer::{Lexer, Token, TokenKind};
use zeroize::Zeroizing;

use crate::problem::Problem;
use crate::toml_syntax::{Escape, escapes};
use crate::tree::Broken;

const COLON: &str = "there is a colon after the key: TOML requires `=`";
pub(crate) const BACKSLASH: &str =
    "this backslash does not start a valid escape: use single quotes, or double each backslash";
const CAPITAL: &str = "TOML has `true` and `false` in lower case only";

/// Whether a problem is one that is repaired, so that the value is read as it was meant.
pub(crate) fn is_repaired(problem: &Problem) -> bool {
    match problem {
        Problem::Unquoted => true,
        Problem::Syntax(what) => [COLON, BACKSLASH, CAPITAL].contains(what),
        _ => false,
    }
}

/// A text without those mistakes, and where they were.
pub(crate) struct Repaired {
    pub(crate) text: Zeroizing<String>,
    pub(crate) broken: Vec<Broken>,
    /// The offsets in the repaired text at which a byte was added.
    added: Vec<usize>,
}

impl Repaired {
    /// The offset in the original text.
    pub(crate) fn original(&self, at: usize) -> usize {
        at - self.added.partition_point(|added| *added < at)
    }
}

/// Repairs a text, statement by statement.
pub(crate) fn repair(text: &str) -> Repaired {
    let mut scan = Scan { text, edits: Vec::new(), broken: Vec::new() };
    let mut at = 0;
    while at < text.len() {
        at = scan.statement(at);
    }
    scan.finish()
}

/// Replaces bytes by others of the same length, or by one more byte.
struct Edit {
    at: Range<usize>,
    by: &'static str,
}

struct Scan<'t> {
    text: &'t str,
    edits: Vec<Edit>,
    broken: Vec<Broken>,
}

/// The tokens of a statement, with offsets in the whole text.
struct Tokens<'t> {
    lexer: Peekable<Lexer<'t>>,
    from: usize,
}

impl Tokens<'_> {
    fn peek(&mut self) -> Option<(TokenKind, Range<usize>)> {
        let from = self.from;
        self.lexer.peek().map(|token| placed(token, from))
    }

    fn next(&mut self) -> Option<(TokenKind, Range<usize>)> {
        let from = self.from;
        self.lexer.next().map(|token| placed(&token, from))
    }
}

fn placed(token: &Token, from: usize) -> (TokenKind, Range<usize>) {
    (token.kind(), from + token.span().start()..from + token.span().end())
}

impl Scan<'_> {
    /// Scans a key with its value, a header, or an empty line. Returns the offset of the next one.
    fn statement(&mut self, start: usize) -> usize {
        let colon = colon(&self.text[start..]).map(|colon| start + colon);
        if let Some(colon) = colon {
            self.broken.push((colon, Problem::Syntax(COLON)));
            self.edits.push(Edit { at: colon..colon + 1, by: "=" });
        }
        let from = colon.map_or(start, |colon| colon + 1);
        let mut tokens = Tokens { lexer: Source::new(&self.text[from..]).lex().peekable(), from };
        // The open brackets, and whether a value is expected next.
        let mut open: Vec<TokenKind> = Vec::new();
        let mut expected = colon.is_some();
        while let Some((kind, span)) = tokens.next() {
            match kind {
                TokenKind::Eof => return self.text.len(),
                TokenKind::Newline if open.is_empty() => return span.end,
                TokenKind::Newline | TokenKind::Whitespace | TokenKind::Comment => {}
                TokenKind::Equals => expected = true,
                TokenKind::Comma => expected = open.last() == Some(&TokenKind::LeftSquareBracket),
                TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket if expected => {
                    open.push(kind);
                    expected = kind == TokenKind::LeftSquareBracket;
                }
                TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                    open.pop();
                    expected = false;
                }
                TokenKind::Atom | TokenKind::Dot if expected => {
                    self.word(&mut tokens, span, open.last().copied());
                    expected = false;
                }
                TokenKind::BasicString | TokenKind::MlBasicString => {
                    if expected {
                        self.string(span);
                    }
                    expected = false;
                }
                _ => expected = false,
            }
        }
        self.text.len()
    }

    /// A value without quotes: up to the end of the line, or of the list or table that contains it.
    fn word(&mut self, tokens: &mut Tokens<'_>, first: Range<usize>, inside: Option<TokenKind>) {
        let mut span = first;
        while let Some((kind, next)) = tokens.peek() {
            let ends = match kind {
                TokenKind::Newline | TokenKind::Eof | TokenKind::Comment => true,
                TokenKind::MlBasicString | TokenKind::MlLiteralString => return,
                TokenKind::Comma => inside.is_some(),
                TokenKind::RightCurlyBracket => inside == Some(TokenKind::LeftCurlyBracket),
                TokenKind::RightSquareBracket => inside == Some(TokenKind::LeftSquareBracket),
                _ => false,
            };
            if ends {
                break;
            }
            span.end = next.end;
            tokens.next();
        }
        let word = self.text[span.clone()].trim_end();
        span.end = span.start + word.len();
        if let Some(boolean) = ["true", "false"].into_iter().find(|boolean| word.eq_ignore_ascii_case(boolean)) {
            if word != boolean {
                self.broken.push((span.start, Problem::Syntax(CAPITAL)));
                self.edits.push(Edit { at: span, by: boolean });
            }
            return;
        }
        let quote = ["'", "\""].into_iter().find(|quote| !word.contains(quote));
        let quote = quote.filter(|quote| *quote == "'" || !word.contains('\\'));
        if let Some(quote) = quote.filter(|_| !is_value(word)) {
            self.broken.push((span.start, Problem::Unquoted));
            self.edits.push(Edit { at: span.start..span.start, by: quote });
            self.edits.push(Edit { at: span.end..span.end, by: quote });
        }
    }

    /// A string in double quotes. With an invalid escape it is read as one in single quotes.
    fn string(&mut self, span: Range<usize>) {
        let written = &self.text[span.clone()];
        let (quotes, single) = if written.starts_with("\"\"\"") { ("\"\"\"", "'''") } else { ("\"", "'") };
        let inner = written.strip_prefix(quotes).and_then(|rest| rest.strip_suffix(quotes));
        let Some(inner) = inner.filter(|inner| !inner.contains('\'')) else { return };
        if is_another_path(inner) {
            self.broken.push((span.start, Problem::EscapeInPath));
        }
        let Some((bad, _)) = escapes(inner).find(|(_, escape)| *escape == Escape::None) else { return };
        self.broken.push((span.start + quotes.len() + bad, Problem::Syntax(BACKSLASH)));
        self.edits.push(Edit { at: span.start..span.start + quotes.len(), by: single });
        self.edits.push(Edit { at: span.end - quotes.len()..span.end, by: single });
    }

    fn finish(self) -> Repaired {
        // Allocated at once: a string that grew would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(self.text.len() + self.edits.len()));
        let mut added = Vec::new();
        let mut done = 0;
        for Edit { at, by } in self.edits {
            text.push_str(&self.text[done..at.start]);
            if at.is_empty() {
                added.push(text.len());
            }
            text.push_str(by);
            done = at.end;
        }
        text.push_str(&self.text[done..]);
        Repaired { text, broken: self.broken, added }
    }
}

/// Whether a Windows path reads as another one, as `"C:\temp"` does: a valid escape that was meant as a directory.
fn is_another_path(inner: &str) -> bool {
    let mut escapes = escapes(inner);
    let is_of_windows = inner.starts_with(|drive: char| drive.is_ascii_alphabetic()) && inner[1..].starts_with(":\\");
    let is_control = |at: usize| inner[at + 1..].starts_with(['b', 't', 'n', 'f', 'r']);
    is_of_windows && escapes.clone().all(|(_, escape)| escape != Escape::None) && escapes.any(|(at, _)| is_control(at))
}

/// Whether a value without quotes is valid TOML: a number, a boolean or a date.
fn is_value(word: &str) -> bool {
    match DeValue::parse(word).as_ref().map(|value| value.get_ref()) {
        Ok(DeValue::Float(float)) => float.as_str().parse::<f64>().is_ok(),
        Ok(DeValue::Integer(integer)) => i64::from_str_radix(integer.as_str(), integer.radix()).is_ok(),
        Ok(_) => true,
        Err(_) => false,
    }
}

/// The offset of a colon after the key at the start of a line, if a value follows it.
fn colon(line: &str) -> Option<usize> {
    let line = &line[..line.find('\n').unwrap_or(line.len())];
    let in_key = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let key = line.trim_start_matches(['\u{feff}', ' ', '\t']);
    let after = key.trim_start_matches(in_key);
    let value = after.trim_start_matches([' ', '\t']).strip_prefix(':')?;
    let is_there = !value.trim().is_empty() && !value.trim_start().starts_with('#');
    (is_there && after.len() < key.len()).then(|| line.len() - value.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(text: &str) -> (String, Vec<usize>) {
        let repaired = repair(text);
        assert!(repaired.broken.iter().all(|(_, problem)| is_repaired(problem)));
        (repaired.text.to_string(), repaired.broken.iter().map(|(at, _)| *at).collect())
    }

    #[test]
    fn values_without_quotes_are_quoted() {
        for word in [
            "0ne00A1B2C3",
            "00123",
            "tpm",
            "t",
            "dps",
            "f",
            "fleet-7",
            "i",
            "inf-2",
            "none",
            "nan2",
            "0x",
            "0x1G",
            "0b12",
            "1.2.3.4",
            "10.0.0.1",
            "00:11:22:33:44:55",
            "2024-01-01-x",
            "2024-13-01",
            "70s",
            "12e3x",
            "-a",
            "+a",
            "_",
            ".a",
            "https://a.test/b",
            "/etc/x.pem",
            r"C:\certs\gw.pem",
            "my gateway",
            "HostName=a;DeviceId=b;SharedAccessKey=c=",
            "it's",
            "<SCOPE>",
        ] {
            let quote = if word.contains('\'') { '"' } else { '\'' };
            for (before, after) in
                [("a = ", "\n"), ("[t]\nb = 1\na=", "   # c\n"), ("a = ", ""), ("a = 1\r\nb = ", "\r\nc = 2\r\n")]
            {
                let text = format!("{before}{word}{after}");
                let repaired = repaired(&text);
                assert_eq!(repaired, (format!("{before}{quote}{word}{quote}{after}"), vec![before.len()]), "{text}");
            }
        }
        let (text, at) = repaired("k = { value = Jsm0/+= , uri = file:///a }\nl = [a, 'b', c]\n");
        assert_eq!(
            (text.as_str(), at.len()),
            ("k = { value = 'Jsm0/+=' , uri = 'file:///a' }\nl = ['a', 'b', 'c']\n", 4)
        );
    }

    #[test]
    fn valid_values_are_not_changed() {
        for text in [
            "a = 1\nb = 0x5A\nc = 1_000\nd = -1.5e3\ne = inf\nf = nan\ng = true\nh = 1979-05-27 07:32:00\ni = 07:32\n",
            "a = 'x'\nb = \"\\u00E9\\n\\x41\"\nc = '''\nd: e = f\n'''\n# g: h = i\n",
            "[a.b]\n[[c]]\nd.e = [ [1, 2], # x\n 3,\n]\nf = { g = 1, h = { i = 2 } }\n",
            "a = \"open\nb = \"\"\"\\\n  x\"\"\"\nc = \"C:\\\\x\"\n\"d:\" = 1\n",
        ] {
            assert_eq!(repaired(text), (text.to_owned(), vec![]));
        }
    }

    #[test]
    fn colons_capitals_and_backslashes_are_repaired() {
        assert_eq!(repaired("\u{feff}a: \"x\"\n"), ("\u{feff}a= \"x\"\n".to_owned(), vec![4]));
        assert_eq!(repaired(" a :dps\n"), (" a ='dps'\n".to_owned(), vec![3, 4]));
        assert_eq!(repaired("a:\nb: # x\n"), ("a:\nb: # x\n".to_owned(), vec![]));
        assert_eq!(repaired("a = True\n"), ("a = true\n".to_owned(), vec![4]));
        assert_eq!(repaired(r#"a = "C:\certs\gw""#), (r"a = 'C:\certs\gw'".to_owned(), vec![7]));
        assert_eq!(repaired(r#"a = """\d""" # x"#), (r"a = '''\d''' # x".to_owned(), vec![7]));
    }

    #[test]
    fn original_maps_offsets_back() {
        let text = "a = b\nc = d\n";
        let repaired = repair(text);
        for part in ["a", "c", "d", "\nc"] {
            let at = repaired.text.find(part).unwrap();
            assert_eq!(repaired.original(at), text.find(part).unwrap(), "{part}");
        }
        // The added quotes belong to the value.
        assert_eq!((repaired.original(4), repaired.original(7)), (4, 5));
    }
}
