//! Stands for `parse` in a build without the feature `x509`: every certificate is refused.

use super::certificate::{CertificateError, Members};

pub(super) fn members(_der: &[u8]) -> Result<Members, CertificateError> {
    Err(CertificateError::Unsupported)
}

pub(super) fn der_of_text(_text: &str) -> Result<Vec<u8>, CertificateError> {
    Err(CertificateError::Unsupported)
}

pub(super) fn is_signature(_algorithms: (&[u8], &[u8]), _key: &[u8], _message: &[u8], _signature: &[u8]) -> bool {
    false
}
