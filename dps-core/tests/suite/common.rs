//! A machine with its key at hand, so that a test speaks only of requests, replies and time.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use dps_core::{
    Action, Body, Call, Config, Endpoint, ErrorCode, IdScope, Identity, Instant, Key, Millis, Outcome, Registration,
    RegistrationId, Reply, RequestId, Status, UnixSeconds, Verdict, WallAnchor,
};

/// 2026-01-01T00:00:00Z.
pub const NOW: UnixSeconds = UnixSeconds::new(1_767_225_600);

pub fn identity() -> Identity<'static> {
    Identity {
        endpoint: Endpoint::new("dps.test").unwrap(),
        id_scope: IdScope::new("0ne00A1B2C3").unwrap(),
        registration_id: RegistrationId::new("dev-01").unwrap(),
    }
}

pub fn key() -> Key {
    Key::from_bytes(&[7; 32]).unwrap()
}

pub fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// A configuration whose clock is right, with a deadline of 120 s.
pub fn config() -> Config {
    default_config().minimum_spacing(Millis::ZERO)
}

/// As a device that chooses nothing has it.
pub fn default_config() -> Config {
    Config::new().wall_anchor(WallAnchor { at: at(0), unix: NOW })
}

/// Which request was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    Register,
    Status(String),
    Lookup,
}

/// What a machine does when it is polled; signatures are answered on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Did {
    Send { id: RequestId, sent: Sent, generation: u32, respond_by: u64 },
    Wait(u64),
    Finish,
}

pub fn step(machine: &mut Registration<'_>, millis: u64) -> Did {
    let now = at(millis);
    let action = machine.poll(now);
    let Action::Sign { id, .. } = action else { return did(machine, action) };
    let signature = key().sign(machine.to_sign());
    machine.handle_signature(now, id, &signature).unwrap();
    let action = machine.poll(now);
    did(machine, action)
}

fn did(machine: &Registration<'_>, action: Action) -> Did {
    let request = machine.request();
    match action {
        Action::Send { id, respond_by } => Did::Send {
            id,
            sent: match request.unwrap().call {
                Call::Register { .. } => Sent::Register,
                Call::Status { operation_id } => Sent::Status(operation_id.as_str().into()),
                Call::Lookup => Sent::Lookup,
                _ => panic!("unknown call"),
            },
            generation: request.unwrap().authorization.unwrap().generation,
            respond_by: respond_by.as_millis(),
        },
        Action::Wait { until } => Did::Wait(until.as_millis()),
        Action::Finished => Did::Finish,
        Action::Sign { .. } | Action::Activate { .. } => panic!("{action:?}"),
    }
}

/// Steps to the next request and gives its id and kind.
pub fn sent(machine: &mut Registration<'_>, millis: u64) -> (RequestId, Sent) {
    match step(machine, millis) {
        Did::Send { id, sent, .. } => (id, sent),
        other => panic!("at {millis} ms: {other:?}"),
    }
}

pub fn assigning(hint: Option<u32>) -> Reply<'static> {
    let mut reply = Reply::new(202);
    reply.retry_after = hint.map(Millis::from_secs);
    reply.body.status = Some(Status::Assigning);
    reply.body.operation_id = Some("5.op.1".into());
    reply
}

pub fn assigned() -> Reply<'static> {
    let mut reply = Reply::new(200);
    reply.body.status = Some(Status::Assigned);
    reply.body.assigned_hub = Some("hub-a.test".into());
    reply.body.device_id = Some("dev-01".into());
    reply.body.substatus = Some("initialAssignment".into());
    reply
}

pub fn error(status: u16, hint: Option<u32>) -> Reply<'static> {
    let mut reply = Reply::new(status);
    reply.retry_after = hint.map(Millis::from_secs);
    let body: &mut Body<'_> = &mut reply.body;
    body.error_code = Some(u32::from(status) * 1000 + 2);
    body.tracking_id = Some("6f1e0f0a-0000-4000-8000-000000000001".into());
    body.message = Some("the service's words".into());
    reply
}

pub fn failure(machine: &Registration<'_>) -> (ErrorCode, Verdict) {
    match machine.outcome() {
        Some(Outcome::Failed(failure)) => (failure.code(), failure.verdict()),
        other => panic!("{other:?}"),
    }
}
