//! What a key is used for: deriving a device's key from its group's, and signing tokens.
//!
//! Pure functions over bytes; who holds the key is decided elsewhere ([`Signer`](crate::Signer)).

mod derive;
pub(crate) mod hmac;
mod sas;

pub use derive::derive_device_key;
pub use sas::{Resource, SasToken};
