//! Operations by id, kept for minutes and not longer; and those whose assignment is still to be made.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde_json::Value;

use crate::ids::FoldedId;
use crate::records::Source;
use crate::wire::RegistrationState;

/// More than a service's rate makes in the default life of an operation; beyond it the oldest are forgotten.
const OPERATIONS_MAX: usize = 20_000;

/// One register's outcome.
pub(crate) struct Operation {
    pub(crate) registration: FoldedId,
    pub(crate) result: Option<RegistrationState>,
}

/// An assignment to be made when its time has come.
#[derive(Debug, Clone)]
pub(crate) struct Assigning {
    pub(crate) operation_id: String,
    pub(crate) registration: FoldedId,
    /// The id as this register spelled it, which the derived keys depend on.
    pub(crate) spelled: String,
    pub(crate) source: Source,
    pub(crate) payload: Option<Value>,
    /// Old api versions never choose a hub again.
    pub(crate) sticky: bool,
}

#[derive(Default)]
pub(crate) struct Operations {
    by_id: HashMap<String, Operation>,
    by_age: VecDeque<(u64, String)>,
    assigning: BTreeMap<(u64, u64), Assigning>,
    begun: u64,
}

impl Operations {
    pub(crate) fn begin(&mut self, due_ms: u64, expires_ms: u64, assigning: Assigning) {
        let operation = Operation { registration: assigning.registration.clone(), result: None };
        self.by_id.insert(assigning.operation_id.clone(), operation);
        self.by_age.push_back((expires_ms, assigning.operation_id.clone()));
        if self.by_age.len() > OPERATIONS_MAX {
            self.forget_oldest();
        }
        self.begun += 1;
        self.assigning.insert((due_ms, self.begun), assigning);
    }

    /// The next assignment whose time has come.
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

    /// Polls find nothing any more; assignments still come to pass.
    pub(crate) fn forget_all_of(&mut self, registration: &FoldedId) {
        self.by_id.retain(|_, operation| operation.registration != *registration);
        self.by_age.retain(|(_, id)| self.by_id.contains_key(id));
    }

    /// For a record that is deleted: nothing of it comes to pass.
    pub(crate) fn cancel_all_of(&mut self, registration: &FoldedId) {
        self.forget_all_of(registration);
        self.assigning.retain(|_, assigning| assigning.registration != *registration);
    }
}
