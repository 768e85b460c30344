//! The events of an emulator: all that it keeps, and those that follow, as server-sent events.

use std::time::Duration;

use dps_core::LinkError;
use reqwest::{Method, Response, Url};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::client::{AdminClient, Body, invalid_reply, link_failure};
use super::emulator::explain_not_found;
use super::refusal;
use crate::failure::Result;

const EVENTS: &[&str] = &["emulator", "events"];
/// The longest line of a followed reply, in bytes.
const LINE_MAX: usize = 4 * 1024 * 1024;
/// How long a followed reply can be silent: the emulator sends a comment every 15 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Which events are wanted.
#[derive(Clone, Copy)]
pub(crate) struct EventsWanted<'a> {
    pub(crate) registration_id: Option<&'a str>,
    pub(crate) kind: Option<&'a str>,
}

/// What a followed reply contains.
pub(crate) enum FollowedEvent {
    Event(Value),
    /// So many events were dropped before they could be sent.
    Dropped(u64),
}

/// Events as they happen.
pub(crate) struct Followed {
    response: Response,
    /// What was received after the last complete line.
    received: Vec<u8>,
    /// The name of the event whose data follows.
    name: String,
}

impl AdminClient {
    /// Returns all events that the emulator keeps: `events`, and how many were `dropped`.
    pub(crate) async fn events(&self, wanted: EventsWanted<'_>) -> Result<Value> {
        let (mut events, mut dropped, mut after) = (Vec::new(), 0, 0);
        loop {
            let url = self.events_url(wanted, after, false)?;
            let (mut page, _) =
                self.exchange(Method::GET, url, Body::Nothing, None).await.map_err(explain_not_found)?;
            let more = page["events"].as_array_mut().map(std::mem::take).unwrap_or_default();
            dropped += page["dropped"].as_u64().unwrap_or_default();
            let last = page["lastSeq"].as_u64().ok_or_else(invalid_reply)?;
            let is_last = more.last().is_none_or(|event| event["seq"].as_u64() != Some(last)) || last <= after;
            events.extend(more);
            after = last;
            if is_last {
                return Ok(json!({ "events": events, "lastSeq": after, "dropped": dropped }));
            }
        }
    }

    /// Returns the events that the emulator keeps, and then those that follow.
    pub(crate) async fn follow_events(&self, wanted: EventsWanted<'_>) -> Result<Followed> {
        let url = self.events_url(wanted, 0, true)?;
        let response = self.open(url).await.map_err(explain_not_found)?;
        Ok(Followed { response, received: Vec::new(), name: String::new() })
    }

    fn events_url(&self, wanted: EventsWanted<'_>, after: u64, follow: bool) -> Result<Url> {
        let mut url = self.url(EVENTS)?;
        let mut query = url.query_pairs_mut();
        let members = [("registrationId", wanted.registration_id), ("kind", wanted.kind)];
        for (name, value) in members.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            query.append_pair(name, value);
        }
        query.append_pair("after", &after.to_string());
        query.append_pair("follow", &follow.to_string());
        drop(query);
        Ok(url)
    }
}

impl Followed {
    /// Waits for the next event.
    pub(crate) async fn next(&mut self) -> Result<FollowedEvent> {
        loop {
            while let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                if let Some(event) = self.read_line(String::from_utf8_lossy(&line).trim_end())? {
                    return Ok(event);
                }
            }
            if self.received.len() > LINE_MAX {
                return Err(refusal::from_link_error(LinkError::InvalidReply, "the reply is too long"));
            }
            let silent = |_| refusal::from_link_error(LinkError::Timeout, "");
            let piece = timeout(SILENCE_MAX, self.response.chunk()).await.map_err(silent)?.map_err(link_failure)?;
            let ended = || refusal::from_link_error(LinkError::Cut, "the emulator has stopped");
            self.received.extend_from_slice(&piece.ok_or_else(ended)?);
        }
    }

    fn read_line(&mut self, line: &str) -> Result<Option<FollowedEvent>> {
        if let Some(name) = line.strip_prefix("event:") {
            self.name = name.trim().to_owned();
        }
        let Some(data) = line.strip_prefix("data:") else { return Ok(None) };
        let data: Value = serde_json::from_str(data).map_err(|_| invalid_reply())?;
        Ok(Some(match std::mem::take(&mut self.name).as_str() {
            "dropped" => FollowedEvent::Dropped(data["dropped"].as_u64().unwrap_or_default()),
            _ => FollowedEvent::Event(data),
        }))
    }
}
