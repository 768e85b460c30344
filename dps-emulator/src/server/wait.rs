//! Events of a running emulator, for tests: those that were recorded, and waiting for one.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::Emulator;
use super::shared::Shared;
use crate::events::{Event, EventFilter};

/// How many events an error shows.
const SHOWN_MAX: usize = 8;

/// No event matched in time. Its text has the latest events of the same registration id.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub struct NoEvent {
    /// How long was waited.
    pub waited: Duration,
    /// The latest events that match the filter's registration id, oldest first.
    pub latest: Vec<Arc<Event>>,
}

impl fmt::Display for NoEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no event matched within {:?}; ", self.waited)?;
        if self.latest.is_empty() {
            return f.write_str("nothing arrived");
        }
        f.write_str("the latest events are:")?;
        self.latest.iter().try_for_each(|event| write!(f, "\n  {event}"))
    }
}

impl Emulator {
    /// The kept events that match, oldest first.
    #[must_use]
    pub fn events(&self, filter: &EventFilter) -> Vec<Arc<Event>> {
        matching(self.shared(), filter)
    }

    /// The number of the latest event; 0 before the first. Events after it are those of what a test does next.
    #[must_use]
    pub fn last_event(&self) -> u64 {
        self.shared().service().events.last_seq()
    }

    /// Waits until an event matches, at most for `limit`, and returns the first one, which may have been recorded before the
    /// call. The future does not borrow the emulator; after a shutdown nothing is recorded any more, so that it ends at the
    /// limit.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use dps_emulator::{Emulator, EventFilter};
    ///
    /// # async fn check(emulator: &Emulator) -> Result<(), dps_emulator::NoEvent> {
    /// let refused = EventFilter::new().registration_id("dev-01").kind("refusal");
    /// let event = emulator.wait_for(&refused, Duration::from_secs(10)).await?;
    /// assert_eq!(event.reason().map(|reason| reason.name()), Some("group-key-used"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`NoEvent`] when none matched in time.
    pub fn wait_for(
        &self,
        filter: &EventFilter,
        limit: Duration,
    ) -> impl Future<Output = Result<Arc<Event>, NoEvent>> + Send + use<> {
        let (shared, filter) = (self.share(), filter.clone());
        async move {
            let waited = tokio::time::timeout(limit, first_match(&shared, &filter)).await;
            waited.map_err(|_| {
                let mut latest = matching(&shared, &filter.of_same_device());
                NoEvent { waited: limit, latest: latest.split_off(latest.len().saturating_sub(SHOWN_MAX)) }
            })
        }
    }
}

fn matching(shared: &Shared, filter: &EventFilter) -> Vec<Arc<Event>> {
    let service = shared.service();
    service.events.after(filter.first()).filter(|event| filter.matches(event)).cloned().collect()
}

async fn first_match(shared: &Shared, filter: &EventFilter) -> Arc<Event> {
    let mut recorded = shared.recorded.subscribe();
    let mut seen = filter.first();
    loop {
        let events: Vec<Arc<Event>> = shared.service().events.after(seen).cloned().collect();
        seen = events.last().map_or(seen, |event| event.seq);
        if let Some(event) = events.into_iter().find(|event| filter.matches(event)) {
            return event;
        }
        // The sender lives as long as `shared`.
        let _ = recorded.wait_for(|last| *last > seen).await;
    }
}
