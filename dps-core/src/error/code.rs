//! The numbered catalogue of failures.
//!
//! Numbers and names are a promise to C, Python and scripts: never changed, never used again.

use core::fmt;

use crate::error::line;

/// Who has to act on a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Family {
    /// A call out of order: the program has to change.
    Misuse,
    /// A value that can never work: the configuration has to change.
    Configuration,
    /// Something on this device: signer, file, buffer, clock, or the caller who cancelled.
    Local,
    /// The service answered, and said no.
    Service,
    /// Nothing usable came back: DNS, TCP, TLS, proxy, protocol, timeout.
    Link,
}

impl Family {
    /// The family's name in JSON, C and Python.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Misuse => "misuse",
            Self::Configuration => "configuration",
            Self::Local => "local",
            Self::Service => "service",
            Self::Link => "link",
        }
    }
}

/// The family's name.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

macro_rules! catalogue {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal, $text:literal;)+) => {
        /// What went wrong, with a number and a name that never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[repr(u16)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $variant = $number,)+
        }

        impl ErrorCode {
            /// Every code, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in JSON, Python and the documents.
            #[must_use]
            pub const fn name(self) -> &'static str {
                line(concat!($($name, "\n",)+), self.index())
            }

            /// One sentence for people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                line(concat!($($text, "\n",)+), self.index())
            }
        }
    };
}

