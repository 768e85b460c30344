//! How a device proves who it is, as far as the conversation depends on it. No key is here.
//!
//! A type parameter in Rust: a program that uses one attestation links nothing of the others. Where one object serves all
//! of them, as in C, a `&dyn Attestation` is the pointer to a constant table of the attestation's parts.

mod certificate_request;

use core::fmt;

pub use certificate_request::{CertificateRequestError, CertificateSource, WithCertificateRequest};

use crate::message::WriteMembers;
use crate::schema::find;
use crate::text::Text;

pub(crate) mod sealed {
    use crate::message::WriteMembers;

    /// When requests carry a token.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Token {
        Always,
        /// Once a challenge of the service was activated.
        AfterChallenge,
        /// Not at all: the connection proves who the device is. No time is needed then, and none is learned.
        Never,
    }

    /// What is asked of the service, now or next.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Ask {
        Register,
        Status,
        Lookup,
    }

    /// A key that the service sends to the device.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum KeyIn {
        /// The challenge in a 401 to a request without a token: the key for the next tokens.
        Challenge,
        /// The key for the hub.
        Assignment,
    }

    /// The parts of an attestation.
    pub trait Parts: WriteMembers {
        fn token(&self) -> Token;

        /// Whether what it adds to the body is what it was, and may be sent with this call.
        fn allows(&self, ask: Ask) -> bool {
            let _ = ask;
            true
        }

        /// Where a key for the device is in the body of a reply.
        fn find_key(&self, body: &[u8], key: KeyIn) -> Option<usize> {
            let _ = (body, key);
            None
        }
    }
}

use sealed::{Ask, KeyIn, Parts, Token};

/// An attestation mechanism of the service: [`SymmetricKey`], [`X509`] or [`Tpm`], each of them inside a
/// [`WithCertificateRequest`] too.
pub trait Attestation: Parts {}

/// A symmetric key: an individual enrollment's, or one derived from an enrollment group's.
#[derive(Clone, Copy, Debug)]
pub struct SymmetricKey;

impl Attestation for SymmetricKey {}

impl WriteMembers for SymmetricKey {}

impl Parts for SymmetricKey {
    fn token(&self) -> Token {
        Token::Always
    }
}

/// An X.509 certificate, which the device presents in TLS (Azure IoT DPS documentation, "X.509 certificate attestation").
///
/// The certificate, its chain and its private key are the link's. Requests carry no token: over HTTP they have no
/// `Authorization`, over MQTT CONNECT has no password. [`Action::Sign`](crate::Action::Sign) never comes, so that
/// [`NoSigner`](crate::NoSigner) suffices for [`drive`](crate::drive), and no wall time is needed. The registration id
/// must be the certificate's common name.
///
/// ```
/// use dps_core::{Action, Config, Endpoint, IdScope, Identity, Instant, Registration, RegistrationId, X509};
///
/// let identity = Identity {
///     endpoint: Endpoint::GLOBAL,
///     id_scope: IdScope::new("0ne00A1B2C3")?,
///     registration_id: RegistrationId::new("dev-01")?,
/// };
/// let mut storage = [0; 1024];
/// let mut registration = Registration::with_attestation(identity, X509, Config::new(), &mut storage)?;
/// assert!(matches!(registration.poll(Instant::from_millis(0)), Action::Send { .. }));
/// assert!(registration.authorization().is_none());
/// # Ok::<(), dps_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct X509;

impl Attestation for X509 {}

impl WriteMembers for X509 {}

impl Parts for X509 {
    fn token(&self) -> Token {
        Token::Never
    }
}

/// A TPM 2.0, by its endorsement key. HTTPS only.
///
/// The first request carries no token; its refusal holds a challenge that only this TPM can turn into the key with which
/// tokens are signed ([`Action::Activate`](crate::Action::Activate)).
#[derive(Clone, Copy)]
pub struct Tpm<'a> {
    endorsement_key: &'a [u8],
    storage_root_key: &'a [u8],
}

impl<'a> Tpm<'a> {
    /// The public areas of the endorsement key, by which the service knows the device, and of the storage root key, under
    /// which it imports what the service sends: `TPM2B_PUBLIC` each (TPM 2.0 Library, Part 2, 12.2.5).
    #[must_use]
    pub const fn new(endorsement_key: &'a [u8], storage_root_key: &'a [u8]) -> Self {
        Self { endorsement_key, storage_root_key }
    }
}

impl Attestation for Tpm<'_> {}

impl Parts for Tpm<'_> {
    fn token(&self) -> Token {
        Token::AfterChallenge
    }

    fn find_key(&self, body: &[u8], key: KeyIn) -> Option<usize> {
        match key {
            KeyIn::Challenge => find::find(body, &["authenticationKey"]),
            KeyIn::Assignment => find::find(body, &["registrationState", "tpm", "authenticationKey"]),
        }
    }
}

impl WriteMembers for Tpm<'_> {
    fn write_members(&self, text: &mut Text<'_>) {
        text.push(",\"tpm\":{\"endorsementKey\":\"");
        text.push_base64(self.endorsement_key);
        text.push("\",\"storageRootKey\":\"");
        text.push_base64(self.storage_root_key);
        text.push("\"}");
    }
}

impl fmt::Debug for Tpm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tpm").field("endorsement_key_length", &self.endorsement_key.len()).finish_non_exhaustive()
    }
}

impl<A: Attestation + ?Sized> Attestation for &A {}

impl<A: Attestation + ?Sized> WriteMembers for &A {
    fn write_members(&self, text: &mut Text<'_>) {
        (**self).write_members(text);
    }
}

impl<A: Attestation + ?Sized> Parts for &A {
    fn token(&self) -> Token {
        (**self).token()
    }

    fn allows(&self, ask: Ask) -> bool {
        (**self).allows(ask)
    }

    fn find_key(&self, body: &[u8], key: KeyIn) -> Option<usize> {
        (**self).find_key(body, key)
    }
}

/// The bytes of a key in the body of a reply, which is decoded there.
pub(crate) fn read_key<'b>(attestation: &impl Parts, body: &'b mut [u8], key: KeyIn) -> Option<&'b [u8]> {
    let at = attestation.find_key(body, key)?;
    let bytes = find::bytes_at(body, at)?;
    body.get(bytes)
}
