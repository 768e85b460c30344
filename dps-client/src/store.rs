//! Keeps an assignment over a restart, so that a device goes straight to its hub and asks the service only when that
//! fails (Azure IoT DPS documentation, "IoT Hub Device reprovisioning concepts").
//!
//! A file is written whole or not at all, readable by its owner only, and never through a link. No secret is in it.

use std::io;
use std::path::PathBuf;

use dps_core::ConfigError;
use dps_core::internal::{is_device_id, is_hub_name};
use dps_files::{FileError, LockedFile, Ownership, PrivateFile};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::DpsError;
use crate::names::{IdScope, RegistrationId};
use crate::profile::ConnectionProfile;

const VERSION: u32 = 1;
/// No stored assignment is longer, in bytes.
const FILE_MAX: u64 = 16 * 1024;

/// What is worth keeping of an assignment; made by [`Assignment::to_stored`](crate::Assignment::to_stored), or by [`Self::new`] of
/// names that were kept otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredAssignment {
    /// The id scope it was made in.
    pub id_scope: IdScope,
    /// The registration id it was made for.
    pub registration_id: RegistrationId,
    /// The hub's host name.
    pub hub: String,
    /// The device id at the hub.
    pub device_id: String,
    /// Which of the client's credentials the service accepted: its index in the order in which they were set, from 0. A file of
    /// an earlier version has none; it was made with the only one.
    pub credential_index: usize,
    /// Which protocol the hub speaks. A file without it is from an assignment that did not report it.
    pub connection_profile: ConnectionProfile,
}

impl StoredAssignment {
    /// An assignment by its names, made with the first of the client's credentials, whose connection profile was not
    /// reported.
    #[must_use]
    pub fn new(
        id_scope: IdScope,
        registration_id: RegistrationId,
        hub: impl Into<String>,
        device_id: impl Into<String>,
    ) -> Self {
        let (hub, device_id) = (hub.into(), device_id.into());
        Self {
            id_scope,
            registration_id,
            hub,
            device_id,
            credential_index: 0,
            connection_profile: ConnectionProfile::NotReported,
        }
    }
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    version: u32,
    id_scope: String,
    registration_id: String,
    hub: String,
    device_id: String,
    #[serde(default)]
    credential_index: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connection_profile: Option<String>,
}

/// What [`LockedStore::load`] found.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loaded {
    /// Nothing was stored.
    Nothing,
    /// An assignment.
    Found(StoredAssignment),
    /// A file that holds no assignment. It was renamed, so that a new one can be stored and this one looked at.
    SetAside {
        /// Where it is now.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// One file that holds one device's assignment.
///
/// ```
/// use dps_client::{AssignmentStore, Loaded, StoredAssignment};
///
/// # let folder = tempfile::tempdir()?;
/// let store = AssignmentStore::new(folder.path().join("assignment.json")).lock()?;
/// assert_eq!(store.load()?, Loaded::Nothing);
/// let assignment = StoredAssignment::new("0ne00A1B2C3".parse()?, "dev-01".parse()?, "hub-a.test", "dev-01");
/// store.save(&assignment)?;
/// assert_eq!(store.load()?, Loaded::Found(assignment));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AssignmentStore {
    file: PrivateFile,
}

impl AssignmentStore {
    /// A store in this file. The folder has to exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { file: PrivateFile::new(path) }
    }

    /// Locks the store for this process. The lock is a file beside the store's, which stays.
    ///
    /// # Errors
    /// [`DpsError`] `file` when another process holds the lock, or it cannot be made.
    pub fn lock(&self) -> Result<LockedStore, DpsError> {
        Ok(LockedStore { file: self.file.lock()? })
    }

    /// Reads the stored assignment, if there is one, without the lock and without changing anything: for programs that only look
    /// at it.
    ///
    /// # Errors
    /// [`DpsError`] `file` when the file cannot be read, is a link, or holds no assignment.
    pub fn read(&self) -> Result<Option<StoredAssignment>, DpsError> {
        let unusable = |problem| DpsError::file(self.file.path(), "holds no assignment", io::Error::other(problem));
        examine(self.file.read(FILE_MAX))?.transpose().map_err(unusable)
    }
}

/// An [`AssignmentStore`] that this process has locked, until it is dropped.
#[derive(Debug)]
pub struct LockedStore {
    file: LockedFile,
}

impl LockedStore {
    /// Reads the stored assignment.
    ///
    /// # Errors
    /// [`DpsError`] `file` when the file cannot be read, or is a link.
    pub fn load(&self) -> Result<Loaded, DpsError> {
        let problem = match examine(self.file.read(FILE_MAX))? {
            None => return Ok(Loaded::Nothing),
            Some(Ok(assignment)) => return Ok(Loaded::Found(assignment)),
            Some(Err(problem)) => problem,
        };
        let path = self.file.set_aside()?;
        tracing::warn!(path = %path.display(), problem, "a stored assignment cannot be used and was set aside");
        Ok(Loaded::SetAside { path, problem })
    }

    /// Stores an assignment: the old one or the new one is there afterwards, whatever happens.
    ///
    /// # Errors
    /// [`DpsError`] `file` when it cannot be written.
    pub fn save(&self, assignment: &StoredAssignment) -> Result<(), DpsError> {
        let assignment = assignment.clone();
        let document = Document {
            version: VERSION,
            id_scope: assignment.id_scope.to_string(),
            registration_id: assignment.registration_id.to_string(),
            hub: assignment.hub,
            device_id: assignment.device_id,
            credential_index: assignment.credential_index,
            connection_profile: assignment.connection_profile.word().map(str::to_owned),
        };
        let text = serde_json::to_vec_pretty(&document)
            .map_err(|error| DpsError::file(self.file.path(), "cannot be written", io::Error::other(error)))?;
        Ok(self.file.replace(&text, Ownership::Private)?)
    }

    /// Removes the stored assignment, if there is one.
    ///
    /// # Errors
    /// [`DpsError`] `file` when it cannot be removed.
    pub fn clear(&self) -> Result<(), DpsError> {
        Ok(self.file.remove()?)
    }
}

/// Returns what the file holds, or what is wrong with it.
fn examine(
    read: Result<Option<Zeroizing<Vec<u8>>>, FileError>,
) -> Result<Option<Result<StoredAssignment, String>>, DpsError> {
    match read {
        Ok(text) => Ok(text.map(|text| parse(&text))),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            Ok(Some(Err(format!("it is longer than {FILE_MAX} bytes"))))
        }
        Err(error) => Err(error.into()),
    }
}

fn parse(text: &[u8]) -> Result<StoredAssignment, String> {
    let document: Document = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if document.version != VERSION {
        return Err(format!("its version is {}; this program reads version {VERSION}", document.version));
    }
    let problem = |error: ConfigError| error.to_string();
    let assignment = StoredAssignment {
        id_scope: document.id_scope.try_into().map_err(problem)?,
        registration_id: document.registration_id.try_into().map_err(problem)?,
        hub: document.hub,
        device_id: document.device_id,
        credential_index: document.credential_index,
        connection_profile: match document.connection_profile.as_deref().map(ConnectionProfile::from_word) {
            Some(word) => word.ok_or("its connection profile is not a word of letters, digits, `-` and `_`")?,
            None => ConnectionProfile::NotReported,
        },
    };
    // What is refused in a reply is refused in a file.
    if !is_hub_name(&assignment.hub) {
        return Err("its hub is not a host name".to_owned());
    }
    if !is_device_id(&assignment.device_id) {
        return Err("its device id is not one that a hub allows".to_owned());
    }
    Ok(assignment)
}
