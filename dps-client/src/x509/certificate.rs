//! What the chain check has to know of one certificate (RFC 5280).

use std::fmt;

use dps_net::crypto_provider;
use x509_parser::asn1_rs::Any;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate, X509Name};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// The longest name in a message, in characters.
const NAME_MAX: usize = 120;

/// Facts of one certificate.
pub(crate) struct Certificate<'a> {
    pub(crate) der: &'a [u8],
    parsed: X509Certificate<'a>,
    signature_algorithm: &'a [u8],
}

/// Whether one certificate was signed with the key of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    Yes,
    No,
    /// The algorithm is not one that can be verified here.
    Unknown,
}

/// What certificates with an extended key usage are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    /// The extension is absent.
    Any,
    /// Client authentication, perhaps among others.
    Client,
    /// Others only.
    Others,
}

impl<'a> Certificate<'a> {
    /// Parses a certificate; `None` when it is damaged.
    pub(crate) fn parse(der: &'a [u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        Some(Self { der, signature_algorithm: signature_algorithm(der)?, parsed })
    }

    pub(crate) fn subject(&self) -> String {
        name(self.parsed.subject())
    }

    pub(crate) fn issuer(&self) -> String {
        name(self.parsed.issuer())
    }

    /// The common name; `Err` when it is in an encoding that is not text.
    pub(crate) fn common_name(&self) -> Option<Result<&str, ()>> {
        let attribute = self.parsed.subject().iter_common_name().next()?;
        Some(attribute.as_str().map_err(drop))
    }

    /// First and last second of its validity, in Unix time.
    pub(crate) fn validity(&self) -> (i64, i64) {
        let validity = self.parsed.validity();
        (validity.not_before.timestamp(), validity.not_after.timestamp())
    }

    /// Whether subject and issuer are the same, as of a root.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.parsed.subject().as_raw() == self.parsed.issuer().as_raw()
    }

    /// Whether it names `other` as its issuer.
    pub(crate) fn names_as_issuer(&self, other: &Self) -> bool {
        self.parsed.issuer().as_raw() == other.parsed.subject().as_raw()
    }

    /// Whether it is an authority's: basic constraints say so.
    pub(crate) fn is_authority(&self) -> bool {
        self.parsed.is_ca()
    }

    /// Whether it may sign certificates. One of version 1 has no extensions that could deny it.
    pub(crate) fn may_sign(&self) -> bool {
        if self.parsed.extensions().is_empty() {
            return self.is_self_issued();
        }
        let usage = self.parsed.key_usage().ok().flatten();
        self.is_authority() && usage.is_none_or(|usage| usage.value.key_cert_sign())
    }

    /// Whether its key usage allows what TLS needs: a signature.
    pub(crate) fn may_authenticate(&self) -> bool {
        let usage = self.parsed.key_usage().ok().flatten();
        usage.is_none_or(|usage| usage.value.digital_signature())
    }

    /// How many authorities may be between it and the device's certificate.
    pub(crate) fn path_length(&self) -> Option<u32> {
        self.parsed.basic_constraints().ok().flatten().and_then(|constraints| constraints.value.path_len_constraint)
    }

    pub(crate) fn usage(&self) -> Usage {
        match self.parsed.extended_key_usage().ok().flatten() {
            None => Usage::Any,
            Some(usage) if usage.value.any || usage.value.client_auth => Usage::Client,
            Some(_) => Usage::Others,
        }
    }

    /// The hash of its signature, where that is broken.
    pub(crate) fn broken_hash(&self) -> Option<&'static str> {
        match self.parsed.signature_algorithm.algorithm.to_id_string().as_str() {
            // RFC 3279, section 2.2, and the OIW's name of the same
            "1.2.840.113549.1.1.2" => Some("MD2"),
            "1.2.840.113549.1.1.4" => Some("MD5"),
            "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.2.840.10040.4.3" | "1.3.14.3.2.29" => Some("SHA-1"),
            _ => None,
        }
    }

    /// The kind of its key.
    pub(crate) fn key_kind(&self) -> KeyKind {
        KeyKind::new(self.parsed.public_key())
    }

    /// Whether this is its key; `public_key` is a SubjectPublicKeyInfo as DER.
    pub(crate) fn has_key(&self, public_key: &[u8]) -> bool {
        let bits = |info| SubjectPublicKeyInfo::from_der(info).ok().map(|(_, info)| info.subject_public_key);
        bits(public_key).is_some_and(|bits| bits == self.parsed.public_key().subject_public_key)
    }

    /// Whether it was signed with the key of `issuer`, as far as this build's crypto provider can tell.
    pub(crate) fn signed_by(&self, issuer: &Self) -> Signed {
        let Some(public) = Any::from_der(issuer.parsed.public_key().raw).ok().map(|(_, info)| info.data) else {
            return Signed::No;
        };
        let Ok((_, algorithm)) = Any::from_der(public) else { return Signed::No };
        let key = issuer.parsed.public_key().subject_public_key.data.as_ref();
        let (message, signature) = (self.parsed.tbs_certificate.as_ref(), self.parsed.signature_value.data.as_ref());
        let mut known = false;
        for candidate in crypto_provider().signature_verification_algorithms.all {
            let fits = *candidate.signature_alg_id() == *self.signature_algorithm
                && *candidate.public_key_alg_id() == *algorithm.data;
            if fits && candidate.verify_signature(key, message, signature).is_ok() {
                return Signed::Yes;
            }
            known |= fits;
        }
        // Providers verify nothing with a short key.
        let verifiable = known && !issuer.key_kind().is_weak();
        if verifiable { Signed::No } else { Signed::Unknown }
    }
}

