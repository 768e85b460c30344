//! The last assignment over a restart, in the form of each generation's daemon: `provisioning_backup.json` of 1.1 and
//! `device_info` of 1.2 and later.
//!
//! Written whole or not at all. A backup that holds credentials, as external provisioning leaves it, is read and never
//! written again, nor copied.

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

/// No backup is longer, in bytes.
const FILE_MAX: u64 = 16 * 1024;
/// What `device_info` holds when there is no hub.
const UNPROVISIONED: &str = "unprovisioned";

/// A hub, and the device's name there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubPlace {
    /// The hub's host name.
    pub hub: String,
    /// The device id at the hub.
    pub device_id: String,
}

impl HubPlace {
    pub(crate) fn new(hub: &str, device_id: &str) -> Self {
        Self { hub: hub.to_owned(), device_id: device_id.to_owned() }
    }
}

/// What a backup says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backup {
    /// There is none, or it says that there is no hub.
    Nothing,
    /// The last assignment.
    Found {
        /// Where the device belongs.
        place: HubPlace,
        /// Whether there are credentials in it, which are not ours to write.
        holds_credentials: bool,
    },
    /// Something else, which is set aside when there is something to write.
    Unusable(&'static str),
}

impl Backup {
    /// The last assignment.
    #[must_use]
    pub fn place(&self) -> Option<&HubPlace> {
        match self {
            Self::Found { place, .. } => Some(place),
            _ => None,
        }
    }
}

/// One device's backup: a file of ours, or the daemon's own.
#[derive(Clone, Debug)]
pub struct BackupStore {
    file: PrivateFile,
    format: Format,
    of_daemon: bool,
}

impl BackupStore {
    /// In a folder of our own, below which each device has one: another id in the configuration finds no backup of this
    /// one. Folders are made, for their owner alone, when there is something to write.
    ///
    /// # Errors
    /// [`ConfigError`] when an id breaks the service's rule, so that no id can name a folder elsewhere.
    pub fn in_state_dir(
        folder: &Path,
        format: Format,
        id_scope: &str,
        registration_id: &str,
    ) -> Result<Self, ConfigError> {
        let (scope, id) = (IdScope::new(id_scope)?, RegistrationId::new(registration_id)?);
        let folder = folder.join(scope.as_str()).join(id.as_str().to_ascii_lowercase());
        Ok(Self { file: PrivateFile::new(folder.join(file_name(format))), format, of_daemon: false })
    }

    /// In the home folder of the daemon, `/var/lib/iotedge` or `/var/lib/aziot/identityd`. The file's owner is kept.
    pub fn for_daemon(home: &Path, format: Format) -> Self {
        let folder: PathBuf = if format == Format::Yaml { home.join("cache") } else { home.to_owned() };
        Self { file: PrivateFile::new(folder.join(file_name(format))), format, of_daemon: true }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Locks the backup for this process. In the daemon's folder nothing is left behind, and so nothing is locked.
    ///
    /// # Errors
    /// [`DpsError`] `file` when another process holds the lock, or it cannot be made.
    pub fn lock(&self) -> Result<LockedBackup, DpsError> {
        let lock = if self.of_daemon {
            None
        } else {
            // What is wrong with the folder is in the error of the lock, which is a file in it.
            let _ = self.file.path().parent().map(create_private_folder);
            Some(Arc::new(self.file.lock()?))
        };
        Ok(LockedBackup { store: self.clone(), _lock: lock })
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`DpsError`] `file` when it cannot be read, or is a link.
    pub fn load(&self) -> Result<Backup, DpsError> {
        let bytes = match self.file.read(FILE_MAX) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Backup::Nothing),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Ok(Backup::Unusable("it is longer than any backup"));
            }
            Err(error) => return Err(error.into()),
        };
        let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(Backup::Unusable("it is no text")) };
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

    /// Writes it: the old backup or the new one is there afterwards, whatever happens. Gives where an unusable one is
    /// now.
    ///
    /// # Errors
    /// [`DpsError`] `file` when it cannot be written.
    pub fn save(&self, place: &HubPlace) -> Result<Option<PathBuf>, DpsError> {
        let BackupStore { file, format, of_daemon } = &self.store;
        let aside = match self.load()? {
            // Not ours to write, and what is in it is of use to the daemon alone.
            Backup::Found { holds_credentials: true, .. } => return Ok(None),
            Backup::Unusable(_) => Some(file.set_aside()?),
            _ => None,
        };
        let text = match format {
            Format::Yaml => json!({ "device_id": place.device_id, "hub_name": place.hub }).to_string(),
            Format::Toml => device_info(place),
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
        return Backup::Unusable("it is no JSON object");
    };
    let text = |name: &str| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let holds_credentials = members.get("credentials").is_some_and(|credentials| !credentials.is_null());
    checked_backup(text("hub_name"), text("device_id"), holds_credentials)
}

fn parse_device_info(text: &str) -> Backup {
    if text.trim() == UNPROVISIONED {
        return Backup::Nothing;
    }
    let Ok(document) = DeTable::parse(text) else { return Backup::Unusable("it is no TOML") };
    let text = |name: &str| match document.get_ref().get(name).map(|value| value.get_ref()) {
        Some(DeValue::String(text)) if !text.is_empty() => Some(&**text),
        _ => None,
    };
    checked_backup(text("hub_name"), text("device_id"), false)
}

/// What a reply of the service may not say, a backup may not say either.
fn checked_backup(hub: Option<&str>, device_id: Option<&str>, holds_credentials: bool) -> Backup {
    match (hub, device_id) {
        (Some(hub), Some(_)) if !is_hub_name(hub) => Backup::Unusable("its hub_name is not a host name"),
        (Some(_), Some(id)) if !is_device_id(id) => Backup::Unusable("its device_id is not one that a hub allows"),
        (Some(hub), Some(id)) => Backup::Found { place: HubPlace::new(hub, id), holds_credentials },
        _ => Backup::Unusable("it lacks hub_name or device_id"),
    }
}

/// Without a parent the device's gateway is its hub; with one there is no provisioning by the service.
fn device_info(place: &HubPlace) -> String {
    let (hub, device_id) = (quoted(&place.hub), quoted(&place.device_id));
    format!("hub_name = {}\nlocal_gateway_hostname = {}\ndevice_id = {}\n", *hub, *hub, *device_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_with_foreign_names_are_unusable() {
        for (hub, device_id, problem) in [
            ("hub-a.test", "dev-01", None),
            ("hub-a.test", "a;b=#+%", None),
            ("a;HostName=evil.test", "dev-01", Some("its hub_name is not a host name")),
            ("../../etc", "dev-01", Some("its hub_name is not a host name")),
            ("hub-a.test", "../../etc/passwd", Some("its device_id is not one that a hub allows")),
            ("hub-a.test", "dev\u{202e}", Some("its device_id is not one that a hub allows")),
        ] {
            let place = HubPlace::new(hub, device_id);
            let expected = problem
                .map_or_else(|| Backup::Found { place: place.clone(), holds_credentials: false }, Backup::Unusable);
            let json = json!({ "device_id": device_id, "hub_name": hub }).to_string();
            assert_eq!(parse_json(&json), expected, "{json}");
            assert_eq!(parse_device_info(&device_info(&place)), expected, "{place:?}");
        }
    }
}
