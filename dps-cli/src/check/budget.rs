//! How long the whole may take, and each step of it.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, timeout};

/// No step takes longer, so that one that hangs leaves time for others.
const STEP: Duration = Duration::from_secs(10);

/// The time that is left.
pub(super) struct Budget {
    end: Instant,
}

/// There was no answer within this time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Late(Duration);

impl Budget {
    pub(super) fn new(whole: Duration) -> Self {
        Self { end: Instant::now() + whole }
    }

    /// How long the next step may take; nothing when the time is up.
    pub(super) fn step(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now()).min(STEP)
    }

    /// Ends a step when its time is up.
    pub(super) async fn bounded<T>(&self, step: impl Future<Output = T>) -> Result<T, Late> {
        let limit = self.step();
        timeout(limit, step).await.map_err(|_| Late(limit))
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            0 => f.write_str("the time of --timeout was up"),
            ms if ms % 1000 == 0 => write!(f, "no answer within {} s", ms / 1000),
            ms => write!(f, "no answer within {ms} ms"),
        }
    }
}
