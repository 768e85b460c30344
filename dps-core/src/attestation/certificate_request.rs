//! A certificate request that goes along with a registration.

use core::fmt;

use thiserror::Error;

use super::Attestation;
use super::sealed::{Ask, KeyIn, Parts, Token};
use crate::message::WriteMembers;
use crate::text::Text;

/// Where a certificate request comes from, such as an array, a file, or a function that makes it anew each time.
pub trait CertificateSource: Sync {
    /// The exact length in bytes of the request (PKCS #10 in DER, RFC 2986).
    fn length(&self) -> usize;

    /// Fills `buffer` with the bytes from `offset` on. It is called several times for the same bytes, which must be the same
    /// each time.
    ///
    /// # Errors
    /// [`CertificateRequestError`] when they cannot be read; the registration ends with it.
    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), CertificateRequestError>;
}

impl CertificateSource for &[u8] {
    fn length(&self) -> usize {
        self.len()
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), CertificateRequestError> {
        let end = offset.saturating_add(buffer.len());
        let bytes = self.get(offset..end).ok_or(CertificateRequestError)?;
        for (to, from) in buffer.iter_mut().zip(bytes) {
            *to = *from;
        }
        Ok(())
    }
}

/// The certificate request could not be read, or is not what it was when it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("the certificate request could not be read, or has changed since it was set")]
pub struct CertificateRequestError;

/// An attestation, and a certificate request that goes along with the registration (`csr` in the service's API of
/// 2026-11-01).
///
/// The service issues a certificate chain for it, if the enrollment has a certificate policy;
/// [`Registration::issued_certificate`](crate::Registration::issued_certificate) returns it. Three things are the caller's:
///
/// - Requests must use an API version that knows the member: [`ISSUANCE_API_VERSION`](crate::codec::ISSUANCE_API_VERSION). An
///   older one ignores it, and the device is assigned without a certificate.
/// - The reply buffer must hold the chain: 8 KiB suffice for three certificates of P-384, 16 KiB for five of RSA-2048. A
///   smaller one ends the registration with [`ErrorCode::ReplyTooLarge`](crate::ErrorCode::ReplyTooLarge) and the size, where
///   it is known; [`Registration::set_operation`](crate::Registration::set_operation) goes on with a larger one.
/// - The common name of the request must be the registration id, and its signature is checked by the service: what is in it
///   is not read here.
///
/// A lookup cannot carry a request.
///
/// ```
/// use dps_core::SymmetricKey;
/// use dps_core::WithCertificateRequest;
/// let der: &[u8] = &[0x30, 0x03, 0x02, 0x01, 0x00];
/// let attestation = WithCertificateRequest::new(SymmetricKey, der)?;
/// # let _ = attestation;
/// # Ok::<(), dps_core::CertificateRequestError>(())
/// ```
pub struct WithCertificateRequest<A, S> {
    attestation: A,
    source: S,
    length: usize,
    fingerprint: Fingerprint,
}

/// Bytes that are read at once: a multiple of three, so that base64 goes on from one to the next.
const CHUNK: usize = 48;

impl<A: Attestation, S: CertificateSource> WithCertificateRequest<A, S> {
    /// Reads the request once, so that a later reading which differs is noticed: then nothing is sent, and the registration
    /// ends with [`ErrorCode::CertificateRequest`](crate::ErrorCode::CertificateRequest).
    ///
    /// # Errors
    /// [`CertificateRequestError`] when it is empty or cannot be read.
    pub fn new(attestation: A, source: S) -> Result<Self, CertificateRequestError> {
        let length = source.length();
        if length == 0 {
            return Err(CertificateRequestError);
        }
        let fingerprint = read(&source, length, |_| {})?;
        Ok(Self { attestation, source, length, fingerprint })
    }

    /// Sets another attestation of the same type: for a language where one type stands for all of them.
    #[doc(hidden)]
    pub fn set_attestation(&mut self, attestation: A) {
        self.attestation = attestation;
    }

    /// Whether the same was read as at first.
    fn read_again(&self, take: impl FnMut(&[u8])) -> bool {
        self.source.length() == self.length && read(&self.source, self.length, take) == Ok(self.fingerprint)
    }
}

impl<A: Attestation, S: CertificateSource> WriteMembers for WithCertificateRequest<A, S> {
    fn write_members(&self, text: &mut Text<'_>) {
        self.attestation.write_members(text);
        // Not of 8 bytes: linkers keep all constants of that size where they keep one.
        text.push(",\"csr\":");
        text.push_byte(b'"');
        if !self.read_again(|chunk| text.push_base64(chunk)) {
            text.fail();
        }
        text.push_byte(b'"');
    }
}

impl<A: Attestation, S: CertificateSource> Attestation for WithCertificateRequest<A, S> {}

impl<A: Attestation, S: CertificateSource> Parts for WithCertificateRequest<A, S> {
    fn token(&self) -> Token {
        self.attestation.token()
    }

    fn allows(&self, ask: Ask) -> bool {
        match ask {
            Ask::Register => self.attestation.allows(ask) && self.read_again(|_| {}),
            Ask::Status => true,
            Ask::Lookup => false,
        }
    }

    fn find_key(&self, body: &[u8], key: KeyIn) -> Option<usize> {
        self.attestation.find_key(body, key)
    }
}

impl<A: fmt::Debug, S> fmt::Debug for WithCertificateRequest<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithCertificateRequest")
            .field("attestation", &self.attestation)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Reads the source from the beginning to the end.
fn read<S: CertificateSource>(
    source: &S,
    length: usize,
    mut take: impl FnMut(&[u8]),
) -> Result<Fingerprint, CertificateRequestError> {
    let mut fingerprint = Fingerprint::EMPTY;
    let mut offset = 0_usize;
    while offset < length {
        let mut buffer = [0; CHUNK];
        let size = length.saturating_sub(offset).min(CHUNK);
        let chunk = buffer.get_mut(..size).unwrap_or_default();
        source.read(offset, chunk)?;
        fingerprint.add(chunk);
        take(chunk);
        offset = offset.saturating_add(size);
    }
    Ok(fingerprint)
}

/// Tells bytes from others that got there by mistake (FNV-1a).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint(u32);

impl Fingerprint {
    const EMPTY: Self = Self(0x811C_9DC5);

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }
}
