//! What the service has observed: counters per registration, the latest refused credentials, and the exchanges for the
//! log.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::fault::{At, RetryAfter};
use crate::ids::{self, FoldedId};
use crate::time::{Now, iso_8601};

/// How many refusals are remembered.
const REFUSALS_MAX: usize = 100;
/// How many registration ids have counters of their own; anybody can send any number of ids.
const COUNTED_APART_MAX: usize = 100_000;
/// How many exchanges are kept until they are collected; later ones are dropped.
const WAITING_MAX: usize = 1000;

/// Requests since the service was created, or since the last [`reset`](crate::service::Service::reset_counters).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Counters {
    /// Register calls that arrived, whatever their outcome.
    pub registers: u64,
    /// Polls that arrived.
    pub polls: u64,
    /// Lookups that arrived.
    pub lookups: u64,
    /// MQTT connections that sent CONNECT.
    pub connects: u64,
    /// SUBSCRIBEs that arrived.
    pub subscribes: u64,
    /// Admin calls that arrived.
    pub admin: u64,
    /// Requests refused with 4xx, including those below.
    pub rejected: u64,
    /// Requests refused with 401.
    pub unauthorized: u64,
    /// Requests refused with 429, by rate or by a planned fault.
    pub throttled: u64,
    /// Register calls refused with 409.
    pub conflicts: u64,
    /// Requests answered with 5xx.
    pub server_errors: u64,
    /// Faults that were met.
    pub faults: u64,
}

impl Counters {
    fn arrived(&mut self, at: At) {
        match at {
            At::Register => self.registers += 1,
            At::Poll => self.polls += 1,
            At::Lookup => self.lookups += 1,
            At::Connect => self.connects += 1,
            At::Subscribe => self.subscribes += 1,
            At::Handshake | At::Any => {}
        }
    }

    fn refused(&mut self, status: u16) {
        match status {
            500.. => self.server_errors += 1,
            401 => self.unauthorized += 1,
            409 => self.conflicts += 1,
            429 => self.throttled += 1,
            _ => {}
        }
        self.rejected += u64::from((400..500).contains(&status));
    }
}

/// The counters of the service and of each registration id that called.
#[derive(Default)]
pub(crate) struct Tally {
    overall: Counters,
    apart: BTreeMap<FoldedId, Counters>,
}

impl Tally {
    pub(crate) fn overall(&self) -> Counters {
        self.overall
    }

    pub(crate) fn registration(&self, registration: &FoldedId) -> Counters {
        self.apart.get(registration).copied().unwrap_or_default()
    }

    pub(crate) fn arrived(&mut self, at: At, registration: &FoldedId) {
        self.count(Some(registration), |counters| counters.arrived(at));
    }

    pub(crate) fn admin_call(&mut self) {
        self.overall.admin += 1;
    }

    pub(crate) fn met_fault(&mut self, registration: &FoldedId) {
        self.count(Some(registration), |counters| counters.faults += 1);
    }

    /// Counts a request refused with this status, also for its registration where that is known.
    pub(crate) fn refused(&mut self, status: u16, registration: Option<&FoldedId>) {
        self.count(registration, |counters| counters.refused(status));
    }

    fn count(&mut self, registration: Option<&FoldedId>, count: impl Fn(&mut Counters)) {
        count(&mut self.overall);
        let Some(registration) = registration.filter(|id| ids::check(id.as_str()).is_ok()) else { return };
        if let Some(apart) = self.apart.get_mut(registration) {
            count(apart);
        } else if self.apart.len() < COUNTED_APART_MAX {
            count(self.apart.entry(registration.clone()).or_default());
        }
    }
}

