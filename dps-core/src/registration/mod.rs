//! The state machine: what to do next, and what an answer means. The only one of the project.
//!
//! It performs no I/O, reads no clock, holds no key and knows no transport. [`Registration::poll`] returns the next
//! [`Action`], a `handle_*` call accepts its answer, and after [`Action::Finished`] [`Registration::outcome`] returns how
//! it ended.
//!
//! The state is flat: small numbers that stay where they are. An enum with data in its variants is taken apart and put
//! together again at each move, which costs firmware more than all of its logic.

mod action;
mod activation;
mod answer;
mod jitter;
mod make;
mod members;
mod outcome;
mod report;
mod retry;
mod storage;

pub use action::{Action, Operation, checked_operation, operation_identity};
pub use outcome::{Assignment, Ended, Failure, Outcome, Record};
pub use report::Kept;
pub use storage::{OPERATION_ID_MAX, storage_size};

use crate::attestation::sealed::{Ask, Token};
use crate::attestation::{Attestation, SymmetricKey};
use crate::config::Config;
use crate::credentials::{Resource, SasToken};
use crate::error::{ErrorCode, Misuse, Verdict};
use crate::ids::Identity;
use crate::message::{Authorization, Call, Members, Payload, Request, RequestId, SignError};
use crate::secret::Signature;
use crate::time::{Instant, Millis, UnixSeconds, WallAnchor};
use jitter::Jitter;
use report::{End, Report};
use storage::Storage;

/// A token must outlive the latest moment its request can be answered by this much.
const TOKEN_MARGIN_SECONDS: u32 = 60;

/// The state of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// To be asked now.
    Ready,
    /// The activation of the challenge is awaited, until `until`.
    Activating,
    /// A signature is awaited, until `until`.
    Signing,
    /// A reply is awaited, until `until`.
    Asked,
    /// To be asked at `until`.
    Waiting,
    /// It is over.
    Finished,
}

/// One device's registration, from the first request to the outcome.
///
/// ```
/// use dps_core::{Action, Config, Endpoint, IdScope, Identity, Instant, Registration, RegistrationId};
/// use dps_core::{UnixSeconds, WallAnchor};
///
/// let identity = Identity {
///     endpoint: Endpoint::GLOBAL,
///     id_scope: IdScope::new("0ne00A1B2C3")?,
///     registration_id: RegistrationId::new("dev-01")?,
/// };
/// let now = Instant::from_millis(0);
/// let config = Config::new().wall_anchor(WallAnchor { at: now, unix: UnixSeconds::new(1_767_225_600) });
/// let mut storage = [0; 1024];
/// let mut registration = Registration::new(identity, config, &mut storage)?;
/// // First a token has to be signed; the key stays with the caller.
/// assert!(matches!(registration.poll(now), Action::Sign { .. }));
/// assert!(registration.to_sign().starts_with(b"0ne00A1B2C3%2Fregistrations%2Fdev-01\n"));
/// # Ok::<(), dps_core::ConfigError>(())
/// ```
// Small fields first: a Cortex-M reaches those with short instructions.
#[repr(C)]
pub struct Registration<'m, A: Attestation = SymmetricKey> {
    step: Step,
    ask: Ask,
    attempt: u8,
    started: bool,
    restarted: bool,
    corrected: bool,
    /// Whether `config.wall` was learned from the service.
    learned: bool,
    /// Whether the time is asked for.
    asks_time: bool,
    /// Whether the last reply holds a challenge that is to be activated.
    challenged: bool,
    /// When the requests of this attestation carry a token, and whether they do now.
    token: Token,
    signs: bool,
    signed: bool,
    /// What went wrong last; apart from the report, which is all zeros to begin with.
    code: Option<ErrorCode>,
    last_id: u32,
    generation: u32,
    jitter: Jitter,
    until: Instant,
    deadline: Instant,
    token_expiry: UnixSeconds,
    /// The date of the last reply, and how many seconds the clock here is behind it, where far; 0 otherwise.
    service_time: Option<UnixSeconds>,
    skew: i64,
    /// Where the body starts in the reply buffer.
    body_start: usize,
    storage: Storage<'m>,
    report: Report,
    config: Config,
    payload: Option<Payload<'m>>,
    identity: Identity<'m>,
    attestation: A,
}

impl<'m, A: Attestation> Registration<'m, A> {
    /// Sets the wall time. Tokens made later go by it.
    pub fn set_wall_anchor(&mut self, anchor: WallAnchor) {
        self.config.wall = Some(anchor);
        self.learned = false;
    }

