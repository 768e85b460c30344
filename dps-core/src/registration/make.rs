//! How a registration is made: from names, an attestation, a policy and the caller's memory.

use core::mem::MaybeUninit;

use super::jitter::Jitter;
use super::report::Report;
use super::storage::{Storage, storage_size};
use super::{Operation, Registration, Step};
use crate::attestation::sealed::{Ask, Token};
use crate::attestation::{Attestation, SymmetricKey};
use crate::config::Config;
use crate::error::{ConfigError, Misuse};
use crate::ids::Identity;
use crate::message::Payload;
use crate::text::TooSmall;
use crate::time::{Instant, Millis, UnixSeconds};

impl<'m> Registration<'m, SymmetricKey> {
    /// A state machine that registers the device with a symmetric key. `storage` must have [`storage_size`] bytes or
    /// more; it is wiped when the registration is dropped.
    ///
    /// # Errors
    /// [`ConfigError::Storage`] with the size that would do, [`ConfigError::PollInterval`] when it is zero.
    pub fn new(identity: Identity<'m>, config: Config, storage: &'m mut [u8]) -> Result<Self, ConfigError> {
        Self::with_attestation(identity, SymmetricKey, config, storage)
    }

    /// A state machine that asks for the device's record without registering. HTTPS only. Its outcome is
    /// [`Outcome::Record`](crate::Outcome::Record).
    ///
    /// # Errors
    /// As [`Registration::new`].
    pub fn lookup(identity: Identity<'m>, config: Config, storage: &'m mut [u8]) -> Result<Self, ConfigError> {
        let mut lookup = Self::new(identity, config, storage)?;
        lookup.ask = Ask::Lookup;
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
    /// As [`Registration::new`], with any attestation.
    ///
    /// # Errors
    /// As [`Registration::new`].
    pub fn with_attestation(
        identity: Identity<'m>,
        attestation: A,
        config: Config,
        storage: &'m mut [u8],
    ) -> Result<Self, ConfigError> {
        check(&identity, &config, storage)?;
        Ok(Self::begin_with(&identity, attestation, &config, storage))
    }

    /// As [`Registration::with_attestation`], made where it is to stay, such as in a static variable: without a copy on
    /// the stack.
    ///
    /// # Errors
    /// As [`Registration::new`].
    pub fn new_in<'p>(
        place: &'p mut MaybeUninit<Self>,
        identity: &Identity<'m>,
        attestation: A,
        config: &Config,
        storage: &'m mut [u8],
    ) -> Result<&'p mut Self, ConfigError> {
        check(identity, config, storage)?;
        Ok(place.write(Self::begin_with(identity, attestation, config, storage)))
    }

    // Inlined, so that it is put together where it is to stay.
    #[inline(always)]
    fn begin_with(identity: &Identity<'m>, attestation: A, config: &Config, storage: &'m mut [u8]) -> Self {
        let token = attestation.token();
        Self {
            step: Step::Ready,
            ask: Ask::Register,
            attempt: 0,
            started: false,
            restarted: false,
            corrected: false,
            learned: false,
            asks_time: false,
            challenged: false,
            token,
            signs: token == Token::Always,
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
            body_start: 0,
            storage: Storage::new(storage, identity),
            report: Report::NOTHING,
            config: *config,
            payload: None,
            identity: *identity,
            attestation,
        }
    }

    /// The attestation, while another one can be made of it that sends a certificate request too; `None` for a lookup, where
    /// there is a request already, and once the registration was polled.
    #[doc(hidden)]
    #[must_use]
    pub fn attestation_for_request(&self) -> Option<&A> {
        let is_free = !self.started && self.ask != Ask::Lookup && self.attestation.allows(Ask::Lookup);
        is_free.then_some(&self.attestation)
    }

    /// Sets another attestation of the same type on a registration that was not polled yet. Where that type stands for all of them,
    /// as in C, a firmware that never calls this is not larger for those that it does not use.
    #[doc(hidden)]
    pub fn set_attestation(&mut self, attestation: A) {
        self.token = attestation.token();
        self.signs = self.token == Token::Always;
        self.attestation = attestation;
    }

    /// Makes a registration that was not polled yet a lookup: see [`Registration::lookup`].
    ///
    /// # Errors
    /// [`Misuse`] for a [`WithCertificateRequest`](crate::WithCertificateRequest), which only a registration can carry. Then nothing
    /// is changed.
    pub fn set_lookup(&mut self) -> Result<(), Misuse> {
        if !self.attestation.allows(Ask::Lookup) {
            return Err(Misuse);
        }
        self.ask = Ask::Lookup;
        Ok(())
    }

    /// Makes a registration that was not polled yet go on from an operation: see [`Registration::resume`]. A device with a TPM is
    /// registered afresh: the key that its polls were signed with was in memory.
    ///
    /// # Errors
    /// [`ConfigError::OperationMismatch`] when it belongs to other names, [`ConfigError::OperationUnreadable`] when its
    /// id is too long. Then nothing is changed.
    pub fn set_operation(&mut self, operation: &Operation<'_>) -> Result<(), ConfigError> {
        if operation.identity != self.identity {
            return Err(ConfigError::OperationMismatch);
        }
        if self.token == Token::AfterChallenge {
            return Ok(());
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
}
