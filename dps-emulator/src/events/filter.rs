//! Which events are wanted, in code and as the query of a control call.

use super::{Event, EventKind};
use crate::encoding::percent_decode;
use crate::ids;
use crate::wire::Problem;

/// How many events one reply has at most.
const LIMIT_MAX: usize = 1000;
/// The names of what happened.
const KINDS: [&str; 6] = ["connection", "disconnection", "exchange", "refusal", "hub-sign-in", "fault"];

/// Which events are wanted: those that match every condition that is set.
///
/// ```
/// use dps_emulator::EventFilter;
///
/// let refused = EventFilter::new().registration_id("dev-01").kind("refusal").reason("expired");
/// # let _ = refused;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    after: u64,
    registration_id: Option<String>,
    kind: Option<String>,
    call: Option<String>,
    status: Option<u16>,
    reason: Option<String>,
}

impl EventFilter {
    /// The names of the kinds of events.
    pub fn kinds() -> impl Iterator<Item = &'static str> {
        KINDS.into_iter()
    }

    /// All events.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only events after the one of this number.
    #[must_use]
    pub fn after(mut self, seq: u64) -> Self {
        self.after = seq;
        self
    }

    /// Only events of this registration id, in any letter case.
    #[must_use]
    pub fn registration_id(mut self, registration_id: impl Into<String>) -> Self {
        self.registration_id = Some(registration_id.into());
        self
    }

    /// Only events of this kind: `connection`, `disconnection`, `exchange`, `refusal`, `hub-sign-in` or `fault`.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Only exchanges and refusals of this call, such as `register`.
    #[must_use]
    pub fn call(mut self, call: impl Into<String>) -> Self {
        self.call = Some(call.into());
        self
    }

    /// Only exchanges and refusals with this status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Only events with this reason, by [`RefusalReason::name`](crate::RefusalReason::name).
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// The filter for all events of the same registration id.
    #[cfg(feature = "server")]
    pub(crate) fn of_same_device(&self) -> Self {
        Self { registration_id: self.registration_id.clone(), ..Self::default() }
    }

    /// After which number events are wanted.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.after
    }

    /// Whether an event is wanted.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let (call, status) = match &event.kind {
            EventKind::Exchange(exchange) => (Some(exchange.call.as_str()), exchange.status),
            EventKind::HubSignIn(sign_in) => (Some("hub-connect"), Some(sign_in.status)),
            _ => (None, None),
        };
        let same = |wanted: &Option<String>, found: Option<&str>| match wanted {
            Some(wanted) => found.is_some_and(|found| found.eq_ignore_ascii_case(wanted)),
            None => true,
        };
        event.seq > self.after
            && same(&self.registration_id, event.registration_id.as_deref())
            && same(&self.kind, Some(event.name()))
            && same(&self.reason, event.reason().map(crate::RefusalReason::name))
            && same(&self.call, call)
            && (self.status.is_none() || self.status == status)
    }
}

/// The query of `GET /emulator/events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventQuery {
    pub(crate) filter: EventFilter,
    /// How many events are wanted at most.
    pub(crate) limit: usize,
    /// Whether later events are wanted too, as they happen.
    pub(crate) follow: bool,
}

impl EventQuery {
    /// Parses a query. An unknown parameter or an invalid value is an error.
    pub(crate) fn parse(query: &str) -> Result<Self, Problem> {
        let mut parsed = Self { filter: EventFilter::new(), limit: LIMIT_MAX, follow: false };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode(value).unwrap_or_default();
            let invalid = |must: &str| Problem::bad_request(format!("'{name}' in the query must be {must}."));
            let number = || value.parse::<u64>().map_err(|_| invalid("a whole number"));
            let filter = &mut parsed.filter;
            match name {
                "registrationId" => {
                    ids::check(&value).map_err(|error| invalid(&format!("a registration id: {error}")))?;
                    filter.registration_id = Some(value);
                }
                "kind" if KINDS.contains(&value.as_str()) => filter.kind = Some(value),
                "kind" => return Err(invalid(&format!("one of {}", KINDS.join(", ")))),
                "reason" if crate::RefusalReason::ALL.iter().any(|reason| reason.name() == value) => {
                    filter.reason = Some(value);
                }
                "reason" => return Err(invalid("a documented reason (docs/events.md)")),
                "call" => filter.call = Some(value),
                "status" => filter.status = Some(value.parse().map_err(|_| invalid("a status"))?),
                "after" => filter.after = number()?,
                "limit" => {
                    let limit = number()?.try_into().unwrap_or(usize::MAX);
                    parsed.limit =
                        Some(limit).filter(|n| (1..=LIMIT_MAX).contains(n)).ok_or_else(|| invalid("1 to 1000"))?;
                }
                "follow" => parsed.follow = value.parse().map_err(|_| invalid("true or false"))?,
                "api-version" => {}
                _ => {
                    let known = "registrationId, kind, reason, call, status, after, limit and follow";
                    return Err(Problem::bad_request(format!("The query can have {known} only.")));
                }
            }
        }
        Ok(parsed)
    }
}