/// Why a credential was refused. The service never tells the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusalReason {
    /// Neither a token nor a client certificate was sent.
    #[error("neither a token nor a client certificate, nor the keys of a TPM")]
    NoToken,
    /// The credential is not a SAS token.
    #[error("the credential is not a SAS token")]
    Malformed,
    /// The path names the id scope of another service.
    #[error("the id scope is not that of this service")]
    WrongIdScope,
    /// The token is for another resource than the path.
    #[error("the token is for another resource")]
    WrongResource,
    /// `skn` has another value than it must have.
    #[error("the token's key name (skn) is not the expected one")]
    WrongKeyName,
    /// Neither an individual enrollment of this id nor any group.
    #[error("no enrollment has this registration id, and there is no enrollment group")]
    UnknownRegistration,
    /// The signature was made with no key of the enrollment or of any group.
    #[error("the signature was not made with a key of the enrollment or of any group")]
    BadSignature,
    /// Signed with the group key itself instead of the device's derived key.
    #[error("signed with the group key itself instead of the key derived from it for this device")]
    GroupKeyUsed,
    /// MQTT: the user name is not `{idScope}/registrations/{registrationId}/api-version={version}`.
    #[error("the MQTT user name is missing or malformed")]
    UserName,
    /// MQTT: the user name has no api-version of the form `YYYY-MM-DD`, with or without `-preview`.
    #[error("the api-version in the MQTT user name is missing or malformed")]
    ApiVersion,
    /// MQTT: the client id is not the registration id of the user name.
    #[error("the MQTT client id is not the registration id of the user name")]
    ClientId,
    /// Expired on the service's clock.
    #[error("the token expired {for_ms} ms ago by the service's clock")]
    Expired {
        /// How long ago, in milliseconds.
        for_ms: u64,
    },
    /// A token for an enrollment with X.509 attestation, or a certificate for one with keys or a TPM.
    #[error("the enrollment has another attestation than the credential: keys, a certificate or a TPM")]
    OtherAttestation,
    /// The chain has more than 20 KiB.
    #[error("the certificates have more than 20 KiB together")]
    ChainTooLarge,
    /// A certificate cannot be parsed.
    #[error("certificate {at} of the chain (the device's own is 0) is not a valid X.509 certificate of version 3")]
    CertificateMalformed {
        /// Its place in the chain; the device's own certificate is 0.
        at: usize,
    },
    /// The common name of the device's certificate is not the registration id.
    #[error("the common name of the certificate is not the registration id")]
    WrongCommonName,
    /// The extended key usage of the device's certificate does not contain client authentication.
    #[error("the extended key usage of the certificate does not contain client authentication")]
    CertificateUsage,
    /// A certificate has expired on the service's clock.
    #[error("certificate {at} of the chain (the device's own is 0) has expired by the service's clock")]
    CertificateExpired {
        /// Its place in the chain.
        at: usize,
    },
    /// A certificate is not valid yet on the service's clock.
    #[error("certificate {at} of the chain (the device's own is 0) is not valid yet by the service's clock")]
    CertificateNotYetValid {
        /// Its place in the chain.
        at: usize,
    },
    /// The certificates are in another order than each before its issuer.
    #[error(
        "the certificates are in the wrong order: certificate {at} (the device's own is 0) is not followed by its issuer"
    )]
    ChainOrder {
        /// The place in the chain of the certificate that is not followed by its issuer.
        at: usize,
    },
    /// The issuer of a certificate was not presented, and is not a verified CA certificate of the service.
    #[error(
        "the issuer of certificate {at} of the chain (the device's own is 0) is missing: the device must send every intermediate up to a verified CA certificate"
    )]
    IntermediateMissing {
        /// The place in the chain of the certificate whose issuer is missing.
        at: usize,
    },
    /// A certificate was not signed with the key of its issuer.
    #[error(
        "certificate {at} of the chain (the device's own is 0) was not signed with the key of its issuer, or with an unknown algorithm"
    )]
    CertificateSignature {
        /// The place in the chain of the certificate with the signature.
        at: usize,
    },
    /// A certificate issued another one, and may not.
    #[error(
        "certificate {at} of the chain (the device's own is 0) may not issue the one before it: it is not a CA certificate, or the chain is longer than it allows"
    )]
    NotAuthority {
        /// The place in the chain of the issuer.
        at: usize,
    },
    /// The chain leads to a CA certificate that is not stored, or not verified.
    #[error("the chain does not lead to a verified CA certificate of the service")]
    RootNotVerified,
    /// The individual enrollment has other certificates.
    #[error("the enrollment of this registration id has another certificate (the thumbprint differs)")]
    WrongThumbprint,
    /// No enrollment names a CA certificate of the chain.
    #[error("no enrollment has a CA certificate of the chain")]
    UnknownSigner,
    /// A TPM, and no individual enrollment of this id has one.
    #[error("no individual enrollment of this registration id has a TPM")]
    NoTpmEnrollment,
    /// The TPM has another endorsement key than the enrollment.
    #[error("the endorsement key of the TPM is not the one of the enrollment")]
    WrongEndorsementKey,
    /// A token, and the device was given no challenge, or it expired.
    #[error("the device was given no TPM challenge, or the challenge expired: it must first register without a token")]
    NoChallenge,
    /// The signature was not made with the key of the latest challenge.
    #[error("the signature was not made with the key of the latest TPM challenge")]
    ChallengeSignature,
    /// TPM attestation over MQTT.
    #[error("the enrollment has a TPM, which is not possible over MQTT")]
    TpmOverMqtt,
    /// The nearest enrollment is disabled.
    #[error("the enrollment that is nearest to the certificate is disabled")]
    Disabled,
}