catalogue! {
    /// A call that does not fit the machine's state.
    Misuse = 1001, "misuse", "a call came in the wrong order and changed nothing";
    /// An argument that no state allows; only the bindings can be given one.
    InvalidArgument = 1002, "invalid-argument", "an argument cannot be used, such as a null pointer where memory is needed";
    /// Memory that holds no object, or one that was copied; only the C library can be given such.
    InvalidObject = 1003, "invalid-object", "an object was not initialized, was cleared, or was copied although it must stay in place";

    /// The id scope is not one.
    InvalidIdScope = 2001, "invalid-id-scope", "the id scope cannot be used";
    /// The registration id breaks the service's rule.
    InvalidRegistrationId = 2002, "invalid-registration-id", "the registration id cannot be used";
    /// The endpoint is not a host name.
    InvalidEndpoint = 2003, "invalid-endpoint", "the endpoint cannot be used";
    /// The key is invalid.
    InvalidKey = 2004, "invalid-key", "the key cannot be used";
    /// The payload is not a JSON object.
    InvalidPayload = 2005, "invalid-payload", "the payload cannot be used";
    /// The storage or an output buffer is too small.
    StorageTooSmall = 2006, "storage-too-small", "a buffer is too small";
    /// The exported operation is unreadable.
    OperationUnreadable = 2007, "operation-unreadable", "the saved operation cannot be read";
    /// The exported operation belongs to another identity.
    OperationMismatch = 2008, "operation-mismatch", "the saved operation belongs to another endpoint, id scope or registration id";
    /// The transport cannot do what was asked.
    UnsupportedByTransport = 2009, "unsupported-by-transport", "the transport cannot do what was asked";
    /// A trusted certificate is unreadable.
    InvalidCertificate = 2010, "invalid-certificate", "a certificate to trust cannot be read";
    /// An option or a combination of options cannot be used.
    InvalidOption = 2011, "invalid-option", "an option cannot be used";
    /// The device's certificate, or another one of its chain, cannot be used.
    InvalidClientCertificate = 2012, "invalid-client-certificate", "the device's certificate or its chain cannot be used";
    /// The private key of the device's certificate is unreadable, or of a kind that is not supported.
    InvalidClientKey = 2013, "invalid-client-key", "the private key of the device's certificate cannot be used";
    /// The private key is encrypted, and its passphrase is wrong or missing.
    WrongPassphrase = 2014, "wrong-passphrase", "the private key is encrypted, and the passphrase is wrong or missing";
    /// The private key is of another certificate.
    ClientKeyMismatch = 2015, "client-key-mismatch", "the private key does not belong to the device's certificate";
    /// The registration id differs from the common name of the device's certificate.
    CommonNameMismatch = 2016, "common-name-mismatch", "the registration id differs from the common name of the device's certificate";
    /// The PKCS#11 URI (RFC 7512) is invalid, or has an attribute that is not allowed.
    InvalidPkcs11Uri = 2017, "invalid-pkcs11-uri", "the PKCS#11 URI cannot be used";
    /// The TCTI string, by which a TPM is reached, is invalid, or names a transport that is not built in.
    InvalidTcti = 2018, "invalid-tcti", "the TCTI string of the TPM cannot be used";
    /// The program or library was built without the feature that an option requires.
    FeatureMissing = 2019, "feature-missing", "an option requires a feature that this build does not have";
    /// The hub speaks another protocol than hub credentials and connection strings are for.
    UnsupportedProfile = 2020, "unsupported-profile", "the hub has a connection profile that hub credentials and connection strings are not for";

    /// A token is needed and nobody set the clock.
    ClockNeeded = 3001, "clock-needed", "the time is not known, and a token cannot be made without it";
    /// The signer failed.
    SignerFailed = 3002, "signer-failed", "the signer failed";
    /// The signer gave no answer in time.
    SignerTimeout = 3003, "signer-timeout", "the signer gave no answer in time";
    /// The assignment does not fit the storage.
    AssignmentTooLarge = 3004, "assignment-too-large", "the assignment does not fit the storage; the operation can be exported and read again";
    /// The reply does not fit the buffer.
    ReplyTooLarge = 3005, "reply-too-large", "the reply does not fit the buffer";
    /// The request does not fit the buffer.
    RequestTooLarge = 3006, "request-too-large", "the request does not fit the buffer";
    /// The caller cancelled.
    Cancelled = 3007, "cancelled", "the registration was cancelled";
    /// A file cannot be read or written.
    File = 3008, "file", "a file cannot be read or written";
    /// Something failed inside this program.
    Internal = 3009, "internal", "something failed inside this program";
    /// The observer of the progress did not return in time.
    ObserverTimeout = 3010, "observer-timeout", "the observer of the progress did not return in time";
    /// The challenge of the service was not activated.
    ActivationFailed = 3011, "activation-failed", "the challenge of the service could not be activated";
    /// The certificate request is not what it was when it was set.
    CertificateRequest = 3012, "certificate-request", "the certificate request could not be read, or has changed since it was set";
    /// The device's certificate, or another one of its chain, is expired or not valid yet.
    ClientCertificateExpired = 3013, "client-certificate-expired", "the device's certificate or its chain is not valid at this time";
    /// The PKCS#11 module cannot be loaded or initialized.
    Pkcs11Module = 3014, "pkcs11-module", "the PKCS#11 module cannot be loaded";
    /// No token matches the PKCS#11 URI, or it was removed.
    Pkcs11NoToken = 3015, "pkcs11-no-token", "no token matches the PKCS#11 URI, or it was removed";
    /// The token has no object that matches the PKCS#11 URI.
    Pkcs11NoObject = 3016, "pkcs11-no-object", "the token has no object that matches the PKCS#11 URI";
    /// More than one token or object matches the PKCS#11 URI.
    Pkcs11SeveralObjects = 3017, "pkcs11-several-objects", "several tokens or objects match the PKCS#11 URI";
    /// The token cannot be logged in to: there is no PIN to use, or the token does not allow it.
    Pkcs11Login = 3018, "pkcs11-login", "the token cannot be logged in to";
    /// The token refused the PIN.
    Pkcs11WrongPin = 3019, "pkcs11-wrong-pin", "the token refused the PIN";
    /// The token reports that one more wrong PIN locks it; the PIN was not tried.
    Pkcs11LastTry = 3020, "pkcs11-last-try", "the next wrong PIN locks the token, so that the PIN was not tried";
    /// The PIN is locked.
    Pkcs11PinLocked = 3021, "pkcs11-pin-locked", "the PIN of the token is locked";
    /// The token does not offer the mechanism that the key requires.
    Pkcs11Mechanism = 3022, "pkcs11-mechanism", "the token does not offer the mechanism that the key requires";
    /// The TPM cannot be reached: missing, in use by another program, or not allowed to this user.
    TpmUnavailable = 3023, "tpm-unavailable", "the TPM cannot be reached";
    /// The connection with the TPM ended before it answered.
    TpmLost = 3024, "tpm-lost", "the connection with the TPM ended before it answered";
    /// The TPM refused the password of a hierarchy.
    TpmWrongPassword = 3025, "tpm-wrong-password", "the TPM refused the password of a hierarchy";
    /// The TPM is in lockout.
    TpmLockout = 3026, "tpm-lockout", "the TPM is in lockout after too many failed authorizations";
    /// The challenge of the service was made for another TPM, or was changed on its way.
    TpmForeignChallenge = 3027, "tpm-foreign-challenge", "the challenge of the service is not for this TPM";
    /// No persistent slot of the TPM is free for the key, or the key's slot holds another object.
    TpmNoSlot = 3028, "tpm-no-slot", "the TPM has no free slot for the key";
    /// The TPM does not hold the key for the hub.
    TpmKeyMissing = 3029, "tpm-key-missing", "the TPM does not hold the key for the hub";
    /// The TPM failed in another way, or holds an object that cannot be used.
    TpmFailed = 3030, "tpm-failed", "the TPM failed, or holds a key that cannot be used";

    /// 401, or refused credentials over MQTT.
    Unauthorized = 4001, "unauthorized", "the service refused the credential";
    /// 403.
    Forbidden = 4002, "forbidden", "the service forbids it";
    /// 404 on a registration or a lookup.
    NotFound = 4003, "not-found", "the service does not know the registration";
    /// 400.
    BadRequest = 4004, "bad-request", "the service found the request wrong";
    /// 405.
    MethodNotAllowed = 4005, "method-not-allowed", "the service does not offer this call";
    /// 415.
    UnsupportedMediaType = 4006, "unsupported-media-type", "the service does not accept this content type";
    /// 408 until the deadline.
    RequestTimeout = 4007, "request-timeout", "the service gave up waiting for the request";
    /// 409 until the deadline.
    Conflict = 4008, "conflict", "another change of the same registration was under way";
    /// 429 until the deadline.
    Throttled = 4009, "throttled", "the service is throttling";
    /// 5xx until the deadline.
    ServiceUnavailable = 4010, "service-unavailable", "the service is in trouble";
    /// The operation ended with `failed`.
    RegistrationFailed = 4011, "registration-failed", "the service could not assign the device to a hub";
    /// The operation ended with `disabled`.
    EnrollmentDisabled = 4012, "enrollment-disabled", "the enrollment is disabled";
    /// A status that this version does not know.
    UnexpectedStatus = 4013, "unexpected-status", "the service answered with a status that is not known here";
    /// The service was still assigning when the deadline came.
    DeadlineExceeded = 4014, "deadline-exceeded", "the service was still assigning when the time was up";

    /// The host name cannot be resolved.
    Dns = 5001, "dns", "the host name cannot be resolved";
    /// The connection was refused or the network cannot be reached.
    Connect = 5002, "connect", "no connection can be made";
    /// The connection ended in the middle.
    ConnectionCut = 5003, "connection-cut", "the connection was cut";
    /// No answer came in time.
    Timeout = 5004, "timeout", "no answer came in time";
    /// The certificate's issuer is not trusted.
    UnknownCa = 5005, "unknown-ca", "the server's certificate is from an authority that is not trusted here";
    /// The certificate names another host.
    NameMismatch = 5006, "name-mismatch", "the server's certificate is for another name";
    /// The certificate is expired or not valid yet.
    CertificateExpired = 5007, "certificate-expired", "the server's certificate is not valid at this time";
    /// TLS failed in another way.
    Tls = 5008, "tls", "no secure connection can be made";
    /// The proxy refused.
    ProxyRefused = 5009, "proxy-refused", "the proxy refused";
    /// The proxy cannot be reached.
    ProxyUnreachable = 5010, "proxy-unreachable", "the proxy cannot be reached";
    /// What came back is not a reply of the service.
    InvalidReply = 5011, "invalid-reply", "what came back is not a reply of the service";
    /// The MQTT server refused the protocol or the client id (CONNACK 1, 2).
    MqttRefused = 5012, "mqtt-refused", "the server refused the MQTT connection";
    /// The MQTT server refused the subscription.
    SubscribeRefused = 5013, "subscribe-refused", "the server refused the subscription";
    /// The server refused the device's certificate in TLS.
    ClientCertificateRefused = 5014, "client-certificate-refused", "the server refused the device's certificate";
    /// The server requests the device's certificate by a second handshake, as some do with TLS 1.2.
    RenegotiationUnsupported = 5015, "renegotiation-unsupported", "the server requests the device's certificate by TLS renegotiation, which is not supported";
}

