//! What a reply, or the lack of one, leads to: on to the next question, a wait, or the end.
//!
//! Driven by the JSON `status` rather than the number around it, since a 200 can carry a failure and, in old API
//! versions, an assignment still under way.

use super::report::{End, Kept};
use super::retry::{Retry, code_of_status, retry_of};
use super::{Registration, Step, TOKEN_MARGIN_SECONDS};
use crate::attestation::Attestation;
use crate::attestation::sealed::{Ask, Token};
use crate::error::{ErrorCode, Misuse, ReplyProblem, Verdict};
use crate::ids::is_operation_id;
use crate::message::{LinkError, Reply, RequestId, Status, code_of_connack};
use crate::text::ByteStr;
use crate::time::{Instant, Millis, UnixSeconds, WallAnchor};

/// Clocks that differ by less are taken to agree.
const SKEW_SECONDS: u64 = 300;
/// The longest life of a token by a time that was learned.
const LEARNED_TIME_TOKEN_LIFE: Millis = Millis::from_secs(3600);
/// The longest time for a signature or a request then, so that such a token outlives both and its margin.
const LEARNED_TIME_REQUEST_TIMEOUT: Millis = Millis::from_secs((3600 - TOKEN_MARGIN_SECONDS) / 2);
/// A time more than 20 years after the earliest possible one is ignored.
const LATEST_SECONDS: u64 = 20 * 365 * 24 * 3600 + 5 * 24 * 3600;

