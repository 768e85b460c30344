//! Errors that replace an answer: of a link, a signer, or the activation of a challenge.

use thiserror::Error;

use crate::error::ErrorCode;

/// Why a link has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LinkError {
    /// The host name cannot be resolved.
    #[error("the host name cannot be resolved")]
    Dns,
    /// The connection was refused, or the network cannot be reached.
    #[error("no connection can be made")]
    Connect,
    /// The connection ended in the middle.
    #[error("the connection was cut")]
    Cut,
    /// No answer came in time.
    #[error("no answer came in time")]
    Timeout,
    /// The certificate's issuer is not trusted.
    #[error("the server's certificate is from an authority that is not trusted here")]
    UnknownCa,
    /// The certificate names another host.
    #[error("the server's certificate is for another name")]
    NameMismatch,
    /// The certificate is expired or not valid yet.
    #[error("the server's certificate is not valid at this time")]
    CertificateExpired,
    /// TLS failed in another way.
    #[error("no secure connection can be made")]
    Tls,
    /// The proxy answered with a refusal; its HTTP status where it is known.
    #[error("the proxy refused")]
    ProxyRefused {
        /// The proxy's HTTP status.
        status: Option<u16>,
    },
    /// The proxy cannot be reached.
    #[error("the proxy cannot be reached")]
    ProxyUnreachable,
    /// What came back is not a reply of the service.
    #[error("what came back is not a reply of the service")]
    InvalidReply,
    /// The reply does not fit the buffer; its size in bytes where it is known.
    #[error("the reply does not fit the buffer")]
    ReplyTooLarge {
        /// The size that would do, in bytes.
        needed: Option<usize>,
    },
    /// The request does not fit the link's buffer.
    #[error("the request does not fit the buffer")]
    RequestTooLarge {
        /// The size that would do, in bytes.
        needed: usize,
    },
    /// The link cannot make this call, such as a lookup over MQTT.
    #[error("the transport cannot do what was asked")]
    Unsupported,
    /// The MQTT server refused the connection with this CONNACK code (MQTT 3.1.1, section 3.2.2.3).
    #[error("the server refused the MQTT connection with code {code}")]
    MqttRefused {
        /// The return code, 1 to 5.
        code: u8,
    },
    /// The MQTT server refused the subscription.
    #[error("the server refused the subscription")]
    SubscribeRefused,
    /// The server refused the device's certificate in TLS.
    #[error("the server refused the device's certificate")]
    ClientCertificateRefused,
    /// The server requests the device's certificate by TLS renegotiation.
    #[error("the server requests the device's certificate by TLS renegotiation")]
    RenegotiationUnsupported,
    /// The key of the device's certificate could not sign in TLS, such as one in a PKCS#11 token.
    #[error("the key of the device's certificate could not sign: {code}")]
    Signer {
        /// The entry in the error catalogue that says why, such as [`ErrorCode::SignerFailed`].
        code: ErrorCode,
    },
}

impl LinkError {
    /// The entry in the error catalogue.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Dns => ErrorCode::Dns,
            Self::Connect => ErrorCode::Connect,
            Self::Cut => ErrorCode::ConnectionCut,
            Self::Timeout => ErrorCode::Timeout,
            Self::UnknownCa => ErrorCode::UnknownCa,
            Self::NameMismatch => ErrorCode::NameMismatch,
            Self::CertificateExpired => ErrorCode::CertificateExpired,
            Self::Tls => ErrorCode::Tls,
            Self::ProxyRefused { .. } => ErrorCode::ProxyRefused,
            Self::ProxyUnreachable => ErrorCode::ProxyUnreachable,
            Self::InvalidReply => ErrorCode::InvalidReply,
            Self::ReplyTooLarge { .. } => ErrorCode::ReplyTooLarge,
            Self::RequestTooLarge { .. } => ErrorCode::RequestTooLarge,
            Self::Unsupported => ErrorCode::UnsupportedByTransport,
            Self::MqttRefused { code } => code_of_connack(code as usize),
            Self::SubscribeRefused => ErrorCode::SubscribeRefused,
            Self::ClientCertificateRefused => ErrorCode::ClientCertificateRefused,
            Self::RenegotiationUnsupported => ErrorCode::RenegotiationUnsupported,
            Self::Signer { code } => code,
        }
    }
}

/// The entry in the error catalogue for a return code of CONNACK (MQTT 3.1.1, section 3.2.2.3).
pub(crate) const fn code_of_connack(code: usize) -> ErrorCode {
    match code {
        3 => ErrorCode::ServiceUnavailable,
        4 | 5 => ErrorCode::Unauthorized,
        _ => ErrorCode::MqttRefused,
    }
}

/// Why a signer has no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("the signer failed")]
pub struct SignError;

/// Why a challenge was not activated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("the challenge was not activated")]
pub struct ActivateError;
