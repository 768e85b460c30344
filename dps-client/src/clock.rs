//! The wall clock that tokens are made by: the system's, or one of the application's own.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

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

    /// The time now; none before 1970, which is a clock that nobody has set.
    pub(crate) fn now(&self) -> Option<SystemTime> {
        (self.0)().filter(|now| *now > UNIX_EPOCH)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock(..)")
    }
}