impl<A: Attestation> Registration<'_, A> {
    /// Takes the reply to the request with this id.
    ///
    /// # Errors
    /// [`Misuse`] when no reply with this id is awaited.
    pub fn handle_reply(&mut self, now: Instant, id: RequestId, reply: &Reply<'_>) -> Result<(), Misuse> {
        self.expect(Step::Asked, id)?;
        self.body_start = reply.body.json.start;
        if self.token != Token::Never {
            self.learn_time(now, reply);
            self.compare_clocks(now, reply.date);
        }
        let is_refusal = reply.status >= 300;
        if self.asks_time {
            self.time_answer(now, reply);
        } else if self.ask == Ask::Lookup && !is_refusal {
            self.found(now, reply);
        } else {
            // The token after a challenge can be by the service's time at once.
            let is_challenged = self.takes_challenge(reply);
            if self.config.correct_clock && !self.corrected && self.skew != 0 && reply.status == 401 {
                // Once, a token by the service's time.
                self.start_again(now);
            } else if !is_challenged {
                self.handle_mqtt_reply(now, id, reply)?;
            }
        }
        if self.report.http_status > 0 {
            self.report.clock_skew = self.skew;
            self.report.time_known = self.service_time.is_some();
        }
        Ok(())
    }

    /// As [`Registration::handle_reply`], for MQTT, which has neither the time, nor lookups, nor TPMs: firmware does not link
    /// what these need.
    ///
    /// # Errors
    /// As [`Registration::handle_reply`].
    #[doc(hidden)]
    pub fn handle_mqtt_reply(&mut self, now: Instant, id: RequestId, reply: &Reply<'_>) -> Result<(), Misuse> {
        self.expect(Step::Asked, id)?;
        if reply.status >= 300 {
            self.refusal(now, reply);
        } else {
            self.operation_status(now, reply);
        }
        Ok(())
    }

    /// Takes word that there will be no reply to the request with this id.
    ///
    /// # Errors
    /// [`Misuse`] when no reply with this id is awaited.
    pub fn handle_link_error(&mut self, now: Instant, id: RequestId, error: LinkError) -> Result<(), Misuse> {
        let (code, detail) = match error {
            LinkError::ProxyRefused { status } => (error.code(), status.map_or(0, usize::from)),
            LinkError::ReplyTooLarge { needed } => (error.code(), needed.unwrap_or(0)),
            // No size would do: the certificate request changed while it was written.
            LinkError::RequestTooLarge { needed: usize::MAX } => (ErrorCode::CertificateRequest, 0),
            LinkError::RequestTooLarge { needed } => (error.code(), needed),
            LinkError::MqttRefused { code } => (ErrorCode::MqttRefused, usize::from(code)),
            _ => (error.code(), 0),
        };
        self.handle_link_error_code(now, id, code, detail)
    }

    /// As [`Registration::handle_link_error`], flat: the code of an error of the link, and the proxy's status, the size
    /// that would do, or the code of CONNACK; 0 for other errors.
    #[doc(hidden)]
    pub fn handle_link_error_code(
        &mut self,
        now: Instant,
        id: RequestId,
        code: ErrorCode,
        detail: usize,
    ) -> Result<(), Misuse> {
        self.expect(Step::Asked, id)?;
        if self.asks_time && code == ErrorCode::UnsupportedByTransport {
            self.fail(ErrorCode::ClockNeeded, Verdict::Reconfigure);
            return Ok(());
        }
        self.note(if code == ErrorCode::MqttRefused { code_of_connack(detail) } else { code });
        match code {
            ErrorCode::ProxyRefused => self.report.http_status = detail as u16,
            ErrorCode::MqttRefused => self.report.refused_at_connect = detail == 5,
            _ => self.report.needed = detail,
        }
        self.follow(now, None);
        Ok(())
    }

    /// A good reply to a registration or a poll. The service's specification lets `status` be absent while an operation
    /// is under way, which the number 202 then tells.
    fn operation_status(&mut self, now: Instant, reply: &Reply<'_>) {
        match reply.body.status {
            Some(Status::Assigning | Status::Unassigned) => self.assigning(now, reply),
            Some(Status::Assigned) => self.assigned(now, reply),
            Some(Status::Failed) => self.refused(ErrorCode::RegistrationFailed, reply),
            Some(Status::Disabled) => self.refused(ErrorCode::EnrollmentDisabled, reply),
            Some(Status::Unknown) => self.refused(ErrorCode::UnexpectedStatus, reply),
            None if reply.status == 202 => self.assigning(now, reply),
            None => self.invalid(now, reply, ReplyProblem::NoStatus),
        }
    }

    fn assigning(&mut self, now: Instant, reply: &Reply<'_>) {
        let known = match reply.body.operation_id {
            Some(id) if is_operation_id(id) => self.storage.set_operation(id),
            _ => !self.storage.operation().is_empty(),
        };
        if !known {
            return self.invalid(now, reply, ReplyProblem::NoOperation);
        }
        self.attempt = 0;
        self.ask = Ask::Status;
        self.forget();
        let wait = reply.retry_after.unwrap_or(self.config.poll_interval).max(self.config.minimum_spacing);
        self.wait(now, wait, reply.retry_after.unwrap_or(wait));
    }

    fn assigned(&mut self, now: Instant, reply: &Reply<'_>) {
        if let Err(problem) = reply.body.check_names() {
            return self.invalid(now, reply, problem);
        }
        let (Some(hub), Some(device)) = (reply.body.assigned_hub, reply.body.device_id) else {
            return self.invalid(now, reply, ReplyProblem::NoHub);
        };
        if let Some(id) = reply.body.operation_id
            && is_operation_id(id)
        {
            self.storage.set_operation(id);
        }
        self.note(ErrorCode::AssignmentTooLarge);
        let lacking = hub.len().saturating_add(device.len()).saturating_sub(self.storage.text_max());
        if lacking > 0 {
            self.report.needed = super::storage_size(&self.identity).saturating_add(lacking);
            return self.end(Verdict::Reconfigure);
        }
        self.keep_names(reply);
        self.report.status = Some(Status::Assigned);
        self.finish(End::Assigned);
    }

    fn keep_names(&mut self, reply: &Reply<'_>) {
        let body = &reply.body;
        self.keep(Kept::Hub, body.assigned_hub);
        self.keep(Kept::Device, body.device_id);
        self.keep(Kept::Substatus, body.substatus);
        self.report.set_payload(body.payload.as_ref());
    }

    /// A good reply to a lookup.
    fn found(&mut self, now: Instant, reply: &Reply<'_>) {
        let Some(status) = reply.body.status else {
            return self.invalid(now, reply, ReplyProblem::NoStatus);
        };
        if let Err(problem) = reply.body.check_names() {
            return self.invalid(now, reply, problem);
        }
        self.forget();
        self.keep_names(reply);
        self.keep(Kept::Message, reply.body.message);
        self.report.status = Some(status);
        self.report.error_code = reply.body.error_code.unwrap_or(0);
        self.finish(End::Record);
    }

    /// A good reply that lacks what it has to say, or says what the service cannot mean.
    fn invalid(&mut self, now: Instant, reply: &Reply<'_>, problem: ReplyProblem) {
        self.note(ErrorCode::InvalidReply);
        self.report.reply_problem = Some(problem);
        self.try_later(now, reply.retry_after);
    }

    /// A final refusal inside a good reply.
    fn refused(&mut self, code: ErrorCode, reply: &Reply<'_>) {
        self.note_refusal(code, reply);
        self.end(Verdict::Never);
    }

    /// A reply with an error status.
    fn refusal(&mut self, now: Instant, reply: &Reply<'_>) {
        if reply.status == 404 && self.ask == Ask::Status && !self.restarted {
            self.restarted = true;
            self.signs = self.token == Token::Always;
            self.storage.forget_operation();
            self.ask = Ask::Register;
            self.step = Step::Ready;
        } else {
            self.note_refusal(code_of_status(reply.status), reply);
            self.follow(now, reply.retry_after);
        }
    }

    /// Takes the service's time from a refusal where none is known here, if the caller allows it.
    fn learn_time(&mut self, now: Instant, reply: &Reply<'_>) {
        let earliest = self.config.earliest;
        if let (None, Some(unix), 400..=499) = (self.config.wall, reply.date, reply.status)
            && self.config.learns_time()
            && (earliest..=earliest.plus(LATEST_SECONDS)).contains(&unix)
        {
            self.config.wall = Some(WallAnchor { at: now, unix });
            self.learned = true;
            let life = self.config.token_life.unwrap_or(LEARNED_TIME_TOKEN_LIFE);
            self.config.token_life = Some(life.min(LEARNED_TIME_TOKEN_LIFE));
            self.config.request_timeout = self.config.request_timeout.min(LEARNED_TIME_REQUEST_TIMEOUT);
        }
    }

    /// An answer to the question what time it is.
    fn time_answer(&mut self, now: Instant, reply: &Reply<'_>) {
        let is_busy = matches!(reply.status, 408 | 409 | 429 | 500..);
        if is_busy {
            self.note_refusal(code_of_status(reply.status), reply);
            self.follow(now, reply.retry_after);
        } else if self.config.wall.is_some() {
            self.step = Step::Ready;
        } else {
            self.note_refusal(ErrorCode::ClockNeeded, reply);
            self.end(Verdict::Reconfigure);
        }
    }

    /// Compares the service's time with the time here.
    fn compare_clocks(&mut self, now: Instant, date: Option<UnixSeconds>) {
        self.service_time = date;
        self.skew = 0;
        let Some(unix) = date else { return };
        let Some(wall) = self.config.wall else { return };
        let skew = wall.unix_at(now).seconds_until(unix);
        if skew.unsigned_abs() > SKEW_SECONDS {
            self.skew = skew;
        }
    }

    /// Takes the service's time, from wherever the caller has it, after the service refused a token over a transport that
    /// carries none. Where the clock here is far from it and [`Config::correct_clock`](crate::Config::correct_clock) allows
    /// it, the registration goes on, once, with a token by that time: drive it, or poll it, again.
    ///
    /// Returns whether it goes on. Where it does not, the failure tells the skew, and its hints know the clock. Without a
    /// token, as with a certificate, it never does, and nothing changes.
    pub fn correct_clock(&mut self, anchor: WallAnchor) -> bool {
        let refused_token = self.code == Some(ErrorCode::Unauthorized) && self.token != Token::Never;
        if self.report.end != End::Failed || !refused_token {
            return false;
        }
        self.compare_clocks(anchor.at, Some(anchor.unix));
        self.report.time_known = true;
        self.report.clock_skew = self.skew;
        let again =
            self.config.correct_clock && !self.corrected && self.report.clock_skew != 0 && anchor.at < self.deadline;
        if again {
            self.report.end = End::None;
            self.start_again(anchor.at);
        }
        again
    }

    /// Asks again with a token by the corrected time, which is done once.
    fn start_again(&mut self, now: Instant) {
        self.corrected = true;
        self.config.wall = self.service_time.map(|unix| WallAnchor { at: now, unix });
        self.signed = false;
        self.step = Step::Ready;
    }

    fn note_refusal(&mut self, code: ErrorCode, reply: &Reply<'_>) {
        self.note(code);
        self.report.http_status = reply.status;
        self.report.error_code = reply.body.error_code.unwrap_or(0);
        // The longest comes last: it is the one that may be cut.
        self.keep(Kept::TrackingId, reply.body.tracking_id);
        self.keep(Kept::Timestamp, reply.body.timestamp);
        self.keep(Kept::Message, reply.body.message);
    }

    fn keep(&mut self, kept: Kept, text: Option<ByteStr<'_>>) {
        let place = self.storage.push_text(text.unwrap_or_default());
        if let Some(slot) = self.report.texts.get_mut(kept as usize) {
            *slot = place;
        }
    }

    /// Tries again later, or ends, as what is noted calls for.
    fn follow(&mut self, now: Instant, hint: Option<Millis>) {
        match retry_of(self.failure_code(), self.report.http_status) {
            Retry::Later => self.try_later(now, hint),
            Retry::Never => self.end(Verdict::Never),
            Retry::Reconfigure => self.end(Verdict::Reconfigure),
        }
    }

    /// Waits as the hint says and up to a fifth more, or backs off exponentially with full jitter. "At once" is not a hint
    /// here: whoever took it at its word would ask without end.
    pub(super) fn try_later(&mut self, now: Instant, hint: Option<Millis>) {
        let hint = hint.unwrap_or(Millis::ZERO);
        let (wait, verdict) = if hint > Millis::ZERO {
            (hint.saturating_add(self.jitter.up_to(hint.fifth())), hint)
        } else {
            let bound = self.config.backoff_first.doubled(self.attempt).min(self.config.backoff_cap);
            (self.jitter.up_to(bound), bound)
        };
        self.attempt = self.attempt.saturating_add(1);
        self.wait(now, wait, verdict);
    }

    /// Waits, or fails now with what is noted when the wait would pass the deadline.
    fn wait(&mut self, now: Instant, wait: Millis, verdict: Millis) {
        self.until = now.after(wait);
        self.step = Step::Waiting;
        if self.until > self.deadline {
            self.end(Verdict::After(verdict));
        }
    }
}
