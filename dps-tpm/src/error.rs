//! Why a TPM cannot be used.

use thiserror::Error;

use crate::code::{Code, Rc};

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The TPM cannot be reached: missing, in use by another program, or not allowed to this user.
    Unavailable,
    /// The TPM was reached, and was gone before it answered.
    Lost,
    /// The TPM did not answer by the deadline.
    Timeout,
    /// The password of a hierarchy is wrong. It is not tried again by this process until the TPM has accepted another one.
    WrongPassword,
    /// The TPM is in lockout: it refuses authorizations until some time has passed, or the lockout is reset.
    Lockout,
    /// The challenge cannot be read.
    MalformedChallenge,
    /// The challenge was made for another TPM, or was changed on its way.
    ForeignChallenge,
    /// No persistent slot is free, or the one of the key holds an object that is not a key of a device.
    NoSlot,
    /// The TPM does not hold the key for the hub: the device has to register again.
    KeyMissing,
    /// The TPM failed in another way, or holds a key that cannot be used.
    Failed,
}

/// A failure of a TPM, in words without a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{words}")]
pub struct Error {
    kind: ErrorKind,
    words: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, words: impl Into<String>) -> Self {
        Self { kind, words: words.into() }
    }

    /// Returns what kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// Why a command has no result.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The TPM returned a response code.
    Code(Code, Rc),
    /// Something else happened.
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
