//! The registration id of a device with a TPM, where none is configured.

use sha2::{Digest, Sha256};

/// The alphabet of base32 (RFC 4648, 6), in lower case.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The registration id that the device SDKs of Azure IoT derive from an endorsement key: its SHA-256 in base32, in lower case and
/// without padding, 52 characters.
///
/// ```
/// let id = dps_tpm::registration_id(b"test-endorsement-key");
/// assert_eq!(id, "6lzzcdalf2fna265ao6qh7vaey6fu2kz3barg3susmytx47ku2ua");
/// ```
#[must_use]
pub fn registration_id(endorsement_key: &[u8]) -> String {
    let digest = Sha256::digest(endorsement_key);
    let bits = digest.len() * 8;
    let bit = |index: usize| digest.get(index / 8).map_or(0, |byte| byte >> (7 - index % 8) & 1);
    let character = |start: usize| {
        let value = (start..start + 5).fold(0, |value, index| value << 1 | bit(index));
        char::from(ALPHABET[usize::from(value)])
    };
    (0..bits).step_by(5).map(character).collect()
}
