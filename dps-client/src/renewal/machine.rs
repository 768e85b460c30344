//! The state machine of one renewal at the hub: no I/O and no clock. It decides what is published and when, and what an answer
//! means.
//!
//! A request that was published and not answered is published again on the next connection, under the same request id: the hub
//! answers with the one that is active already. One that was accepted is only waited for, since the hub publishes its result to
//! whoever subscribes next. An answer that ends a request without a certificate is followed by another request id, so that a
//! late copy of it changes nothing.

use std::time::Duration;

use dps_core::{ErrorCode, Millis, Verdict};
use serde::Serialize;

use super::answer::{self, ErrorBody, Topic};
use crate::error::DpsError;

/// How often a request may replace another one, or find none to replace.
const CONFLICTS_MAX: u32 = 4;
/// The longest wait before the second connection; it doubles with each that breaks before anything was received.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(60);

/// What to do when another certificate request of the device is active at its hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnConflict {
    /// Replace it: its key may have been lost in a restart.
    #[default]
    Replace,
    /// End with `conflict`.
    Fail,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Publish this.
    Publish { topic: String, payload: String },
    /// Wait for an answer until this time, in milliseconds, and poll again then.
    Wait { until: u64 },
    /// The hub does not answer: close the connection and make another.
    Reconnect,
    /// It is over; see [`Machine::into_outcome`].
    Finished,
}

#[derive(Debug)]
enum State {
    /// To be published from this time on.
    Due(u64),
    /// Published on this connection at this time.
    Requested(u64),
    Accepted,
    /// Accepted on an earlier connection; this one is open since this time.
    Resumed(u64),
    Finished(Result<Vec<Vec<u8>>, DpsError>),
}

#[derive(Serialize)]
struct Request<'a> {
    id: &'a str,
    csr: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    replace: Option<&'a str>,
}

/// One renewal. Times are milliseconds of one clock.
#[derive(Debug)]
pub(crate) struct Machine {
    device_id: String,
    /// The certificate request in base64.
    csr: String,
    on_conflict: OnConflict,
    deadline: u64,
    /// How long an answer may take, in milliseconds.
    patience: u64,
    /// With what all request ids begin.
    prefix: String,
    /// Counts the request ids.
    requests: u32,
    replace: Option<String>,
    conflicts: u32,
    /// How many answers in a row were errors that are retried, and the last one.
    failures: u32,
    last_failure: Option<DpsError>,
    /// Makes the jitter; `None` for none.
    random: Option<fastrand::Rng>,
    state: State,
}

/// A wait before another request, in milliseconds. The jitter is added, since hubs state how long a client must wait at least.
struct Wait {
    shortest: u64,
    jitter_max: u64,
}

/// When a renewal must be over, and how long one answer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// In milliseconds of the machine's clock.
    pub(crate) deadline: u64,
    pub(crate) answer: Duration,
}

impl Machine {
    /// `seed` makes the request ids and the jitter.
    pub(crate) fn new(device_id: &str, csr: String, on_conflict: OnConflict, limits: Limits, seed: u64) -> Self {
        Self {
            device_id: device_id.to_owned(),
            csr,
            on_conflict,
            deadline: limits.deadline,
            patience: u64::try_from(limits.answer.as_millis()).unwrap_or(u64::MAX),
            prefix: format!("{seed:016x}"),
            requests: 1,
            replace: None,
            conflicts: 0,
            failures: 0,
            last_failure: None,
            random: Some(fastrand::Rng::with_seed(seed)),
            state: State::Due(0),
        }
    }

    /// The same with waits that are not jittered.
    #[cfg(test)]
    fn without_jitter(self) -> Self {
        Self { random: None, ..self }
    }

    pub(crate) fn request_id(&self) -> String {
        format!("{}-{}", self.prefix, self.requests)
    }

