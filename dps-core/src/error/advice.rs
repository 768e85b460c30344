//! Which hints go with which failure, ranked by what this device knows.
//!
//! Kept apart from the failures themselves, so that firmware that never asks for a hint links none of it.

use crate::error::{ErrorCode, Hint, Hints};

/// What the holder of the key may say about it without giving it away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyEvidence {
    /// The length in bytes of the key that was given.
    pub length: Option<usize>,
    /// Whether the device's key was derived here from what was given as a group's key.
    pub derived_here: bool,
}

/// What is known on this device about a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) upper_case_id: bool,
    pub(crate) key: KeyEvidence,
    /// Whether a certificate, and no token, proves who the device is.
    pub(crate) by_certificate: bool,
    /// Whether a TPM does.
    pub(crate) by_tpm: bool,
    /// Seconds that the device's clock is behind the service's, where far.
    pub(crate) clock_skew: Option<i64>,
    /// Whether the service's time is known, from the transport or from elsewhere.
    pub(crate) time_known: bool,
    /// Whether CONNECT was refused with 5, which comes before any key is looked at.
    pub(crate) refused_at_connect: bool,
    pub(crate) error_code: Option<u32>,
    /// The service's status, or the proxy's.
    pub(crate) http_status: Option<u16>,
}

/// The likely causes of a failure, the likeliest first.
pub(crate) fn rank(code: ErrorCode, evidence: &Evidence) -> Hints {
    let hints: &[Hint] = match code {
        ErrorCode::Unauthorized if evidence.by_certificate => REFUSED_CERTIFICATE,
        ErrorCode::Unauthorized if evidence.by_tpm => return refused_tpm(evidence),
        ErrorCode::NotFound if evidence.by_tpm => UNKNOWN_TPM,
        ErrorCode::Unauthorized => return unauthorized(evidence),
        ErrorCode::ClockNeeded => &[Hint::SetClock],
        ErrorCode::SignerFailed | ErrorCode::SignerTimeout => &[Hint::CheckSigner],
        ErrorCode::AssignmentTooLarge | ErrorCode::ReplyTooLarge | ErrorCode::RequestTooLarge => &[Hint::EnlargeBuffer],
        ErrorCode::Forbidden => &[Hint::CheckProxy, Hint::KeepTrackingId],
        ErrorCode::NotFound => &[Hint::NoEnrollment, Hint::WrongIdScope],
        ErrorCode::BadRequest | ErrorCode::MethodNotAllowed | ErrorCode::UnsupportedMediaType => {
            &[Hint::CheckRequest, Hint::KeepTrackingId]
        }
        ErrorCode::Conflict => &[Hint::KeepTrackingId],
        ErrorCode::Throttled => &[Hint::SpreadStart, Hint::RaiseTimeout],
        ErrorCode::RequestTimeout | ErrorCode::ServiceUnavailable => &[Hint::UseCachedHub, Hint::KeepTrackingId],
        ErrorCode::DeadlineExceeded => &[Hint::RaiseTimeout],
        ErrorCode::RegistrationFailed if evidence.error_code == Some(400_207) => &[Hint::CheckWebhook],
        ErrorCode::RegistrationFailed => &[Hint::CheckLinkedHubs, Hint::CheckWebhook],
        ErrorCode::EnrollmentDisabled => &[Hint::EnableEnrollment],
        ErrorCode::UnexpectedStatus => &[Hint::Update, Hint::CheckProxy],
        ErrorCode::Dns => &[Hint::CheckDns, Hint::CheckProxy],
        ErrorCode::Connect | ErrorCode::Timeout => &[Hint::CheckNetwork, Hint::CheckProxy],
        // A server of another protocol closes the connection.
        ErrorCode::ConnectionCut => &[Hint::CheckNetwork, Hint::CheckProxy, Hint::CheckEndpoint],
        ErrorCode::UnknownCa | ErrorCode::Tls => &[Hint::TrustCa, Hint::CheckProxy],
        ErrorCode::NameMismatch => &[Hint::CheckEndpoint, Hint::CheckProxy],
        ErrorCode::CertificateExpired => &[Hint::ClockOutsideCertificate],
        ErrorCode::ProxyRefused if evidence.http_status == Some(407) => &[Hint::CheckProxyCredentials],
        ErrorCode::ProxyRefused if evidence.http_status.is_some_and(|status| status != 403) => &[Hint::CheckProxy],
        ErrorCode::ProxyRefused => &[Hint::CheckProxy, Hint::CheckProxyCredentials],
        ErrorCode::ProxyUnreachable => &[Hint::CheckProxy],
        ErrorCode::InvalidReply => &[Hint::CheckProxy, Hint::NotTheService],
        ErrorCode::MqttRefused | ErrorCode::SubscribeRefused => &[Hint::NotTheService, Hint::Update],
        ErrorCode::InvalidClientCertificate | ErrorCode::InvalidClientKey => &[Hint::CertificateFormat],
        ErrorCode::CommonNameMismatch => &[Hint::CertificateName],
        ErrorCode::ClientCertificateExpired => &[Hint::RenewCertificate, Hint::CertificateNotYetValid],
        // An inspecting proxy cannot pass on a client's certificate.
        ErrorCode::ClientCertificateRefused => &[Hint::RenewCertificate, Hint::MissingIntermediate, Hint::CheckProxy],
        ErrorCode::RenegotiationUnsupported => &[Hint::UseMqtt],
        ErrorCode::Pkcs11Module => &[Hint::CheckPkcs11Module],
        ErrorCode::Pkcs11NoToken | ErrorCode::Pkcs11Mechanism => &[Hint::CheckSigner],
        ErrorCode::Pkcs11NoObject | ErrorCode::Pkcs11SeveralObjects => &[Hint::CheckPkcs11Uri],
        ErrorCode::Pkcs11Login | ErrorCode::Pkcs11WrongPin => &[Hint::CheckPin],
        ErrorCode::Pkcs11LastTry | ErrorCode::Pkcs11PinLocked => &[Hint::UnlockPin],
        ErrorCode::InvalidTcti => &[Hint::CheckTcti],
        ErrorCode::FeatureMissing => &[Hint::BuildWithFeature],
        ErrorCode::TpmUnavailable | ErrorCode::TpmLost | ErrorCode::TpmFailed => &[Hint::CheckTpm],
        ErrorCode::TpmWrongPassword => &[Hint::CheckTpmPassword],
        ErrorCode::TpmLockout => &[Hint::WaitForTpmLockout],
        ErrorCode::TpmForeignChallenge => &[Hint::CompareEndorsementKey],
        ErrorCode::TpmNoSlot => &[Hint::FreeTpmSlot],
        ErrorCode::TpmKeyMissing => &[Hint::RegisterAgain],
        ErrorCode::ActivationFailed => &[Hint::CheckSigner, Hint::CheckProxy, Hint::Update],
        _ => &[],
    };
    Hints::new(hints)
}