    /// When it ends at the latest; `None` before the first poll.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.started.then_some(self.deadline)
    }

    /// The wall time as it is known here: set by the caller, or the service's.
    #[must_use]
    pub fn wall_anchor(&self) -> Option<WallAnchor> {
        self.config.wall
    }

    /// Whether the wall time was learned from the service ([`Config::learn_time`]): good for the tokens of this
    /// registration and for nothing else. Do not store it, or set a clock by it.
    #[must_use]
    pub fn is_time_learned(&self) -> bool {
        self.learned
    }

    /// The next thing to do. Cannot fail or block; repeated calls are harmless.
    pub fn poll(&mut self, now: Instant) -> Action {
        if !self.started {
            self.started = true;
            self.deadline = now.after(self.config.timeout);
        }
        if now >= self.until {
            self.end_overdue_step(now);
        }
        let begins = self.step == Step::Ready;
        if begins {
            self.begin(now);
        }
        let id = RequestId::new(self.last_id);
        match self.step {
            Step::Finished | Step::Ready => Action::Finished,
            Step::Activating if begins => Action::Activate { id, respond_by: self.until },
            Step::Signing if begins => Action::Sign { id, respond_by: self.until },
            Step::Asked if begins => Action::Send { id, respond_by: self.until },
            _ => Action::Wait { until: self.until },
        }
    }

    /// An answer that did not come in time counts as a failure of the link, or of the signer.
    fn end_overdue_step(&mut self, now: Instant) {
        if matches!(self.step, Step::Activating | Step::Signing) {
            self.fail(ErrorCode::SignerTimeout, Verdict::Never);
        }
        if self.step == Step::Asked {
            // A request that the deadline cut short says less than what went wrong before it.
            if self.until < self.deadline || self.code.is_none() {
                self.note(ErrorCode::Timeout);
            }
            self.try_later(now, None);
        }
        if self.step == Step::Waiting && now >= self.until {
            self.step = Step::Ready;
        }
    }

    /// Asks, or asks for a token first.
    fn begin(&mut self, now: Instant) {
        if now >= self.deadline {
            return self.end(Verdict::After(self.config.poll_interval));
        }
        self.until = self.answered_by(now);
        self.last_id = self.last_id.wrapping_add(1);
        self.step = Step::Asked;
        self.asks_time = false;
        if self.challenged {
            self.step = Step::Activating;
            return;
        }
        // Before anything is signed or sent.
        if !self.attestation.allows(self.ask) {
            return self.fail(ErrorCode::CertificateRequest, Verdict::Reconfigure);
        }
        if self.signs {
            let Some(wall) = self.config.wall else {
                self.asks_time = self.config.learns_time();
                if !self.asks_time {
                    self.fail(ErrorCode::ClockNeeded, Verdict::Reconfigure);
                }
                return;
            };
            let now_unix = wall.unix_at(now);
            let outliving = |moment: Instant| {
                now_unix.plus(u64::from(moment.since(now).secs_rounded_up().saturating_add(TOKEN_MARGIN_SECONDS)))
            };
            if !self.signed || self.token_expiry < outliving(self.until) {
                // A short life must not lead to signatures without end: one that comes as late as it may is still good
                // for a request.
                let latest = self.answered_by(self.until);
                self.prepare_token(now_unix.plus(self.config.token_seconds()).max(outliving(latest)));
            }
        }
    }

    /// The latest moment at which what is asked at `moment` is answered.
    #[inline(never)] // Inlined at its two calls, it would be in firmware twice.
    fn answered_by(&self, moment: Instant) -> Instant {
        moment.after(self.config.request_timeout).min(self.deadline)
    }

    fn prepare_token(&mut self, expiry: UnixSeconds) {
        self.step = Step::Signing;
        self.signed = false;
        self.token_expiry = expiry;
        self.storage.wipe_token();
        let resource = Resource::registration(self.identity.id_scope, self.identity.registration_id);
        let prepared = SasToken::prepare(&resource, expiry, self.storage.token_mut());
        let length = prepared.map_or(0, |token| token.signed_end());
        self.storage.set_token_len(length);
    }

    /// What has to be signed by HMAC-SHA256 with the device's key; empty when no signature is awaited.
    #[must_use]
    pub fn to_sign(&self) -> &[u8] {
        match self.step {
            Step::Signing => SasToken::to_sign_in(self.storage.token().as_bytes()),
            _ => &[],
        }
    }

    /// Takes the signature that was asked for.
    ///
    /// # Errors
    /// [`Misuse`] when no signature with this id is awaited.
    pub fn handle_signature(&mut self, now: Instant, id: RequestId, signature: &Signature) -> Result<(), Misuse> {
        let _ = now;
        self.expect(Step::Signing, id)?;
        let prepared = SasToken::resume_own(self.storage.token_mut());
        let length = prepared.map_or(0, |prepared| prepared.finish(signature).len());
        self.storage.set_token_len(length);
        self.signed = true;
        self.generation = self.generation.wrapping_add(1);
        self.step = Step::Ready;
        Ok(())
    }

    /// Takes word that there will be no signature. The registration ends with it.
    ///
    /// # Errors
    /// [`Misuse`] when no signature with this id is awaited.
    pub fn handle_sign_error(&mut self, now: Instant, id: RequestId, error: SignError) -> Result<(), Misuse> {
        let _ = (now, error);
        self.expect(Step::Signing, id)?;
        self.fail(ErrorCode::SignerFailed, Verdict::Never);
        Ok(())
    }

    /// Refuses an answer that is not the awaited one.
    fn expect(&self, step: Step, answered: RequestId) -> Result<(), Misuse> {
        if self.step == step && self.last_id == answered.get() { Ok(()) } else { Err(Misuse) }
    }

    /// Takes back whatever is pending, so that it is asked for again at the next poll. For a driver that lost track,
    /// such as a future that was dropped.
    pub fn abandon(&mut self) {
        if matches!(self.step, Step::Activating | Step::Signing | Step::Asked) {
            self.step = Step::Ready;
            // The reply that holds the challenge may be lost too; the service sends another.
            self.challenged = false;
        }
    }

    /// Ends the registration now, unless it is over; the operation stays exportable.
    pub fn cancel(&mut self) {
        self.stop(ErrorCode::Cancelled);
    }

    /// Ends the registration for a reason of the driver's, unless it is over.
    pub(crate) fn stop(&mut self, code: ErrorCode) {
        if self.step != Step::Finished {
            self.fail(code, Verdict::After(Millis::ZERO));
        }
    }

    /// Whom the registration is for.
    #[must_use]
    pub const fn identity(&self) -> Identity<'m> {
        self.identity
    }

    /// The id of the request whose reply is awaited.
    #[must_use]
    pub fn awaited(&self) -> Option<RequestId> {
        (self.step == Step::Asked).then_some(RequestId::new(self.last_id))
    }

    /// What is asked of the service in the request whose reply is awaited.
    #[must_use]
    pub fn call(&self) -> Option<Call<'_>> {
        let call = match self.ask {
            _ if self.asks_time => Call::Time,
            Ask::Register => Call::Register { payload: self.payload, members: Members(&self.attestation) },
            Ask::Status => Call::Status { operation_id: self.storage.operation() },
            Ask::Lookup => Call::Lookup,
        };
        (self.step == Step::Asked).then_some(call)
    }

    /// The request whose reply is awaited.
    #[must_use]
    pub fn request(&self) -> Option<Request<'_>> {
        Some(Request::new(self.awaited()?, self.call()?, self.identity, self.authorization(), self.until))
    }

    /// As [`Registration::request`], but for a lookup with a TPM, which is a [`Call::LookupWithMembers`]. [`drive`](crate::drive)
    /// sends it.
    #[must_use]
    pub fn request_with_members(&self) -> Option<Request<'_>> {
        let mut request = self.request()?;
        if self.ask == Ask::Lookup && self.token == Token::AfterChallenge {
            request.call = Call::LookupWithMembers { members: Members(&self.attestation) };
        }
        Some(request)
    }

    /// The token of the request whose reply is awaited; none where it has none.
    #[must_use]
    pub fn authorization(&self) -> Option<Authorization<'_>> {
        let has_token = self.signs && !self.asks_time && self.step == Step::Asked;
        has_token.then(|| Authorization::new(self.storage.token(), self.generation))
    }

    /// The operation under way, to be stored so that a restarted device goes on from it.
    #[must_use]
    pub fn operation(&self) -> Option<Operation<'_>> {
        let id = self.storage.operation();
        (!id.is_empty()).then_some(Operation { identity: self.identity, id })
    }

    /// Forgets what was noted before and notes what went wrong now.
    fn note(&mut self, code: ErrorCode) {
        self.forget();
        self.code = Some(code);
    }

    /// Forgets what was noted.
    fn forget(&mut self) {
        self.storage.wipe_texts();
        self.report = Report::NOTHING;
        self.code = None;
    }

    /// Ends with a failure.
    fn fail(&mut self, code: ErrorCode, verdict: Verdict) {
        self.note(code);
        self.end(verdict);
    }

    /// Ends with the failure that is noted.
    fn end(&mut self, verdict: Verdict) {
        self.report.verdict = verdict;
        self.finish(End::Failed);
    }

    fn finish(&mut self, end: End) {
        self.report.end = end;
        self.step = Step::Finished;
        self.signed = false;
        self.storage.wipe_token();
    }
}

impl<A: Attestation> core::fmt::Debug for Registration<'_, A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Registration")
            .field("identity", &self.identity)
            .field("step", &self.step)
            .field("ask", &self.ask)
            .finish_non_exhaustive()
    }
}
