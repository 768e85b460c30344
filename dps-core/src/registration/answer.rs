//! What a reply, or the lack of one, leads to: on to the next question, a wait, or the end.
//!
//! Driven by the JSON `status` rather than the number around it, since a 200 can carry a failure and, in old API
//! versions, an assignment still under way.

use super::retry::{self, Retry};
use super::state::{Ask, Cause, End, RecordEnd, Step};
use super::{Registration, UnixSeconds};
use crate::attestation::Attestation;
use crate::error::{ErrorCode, Misuse, ReplyProblem, Verdict};
use crate::ids::is_operation_id;
use crate::message::{LinkError, Reply, RequestId, Status};
use crate::text::ByteStr;
use crate::time::{Instant, Millis, WallAnchor};

/// Clocks that differ by less are taken to agree.
const SKEW_SECONDS: u64 = 300;

impl<A: Attestation> Registration<'_, A> {
    /// Takes the reply to the request with this id.
    ///
    /// # Errors
    /// [`Misuse`] when no reply with this id is awaited.
    pub fn handle_reply(&mut self, now: Instant, id: RequestId, reply: &Reply<'_>) -> Result<(), Misuse> {
        let ask = self.asked(id)?;
        if let (None, Some(unix)) = (self.wall, reply.date) {
            self.wall = Some(WallAnchor { at: now, unix });
        }
        match (reply.status, ask) {
            (..=299, Ask::Lookup) => self.record(now, reply),
            (..=299, _) => self.operation_status(now, ask, reply),
            _ => self.refusal(now, ask, reply),
        }
        Ok(())
    }

    /// Takes word that there will be no reply to the request with this id.
    ///
    /// # Errors
    /// [`Misuse`] when no reply with this id is awaited.
    pub fn handle_link_error(&mut self, now: Instant, id: RequestId, error: LinkError) -> Result<(), Misuse> {
        let ask = self.asked(id)?;
        let (code, retry) = retry::of_link(error);
        let mut cause = Cause::new(code);
        match error {
            LinkError::ProxyRefused { status } => cause.http_status = status,
            LinkError::ReplyTooLarge { needed } => cause.needed = needed,
            LinkError::RequestTooLarge { needed } => cause.needed = Some(needed),
            LinkError::MqttRefused { code } => cause.refused_at_connect = code == 5,
            _ => {}
        }
        self.follow(now, ask, cause, retry, None);
        Ok(())
    }

    fn asked(&self, answered: RequestId) -> Result<Ask, Misuse> {
        match self.step {
            Step::Asked { ask, id, .. } if id == answered => Ok(ask),
            _ => Err(Misuse),
        }
    }

    /// A good reply to a registration or a poll. The service's specification lets `status` be absent while an operation
    /// is under way, which the number 202 then tells.
    fn operation_status(&mut self, now: Instant, ask: Ask, reply: &Reply<'_>) {
        match reply.body.status {
            Some(Status::Assigning | Status::Unassigned) => self.assigning(now, ask, reply),
            Some(Status::Assigned) => self.assigned(now, ask, reply),
            Some(Status::Failed) => self.refused(now, ErrorCode::RegistrationFailed, reply),
            Some(Status::Disabled) => self.refused(now, ErrorCode::EnrollmentDisabled, reply),
            Some(Status::Unknown) => self.refused(now, ErrorCode::UnexpectedStatus, reply),
            None if reply.status == 202 => self.assigning(now, ask, reply),
            None => self.invalid(now, ask, reply, ReplyProblem::NoStatus),
        }
    }

    fn assigning(&mut self, now: Instant, ask: Ask, reply: &Reply<'_>) {
        let operation = &mut self.storage.operation;
        let known = match reply.body.operation_id.filter(|id| is_operation_id(id)) {
            Some(id) => operation.replace(id),
            None => !operation.is_empty(),
        };
        if !known {
            return self.invalid(now, ask, reply, ReplyProblem::NoOperation);
        }
        self.attempt = 0;
        self.cause = None;
        let hint = reply.retry_after;
        let wait = hint.unwrap_or(self.config.poll_interval).max(self.config.minimum_spacing);
        let verdict = Verdict::After(hint.unwrap_or(wait));
        self.wait(now, Ask::Status, wait, Cause::new(ErrorCode::DeadlineExceeded), verdict);
    }

    fn assigned(&mut self, now: Instant, ask: Ask, reply: &Reply<'_>) {
        if let Err(problem) = reply.body.check_names() {
            return self.invalid(now, ask, reply, problem);
        }
        let (Some(hub), Some(device)) = (reply.body.assigned_hub, reply.body.device_id) else {
            return self.invalid(now, ask, reply, ReplyProblem::NoHub);
        };
        if let Some(id) = reply.body.operation_id.filter(|id| is_operation_id(id)) {
            self.storage.operation.replace(id);
        }
        let substatus = reply.body.substatus.unwrap_or_default();
        let texts = &mut self.storage.texts;
        texts.wipe();
        if let (Some(hub), Some(device)) = (texts.push(hub), texts.push(device)) {
            let substatus = texts.push_cut(substatus);
            self.finish(End::Assigned { hub, device, substatus, payload: reply.body.payload.clone() });
        } else {
            let lacking = hub.len().saturating_add(device.len()).saturating_sub(texts.size());
            let needed = super::storage_size(&self.identity).saturating_add(lacking);
            texts.wipe();
            self.fail(
                Cause { needed: Some(needed), ..Cause::new(ErrorCode::AssignmentTooLarge) },
                Verdict::Reconfigure,
            );
        }
    }

    /// A good reply to a lookup.
    fn record(&mut self, now: Instant, reply: &Reply<'_>) {
        let body = &reply.body;
        let Some(status) = body.status else {
            return self.invalid(now, Ask::Lookup, reply, ReplyProblem::NoStatus);
        };
        if let Err(problem) = body.check_names() {
            return self.invalid(now, Ask::Lookup, reply, problem);
        }
        let texts = &mut self.storage.texts;
        texts.wipe();
        let record = RecordEnd {
            status,
            hub: body.assigned_hub.and_then(|text| texts.push_cut(text)),
            device: body.device_id.and_then(|text| texts.push_cut(text)),
            substatus: body.substatus.and_then(|text| texts.push_cut(text)),
            error_code: body.error_code,
            message: body.message.and_then(|text| texts.push_cut(text)),
            payload: body.payload.clone(),
        };
        self.finish(End::Record(record));
    }

    /// A good reply that lacks what it has to say, or says what the service cannot mean.
    fn invalid(&mut self, now: Instant, ask: Ask, reply: &Reply<'_>, problem: ReplyProblem) {
        let cause = Cause { reply_problem: Some(problem), ..Cause::new(ErrorCode::InvalidReply) };
        self.try_later(now, ask, cause, reply.retry_after);
    }

    /// A final refusal inside a good reply.
    fn refused(&mut self, now: Instant, code: ErrorCode, reply: &Reply<'_>) {
        let cause = self.cause_of(now, code, reply);
        self.fail(cause, Verdict::Never);
    }

    /// A reply with an error status.
    fn refusal(&mut self, now: Instant, ask: Ask, reply: &Reply<'_>) {
        if reply.status == 404 && ask == Ask::Status && !self.restarted {
            self.restarted = true;
            self.storage.operation.wipe();
            self.step = Step::Ready(Ask::Register);
            return;
        }
        if reply.status == 401 && self.corrected_by(now, ask, reply) {
            return;
        }
        let (code, retry) = retry::of_status(reply.status);
        let cause = self.cause_of(now, code, reply);
        self.follow(now, ask, cause, retry, reply.retry_after);
    }

    /// Takes the time of a refusal over, once, where the policy allows it and the clocks are far apart.
    fn corrected_by(&mut self, now: Instant, ask: Ask, reply: &Reply<'_>) -> bool {
        let (true, false, Some(unix), Some(_)) =
            (self.config.correct_clock, self.corrected, reply.date, self.skew(now, reply.date))
        else {
            return false;
        };
        self.start_again(ask, WallAnchor { at: now, unix });
        true
    }

    /// Takes the service's time, from wherever the caller has it, after the service refused a token over a transport that
    /// carries none. Where the clock here is far from it and [`Config::correct_clock`](crate::Config::correct_clock) allows
    /// it, the registration goes on, once, with a token by that time: drive it, or poll it, again.
    ///
    /// Returns whether it goes on. Where it does not, the failure tells the skew, and its hints know the clock.
    pub fn correct_clock(&mut self, anchor: WallAnchor) -> bool {
        let skew = self.skew(anchor.at, Some(anchor.unix));
        let refused = match (&self.end, &mut self.cause) {
            (Some(End::Failed { .. }), Some(cause)) if cause.code == ErrorCode::Unauthorized => cause,
            _ => return false,
        };
        refused.time_known = true;
        refused.clock_skew = skew;
        let in_time = self.deadline.is_some_and(|deadline| anchor.at < deadline);
        if !self.config.correct_clock || self.corrected || skew.is_none() || !in_time {
            return false;
        }
        self.end = None;
        self.start_again(self.last_ask, anchor);
        true
    }

    /// Asks again with a token by the corrected time, which is done once.
    fn start_again(&mut self, ask: Ask, anchor: WallAnchor) {
        self.corrected = true;
        self.wall = Some(anchor);
        self.token = None;
        self.step = Step::Ready(ask);
    }

    /// Seconds that the clock here is behind the service's, where far.
    fn skew(&self, now: Instant, date: Option<UnixSeconds>) -> Option<i64> {
        let skew = self.wall?.unix_at(now).seconds_until(date?);
        (skew.unsigned_abs() > SKEW_SECONDS).then_some(skew)
    }

    fn cause_of(&mut self, now: Instant, code: ErrorCode, reply: &Reply<'_>) -> Cause {
        let texts = &mut self.storage.texts;
        texts.wipe();
        let mut keep = |text: Option<ByteStr<'_>>| text.and_then(|text| texts.push_cut(text));
        // The longest comes last: it is the one that may be cut.
        let tracking_id = keep(reply.body.tracking_id);
        let timestamp = keep(reply.body.timestamp);
        let message = keep(reply.body.message);
        Cause {
            code,
            http_status: Some(reply.status),
            error_code: reply.body.error_code,
            tracking_id,
            message,
            timestamp,
            clock_skew: self.skew(now, reply.date),
            time_known: reply.date.is_some(),
            refused_at_connect: false,
            needed: None,
            reply_problem: None,
        }
    }

    fn follow(&mut self, now: Instant, ask: Ask, cause: Cause, retry: Retry, hint: Option<Millis>) {
        match retry {
            Retry::Later => self.try_later(now, ask, cause, hint),
            Retry::Never => self.fail(cause, Verdict::Never),
            Retry::Reconfigure => self.fail(cause, Verdict::Reconfigure),
        }
    }

    /// Waits as the hint says and up to a fifth more, or backs off exponentially with full jitter. "At once" is no hint
    /// here: whoever took it at its word would ask without end.
    pub(super) fn try_later(&mut self, now: Instant, ask: Ask, cause: Cause, hint: Option<Millis>) {
        let (wait, verdict) = match hint.filter(|hint| *hint > Millis::ZERO) {
            Some(hint) => (hint.saturating_add(self.jitter.up_to(hint.fifth())), hint),
            None => {
                let bound = self.config.backoff_first.doubled(self.attempt).min(self.config.backoff_cap);
                (self.jitter.up_to(bound), bound)
            }
        };
        self.attempt = self.attempt.saturating_add(1);
        self.cause = Some(cause);
        self.wait(now, ask, wait, cause, Verdict::After(verdict));
    }

    /// Waits, or fails now when the wait would pass the deadline.
    fn wait(&mut self, now: Instant, ask: Ask, wait: Millis, cause: Cause, verdict: Verdict) {
        let until = now.after(wait);
        if self.deadline.is_some_and(|deadline| until > deadline) {
            self.fail(cause, verdict);
        } else {
            self.step = Step::Waiting { ask, until };
        }
    }
}