impl ErrorCode {
    /// The likely causes where nothing but the code is known, the likeliest first. A failure of a registration ranks
    /// them by what this device knows besides: [`Failure::hints`](crate::Failure::hints).
    #[must_use]
    pub fn hints(self) -> Hints {
        rank(self, &Evidence::default())
    }
}

/// Every cause of a refused credential looks alike on the wire; what this device knows puts them in order.
fn unauthorized(evidence: &Evidence) -> Hints {
    let mut hints = Hints::NONE;
    let clock_unknown = evidence.clock_skew.is_none() && !evidence.time_known;
    if evidence.refused_at_connect && clock_unknown {
        hints = hints.with(Hint::CheckClock);
    }
    // A clock ahead makes tokens that last longer, which is seldom a cause; it is told, but not first.
    if evidence.clock_skew.is_some_and(|skew| skew > 0) {
        hints = hints.with(Hint::ClockBehind);
    }
    if evidence.key.length.is_some_and(|length| length != 32 && length != 64) {
        hints = hints.with(Hint::KeyLength);
    }
    if evidence.upper_case_id {
        hints = hints.with(Hint::UpperCaseId);
    }
    hints = match (evidence.key.derived_here, evidence.key.length) {
        (true, Some(32)) => hints.with(Hint::DeviceKeyAsGroupKey).with(Hint::UpperCaseId).with(Hint::WrongKey),
        (true, _) => hints.with(Hint::WrongKey).with(Hint::UpperCaseId).with(Hint::DeviceKeyAsGroupKey),
        // A derived key has 32 bytes, so that it is hardly a group's, but may be of another spelling of the id.
        (false, Some(32)) => hints.with(Hint::WrongKey).with(Hint::UpperCaseId).with(Hint::GroupKeyAsDeviceKey),
        (false, _) => hints.with(Hint::GroupKeyAsDeviceKey).with(Hint::WrongKey),
    };
    hints = hints.with(Hint::WrongIdScope).with(Hint::NoEnrollment);
    if evidence.clock_skew.is_some_and(|skew| skew < 0) {
        hints = hints.with(Hint::ClockAhead);
    } else if clock_unknown {
        hints = hints.with(Hint::CheckClock);
    }
    hints.with(Hint::NetworkRules)
}

/// A token of a TPM is signed with the key of the challenge, so that no key of the caller's is a cause.
fn refused_tpm(evidence: &Evidence) -> Hints {
    let clock = match evidence.clock_skew {
        Some(skew) if skew > 0 => Hints::NONE.with(Hint::ClockBehind),
        Some(_) => Hints::NONE.with(Hint::ClockAhead),
        None if evidence.time_known => Hints::NONE,
        None => Hints::NONE.with(Hint::CheckClock),
    };
    let others = [Hint::StaleChallenge, Hint::NoEnrollment, Hint::WrongIdScope, Hint::NetworkRules];
    others.into_iter().fold(clock, Hints::with)
}

/// The service looks for an enrollment with the registration id and the endorsement key.
const UNKNOWN_TPM: &[Hint] = &[Hint::NoEnrollment, Hint::CompareEndorsementKey, Hint::WrongIdScope];

/// A refused certificate looks alike over HTTP, in CONNACK and in a reply over MQTT (Azure IoT DPS documentation, "X.509
/// certificate attestation"). Neither a key nor this device's clock is a cause: the service checks the certificate by its own.
const REFUSED_CERTIFICATE: &[Hint] = &[
    Hint::MissingIntermediate,
    Hint::UnverifiedRoot,
    Hint::WrongThumbprint,
    Hint::CertificateName,
    Hint::NoEnrollment,
    Hint::DisabledGroup,
    Hint::WrongIdScope,
    Hint::NetworkRules,
];
