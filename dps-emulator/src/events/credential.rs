//! A token, taken apart: what it is for, until when, and whose key signed it. Never its signature.

use super::Mask;
use crate::credentials::Token;
use crate::time::Now;

/// A SAS token without its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenFacts {
    /// The decoded resource (`sr`).
    pub resource: String,
    /// Until when it is valid (`se`), in seconds since 1970.
    pub expires_unix_s: u64,
    /// How long it was valid for when it arrived, in milliseconds, by the service's clock; negative if it had expired.
    pub expires_in_ms: i64,
    /// The key name (`skn`); empty if it is missing.
    pub key_name: String,
    /// Whose key signed it.
    pub signed_by: SignedBy,
}

/// Whose key signed a token. The service searches a bounded number of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignedBy {
    /// The primary key of the device: of its enrollment, or derived from that of the group.
    PrimaryKey {
        /// The group, if the key is derived.
        group: Option<String>,
    },
    /// The secondary key of the device.
    SecondaryKey {
        /// The group, if the key is derived.
        group: Option<String>,
    },
    /// The key of a group itself, which no device should have.
    GroupKey {
        /// The group.
        group: String,
    },
    /// The key of another device.
    OtherDevice {
        /// The registration id of the other device.
        registration_id: String,
    },
    /// The key of the latest TPM challenge, or of the one by which the polled operation began.
    TpmChallenge,
    /// The key of the policy `provisioningserviceowner`.
    PolicyKey,
    /// No key that was searched.
    Nobody,
}

impl SignedBy {
    /// `primary-key`, `secondary-key`, `group-key`, `other-device-key`, `tpm-challenge`, `policy-key` or `nobody`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::PrimaryKey { .. } => "primary-key",
            Self::SecondaryKey { .. } => "secondary-key",
            Self::GroupKey { .. } => "group-key",
            Self::OtherDevice { .. } => "other-device-key",
            Self::TpmChallenge => "tpm-challenge",
            Self::PolicyKey => "policy-key",
            Self::Nobody => "nobody",
        }
    }

    /// The enrollment group or the registration id that the key belongs to, if it is not the device's own enrollment.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        match self {
            Self::PrimaryKey { group } | Self::SecondaryKey { group } => group.as_deref(),
            Self::GroupKey { group } => Some(group),
            Self::OtherDevice { registration_id } => Some(registration_id),
            Self::TpmChallenge | Self::PolicyKey | Self::Nobody => None,
        }
    }
}

impl TokenFacts {
    pub(crate) fn new(now: Now, token: &Token, mask: &mut Mask, signed_by: SignedBy) -> Self {
        let expires_unix_s = token.expiry_s();
        let milliseconds = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        Self {
            resource: mask.text("token", token.resource()),
            expires_unix_s,
            expires_in_ms: milliseconds(expires_unix_s.saturating_mul(1000)) - milliseconds(now.unix_ms),
            key_name: mask.text("token", token.key_name()),
            signed_by,
        }
    }

    /// The bytes of its strings.
    pub(super) fn size(&self) -> usize {
        self.resource.len() + self.key_name.len() + self.signed_by.owner().map_or(0, str::len)
    }
}
