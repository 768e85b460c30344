//! What a device says to Azure IoT Hub Device Provisioning Service, and when.
//!
//! The core holds the identifiers, key derivation, SAS tokens, the registration state machine, the codecs and the
//! one loop that drives them. It has no heap, no `unsafe`, no I/O and no clock: bytes and time come in, bytes
//! and times go out. Its one cargo feature is `defmt`, by which ids, times, actions, outcomes and errors can be logged;
//! keys, signatures and tokens cannot.
//!
//! # A device key from a group key
//!
//! ```
//! use dps_core::credentials::derive_device_key;
//! use dps_core::{Key, RegistrationId};
//!
//! let group = Key::from_base64("8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==")?;
//! let id = RegistrationId::new("sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")?;
//! let device = derive_device_key(&group, id);
//! let mut text = [0; dps_core::limits::KEY_TEXT_MAX];
//! assert_eq!(device.write_base64(&mut text)?, "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=");
//! # Ok::<(), dps_core::ConfigError>(())
//! ```
//!
//! # A registration
//!
//! [`Registration::poll`] names the next [`Action`]; each action names the `handle_*` call that answers it. [`drive`]
//! is that loop over a [`Link`], a [`Timer`] and a [`Signer`]; firmware with its own scheduler calls the machine itself.
//! [`Registration::outcome`] is how it ended.
//!
//! | for | see |
//! |---|---|
//! | names and keys | [`IdScope`], [`RegistrationId`], [`Endpoint`], [`Key`]; [`limits`] |
//! | attestations | [`SymmetricKey`], [`X509`], [`Tpm`], [`WithCertificateRequest`] |
//! | time | [`Instant`], [`Millis`], [`UnixSeconds`], [`WallAnchor`] |
//! | deadlines and waits | [`Config`] |
//! | messages | [`Request`], [`Reply`]; [`codec::http`] and [`codec::mqtt`] write and read them |
//! | API versions | [`codec::http::DEFAULT_API_VERSION`], [`codec::mqtt::DEFAULT_API_VERSION`], [`codec::ISSUANCE_API_VERSION`], [`codec::PROFILE_API_VERSION`] |
//! | issued certificates, the hub's protocol | [`Registration::issued_certificate`], [`Registration::connection_profile`] |
//! | tokens and derived keys | [`credentials`] |
//! | failures | [`Failure`], [`Verdict`], [`Hint`]; [`ErrorCode`] is the catalogue |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]
// What keeps a panic out of firmware.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod attestation;
pub mod codec;
mod config;
pub mod credentials;
mod error;
mod ids;
mod issued;
mod link;
#[cfg(feature = "defmt")]
mod log;
mod message;
mod profile;
mod registration;
mod schema;
mod secret;
mod text;
mod time;

pub use attestation::{
    Attestation, CertificateRequestError, CertificateSource, SymmetricKey, Tpm, WithCertificateRequest, X509,
};
pub use config::Config;
pub use error::{
    ConfigError, ErrorCode, Family, Hint, Hints, IdProblem, KeyEvidence, KeyProblem, Misuse, PayloadProblem,
    ReplyProblem, Verdict,
};
pub use ids::{Endpoint, IdScope, Identity, RegistrationId};
pub use link::{Link, NoSigner, Observer, Progress, Signer, Timer, drive};
pub use message::{
    ActivateError, Authorization, Body, Call, LinkError, Members, Payload, Reply, Request, RequestId, SignError, Status,
};
pub use profile::ConnectionProfile;
pub use registration::{Action, Assignment, Failure, Operation, Outcome, Record, Registration, storage_size};
pub use secret::{Key, Signature};
pub use text::{ByteStr, Text, TooSmall};
pub use time::{Instant, Millis, UnixSeconds, WallAnchor};

/// How long names, keys and messages can be, in bytes: what buffers of a fixed size have to hold.
pub mod limits {
    pub use crate::ids::{DEVICE_ID_MAX, HOST_MAX, ID_SCOPE_MAX, REGISTRATION_ID_MAX, WORD_MAX};
    pub use crate::message::MESSAGE_MAX;
    pub use crate::registration::OPERATION_ID_MAX;
    pub use crate::secret::{KEY_MAX, KEY_MIN, KEY_TEXT_MAX, SIGNATURE_TEXT};
}

/// What other crates of this project, their benches and their fuzz targets share with the core. No part of the API: it
/// changes without notice.
#[doc(hidden)]
pub mod internal {
    pub use crate::codec::check_body;
    pub use crate::codec::mqtt::{write_operation_topic, write_user_name_parts};
    pub use crate::ids::{is_device_id, is_hub_name, is_operation_id};
    pub use crate::registration::operation_identity;
    pub use crate::registration::{Ended, Kept};
    pub use crate::text::percent_len;

    /// Values from strings that were parsed before, for a crate that owns such strings. They are not parsed again; in debug
    /// builds that is asserted.
    pub mod checked {
        pub use crate::ids::checked::*;
        pub use crate::message::checked_payload as payload;
        pub use crate::registration::checked_operation as operation;
    }

    /// JSON bodies by their parts.
    pub mod schema {
        pub use crate::schema::*;
    }
}

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
