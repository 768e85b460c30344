//! The wall clock that tokens are made by: the system's, or one of the application's own.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
