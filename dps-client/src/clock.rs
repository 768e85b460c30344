//! The clocks: the wall clock that tokens and certificates are checked by (the system's or a supplied one), and tokio's,
//! which measures a registration.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dps_core::{ErrorCode, Hint, Instant, Millis, Timer, Verdict};

use crate::error::DpsError;

/// Tells the time, or that it is not known.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> Option<SystemTime> + Send + Sync>);

impl Clock {
    pub(crate) fn new(tell: impl Fn() -> Option<SystemTime> + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// The system's.
    pub(crate) fn system() -> Self {
        Self::new(|| Some(SystemTime::now()))
    }

    /// The time now; `None` before 1970 and after the year 9999, since such a clock was never set.
    pub(crate) fn now(&self) -> Option<SystemTime> {
        (self.0)().filter(|now| *now > UNIX_EPOCH && *now < end_of_time())
    }

    /// The time now, which every token needs; `clock-needed` where it is not known.
    pub(crate) fn needed_now(&self) -> Result<SystemTime, DpsError> {
        let needed = || DpsError::new(ErrorCode::ClockNeeded, Verdict::Reconfigure, Hint::SetClock.text().to_owned());
        self.now().ok_or_else(needed)
    }
}

/// The last second of the year 9999: nothing here is valid for longer, so that no sum of times overflows.
pub(crate) fn end_of_time() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(253_402_300_799)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock(..)")
    }
}

/// Counts from its own start. Stands still, or jumps, where tokio's test clock does.
#[derive(Clone, Copy, Debug)]
pub struct TokioTimer {
    start: tokio::time::Instant,
}

impl TokioTimer {
    /// A clock that shows zero.
    #[must_use]
    pub fn start() -> Self {
        Self { start: tokio::time::Instant::now() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

impl Timer for TokioTimer {
    fn now(&self) -> Instant {
        Instant::from_millis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    async fn sleep_until(&self, at: Instant) {
        match self.start.checked_add(Duration::from_millis(at.as_millis())) {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

/// The core's duration; the longest there is for one that is longer.
pub(crate) fn millis(duration: Duration) -> Millis {
    Millis::new(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
