//! The machine's clocks as the service sees them; the wall clock can be set apart.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime};

use crate::now::Now;

pub(super) struct Clock {
    started: Instant,
    offset_ms: AtomicI64,
}

/// The machine's wall clock, in milliseconds since 1970.
pub(super) fn machine_unix_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl Clock {
    pub(super) fn new(offset_ms: i64) -> Self {
        Self { started: Instant::now(), offset_ms: AtomicI64::new(offset_ms) }
    }

    pub(super) fn set_offset_ms(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Now {
        Now {
            monotonic_ms: self.started.elapsed().as_millis() as u64,
            unix_ms: machine_unix_ms().saturating_add_signed(self.offset_ms.load(Ordering::Relaxed)),
        }
    }
}
