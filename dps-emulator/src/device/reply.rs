//! What a device call answers, before a protocol gives it a form.

use serde_json::{Map, Value};

use crate::fault::{RetryAfter, TransportFault};
use crate::now::Now;
use crate::problem::Problem;
use crate::wire::{OperationStatus, RegistrationState, Status, to_json};

/// The answer to one device call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 when final, 202 while assigning, else why not. 0 when there is nothing to send (see `fault`).
    pub status: u16,
    /// The hint.
    pub retry_after: Option<RetryAfter>,
    /// JSON, unless a fault made it something else.
    pub body: Vec<u8>,
    /// Names this exchange; the same as `trackingId` in an error body.
    pub tracking_id: String,
    /// The six-digit code of an error body.
    pub error_code: Option<u32>,
    /// What the front has to do with this answer, or instead of it.
    pub fault: Option<TransportFault>,
}

/// What a call that went well says.
pub(super) enum Success {
    Operation { id: String, state: RegistrationState, first: bool },
    Record(RegistrationState),
}

impl Reply {
    pub(super) fn of_success(success: &Success, hint: Option<RetryAfter>, tracking_id: String) -> Self {
        let (assigning, body) = match success {
            Success::Operation { id, state, first } => {
                let assigning = state.status == Status::Assigning;
                // The first answer has no record yet; later ones need it, for some clients read the id from there.
                let shown = (!(assigning && *first)).then_some(state);
                let status = OperationStatus { operation_id: id, status: state.status, registration_state: shown };
                (assigning, to_json(&status))
            }
            Success::Record(state) => (false, to_json(state)),
        };
        Self {
            status: if assigning { 202 } else { 200 },
            retry_after: hint.filter(|_| assigning),
            body,
            tracking_id,
            error_code: None,
            fault: None,
        }
    }

    pub(crate) fn of_problem(problem: &Problem, now: Now, tracking_id: String) -> Self {
        Self {
            status: problem.status,
            retry_after: problem.retry_after,
            body: problem.body(&tracking_id, now),
            error_code: Some(problem.error_code),
            tracking_id,
            fault: None,
        }
    }

    pub(super) fn nothing(tracking_id: String, fault: TransportFault) -> Self {
        Self { status: 0, retry_after: None, body: Vec::new(), tracking_id, error_code: None, fault: Some(fault) }
    }

    pub(super) fn garble(&mut self) {
        self.body = b"\x00\xff<html>{\"operationId\": not json".to_vec();
    }

    /// Fills the body up to `bytes` with a member that no client knows, still valid JSON.
    pub(super) fn inflate(&mut self, bytes: usize) {
        const MEMBER: &str = "filler";
        let Ok(Value::Object(mut object)) = serde_json::from_slice(&self.body) else { return };
        object.insert(MEMBER.into(), "".into());
        let missing = bytes.saturating_sub(to_json(&object).len());
        object.insert(MEMBER.into(), "x".repeat(missing).into());
        self.body = to_json(&object);
    }

    /// Changes the body by a JSON merge patch (RFC 7396).
    pub(super) fn patch(&mut self, patch: Map<String, Value>) {
        let Ok(Value::Object(mut object)) = serde_json::from_slice(&self.body) else { return };
        merge(&mut object, patch);
        self.body = to_json(&object);
    }
}

fn merge(object: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, change) in patch {
        match (object.get_mut(&name), change) {
            (_, Value::Null) => drop(object.remove(&name)),
            (Some(Value::Object(inner)), Value::Object(change)) => merge(inner, change),
            (_, change) => drop(object.insert(name, change)),
        }
    }
}
