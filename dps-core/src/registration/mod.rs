//! The state machine: what to do next, and what an answer means. The only one of the project.
//!
//! It performs no I/O, reads no clock, holds no key and knows no transport. [`Registration::poll`] returns the next
//! [`Action`], a `handle_*` call takes its answer, and after [`Action::Finished`] [`Registration::outcome`] returns how
//! it ended.
//!
//! The state is flat: small numbers that stay where they are. An enum with data in its variants is taken apart and put
//! together again at each move, which costs firmware more than all of its logic.

mod action;
mod answer;
mod jitter;
mod outcome;
mod report;
mod retry;
mod storage;

use core::marker::PhantomData;
use core::mem::MaybeUninit;

pub use action::{Action, Operation};
pub use outcome::{Assignment, Failure, Outcome, Record};
pub use storage::{OPERATION_ID_MAX, storage_size};

use crate::attestation::{Attestation, SymmetricKey};
use crate::config::Config;
use crate::credentials::{Resource, SasToken};
use crate::error::{ConfigError, ErrorCode, Misuse, Verdict};
use crate::ids::Identity;
use crate::message::{Authorization, Call, Payload, Request, RequestId, SignError};
use crate::secret::Signature;
use crate::text::TooSmall;
use crate::time::{Instant, Millis, UnixSeconds, WallAnchor};
use jitter::Jitter;
use report::{End, Report};
use storage::Storage;

/// A token must outlive the latest moment its request can be answered by this much.
const TOKEN_MARGIN_SECONDS: u32 = 60;

/// What is asked of the service, now or next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Register,
    Status,
    Lookup,
}

/// The state of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// To be asked now.
    Ready,
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
    storage: Storage<'m>,
    report: Report,
    config: Config,
    payload: Option<Payload<'m>>,
    identity: Identity<'m>,
    attestation: PhantomData<A>,
}

impl<'m> Registration<'m, SymmetricKey> {
    /// A state machine that registers the device with a symmetric key. `storage` must have [`storage_size`] bytes or
    /// more; it is wiped when the registration is dropped.
    ///
    /// # Errors
    /// [`ConfigError::Storage`] with the size that would do, [`ConfigError::PollInterval`] when it is zero.
    pub fn new(identity: Identity<'m>, config: Config, storage: &'m mut [u8]) -> Result<Self, ConfigError> {
        check(&identity, &config, storage)?;
        Ok(Self::begin_with(&identity, &config, storage))
    }

    /// As [`Registration::new`], made where it is to stay, such as in a static variable: without a copy on the stack.
    ///
    /// # Errors
    /// As [`Registration::new`].
    pub fn new_in<'p>(
        place: &'p mut MaybeUninit<Self>,
        identity: &Identity<'m>,
        config: &Config,
        storage: &'m mut [u8],
    ) -> Result<&'p mut Self, ConfigError> {
        check(identity, config, storage)?;
        Ok(place.write(Self::begin_with(identity, config, storage)))
    }

    /// A state machine that asks for the device's record without registering. HTTPS only. Its outcome is
    /// [`Outcome::Record`].
    ///
    /// # Errors
    /// As [`Registration::new`].
    pub fn lookup(identity: Identity<'m>, config: Config, storage: &'m mut [u8]) -> Result<Self, ConfigError> {
        let mut lookup = Self::new(identity, config, storage)?;
        lookup.set_lookup();
        Ok(lookup)
    }

    /// A state machine that goes on from an operation which an earlier one began. If the service has forgotten it, the
    /// device is registered afresh.
    ///
    /// # Errors
    /// [`ConfigError::OperationMismatch`] when it belongs to other names, [`ConfigError::OperationUnreadable`] when its
    /// id is too long; otherwise as [`Registration::new`].
    pub fn resume(
        identity: Identity<'m>,
        config: Config,
        storage: &'m mut [u8],
        operation: &Operation<'_>,
    ) -> Result<Self, ConfigError> {
        let mut resumed = Self::new(identity, config, storage)?;
        resumed.set_operation(operation)?;
        Ok(resumed)
    }
}

fn check(identity: &Identity<'_>, config: &Config, storage: &[u8]) -> Result<(), ConfigError> {
    let needed = storage_size(identity);
    if config.poll_interval == Millis::ZERO {
        Err(ConfigError::PollInterval)
    } else if storage.len() < needed {
        Err(ConfigError::Storage(TooSmall { needed }))
    } else {
        Ok(())
    }
}

