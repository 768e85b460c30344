//! The kinds of faults as plans name them: what each does, where it can be met, which members describe it.

use serde_json::{Map, Value, json};

use super::members::{ANSWERED, CODE, DATE_OFFSET, MS, Members, OF, OVERSIZE, PATCH, RETRY_AFTER, STATUS};
use super::{At, Fault, Flood, PlanError, RetryAfter};

/// Calls of a device, over whatever protocol.
const CALLS: &[At] = &[At::Register, At::Poll, At::Lookup, At::Any];
/// Calls that have to do with an operation, and all that MQTT knows.
const OPERATIONS: &[At] = &[At::Register, At::Poll, At::Any];
const EVERYWHERE: &[At] = &At::ALL;

/// One kind of fault.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// What it does, in a line.
    pub(super) meaning: &'static str,
    /// Where it can be met.
    pub(super) places: &'static [At],
    /// The members that belong to it.
    pub(super) members: &'static [&'static str],
    /// Reads those members.
    pub(super) read: fn(&Members) -> Result<Fault, PlanError>,
}

#[rustfmt::skip]
pub(super) static KINDS: [Kind; 17] = [
    Kind { name: "throttle", meaning: "status 429, with a hint or without; not carried out", places: CALLS,
        members: &[RETRY_AFTER],
        read: |members| Ok(Fault::Throttle { retry_after: members.retry_after()? }) },
    Kind { name: "server-error", meaning: "this status, with a hint or without; not carried out", places: CALLS,
        members: &[STATUS, RETRY_AFTER],
        read: |members| Ok(Fault::ServerError { status: members.status()?, retry_after: members.retry_after()? }) },
    Kind { name: "drop-before", meaning: "the connection ends; not carried out", places: EVERYWHERE,
        members: &[], read: |_| Ok(Fault::DropBefore) },
    Kind { name: "drop-after", meaning: "carried out, then the connection ends without an answer", places: EVERYWHERE,
        members: &[], read: |_| Ok(Fault::DropAfter) },
    Kind { name: "delay", meaning: "the answer comes so many milliseconds later", places: CALLS,
        members: &[MS], read: |members| Ok(Fault::Delay { ms: members.ms()? }) },
    Kind { name: "garbage", meaning: "the right status, with a body that is no JSON", places: CALLS,
        members: &[], read: |_| Ok(Fault::Garbage) },
    Kind { name: "noise", meaning: "bytes that are not the protocol", places: CALLS,
        members: &[], read: |_| Ok(Fault::Noise) },
    Kind { name: "slow-bytes", meaning: "the answer trickles, a byte at a time", places: CALLS,
        members: &[], read: |_| Ok(Fault::SlowBytes) },
    Kind { name: "wrong-request-id", meaning: "MQTT: the answer names another request", places: OPERATIONS,
        members: &[], read: |_| Ok(Fault::WrongRequestId) },
    Kind { name: "forget-operation", meaning: "the operation is forgotten: a poll finds nothing", places: OPERATIONS,
        members: &[], read: |_| Ok(Fault::ForgetOperation) },
    Kind { name: "oversize-reply", meaning: "the right answer, filled up to so many bytes", places: CALLS,
        members: &[OVERSIZE], read: |members| Ok(Fault::OversizeReply { bytes: members.oversize()? }) },
    Kind { name: "patch-reply", meaning: "the right answer, its body changed by a JSON merge patch", places: CALLS,
        members: &[PATCH], read: |members| Ok(Fault::PatchReply { patch: members.patch()? }) },
    Kind { name: "silent", meaning: "no answer ever; the connection stays open", places: EVERYWHERE,
        members: &[], read: |_| Ok(Fault::Silent) },
    Kind { name: "refuse-connect", meaning: "MQTT: CONNACK with this code", places: &[At::Connect],
        members: &[CODE], read: |members| Ok(Fault::RefuseConnect { code: members.code()? }) },
    Kind { name: "refuse-subscribe", meaning: "MQTT: SUBACK with a failure", places: &[At::Subscribe],
        members: &[], read: |_| Ok(Fault::RefuseSubscribe) },
    Kind { name: "no-ping", meaning: "MQTT: no PINGREQ is answered on this connection", places: &[At::Connect],
        members: &[], read: |_| Ok(Fault::NoPing) },
    Kind { name: "flood", meaning: "packets, frames, header lines or chunks without end, instead of the answer or after it",
        places: CALLS, members: &[OF, ANSWERED],
        read: |members| Ok(Fault::Flood { of: Flood::read(members)?, answered: Flood::read_answered(members)? }) },
];

impl Fault {
    /// As plans name it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Throttle { .. } => "throttle",
            Self::ServerError { .. } => "server-error",
            Self::DropBefore => "drop-before",
            Self::DropAfter => "drop-after",
            Self::Delay { .. } => "delay",
            Self::Garbage => "garbage",
            Self::Noise => "noise",
            Self::SlowBytes => "slow-bytes",
            Self::WrongRequestId => "wrong-request-id",
            Self::ForgetOperation => "forget-operation",
            Self::OversizeReply { .. } => "oversize-reply",
            Self::PatchReply { .. } => "patch-reply",
            Self::Silent => "silent",
            Self::RefuseConnect { .. } => "refuse-connect",
            Self::RefuseSubscribe => "refuse-subscribe",
            Self::NoPing => "no-ping",
            Self::Flood { .. } => "flood",
        }
    }

    /// Adds the members that describe it.
    pub(super) fn write(&self, object: &mut Map<String, Value>) {
        let mut put = |member: &str, value: Value| drop(object.insert(member.into(), value));
        match self {
            Self::ServerError { status, .. } => put(STATUS, (*status).into()),
            Self::Delay { ms } => put(MS, (*ms).into()),
            Self::OversizeReply { bytes } => put(OVERSIZE, (*bytes).into()),
            Self::PatchReply { patch } => put(PATCH, patch.clone().into()),
            Self::RefuseConnect { code } => put(CODE, (*code).into()),
            Self::Flood { of, answered } => {
                put(OF, of.name().into());
                put(ANSWERED, (*answered).into());
            }
            _ => {}
        }
        if let Self::Throttle { retry_after: Some(hint) } | Self::ServerError { retry_after: Some(hint), .. } = self {
            put(
                RETRY_AFTER,
                match hint {
                    RetryAfter::Seconds(seconds) => (*seconds).into(),
                    RetryAfter::Date(offset) => json!({ DATE_OFFSET: offset }),
                },
            );
        }
    }
}