impl ErrorCode {
    /// Its place in [`ErrorCode::ALL`].
    const fn index(self) -> usize {
        let mut index: usize = 0;
        let mut rest = Self::ALL;
        while let [first, others @ ..] = rest
            && *first as u16 != self as u16
        {
            rest = others;
            index = index.wrapping_add(1);
        }
        index
    }

    /// The stable number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Who has to act.
    #[must_use]
    pub const fn family(self) -> Family {
        match self.number() / 1000 {
            1 => Family::Misuse,
            2 => Family::Configuration,
            3 => Family::Local,
            4 => Family::Service,
            _ => Family::Link,
        }
    }
}

/// The sentence of [`ErrorCode::text`].
impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

impl core::error::Error for ErrorCode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_in_order() {
        for pair in ErrorCode::ALL.windows(2) {
            let [first, second] = pair else { unreachable!() };
            assert!(first.number() < second.number());
        }
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            assert!(ErrorCode::ALL.iter().skip(index + 1).all(|other| other.name() != code.name()));
        }
    }

    #[test]
    fn error_number_determines_the_family() {
        assert_eq!(ErrorCode::Misuse.family(), Family::Misuse);
        assert_eq!(ErrorCode::InvalidKey.family(), Family::Configuration);
        assert_eq!(ErrorCode::Cancelled.family(), Family::Local);
        assert_eq!(ErrorCode::Throttled.family(), Family::Service);
        assert_eq!(ErrorCode::Tls.family(), Family::Link);
    }
}
