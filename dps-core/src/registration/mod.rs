//! The registration machine: what to do next, and what an answer means. The only state machine of the project.
//!
//! It performs no I/O, reads no clock, holds no key and knows no transport. [`Registration::poll`] names the next
//! [`Action`], `handle_*` takes its answer, and after [`Action::Finished`] [`Registration::outcome`] tells how it ended.

mod action;
mod answer;
mod jitter;
mod retry;
mod state;
mod storage;

use core::marker::PhantomData;

pub use action::{Action, Operation};
pub use storage::{OPERATION_ID_MAX, storage_size};

use crate::attestation::{Attestation, SymmetricKey};
use crate::config::Config;
use crate::credentials::{Resource, SasToken};
use crate::error::{ConfigError, ErrorCode, Evidence, Misuse, Verdict};
use crate::ids::Identity;
use crate::message::{Authorization, Call, Payload, Request, RequestId, SignError};
use crate::outcome::{Assignment, Failure, Outcome, Record};
use crate::secret::Signature;
use crate::time::{Instant, Millis, UnixSeconds, WallAnchor};
use jitter::Jitter;
use state::{Ask, Cause, End, Step};
use storage::{Place, Storage};

/// A token must outlive the latest moment its request can be answered by this much.
const TOKEN_MARGIN_SECONDS: u64 = 60;

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
/// // First it wants a token signed; the key stays with the caller.
/// assert!(matches!(registration.poll(now), Action::Sign { .. }));
/// # Ok::<(), dps_core::ConfigError>(())
/// ```
pub struct Registration<'m, A: Attestation = SymmetricKey> {
    identity: Identity<'m>,
    payload: Option<Payload<'m>>,
    config: Config,
    storage: Storage<'m>,
    step: Step,
    deadline: Option<Instant>,
    wall: Option<WallAnchor>,
    token: Option<Token>,
    generation: u32,
    last_id: u32,
    attempt: u8,
    restarted: bool,
    corrected: bool,
    last_ask: Ask,
    jitter: Jitter,
    cause: Option<Cause>,
    end: Option<End>,
    attestation: PhantomData<A>,
}

/// A token that is being signed, or signed.
#[derive(Clone, Copy)]
struct Token {
    expiry: UnixSeconds,
    signed: bool,
}

impl<'m> Registration<'m, SymmetricKey> {
    /// A machine that registers the device with a symmetric key. `storage` must have [`storage_size`] bytes or more; it is wiped when the
    /// machine is dropped.
    ///
    /// # Errors
    /// [`ConfigError::Storage`] with the size that would do, [`ConfigError::PollInterval`] when it is zero.
    pub fn new(identity: Identity<'m>, config: Config, storage: &'m mut [u8]) -> Result<Self, ConfigError> {
        Self::with_first_ask(identity, config, storage, Ask::Register)
    }

    /// A machine that asks for the device's record without registering. HTTPS only. Its outcome is
    /// [`Outcome::Record`].
    ///
    /// # Errors
    /// As [`Registration::new`].
    pub fn lookup(identity: Identity<'m>, config: Config, storage: &'m mut [u8]) -> Result<Self, ConfigError> {
        Self::with_first_ask(identity, config, storage, Ask::Lookup)
    }

    /// A machine that goes on from an operation which an earlier one began. If the service has forgotten it, the
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
        if operation.identity != identity {
            return Err(ConfigError::OperationMismatch);
        }
        let mut machine = Self::with_first_ask(identity, config, storage, Ask::Status)?;
        if machine.storage.operation.replace(operation.id) {
            Ok(machine)
        } else {
            Err(ConfigError::OperationUnreadable)
        }
    }
}

impl<'m, A: Attestation> Registration<'m, A> {
    fn with_first_ask(
        identity: Identity<'m>,
        config: Config,
        storage: &'m mut [u8],
        ask: Ask,
    ) -> Result<Self, ConfigError> {
        if config.poll_interval == Millis::ZERO {
            return Err(ConfigError::PollInterval);
        }
        Ok(Self {
            identity,
            payload: None,
            config,
            storage: Storage::new(storage, &identity)?,
            step: Step::Ready(ask),
            deadline: None,
            wall: config.wall,
            token: None,
            generation: 0,
            last_id: 0,
            attempt: 0,
            restarted: false,
            corrected: false,
            last_ask: ask,
            jitter: Jitter::new(config.seed, identity.registration_id),
            cause: None,
            end: None,
            attestation: PhantomData,
        })
    }

    /// Sends a custom payload along with the registration.
    #[must_use]
    pub fn with_payload(mut self, payload: Payload<'m>) -> Self {
        self.payload = Some(payload);
        self
    }

    /// Says what the wall time is. Tokens made later go by it.
    pub fn set_wall_anchor(&mut self, anchor: WallAnchor) {
        self.wall = Some(anchor);
    }

