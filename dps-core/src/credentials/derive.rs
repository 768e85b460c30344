//! The key of one device in an enrollment group: HMAC-SHA256(group key, registration id).
//!
//! The registration id goes in exactly as it is: not lower-cased, not trimmed (Azure IoT DPS documentation,
//! "Symmetric key attestation: group enrollments").

use crate::ids::RegistrationId;
use crate::secret::Key;

/// Derives the key of one device.
///
/// Group keys belong in factories and tests, never on a device: whoever has one can be any device of the group. For many
/// devices of one group, `dps_client::GroupDeriver` needs half the time.
#[must_use]
pub fn derive_device_key(group_key: &Key, registration_id: RegistrationId<'_>) -> Key {
    let mut key = Key::empty();
    key.derive_from(group_key, registration_id);
    key
}
