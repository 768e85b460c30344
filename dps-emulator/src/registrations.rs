//! Registration records, and the operations that assign them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;

use crate::events::Transport;
use crate::hubs::ConnectionProfile;
use crate::ids::FoldedId;
use crate::issuance::Requested;
use crate::time::iso_8601;
use crate::tpm::{Challenge, TpmState};
use crate::webhook::Allocation;
use crate::wire::{RegistrationState, Status, Substatus, SymmetricKeyResult};
use crate::x509::X509State;

/// The enrollment that a device was authenticated by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Individual,
    Group(String),
}

impl Source {
    pub(crate) fn group(&self) -> Option<&str> {
        match self {
            Self::Individual => None,
            Self::Group(id) => Some(id),
        }
    }
}

/// What a registration shows of how the device proved who it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shown {
    SymmetricKey,
    X509(Box<X509State>),
    /// The key for the hub, once the device is assigned.
    Tpm(Option<TpmState>),
}

impl Shown {
    /// The same as a device is shown it: what is known of its certificate only if that is enabled.
    pub(crate) fn for_device(&self, certificate_info: bool) -> Self {
        let mut shown = self.clone();
        if let Self::X509(state) = &mut shown
            && !certificate_info
        {
            (state.certificate_info, state.signing_certificate_info) = (None, None);
        }
        shown
    }
}

/// Why a registration failed: the six-digit code and a message.
pub(crate) type Failed = (u32, String);

/// A hub and the device entry in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) hub: String,
    pub(crate) device_id: String,
    pub(crate) profile: ConnectionProfile,
}

/// A registration record.
#[derive(Debug, Clone)]
pub struct Record {
    pub(crate) registration_id: String,
    pub(crate) source: Source,
    pub(crate) shown: Shown,
    pub(crate) status: Status,
    pub(crate) substatus: Substatus,
    /// Kept while the record is disabled or failed, so that the device returns to the same hub.
    pub(crate) assignment: Option<Assignment>,
    /// Where it was assigned first.
    pub(crate) first_hub: Option<String>,
    pub(crate) failure: Option<Failed>,
    pub(crate) payload: Option<Value>,
    pub(crate) created_ms: u64,
    pub(crate) updated_ms: u64,
    pub(crate) etag: String,
    /// Until when another register call of this id collides with the last one, on the monotonic clock.
    pub(crate) busy_until_ms: u64,
}

impl Record {
    fn assigned(&self) -> Option<&Assignment> {
        self.assignment.as_ref().filter(|_| self.status == Status::Assigned)
    }

    /// The registration id, as it was first spelled.
    #[must_use]
    pub fn registration_id(&self) -> &str {
        &self.registration_id
    }

    /// The state of the registration.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// How the device was assigned to its hub, once it is.
    #[must_use]
    pub fn substatus(&self) -> Option<Substatus> {
        self.assigned().map(|_| self.substatus)
    }

    /// The hub that the device is assigned to, once it is.
    #[must_use]
    pub fn assigned_hub(&self) -> Option<&str> {
        self.assigned().map(|assignment| assignment.hub.as_str())
    }

    /// The device id at the hub, once the device is assigned.
    #[must_use]
    pub fn device_id(&self) -> Option<&str> {
        self.assigned().map(|assignment| assignment.device_id.as_str())
    }

    /// The enrollment group that the device was authenticated by, if any.
    #[must_use]
    pub fn enrollment_group_id(&self) -> Option<&str> {
        self.source.group()
    }

    /// What the device receives.
    pub(crate) fn state(&self) -> RegistrationState {
        let failure = self.failure.as_ref().filter(|_| self.status == Status::Failed);
        let (mut symmetric_key, mut x509, mut tpm) = (None, None, None);
        match &self.shown {
            Shown::SymmetricKey => {
                symmetric_key = Some(SymmetricKeyResult { enrollment_group_id: self.source.group().map(Into::into) });
            }
            Shown::X509(state) => x509 = Some(X509State::clone(state)),
            Shown::Tpm(state) => tpm = state.clone(),
        }
        RegistrationState {
            symmetric_key,
            x509,
            tpm,
            registration_id: self.registration_id.clone(),
            created_date_time_utc: iso_8601(self.created_ms),
            assigned_hub: self.assigned_hub().map(Into::into),
            device_id: self.device_id().map(Into::into),
            status: self.status,
            substatus: self.substatus(),
            error_code: failure.map(|(code, _)| *code),
            error_message: failure.map(|(_, message)| message.clone()),
            last_updated_date_time_utc: iso_8601(self.updated_ms),
            etag: self.etag.clone(),
            payload: self.payload.clone().filter(|_| self.status == Status::Assigned),
            issued_certificate_chain: None,
            connection_profile: self.assigned().map(|assignment| assignment.profile),
        }
    }

    /// What the admin API returns: the same without the attestation.
    pub(crate) fn admin_state(&self) -> RegistrationState {
        RegistrationState { symmetric_key: None, x509: None, tpm: None, connection_profile: None, ..self.state() }
    }
}

#[derive(Default)]
pub(crate) struct Records(BTreeMap<FoldedId, Record>);

