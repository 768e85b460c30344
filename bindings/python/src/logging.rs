//! Converts events of the Rust crates to records of Python's `logging`, under the logger `dps_client`.
//!
//! Events of other libraries are left out, since some contain whole frames. Those of this project contain no keys, tokens
//! or signatures.

use std::fmt::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::gate::attached;

/// The crates whose events are recorded, and the logger of each.
const LOGGERS: [(&str, &str); 5] = [
    ("dps_client", "dps_client"),
    ("dps_http", "dps_client.http"),
    ("dps_mqtt", "dps_client.mqtt"),
    ("dps_net", "dps_client.net"),
    ("dps_emulator", "dps_client.emulator"),
];

/// The lowest level that any of the loggers accepts, so that events below it do not attach to the interpreter. Python's
/// default is WARNING.
static LEAST: AtomicU32 = AtomicU32::new(30);

/// Starts to record events.
pub(crate) fn start() {
    // Fails where this was done already, in another interpreter of this process: then it is as it should be.
    let _ = tracing::subscriber::set_global_default(Listener);
}

/// Reads the levels of the loggers, at the start of each call.
pub(crate) fn refresh(py: Python<'_>) -> PyResult<()> {
    let get_logger = py.import("logging")?.getattr("getLogger")?;
    let mut least = u32::MAX;
    for (_, logger) in LOGGERS {
        let level: u32 = get_logger.call1((logger,))?.call_method0("getEffectiveLevel")?.extract()?;
        least = least.min(level);
    }
    LEAST.store(least, Ordering::Relaxed);
    Ok(())
}

struct Listener;

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Levels change while the program runs, so `enabled` has to be asked each time.
        if logger_of(metadata).is_some() { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        level_of(metadata) >= LEAST.load(Ordering::Relaxed) && metadata.is_event() && logger_of(metadata).is_some()
    }

    fn event(&self, event: &Event<'_>) {
        let Some(logger) = logger_of(event.metadata()) else { return };
        let mut text = Text::default();
        event.record(&mut text);
        // There is nobody to tell when the interpreter is about to end.
        let _ = attached(|py| {
            if let Err(raised) = log(py, logger, event.metadata(), &text.0) {
                raised.write_unraisable(py, None);
            }
            Ok(())
        });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn logger_of(metadata: &Metadata<'_>) -> Option<&'static str> {
    let krate = metadata.target().split("::").next().unwrap_or_default();
    LOGGERS.iter().find(|(name, _)| *name == krate).map(|(_, logger)| *logger)
}

/// Returns Python's number for a level.
fn level_of(metadata: &Metadata<'_>) -> u32 {
    match *metadata.level() {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

fn log(py: Python<'_>, logger: &str, metadata: &Metadata<'_>, text: &str) -> PyResult<()> {
    let logger = py.import("logging")?.call_method1("getLogger", (logger,))?;
    let level = level_of(metadata);
    if !logger.call_method1("isEnabledFor", (level,))?.is_truthy()? {
        return Ok(());
    }
    let (file, line) = (metadata.file().unwrap_or("(rust)"), metadata.line().unwrap_or_default());
    let arguments = (logger.getattr("name")?, level, file, line, text, PyTuple::empty(py), py.None());
    let record = logger.call_method1("makeRecord", arguments)?;
    logger.call_method1("handle", (record,)).map(drop)
}

/// The message, and every field as `name=value` after it.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match (field.name(), self.0.is_empty()) {
            ("message", true) => write!(self.0, "{value:?}"),
            ("message", false) => {
                self.0.insert_str(0, &format!("{value:?} "));
                Ok(())
            }
            (name, true) => write!(self.0, "{name}={value:?}"),
            (name, false) => write!(self.0, " {name}={value:?}"),
        };
    }
}
