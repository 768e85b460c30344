//! Looks at the files that a configuration names: whether they can be read and by whom, whether a symmetric key is raw
//! bytes, and whether a certificate is valid.

use std::fs::{Metadata, metadata};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use dps_client::file;
use dps_core::Key;
use dps_core::limits::{KEY_MAX, KEY_MIN};
use x509_parser::pem::Pem;
use zeroize::Zeroizing;

use crate::problem::Problem;

/// No key file is longer, in bytes.
pub(crate) const KEY_FILE_MAX: usize = 4096;

/// No file of certificates is longer, in bytes.
const CERTIFICATES_MAX: u64 = 1024 * 1024;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileRole {
    SymmetricKey,
    PrivateKey,
    Certificate,
}

/// What is wrong with the file.
pub(crate) fn check(role: FileRole, path: &Path, now: SystemTime) -> Vec<Problem> {
    match role {
        FileRole::SymmetricKey => symmetric_key(path),
        FileRole::PrivateKey => private_key(path),
        FileRole::Certificate => certificate(path, now).into_iter().collect(),
    }
}

/// Its content is nobody's business.
fn private_key(path: &Path) -> Vec<Problem> {
    match metadata(path) {
        Ok(metadata) => mode_open_to_others(&metadata).map(|mode| Problem::KeyFileMode { mode }).into_iter().collect(),
        Err(_) => vec![Problem::KeyFileUnreadable],
    }
}

/// The device's own certificate stands first; the others vouch for it.
fn certificate(path: &Path, now: SystemTime) -> Option<Problem> {
    let Ok(bytes) = file::read(path, CERTIFICATES_MAX) else { return Some(Problem::FileUnreadable) };
    let Some(Ok(pem)) = Pem::iter_from_buffer(&bytes).next() else { return Some(Problem::NotACertificate) };
    let Ok(certificate) = pem.parse_x509() else { return Some(Problem::NotACertificate) };
    let validity = certificate.validity();
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    if now > validity.not_after.timestamp() {
        Some(Problem::CertificateEnded { days: (now - validity.not_after.timestamp()) / (24 * 3600) })
    } else {
        (now < validity.not_before.timestamp()).then_some(Problem::CertificateNotYetValid)
    }
}

fn symmetric_key(path: &Path) -> Vec<Problem> {
    let (bytes, metadata) = match read(path) {
        Ok(read) => read,
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            return vec![Problem::KeyFileLength { length: KEY_FILE_MAX + 1 }];
        }
        Err(_) => return vec![Problem::KeyFileUnreadable],
    };
    let mut problems = Vec::new();
    if is_base64(&bytes) {
        problems.push(Problem::Base64InKeyFile);
    } else if !(KEY_MIN..=KEY_MAX).contains(&bytes.len()) {
        problems.push(Problem::KeyFileLength { length: bytes.len() });
    }
    problems.extend(mode_open_to_others(&metadata).map(|mode| Problem::KeyFileMode { mode }));
    problems
}

/// The bytes of a key file, which may come through a FIFO.
pub(crate) fn read(path: &Path) -> std::io::Result<(Zeroizing<Vec<u8>>, Metadata)> {
    let metadata = metadata(path)?;
    Ok((file::read_secret(path, KEY_FILE_MAX as u64)?, metadata))
}

/// Raw bytes that all happen to be base64 digits are as good as impossible.
fn is_base64(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| Key::from_base64(text.trim_ascii()).is_ok())
}

#[cfg(unix)]
fn mode_open_to_others(metadata: &Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let mode = metadata.mode() & 0o7777;
    (metadata.is_file() && mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn mode_open_to_others(_: &Metadata) -> Option<u32> {
    None
}
