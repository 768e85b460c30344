//! The device API, independent of any protocol: register, operation status, lookup. Faults come first, then the
//! credential, then the rate limit, then the work.
//!
//! A listener parses its own frames, names the caller, and turns the [`Reply`] into frames again.

use serde_json::{Map, Value};

use crate::auth::{Admission, Call, Caller};
use crate::events::{Arrival, Outcome, RefusalReason};
use crate::fault::{At, Fault, RetryAfter, TransportFault};
use crate::ids::{self, FoldedId};
use crate::issuance;
use crate::registrations::{Assigning, Record};
use crate::service::Service;
use crate::time::Now;
use crate::wire::{
    CONCURRENT, CSR_NOT_CONFIGURED, ChallengeBody, DeviceRegistration, NO_HUB, OperationStatus, Problem,
    RegistrationState, Status, Substatus, WEBHOOK_FAILED, to_json,
};

/// The most registrations that a service keeps (Azure documentation, "Service limits").
const RECORDS_MAX: usize = 1_000_000;
/// With this api version and earlier ones, a device keeps its hub whatever the policy says.
const LAST_STICKY_VERSION: &str = "2018-04-01";

impl Service {
    /// Register: starts an assignment. `body` is a `DeviceRegistration`, or empty.
    pub fn register(&mut self, now: Now, caller: &Caller<'_>, body: &[u8]) -> Reply {
        let arrival = Arrival { at: At::Register, caller, body, operation_id: None };
        self.device_call(now, arrival, |service| service.try_register(now, caller, body))
    }

    /// Operation status: the progress of an assignment.
    pub fn operation_status(&mut self, now: Now, caller: &Caller<'_>, operation_id: &str) -> Reply {
        let arrival = Arrival { at: At::Poll, caller, body: &[], operation_id: Some(operation_id) };
        self.device_call(now, arrival, |service| service.try_poll(now, caller, operation_id))
    }

    /// Registration status lookup: returns the record, without registering. `body` as for register.
    pub fn lookup(&mut self, now: Now, caller: &Caller<'_>, body: &[u8]) -> Reply {
        let arrival = Arrival { at: At::Lookup, caller, body, operation_id: None };
        self.device_call(now, arrival, |service| service.try_lookup(now, caller, body))
    }

    fn device_call(
        &mut self,
        now: Now,
        arrival: Arrival<'_>,
        work: impl FnOnce(&mut Self) -> Result<Success, Problem>,
    ) -> Reply {
        self.advance(now);
        let tracking_id = self.random.guid();
        let registration = FoldedId::new(arrival.caller.registration_id);
        self.tally.arrived(arrival.at, &registration);
        let wait_kept = self.wait_kept(now, &registration);
        let fault = self.take_fault(now, arrival.caller.protocol.transport(), arrival.at, &registration);
        let replays = fault == Some(Fault::ReplayedChallenge);
        let earlier = self.challenges.latest(&registration).filter(|_| replays).map(str::to_owned);
        let planned = |problem: Problem| Err(problem.because(RefusalReason::PlannedFault));
        let outcome = match &fault {
            Some(Fault::DropBefore) => {
                let reply = Reply::nothing(tracking_id, TransportFault::DropBefore);
                self.record_call(now, arrival, &reply, Outcome { wait_kept, ..Outcome::default() });
                return reply;
            }
            Some(Fault::Throttle { retry_after }) => planned(Problem::throttled(*retry_after)),
            Some(Fault::ServerError { status, retry_after }) => {
                let code = u32::from((*status).clamp(400, 599)) * 1000 + 1;
                planned(Problem { retry_after: *retry_after, ..Problem::new(code, "Failed by a planned fault.") })
            }
            Some(Fault::ForgetOperation) => {
                self.operations.forget_all_of(&registration);
                let outcome = work(self);
                self.operations.forget_all_of(&registration);
                outcome
            }
            _ => work(self),
        };
        let outcome =
            outcome.map(|success| success.known_to(arrival.caller.api_version)).map_err(|problem| self.scaled(problem));
        let hint = self.options.hint.map(|hint| self.clock.scaled(hint));
        let mut reply = match &outcome {
            Ok(success) => Reply::from_success(success, hint, tracking_id),
            Err(problem) => {
                self.tally.refused(problem.status, Some(&registration));
                Reply::from_problem(problem, now, tracking_id)
            }
        };
        let (refused, operation_id) = match &outcome {
            Ok(success) => (success.failure(), success.operation_id()),
            Err(problem) => (Some((problem.reason, problem.event_message())), None),
        };
        self.record_call(now, arrival, &reply, Outcome { refused, operation_id, wait_kept });
        match fault {
            Some(Fault::ReplayedChallenge) => {
                let replayed = earlier.or_else(|| self.unaccepted_key(&registration, false));
                reply.replace_key(replayed);
            }
            Some(Fault::ForeignChallenge) => reply.replace_key(self.unaccepted_key(&registration, true)),
            Some(fault) => reply.spoil(fault),
            None => {}
        }
        self.note_wait(now, &registration, &reply);
        reply
    }