    /// Returns what to do next on a connection that is subscribed.
    pub(crate) fn poll(&mut self, now: u64) -> Action {
        if !matches!(self.state, State::Finished(_)) && now >= self.deadline {
            self.give_up();
        }
        match self.state {
            State::Finished(_) => Action::Finished,
            State::Accepted => Action::Wait { until: self.deadline },
            State::Due(at) if now < at => Action::Wait { until: at.min(self.deadline) },
            State::Due(_) => {
                self.state = State::Requested(now);
                let request = Request { id: &self.device_id, csr: &self.csr, replace: self.replace.as_deref() };
                // Strings are always JSON.
                let payload = serde_json::to_string(&request).unwrap_or_default();
                Action::Publish { topic: answer::request_topic(&self.request_id()), payload }
            }
            State::Resumed(at) if self.is_patient(at, now) => self.wait_since(at),
            State::Resumed(_) => {
                // The result may have been sent to the connection that broke. Under the same id, the hub tells a request that is
                // active from a new one.
                self.state = State::Due(now);
                self.poll(now)
            }
            State::Requested(at) if self.is_patient(at, now) => self.wait_since(at),
            State::Requested(_) => Action::Reconnect,
        }
    }

    fn is_patient(&self, since: u64, now: u64) -> bool {
        now < since.saturating_add(self.patience)
    }

    fn wait_since(&self, since: u64) -> Action {
        Action::Wait { until: since.saturating_add(self.patience).min(self.deadline) }
    }

    /// There is a new connection, which is subscribed.
    pub(crate) fn connected(&mut self, now: u64) {
        match self.state {
            State::Requested(_) => {
                // If it was accepted, it has replaced the other one already.
                self.replace = None;
                self.state = State::Due(now);
            }
            State::Accepted | State::Resumed(_) => self.state = State::Resumed(now),
            _ => {}
        }
    }

    /// Handles what the hub published; what answers no request of this renewal changes nothing.
    pub(crate) fn handle(&mut self, now: u64, topic: &str, payload: &[u8]) {
        let Some(topic) = Topic::parse(topic) else { return };
        let is_current = topic.request_id == self.request_id();
        match (topic.status, &self.state) {
            (_, State::Finished(_)) => {}
            // Also of an earlier request of this renewal: it is for the same key.
            (200, _) if self.is_own(topic.request_id) => self.finish_with_chain(payload),
            (202, State::Requested(_)) if is_current => self.accepted(),
            (202, _) => {}
            (status, State::Requested(_) | State::Accepted | State::Resumed(_)) if is_current => {
                self.handle_error(now, status, &ErrorBody::parse(payload));
            }
            _ => {}
        }
    }

    /// Returns the certificates as DER, or why none was issued.
    pub(crate) fn into_outcome(mut self) -> Result<Vec<Vec<u8>>, DpsError> {
        if !matches!(self.state, State::Finished(_)) {
            self.give_up();
        }
        match self.state {
            State::Finished(outcome) => outcome,
            _ => Err(DpsError::new(ErrorCode::Internal, Verdict::Never, "the renewal has no outcome".to_owned())),
        }
    }

    fn is_own(&self, request_id: &str) -> bool {
        let number = request_id.strip_prefix(self.prefix.as_str()).and_then(|rest| rest.strip_prefix('-'));
        number.and_then(|number| number.parse().ok()).is_some_and(|number: u32| (1..=self.requests).contains(&number))
    }

    fn accepted(&mut self) {
        self.replace = None;
        self.failures = 0;
        self.last_failure = None;
        self.state = State::Accepted;
    }

    fn finish_with_chain(&mut self, payload: &[u8]) {
        let code = ErrorCode::InvalidReply;
        let unreadable = || {
            let words = "the hub's answer has no certificates that can be read";
            DpsError::new(code, Verdict::Never, format!("{}: {words}", code.text()))
        };
        self.state = State::Finished(answer::certificates(payload).ok_or_else(unreadable));
    }

    fn handle_error(&mut self, now: u64, status: u16, body: &ErrorBody) {
        match status {
            409 => self.handle_conflict(now, body),
            412 if self.replace.is_some() && self.conflicts < CONFLICTS_MAX => {
                // It has ended meanwhile.
                self.conflicts += 1;
                self.request_again(now, None);
            }
            408 | 429 | 500..=599 => {
                let wait = self.wait_after(status, body);
                self.last_failure = Some(error(status, body, Verdict::After(Millis::new(wait.shortest))));
                self.failures = self.failures.saturating_add(1);
                let at = now.saturating_add(wait.shortest).saturating_add(self.jitter(wait.jitter_max));
                if at >= self.deadline {
                    return self.give_up();
                }
                self.request_again(at, self.replace.clone());
            }
            _ => self.state = State::Finished(Err(error(status, body, Verdict::Never))),
        }
    }