impl<'m, A: Attestation> Registration<'m, A> {
    // Inlined, so that it is put together where it is to stay.
    #[inline(always)]
    fn begin_with(identity: &Identity<'m>, config: &Config, storage: &'m mut [u8]) -> Self {
        Self {
            step: Step::Ready,
            ask: Ask::Register,
            attempt: 0,
            started: false,
            restarted: false,
            corrected: false,
            signed: false,
            code: None,
            last_id: 0,
            generation: 0,
            jitter: Jitter::new(config.seed, identity.registration_id),
            until: Instant::from_millis(0),
            deadline: Instant::from_millis(0),
            token_expiry: UnixSeconds::new(0),
            service_time: None,
            skew: 0,
            storage: Storage::new(storage, identity),
            report: Report::NOTHING,
            config: *config,
            payload: None,
            identity: *identity,
            attestation: PhantomData,
        }
    }

    /// Makes a registration that was not polled yet a lookup: see [`Registration::lookup`].
    pub fn set_lookup(&mut self) {
        self.ask = Ask::Lookup;
    }

    /// Makes a registration that was not polled yet go on from an operation: see [`Registration::resume`].
    ///
    /// # Errors
    /// [`ConfigError::OperationMismatch`] when it belongs to other names, [`ConfigError::OperationUnreadable`] when its
    /// id is too long. Then nothing is changed.
    pub fn set_operation(&mut self, operation: &Operation<'_>) -> Result<(), ConfigError> {
        if operation.identity != self.identity {
            return Err(ConfigError::OperationMismatch);
        }
        if !self.storage.set_operation(operation.id) {
            return Err(ConfigError::OperationUnreadable);
        }
        self.ask = Ask::Status;
        Ok(())
    }

    /// Sends a custom payload along with the registration.
    #[must_use]
    pub fn with_payload(mut self, payload: Payload<'m>) -> Self {
        self.set_payload(payload);
        self
    }

    /// As [`Registration::with_payload`], in place.
    pub fn set_payload(&mut self, payload: Payload<'m>) {
        self.payload = Some(payload);
    }

    /// Sets the wall time. Tokens made later go by it.
    pub fn set_wall_anchor(&mut self, anchor: WallAnchor) {
        self.config.wall = Some(anchor);
    }

    /// When it ends at the latest; `None` before the first poll.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.started.then_some(self.deadline)
    }

    /// The wall time as it is known here: set by the caller, or learned from the service.
    #[must_use]
    pub fn wall_anchor(&self) -> Option<WallAnchor> {
        self.config.wall
    }

    /// The next thing to do. Cannot fail or block; repeated calls are harmless.
    pub fn poll(&mut self, now: Instant) -> Action {
        if !self.started {
            self.started = true;
            self.deadline = now.after(self.config.deadline);
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
            Step::Signing if begins => Action::Sign { id, respond_by: self.until },
            Step::Asked if begins => Action::Send { id, respond_by: self.until },
            _ => Action::Wait { until: self.until },
        }
    }

    /// An answer that did not come in time counts as a failure of the link, or of the signer.
    fn end_overdue_step(&mut self, now: Instant) {
        if self.step == Step::Signing {
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
        self.until = now.after(self.config.request_timeout).min(self.deadline);
        self.last_id = self.last_id.wrapping_add(1);
        self.step = Step::Asked;
        if A::SIGNS {
            let Some(wall) = self.config.wall else {
                return self.fail(ErrorCode::ClockNeeded, Verdict::Reconfigure);
            };
            let now_unix = wall.unix_at(now);
            let outliving = |moment: Instant| {
                now_unix.plus(u64::from(moment.since(now).secs_rounded_up().saturating_add(TOKEN_MARGIN_SECONDS)))
            };
            if !self.signed || self.token_expiry < outliving(self.until) {
                // A short life must not lead to signatures without end: one that comes as late as it may is still good
                // for a request.
                let latest = self.until.after(self.config.request_timeout).min(self.deadline);
                self.prepare_token(now_unix.plus(self.config.token_seconds()).max(outliving(latest)));
            }
        }
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
        let prepared = SasToken::resume(self.storage.token_mut());
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
        if matches!(self.step, Step::Signing | Step::Asked) {
            self.step = Step::Ready;
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

    /// The request whose reply is awaited.
    #[must_use]
    pub fn request(&self) -> Option<Request<'_>> {
        let id = self.awaited()?;
        let call = match self.ask {
            Ask::Register => Call::Register { payload: self.payload },
            Ask::Status => Call::Status { operation_id: self.storage.operation() },
            Ask::Lookup => Call::Lookup,
        };
        Some(Request::new(id, call, self.identity, self.authorization(), self.until))
    }

    /// The token of the request whose reply is awaited; none where TLS proves who asks.
    #[must_use]
    pub fn authorization(&self) -> Option<Authorization<'_>> {
        let has_token = A::SIGNS && self.step == Step::Asked;
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
