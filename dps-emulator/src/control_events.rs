//! `GET /emulator/events`: the events as a list. Listeners also follow them.

use serde::Serialize;

use crate::admin::AdminReply;
use crate::events::{Event, EventQuery};
use crate::service::Service;
use crate::wire::Problem;

/// The media type of a reply that goes on as long as events happen.
pub(crate) const FOLLOWED: &str = "text/event-stream";

/// A page of events.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventList<'a> {
    events: Vec<&'a Event>,
    /// After which event the next page begins.
    last_seq: u64,
    /// How many of the wanted events were dropped before they were read, whether or not they matched.
    dropped: u64,
}

impl Service {
    /// With `follow` the reply is only a head, which a listener follows by the events.
    pub(crate) fn list_events(&self, query: &str) -> Result<AdminReply, Problem> {
        let EventQuery { filter, limit, follow } = EventQuery::parse(query)?;
        if follow {
            let headers = vec![("Content-Type", FOLLOWED.into()), ("Cache-Control", "no-store".into())];
            return Ok(AdminReply { status: 200, headers, body: Vec::new() });
        }
        let after = self.events.after(filter.first());
        let events: Vec<&Event> = after.map(AsRef::as_ref).filter(|event| filter.matches(event)).take(limit).collect();
        // A full page ends with its last event; any other has all that there is.
        let last = events.last().filter(|_| events.len() == limit);
        let last_seq = last.map_or(self.events.last_seq(), |event| event.seq);
        Ok(AdminReply::ok(&EventList { events, last_seq, dropped: self.events.dropped_after(filter.first()) }))
    }
}
