//! Values that can never work, found before any I/O.
//!
//! Each says what was wrong and where; none repeats a secret.

use thiserror::Error;

use crate::error::ErrorCode;
use crate::text::TooSmall;

/// A value that can never work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// The id scope is not one.
    #[error("the id scope cannot be used: {0}; it is on the service's overview page and looks like 0ne00A1B2C3")]
    IdScope(IdProblem),
    /// The registration id breaks the service's rule.
    #[error(
        "the registration id cannot be used: {0}; it is 1 to 128 letters, digits and - . _ : and ends with a letter, digit or -"
    )]
    RegistrationId(IdProblem),
    /// The endpoint is not a host name, with or without a port.
    #[error("the endpoint cannot be used: {0}; use HOST, HOST:PORT or https://HOST")]
    Endpoint(IdProblem),
    /// The key is invalid.
    #[error("the key cannot be used: {0}")]
    Key(KeyProblem),
    /// The custom payload is not a JSON object, or too large.
    #[error("the payload cannot be used: {0}")]
    Payload(PayloadProblem),
    /// The storage or an output buffer is too small.
    #[error(transparent)]
    Storage(#[from] TooSmall),
    /// The exported operation is unreadable.
    #[error("the saved operation cannot be read; remove it to register afresh")]
    OperationUnreadable,
    /// The exported operation belongs to another endpoint, id scope or registration id.
    #[error("the saved operation belongs to another endpoint, id scope or registration id")]
    OperationMismatch,
    /// The poll interval is zero: a service without hints would be asked without pause.
    #[error("the poll interval cannot be zero; leave it out for 2 s")]
    PollInterval,
    /// The transport cannot do what was asked, such as a lookup over MQTT.
    #[error("this transport cannot look up a registration; use HTTPS")]
    UnsupportedByTransport,
}

impl ConfigError {
    /// The code in the catalogue.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::IdScope(_) => ErrorCode::InvalidIdScope,
            Self::RegistrationId(_) => ErrorCode::InvalidRegistrationId,
            Self::Endpoint(_) => ErrorCode::InvalidEndpoint,
            Self::Key(_) => ErrorCode::InvalidKey,
            Self::Payload(_) => ErrorCode::InvalidPayload,
            Self::Storage(_) => ErrorCode::StorageTooSmall,
            Self::OperationUnreadable => ErrorCode::OperationUnreadable,
            Self::OperationMismatch => ErrorCode::OperationMismatch,
            Self::PollInterval => ErrorCode::InvalidOption,
            Self::UnsupportedByTransport => ErrorCode::UnsupportedByTransport,
        }
    }
}

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum IdProblem {
    /// Nothing was given.
    #[error("it is empty")]
    Empty,
    /// It is longer than the service accepts.
    #[error("it has {length} characters; at most {most} are taken")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The most that is taken, in bytes.
        most: usize,
    },
    /// A character is not allowed at its place.
    #[error("the character at offset {offset} is not allowed there")]
    Character {
        /// Where, in bytes from the start.
        offset: usize,
    },
    /// It names a scheme other than `https`, such as `http://` or `mqtts://`.
    #[error("its scheme is not https")]
    Scheme,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

/// What is wrong with a custom payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PayloadProblem {
    /// It is JSON, but not an object, which is all that the service accepts.
    #[error("it is not a JSON object, such as {{\"key\": \"value\"}}")]
    NotAnObject,
    /// It is not JSON.
    #[error("it is not JSON: something is wrong at offset {offset}")]
    NotJson {
        /// Where, in bytes from the start.
        offset: usize,
    },
    /// It is larger than the service accepts.
    #[error("it has {length} bytes; at most {most} are taken")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The most that is taken, in bytes.
        most: usize,
    },
}

/// What is wrong with a key. No part of the key is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum KeyProblem {
    /// Nothing was given.
    #[error("it is empty")]
    Empty,
    /// The character at this byte offset is not a base64 digit.
    #[error("it is not base64: the character at offset {offset} does not belong there")]
    NotBase64 {
        /// Where, in bytes from the start.
        offset: usize,
    },
    /// A line break is within the key, as tools that wrap base64 write it.
    #[error("it is not base64: a line break is at offset {offset}; write the key on one line")]
    LineBreak {
        /// Where, in bytes from the start.
        offset: usize,
    },
    /// The base64 text breaks off.
    #[error("it is not base64: the text is cut off or wrongly padded")]
    Truncated,
    /// The key has a length that the service does not accept.
    #[error("it has {length} bytes; a symmetric key has 16 to 64")]
    Length {
        /// The decoded length in bytes.
        length: usize,
    },
    /// A PEM file was given.
    #[error(
        "it looks like a PEM file; a symmetric key is one line of base64, the enrollment's primary or secondary key"
    )]
    LooksLikePem,
    /// A connection string was given.
    #[error("it looks like a connection string; use only the key, the text after SharedAccessKey=")]
    LooksLikeConnectionString,
    /// A shared access signature was given.
    #[error("it looks like a token (SharedAccessSignature …), which a key signs; use the key itself")]
    LooksLikeToken,
    /// A line such as `export DPS_KEY=…` was given.
    #[error("it looks like a line that sets a variable; use only the key, the text after the first `=`")]
    LooksLikeAssignment,
    /// Text of only hex digits was given.
    #[error("it looks like hex; a symmetric key is given as base64")]
    LooksLikeHex,
}