impl RefusalReason {
    /// A short name such as `bad-signature`, for programs in other languages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoToken => "no-token",
            Self::Malformed => "malformed",
            Self::WrongIdScope => "wrong-id-scope",
            Self::WrongResource => "wrong-resource",
            Self::WrongKeyName => "wrong-key-name",
            Self::UnknownRegistration => "unknown-registration",
            Self::BadSignature => "bad-signature",
            Self::GroupKeyUsed => "group-key-used",
            Self::UserName => "user-name",
            Self::ApiVersion => "api-version",
            Self::ClientId => "client-id",
            Self::Expired { .. } => "expired",
            Self::OtherAttestation => "other-attestation",
            Self::ChainTooLarge => "chain-too-large",
            Self::CertificateMalformed { .. } => "certificate-malformed",
            Self::WrongCommonName => "wrong-common-name",
            Self::CertificateUsage => "certificate-usage",
            Self::CertificateExpired { .. } => "certificate-expired",
            Self::CertificateNotYetValid { .. } => "certificate-not-yet-valid",
            Self::ChainOrder { .. } => "chain-order",
            Self::IntermediateMissing { .. } => "intermediate-missing",
            Self::CertificateSignature { .. } => "certificate-signature",
            Self::NotAuthority { .. } => "not-authority",
            Self::RootNotVerified => "root-not-verified",
            Self::WrongThumbprint => "wrong-thumbprint",
            Self::UnknownSigner => "unknown-signer",
            Self::NoTpmEnrollment => "no-tpm-enrollment",
            Self::WrongEndorsementKey => "wrong-endorsement-key",
            Self::NoChallenge => "no-challenge",
            Self::ChallengeSignature => "challenge-signature",
            Self::TpmOverMqtt => "tpm-over-mqtt",
            Self::Disabled => "disabled",
        }
    }
}

/// One refused credential. Contains nothing of the credential itself.
///
/// As JSON: `{"number":1,"timestampUtc":"…","registrationId":"dev-01","reason":"bad-signature","message":"…"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// Counts the refusals since the service was created, from 1.
    pub number: u64,
    /// When, in milliseconds since 1970 by the service's clock.
    pub unix_ms: u64,
    /// The registration id as it was sent; empty for an admin call.
    pub registration_id: String,
    /// Why.
    pub reason: RefusalReason,
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut refusal = serializer.serialize_struct("Refusal", 5)?;
        refusal.serialize_field("number", &self.number)?;
        refusal.serialize_field("timestampUtc", &iso_8601(self.unix_ms))?;
        refusal.serialize_field("registrationId", &self.registration_id)?;
        refusal.serialize_field("reason", self.reason.name())?;
        refusal.serialize_field("message", &self.reason.to_string())?;
        refusal.end()
    }
}

