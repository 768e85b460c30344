//! Writes to stdout and stderr: results as text or JSON, failures, notes and logs.
//!
//! Strings from outside, such as a hub's name, cannot control the terminal: all text for people is written through
//! [`Printable`], and JSON is escaped as far as JSON itself does not require it.
//!
//! A closed pipe is not a failure; a full disk is. Nothing here panics when a stream is closed.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, Write};

use dps_core::{ErrorCode, Verdict};
use serde::Serialize;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt as _, Targets, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::failure::{Failure, Result};

/// The form of the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the output is one JSON object.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints a result: `value` as JSON, or the text that `human` writes.
    pub(crate) fn result<T: Serialize>(
        self,
        value: &T,
        human: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        if !self.json {
            return self.text(human);
        }
        let mut text = serde_json::to_string(value).map_err(|error| Failure::internal(error.to_string()))?;
        text = json_printable(text);
        text.push('\n');
        to_stdout(|out| out.write_all(text.as_bytes()))
    }

    /// Prints text for people; nothing when the output is JSON.
    pub(crate) fn text(self, human: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        if self.json { Ok(()) } else { to_stdout(human) }
    }

    /// Prints a failure: as JSON on stdout, or for people on stderr.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            let report = Report { error: ErrorReport::new(failure) };
            // There is no other place to report that this failed too.
            _ = self.result(&report, |_| Ok(()));
        } else {
            _ = write_failure(&mut stderr(), failure);
        }
    }
}

/// Prints a note on stderr; a closed stderr is ignored.
pub(crate) fn note(text: impl fmt::Display) {
    _ = writeln!(stderr(), "{text}");
}

/// Prints the lines of a multi-line message on stderr, such as one of the command-line parser.
pub(crate) fn lines(text: &str) {
    _ = write_lines(&mut stderr(), text);
}

/// Writes each line of a multi-line string of this program.
pub(crate) fn write_lines(out: &mut dyn Write, text: &str) -> io::Result<()> {
    text.lines().try_for_each(|line| writeln!(out, "{line}"))
}

/// Returns stderr for text that people read.
pub(crate) fn stderr() -> Printable<io::Stderr> {
    Printable(io::stderr())
}

/// Writes text with control characters escaped, so that a terminal does not interpret them.
///
/// A newline at the end of one `write!` or `writeln!` ends the line. Every other newline is part of a value and is
/// escaped too: write each line, even an empty one, with its own call.
pub(crate) struct Printable<W>(pub(crate) W);

impl<W: Write> Write for Printable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (text, end): (_, &[u8]) = match bytes.strip_suffix(b"\n") {
            Some(line) => (line, b"\n"),
            None => (bytes, b""),
        };
        self.0.write_all(printable(&String::from_utf8_lossy(text)).as_bytes())?;
        self.0.write_all(end)?;
        Ok(bytes.len())
    }

    /// Writes all at once: the default writes piece by piece, so that a value that ends with a newline would end the
    /// line.
    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        self.write_all(fmt::format(text).as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Returns the text with control characters as `\u{1b}`, `\n` and the like.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_terminal_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_terminal_control(character) { shown.extend(character.escape_default()) } else { shown.push(character) }
    }
    Cow::Owned(shown)
}

