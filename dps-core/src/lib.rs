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
//! let mut text = [0; dps_core::secret::KEY_TEXT_MAX];
//! assert_eq!(device.write_base64(&mut text)?, "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=");
//! # Ok::<(), dps_core::ConfigError>(())
//! ```
//!
//! # A registration
//!
//! [`Registration::poll`] names the next [`Action`]; each action names the `handle_*` call that answers it. [`drive`]
//! is that loop over a [`Link`], a [`Timer`] and a [`Signer`]; firmware with its own scheduler calls the machine itself.
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

pub mod attestation;
pub mod codec;
pub mod config;
pub mod credentials;
pub mod error;
pub mod ids;
pub mod link;
#[cfg(feature = "defmt")]
mod log;
pub mod message;
pub mod registration;
pub mod schema;
pub mod secret;
pub mod text;
pub mod time;

pub use config::Config;
pub use error::{ConfigError, ErrorCode, Family, Hint, Misuse, Verdict};
pub use ids::{Endpoint, IdScope, Identity, RegistrationId};
pub use link::{Link, LinkError, Observer, Progress, SignError, Signer, Timer, drive};
pub use message::{Payload, Reply, Request};
pub use registration::{Action, Assignment, Failure, Operation, Outcome, Record, Registration};
pub use secret::{Key, Signature};
pub use text::{ByteStr, TooSmall};
pub use time::{Instant, Millis, UnixSeconds, WallAnchor};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
