//! Certificates that the service issues to the device: the key that they are for, the check of what was issued, and the
//! directory that keeps both.
//!
//! A device registers with its bootstrap credential, whatever that is, and sends a certificate request along. What it receives
//! is its operational identity: it signs in to its hub with it, and registers with it while it is valid. A renewal makes a new key
//! and replaces the old pair only once a new chain was accepted.

mod document;
mod key;
mod store;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

#[cfg(fuzzing)]
pub(crate) use document::{Document, StoredKey, identity_file};
pub use key::{KeyAlgorithm, OperationalKey};
pub use store::{IdentityStore, LoadedIdentity, LockedIdentityStore};

use crate::error::DpsError;
use crate::names::RegistrationId;
use crate::x509::certificate::Certificate;
use crate::x509::{CertificateChain, X509};

/// A key, and the certificate chain that the service issued for it.
///
/// ```
/// use std::time::SystemTime;
///
/// use dps_client::{CertificateChain, IdentityStore, IssuedIdentity, KeyAlgorithm, OperationalKey};
///
/// # fn issue(request: Vec<u8>) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error>> {
/// #     let key = rcgen::KeyPair::generate()?;
/// #     let mut root = rcgen::CertificateParams::default();
/// #     root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
/// #     let certificate = root.self_signed(&key)?;
/// #     let issuer = rcgen::Issuer::new(root, key);
/// #     let mut request = rcgen::CertificateSigningRequestParams::from_der(&request.into())?;
/// #     let now = std::time::SystemTime::now();
/// #     request.params.not_before = (now - std::time::Duration::from_secs(60)).into();
/// #     request.params.not_after = (now + std::time::Duration::from_secs(30 * 86_400)).into();
/// #     Ok(vec![request.signed_by(&issuer)?.der().to_vec(), certificate.der().to_vec()])
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let id = "dev-01".parse()?;
/// let key = OperationalKey::generate(KeyAlgorithm::EcP256)?;
/// // The service issues a chain for the request, with the assignment.
/// let chain = issue(key.certificate_request(&id)?)?;
/// let chain = CertificateChain::from_der(chain)?;
/// let identity = IssuedIdentity::accept(key, chain, &id, Some(SystemTime::now()))?;
/// IdentityStore::new(folder.path()).lock()?.save(&identity)?;
/// assert!(identity.renew_at() < identity.not_after());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct IssuedIdentity {
    key: OperationalKey,
    device: X509,
    registration_id: RegistrationId,
    life: Life,
}

/// What the time means for an issued certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IssuedState {
    /// It is not valid yet: the device's clock may be behind.
    NotYetValid,
    /// It is valid, and need not be renewed.
    Valid,
    /// It is valid and should be renewed.
    RenewalDue,
    /// It has expired: the device registers with its bootstrap credential.
    Expired,
}

impl IssuedState {
    /// Whether the certificate can be used.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        matches!(self, Self::Valid | Self::RenewalDue)
    }

    /// Returns the word for it in JSON: `notYetValid`, `valid`, `renewalDue` or `expired`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotYetValid => "notYetValid",
            Self::Valid => "valid",
            Self::RenewalDue => "renewalDue",
            Self::Expired => "expired",
        }
    }
}

impl IssuedIdentity {
    /// Checks a chain that was issued: that it is for this key and this registration id, that its certificates fit together, and that
    /// they are valid now. `None` where the time is not known, which is not checked then.
    ///
    /// # Errors
    /// What cannot work, as [`ChainProblem::code`](crate::ChainProblem::code): `client-key-mismatch`, `common-name-mismatch`,
    /// `client-certificate-expired`, `invalid-client-certificate`. An identity that was stored before is still usable.
    pub fn accept(
        key: OperationalKey,
        chain: CertificateChain,
        registration_id: &RegistrationId,
        now: Option<SystemTime>,
    ) -> Result<Self, DpsError> {
        let life = Life::of(&chain);
        let device = key.with_chain(chain);
        let warnings = device.judge(registration_id, now)?;
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(Self { key, device, registration_id: registration_id.clone(), life })
    }