/// The latest refusals, oldest first, and how many there were, in total and for each reason.
#[derive(Default)]
pub(crate) struct Refusals {
    latest: VecDeque<Refusal>,
    count: u64,
    by_reason: BTreeMap<&'static str, u64>,
}

impl Refusals {
    pub(crate) fn note(&mut self, now: Now, registration_id: &str, reason: RefusalReason) {
        if self.latest.len() == REFUSALS_MAX {
            self.latest.pop_front();
        }
        self.count += 1;
        *self.by_reason.entry(reason.name()).or_default() += 1;
        let registration_id = registration_id.chars().take(128).collect();
        self.latest.push_back(Refusal { number: self.count, unix_ms: now.unix_ms, registration_id, reason });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Refusal> {
        self.latest.iter()
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn by_reason(&self) -> &BTreeMap<&'static str, u64> {
        &self.by_reason
    }

    pub(crate) fn reset_reasons(&mut self) {
        self.by_reason.clear();
    }

    /// Why the latest credential was refused, if that was after the first `count`.
    pub(crate) fn reason_after(&self, count: u64) -> Option<RefusalReason> {
        self.latest.back().filter(|refusal| refusal.number > count).map(|refusal| refusal.reason)
    }
}

/// One call and its answer. Contains nothing of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// The registration or device id as it was sent; empty if the call is not a device's.
    pub(crate) device: String,
    /// `register`, `poll`, `connect` and so on, or the method and path of another HTTP request.
    pub(crate) call: String,
    /// The status; for `connect` the CONNACK code, 0 where nothing was sent.
    pub(crate) status: u16,
    /// The six-digit code of an error.
    pub(crate) code: Option<u32>,
    /// The hint that was sent to the client.
    pub(crate) wait: Option<RetryAfter>,
    /// Why the call was refused.
    pub(crate) reason: Option<String>,
}

impl Exchange {
    pub(crate) fn new(device: &str, call: impl Into<String>, status: u16) -> Self {
        let device = device.chars().take(128).collect();
        Self { device, call: call.into(), status, code: None, wait: None, reason: None }
    }

    #[cfg(feature = "mqtt")]
    pub(crate) fn because(mut self, reason: Option<String>) -> Self {
        self.reason = reason;
        self
    }
}

/// The exchanges that were not collected yet, once collecting is enabled.
#[derive(Default)]
pub(crate) struct Exchanges {
    waiting: Option<Vec<Exchange>>,
    count: u64,
}

impl Exchanges {
    #[cfg(feature = "server")]
    pub(crate) fn collect(&mut self) {
        self.waiting.get_or_insert_default();
    }

    pub(crate) fn note(&mut self, exchange: impl FnOnce() -> Exchange) {
        self.count += 1;
        if let Some(waiting) = self.waiting.as_mut().filter(|waiting| waiting.len() < WAITING_MAX) {
            waiting.push(exchange());
        }
    }

    /// How many exchanges there were, collected or not.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    #[cfg(feature = "server")]
    pub(crate) fn take(&mut self) -> Vec<Exchange> {
        self.waiting.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_unknown_devices_use_bounded_memory() {
        let mut tally = Tally::default();
        tally.arrived(At::Register, &FoldedId::new("no id: a blank"));
        for number in 0..=COUNTED_APART_MAX {
            tally.arrived(At::Register, &FoldedId::new(&format!("dev-{number}")));
        }
        tally.arrived(At::Poll, &FoldedId::new("DEV-0"));
        assert_eq!((tally.apart.len(), tally.overall().registers), (COUNTED_APART_MAX, COUNTED_APART_MAX as u64 + 2));
        assert_eq!(
            (tally.registration(&FoldedId::new("dev-0")).registers, tally.registration(&FoldedId::new("dev-0")).polls),
            (1, 1)
        );
    }
}
