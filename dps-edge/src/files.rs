//! Files: which file of a directory is the configuration, and whether the files that a configuration names can be read
//! and by whom, whether a symmetric key is raw bytes, and whether a certificate is valid.

use std::ffi::OsStr;
use std::fs::{self, Metadata, metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use dps_core::Key;
use dps_core::limits::{KEY_MAX, KEY_MIN};
use dps_files::mode_open_to_others;
use x509_parser::pem::Pem;
use zeroize::Zeroizing;

use crate::problem::Problem;

/// The longest key file that is read, in bytes.
pub(crate) const KEY_FILE_MAX: usize = 4096;

/// The longest file of certificates that is read, in bytes.
const CERTIFICATES_MAX: u64 = 1024 * 1024;
/// The directories of the daemons below `/etc/aziot`.
const DAEMONS: [&str; 5] = ["certd", "edged", "identityd", "keyd", "tpmd"];
/// The file that `iotedge config apply` writes into the `config.d` of each.
const WRITTEN: &str = "00-super.toml";

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileRole {
    SymmetricKey,
    PrivateKey,
    Certificate,
}

/// Returns what is wrong with the file.
pub(crate) fn check(role: FileRole, path: &Path, now: SystemTime) -> Vec<Problem> {
    match role {
        FileRole::SymmetricKey => symmetric_key(path),
        FileRole::PrivateKey => private_key(path),
        FileRole::Certificate => certificate(path, now).into_iter().collect(),
    }
}

/// Checks a private key's permissions, not its content.
fn private_key(path: &Path) -> Vec<Problem> {
    match metadata(path) {
        Ok(metadata) => mode_open_to_others(&metadata).map(|mode| Problem::KeyFileMode { mode }).into_iter().collect(),
        Err(_) => vec![Problem::KeyFileUnreadable],
    }
}

/// Checks the first certificate, which is the device's own; the others are its issuers.
fn certificate(path: &Path, now: SystemTime) -> Option<Problem> {
    let Ok(bytes) = dps_files::read(path, CERTIFICATES_MAX) else { return Some(Problem::FileUnreadable) };
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

/// Reads a key file, which may be a FIFO.
pub(crate) fn read(path: &Path) -> io::Result<(Zeroizing<Vec<u8>>, Metadata)> {
    let metadata = metadata(path)?;
    Ok((dps_files::read_secret(path, KEY_FILE_MAX as u64)?, metadata))
}

/// Raw bytes that happen to be valid base64 text are practically impossible.
fn is_base64(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| Key::from_base64(text.trim_ascii()).is_ok())
}

/// The configuration in a directory such as `/etc/aziot` or `/etc/iotedge`: `config.toml`, or else `config.yaml`.
///
/// # Errors
/// `NotFound` if it has neither.
pub fn configuration_in(directory: &Path) -> io::Result<PathBuf> {
    let candidates = ["config.toml", "config.yaml"].map(|name| directory.join(name));
    let message = "the directory has neither config.toml nor config.yaml";
    candidates.into_iter().find(|path| path.exists()).ok_or_else(|| io::Error::new(ErrorKind::NotFound, message))
}

/// The files that the daemons read besides those that `iotedge config apply` writes, sorted by name.
///
/// # Errors
/// A directory that exists but cannot be read.
pub fn stray_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut stray = Vec::new();
    for daemon in DAEMONS.map(|daemon| directory.join(daemon)) {
        stray.extend(Some(daemon.join("config.toml")).filter(|path| path.is_file()));
        let parts = match fs::read_dir(daemon.join("config.d")) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            parts => parts?.map(|part| part.map(|part| part.path())).collect::<io::Result<Vec<_>>>()?,
        };
        let is_stray = |path: &PathBuf| {
            path.extension() == Some(OsStr::new("toml")) && path.file_name() != Some(OsStr::new(WRITTEN))
        };
        stray.extend(parts.into_iter().filter(is_stray));
    }
    stray.sort();
    Ok(stray)
}