/// The kind of a public key, and its size in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Rsa(usize),
    Ec(usize),
    Other,
}

impl KeyKind {
    pub(crate) fn new(key: &SubjectPublicKeyInfo<'_>) -> Self {
        match key.parsed() {
            Ok(PublicKey::RSA(key)) => Self::Rsa(key.key_size()),
            Ok(PublicKey::EC(_)) => curve(key).map_or(Self::Other, Self::Ec),
            _ => Self::Other,
        }
    }

    pub(crate) fn is_weak(self) -> bool {
        matches!(self, Self::Rsa(..2048) | Self::Ec(..256))
    }

    /// Whether it is one of those that this SDK is tested with.
    pub(crate) fn is_usual(self) -> bool {
        matches!(self, Self::Rsa(2048..=4096) | Self::Ec(256 | 384))
    }
}

/// The bits of the curve that a key is on, where it is one of NIST's (RFC 5480, section 2.1.1.1).
fn curve(key: &SubjectPublicKeyInfo<'_>) -> Option<usize> {
    let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
    Some(match curve.to_id_string().as_str() {
        "1.2.840.10045.3.1.1" => 192,
        "1.3.132.0.33" => 224,
        "1.2.840.10045.3.1.7" => 256,
        "1.3.132.0.34" => 384,
        "1.3.132.0.35" => 521,
        _ => return None,
    })
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA with {bits} bits"),
            Self::Ec(bits) => write!(f, "EC P-{bits}"),
            Self::Other => f.write_str("neither RSA nor on a curve of NIST"),
        }
    }
}

/// The content of the certificate's `signatureAlgorithm` (RFC 5280, section 4.1.1.2).
fn signature_algorithm(der: &[u8]) -> Option<&[u8]> {
    let (_, certificate) = Any::from_der(der).ok()?;
    let (rest, _) = Any::from_der(certificate.data).ok()?;
    let (_, algorithm) = Any::from_der(rest).ok()?;
    Some(algorithm.data)
}

/// A name for people, without control characters, of limited length.
fn name(name: &X509Name<'_>) -> String {
    let text = name.to_string();
    if text.is_empty() {
        return "without a name".to_owned();
    }
    text.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect()
}

/// A time for people; `seconds` is Unix time.
pub(crate) fn date(seconds: i64) -> String {
    let Ok(time) = ASN1Time::from_timestamp(seconds) else { return format!("Unix time {seconds}") };
    let time = time.to_datetime();
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", time.hour(), time.minute(), time.second())
}
