//! What a hub answers to a certificate request.

use serde::Serialize;
use serde_json::Value;

use crate::clock::ServiceClock;
use crate::device::Reply;
use crate::events::RefusalReason;
use crate::fault::{RetryAfter, TransportFault};
use crate::time::{Now, iso_8601};
use crate::wire::{HUB_THROTTLED, Problem, to_json};

/// The body of a 202.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accepted {
    pub(super) correlation_id: String,
    pub(super) operation_expires: String,
}

/// The body of a 200.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Issued<'a> {
    pub(super) correlation_id: &'a str,
    /// The device's certificate first, the root last: the base64 of each one's DER.
    pub(super) certificates: &'a [String],
}

/// An answer, and what its event shows of a refusal.
pub(crate) struct HubReply {
    pub(crate) reply: Reply,
    /// Why the request was refused, and the message of its event.
    pub(crate) refused: Option<(RefusalReason, String)>,
}

impl HubReply {
    /// The connection is closed before the request is processed.
    pub(super) fn not_processed() -> Self {
        Self { reply: Reply::nothing(String::new(), TransportFault::DropBefore), refused: None }
    }

    /// Whether a connection that sends the answer delivers it: a fault can keep it from the device.
    pub(crate) fn is_delivered(&self) -> bool {
        use TransportFault::{Delay, Duplicate, SlowBytes};
        matches!(self.reply.fault, None | Some(Delay { .. } | SlowBytes | Duplicate))
    }
}

/// An error of a hub, which says more than one of the service.
#[derive(Debug)]
pub(super) struct HubProblem {
    problem: Problem,
    info: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    error_code: u32,
    tracking_id: &'a str,
    message: &'a str,
    timestamp_utc: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    /// Whole seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    info: Option<&'a Value>,
}

impl HubProblem {
    pub(super) fn new(error_code: u32, message: impl Into<String>) -> Self {
        Self { problem: Problem::new(error_code, message), info: None }
    }

    pub(super) fn throttled(retry_after: Option<RetryAfter>) -> Self {
        let throttled = Self::new(HUB_THROTTLED, "Too many certificate requests.").because(RefusalReason::Throttled);
        Self { problem: Problem { retry_after, ..throttled.problem }, ..throttled }
    }

    /// The error of a planned fault: 500001 and 503001 are those that SDKs know.
    pub(super) fn server_error(status: u16, retry_after: Option<RetryAfter>) -> Self {
        let code = u32::from(status.clamp(400, 599)) * 1000 + 1;
        let failed = Self::new(code, "Failed by a planned fault.");
        Self { problem: Problem { retry_after, ..failed.problem }, ..failed }
    }

    pub(super) fn because(self, reason: RefusalReason) -> Self {
        Self { problem: self.problem.because(reason), ..self }
    }

    pub(super) fn info(self, info: Value) -> Self {
        Self { info: Some(info), ..self }
    }

    /// Changes the hint to one by a client's clock.
    pub(super) fn scale(&mut self, clock: &ServiceClock) {
        self.problem.retry_after = self.problem.retry_after.map(|hint| clock.scaled(hint));
    }

    /// The answer; that which ends an operation has its correlation id.
    pub(super) fn into_reply(self, now: Now, tracking_id: String, correlation_id: Option<&str>) -> HubReply {
        let Self { problem, info } = self;
        let details = Details {
            error_code: problem.error_code,
            tracking_id: &tracking_id,
            message: &problem.message,
            timestamp_utc: iso_8601(now.unix_ms),
            correlation_id,
            retry_after: problem.retry_after.map(RetryAfter::seconds),
            info: info.as_ref(),
        };
        let body = to_json(&details);
        let refused = Some((problem.reason, problem.event_message()));
        let (status, error_code) = (problem.status, Some(problem.error_code));
        let reply = Reply { status, retry_after: problem.retry_after, body, tracking_id, error_code, fault: None };
        HubReply { reply, refused }
    }
}
