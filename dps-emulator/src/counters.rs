//! What a test asks after the fact: how often the service was called, overall and by one device, and why it said no.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::fault::At;
use crate::ids::{self, FoldedId};

/// How many refusals are remembered.
const REFUSALS_MAX: usize = 100;
/// How many registration ids are counted apart; anybody can send any number of them.
const COUNTED_APART_MAX: usize = 100_000;

/// Requests since the service began, or since the last [`reset`](crate::Service::reset_counters).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Counters {
    /// Registers that arrived, whatever became of them.
    pub registers: u64,
    /// Polls that arrived.
    pub polls: u64,
    /// Lookups that arrived.
    pub lookups: u64,
    /// MQTT connections that said CONNECT.
    pub connects: u64,
    /// SUBSCRIBEs that arrived.
    pub subscribes: u64,
    /// Admin calls that arrived.
    pub admin: u64,
    /// Requests refused with 4xx, those below included.
    pub rejected: u64,
    /// Requests refused with 401.
    pub unauthorized: u64,
    /// Requests refused with 429, by rate or on command.
    pub throttled: u64,
    /// Registers refused with 409.
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
            At::Any => {}
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

/// The counters of the service and of each registration id that was seen.
#[derive(Default)]
pub(crate) struct Tally {
    overall: Counters,
    apart: BTreeMap<FoldedId, Counters>,
}

impl Tally {
    pub(crate) fn overall(&self) -> Counters {
        self.overall
    }

    pub(crate) fn of(&self, registration: &FoldedId) -> Counters {
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

    /// A request refused with this status; whose, where that is known.
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

/// Why a credential was refused: what the service never tells the one who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// No credential was sent.
    NoToken,
    /// What was sent is no SAS token.
    Malformed,
    /// The path names another id scope.
    WrongIdScope,
    /// The token is for another resource than the path.
    WrongResource,
    /// `skn` is there and is not the name that it must be.
    WrongKeyName,
    /// Neither an individual enrollment of this id nor any group.
    UnknownRegistration,
    /// No key of the enrollment, or of any group, gives this signature.
    BadSignature,
    /// Signed with the group key itself, where the device's derived key belongs.
    GroupKeyUsed,
    /// Expired on the service's clock.
    Expired {
        /// How long ago, in milliseconds.
        for_ms: u64,
    },
}

impl RefusalReason {
    /// The reason in a word, such as `bad-signature`, for programs in other languages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoToken => "no-token",
            Self::Malformed => "malformed",
            Self::WrongIdScope => "wrong-id-scope",
            Self::WrongResource => "wrong-resource",
            Self::WrongKeyName => "wrong-key-name",
            Self::UnknownRegistration => "unknown-registration",
            Self::BadSignature => "bad-signature",
            Self::GroupKeyUsed => "group-key-used",
            Self::Expired { .. } => "expired",
        }
    }
}

/// One refused credential. Holds nothing of the credential itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The registration id as it was sent; empty for an admin call.
    pub registration_id: String,
    /// Why.
    pub reason: RefusalReason,
}

/// The latest refusals, oldest first.
#[derive(Default)]
pub(crate) struct Refusals(VecDeque<Refusal>);

impl Refusals {
    pub(crate) fn note(&mut self, registration_id: &str, reason: RefusalReason) {
        if self.0.len() == REFUSALS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Refusal { registration_id: registration_id.chars().take(128).collect(), reason });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Refusal> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_take_up_a_bounded_memory() {
        let mut tally = Tally::default();
        tally.arrived(At::Register, &FoldedId::of("no id: a blank"));
        for number in 0..=COUNTED_APART_MAX {
            tally.arrived(At::Register, &FoldedId::of(&format!("dev-{number}")));
        }
        tally.arrived(At::Poll, &FoldedId::of("DEV-0"));
        assert_eq!((tally.apart.len(), tally.overall().registers), (COUNTED_APART_MAX, COUNTED_APART_MAX as u64 + 2));
        assert_eq!((tally.of(&FoldedId::of("dev-0")).registers, tally.of(&FoldedId::of("dev-0")).polls), (1, 1));
    }
}
