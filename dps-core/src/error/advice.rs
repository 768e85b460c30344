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
    let none = Hints::NONE;
    match code {
        ErrorCode::Unauthorized if evidence.by_certificate => refused_certificate(),
        ErrorCode::Unauthorized => unauthorized(evidence),
        ErrorCode::ClockNeeded => none.with(Hint::SetClock),
        ErrorCode::SignerFailed | ErrorCode::SignerTimeout => none.with(Hint::CheckSigner),
        ErrorCode::AssignmentTooLarge | ErrorCode::ReplyTooLarge | ErrorCode::RequestTooLarge => {
            none.with(Hint::EnlargeBuffer)
        }
        ErrorCode::Forbidden => none.with(Hint::CheckProxy).with(Hint::KeepTrackingId),
        ErrorCode::NotFound => none.with(Hint::NoEnrollment).with(Hint::WrongIdScope),
        ErrorCode::BadRequest | ErrorCode::MethodNotAllowed | ErrorCode::UnsupportedMediaType => {
            none.with(Hint::CheckRequest).with(Hint::KeepTrackingId)
        }
        ErrorCode::Conflict => none.with(Hint::KeepTrackingId),
        ErrorCode::Throttled => none.with(Hint::SpreadStart).with(Hint::RaiseTimeout),
        ErrorCode::RequestTimeout | ErrorCode::ServiceUnavailable => {
            none.with(Hint::UseCachedHub).with(Hint::KeepTrackingId)
        }
        ErrorCode::DeadlineExceeded => none.with(Hint::RaiseTimeout),
        ErrorCode::RegistrationFailed if evidence.error_code == Some(400_207) => none.with(Hint::CheckWebhook),
        ErrorCode::RegistrationFailed => none.with(Hint::CheckLinkedHubs).with(Hint::CheckWebhook),
        ErrorCode::EnrollmentDisabled => none.with(Hint::EnableEnrollment),
        ErrorCode::UnexpectedStatus => none.with(Hint::Update).with(Hint::CheckProxy),
        ErrorCode::Dns => none.with(Hint::CheckDns).with(Hint::CheckProxy),
        ErrorCode::Connect | ErrorCode::Timeout => none.with(Hint::CheckNetwork).with(Hint::CheckProxy),
        // A server of another protocol closes the connection.
        ErrorCode::ConnectionCut => none.with(Hint::CheckNetwork).with(Hint::CheckProxy).with(Hint::CheckEndpoint),
        ErrorCode::UnknownCa | ErrorCode::Tls => none.with(Hint::TrustCa).with(Hint::CheckProxy),
        ErrorCode::NameMismatch => none.with(Hint::CheckEndpoint).with(Hint::CheckProxy),
        ErrorCode::CertificateExpired => none.with(Hint::ClockOutsideCertificate),
        ErrorCode::ProxyRefused if evidence.http_status == Some(407) => none.with(Hint::CheckProxyCredentials),
        ErrorCode::ProxyRefused if evidence.http_status.is_some_and(|status| status != 403) => {
            none.with(Hint::CheckProxy)
        }
        ErrorCode::ProxyRefused => none.with(Hint::CheckProxy).with(Hint::CheckProxyCredentials),
        ErrorCode::ProxyUnreachable => none.with(Hint::CheckProxy),
        ErrorCode::InvalidReply => none.with(Hint::CheckProxy).with(Hint::NotTheService),
        ErrorCode::MqttRefused | ErrorCode::SubscribeRefused => none.with(Hint::NotTheService).with(Hint::Update),
        ErrorCode::InvalidClientCertificate | ErrorCode::InvalidClientKey => none.with(Hint::CertificateFormat),
        ErrorCode::CommonNameMismatch => none.with(Hint::CertificateName),
        ErrorCode::ClientCertificateExpired => none.with(Hint::RenewCertificate).with(Hint::CertificateNotYetValid),
        // An inspecting proxy cannot pass on a client's certificate.
        ErrorCode::ClientCertificateRefused => {
            none.with(Hint::RenewCertificate).with(Hint::MissingIntermediate).with(Hint::CheckProxy)
        }
        ErrorCode::RenegotiationUnsupported => none.with(Hint::UseMqtt),
        ErrorCode::Pkcs11Module | ErrorCode::Pkcs11NoToken | ErrorCode::Pkcs11Mechanism => none.with(Hint::CheckSigner),
        ErrorCode::Pkcs11NoObject | ErrorCode::Pkcs11SeveralObjects => none.with(Hint::CheckPkcs11Uri),
        ErrorCode::Pkcs11Login | ErrorCode::Pkcs11WrongPin => none.with(Hint::CheckPin),
        ErrorCode::Pkcs11LastTry | ErrorCode::Pkcs11PinLocked => none.with(Hint::UnlockPin),
        _ => none,
    }
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

/// A refused certificate looks alike over HTTP, in CONNACK and in a reply over MQTT (Azure IoT DPS documentation, "X.509
/// certificate attestation"). Neither a key nor this device's clock is a cause: the service checks the certificate by its own.
fn refused_certificate() -> Hints {
    Hints::NONE
        .with(Hint::MissingIntermediate)
        .with(Hint::UnverifiedRoot)
        .with(Hint::WrongThumbprint)
        .with(Hint::CertificateName)
        .with(Hint::NoEnrollment)
        .with(Hint::DisabledGroup)
        .with(Hint::WrongIdScope)
        .with(Hint::NetworkRules)
}
