//! The last assignment across a restart, in the format of each generation's daemon: `provisioning_backup.json` of 1.1
//! and `device_info` of 1.2 and later.
//!
//! Written completely or not at all. A backup with credentials, which external provisioning creates, is read and never
//! written or copied.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dps_client::DpsError;
use dps_client::dps_core::internal::{is_device_id, is_hub_name};
use dps_core::{ConfigError, IdScope, RegistrationId};
use dps_files::{LockedFile, Ownership, PrivateFile, create_private_folder};
use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use crate::toml_syntax::quoted;
use crate::version::Format;

/// The longest backup that is read, in bytes.
const FILE_MAX: u64 = 16 * 1024;
/// The content of `device_info` when there is no hub.
const UNPROVISIONED: &str = "unprovisioned";

/// A hub, and the device's id there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubIdentity {
    /// The hub's host name.
    pub hub: String,
    /// The device id at the hub.
    pub device_id: String,
}

impl HubIdentity {
    pub(crate) fn new(hub: &str, device_id: &str) -> Self {
        Self { hub: hub.to_owned(), device_id: device_id.to_owned() }
    }
}

/// The content of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backup {
    /// There is no backup, or it states that there is no hub.
    Nothing,
    /// The last assignment.
    Found {
        /// The hub and the device id.
        identity: HubIdentity,
        /// Whether it contains credentials, so that it must not be overwritten.
        holds_credentials: bool,
    },
    /// Invalid content, with the reason; such a file is set aside when a backup is written.
    Unusable(&'static str),
}

impl Backup {
    /// The last assignment.
    #[must_use]
    pub fn identity(&self) -> Option<&HubIdentity> {
        match self {
            Self::Found { identity, .. } => Some(identity),
            _ => None,
        }
    }
}

/// The backup of one device: a private file, or the daemon's own.
#[derive(Clone, Debug)]
pub struct BackupStore {
    file: PrivateFile,
    format: Format,
    of_daemon: bool,
}

impl BackupStore {
    /// A private backup below `directory`, in a directory of its own for each scope and registration id, so that
    /// another id in the configuration does not use this one's backup. Directories are created, for their owner only,
    /// when a backup is written.
    ///
    /// # Errors
    /// [`ConfigError`] if an id is invalid, so that no id can refer to a directory elsewhere.
    pub fn in_state_dir(
        directory: &Path,
        format: Format,
        id_scope: &str,
        registration_id: &str,
    ) -> Result<Self, ConfigError> {
        let (scope, id) = (IdScope::new(id_scope)?, RegistrationId::new(registration_id)?);
        let directory = directory.join(scope.as_str()).join(id.as_str().to_ascii_lowercase());
        Ok(Self { file: PrivateFile::new(directory.join(file_name(format))), format, of_daemon: false })
    }

    /// The backup in the daemon's home directory, `/var/lib/iotedge` or `/var/lib/aziot/identityd`. The file keeps its
    /// owner.
    pub fn for_daemon(home: &Path, format: Format) -> Self {
        let directory: PathBuf = if format == Format::Yaml { home.join("cache") } else { home.to_owned() };
        Self { file: PrivateFile::new(directory.join(file_name(format))), format, of_daemon: true }
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Locks the backup for this process. In the daemon's directory nothing may be left behind, so nothing is locked
    /// there.
    ///
    /// # Errors
    /// [`DpsError`] `file` if another process has the lock, or it cannot be created.
    pub fn lock(&self) -> Result<LockedBackup, DpsError> {
        let lock = if self.of_daemon {
            None
        } else {
            // What is wrong with the directory is in the error of the lock, which is a file in it.
            let _ = self.file.path().parent().map(create_private_folder);
            Some(Arc::new(self.file.lock()?))
        };
        Ok(LockedBackup { store: self.clone(), _lock: lock })
    }

    /// Reads the backup.
    ///
    /// # Errors
    /// [`DpsError`] `file` if it cannot be read, or is a link.
    pub fn load(&self) -> Result<Backup, DpsError> {
        let bytes = match self.file.read(FILE_MAX) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Backup::Nothing),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Ok(Backup::Unusable("it is longer than any backup"));
            }
            Err(error) => return Err(error.into()),
        };
        let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(Backup::Unusable("it is not text")) };
        Ok(match self.format {
            Format::Yaml => parse_json(text),
            Format::Toml => parse_device_info(text),
        })
    }
}