    /// The problem with the hint by a client's clock.
    pub(crate) fn scaled(&self, problem: Problem) -> Problem {
        Problem { retry_after: problem.retry_after.map(|hint| self.clock.scaled(hint)), ..problem }
    }

    fn try_register(&mut self, now: Now, caller: &Caller<'_>, body: &[u8]) -> Result<Success, Problem> {
        if let Some(challenge) = self.try_challenge(now, caller, body)? {
            return Ok(challenge);
        }
        let admission = self.admit(now, caller, Call::Register)?;
        self.throttle.registration(now).map_err(|hint| Problem::throttled(Some(hint)))?;
        let body = self.read_body(now, caller, &admission, body)?;
        let requested = self.requested_certificate(caller, &admission.source, body.csr.as_ref())?;
        let registration = FoldedId::new(caller.registration_id);
        self.open_record(now, &registration, caller.registration_id, &admission)?;
        let operation_id = self.random.operation_id();
        let wait_ms = if self.options.assign_at_once { 0 } else { self.options.assigning_ms };
        let due_ms = now.monotonic_ms.saturating_add(wait_ms);
        let assigning = Assigning {
            operation_id: operation_id.clone(),
            registration: registration.clone(),
            spelled: caller.registration_id.into(),
            source: admission.source,
            shown: admission.shown,
            challenge: admission.challenge,
            payload: body.payload,
            requested,
            transport: caller.protocol.transport(),
            sticky: caller.api_version.get(..10).is_some_and(|date| date <= LAST_STICKY_VERSION),
            not_before_ms: due_ms,
            allocation: None,
        };
        let expires_ms = due_ms.saturating_add(self.options.operation_life_ms);
        // A webhook is called at once, and has the time of the assignment to reply.
        let needs_webhook = self.needs_webhook(&assigning);
        let start_ms = if needs_webhook { now.monotonic_ms } else { due_ms };
        self.operations.begin(start_ms, expires_ms, assigning);
        if needs_webhook || self.options.assign_at_once {
            self.advance(now);
        }
        // With the chain, which a record does not have.
        let result = self.operations.get(&operation_id).and_then(|operation| operation.result.clone());
        let state = result.or_else(|| self.records.get(&registration).map(Record::state));
        let state = state.ok_or_else(|| unknown_operation(&operation_id))?;
        Ok(Success::Operation { state, id: operation_id, first: true })
    }

    /// Creates or updates the record of this registration, with the state assigning.
    fn open_record(&mut self, now: Now, id: &FoldedId, spelled: &str, by: &Admission) -> Result<(), Problem> {
        let window_ms = if self.options.assign_at_once { 0 } else { self.options.conflict_window_ms };
        let busy_until_ms = now.monotonic_ms.saturating_add(window_ms);
        let etag = self.random.etag();
        let shown = by.shown.for_device(self.options.certificate_info);
        if let Some(record) = self.records.get_mut(id) {
            if now.monotonic_ms < record.busy_until_ms {
                return Err(Problem::new(CONCURRENT, "Precondition failed."));
            }
            record.source = by.source.clone();
            record.shown = shown;
            record.status = Status::Assigning;
            record.updated_ms = now.unix_ms;
            record.busy_until_ms = busy_until_ms;
            record.etag = etag;
            return Ok(());
        }
        if self.records.len() >= RECORDS_MAX {
            return Err(Problem::bad_request(format!("A service keeps at most {RECORDS_MAX} registrations.")));
        }
        let record = Record {
            registration_id: spelled.into(),
            source: by.source.clone(),
            shown,
            status: Status::Assigning,
            substatus: Substatus::InitialAssignment,
            assignment: None,
            first_hub: None,
            failure: None,
            payload: None,
            created_ms: now.unix_ms,
            updated_ms: now.unix_ms,
            etag,
            busy_until_ms,
        };
        self.records.insert(id.clone(), record);
        Ok(())
    }

