//! What the service has counted: calls per registration, and the latest refused credentials.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::events::RefusalReason;
use crate::fault::At;
use crate::ids::{self, FoldedId};
use crate::time::{Now, iso_8601};

/// How many refusals are remembered.
const REFUSALS_MAX: usize = 100;
/// How many registration ids have counters of their own; anybody can send any number of ids.
const COUNTED_APART_MAX: usize = 100_000;

/// Requests since the service was created, or since the last [`reset`](crate::service::Service::reset_counters).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Counters {
    /// Register calls that arrived, whatever their outcome.
    pub registers: u64,
    /// Polls that arrived.
    pub polls: u64,
    /// Lookups that arrived.
    pub lookups: u64,
    /// MQTT connections that sent CONNECT.
    pub connects: u64,
    /// SUBSCRIBEs that arrived.
    pub subscribes: u64,
    /// Admin calls that arrived.
    pub admin: u64,
    /// Requests refused with 4xx, including those below.
    pub rejected: u64,
    /// Requests refused with 401.
    pub unauthorized: u64,
    /// Requests refused with 429, by rate or by a planned fault.
    pub throttled: u64,
    /// Register calls refused with 409.
    pub conflicts: u64,
    /// Requests answered with 5xx.
    pub server_errors: u64,
    /// Faults that were met.
    pub faults: u64,
}

impl Counters {
    fn arrived(&mut self, at: At) {
        match at {
            At::Register => self.registers += 1,
            At::Poll => self.polls += 1,
            At::Lookup => self.lookups += 1,
            At::Connect => self.connects += 1,
            At::Subscribe => self.subscribes += 1,
            At::Handshake | At::Renew | At::Issue | At::Any => {}
        }
    }

    fn refused(&mut self, status: u16) {
        match status {
            500.. => self.server_errors += 1,
            401 => self.unauthorized += 1,
            409 => self.conflicts += 1,
            429 => self.throttled += 1,
            _ => {}
        }
        self.rejected += u64::from((400..500).contains(&status));
    }
}

/// The counters of the service and of each registration id that called.
#[derive(Default)]
pub(crate) struct Tally {
    overall: Counters,
    apart: BTreeMap<FoldedId, Counters>,
}

impl Tally {
    pub(crate) fn overall(&self) -> Counters {
        self.overall
    }

    pub(crate) fn registration(&self, registration: &FoldedId) -> Counters {
        self.apart.get(registration).copied().unwrap_or_default()
    }

    pub(crate) fn arrived(&mut self, at: At, registration: &FoldedId) {
        self.count(Some(registration), |counters| counters.arrived(at));
    }

    pub(crate) fn admin_call(&mut self) {
        self.overall.admin += 1;
    }

    pub(crate) fn met_fault(&mut self, registration: &FoldedId) {
        self.count(Some(registration), |counters| counters.faults += 1);
    }

    /// Counts a request refused with this status, also for its registration where that is known.
    pub(crate) fn refused(&mut self, status: u16, registration: Option<&FoldedId>) {
        self.count(registration, |counters| counters.refused(status));
    }

    fn count(&mut self, registration: Option<&FoldedId>, count: impl Fn(&mut Counters)) {
        count(&mut self.overall);
        let Some(registration) = registration.filter(|id| ids::check(id.as_str()).is_ok()) else { return };
        if let Some(apart) = self.apart.get_mut(registration) {
            count(apart);
        } else if self.apart.len() < COUNTED_APART_MAX {
            count(self.apart.entry(registration.clone()).or_default());
        }
    }
}

/// One refused credential. Contains nothing of the credential itself.
///
/// As JSON: `{"number":1,"timestampUtc":"…","registrationId":"dev-01","reason":"bad-signature","message":"…"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// Counts the refusals since the service was created, from 1.
    pub number: u64,
    /// When, in milliseconds since 1970 by the service's clock.
    pub unix_ms: u64,
    /// The registration id as it was sent; empty for an admin call.
    pub registration_id: String,
    /// Why.
    pub reason: RefusalReason,
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut refusal = serializer.serialize_struct("Refusal", 5)?;
        refusal.serialize_field("number", &self.number)?;
        refusal.serialize_field("timestampUtc", &iso_8601(self.unix_ms))?;
        refusal.serialize_field("registrationId", &self.registration_id)?;
        refusal.serialize_field("reason", self.reason.name())?;
        refusal.serialize_field("message", &self.reason.to_string())?;
        refusal.end()
    }
}

/// The latest refusals, oldest first, and how many there were, in total and for each reason.
#[derive(Default)]
pub(crate) struct Refusals {
    latest: VecDeque<Refusal>,
    count: u64,
    by_reason: BTreeMap<&'static str, u64>,
}

impl Refusals {
    pub(crate) fn note(&mut self, now: Now, registration_id: &str, reason: RefusalReason) {
        if self.latest.len() == REFUSALS_MAX {
            self.latest.pop_front();
        }
        self.count += 1;
        *self.by_reason.entry(reason.name()).or_default() += 1;
        let registration_id = registration_id.chars().take(128).collect();
        self.latest.push_back(Refusal { number: self.count, unix_ms: now.unix_ms, registration_id, reason });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Refusal> {
        self.latest.iter()
    }

    #[cfg(feature = "server")]
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn by_reason(&self) -> &BTreeMap<&'static str, u64> {
        &self.by_reason
    }

    pub(crate) fn reset_reasons(&mut self) {
        self.by_reason.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_unknown_devices_use_bounded_memory() {
        let mut tally = Tally::default();
        tally.arrived(At::Register, &FoldedId::new("no id: a blank"));
        for number in 0..=COUNTED_APART_MAX {
            tally.arrived(At::Register, &FoldedId::new(&format!("dev-{number}")));
        }
        tally.arrived(At::Poll, &FoldedId::new("DEV-0"));
        assert_eq!((tally.apart.len(), tally.overall().registers), (COUNTED_APART_MAX, COUNTED_APART_MAX as u64 + 2));
        assert_eq!(
            (tally.registration(&FoldedId::new("dev-0")).registers, tally.registration(&FoldedId::new("dev-0")).polls),
            (1, 1)
        );
    }
}
