//! Passes the log of a call to the caller's function. Only records of this project are passed: other crates may log frames
//! that contain secrets.

use core::ffi::{c_char, c_void};
use std::ffi::CString;
use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::hosted::assignment::c_text;

/// The level of a log record.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dps_log_level {
    /// Errors.
    DPS_LOG_ERROR = 1,
    /// Possible problems.
    DPS_LOG_WARN = 2,
    /// Start and end of a call.
    DPS_LOG_INFO = 3,
    /// Each step.
    DPS_LOG_DEBUG = 4,
    /// Everything.
    DPS_LOG_TRACE = 5,
}

/// Receives the log records of a call, on the thread that made the call, before the call returns. `level` is a
/// `dps_log_level`, `target` the part of the library that logs; both strings end with a NUL and live until the function
/// returns. It must return, and must not call `longjmp`. The records contain no secrets.
pub type dps_log_function =
    Option<unsafe extern "C" fn(context: *mut c_void, level: u32, target: *const c_char, message: *const c_char)>;

/// Passes the log records of a thread to a C function.
pub(crate) struct Log {
    pub(crate) function: unsafe extern "C" fn(*mut c_void, u32, *const c_char, *const c_char),
    pub(crate) context: *mut c_void,
    pub(crate) level: u32,
    pub(crate) spans: AtomicU64,
}

// SAFETY: it is the subscriber of the calling thread alone, for the time of the call, and nothing else is given it.
unsafe impl Send for Log {}
// SAFETY: as above.
unsafe impl Sync for Log {}

fn number(level: &Level) -> u32 {
    let level = match *level {
        Level::ERROR => dps_log_level::DPS_LOG_ERROR,
        Level::WARN => dps_log_level::DPS_LOG_WARN,
        Level::INFO => dps_log_level::DPS_LOG_INFO,
        Level::DEBUG => dps_log_level::DPS_LOG_DEBUG,
        Level::TRACE => dps_log_level::DPS_LOG_TRACE,
    };
    level as u32
}

impl Subscriber for Log {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // Asked each time: other calls, on other threads, want other levels.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("dps_") && number(metadata.level()) <= self.level
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed).max(1))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let (target, message) = (c_text(Some(event.metadata().target())), CString::from(line));
        // SAFETY: the function and its context are the caller's, for the time of the call.
        unsafe { (self.function)(self.context, number(event.metadata().level()), target.as_ptr(), message.as_ptr()) }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message, followed by the fields as `name=value`.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

impl From<Line> for CString {
    fn from(line: Line) -> Self {
        c_text(Some(&(line.message + &line.fields)))
    }
}