    fn try_poll(&mut self, now: Now, caller: &Caller<'_>, operation_id: &str) -> Result<Success, Problem> {
        self.admit(now, caller, Call::Poll { operation_id })?;
        let registration = FoldedId::new(caller.registration_id);
        // A client that was told to poll again at once may do so.
        if self.options.hint != Some(RetryAfter::Seconds(0)) {
            self.throttle.poll(now, &registration).map_err(|hint| Problem::throttled(Some(hint)))?;
        }
        let operation = self
            .operations
            .get(operation_id)
            .filter(|operation| operation.registration == registration)
            .ok_or_else(|| unknown_operation(operation_id))?;
        let state = match (&operation.result, self.records.get(&registration)) {
            (Some(result), _) => result.clone(),
            (None, Some(record)) => {
                // Another operation of this device may be final already; this one is not.
                Record { status: Status::Assigning, ..record.clone() }.state()
            }
            (None, None) => return Err(unknown_operation(operation_id)),
        };
        Ok(Success::Operation { id: operation_id.into(), state, first: false })
    }

    fn try_lookup(&mut self, now: Now, caller: &Caller<'_>, body: &[u8]) -> Result<Success, Problem> {
        if let Some(challenge) = self.try_challenge(now, caller, body)? {
            return Ok(challenge);
        }
        let admission = self.admit(now, caller, Call::Lookup)?;
        self.throttle.registration(now).map_err(|hint| Problem::throttled(Some(hint)))?;
        let body = self.read_body(now, caller, &admission, body)?;
        if body.csr.is_some_and(|csr| !csr.is_null()) && issuance::is_known_to(caller.api_version) {
            let problem = Problem::bad_request("'csr' is not allowed in a lookup.");
            return Err(problem.because(RefusalReason::RequestInLookup));
        }
        let record = self.records.get(&FoldedId::new(caller.registration_id));
        let record = record.ok_or_else(|| Problem::not_found("registration", caller.registration_id))?;
        Ok(Success::Record(record.state()))
    }

    /// Answers a device that has shown the keys of its TPM and nothing else yet by a challenge.
    fn try_challenge(&mut self, now: Now, caller: &Caller<'_>, body: &[u8]) -> Result<Option<Success>, Problem> {
        let unsigned = caller.can_be_challenged().then(|| DeviceRegistration::parse(body).ok()).flatten();
        let Some(tpm) = unsigned.and_then(|registration| registration.tpm) else { return Ok(None) };
        check_id(caller)?;
        parse_body(caller, body)?;
        self.challenge(now, caller, &tpm).map(|key| Some(Success::Challenge(key)))
    }

    fn admit(&mut self, now: Now, caller: &Caller<'_>, call: Call<'_>) -> Result<Admission, Problem> {
        check_id(caller)?;
        self.authenticate(now, caller, call)
    }

    /// Reads the body of an accepted call.
    fn read_body(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        admission: &Admission,
        body: &[u8],
    ) -> Result<DeviceRegistration, Problem> {
        let body = parse_body(caller, body)?;
        if let (Some(_), Some(tpm)) = (&admission.challenge, &body.tpm) {
            self.check_keys(now, caller, tpm)?;
        }
        Ok(body)
    }
}

fn check_id(caller: &Caller<'_>) -> Result<(), Problem> {
    ids::check(caller.registration_id)
        .map_err(|error| Problem::bad_request(format!("The registration id is invalid: {error}.")))
        .map_err(|problem| problem.because(RefusalReason::RegistrationId))
}

fn parse_body(caller: &Caller<'_>, body: &[u8]) -> Result<DeviceRegistration, Problem> {
    let body = DeviceRegistration::parse(body)?;
    if body.registration_id.as_ref().is_some_and(|id| !id.eq_ignore_ascii_case(caller.registration_id)) {
        let problem = Problem::bad_request("'registrationId' in the body differs from the id in the path.");
        return Err(problem.because(RefusalReason::RegistrationIdMismatch));
    }
    if body.client_certificate_csr.is_some() {
        return Err(Problem::new(CSR_NOT_CONFIGURED, "Certificate issuance is not configured on the enrollment."));
    }
    Ok(body)
}

fn unknown_operation(operation_id: &str) -> Problem {
    Problem::not_found("operation", operation_id).because(RefusalReason::UnknownOperation)
}

/// The reply to one device call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 when final, 202 while assigning, otherwise an error. 0 when there is nothing to send (see `fault`).
    pub status: u16,
    /// How long the client should wait before the next call.
    pub retry_after: Option<RetryAfter>,
    /// JSON, unless a fault replaced it.
    pub body: Vec<u8>,
    /// Identifies this exchange; the same as `trackingId` in an error body.
    pub tracking_id: String,
    /// The six-digit code of an error body.
    pub error_code: Option<u32>,
    /// What the listener has to do with this reply, or instead of sending it.
    pub fault: Option<TransportFault>,
}

/// The result of a successful call.
enum Success {
    Operation {
        id: String,
        state: RegistrationState,
        first: bool,
    },
    Record(RegistrationState),
    /// The key by which the device proves that it has its TPM.
    Challenge(String),
}