/// A [`BackupStore`] that this process has locked; clones share the lock, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct LockedBackup {
    store: BackupStore,
    _lock: Option<Arc<LockedFile>>,
}

impl LockedBackup {
    /// Reads the backup.
    ///
    /// # Errors
    /// As [`BackupStore::load`].
    pub fn load(&self) -> Result<Backup, DpsError> {
        self.store.load()
    }

    /// Writes the backup: whatever happens, either the old or the new one exists afterwards. Returns the new path of an
    /// unusable file that was set aside.
    ///
    /// # Errors
    /// [`DpsError`] `file` if it cannot be written.
    pub fn save(&self, identity: &HubIdentity) -> Result<Option<PathBuf>, DpsError> {
        let BackupStore { file, format, of_daemon } = &self.store;
        let aside = match self.load()? {
            // The credentials are of use only to the daemon.
            Backup::Found { holds_credentials: true, .. } => return Ok(None),
            Backup::Unusable(_) => Some(file.set_aside()?),
            _ => None,
        };
        let text = match format {
            Format::Yaml => json!({ "device_id": identity.device_id, "hub_name": identity.hub }).to_string(),
            Format::Toml => device_info(identity),
        };
        let ownership = if *of_daemon { Ownership::Kept } else { Ownership::Private };
        file.replace(text.as_bytes(), ownership)?;
        Ok(aside)
    }
}

const fn file_name(format: Format) -> &'static str {
    match format {
        Format::Yaml => "provisioning_backup.json",
        Format::Toml => "device_info",
    }
}

fn parse_json(text: &str) -> Backup {
    let Ok(Value::Object(members)) = serde_json::from_str(text) else {
        return Backup::Unusable("it is not a JSON object");
    };
    let text = |name: &str| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let holds_credentials = members.get("credentials").is_some_and(|credentials| !credentials.is_null());
    checked_backup(text("hub_name"), text("device_id"), holds_credentials)
}

fn parse_device_info(text: &str) -> Backup {
    if text.trim() == UNPROVISIONED {
        return Backup::Nothing;
    }
    let Ok(document) = DeTable::parse(text) else { return Backup::Unusable("it is not valid TOML") };
    let text = |name: &str| match document.get_ref().get(name).map(|value| value.get_ref()) {
        Some(DeValue::String(text)) if !text.is_empty() => Some(&**text),
        _ => None,
    };
    checked_backup(text("hub_name"), text("device_id"), false)
}

/// A backup must not contain what a reply of the service must not contain.
fn checked_backup(hub: Option<&str>, device_id: Option<&str>, holds_credentials: bool) -> Backup {
    match (hub, device_id) {
        (Some(hub), Some(_)) if !is_hub_name(hub) => Backup::Unusable("its hub_name is not a host name"),
        (Some(_), Some(id)) if !is_device_id(id) => Backup::Unusable("its device_id is not one that a hub allows"),
        (Some(hub), Some(id)) => Backup::Found { identity: HubIdentity::new(hub, id), holds_credentials },
        _ => Backup::Unusable("hub_name or device_id is missing"),
    }
}

/// Without a parent the device's gateway is its hub; with a parent the service is not used.
fn device_info(identity: &HubIdentity) -> String {
    let (hub, device_id) = (quoted(&identity.hub), quoted(&identity.device_id));
    format!("hub_name = {}\nlocal_gateway_hostname = {}\ndevice_id = {}\n", *hub, *hub, *device_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_with_invalid_names_are_unusable() {
        for (hub, device_id, problem) in [
            ("hub-a.test", "dev-01", None),
            ("hub-a.test", "a;b=#+%", None),
            ("a;HostName=evil.test", "dev-01", Some("its hub_name is not a host name")),
            ("../../etc", "dev-01", Some("its hub_name is not a host name")),
            ("hub-a.test", "../../etc/passwd", Some("its device_id is not one that a hub allows")),
            ("hub-a.test", "dev\u{202e}", Some("its device_id is not one that a hub allows")),
        ] {
            let identity = HubIdentity::new(hub, device_id);
            let expected = problem.map_or_else(
                || Backup::Found { identity: identity.clone(), holds_credentials: false },
                Backup::Unusable,
            );
            let json = json!({ "device_id": device_id, "hub_name": hub }).to_string();
            assert_eq!(parse_json(&json), expected, "{json}");
            assert_eq!(parse_device_info(&device_info(&identity)), expected, "{identity:?}");
        }
    }
}
