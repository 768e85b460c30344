//! What the state machine asks of its driver, and what a restarted device goes on from.

use crate::error::ConfigError;
use crate::ids::{Endpoint, IdScope, Identity, RegistrationId, is_operation_id};
use crate::message::RequestId;
use crate::text::{self, ByteStr, Text, TooSmall};
use crate::time::Instant;

/// The next thing to do. [`Action::Sign`], [`Action::Activate`] and [`Action::Send`] are returned once; until they are
/// answered, polling returns [`Action::Wait`].
///
/// A driver handles every action: a new one would be a breaking change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "an action that is not carried out is returned only once"]
pub enum Action {
    /// HMAC-SHA256 [`to_sign`](crate::Registration::to_sign) with the device's key, which never comes with a certificate
    /// ([`X509`](crate::X509)); answer with
    /// [`handle_signature`](crate::Registration::handle_signature) or
    /// [`handle_sign_error`](crate::Registration::handle_sign_error).
    Sign {
        /// Goes back with the answer.
        id: RequestId,
        /// After this moment it counts as unanswered.
        respond_by: Instant,
    },
    /// Only for a TPM ([`Tpm`](crate::Tpm)): activate the [`challenge`](crate::Registration::challenge), which
    /// makes it hold the key for the next tokens; answer with
    /// [`handle_activation`](crate::Registration::handle_activation) or
    /// [`handle_activate_error`](crate::Registration::handle_activate_error). The buffer of the last reply must not be
    /// changed before.
    Activate {
        /// Goes back with the answer.
        id: RequestId,
        /// After this moment it counts as unanswered.
        respond_by: Instant,
    },
    /// Send the [`request`](crate::Registration::request); answer with
    /// [`handle_reply`](crate::Registration::handle_reply) or
    /// [`handle_link_error`](crate::Registration::handle_link_error).
    Send {
        /// Goes back with the answer.
        id: RequestId,
        /// After this moment it counts as unanswered.
        respond_by: Instant,
    },
    /// There is nothing to do before `until`, unless an answer comes; poll again then.
    Wait {
        /// The moment to poll at.
        until: Instant,
    },
    /// It is over; read [`outcome`](crate::Registration::outcome).
    Finished,
}

/// An operation under way, bound to the names it belongs to: what to store so that a restarted device asks on instead
/// of registering again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    pub(super) identity: Identity<'a>,
    pub(super) id: ByteStr<'a>,
}

const MAGIC: &str = "dps-operation/1";

impl<'a> Operation<'a> {
    /// Reads what [`Operation::write`] wrote; a line feed after it does no harm.
    ///
    /// # Errors
    /// [`ConfigError::OperationUnreadable`] when it is anything else.
    pub fn parse(text: &'a str) -> Result<Self, ConfigError> {
        let mut words = text::split(text.trim_ascii(), b' ');
        let mut next = || words.next().ok_or(ConfigError::OperationUnreadable);
        if next()? != MAGIC {
            return Err(ConfigError::OperationUnreadable);
        }
        let unreadable = |_| ConfigError::OperationUnreadable;
        let identity = Identity {
            endpoint: Endpoint::new(next()?).map_err(unreadable)?,
            id_scope: IdScope::new(next()?).map_err(unreadable)?,
            registration_id: RegistrationId::new(next()?).map_err(unreadable)?,
        };
        let id = next()?;
        if !is_operation_id(id) || words.next().is_some() {
            return Err(ConfigError::OperationUnreadable);
        }
        Ok(Self { identity, id: id.into() })
    }

    /// Writes one line: a mark of the format, endpoint, id scope, registration id, operation id. No secret is in it.
    ///
    /// # Errors
    /// [`TooSmall`] with the size that would do.
    pub fn write<'o>(&self, out: &'o mut [u8]) -> Result<&'o str, TooSmall> {
        let mut text = Text::new(out);
        self.write_to(&mut text);
        text.finish()
    }

    /// Writes the same into text of the caller's.
    pub fn write_to(&self, text: &mut Text<'_>) {
        text.push(MAGIC);
        text.push_byte(b' ');
        self.identity.endpoint.write(text);
        for word in [self.identity.id_scope.as_bytes(), self.identity.registration_id.as_bytes(), self.id.as_bytes()] {
            text.push_byte(b' ');
            text.push(word);
        }
    }

    /// The service's id of the operation.
    #[must_use]
    pub const fn id(&self) -> ByteStr<'a> {
        self.id
    }
}

/// An operation from parts that were parsed before: see `ids::checked`.
#[must_use]
pub fn checked_operation<'a>(identity: Identity<'a>, id: &'a str) -> Operation<'a> {
    debug_assert!(is_operation_id(id));
    Operation { identity, id: id.into() }
}

/// The names that an operation belongs to.
#[must_use]
pub fn operation_identity<'a>(operation: &Operation<'a>) -> Identity<'a> {
    operation.identity
}