/// Escapes DEL, C1 and bidirectional controls, which JSON allows within strings and a terminal interprets.
fn json_printable(text: String) -> String {
    let needs_escape = |character: char| is_terminal_control(character) && character >= '\u{7f}';
    if !text.contains(needs_escape) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if needs_escape(character) {
            // All of them are in the Basic Multilingual Plane.
            _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Whether a terminal interprets the character: C0, DEL, C1, line and paragraph separators, and bidirectional controls
/// (Unicode Standard Annex 9).
fn is_terminal_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut stdout = Printable(io::BufWriter::new(io::stdout().lock()));
    match write(&mut stdout).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(ErrorCode::File, format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

#[derive(Serialize)]
struct Report<'a> {
    error: ErrorReport<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorReport<'a> {
    code: u16,
    name: &'static str,
    family: &'static str,
    http_status: Option<u16>,
    error_code: Option<u32>,
    tracking_id: Option<&'a str>,
    retry_after_ms: Option<u64>,
    verdict: &'static str,
    hints: Vec<&'static str>,
    message: &'a str,
}

impl<'a> ErrorReport<'a> {
    fn new(failure: &'a Failure) -> Self {
        Self {
            code: failure.code.number(),
            name: failure.code.name(),
            family: failure.code.family().name(),
            http_status: failure.http_status,
            error_code: failure.error_code,
            tracking_id: failure.tracking_id.as_deref(),
            retry_after_ms: retry_after_ms(failure),
            verdict: verdict_name(failure.verdict),
            hints: failure.hints.iter().map(|hint| hint.name()).collect(),
            message: &failure.message,
        }
    }
}

/// The wait that the service asked for, or else the wait of the verdict.
fn retry_after_ms(failure: &Failure) -> Option<u64> {
    let verdict = match failure.verdict {
        Verdict::After(wait) => Some(wait.get()),
        _ => None,
    };
    failure.retry_after.and_then(|wait| u64::try_from(wait.as_millis()).ok()).or(verdict)
}

fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Never => "never",
        Verdict::After(_) => "after",
        Verdict::Reconfigure => "reconfigure",
    }
}

fn write_failure(out: &mut dyn Write, failure: &Failure) -> io::Result<()> {
    writeln!(out, "error: {}", failure.message)?;
    if failure.code == ErrorCode::Cancelled {
        return Ok(());
    }
    if let Some(tracking_id) = &failure.tracking_id {
        writeln!(out, "  tracking id: {tracking_id}")?;
    }
    match failure.verdict {
        Verdict::After(wait) if wait.get() > 0 => {
            writeln!(out, "  retry after {} s", wait.secs_rounded_up())?;
        }
        Verdict::After(_) => writeln!(out, "  a retry may succeed")?,
        Verdict::Never if failure.code != ErrorCode::Internal => {
            writeln!(out, "  a retry without a change will not succeed")?;
        }
        _ => {}
    }
    for hint in &failure.hints {
        writeln!(out, "  hint: {}", hint.text())?;
    }
    Ok(())
}

/// Starts logging on stderr, at the level of `verbose` (the number of `-v`) or else of the environment variable
/// `DPS_LOG`.
///
/// Third-party crates never log above `warn`: at debug and trace they may print whole frames, tokens included.
pub(crate) fn start_logging(verbose: u8) -> Result<()> {
    let wanted = match (verbose, std::env::var("DPS_LOG")) {
        (0, Ok(text)) if !text.is_empty() => text
            .parse::<Targets>()
            .map_err(|error| Failure::option(format!("DPS_LOG is not valid: {error}; set a level such as debug")))?,
        _ => Targets::new().with_default(level(verbose)),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(stderr)
        .with_ansi(false)
        .without_time()
        .with_filter(wanted.and(filter_fn(is_own_or_capped)));
    // A second start in one process has no effect.
    _ = tracing_subscriber::registry().with(lines).try_init();
    Ok(())
}

fn level(verbose: u8) -> LevelFilter {
    match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

fn is_own_or_capped(metadata: &Metadata<'_>) -> bool {
    let crate_name = metadata.target().split("::").next().unwrap_or("");
    crate_name == "dps" || crate_name.starts_with("dps_") || *metadata.level() <= Level::WARN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_escapes_control_characters_and_keeps_lines_and_letters() {
        let mut out = Printable(Vec::new());
        for value in ["a\x1b[2J", "b\u{9b}31m", "c\r\nerror: d", "\u{202e}e", "\x7f", "\u{2066}", "g\n", "Zürich 東京"]
        {
            writeln!(out, "  hub  {value}, assigned").unwrap();
        }
        let shown = String::from_utf8(out.0).unwrap();
        assert!(!shown.contains(|character| character != '\n' && is_terminal_control(character)), "{shown:?}");
        assert_eq!(shown.lines().count(), 8);
        assert!(shown.contains(r"c\r\nerror: d") && shown.contains(r"a\u{1b}[2J") && shown.contains("Zürich 東京"));
    }

    #[test]
    fn json_escapes_terminal_controls_and_reads_back_the_same() {
        let value = "a\x1b\u{9b}\x7f\u{202e}\nZürich";
        let text = json_printable(serde_json::to_string(value).unwrap());
        assert!(!text.contains(is_terminal_control), "{text:?}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), value);
    }
}
