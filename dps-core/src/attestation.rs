//! How a device proves who it is, as far as the conversation depends on it.
//!
//! A type rather than a value: a program that uses one attestation links nothing of the others. No key is here.

mod sealed {
    pub trait Sealed {}
}

/// An attestation mechanism of the service.
pub trait Attestation: sealed::Sealed {
    /// Whether requests carry a token that has to be signed.
    const SIGNS: bool;
}

/// A symmetric key: an individual enrollment's, or one derived from an enrollment group's.
#[derive(Clone, Copy, Debug)]
pub struct SymmetricKey;

impl sealed::Sealed for SymmetricKey {}

impl Attestation for SymmetricKey {
    const SIGNS: bool = true;
}
