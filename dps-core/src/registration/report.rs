//! What is remembered of the end of a registration, or of what went wrong last.
//!
//! Flat numbers, zero where a value is missing, and places in the storage: filled in place, never moved.

use core::ops::Range;

use super::storage::Place;
use crate::error::{ReplyProblem, Verdict};
use crate::message::Status;

/// How the registration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It has not.
    None,
    Assigned,
    Record,
    Failed,
}

/// Which of the texts that are kept in the storage.
#[doc(hidden)]
#[allow(missing_docs, reason = "named as the functions of the outcome that return them")]
#[derive(Clone, Copy, Debug)]
pub enum Kept {
    Hub,
    Device,
    Substatus,
    TrackingId,
    Timestamp,
    Message,
}

const KEPT: usize = Kept::Message as usize + 1;

/// The end, or the last thing that went wrong, which becomes the failure when nothing can be tried any more.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) end: End,
    pub(super) status: Option<Status>,
    pub(super) time_known: bool,
    pub(super) refused_at_connect: bool,
    pub(super) reply_problem: Option<ReplyProblem>,
    pub(super) http_status: u16,
    pub(super) error_code: u32,
    pub(super) verdict: Verdict,
    pub(super) needed: usize,
    pub(super) payload_start: usize,
    pub(super) payload_end: usize,
    pub(super) clock_skew: i64,
    pub(super) texts: [Place; KEPT],
}

impl Report {
    /// All zeros, which is cleared at once where anything else is copied from flash.
    pub(super) const NOTHING: Self = Self {
        end: End::None,
        status: None,
        time_known: false,
        refused_at_connect: false,
        reply_problem: None,
        http_status: 0,
        error_code: 0,
        verdict: Verdict::Never,
        needed: 0,
        payload_start: 0,
        payload_end: 0,
        clock_skew: 0,
        texts: [Place::NONE; KEPT],
    };

    pub(super) fn set_payload(&mut self, range: Option<&Range<usize>>) {
        if let Some(range) = range {
            self.payload_start = range.start;
            self.payload_end = range.end;
        }
    }

    pub(super) fn payload(&self) -> Option<Range<usize>> {
        (self.payload_end > self.payload_start).then_some(self.payload_start..self.payload_end)
    }
}