impl Records {
    pub(crate) fn get(&self, id: &FoldedId) -> Option<&Record> {
        self.0.get(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.0.values()
    }

    pub(crate) fn get_mut(&mut self, id: &FoldedId) -> Option<&mut Record> {
        self.0.get_mut(id)
    }

    pub(crate) fn insert(&mut self, id: FoldedId, record: Record) {
        self.0.insert(id, record);
    }

    pub(crate) fn remove(&mut self, id: &FoldedId) -> Option<Record> {
        self.0.remove(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns up to `count` records of a group after `after`, ordered by id.
    pub(crate) fn in_group<'a>(
        &'a self,
        group: &'a str,
        after: Option<&str>,
        count: usize,
    ) -> impl Iterator<Item = &'a Record> {
        let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(FoldedId::new(id)));
        self.0
            .range((start, Bound::Unbounded))
            .map(|(_, record)| record)
            .filter(move |record| record.source.group().is_some_and(|id| id.eq_ignore_ascii_case(group)))
            .take(count)
    }

    /// The ids of all records of a group.
    pub(crate) fn ids_of_group(&self, group: &str) -> Vec<FoldedId> {
        let of_group = |record: &Record| record.source.group().is_some_and(|id| id.eq_ignore_ascii_case(group));
        self.0.iter().filter(|(_, record)| of_group(record)).map(|(id, _)| id.clone()).collect()
    }
}

/// More than the rate limits allow within the default life of an operation; beyond it the oldest are forgotten.
const OPERATIONS_MAX: usize = 20_000;

/// The outcome of one register call.
pub(crate) struct Operation {
    pub(crate) registration: FoldedId,
    /// The challenge that the device had answered, if it has a TPM.
    challenge: Option<Arc<Challenge>>,
    pub(crate) result: Option<RegistrationState>,
}

/// An assignment that is due at some time.
#[derive(Debug, Clone)]
pub(crate) struct Assigning {
    pub(crate) operation_id: String,
    pub(crate) registration: FoldedId,
    /// The id as this register call spelled it, which derived keys depend on.
    pub(crate) spelled: String,
    pub(crate) source: Source,
    /// How the device proved who it is, with all details.
    pub(crate) shown: Shown,
    pub(crate) challenge: Option<Arc<Challenge>>,
    pub(crate) payload: Option<Value>,
    /// The certificate request that came with the register call.
    pub(crate) requested: Option<Requested>,
    /// How that arrived.
    pub(crate) transport: Transport,
    /// Whether the api version is so old that a hub is never chosen again.
    pub(crate) sticky: bool,
    /// The earliest end of the assignment, whenever a webhook replies, on the monotonic clock.
    pub(crate) not_before_ms: u64,
    /// What the enrollment's webhook has decided, or why it did not.
    pub(crate) allocation: Option<Result<Allocation, Failed>>,
}

#[derive(Default)]
pub(crate) struct Operations {
    by_id: HashMap<String, Operation>,
    by_age: VecDeque<(u64, String)>,
    assigning: BTreeMap<(u64, u64), Assigning>,
    scheduled: u64,
}

impl Operations {
    /// Begins an operation whose assignment is due at `due_ms`.
    pub(crate) fn begin(&mut self, due_ms: u64, expires_ms: u64, assigning: Assigning) {
        let (registration, challenge) = (assigning.registration.clone(), assigning.challenge.clone());
        let operation = Operation { registration, challenge, result: None };
        self.by_id.insert(assigning.operation_id.clone(), operation);
        self.by_age.push_back((expires_ms, assigning.operation_id.clone()));
        if self.by_age.len() > OPERATIONS_MAX {
            self.forget_oldest();
        }
        self.schedule(due_ms, assigning);
    }

    /// Has an assignment take place at `due_ms`, after those that are due then already.
    pub(crate) fn schedule(&mut self, due_ms: u64, assigning: Assigning) {
        self.scheduled += 1;
        self.assigning.insert((due_ms, self.scheduled), assigning);
    }

    /// Removes and returns the next assignment that is due.
    pub(crate) fn take_due(&mut self, now_ms: u64) -> Option<Assigning> {
        let first = self.assigning.first_entry()?;
        (first.key().0 <= now_ms).then(|| first.remove())
    }

    pub(crate) fn finish(&mut self, operation_id: &str, result: RegistrationState) {
        if let Some(operation) = self.by_id.get_mut(operation_id) {
            operation.result = Some(result);
        }
    }

    pub(crate) fn get(&self, operation_id: &str) -> Option<&Operation> {
        self.by_id.get(operation_id)
    }

    /// The challenge that began this operation of a device.
    pub(crate) fn challenge(&self, operation_id: &str, registration: &FoldedId) -> Option<&Arc<Challenge>> {
        let operation = self.get(operation_id).filter(|operation| operation.registration == *registration);
        operation.and_then(|operation| operation.challenge.as_ref())
    }

    pub(crate) fn forget_older(&mut self, now_ms: u64) {
        while self.by_age.front().is_some_and(|(expires_ms, _)| *expires_ms <= now_ms) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.by_age.pop_front() {
            self.by_id.remove(&id);
        }
    }

    /// Makes the operations of a registration unknown to polls; its assignments still take place.
    pub(crate) fn forget_all_of(&mut self, registration: &FoldedId) {
        self.by_id.retain(|_, operation| operation.registration != *registration);
        self.by_age.retain(|(_, id)| self.by_id.contains_key(id));
    }

    /// For a record that is deleted: its operations and assignments are dropped.
    pub(crate) fn cancel_all_of(&mut self, registration: &FoldedId) {
        self.forget_all_of(registration);
        self.assigning.retain(|_, assigning| assigning.registration != *registration);
    }
}