impl Success {
    /// The same without what this API version does not have.
    fn known_to(self, api_version: &str) -> Self {
        match self {
            Self::Operation { id, state, first } => Self::Operation { id, state: state.known_to(api_version), first },
            Self::Record(state) => Self::Record(state.known_to(api_version)),
            Self::Challenge(_) => self,
        }
    }

    /// The operation that the call started.
    fn operation_id(&self) -> Option<&str> {
        match self {
            Self::Operation { id, .. } => Some(id),
            Self::Record(_) | Self::Challenge(_) => None,
        }
    }

    /// Why a registration ended without an assignment.
    fn failure(&self) -> Option<(RefusalReason, String)> {
        let (Self::Operation { state, .. } | Self::Record(state)) = self else { return None };
        let reason = match (state.status, state.error_code) {
            (Status::Disabled, _) => RefusalReason::EnrollmentDisabled,
            (Status::Failed, Some(NO_HUB)) => RefusalReason::HubNotLinked,
            (Status::Failed, Some(WEBHOOK_FAILED)) => RefusalReason::WebhookFailed,
            (Status::Failed, _) => RefusalReason::AssignmentFailed,
            _ => return None,
        };
        Some((reason, state.error_message.clone().unwrap_or_else(|| reason.to_string())))
    }
}

impl Reply {
    fn from_success(success: &Success, hint: Option<RetryAfter>, tracking_id: String) -> Self {
        let (status, body) = match success {
            Success::Operation { id, state, first } => {
                let assigning = state.status == Status::Assigning;
                // The first reply has no record yet; later ones need it, since some clients read the id from there.
                let shown = (!(assigning && *first)).then_some(state);
                let status = OperationStatus { operation_id: id, status: state.status, registration_state: shown };
                (if assigning { 202 } else { 200 }, to_json(&status))
            }
            Success::Record(state) => (200, to_json(state)),
            Success::Challenge(key) => (401, to_json(&ChallengeBody::new(key))),
        };
        Self { status, retry_after: hint.filter(|_| status == 202), body, tracking_id, error_code: None, fault: None }
    }

    pub(crate) fn from_problem(problem: &Problem, now: Now, tracking_id: String) -> Self {
        Self {
            status: problem.status,
            retry_after: problem.retry_after,
            body: problem.body(&tracking_id, now),
            error_code: Some(problem.error_code),
            tracking_id,
            fault: None,
        }
    }

    pub(crate) fn nothing(tracking_id: String, fault: TransportFault) -> Self {
        Self { status: 0, retry_after: None, body: Vec::new(), tracking_id, error_code: None, fault: Some(fault) }
    }

    /// A success of a hub.
    #[cfg(feature = "mqtt")]
    pub(crate) fn of_hub(status: u16, body: Vec<u8>) -> Self {
        Self { status, retry_after: None, body, tracking_id: String::new(), error_code: None, fault: None }
    }

    /// Changes the reply by a fault, or leaves that to whoever sends it.
    pub(crate) fn spoil(&mut self, fault: Fault) {
        match fault {
            Fault::Garbage => self.garble(),
            Fault::OversizeReply { bytes } => self.inflate(bytes),
            Fault::PatchReply { patch } => self.patch(patch),
            other => self.fault = other.for_transport(),
        }
    }

    fn garble(&mut self) {
        self.body = b"\x00\xff<html>{\"operationId\": not json".to_vec();
    }

    /// Pads the body to `bytes` with a member that no client knows; it stays valid JSON.
    fn inflate(&mut self, bytes: usize) {
        const MEMBER: &str = "filler";
        let Ok(Value::Object(mut object)) = serde_json::from_slice(&self.body) else { return };
        object.insert(MEMBER.into(), "".into());
        let missing = bytes.saturating_sub(to_json(&object).len());
        object.insert(MEMBER.into(), "x".repeat(missing).into());
        self.body = to_json(&object);
    }

    /// Puts another key for the TPM in place of the one that the body has, if it has one.
    fn replace_key(&mut self, key: Option<String>) {
        const PLACES: [&str; 3] =
            ["/authenticationKey", "/registrationState/tpm/authenticationKey", "/tpm/authenticationKey"];
        let (Some(key), Ok(mut body)) = (key, serde_json::from_slice::<Value>(&self.body)) else { return };
        let Some(place) = PLACES.into_iter().find(|place| body.pointer(place).is_some()) else { return };
        if let Some(replaced) = body.pointer_mut(place) {
            *replaced = key.into();
            self.body = to_json(&body);
        }
    }

    /// Changes the body by a JSON merge patch (RFC 7396).
    pub(crate) fn patch(&mut self, patch: Map<String, Value>) {
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
