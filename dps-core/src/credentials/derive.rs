//! The key of one device in an enrollment group: HMAC-SHA256(group key, registration id).
//!
//! The registration id goes in exactly as it is: not lower-cased, not trimmed (Azure IoT DPS documentation,
//! "Symmetric key attestation: group enrollments").

use zeroize::Zeroize;

use crate::credentials::hmac::PreparedKey;
use crate::ids::RegistrationId;
use crate::secret::{Key, Signature};
use crate::text::Text;

/// The length of a derived key's base64 text.
pub const DERIVED_TEXT: usize = 44;

/// Derives the key of one device. For many devices of one group, [`GroupDeriver`] costs half.
#[must_use]
pub fn derive_device_key(group_key: &Key, registration_id: RegistrationId<'_>) -> Key {
    GroupDeriver::new(group_key).derive(registration_id)
}

/// A group key prepared for deriving the keys of many devices.
///
/// Group keys belong in factories and tests, never on a device: whoever has one can be any device of the group.
#[derive(Clone, Debug)]
pub struct GroupDeriver(PreparedKey);

impl GroupDeriver {
    /// Prepares `group_key`.
    #[must_use]
    pub fn new(group_key: &Key) -> Self {
        Self(PreparedKey::new(group_key.expose()))
    }

    /// The key of the device `registration_id`.
    #[must_use]
    pub fn derive(&self, registration_id: RegistrationId<'_>) -> Key {
        let mut bytes = self.0.sha256(registration_id.as_str().as_bytes());
        let key = Key::from_digest(&bytes);
        bytes.as_mut_slice().zeroize();
        key
    }

    /// Signs `message` with the key of the device `registration_id`, without showing that key.
    #[must_use]
    pub fn sign_as(&self, registration_id: RegistrationId<'_>, message: &[u8]) -> Signature {
        self.derive(registration_id).sign(message)
    }

    /// Writes the base64 text of the device's key into `out`: ASCII, and as secret as the key.
    pub fn write_base64(&self, registration_id: RegistrationId<'_>, out: &mut [u8; DERIVED_TEXT]) {
        let mut bytes = self.0.sha256(registration_id.as_str().as_bytes());
        Text::new(out).push_base64(&bytes);
        bytes.as_mut_slice().zeroize();
    }
}
