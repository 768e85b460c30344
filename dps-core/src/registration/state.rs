//! Where a registration stands, and how it ended. Each state holds what it needs and nothing else.

use core::ops::Range;

use super::storage::Place;
use crate::error::{ErrorCode, ReplyProblem, Verdict};
use crate::message::{RequestId, Status};
use crate::time::Instant;

/// What is to be asked of the service next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Register,
    Status,
    Lookup,
}

/// Where the machine stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// To be asked now.
    Ready(Ask),
    /// A signature is awaited, to ask this then.
    Signing { ask: Ask, id: RequestId, by: Instant },
    /// A reply is awaited.
    Asked { ask: Ask, id: RequestId, by: Instant },
    /// To be asked later.
    Waiting { ask: Ask, until: Instant },
    /// It is over.
    Finished,
}

/// How it ended; texts stand in the storage.
#[derive(Clone, Debug)]
pub(super) enum End {
    Assigned { hub: Place, device: Place, substatus: Option<Place>, payload: Option<Range<usize>> },
    Record(RecordEnd),
    Failed { verdict: Verdict },
}

/// What a lookup found.
#[derive(Clone, Debug)]
pub(super) struct RecordEnd {
    pub(super) status: Status,
    pub(super) hub: Option<Place>,
    pub(super) device: Option<Place>,
    pub(super) substatus: Option<Place>,
    pub(super) error_code: Option<u32>,
    pub(super) message: Option<Place>,
    pub(super) payload: Option<Range<usize>>,
}

/// The last thing that went wrong; becomes the failure when nothing can be tried any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause {
    pub(super) code: ErrorCode,
    pub(super) http_status: Option<u16>,
    pub(super) error_code: Option<u32>,
    pub(super) tracking_id: Option<Place>,
    pub(super) message: Option<Place>,
    pub(super) timestamp: Option<Place>,
    pub(super) clock_skew: Option<i64>,
    pub(super) time_known: bool,
    pub(super) refused_at_connect: bool,
    pub(super) needed: Option<usize>,
    pub(super) reply_problem: Option<ReplyProblem>,
}

impl Cause {
    // Out of line: it is made in a dozen places, and each copy would cost firmware 30 bytes.
    #[inline(never)]
    pub(super) const fn new(code: ErrorCode) -> Self {
        Self {
            code,
            http_status: None,
            error_code: None,
            tracking_id: None,
            message: None,
            timestamp: None,
            clock_skew: None,
            time_known: false,
            refused_at_connect: false,
            needed: None,
            reply_problem: None,
        }
    }
}