    /// Returns the certificate with its key: a credential for the builder of a client, and for the hub.
    #[must_use]
    pub fn x509(&self) -> &X509 {
        &self.device
    }

    /// Returns the chain, the device's certificate first.
    #[must_use]
    pub fn chain(&self) -> &CertificateChain {
        self.device.chain()
    }

    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &OperationalKey {
        &self.key
    }

    /// Returns the registration id, which is the common name of the certificate.
    #[must_use]
    pub fn registration_id(&self) -> &RegistrationId {
        &self.registration_id
    }

    /// Returns the first moment of its validity.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.life.from
    }

    /// Returns the last moment of its validity.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.life.to
    }

    /// Returns when to renew it: after 75 to 80 % of its life (Azure IoT documentation, "Certificate issuance": at about 80 %). Which
    /// moment it is follows from the certificate, so that it stays the same over restarts and differs between the devices of a fleet.
    #[must_use]
    pub fn renew_at(&self) -> SystemTime {
        self.life.renew_at
    }

    /// Returns what the time means for it.
    #[must_use]
    pub fn state_at(&self, now: SystemTime) -> IssuedState {
        self.life.state_at(now)
    }
}

impl fmt::Debug for IssuedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedIdentity")
            .field("registration_id", &self.registration_id)
            .field("device", &self.device)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

/// The validity of a certificate, and when to renew it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    from: SystemTime,
    to: SystemTime,
    renew_at: SystemTime,
}

impl Life {
    /// The life of the device's certificate, which is that of the chain in practice.
    fn of(chain: &CertificateChain) -> Self {
        let leaf = chain.iter().next().unwrap_or_default();
        let (from, to) = Certificate::parse(leaf).map_or((0, 0), |certificate| certificate.validity());
        let digest = Sha256::digest(leaf);
        let spread = digest.first().copied().unwrap_or_default();
        let time = |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        Self::new(time(from), time(to), spread)
    }

    /// `spread` tells the devices of a fleet apart.
    fn new(from: SystemTime, to: SystemTime, spread: u8) -> Self {
        let life = to.duration_since(from).unwrap_or_default();
        let renew_at = from + life * 3 / 4 + life / 20 * u32::from(spread) / u32::from(u8::MAX);
        Self { from, to, renew_at }
    }

    fn state_at(&self, now: SystemTime) -> IssuedState {
        if now < self.from {
            IssuedState::NotYetValid
        } else if now > self.to {
            IssuedState::Expired
        } else if now < self.renew_at {
            IssuedState::Valid
        } else {
            IssuedState::RenewalDue
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_is_due_between_75_and_80_percent_of_the_life() {
        let (from, day) = (UNIX_EPOCH + Duration::from_secs(1_800_000_000), Duration::from_secs(86_400));
        let mut before = from;
        for (spread, percent) in [(0, 75.0), (51, 76.0), (255, 80.0)] {
            let life = Life::new(from, from + day * 100, spread);
            let after = life.renew_at.duration_since(from).unwrap();
            assert!((after.as_secs_f64() / day.as_secs_f64() - percent).abs() < 0.001, "{spread}: {after:?}");
            assert!(life.renew_at > before);
            before = life.renew_at;
            for (now, state) in [
                (from - day, IssuedState::NotYetValid),
                (from, IssuedState::Valid),
                (life.renew_at - day, IssuedState::Valid),
                (life.renew_at, IssuedState::RenewalDue),
                (from + day * 80, IssuedState::RenewalDue),
                (from + day * 100, IssuedState::RenewalDue),
                (from + day * 101, IssuedState::Expired),
            ] {
                assert_eq!(life.state_at(now), state, "{spread}: {now:?}");
            }
        }
    }

    #[test]
    fn certificate_that_ends_before_it_begins_is_never_valid() {
        let from = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let life = Life::new(from, from - Duration::from_secs(1), 9);
        assert_eq!(life.renew_at, from);
        for seconds in [0, 1_799_999_999, 1_800_000_000, 1_800_000_001] {
            assert!(!life.state_at(UNIX_EPOCH + Duration::from_secs(seconds)).is_valid(), "{seconds}");
        }
    }
}