    fn handle_conflict(&mut self, now: u64, body: &ErrorBody) {
        let active = body.active_request.as_deref();
        if active == Some(self.request_id().as_str()) {
            // It was accepted before; the answer was lost.
            return self.accepted();
        }
        let may_replace = self.on_conflict == OnConflict::Replace || active.is_some_and(|id| self.is_own(id));
        if !may_replace || self.conflicts >= CONFLICTS_MAX {
            let wait = Millis::new(self.wait_after(409, body).shortest);
            self.state = State::Finished(Err(error(409, body, Verdict::After(wait))));
            return;
        }
        self.conflicts += 1;
        self.request_again(now, Some(active.unwrap_or("*").to_owned()));
    }

    fn request_again(&mut self, at: u64, replace: Option<String>) {
        self.requests = self.requests.saturating_add(1);
        self.replace = replace;
        self.state = State::Due(at);
    }

    /// Returns the wait before the next request: what the hub asks for, at least what its code stands for, doubled each time.
    fn wait_after(&self, status: u16, body: &ErrorBody) -> Wait {
        let least = least_wait(status, body.error_code) << self.failures.min(6);
        // A hint of more than a day is absurd.
        let hint = body.retry_after.filter(|seconds| *seconds <= 86_400).unwrap_or_default() * 1000;
        if hint > least {
            Wait { shortest: hint, jitter_max: hint / 5 }
        } else {
            Wait { shortest: least, jitter_max: least }
        }
    }

    /// Returns a random time up to `limit`, in milliseconds; 0 without jitter.
    fn jitter(&mut self, limit: u64) -> u64 {
        self.random.as_mut().map_or(0, |random| random.u64(0..=limit))
    }

    /// Returns the wait before another connection, after this many in a row that broke before anything was received. The hub
    /// states no shortest wait for connections, so that the whole wait is random.
    pub(crate) fn reconnect_wait(&mut self, broken: u32) -> Duration {
        let limit = (FIRST_WAIT * (1 << broken.min(6))).min(LAST_WAIT);
        Duration::from_millis(self.jitter(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)))
    }

    fn give_up(&mut self) {
        let words = match self.state {
            State::Accepted | State::Resumed(_) => {
                "the hub accepted the request and had not issued a certificate when the time was up"
            }
            _ => "the hub did not answer before the time was up",
        };
        let failed = self.last_failure.take().unwrap_or_else(|| {
            let code = ErrorCode::Timeout;
            DpsError::new(code, Verdict::After(Millis::ZERO), format!("{}: {words}", code.text()))
        });
        self.state = State::Finished(Err(failed));
    }
}

/// The shortest wait before another request, in milliseconds, by the hub's code, or else by the class of its status.
fn least_wait(status: u16, code: Option<u32>) -> u64 {
    match (code, status) {
        (Some(500_001), _) => 300_000,
        (Some(429_002 | 429_003), _) | (_, 429) => 1000,
        _ => 5000,
    }
}

/// Why the hub refused.
fn error(status: u16, body: &ErrorBody, verdict: Verdict) -> DpsError {
    let code = match status {
        400 | 412 => ErrorCode::BadRequest,
        401 => ErrorCode::Unauthorized,
        403 => ErrorCode::Forbidden,
        404 => ErrorCode::NotFound,
        408 => ErrorCode::RequestTimeout,
        409 => ErrorCode::Conflict,
        429 => ErrorCode::Throttled,
        500..=599 => ErrorCode::ServiceUnavailable,
        _ => ErrorCode::UnexpectedStatus,
    };
    let words = body.message.as_deref().filter(|words| !words.is_empty()).unwrap_or("without a message");
    let message = format!("the hub refused to issue a certificate: {words}");
    DpsError::new(code, verdict, message).with_facts(status, body.error_code, body.tracking_id.clone())
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
