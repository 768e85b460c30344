//! The files that a configuration names, relative to its own directory.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use zeroize::Zeroizing;

use super::node::{Mistake, Node};
use crate::credentials::SymmetricKey;
use crate::webhook::WebhookUrl;
use crate::x509::Certificate;

/// The largest file with a key or the URL of a webhook, in bytes: a key has at most 88 characters, a URL 2048.
const SECRET_FILE_MAX: u64 = 4096;
/// The largest file with certificates and their key, in bytes.
const PEM_FILE_MAX: u64 = 64 * 1024;

/// The directory of the configuration.
pub(super) struct Files(PathBuf);

impl Files {
    pub(super) fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Reads the key that a member names. No message repeats what may be a key by mistake.
    pub(super) fn key(&self, member: &Node<'_>) -> Result<SymmetricKey, Mistake> {
        let (name, path) = (member.text()?, self.path(member.text()?));
        let text = read_secret(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if SymmetricKey::from_base64(name).is_ok() => {
                member.mistake("is the name of a file, and this looks like a key: write the key to a file")
            }
            io::ErrorKind::NotFound => member.mistake(format!(
                "names the file {}, which does not exist: write the key to it, or remove the member to have a key generated",
                path.display()
            )),
            _ => unreadable(member, &path, &error),
        })?;
        SymmetricKey::from_base64(&text).map_err(|error| invalid(member, &path, &error))
    }

    /// Reads the URL of a webhook, which holds a function key.
    pub(super) fn webhook_url(&self, member: &Node<'_>) -> Result<WebhookUrl, Mistake> {
        let path = self.path(member.text()?);
        let text = read_secret(&path).map_err(|error| unreadable(member, &path, &error))?;
        WebhookUrl::parse(text.trim_ascii()).map_err(|error| invalid(member, &path, &error))
    }

    /// Reads PEM, which may contain a private key.
    pub(super) fn pem(&self, member: &Node<'_>) -> Result<Zeroizing<String>, Mistake> {
        let path = self.path(member.text()?);
        let bytes = dps_files::read_secret(&path, PEM_FILE_MAX).map_err(|error| unreadable(member, &path, &error))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| not_pem(member, &path))?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// Reads a certificate, in PEM or DER.
    pub(super) fn certificate(&self, member: &Node<'_>) -> Result<Certificate, Mistake> {
        let path = self.path(member.text()?);
        let bytes = dps_files::read_secret(&path, PEM_FILE_MAX).map_err(|error| unreadable(member, &path, &error))?;
        let certificate = match std::str::from_utf8(&bytes) {
            Ok(text) => Certificate::from_pem(text),
            Err(_) => Certificate::from_der(&bytes),
        };
        certificate.map_err(|error| invalid(member, &path, &error))
    }
}

/// Reads a file with a secret, and warns if others can read it too.
fn read_secret(path: &Path) -> io::Result<Zeroizing<String>> {
    let bytes = dps_files::read_secret(path, SECRET_FILE_MAX)?;
    if std::fs::metadata(path).is_ok_and(|metadata| dps_files::mode_open_to_others(&metadata).is_some()) {
        tracing::warn!(path = %path.display(), "others can read this file with a key: restrict it with chmod 600");
    }
    let text = std::str::from_utf8(&bytes);
    let text = text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text"))?;
    Ok(Zeroizing::new(text.trim_start_matches('\u{feff}').to_owned()))
}

fn invalid(member: &Node<'_>, path: &Path, error: &dyn fmt::Display) -> Mistake {
    member.mistake(format!("names the file {}, which is invalid: {error}", path.display()))
}

fn unreadable(member: &Node<'_>, path: &Path, error: &io::Error) -> Mistake {
    member.mistake(format!("names the file {}, which cannot be read: {error}", path.display()))
}

fn not_pem(member: &Node<'_>, path: &Path) -> Mistake {
    member.mistake(format!("names the file {}, which is not PEM", path.display()))
}
