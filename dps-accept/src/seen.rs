//! What the service saw of a device in one scenario, as plain data: the only thing that a verdict rests on.

use dps_emulator::Status;

/// What was seen so far. Times are those of the service's monotonic clock, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The calls, in the order in which they arrived.
    pub(crate) calls: Vec<Call>,
    /// Connections that were opened, whatever became of them.
    pub(crate) connections: Vec<u64>,
    /// Bytes of the application that arrived on a connection to a server that must not be trusted.
    pub(crate) leaked_bytes: u64,
    /// Where the device's key appeared outside of a token, such as "the user agent".
    pub(crate) secret_in: Vec<String>,
    /// What the service has on record for the device.
    pub(crate) record: Option<Status>,
    /// A registration id of calls that is not the one the device was told.
    pub(crate) other_id: Option<String>,
}

/// One call that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) at_ms: u64,
    pub(crate) kind: CallKind,
    /// The status of the reply, even if a fault kept it from the device; for CONNECT and SUBSCRIBE the return code.
    pub(crate) status: Option<u16>,
    /// Whether the device could read the reply.
    pub(crate) is_readable: bool,
    /// The wait that the reply asked for, if the device could read it.
    pub(crate) told_ms: Option<u64>,
    /// How long the token was still valid, in seconds.
    pub(crate) token_life_s: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallKind {
    Connect,
    Subscribe,
    Register,
    Poll,
    Lookup,
}

impl CallKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Subscribe => "SUBSCRIBE",
            Self::Register => "register call",
            Self::Poll => "poll",
            Self::Lookup => "lookup",
        }
    }
}

impl Seen {
    pub(crate) fn of(&self, kind: CallKind) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| call.kind == kind)
    }

    /// When something last arrived.
    pub(crate) fn last_ms(&self) -> Option<u64> {
        let calls = self.calls.iter().map(|call| call.at_ms);
        calls.chain(self.connections.iter().copied()).max()
    }

    /// When something first arrived.
    pub(crate) fn first_ms(&self) -> Option<u64> {
        let calls = self.calls.iter().map(|call| call.at_ms);
        calls.chain(self.connections.iter().copied()).min()
    }

    /// Whether the device was told its assignment.
    pub(crate) fn is_assigned(&self) -> bool {
        self.record == Some(Status::Assigned) && self.final_reply().is_some()
    }

    /// The place of the call whose reply was final, and was read.
    pub(crate) fn final_reply(&self) -> Option<usize> {
        let is_final =
            |call: &Call| matches!(call.kind, CallKind::Register | CallKind::Poll) && call.status == Some(200);
        self.calls.iter().position(|call| is_final(call) && call.is_readable)
    }
}
