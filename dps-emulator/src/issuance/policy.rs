//! Which policy an enrollment names, in the three spellings of the service's API, and the codes of refused requests.

use serde::{Deserialize, Serialize};

#[cfg(feature = "mqtt")]
use crate::wire::BAD_REQUEST;
use crate::wire::Problem;

/// The certificate policy of an enrollment, by which the service issues certificates. The emulator has no policies of its own:
/// any name enables issuance, and the options of the service decide what is issued.
///
/// The members are those of three API versions of the service; an enrollment has those of one.
///
/// ```
/// use dps_emulator::{CertificatePolicy, EnrollmentGroup};
///
/// let group = EnrollmentGroup::new("line-1").certificate_policy(CertificatePolicy::named("factory", "root", "devices"));
/// # let _ = group;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct CertificatePolicy {
    /// The policy by one name (2025-07-01-preview).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_policy_name: Option<String>,
    /// The policy by its resource id (2026-07-01-preview).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_policy_resource_id: Option<String>,
    /// The namespace of the certificate authority (2026-11-01).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_name: Option<String>,
    /// The certificate authority in that namespace (2026-11-01).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority_name: Option<String>,
    /// The policy of that certificate authority (2026-11-01).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_policy_name: Option<String>,
}

/// The longest name of a policy, in bytes; a resource id is the longest.
const NAME_MAX: usize = 1024;

impl CertificatePolicy {
    /// The policy as 2026-11-01 names it.
    #[must_use]
    pub fn named(namespace: impl Into<String>, authority: impl Into<String>, policy: impl Into<String>) -> Self {
        Self {
            namespace_name: Some(namespace.into()),
            certificate_authority_name: Some(authority.into()),
            certificate_policy_name: Some(policy.into()),
            ..Self::default()
        }
    }

    /// The policy as 2025-07-01-preview names it.
    #[must_use]
    pub fn credential_policy(name: impl Into<String>) -> Self {
        Self { credential_policy_name: Some(name.into()), ..Self::default() }
    }

    /// The policy as 2026-07-01-preview names it.
    #[must_use]
    pub fn resource_id(id: impl Into<String>) -> Self {
        Self { certificate_policy_resource_id: Some(id.into()), ..Self::default() }
    }

    /// Whether the enrollment names a policy.
    #[must_use]
    pub fn is_named(&self) -> bool {
        *self != Self::default()
    }

    fn parts(&self) -> [&Option<String>; 3] {
        [&self.namespace_name, &self.certificate_authority_name, &self.certificate_policy_name]
    }

    pub(crate) fn check(&self) -> Result<(), Problem> {
        let all = [&self.credential_policy_name, &self.certificate_policy_resource_id];
        let mut names = all.into_iter().chain(self.parts()).flatten();
        if !names.all(|name| (1..=NAME_MAX).contains(&name.len())) {
            return Err(Problem::bad_request(format!("A name of a certificate policy has 1 to {NAME_MAX} bytes.")));
        }
        let parts = self.parts().iter().filter(|part| part.is_some()).count();
        if !matches!(parts, 0 | 3) {
            return Err(Problem::bad_request(
                "A certificate policy needs 'namespaceName', 'certificateAuthorityName' and 'certificatePolicyName'.",
            ));
        }
        let spellings = all.iter().filter(|name| name.is_some()).count() + parts / 3;
        if spellings > 1 {
            return Err(Problem::bad_request("An enrollment names one certificate policy, in one of its spellings."));
        }
        Ok(())
    }
}

/// The six-digit codes by which a certificate request is refused, at registration and by a hub. Two generations were observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum IssuanceCodes {
    /// Those of early 2026: 400037 for a request that is refused; by a hub, 400004 for one that is not base64 and 409004 while
    /// another one is active.
    Early,
    /// Those that later SDKs name: 400040 for a request that is refused; by a hub, 400040 for one that is not base64 and 409005
    /// while another one is active.
    #[default]
    Current,
}

impl IssuanceCodes {
    pub(crate) fn request_refused(self) -> u32 {
        match self {
            Self::Early => 400_037,
            Self::Current => 400_040,
        }
    }

    /// For a request to a hub that is too long or not base64.
    #[cfg(feature = "mqtt")]
    pub(super) fn undecodable(self) -> u32 {
        match self {
            Self::Early => BAD_REQUEST,
            Self::Current => 400_040,
        }
    }

    /// For a request to a hub while another one of the device is active.
    #[cfg(feature = "mqtt")]
    pub(super) fn conflict(self) -> u32 {
        match self {
            Self::Early => 409_004,
            Self::Current => 409_005,
        }
    }
}
