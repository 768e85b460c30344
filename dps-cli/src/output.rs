//! What goes to stdout and stderr, and in which form.
//!
//! A reader that went away (a closed pipe) is no failure; a full disk is. Nothing here panics when a stream is gone.

use std::io::{self, Write};

use dps_core::{ErrorCode, Verdict};
use serde::Serialize;

use crate::failure::{Failure, Result};

/// The form of what is printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether one JSON object is wanted.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints a result: `value` as JSON, or what `human` writes.
    pub(crate) fn result<T: Serialize>(
        self,
        value: &T,
        human: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        if !self.json {
            return self.text(human);
        }
        let mut text = serde_json::to_string(value).map_err(|error| Failure::internal(error.to_string()))?;
        text.push('\n');
        to_stdout(|out| out.write_all(text.as_bytes()))
    }

    /// Prints text for people; nothing when JSON is wanted.
    pub(crate) fn text(self, human: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        if self.json { Ok(()) } else { to_stdout(human) }
    }

    /// Prints a failure: as JSON on stdout, or for people on stderr.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            let report = Report { error: ErrorReport::of(failure) };
            // There is no other place to say that this failed too.
            _ = self.result(&report, |_| Ok(()));
        } else {
            _ = write_failure(&mut io::stderr().lock(), failure);
        }
    }
}

/// Prints a note on stderr; a stderr that is gone does not matter.
pub(crate) fn note(text: impl std::fmt::Display) {
    _ = writeln!(io::stderr().lock(), "{text}");
}

fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
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
    fn of(failure: &'a Failure) -> Self {
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

/// What the service asked for, or else what the verdict says.
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
            writeln!(out, "  it may work again in {} s", wait.secs_rounded_up())?;
        }
        Verdict::After(_) => writeln!(out, "  it may work when tried again")?,
        Verdict::Never if failure.code != ErrorCode::Internal => {
            writeln!(out, "  it will not work when tried again unchanged")?;
        }
        _ => {}
    }
    for hint in &failure.hints {
        writeln!(out, "  hint: {}", hint.text())?;
    }
    Ok(())
}