    /// When it ends at the latest; `None` before the first poll.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The wall time as it is known here: set by the caller, or learned from the service.
    #[must_use]
    pub fn wall_anchor(&self) -> Option<WallAnchor> {
        self.wall
    }

    /// The next thing to do. Cannot fail or block; repeated calls are harmless.
    pub fn poll(&mut self, now: Instant) -> Action<'_> {
        let deadline = *self.deadline.get_or_insert(now.after(self.config.deadline));
        self.end_overdue_step(now);
        if let Step::Waiting { ask, until } = self.step
            && now >= until
        {
            self.step = Step::Ready(ask);
        }
        if let Step::Ready(ask) = self.step {
            return if now >= deadline { self.out_of_time() } else { self.begin(ask, now, deadline) };
        }
        match self.step {
            Step::Signing { by: until, .. } | Step::Asked { by: until, .. } | Step::Waiting { until, .. } => {
                Action::Wait { until }
            }
            Step::Finished | Step::Ready(_) => Action::Finished,
        }
    }

    /// An answer that did not come in time counts as a failure of the link, or of the signer.
    fn end_overdue_step(&mut self, now: Instant) {
        match self.step {
            Step::Signing { by, .. } if now >= by => self.fail(Cause::new(ErrorCode::SignerTimeout), Verdict::Never),
            Step::Asked { ask, by, .. } if now >= by => {
                // A request that the deadline cut short says less than what went wrong before it.
                let cut_short = self.deadline.is_some_and(|deadline| by >= deadline);
                let cause = self.cause.filter(|_| cut_short).unwrap_or(Cause::new(ErrorCode::Timeout));
                self.try_later(now, ask, cause, None);
            }
            _ => {}
        }
    }

    fn out_of_time(&mut self) -> Action<'_> {
        let cause = self.cause.unwrap_or(Cause::new(ErrorCode::DeadlineExceeded));
        self.fail(cause, Verdict::After(self.config.poll_interval));
        Action::Finished
    }

    /// Asks, or asks for a token first.
    fn begin(&mut self, ask: Ask, now: Instant, deadline: Instant) -> Action<'_> {
        let by = now.after(self.config.request_timeout).min(deadline);
        self.last_ask = ask;
        self.last_id = self.last_id.wrapping_add(1);
        let id = RequestId::new(self.last_id);
        if A::SIGNS {
            let Some(wall) = self.wall else {
                self.fail(Cause::new(ErrorCode::ClockNeeded), Verdict::Reconfigure);
                return Action::Finished;
            };
            let needed_until = wall.unix_at(by).plus(TOKEN_MARGIN_SECONDS);
            if !self.token.is_some_and(|token| token.signed && token.expiry >= needed_until) {
                // A short life must not make the machine ask for signatures without end: one that comes as late as it
                // may is still good for a request.
                let latest = by.after(self.config.request_timeout).min(deadline);
                let least = wall.unix_at(latest).plus(TOKEN_MARGIN_SECONDS);
                let expiry = wall.unix_at(now).plus(self.config.token_seconds()).max(least);
                return self.ask_for_signature(ask, id, by, expiry);
            }
        }
        self.step = Step::Asked { ask, id, by };
        Action::Send(self.request_of(ask, id, by))
    }

    fn request_of(&self, ask: Ask, id: RequestId, by: Instant) -> Request<'_> {
        let call = match ask {
            Ask::Register => Call::Register { payload: self.payload },
            Ask::Status => Call::Status { operation_id: self.storage.operation.text() },
            Ask::Lookup => Call::Lookup,
        };
        let authorization = A::SIGNS.then(|| Authorization::new(self.storage.token.text(), self.generation));
        Request::new(id, call, self.identity, authorization, by)
    }

    fn ask_for_signature(&mut self, ask: Ask, id: RequestId, by: Instant, expiry: UnixSeconds) -> Action<'_> {
        self.step = Step::Signing { ask, id, by };
        self.token = Some(Token { expiry, signed: false });
        self.storage.token.wipe();
        match SasToken::prepare(Resource::Registration(self.identity), expiry, self.storage.token.bytes_mut()) {
            Ok(token) => Action::Sign { id, to_sign: token.into_to_sign(), respond_by: by },
            // The slot was cut to size, so that this cannot be; the type wants an answer all the same.
            Err(_) => Action::Wait { until: by },
        }
    }

    /// Takes the signature that was asked for.
    ///
    /// # Errors
    /// [`Misuse`] when no signature with this id is awaited.
    pub fn handle_signature(&mut self, now: Instant, id: RequestId, signature: &Signature) -> Result<(), Misuse> {
        let _ = now;
        let (ask, token) = self.signing(id)?;
        let prepared =
            SasToken::prepare(Resource::Registration(self.identity), token.expiry, self.storage.token.bytes_mut());
        let length = prepared.and_then(|prepared| prepared.finish(signature)).map(str::len).unwrap_or(0);
        self.storage.token.set_len(length);
        self.token = Some(Token { signed: true, ..token });
        self.generation = self.generation.wrapping_add(1);
        self.step = Step::Ready(ask);
        Ok(())
    }

    /// Takes word that there will be no signature. The registration ends with it.
    ///
    /// # Errors
    /// [`Misuse`] when no signature with this id is awaited.
    pub fn handle_sign_error(&mut self, now: Instant, id: RequestId, error: SignError) -> Result<(), Misuse> {
        let _ = (now, error);
        self.signing(id)?;
        self.fail(Cause::new(ErrorCode::SignerFailed), Verdict::Never);
        Ok(())
    }

    fn signing(&self, answered: RequestId) -> Result<(Ask, Token), Misuse> {
        match (self.step, self.token) {
            (Step::Signing { ask, id, .. }, Some(token)) if id == answered => Ok((ask, token)),
            _ => Err(Misuse),
        }
    }

    /// Takes back whatever is pending, so that it is asked for again at the next poll. For a driver that lost track,
    /// such as a future that was dropped.
    pub fn abandon(&mut self) {
        if let Step::Signing { ask, .. } | Step::Asked { ask, .. } = self.step {
            self.step = Step::Ready(ask);
        }
    }

    /// Ends the registration now, unless it is over; the operation stays exportable.
    pub fn cancel(&mut self) {
        self.stop(ErrorCode::Cancelled);
    }

    /// Ends the registration for a reason of the driver's, unless it is over.
    pub(crate) fn stop(&mut self, code: ErrorCode) {
        if !matches!(self.step, Step::Finished) {
            self.fail(Cause::new(code), Verdict::After(Millis::ZERO));
        }
    }

    /// Whom the registration is for.
    #[must_use]
    pub const fn identity(&self) -> Identity<'m> {
        self.identity
    }

    /// The request whose reply is awaited, for a driver that writes it in several steps.
    #[must_use]
    pub fn request(&self) -> Option<Request<'_>> {
        match self.step {
            Step::Asked { ask, id, by } => Some(self.request_of(ask, id, by)),
            _ => None,
        }
    }

    /// The operation under way, to be stored so that a restarted device goes on from it.
    #[must_use]
    pub fn operation(&self) -> Option<Operation<'_>> {
        let id = self.storage.operation.text();
        (!id.is_empty()).then_some(Operation { identity: self.identity, id })
    }

    /// How it ended; `None` while it has not.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome<'_>> {
        let text = |place: Option<Place>| place.map(|place| self.storage.texts.at(place));
        Some(match self.end.as_ref()? {
            End::Assigned { hub, device, substatus, payload } => Outcome::Assigned(Assignment {
                assigned_hub: self.storage.texts.at(*hub),
                device_id: self.storage.texts.at(*device),
                substatus: text(*substatus),
                operation_id: self.operation().map(|operation| operation.id),
                payload: payload.clone(),
            }),
            End::Record(record) => Outcome::Record(Record {
                status: record.status,
                assigned_hub: text(record.hub),
                device_id: text(record.device),
                substatus: text(record.substatus),
                error_code: record.error_code,
                message: text(record.message),
                payload: record.payload.clone(),
            }),
            End::Failed { verdict } => Outcome::Failed(self.failure(*verdict)),
        })
    }

    fn failure(&self, verdict: Verdict) -> Failure<'_> {
        let cause = self.cause.unwrap_or(Cause::new(ErrorCode::Internal));
        let text = |place: Option<Place>| place.map(|place| self.storage.texts.at(place));
        Failure {
            code: cause.code,
            verdict,
            http_status: cause.http_status,
            error_code: cause.error_code,
            tracking_id: text(cause.tracking_id),
            message: text(cause.message),
            timestamp: text(cause.timestamp),
            clock_skew: cause.clock_skew,
            needed: cause.needed,
            reply_problem: cause.reply_problem,
            evidence: Evidence {
                upper_case_id: self.identity.registration_id.has_upper_case(),
                key: self.config.key,
                clock_skew: cause.clock_skew,
                time_known: cause.time_known || self.corrected,
                refused_at_connect: cause.refused_at_connect,
                error_code: cause.error_code,
                http_status: cause.http_status,
            },
        }
    }

    fn fail(&mut self, cause: Cause, verdict: Verdict) {
        self.cause = Some(cause);
        self.finish(End::Failed { verdict });
    }

    fn finish(&mut self, end: End) {
        self.end = Some(end);
        self.step = Step::Finished;
        self.token = None;
        self.storage.token.wipe();
    }
}

impl<A: Attestation> core::fmt::Debug for Registration<'_, A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Registration")
            .field("identity", &self.identity)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}
